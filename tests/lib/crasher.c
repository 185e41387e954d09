/* A program that crashes on its own and writes down each of its starts, so that a test can hold the
 * supervisor's counts against what the application itself knows.
 *
 *   crasher FILE AFTER END
 *
 * The first thing it does is to append "EPOCH PID START-NS" to FILE, in one write. If another of its
 * kind still runs, which a lock on FILE.lock tells (it goes with the process, not with a pid file),
 * the line is "DUPLICATE EPOCH PID START-NS" instead.
 *
 * AFTER   when it ends: ms as "50" or "10-90", or "never"
 * END     how: "exit:CODE", "signal:NUMBER", or "any": one or the other, by chance
 *
 * Once FILE.calm exists it does not end by itself any more, and says so with the line "CALM EPOCH". */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char *epoch;

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "crasher: %s: %s\n", what, strerror(errno));
	_exit(112);
}

static unsigned chance(unsigned below)
{
	unsigned value = 0;

	if (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value)
		fail("getrandom");
	return value % below;
}

static void append(const char *file, const char *line)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	size_t size = strlen(line);

	if (fd < 0 || write(fd, line, size) != (ssize_t)size)
		fail(file);
	close(fd);
}

/* Is kept until the process is gone. */
static bool take_lock(const char *file)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof path, "%s.lock", file);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		fail(path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return true;
	if (errno != EWOULDBLOCK)
		fail(path);
	return false;
}

/* "50" or "10-90" */
static void live(const char *after)
{
	char *end;
	unsigned long least = strtoul(after, &end, 10);
	unsigned long most = *end == '-' ? strtoul(end + 1, &end, 10) : least;
	unsigned long ms;
	struct timespec time;

	if (*end || end == after || most < least) {
		errno = EINVAL;
		fail(after);
	}
	ms = least + chance((unsigned)(most - least) + 1);
	time = (struct timespec){ .tv_sec = (time_t)(ms / 1000),
				  .tv_nsec = (long)(ms % 1000) * 1000000 };
	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

static void stay_if_calm(const char *file)
{
	char path[PATH_MAX], line[64];

	snprintf(path, sizeof path, "%s.calm", file);
	if (access(path, F_OK) < 0)
		return;
	snprintf(line, sizeof line, "CALM %s\n", epoch);
	append(file, line);
	for (;;)
		pause();
}

static void end(const char *how)
{
	static const char *const any[] = { "exit:0", "exit:1", "exit:77", "signal:6", "signal:9",
					   "signal:11", "signal:15" };
	struct rlimit none = { 0, 0 };
	const char *value;

	if (strcmp(how, "any") == 0)
		how = any[chance(ARRAY_SIZE(any))];
	value = strchr(how, ':');
	setrlimit(RLIMIT_CORE, &none);
	if (value && strncmp(how, "exit:", 5) == 0)
		_exit(atoi(value + 1));
	if (value && strncmp(how, "signal:", 7) == 0)
		kill(getpid(), atoi(value + 1));
	errno = EINVAL;
	fail(how);
}

int main(int argc, char **argv)
{
	struct timespec now;
	char line[128];
	bool alone;

	clock_gettime(CLOCK_MONOTONIC, &now);
	epoch = getenv("EPOCHD_EPOCH");
	if (argc != 4 || !epoch) {
		fputs("usage: EPOCHD_EPOCH=N crasher FILE AFTER END\n", stderr);
		return 112;
	}
	alone = take_lock(argv[1]);
	snprintf(line, sizeof line, "%s%s %d %lld\n", alone ? "" : "DUPLICATE ", epoch, (int)getpid(),
		 (long long)now.tv_sec * 1000000000 + now.tv_nsec);
	append(argv[1], line);
	if (!alone)
		_exit(113);
	if (strcmp(argv[2], "never") == 0)
		for (;;)
			pause();
	live(argv[2]);
	stay_if_calm(argv[1]);
	end(argv[3]);
}
