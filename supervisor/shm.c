#include <config.h>

#include "supervisor/shm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "apilib/fd.h"

enum { HOLDERS = 4 };   /* that are looked for in one go: each takes a walk through all processes */

const char *shm_pattern_is_wrong(const char *pattern)
{
	if (pattern[0] != '/' || !pattern[1] || strchr(pattern + 1, '/') || strcmp(pattern, "/.") == 0 ||
	    strcmp(pattern, "/..") == 0 || strlen(pattern) > NAME_MAX)
		return "a name in /dev/shm such as \"/app-*\": one \"/\", in front";
	if (strchr("*?[", pattern[1]))
		return "a pattern that begins with a part of the name";
	return NULL;
}

static bool matches(char *const *patterns, const char *name)
{
	for (; *patterns; patterns++)
		if (fnmatch(*patterns + 1, name, FNM_PERIOD) == 0)
			return true;
	return false;
}

/* ---- who holds it ---- */

static bool holds_open(const char *process, const struct stat *file)
{
	char path[300];
	struct dirent *entry;
	struct stat st;
	bool found = false;
	DIR *fds;

	snprintf(path, sizeof path, "/proc/%.100s/fd", process);
	fds = opendir(path);
	while (fds && !found && (entry = readdir(fds)))
		found = fstatat(dirfd(fds), entry->d_name, &st, 0) == 0 && st.st_dev == file->st_dev &&
			st.st_ino == file->st_ino;
	if (fds)
		closedir(fds);
	return found;
}

/* Of a line of /proc/PID/maps: "FROM-TO FLAGS OFFSET MAJOR:MINOR INODE PATH". */
static bool maps_it(const char *process, const struct stat *file)
{
	char path[300], line[512];
	unsigned major_number, minor_number;
	unsigned long long inode;
	bool found = false;
	FILE *maps;

	snprintf(path, sizeof path, "/proc/%.100s/maps", process);
	maps = fopen(path, "re");
	while (maps && !found && fgets(line, sizeof line, maps))
		found = sscanf(line, "%*x-%*x %*s %*x %x:%x %llu", &major_number, &minor_number, &inode) == 3 &&
			inode == file->st_ino && makedev(major_number, minor_number) == file->st_dev;
	if (maps)
		fclose(maps);
	return found;
}

/* Only for people: where another user's processes are not shown to us, nobody. */
static pid_t find_holder(const struct stat *file)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t holder = 0;

	while (proc && !holder && (entry = readdir(proc))) {
		long pid = strtol(entry->d_name, NULL, 10);

		if (pid > 0 && pid != getpid() && (maps_it(entry->d_name, file) || holds_open(entry->d_name, file)))
			holder = (pid_t)pid;
	}
	if (proc)
		closedir(proc);
	return holder;
}

/* ---- one file ---- */

/* A write lease is refused while anybody else has the file open or mapped, also when its descriptor is closed: fcntl(2).
 * Whoever opens it once we have it waits, and then has a file without a name. */
static int take_lease(int fd)
{
	/* Who wants it broken is told to us by a signal of our choice, and none is ignored more surely. */
	if (fcntl(fd, F_SETSIG, SIGURG) < 0)
		return -errno;
	return fcntl(fd, F_SETLEASE, F_WRLCK) < 0 ? -errno : 0;
}

static bool is_same(int directory, const char *name, const struct stat *file)
{
	struct stat st;

	return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == file->st_dev &&
	       st.st_ino == file->st_ino;
}

static int fail(struct shm_found *found, int error)
{
	found->outcome = SHM_FAILED;
	found->error = error;
	return 0;
}

/* 1: it is there no more, and is not told. */
static int try_file(int directory, struct shm_found *found, uid_t owner, int *looks)
{
	CLEANUP(ep_close_fd) int fd = -1;
	struct stat st;
	int r;

	if (fstatat(directory, found->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 1 : fail(found, -errno);
	found->bytes = (uint64_t)st.st_size;
	found->blocks = (uint64_t)st.st_blocks * 512;
	found->outcome = !S_ISREG(st.st_mode) ? SHM_NOT_A_FILE : st.st_uid != owner ? SHM_OTHERS : SHM_REMOVED;
	if (found->outcome != SHM_REMOVED)
		return 0;
	fd = openat(directory, found->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 1 : fail(found, -errno);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != owner)
		return 1;   /* another one by now */
	r = take_lease(fd);
	if (r == -EAGAIN || r == -EBUSY) {
		found->outcome = SHM_HELD;
		found->holder = (*looks)-- > 0 ? find_holder(&st) : 0;
		return 0;
	}
	if (r < 0)
		return fail(found, r);
	if (!is_same(directory, found->name, &st))
		return 1;
	return unlinkat(directory, found->name, 0) < 0 ? fail(found, -errno) : 0;
}

int shm_clean(const char *directory, char *const *patterns, uid_t owner, shm_found_fn *fn, void *user)
{
	DIR *files = patterns && *patterns ? opendir(directory) : NULL;
	struct dirent *entry;
	int count = 0, looks = HOLDERS;

	if (!files)
		return patterns && *patterns ? -errno : 0;
	while ((entry = readdir(files))) {
		struct shm_found found = { .name = entry->d_name };

		if (!matches(patterns, entry->d_name) || try_file(dirfd(files), &found, owner, &looks) != 0)
			continue;
		count++;
		fn(&found, user);
	}
	closedir(files);
	return count;
}
