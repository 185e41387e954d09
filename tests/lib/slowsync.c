/* Faults of a disk, for whatever has "epochd.db" or ".trace" in its path, and nothing else. Preloaded into the real
 * programs, or linked into a unit test. The environment is read at each call, so that a test can switch
 * a fault on and off by making and removing a file, also in a process that runs.
 *
 *   EPOCHD_FSYNC_MS=N        fsync and fdatasync take N ms longer
 *   EPOCHD_FSYNC_GATE=FILE   they do not return while FILE exists; the first to wait makes FILE.reached
 *   EPOCHD_WRITE_ERRNO=N     writing, truncating and syncing fail with that errno ...
 *   EPOCHD_FAULT_FILE=FILE   ... while FILE exists (without it: never)
 *   EPOCHD_FAULT_UNDER=PATH  ... and only below that
 *   EPOCHD_FS_TYPE=N         statfs says that every file system is of this type */
#include <config.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static int is_database(int fd)
{
	const char *under = getenv("EPOCHD_FAULT_UNDER");
	char link[64], path[PATH_MAX];
	ssize_t length;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof path - 1);
	if (length < 0)
		return 0;
	path[length] = '\0';
	return (strstr(path, "epochd.db") || strstr(path, ".trace")) && (!under || strncmp(path, under, strlen(under)) == 0);
}

static void sleep_ms(long ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static int fault(int fd)
{
	const char *number = getenv("EPOCHD_WRITE_ERRNO"), *file = getenv("EPOCHD_FAULT_FILE");
	int before = errno;

	if (!number || !file || access(file, F_OK) < 0 || !is_database(fd)) {
		errno = before;
		return 0;
	}
	errno = atoi(number);
	return 1;
}

static void wait_at(const char *gate)
{
	char reached[PATH_MAX];
	int mark = -1;

	snprintf(reached, sizeof reached, "%s.reached", gate);
	if (access(gate, F_OK) == 0)
		mark = open(reached, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (mark >= 0)
		close(mark);
	while (access(gate, F_OK) == 0)
		sleep_ms(1);
}

static int slow_fault(int fd)
{
	const char *ms = getenv("EPOCHD_FSYNC_MS"), *gate = getenv("EPOCHD_FSYNC_GATE");
	int before = errno;

	if ((ms || gate) && is_database(fd)) {
		if (ms)
			sleep_ms(atol(ms));
		if (gate)
			wait_at(gate);
	}
	errno = before;
	return fault(fd);
}

EXPORT int fsync(int fd)
{
	return slow_fault(fd) ? -1 : NEXT(fsync)(fd);
}

EXPORT int fdatasync(int fd)
{
	return slow_fault(fd) ? -1 : NEXT(fdatasync)(fd);
}

EXPORT ssize_t write(int fd, const void *bytes, size_t size)
{
	return fault(fd) ? -1 : NEXT(write)(fd, bytes, size);
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	return fault(fd) ? -1 : NEXT(pwrite)(fd, bytes, size, offset);
}

EXPORT ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
	return fault(fd) ? -1 : NEXT(pwrite64)(fd, bytes, size, offset);
}

EXPORT int ftruncate(int fd, off_t size)
{
	return fault(fd) ? -1 : NEXT(ftruncate)(fd, size);
}

EXPORT int ftruncate64(int fd, off64_t size)
{
	return fault(fd) ? -1 : NEXT(ftruncate64)(fd, size);
}

EXPORT int statfs(const char *path, struct statfs *out)
{
	const char *type = getenv("EPOCHD_FS_TYPE");
	int r = NEXT(statfs)(path, out);

	if (r == 0 && type)
		out->f_type = (__typeof__(out->f_type))strtoul(type, NULL, 0);
	return r;
}
