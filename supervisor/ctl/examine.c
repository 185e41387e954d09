#include <config.h>

#include "supervisor/ctl/examine.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "apilib/fd.h"
#include "apilib/registry.h"
#include "store/store.h"
#include "supervisor/ctl/instance.h"
#include "supervisor/identity.h"
#include "supervisor/kernel.h"
#include "supervisor/ledger.h"

enum { LEAST_FREE_PERCENT = 5, FIRST_PERSON = 1000 /* uid: logind spares the users of the system */ };

static const char *const severities[] = { "note", "warning", "problem" };

void finding_add(json_t *findings, enum severity severity, const char *code, bool fixable, const char *mend,
		 const char *format, ...)
{
	va_list values;
	char *text;
	int n;

	va_start(values, format);
	n = vasprintf(&text, format, values);
	va_end(values);
	if (n < 0)
		return;
	json_array_append_new(findings, json_pack("{s:s, s:s, s:s%, s:s, s:b, s:b}", "code", code, "severity",
						  severities[severity], "text", text, (size_t)n, "mend", mend,
						  "fixable", fixable, "fixed", false));
	free(text);
}

/* ---- where ---- */

void place_find(struct place *place, const char *instance, const char *runtime_base, const char *state_base)
{
	const char *root = getenv("EPOCHD_DOCTOR_ROOT");   /* NOLINT(concurrency-mt-unsafe): one thread */
	char link[4200];
	ssize_t n;

	*place = (struct place){ .instance = instance, .root = root ? root : "" };
	snprintf(place->runtime, sizeof place->runtime, "%s/%s", runtime_base, instance);
	if (state_base)
		snprintf(place->state, sizeof place->state, "%s/%s", state_base, instance);
	snprintf(link, sizeof link, "%s/segments", place->runtime);
	n = readlink(link, place->segments, sizeof place->segments - 1);
	if (n > 0)
		place->segments[n] = '\0';
	else
		snprintf(place->segments, sizeof place->segments, "/dev/shm/epochd-%u-%s", (unsigned)geteuid(), instance);
}

/* ---- locks and processes ---- */

/* Shared, and let go at once: a supervisor that starts just now waits for longer than that. */
static bool is_locked(const char *directory)
{
	CLEANUP(ep_close_fd) int fd = -1;
	char path[4200];

	snprintf(path, sizeof path, "%s/.lock", directory);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static bool has_entry(const char *text, size_t size, const char *wanted, size_t length)
{
	for (const char *at = text; at < text + size; at += strlen(at) + 1)
		if (strncmp(at, wanted, length) == 0)
			return true;
	return false;
}

/* A token is given to incarnations only: the name of an instance may stand in anybody's environment. One that a program
 * overwrote, or that is hidden from us, tells nothing: so these are at least as many. */
static bool is_of_instance(const char *pid, const char *instance)
{
	char path[300], text[65536], wanted[100];
	size_t size = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
	snprintf(wanted, sizeof wanted, "EPOCHD_INSTANCE=%s", instance);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && size < sizeof text - 1 && (n = read(fd, text + size, sizeof text - 1 - size)) > 0)
		size += (size_t)n;
	if (fd >= 0)
		close(fd);
	text[size] = '\0';
	return has_entry(text, size, wanted, strlen(wanted) + 1) && has_entry(text, size, "EPOCHD_TOKEN=", 13);
}

static unsigned count_by_environment(const char *instance)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	unsigned count = 0;

	while (proc && (entry = readdir(proc)))
		count += isdigit((unsigned char)entry->d_name[0]) && is_of_instance(entry->d_name, instance);
	if (proc)
		closedir(proc);
	return count;
}

struct living { struct kernel kernel; unsigned count; };

static void count_living(const struct identity *identity, void *user)
{
	struct living *living = user;
	int pidfd = identity_open(identity, &living->kernel);

	if (pidfd < 0)
		return;
	living->count += !pidfd_is_dead(pidfd);
	close(pidfd);
}

