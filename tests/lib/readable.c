/* A client whose callback is told of what comes, for readable.sh; it calls tests/lib/modular.c.
 *
 *   readable APP [wait]     wait: for the end of the epoch, with nothing under way */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/alpha.h"

enum { ROUNDS = 100, BATCH = 5 };

static unsigned told, received;
static int last;

/* Only when a whole batch has come does it receive, so that what comes in between is no news. */
static void on_readable(struct epochd_client *client, void *user)
{
	struct epochd_message message;
	unsigned wanted = received + BATCH;

	(void)user;
	told++;
	while (received < wanted && (last = epochd_receive(client, &message, -1)) == 0) {
		received++;
		epochd_release(client, &message);
	}
	if (last == 0)
		last = epochd_receive(client, &message, 0);
}

static int await(struct epochd_client *client, unsigned times)
{
	struct pollfd readable = { .fd = epochd_client_fd(client), .events = POLLIN };

	while (told < times) {
		if (poll(&readable, 1, 60000) != 1)
			return -ETIMEDOUT;
		epochd_client_dispatch(client);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct add add = { { 1, 2, 3, 4 } };
	struct epochd_client *client;
	int r;

	if (argc < 2 || epochd_connect(&client, argv[1], alpha_messages, alpha_count, NULL) < 0)
		return 1;
	epochd_on_readable(client, on_readable, NULL);
	r = epochd_client_dispatch(client);   /* nothing is there: from here on the descriptor tells */
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc > 2) {
		puts("waits");
		r = await(client, 1);
		puts(r == 0 && last == -ESTALE ? "told of the end" : "not told of the end");
		epochd_close(client);
		return 0;
	}
	for (unsigned i = 1; r == 0 && i <= ROUNDS; i++) {
		for (int j = 0; r == 0 && j < BATCH; j++)
			r = epochd_send(client, add_id, 1, &add, sizeof add);
		if (r == 0)
			r = await(client, i);
	}
	printf("told %u times of %u replies\n", told, received);
	epochd_close(client);
	return r != 0;
}
