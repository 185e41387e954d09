/* An application that detaches and lives on: `detacher FIFO` serves until it has three messages, detaches, and attaches
 * again when FIFO has a line. `detacher client APPLICATION busy|sleep|idle` waits in a call for that end, then joins
 * anew; the idle one sends its message, receives nothing, and ends with its input. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/api_messages.h"

static struct epochd_app *app;
static int asked, rounds;

static void on_silent(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	unsigned char bytes[8] = { 0 };

	(void)user;
	epochd_app_send(of, message->handle, silent_id, 0, bytes, sizeof bytes);
	if (++asked == 3)
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

static int be_client(const char *application, const char *how)
{
	const struct epochd_options options = { .wait = strcmp(how, "busy") == 0 ? EPOCHD_BUSY :
									  EPOCHD_SLEEP };
	struct epochd_client *client;
	struct epochd_message reply;
	unsigned char bytes[8] = { 0 };

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
	printf("call %s\n", strerrorname_np(-epochd_call(client, silent_id, bytes, sizeof bytes, &reply, -1)));
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
	return argc == 4 ? be_client(argv[2], argv[3]) : argc == 2 ? serve(argv[1]) : 2;
}
