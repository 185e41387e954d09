/* `reuser SUPERVISOR CLIENT-PID APPLICATION`, in a pid namespace of the caller's own: a client of that pid joins the
 * application; then supervisor and client are killed, and another process is given the client's pid, if it can be within
 * the same tick of start time. Says "same" or "other", for the tick, and waits until it is killed itself.
 *
 * `reuser -t PID COMMAND...`: runs it as that pid. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apilib/epochd.h"

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static pid_t clone_as(pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1 };
	pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof args);

	if (child < 0)
		die("clone3 with set_tid");
	return child;
}

static unsigned long long ticks_of(pid_t pid)
{
	char path[40], text[1024], *at;
	unsigned long long ticks = 0;
	FILE *stat;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	stat = fopen(path, "re");
	if (!stat || !fgets(text, sizeof text, stat) || !(at = strrchr(text, ')')))
		die(path);
	fclose(stat);
	for (int field = 3; field <= 22; field++)
		at = strchr(at + 1, ' ');
	sscanf(at, " %llu", &ticks);   /* NOLINT(cert-err34-c) */
	return ticks;
}

static void be_client(const char *app, int told)
{
	struct epochd_client *client;

	if (epochd_connect(&client, app, NULL, 0, NULL) < 0)
		_exit(1);
	(void)!write(told, "x", 1);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	pid_t supervisor, client, pid;
	unsigned long long ticks;
	int told[2];
	char byte;

	if (argc > 3 && strcmp(argv[1], "-t") == 0) {
		pid = clone_as((pid_t)strtol(argv[2], NULL, 10));
		if (pid == 0) {
			execvp(argv[3], argv + 3);
			_exit(127);
		}
		waitpid(pid, NULL, 0);
		return 0;
	}
	if (argc != 4 || pipe2(told, O_CLOEXEC) < 0)
		return 2;
	supervisor = (pid_t)strtol(argv[1], NULL, 10);
	client = (pid_t)strtol(argv[2], NULL, 10);
	if (clone_as(client) == 0)
		be_client(argv[3], told[1]);
	close(told[1]);
	if (read(told[0], &byte, 1) != 1)
		die("the client did not join");
	ticks = ticks_of(client);
	kill(supervisor, SIGKILL);
	kill(client, SIGKILL);
	waitpid(client, NULL, 0);
	if (clone_as(client) == 0)
		for (;;)
			pause();
	puts(ticks_of(client) == ticks ? "same" : "other");
	fflush(stdout);
	for (;;)
		pause();
}
