#include "tests/torture/rule.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t rule_start(char *const argv[], const char *fault)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (fault)
		setenv("EPOCHD_FAULT", fault, 1);   /* NOLINT(concurrency-mt-unsafe): one thread */
	else
		unsetenv("EPOCHD_FAULT");   /* NOLINT(concurrency-mt-unsafe) */
	execv(argv[0], argv);
	_exit(127);
}

void rule_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

bool rule_is_over(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) == pid;
}

const char *rule_any_fault(char *const argv[], unsigned number, unsigned count)
{
	static char names[128][40], text[64];
	static unsigned known;
	char command[512];
	FILE *list;

	if (!known) {
		snprintf(command, sizeof command, "'%s' --list-fault-points", argv[0]);
		list = popen(command, "re");   /* NOLINT(cert-env33-c): our own */
		while (list && known < 128 && fscanf(list, "%39s", names[known]) == 1)   /* NOLINT(cert-err34-c) */
			known++;
		if (list)
			pclose(list);
	}
	if (!known)
		return NULL;
	snprintf(text, sizeof text, "%s:%u", names[number % known], count);
	return text;
}