/* Main processes that the last supervisor wrote down, whatever they did to their environment. */
static unsigned count_by_ledger(const char *segments)
{
	CLEANUP(ep_close_fd) int directory = open(segments, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP(ep_close_fd) int boot = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	struct living living = { .count = 0 };
	char boot_id[40] = "";

	if (directory < 0 || boot < 0 || read(boot, boot_id, 36) != 36)
		return 0;
	kernel_probe(&living.kernel);
	ledger_peek_identities(directory, boot_id, count_living, &living);
	return living.count;
}

static unsigned count_processes(const struct place *place)
{
	unsigned by_environment = count_by_environment(place->instance), by_ledger = count_by_ledger(place->segments);

	return by_environment > by_ledger ? by_environment : by_ledger;
}

static void examine_supervisor(struct place *place, json_t *findings)
{
	char base[4096], *slash;
	int r;

	snprintf(base, sizeof base, "%s", place->runtime);
	slash = strrchr(base, '/');
	*slash = '\0';
	r = instance_probe(base, place->instance);
	place->runs = r == 0 || r == -EACCES;
	place->is_locked = is_locked(place->segments);
	if (place->runs)
		return;
	if (place->is_locked) {
		finding_add(findings, SEVERITY_PROBLEM, "no_answer", false,
			    "name its --runtime-dir, or see if it is stopped or hangs: epochctl cannot reach it",
			    "a supervisor holds the lock of instance %s, and nobody answers in %s", place->instance,
			    place->runtime);
		return;
	}
	place->processes = count_processes(place);
	if (place->processes)
		finding_add(findings, SEVERITY_PROBLEM, "no_supervisor", false,
			    "start epochd with the same configuration: it adopts them as they are",
			    "%u processes of instance %s run, and no supervisor does", place->processes, place->instance);
}

/* ---- the database ---- */

static void examine_store(struct place *place, json_t *findings)
{
	struct store_view_info info;
	struct store_view *view;
	char path[4200];
	int r;

	if (!place->state[0])
		return;
	snprintf(path, sizeof path, "%s/epochd.db", place->state);
	place->has_database = access(path, F_OK) == 0;
	if (!place->has_database)
		return;
	if (access(place->state, W_OK) < 0)
		finding_add(findings, SEVERITY_PROBLEM, "store_not_writable", false,
			    "run epochd as the owner of the state directory, or make room for it to write",
			    "%s cannot be written: %s", place->state, strerror(errno));
	r = store_view_open(&view, path, &info);
	if (r == -EUCLEAN)
		finding_add(findings, SEVERITY_PROBLEM, "store_corrupt", false,
			    "start epochd: it sets the file aside and rebuilds it from the segments and what can be read",
			    "%s is damaged", path);
	else if (r == -EINVAL)
		finding_add(findings, SEVERITY_PROBLEM, "store_version", false, "use the epochd that made it, or a newer one",
			    "%s was made by another version of epochd", path);
	else if (r < 0)
		finding_add(findings, SEVERITY_PROBLEM, "store_unreadable", false, "ask as its owner", "%s: %s", path,
			    strerror(-r));
	else
		store_view_close(view);
}

/* ---- the segments ---- */

static void examine_segment(int directory, const char *name, json_t *findings)
{
	CLEANUP(ep_close_fd) int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct ep_page copy;
	const char *why = "it cannot be read";
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    pread(fd, &copy, sizeof copy, 0) == (ssize_t)sizeof copy) {
		if (ep_registry_other_layout(&copy)) {
			finding_add(findings, SEVERITY_PROBLEM, "segment_version", false,
				    "start the epochd that made it, and end it with that (epochctl shutdown)",
				    "segment %s is of layout %u, which this version does not know", name, copy.layout);
			return;
		}
		if (ep_registry_check(&copy, (size_t)st.st_size, &why) == 0)
			return;
	}
	finding_add(findings, SEVERITY_WARNING, "segment_bad", false,
		    "nothing: the next start of epochd replaces or removes it", "segment %s is none: %s", name, why);
}

