/* `orphan APPLICATION`: joins it, and makes a child behind the library's back, which so holds the session. Says the child's
 * pid, and waits to be killed. */
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apilib/epochd.h"

int main(int argc, char **argv)
{
	struct epochd_client *client;
	long child;

	if (argc != 2 || epochd_connect(&client, argv[1], NULL, 0, NULL) < 0)
		return 1;
	child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (child > 0) {
		printf("%ld\n", child);
		fflush(stdout);
	}
	for (;;)
		pause();
}
