/* A program that leaves everything behind that a program can: children that ignore what asks them to
 * end, in its own process group and session, in others, as daemons, with an environment wiped clean.
 *
 *   forker FILE [only ROLE...]
 *
 * Each of them holds a lock on FILE.ROLE for as long as it lives. The next incarnation looks at these
 * locks first: one that is still held is a survivor (I7), "SURVIVOR ROLE EPOCH" in FILE. When all of
 * them are there it appends "EPOCH PID" and says READY=1 to whom it may concern; then it waits to be
 * killed. With `only` it has just these roles. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static const char *file;
static int ready;   /* the end of a pipe that each role writes one byte to */

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "forker: %s: %s\n", what, strerror(errno));
	_exit(112);
}

static void append(const char *line)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	size_t size = strlen(line);

	if (fd < 0 || write(fd, line, size) != (ssize_t)size)
		fail(file);
	close(fd);
}

static bool hold(const char *role)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof path, "%s.%s", file, role);
	fd = open(path, O_RDWR | O_CREAT, 0644);   /* not CLOEXEC: a role may exec */
	if (fd < 0)
		fail(path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return true;
	close(fd);
	return false;
}

static pid_t fork_or_fail(void)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	return pid;
}

static void ignore_what_asks(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_IGN);
}

/* The end of every role: it is there, and stays. */
static void linger(const char *role)
{
	if (!hold(role) || write(ready, "x", 1) != 1)
		fail(role);
	for (;;)
		pause();
}

static void child(const char *role)
{
	linger(role);
}

static void grandchild(const char *role)
{
	if (fork_or_fail() == 0)
		linger(role);
	for (;;)
		pause();
}

static void orphan(const char *role)
{
	if (fork_or_fail() == 0)
		linger(role);
	_exit(0);
}

static void grouped(const char *role)
{
	if (setpgid(0, 0) < 0)
		fail("setpgid");
	linger(role);
}

/* As daemon(3) does it, twice forked. */
static void daemonised(const char *role)
{
	if (setsid() < 0)
		fail("setsid");
	if (fork_or_fail() > 0)
		_exit(0);
	if (chdir("/") < 0)
		fail("/");
	linger(role);
}

/* Nothing of its environment tells whose it is. Its name does, for who cleans up after a test. */
static void cleaned(const char *role)
{
	char *argv[] = { (char *)file, (char *)"3600", NULL };
	char *nothing[] = { NULL };

	if (!hold(role) || write(ready, "x", 1) != 1)
		fail(role);
	execve("/bin/sleep", argv, nothing);
	fail("/bin/sleep");
}

static void cleaned_daemon(const char *role)
{
	if (setsid() < 0)
		fail("setsid");
	if (fork_or_fail() > 0)
		_exit(0);
	cleaned(role);
}

static const struct {
	const char *name;
	void (*run)(const char *name);
} roles[] = {
	{ "child", child },
	{ "grandchild", grandchild },
	{ "orphan", orphan },
	{ "grouped", grouped },
	{ "daemonised", daemonised },
	{ "cleaned", cleaned },
	{ "cleaned-daemon", cleaned_daemon },
};

static bool chosen(int argc, char **argv, const char *role)
{
	for (int i = 3; i < argc; i++)
		if (strcmp(argv[i], role) == 0)
			return true;
	return argc <= 3;
}

static void look_for_survivors(const char *epoch)
{
	char path[PATH_MAX], line[128];

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		int fd;

		snprintf(path, sizeof path, "%s.%s", file, roles[i].name);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			fail(path);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			snprintf(line, sizeof line, "SURVIVOR %s %s\n", roles[i].name, epoch);
			append(line);
		}
		close(fd);
	}
}

static void say_ready(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (!path || strlen(path) >= sizeof address.sun_path)
		return;
	memcpy(address.sun_path, path, strlen(path));
	if (path[0] == '@')
		address.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&address,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
		fail(path);
	close(fd);
}

int main(int argc, char **argv)
{
	const char *epoch = getenv("EPOCHD_EPOCH");
	char line[64], byte;
	int ends[2], count = 0;

	if (argc < 2 || !epoch) {
		fputs("usage: EPOCHD_EPOCH=N forker FILE [only ROLE...]\n", stderr);
		return 112;
	}
	file = argv[1];
	if (pipe(ends) < 0)
		fail("pipe");
	ready = ends[1];
	look_for_survivors(epoch);
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		if (!chosen(argc, argv, roles[i].name))
			continue;
		if (fork_or_fail() == 0) {
			close(ends[0]);
			ignore_what_asks();
			roles[i].run(roles[i].name);
		}
		count++;
	}
	close(ends[1]);
	while (count-- > 0)
		if (read(ends[0], &byte, 1) != 1) {
			errno = ECHILD;
			fail("a role did not come up");
		}
	snprintf(line, sizeof line, "%s %d\n", epoch, (int)getpid());
	append(line);
	say_ready();
	for (;;)
		pause();
}
