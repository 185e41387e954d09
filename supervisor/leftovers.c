#include <config.h>

#include "supervisor/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/cgroups.h"
#include "supervisor/clock.h"
#include "supervisor/freep.h"
#include "supervisor/identity.h"
#include "supervisor/kernel.h"

enum { ENVIRONMENT_MOST = 256 << 10 };   /* of it is read in search of the token */

/* A process as it was seen in one pass. */
struct seen {
	pid_t pid, ppid, pgid, sid;
	uint64_t start_ticks;
	bool zombie;
	bool attributed;
	bool undecided;   /* counts as found, and lives: the next pass tells */
};

struct pass {
	const struct leftovers *leftovers;
	struct seen *seen;   /* mains are not in it: a thousand of them cost no look at each */
	size_t count, room;
};

static void pass_free(struct pass *pass)
{
	free(pass->seen);
}

static bool is_main(const struct leftovers *leftovers, pid_t pid)
{
	return leftovers->is_main && leftovers->is_main(pid, leftovers->user);
}

/* ---- looking ---- */

static int pass_add(struct pass *pass, pid_t pid)
{
	struct process_stat stat;
	int r;

	if (pid == getpid() || is_main(pass->leftovers, pid))
		return 0;
	r = process_stat(&stat, pid);
	if (r < 0)   /* gone, or (hidepid) not ours to see */
		return r == -ENOMEM ? r : 0;
	if (pass->count == pass->room) {
		size_t room = pass->room ? pass->room * 2 : 64;
		struct seen *seen = realloc(pass->seen, room * sizeof *seen);

		if (!seen)
			return -ENOMEM;
		pass->seen = seen;
		pass->room = room;
	}
	pass->seen[pass->count++] = (struct seen){
		.pid = pid, .ppid = stat.ppid, .pgid = stat.pgid, .sid = stat.sid,
		.start_ticks = stat.start_ticks,
		.zombie = stat.state == 'Z' || stat.state == 'X',
	};
	return 0;
}

/* Every number that the directory has as a name. */
static int each_number(const char *path, int (*fn)(void *user, pid_t number), void *user)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	errno = 0;
	while (r == 0 && (entry = readdir(dir))) {   /* NOLINT(concurrency-mt-unsafe) */
		char *end;
		long number = strtol(entry->d_name, &end, 10);

		if (number > 0 && !*end)
			r = fn(user, (pid_t)number);
		errno = 0;
	}
	if (r == 0 && errno)
		r = -errno;
	closedir(dir);
	return r;
}

static int add_process(void *user, pid_t pid)
{
	return pass_add(user, pid);
}

/* The children of one process, by the lists of its threads: an orphan comes to any of them. */
struct children {
	struct pass *pass;
	pid_t parent;
};

static int add_children(struct pass *pass, FILE *file)
{
	int pid, r = 0;

	while (r == 0 && fscanf(file, "%d", &pid) == 1)   /* NOLINT(cert-err34-c) */
		r = pass_add(pass, pid);
	return r;
}

static int add_thread(void *user, pid_t thread)
{
	struct children *children = user;
	char path[80];
	FILE *file;
	int r;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)children->parent, (int)thread);
	file = fopen(path, "re");
	if (!file) {
		/* ENOENT may be a thread that ended, or a kernel without the lists: told apart by
		 * the one thread that is always there, our first. */
		if (errno == ENOENT && thread == getpid())
			return -ENOTSUP;
		return errno == ENOENT || errno == ESRCH ? 0 : -errno;
	}
	r = add_children(children->pass, file);
	fclose(file);
	return r;
}

static int look_below(struct pass *pass, pid_t parent)
{
	struct children children = { .pass = pass, .parent = parent };
	char path[40];
	int r;

	snprintf(path, sizeof path, "/proc/%d/task", (int)parent);
	r = each_number(path, add_thread, &children);
	return (r == -ENOENT || r == -ESRCH) && parent != getpid() ? 0 : r;
}

/* ---- whose is it ---- */

enum mark { UNMARKED, MARKED, UNDECIDED };

