/* A client of the sd_notify protocol that does what its arguments say, one after the other:
 *
 *   send TEXT         a datagram to NOTIFY_SOCKET
 *   child-send TEXT   the same from a child, which lives until that was read (BARRIER=1)
 *   beat MS           WATCHDOG=1 every MS, for ever
 *   beat-until MS FILE   the same until FILE exists
 *   await FILE        until it exists
 *   touch FILE
 *   environment FILE  writes what it was given to FILE, a variable a line
 *   ignore SIGNAL     by number
 *   hold PID          once killed, it is not gone before we are
 *   append FILE TEXT  a line, with the epoch before it
 *   become-child      forks: the child is told to be the main process and goes on, the parent waits
 *   exit CODE
 *   kill SIGNAL       itself
 *
 * At the end of its arguments it waits for a signal. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "notifier: %s: %s\n", what, strerror(errno));
	_exit(112);
}

static void nap(long ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

/* fd: sent along; -1: none */
static void send_with(const char *text, int fd)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof fd)];
	} control = { 0 };
	struct iovec data = { (void *)text, strlen(text) };
	struct msghdr message = { .msg_name = &address, .msg_iov = &data, .msg_iovlen = 1 };
	int out;

	if (!path || strlen(path) >= sizeof address.sun_path) {
		errno = ENOENT;
		fail("NOTIFY_SOCKET");
	}
	memcpy(address.sun_path, path, strlen(path));
	if (path[0] == '@')
		address.sun_path[0] = 0;
	message.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
		control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
						   .cmsg_len = CMSG_LEN(sizeof fd) };
		memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	}
	out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (out < 0 || sendmsg(out, &message, MSG_NOSIGNAL) < 0)
		fail(path);
	close(out);
}

/* The supervisor closes the fd that comes with BARRIER=1 when it has read all that came before. */
static void send_and_wait(const char *text)
{
	struct pollfd closed;
	int ends[2];

	send_with(text, -1);
	if (pipe(ends) < 0)
		fail("pipe");
	send_with("BARRIER=1", ends[1]);
	close(ends[1]);
	closed = (struct pollfd){ .fd = ends[0] };
	while (poll(&closed, 1, -1) < 0 && errno == EINTR)
		;
	close(ends[0]);
}

static void child_send(const char *text)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		send_and_wait(text);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

/* The child waits until its parent has said so: what it says itself is then the main process's. */
static void become_child(void)
{
	char text[32], byte;
	int ends[2];
	pid_t pid;

	if (pipe(ends) < 0 || (pid = fork()) < 0)
		fail("fork");
	if (pid > 0) {
		close(ends[0]);
		snprintf(text, sizeof text, "MAINPID=%d", (int)pid);
		send_and_wait(text);
		close(ends[1]);
		for (;;)
			pause();
	}
	close(ends[1]);
	if (read(ends[0], &byte, 1) != 0)
		fail("the parent");
	close(ends[0]);
}

static void beat_until(const char *ms, const char *file)
{
	while (!file || access(file, F_OK) < 0) {
		send_with("WATCHDOG=1", -1);
		nap(atol(ms));
	}
}

static void append(const char *file, const char *text)
{
	const char *epoch = getenv("EPOCHD_EPOCH");
	int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0 || dprintf(fd, "%s %s\n", epoch ? epoch : "-", text) < 0)
		fail(file);
	close(fd);
}

/* Under another name first: who awaits the file sees all of it. */
static void write_environment(const char *file)
{
	char path[4096];
	FILE *out;

	snprintf(path, sizeof path, "%s.new", file);
	out = fopen(path, "w");
	if (!out)
		fail(path);
	for (char **variable = environ; *variable; variable++)
		fprintf(out, "%s\n", *variable);
	if (fclose(out) != 0 || rename(path, file) < 0)
		fail(file);
}

static void hold(const char *pid)
{
	if (ptrace(PTRACE_SEIZE, (pid_t)atoi(pid), NULL, PTRACE_O_TRACEEXIT) < 0)
		fail("ptrace");
}

static void touch(const char *file)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		fail(file);
	close(fd);
}

/* The arguments that the step took, itself included. */
static int step(char **argv)
{
	const char *word = argv[0], *first = argv[1], *second = first ? argv[2] : NULL;

	errno = EINVAL;
	if (strcmp(word, "become-child") == 0)
		return become_child(), 1;
	if (!first)
		fail(word);
	if (strcmp(word, "send") == 0)
		send_with(first, -1);
	else if (strcmp(word, "child-send") == 0)
		child_send(first);
	else if (strcmp(word, "beat") == 0)
		beat_until(first, NULL);
	else if (strcmp(word, "await") == 0)
		while (access(first, F_OK) < 0)
			nap(10);
	else if (strcmp(word, "touch") == 0)
		touch(first);
	else if (strcmp(word, "environment") == 0)
		write_environment(first);
	else if (strcmp(word, "ignore") == 0)
		signal(atoi(first), SIG_IGN);
	else if (strcmp(word, "hold") == 0)
		hold(first);
	else if (strcmp(word, "exit") == 0)
		_exit(atoi(first));
	else if (strcmp(word, "kill") == 0)
		kill(getpid(), atoi(first));
	else if (strcmp(word, "beat-until") == 0 && second)
		return beat_until(first, second), 3;
	else if (strcmp(word, "append") == 0 && second)
		return append(first, second), 3;
	else
		fail(word);
	return 2;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc;)
		i += step(argv + i);
	for (;;)
		pause();
}
