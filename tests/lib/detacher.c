/* An application that detaches and lives on: `detacher FIFO` serves until it has five messages, sends an event to each
 * who sent one, detaches, and attaches again when FIFO has a line. `detacher client APPLICATION HOW` waits for that end:
 * in a call (busy, sleep) or with a loop of its own (loop, spin); joins anew, and calls. The idle one sends its message,
 * receives nothing, and ends with its input. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/api_messages.h"

enum { CLIENTS = 5 };

static struct epochd_app *app;
static int asked, rounds;
static bool polls;
static uint64_t known[CLIENTS];

static void on_silent(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	(void)user;
	if (asked < CLIENTS)
		known[asked] = message->handle;
	if (++asked == CLIENTS)
		epochd_stop(of);
}

static void on_tally(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const struct tally tally = { (uint64_t)rounds };

	(void)user;
	epochd_reply(of, message, tally_id, &tally, sizeof tally);
}

static void on_signal(int signal)
{
	(void)signal;
	epochd_stop(app);   /* NOLINT(bugprone-signal-handler): it may */
}

static int serve_once(void)
{
	int r;

	if (epochd_attach(&app, api_messages, api_count, NULL) < 0)
		return -1;
	rounds++;
	printf("attached, epoch %u\n", epochd_app_epoch(app));
	epochd_handle(app, silent_id, on_silent, NULL);
	epochd_handle(app, tally_id, on_tally, NULL);
	signal(SIGTERM, on_signal);
	r = epochd_run(app);
	signal(SIGTERM, SIG_DFL);
	for (int i = 0; rounds == 1 && i < CLIENTS; i++)
		epochd_app_send(app, known[i], silent_id, 0, &known[i], sizeof known[i]);
	epochd_detach(app);
	return r;
}

static int serve(const char *path)
{
	char line[8];
	FILE *go;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (serve_once() < 0)
		return 1;
	go = fopen(path, "re");
	if (!go || !fgets(line, sizeof line, go))
		return 1;
	fclose(go);
	return serve_once() < 0;
}

/* Until there is something else than messages. */
static int send_and_look(struct epochd_client *client)
{
	struct pollfd awaited = { .fd = epochd_client_fd(client), .events = POLLIN };
	struct epochd_message message;
	unsigned char bytes[8] = { 0 };
	int r = epochd_send(client, silent_id, 1, bytes, sizeof bytes);

	while (r == 0 || r == -EAGAIN) {
		if (r == -EAGAIN && !polls)
			poll(&awaited, 1, -1);
		r = epochd_receive(client, &message, 0);
		if (r == 0)
			epochd_release(client, &message);
	}
	return r;
}

static int be_client(const char *application, const char *how)
{
	const struct epochd_options options = { .wait = polls ? EPOCHD_BUSY : EPOCHD_SLEEP };
	struct epochd_client *client;
	struct epochd_message reply;
	unsigned char bytes[8] = { 0 };
	int r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (epochd_connect(&client, application, api_messages, api_count, &options) < 0)
		return 1;
	printf("%#018" PRIx64 "\n", epochd_client_handle(client));
	if (strcmp(how, "idle") == 0) {
		printf("send %s\n", strerrorname_np(-epochd_send(client, silent_id, 1, bytes, sizeof bytes)));
		getchar();
		epochd_close(client);
		return 0;
	}
	r = strcmp(how, "loop") == 0 || strcmp(how, "spin") == 0 ?
		    send_and_look(client) : epochd_call(client, silent_id, bytes, sizeof bytes, &reply, -1);
	printf("call %s\n", strerrorname_np(-r));
	printf("send %s: %s\n", strerrorname_np(-epochd_send(client, silent_id, 1, bytes, sizeof bytes)),
	       epochd_client_why(client));
	if (epochd_reconnect(client, -1) < 0 ||
	    epochd_call(client, tally_id, &(struct tally){ 0 }, sizeof(struct tally), &reply, -1) < 0)
		return 1;
	printf("round %" PRIu64 "\n", ((const struct tally *)reply.payload)->number);
	epochd_release(client, &reply);
	epochd_close(client);
	return 0;
}

int main(int argc, char **argv)
{
	polls = argc == 4 && (strcmp(argv[3], "busy") == 0 || strcmp(argv[3], "spin") == 0);
	return argc == 4 ? be_client(argv[2], argv[3]) : argc == 2 ? serve(argv[1]) : 2;
}
