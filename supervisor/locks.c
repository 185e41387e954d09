#include <config.h>

#include "supervisor/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/clock.h"
#include "supervisor/log.h"

enum { LOCKS = 3 };

struct locks {
	int fd[LOCKS];
	char *directory[LOCKS];
};

/* ---- directories ---- */

static int make_parents(const char *path)
{
	char part[4096];
	size_t length = strlen(path);

	if (length >= sizeof part)
		return -ENAMETOOLONG;
	for (size_t i = 1; i < length; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST && errno != EISDIR)
			return -errno;
	}
	return 0;
}

static int make_one(const char *path, unsigned mode)
{
	if (mkdir(path, mode) < 0)
		return -errno;
	return chmod(path, mode) < 0 ? -errno : 0;   /* whatever our umask is */
}

static int rename_aside(const char *path, unsigned mode)
{
	char aside[4200];

	snprintf(aside, sizeof aside, "%s.not-ours-%lld", path, (long long)clock_real());
	if (rename(path, aside) < 0)
		return log_error(-errno, "directory %s: not ours, and cannot be renamed aside", path);
	log_error(0, "directory %s: it was not ours: renamed to %s", path, aside);
	return make_one(path, mode);
}

static int refuse_foreign(const char *path, unsigned mode, const struct stat *st, const char *what)
{
	struct passwd *owner = getpwuid(st->st_uid);

	if (geteuid() == 0)
		return rename_aside(path, mode);
	return log_error(-EPERM, "directory %s: %s (it belongs to %s, uid %u): remove it or choose "
			 "another", path, what, owner ? owner->pw_name : "nobody we know",
			 (unsigned)st->st_uid);
}

int directory_make(const char *path, unsigned mode)
{
	struct stat st;
	int r = make_parents(path);

	if (r < 0)
		return r;
	r = make_one(path, mode);
	if (r != -EEXIST)
		return r;
	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return refuse_foreign(path, mode, &st, "it is no directory");
	if (st.st_uid != geteuid())
		return refuse_foreign(path, mode, &st, "it is not ours");
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return refuse_foreign(path, mode, &st, "others may write it");
	return 0;
}

/* ---- locks ---- */

static long holder_of(int fd)
{
	char text[32] = "";

	return pread(fd, text, sizeof text - 1, 0) > 0 ? atol(text) : 0;
}

static void wait_a_little(void)
{
	struct timespec pause = { .tv_nsec = 10000000 };

	nanosleep(&pause, NULL);
}

/* A holder that is gone leaves the lock to a child that is about to close it. */
static int lock_file(int fd, const char *directory)
{
	long holder = 0;

	for (int tries = 0; tries < 500; tries++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK)
			return log_error(-errno, "directory %s: cannot be locked", directory);
		holder = holder_of(fd);
		if (holder > 0 && (kill((pid_t)holder, 0) == 0 || errno != ESRCH))
			break;
		wait_a_little();
	}
	if (holder)
		log_error(0, "directory %s: epochd with pid %ld holds it already: another one beside it "
			  "needs another --instance", directory, holder);
	else   /* there was no room to say so */
		log_error(0, "directory %s: another epochd holds it already: one beside it needs another "
			  "--instance", directory);
	return -EBUSY;
}

/* The holder before us may have unlinked it while we waited. */
static bool is_still_there(int fd, const char *path)
{
	struct stat held, named;

	return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
	       held.st_dev == named.st_dev;
}

/* Where no file can be made or written (the disk is full, or read-only), the one that is there, or the
 * directory itself, is locked as well. */
static int open_lock(const char **path, const char *directory)
{
	int fd = open(*path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644), error = errno;

	if (fd < 0)
		fd = open(*path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		*path = directory;
	}
	return fd < 0 ? log_error(-error, "directory %s: cannot make its lock file", directory) : fd;
}

static int open_locked(int *out, const char *directory, const char *path)
{
	int fd, r;

	do {
		const char *locked = path;

		fd = open_lock(&locked, directory);
		if (fd < 0)
			return fd;
		r = lock_file(fd, directory);
		if (r == 0 && is_still_there(fd, locked)) {
			*out = fd;
			return 0;
		}
		close(fd);
	} while (r == 0);
	return r;
}

static void name_us(int fd, const char *directory)
{
	char text[32];
	int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)length, 0) != length)
		log_notice(0, "directory %s: its lock file cannot be written, and does not name us",
			   directory);
}

static int take(int *out, const char *directory)
{
	char path[4200];
	int fd = -1, r;

	snprintf(path, sizeof path, "%s/.lock", directory);
	r = open_locked(&fd, directory, path);
	if (r < 0)
		return r;
	name_us(fd, directory);
	*out = fd;
	return 0;
}

int locks_take(struct locks **out, const char *segments, const char *state, const char *runtime)
{
	const char *const directories[LOCKS] = { segments, state, runtime };
	struct locks *locks = calloc(1, sizeof *locks);
	int r = 0;

	if (!locks)
		return -ENOMEM;
	for (int i = 0; i < LOCKS; i++)
		locks->fd[i] = -1;
	for (int i = 0; i < LOCKS && r == 0; i++)
		/* One directory may serve as two. */
		if (i == 0 || (strcmp(directories[i], directories[i - 1]) != 0 &&
			       strcmp(directories[i], directories[0]) != 0)) {
			r = take(&locks->fd[i], directories[i]);
			locks->directory[i] = strdup(directories[i]);
		}
	if (r < 0) {
		locks_release(locks);
		return r;
	}
	*out = locks;
	return 0;
}

void locks_remove(struct locks *locks)
{
	char path[4200];

	for (int i = 0; locks && i < LOCKS; i++) {
		if (!locks->directory[i])
			continue;
		snprintf(path, sizeof path, "%s/.lock", locks->directory[i]);
		unlink(path);
	}
}

void locks_release(struct locks *locks)
{
	if (!locks)
		return;
	for (int i = LOCKS; i-- > 0;) {
		if (locks->fd[i] >= 0)
			close(locks->fd[i]);
		free(locks->directory[i]);
	}
	free(locks);
}

void locks_fds(const struct locks *locks, int fds[static 4])
{
	for (int i = 0; i < 4; i++)
		fds[i] = locks && i < LOCKS ? locks->fd[i] : -1;
}