static void examine_segments(struct place *place, json_t *findings)
{
	DIR *directory = opendir(place->segments);
	struct dirent *entry;
	struct stat st;

	if (!directory)
		return;
	if (fstat(dirfd(directory), &st) == 0 && st.st_mode & (S_IWGRP | S_IWOTH))
		finding_add(findings, SEVERITY_PROBLEM, "segments_open", false, "chmod go-w that directory",
			    "%s can be written by others", place->segments);
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		place->segment_count++;
		examine_segment(dirfd(directory), entry->d_name, findings);
	}
	closedir(directory);
	if (place->runs || place->is_locked || place->processes || !place->segment_count)
		return;
	/* Without the database only the segments know how far the epochs have come (I2). */
	finding_add(findings, SEVERITY_WARNING, "stale_segments", place->has_database,
		    place->has_database ? "start epochd, which goes on from them; or remove them: epochctl doctor --fix" :
					  "start epochd: it makes the database anew from them",
		    "%s has %u segments of a supervisor that was killed, and nothing of it runs", place->segments,
		    place->segment_count);
}

/* ---- the machine ---- */

static void examine_room(const struct place *place, json_t *findings)
{
	struct statvfs fs;

	if (statvfs(place->segments, &fs) < 0 && statvfs("/dev/shm", &fs) < 0)
		return;
	if (fs.f_blocks && fs.f_bavail * 100 < fs.f_blocks * LEAST_FREE_PERCENT)
		finding_add(findings, SEVERITY_PROBLEM, "shm_full", false,
			    "look what is there (ls -lS /dev/shm): files that no program holds are left by crashes; name them in "
			    "shm = { } of the application that makes them",
			    "shared memory is nearly full: %llu of %llu MiB are free",
			    (unsigned long long)fs.f_bavail * fs.f_frsize >> 20,
			    (unsigned long long)fs.f_blocks * fs.f_frsize >> 20);
	else if (fs.f_files && fs.f_favail * 100 < fs.f_files * LEAST_FREE_PERCENT)
		finding_add(findings, SEVERITY_PROBLEM, "shm_full", false, "look what is there (ls /dev/shm | wc -l)",
			    "shared memory has room for %llu files more", (unsigned long long)fs.f_favail);
}

/* The last value of KEY= in a file; false: it has none. */
static bool value_of(const char *root, const char *path, const char *key, char *out, size_t size)
{
	char whole[4400], line[512];
	size_t length = strlen(key);
	bool found = false;
	FILE *file;

	snprintf(whole, sizeof whole, "%s%s", root, path);
	file = fopen(whole, "re");
	while (file && fgets(line, sizeof line, file)) {
		char *at = line + strspn(line, " \t");

		if (strncmp(at, key, length) != 0 || at[length] != '=')
			continue;
		at += length + 1;
		snprintf(out, size, "%.*s", (int)strcspn(at, " \t\r\n"), at);
		found = true;
	}
	if (file)
		fclose(file);
	return found;
}

static bool is_there(const char *root, const char *folder, const char *name)
{
	char path[4700];

	snprintf(path, sizeof path, "%s%s/%s", root, folder, name);
	return access(path, F_OK) == 0;
}

/* logind.conf(5): when the last session of a person ends, all of his in /dev/shm is removed, held or not. */
static void examine_logind(const struct place *place, uid_t uid, json_t *findings)
{
	static const char *const files[] = { "/usr/lib/systemd/logind.conf", "/etc/systemd/logind.conf",
					     "/etc/systemd/logind.conf.d/epochd.conf" };
	const struct passwd *user = getpwuid(uid);   /* NOLINT(concurrency-mt-unsafe): one thread */
	char value[16] = "yes", name[200] = "?";

	if (uid < FIRST_PERSON || !is_there(place->root, "/run/systemd", "system"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		value_of(place->root, files[i], "RemoveIPC", value, sizeof value);
	if (user)
		snprintf(name, sizeof name, "%.190s", user->pw_name);
	if (strcmp(value, "no") == 0 || is_there(place->root, "/var/lib/systemd/linger", name))
		return;
	finding_add(findings, SEVERITY_PROBLEM, "remove_ipc", false,
		    "loginctl enable-linger, or RemoveIPC=no in /etc/systemd/logind.conf",
		    "when the last session of %s ends, logind removes all segments of this instance", name);
}

static void examine_unit(const struct place *place, json_t *findings)
{
	static const char *const folders[] = { "/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system" };
	char path[300], value[40];

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof path, "%s/epochd.service", folders[i]);
		if (!is_there(place->root, folders[i], "epochd.service"))
			continue;
		snprintf(value, sizeof value, "control-group");   /* what systemd takes without a word */
		value_of(place->root, path, "KillMode", value, sizeof value);
		if (strcmp(value, "process") != 0)
			finding_add(findings, SEVERITY_PROBLEM, "kill_mode", false,
				    "KillMode=process in its [Service] section, then systemctl daemon-reload",
				    "%s has KillMode=%s: when epochd dies or is restarted, systemd kills all applications", path,
				    value);
		return;
	}
}