/* Bytes of its environment, as it was at exec, into text; negative: not ours to see, or gone. */
static ssize_t read_environment(char *text, pid_t pid)
{
	char path[40];
	size_t size = 0;
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (size < ENVIRONMENT_MOST &&
	       (n = read(fd, text + size, ENVIRONMENT_MOST - size)) > 0)
		size += (size_t)n;
	close(fd);
	text[size] = '\0';
	return n < 0 && size == 0 ? -EIO : (ssize_t)size;
}

static bool text_has_token(const char *text, size_t size, const char *token)
{
	static const char key[] = "EPOCHD_TOKEN=";
	const char *at;

	for (at = text; at < text + size; at += strlen(at) + 1)
		if (strncmp(at, key, sizeof key - 1) == 0 && strcmp(at + sizeof key - 1, token) == 0)
			return true;
	return false;
}

/* All four of its user ids are ours. -1: it is gone. */
static int has_our_uid(pid_t pid)
{
	char path[40], line[256];
	unsigned uid[4];
	FILE *file;
	int r = 0;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (r == 0 && fgets(line, sizeof line, file))
		if (sscanf(line, "Uid: %u %u %u %u", &uid[0], &uid[1], &uid[2], &uid[3]) == 4)
			r = 1;
	fclose(file);
	return r == 0 ? -1 : uid[0] == geteuid() && uid[1] == geteuid() && uid[2] == geteuid() &&
				   uid[3] == geteuid();
}

static bool is_young(const struct process_stat *stat)
{
	uint64_t now = (uint64_t)(clock_ns(CLOCK_BOOTTIME) / 1000000) *
		       (uint64_t)sysconf(_SC_CLK_TCK) / 1000;

	return now < stat->start_ticks + 2 * (uint64_t)sysconf(_SC_CLK_TCK);
}

/* Its environment is refused to us, though we are no other user: between the moment that exec gives it
 * its new memory and the one that makes that dumpable, or for good, as an ssh-agent wants it. One that
 * is young cannot be told yet; an older one gets 2 ms, which is more than exec needs. */
static enum mark mark_refused(pid_t pid, int tries)
{
	struct timespec pause = { .tv_nsec = 200000 };
	struct process_stat stat;

	if (has_our_uid(pid) != 1 || process_stat(&stat, pid) < 0)
		return UNMARKED;
	if (is_young(&stat))
		return UNDECIDED;
	if (tries >= 10)
		return UNMARKED;
	nanosleep(&pause, NULL);
	return MARKED;   /* to be asked again */
}

/* A program may have overwritten it, so what is not found says nothing. Amid an exec or exit it is
 * empty for everyone, yet the process still holds its files and ports: that cannot be told yet. Read
 * once more if the exec was over when we asked. */
static enum mark mark_by_token(pid_t pid, const char *token)
{
	CLEANUP(freep) char *text = NULL;
	struct process_stat stat = { 0 };
	ssize_t size;
	enum mark mark;
	int tries;

	if (!token || !*token)
		return UNMARKED;
	text = malloc(ENVIRONMENT_MOST + 1);
	if (!text)
		return UNDECIDED;
	for (tries = 0; tries < 12; tries++) {
		size = read_environment(text, pid);
		if (size > 0)
			return text_has_token(text, (size_t)size, token) ? MARKED : UNMARKED;
		if (size == -EACCES || size == -EPERM) {
			mark = mark_refused(pid, tries);
			if (mark != MARKED)
				return mark;
			continue;
		}
		if (process_stat(&stat, pid) < 0)
			return UNMARKED;
		if (stat.environment_hidden)
			return UNDECIDED;
	}
	/* Empty at each look. Exec says where it begins before it says where it ends, and whoever is taken off its
	 * processor between the two looks so for as long. */
	return is_young(&stat) ? UNDECIDED : UNMARKED;
}

static bool is_led_by(const struct seen *seen, pid_t leader)
{
	return leader > 0 && (seen->sid == leader || seen->pgid == leader);
}

/* sid and pgid cannot be another's: a pid is not given out again while a session or group has it. */
static enum mark mark_of(const struct leftovers *leftovers, const struct incarnation_id *id,
			 const struct seen *seen)
{
	if (is_led_by(seen, id->main) || is_led_by(seen, id->first.pid))
		return MARKED;
	if (leftovers->sole && seen->ppid == getpid())
		return MARKED;
	return seen->zombie ? UNMARKED : mark_by_token(seen->pid, id->token);
}

