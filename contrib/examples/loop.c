/* kv-loop APPLICATION: a hundred puts and gets of the key-value service, all under way at once and told apart by their
 * context, in a loop around poll(). A library's event loop takes the same descriptor. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "kv.h"

enum { CALLS = 100 };

static int send_next(struct epochd_client *client, uint64_t number)
{
	const struct kv_put put = { .key = number, .value = number * number };

	return epochd_send(client, kv_put_id, number, &put, sizeof put);
}

/* Until there is nothing: from then on the descriptor tells. The count of right answers, or an error. */
static int receive_all(struct epochd_client *client)
{
	struct epochd_message message;
	int count = 0, r;

	while ((r = epochd_receive(client, &message, 0)) == 0) {
		const struct kv_value *value = message.payload;

		count += message.type == kv_value_id && value->value == message.context * message.context;
		epochd_release(client, &message);
	}
	return r == -EAGAIN ? count : r;
}

int main(int argc, char **argv)
{
	char why[256] = "";
	struct epochd_options options = { .why = why, .why_size = sizeof why };
	struct epochd_client *client;
	int sent = 0, answered = 0, r;

	if (argc != 2) {
		fprintf(stderr, "usage: kv-loop APPLICATION\n");
		return 2;
	}
	r = epochd_connect(&client, argv[1], kv_messages, kv_count, &options);
	if (r < 0) {
		fprintf(stderr, "kv-loop: %s\n", why);
		return 1;
	}
	while (r >= 0 && answered < CALLS) {
		struct pollfd ready = { .fd = epochd_client_fd(client), .events = POLLIN };

		r = 0;
		while (r == 0 && sent < CALLS) {
			r = send_next(client, (uint64_t)sent);
			sent += r == 0;
		}
		if (r < 0 && r != -EAGAIN)   /* full: room comes with the answers */
			break;
		r = receive_all(client);
		if (r > 0)
			answered += r;
		else if (r == 0)
			poll(&ready, 1, -1);
	}
	if (r < 0)
		fprintf(stderr, "kv-loop: %s\n", strerror(-r));   /* ESTALE: see kv_client.c */
	else
		printf("%d of %d answers were right\n", answered, CALLS);
	epochd_close(client);
	return r < 0;
}
