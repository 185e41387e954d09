/* What a program finds when it begins, one "key value" a line on stdout: the tests start it and read. */
#include <config.h>

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static void report_signals(void)
{
	struct sigaction action;
	sigset_t blocked;
	int signal, ignored = 0, masked = 0;

	sigprocmask(SIG_SETMASK, NULL, &blocked);
	for (signal = 1; signal < 65; signal++) {
		if (sigaction(signal, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
			ignored++;
		masked += sigismember(&blocked, signal) == 1;
	}
	printf("not-default %d\nmasked %d\n", ignored, masked);
}

static void report_fds(void)
{
	struct stat st;
	int fd;

	printf("fds");
	for (fd = 0; fd < 4096; fd++)
		if (fstat(fd, &st) == 0)
			printf(" %d", fd);
	printf("\n");
	for (fd = 0; fd < 3; fd++)
		if (fstat(fd, &st) == 0)
			printf("fd%d %llu\n", fd, (unsigned long long)st.st_ino);
}

static void report_ids(void)
{
	gid_t groups[64];
	uid_t real, effective, saved;
	int i, n = getgroups(64, groups);

	getresuid(&real, &effective, &saved);
	printf("uid %d %d %d\n", (int)real, (int)effective, (int)saved);
	getresgid(&real, &effective, &saved);
	printf("gid %d %d %d\n", (int)real, (int)effective, (int)saved);
	printf("groups");
	for (i = 0; i < n; i++)
		printf(" %d", (int)groups[i]);
	printf("\n");
}

int main(int argc, char *argv[])
{
	char directory[PATH_MAX];
	struct rlimit files;
	mode_t mask = umask(0);
	char **variable;
	int i;

	printf("pid %d\nsession %d\ngroup %d\n", (int)getpid(), (int)getsid(0), (int)getpgrp());
	for (i = 0; i < argc; i++)
		printf("arg%d %s\n", i, argv[i]);
	for (variable = environ; *variable; variable++)
		printf("env %s\n", *variable);
	report_signals();
	report_fds();
	report_ids();
	getrlimit(RLIMIT_NOFILE, &files);
	printf("nofile %llu %llu\n", (unsigned long long)files.rlim_cur,
	       (unsigned long long)files.rlim_max);
	printf("umask %03o\n", (unsigned)mask);
	printf("no-new-privileges %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	printf("directory %s\n", getcwd(directory, sizeof directory) ? directory : "?");
	printf("end .\n");
	return 0;
}