static bool is_orphan(const struct seen *seen)
{
	return seen->ppid == getpid() || seen->ppid == 1;
}

static void attribute(const struct incarnation_id *id, struct pass *pass)
{
	size_t i;

	for (i = 0; i < pass->count; i++) {
		enum mark mark = mark_of(pass->leftovers, id, &pass->seen[i]);

		pass->seen[i].attributed = mark == MARKED;
		/* Only orphans: on a busy machine somebody is amid an exec at every look, and what
		 * has a living parent here is found through that. */
		pass->seen[i].undecided = mark == UNDECIDED && is_orphan(&pass->seen[i]);
	}
}

static int by_pid(const void *left, const void *right)
{
	const struct seen *a = left, *b = right;

	return (a->pid > b->pid) - (a->pid < b->pid);
}

static bool parent_is_attributed(const struct pass *pass, pid_t ppid)
{
	struct seen key = { .pid = ppid }, *parent;

	parent = bsearch(&key, pass->seen, pass->count, sizeof key, by_pid);
	return parent && parent->attributed;
}

/* Children of what is attributed are so too, and theirs: each round reaches a generation or more.
 * What appears meanwhile is the next pass's. */
static void attribute_descendants(struct pass *pass)
{
	bool more = pass->count > 0;
	size_t i;

	if (more)
		qsort(pass->seen, pass->count, sizeof *pass->seen, by_pid);
	while (more) {
		more = false;
		for (i = 0; i < pass->count; i++) {
			struct seen *seen = &pass->seen[i];

			if (!seen->attributed && parent_is_attributed(pass, seen->ppid))
				seen->attributed = more = true;
		}
	}
}

/* ---- killing ---- */

/* Through a pidfd, after a second look: between the look and the kill the pid may have changed hands. */
static void kill_seen(const struct leftovers *leftovers, const struct seen *seen)
{
	struct identity identity = { .pid = seen->pid, .start_ticks = seen->start_ticks };
	int pidfd = identity_open(&identity, leftovers->kernel);

	if (pidfd < 0)
		return;
	pidfd_signal(pidfd, SIGKILL);
	close(pidfd);
}

/* A zombie may only be the first thread of a process whose others still end, with its files open.
 * Ours are reaped, and counted in *reaped. */
static bool is_gone(const struct leftovers *leftovers, const struct seen *seen, int *reaped)
{
	struct identity identity = { .pid = seen->pid, .start_ticks = seen->start_ticks };
	int pidfd = identity_open(&identity, leftovers->kernel);
	bool gone;

	if (pidfd < 0)
		return true;
	gone = pidfd_is_dead(pidfd);
	close(pidfd);
	if (gone && seen->ppid == getpid() && waitpid(seen->pid, NULL, WNOHANG) > 0)
		(*reaped)++;
	return gone;
}

static int kill_attributed(const struct leftovers *leftovers, const struct pass *pass,
			   pid_t *example, int *reaped)
{
	int found = 0;
	size_t i;

	for (i = 0; i < pass->count; i++) {
		const struct seen *seen = &pass->seen[i];

		if (!seen->attributed && !seen->undecided)
			continue;
		if (seen->zombie && is_gone(leftovers, seen, reaped))
			continue;
		if (seen->attributed)
			kill_seen(leftovers, seen);
		*example = seen->pid;
		found++;
	}
	return found;
}

/* The first one may live. If its number is alive and it is not the first one's, that says nothing. */
static struct incarnation_id without_reused_first(const struct leftovers *leftovers,
						  const struct incarnation_id *id)
{
	struct incarnation_id checked = *id;
	struct process_stat stat;
	int pidfd;

	if (id->first.pid <= 0 || process_stat(&stat, id->first.pid) < 0)
		return checked;
	pidfd = identity_open(&id->first, leftovers->kernel);
	if (pidfd >= 0)
		close(pidfd);
	else
		checked.first.pid = 0;
	return checked;
}

static int kill_in_cgroup(const struct leftovers *leftovers, const struct incarnation_id *id,
			  pid_t *example)
{
	pid_t pids[16] = { 0 };
	int n, r = cgroup_is_populated(id->cgroup);

	if (r <= 0)
		return r;
	n = cgroup_pids(id->cgroup, pids, ARRAY_SIZE(pids));
	if (n < 0)
		return n;
	if (n == 0)   /* the last one is amid its exit */
		return 1;
	r = cgroup_kill(id->cgroup, leftovers->kernel);
	if (r < 0)
		return r;
	*example = pids[0];
	return n;
}

