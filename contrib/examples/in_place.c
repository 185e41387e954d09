/* blob-client APPLICATION: a message of 16,000 bytes that is filled where it lies in shared memory, sent without a copy,
 * summed up there by push.c, and answered. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "blob.h"

enum { LENGTH = 16000 };

static int fill_and_send(struct epochd_client *client)
{
	struct blob_bytes head = { .length = LENGTH };
	void *memory;
	int r = epochd_allocate(client, sizeof head + LENGTH, &memory);

	if (r < 0)
		return r;
	memcpy(memory, &head, sizeof head);
	memset((char *)memory + sizeof head, 3, LENGTH);
	r = epochd_send(client, blob_bytes_id, 0, memory, sizeof head + LENGTH);
	if (r < 0)
		epochd_free(client, memory);   /* still ours */
	return r;
}

int main(int argc, char **argv)
{
	char why[256] = "";
	struct epochd_options options = { .why = why, .why_size = sizeof why };
	struct epochd_client *client;
	struct epochd_message message;
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: blob-client APPLICATION\n");
		return 2;
	}
	r = epochd_connect(&client, argv[1], blob_messages, blob_count, &options);
	if (r < 0) {
		fprintf(stderr, "blob-client: %s\n", why);
		return 1;
	}
	r = fill_and_send(client);
	while (r == 0 && (r = epochd_receive(client, &message, 5000000000)) == 0) {
		const struct blob_sum *answer = message.payload;
		bool asked = message.context == 0;

		printf("%s: %llu\n", asked ? "the sum" : "unasked", (unsigned long long)answer->sum);
		epochd_release(client, &message);
		if (asked)
			break;
	}
	if (r < 0)
		fprintf(stderr, "blob-client: %s\n", strerror(-r));
	epochd_close(client);
	return r < 0;
}