/* Of whomever: what they make is in the same shared memory. */
static void examine_others(const struct place *place, json_t *findings)
{
	char base[4096], path[4400], *slash;
	DIR *directory;
	struct dirent *entry;
	struct stat st;

	snprintf(base, sizeof base, "%s", place->segments);
	slash = strrchr(base, '/');
	if (!slash || slash == base)
		return;
	*slash++ = '\0';
	directory = opendir(base);
	while (directory && (entry = readdir(directory))) {
		if (strncmp(entry->d_name, "epochd-", 7) != 0 || strcmp(entry->d_name, slash) == 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", base, entry->d_name);
		if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || access(path, R_OK | X_OK) < 0)
			continue;
		if (is_locked(path))
			finding_add(findings, SEVERITY_NOTE, "other_instance", false, "nothing: they do not meet",
				    "another instance uses the same shared memory: %s, of uid %u", path, (unsigned)st.st_uid);
		else if (st.st_uid == geteuid())
			finding_add(findings, SEVERITY_NOTE, "other_leftover", false,
				    "epochctl doctor --instance NAME tells more",
				    "another instance left segments in %s, and no supervisor of it runs", path);
	}
	if (directory)
		closedir(directory);
}

void examine(struct place *place, json_t *findings)
{
	examine_supervisor(place, findings);
	examine_store(place, findings);
	examine_segments(place, findings);
	examine_room(place, findings);
	examine_logind(place, geteuid(), findings);
	examine_unit(place, findings);
	examine_others(place, findings);
}

/* ---- mending ---- */

static void unlink_in(const char *folder, const char *name)
{
	char path[4400];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	unlink(path);
}

/* Under its lock, so that no supervisor begins meanwhile. */
static bool remove_segments(const struct place *place)
{
	static const char *const sockets[] = { "control.sock", "api.sock", "segments", ".lock" };
	CLEANUP(ep_close_fd) int lock = -1;
	DIR *directory = opendir(place->segments);
	struct dirent *entry;
	char path[4200];
	bool removed;

	snprintf(path, sizeof path, "%s/.lock", place->segments);
	lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (!directory || lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0) {
		if (directory)
			closedir(directory);
		return false;
	}
	while ((entry = readdir(directory))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    strcmp(entry->d_name, ".lock") == 0)
			continue;
		ep_registry_close_fence(dirfd(directory), entry->d_name);   /* I3 */
		unlinkat(dirfd(directory), entry->d_name, 0);
	}
	closedir(directory);
	for (size_t i = 0; i < ARRAY_SIZE(sockets); i++)
		unlink_in(place->runtime, sockets[i]);
	unlink(path);
	removed = rmdir(place->segments) == 0;
	return removed;
}

void examine_fix(const struct place *place, json_t *findings)
{
	json_t *finding;
	size_t i;

	json_array_foreach(findings, i, finding)
		if (json_is_true(json_object_get(finding, "fixable")) &&
		    strcmp(json_string_value(json_object_get(finding, "code")), "stale_segments") == 0)
			json_object_set_new(finding, "fixed", json_boolean(remove_segments(place)));
}