/* The main process has ended. If its number is alive it is somebody else's, who may be any session's
 * or group's leader: then these two say nothing. */
static struct incarnation_id without_reused(const struct leftovers *leftovers,
					    const struct incarnation_id *id)
{
	struct incarnation_id checked = without_reused_first(leftovers, id);
	struct process_stat stat;

	if (id->main > 0 && process_stat(&stat, id->main) == 0 && stat.state != 'Z' &&
	    stat.state != 'X')
		checked.main = 0;
	return checked;
}

static int kill_below_us(const struct leftovers *leftovers, const struct incarnation_id *id,
			 pid_t *example, int *reaped)
{
	CLEANUP(pass_free) struct pass pass = { .leftovers = leftovers };
	size_t i, first;
	int r = look_below(&pass, getpid());

	if (r < 0)
		return r;
	attribute(id, &pass);
	/* Deeper and deeper below what is ours to kill; the list grows meanwhile. */
	for (i = 0; i < pass.count && r == 0; i++) {
		if (!pass.seen[i].attributed)
			continue;
		first = pass.count;
		r = look_below(&pass, pass.seen[i].pid);
		for (; first < pass.count; first++)
			pass.seen[first].attributed = true;
	}
	return r < 0 ? r : kill_attributed(leftovers, &pass, example, reaped);
}

int leftovers_kill(const struct leftovers *leftovers, const struct incarnation_id *id,
		   pid_t *example)
{
	struct incarnation_id checked;
	int r, reaped;

	if (id->cgroup >= 0)
		return kill_in_cgroup(leftovers, id, example);
	checked = without_reused(leftovers, id);
	/* A parent that died while we looked has given its children to us after our own list was
	 * read, and they are in neither. It was seen as a zombie then: once more without it. */
	do {
		reaped = 0;
		r = kill_below_us(leftovers, &checked, example, &reaped);
	} while (r == 0 && reaped > 0);
	if (r == -ENOTSUP)   /* CONFIG_PROC_CHILDREN is off */
		return leftovers_kill_adopted(leftovers, id, example);
	return r;
}

int leftovers_kill_adopted(const struct leftovers *leftovers, const struct incarnation_id *id,
			   pid_t *example)
{
	CLEANUP(pass_free) struct pass pass = { .leftovers = leftovers };
	struct incarnation_id checked;
	int r, reaped = 0;

	if (id->cgroup >= 0)
		return kill_in_cgroup(leftovers, id, example);
	r = each_number("/proc", add_process, &pass);
	if (r < 0)
		return r;
	checked = without_reused(leftovers, id);
	attribute(&checked, &pass);
	attribute_descendants(&pass);
	return kill_attributed(leftovers, &pass, example, &reaped);
}

/* ---- membership ---- */

bool incarnation_has(const struct leftovers *leftovers, const struct incarnation_id *id, pid_t pid)
{
	struct incarnation_id checked;
	struct process_stat stat;
	pid_t at = pid;
	int depth;

	if (pid <= 0 || pid == getpid())
		return false;
	if (pid == id->main)
		return true;
	if (id->cgroup >= 0) {
		int r = cgroup_has(id->cgroup, leftovers->cgroups, id->app, pid);

		if (r != -ENOTSUP)
			return r == 1;
	}
	if (is_main(leftovers, pid))
		return false;
	checked = without_reused_first(leftovers, id);
	/* Up the tree to one that is marked. Bounded, since the tree moves while it is walked. */
	for (depth = 0; depth < 64 && at > 1 && at != getpid(); depth++) {
		struct seen seen;

		if (at == id->main)
			return true;
		if (process_stat(&stat, at) < 0 || is_main(leftovers, at))
			return false;
		seen = (struct seen){ .pid = at, .ppid = stat.ppid, .pgid = stat.pgid,
				      .sid = stat.sid };
		if (mark_of(leftovers, &checked, &seen) == MARKED)
			return true;
		at = stat.ppid;
	}
	return false;
}
