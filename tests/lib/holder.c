/* `holder APPLICATION FIFO`: calls the application with 500 bytes, and holds the reply until FIFO is written to. Then it
 * says what releasing it returned, and if another call goes well. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/api_messages.h"

static const int64_t patience = 60000000000;

int main(int argc, char **argv)
{
	struct epochd_client *client;
	struct epochd_message held, next;
	unsigned char bytes[500] = { 0 };
	FILE *fifo;
	int r;

	if (argc != 3 || epochd_connect(&client, argv[1], api_messages, api_count, NULL) < 0 ||
	    epochd_call(client, echo_id, bytes, sizeof bytes, &held, patience) < 0)
		return 1;
	printf("holds\n");
	fflush(stdout);
	fifo = fopen(argv[2], "re");   /* waits until somebody opens it for writing */
	if (!fifo)
		return 1;
	fclose(fifo);
	r = epochd_release(client, &held);
	printf("release %s\n", r == 0 ? "0" : strerrorname_np(-r));
	r = epochd_call(client, echo_id, bytes, sizeof bytes, &next, patience);
	if (r == 0)
		r = epochd_release(client, &next);
	printf("call %s\n", r == 0 ? "0" : strerrorname_np(-r));
	epochd_close(client);
	return 0;
}
