/* An application that lives on after its fence was closed: `fenced FILE` serves, and, when it hears of that, writes to
 * FILE what each call says from then on. `fenced client APPLICATION` sends it one message, and waits for the end. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/api_messages.h"

static struct epochd_message asked;   /* small: its payload is not looked at again */

static void on_message(struct epochd_app *app, const struct epochd_message *message, void *user)
{
	(void)app;
	(void)user;
	asked = *message;
}

static int serve(const char *path)
{
	struct epochd_app *app;
	unsigned char bytes[8] = { 0 };
	FILE *out = fopen(path, "we");
	void *memory;
	int r;

	signal(SIGABRT, SIG_IGN);
	if (!out || epochd_attach(&app, api_messages, api_count, NULL) < 0)
		return 1;
	epochd_handle(app, silent_id, on_message, NULL);
	r = epochd_run(app);
	fprintf(out, "run %s\n", strerrorname_np(-r));
	fprintf(out, "dispatch %s\n", strerrorname_np(-epochd_dispatch(app)));
	fprintf(out, "reply %s\n", strerrorname_np(-epochd_reply(app, &asked, silent_id, bytes, sizeof bytes)));
	fprintf(out, "send %s\n", strerrorname_np(-epochd_app_send(app, asked.handle, silent_id, 0, bytes, 8)));
	fprintf(out, "allocate %s\n", strerrorname_np(-epochd_app_allocate(app, asked.handle, 500, &memory)));
	fprintf(out, "kick %s\n", strerrorname_np(-epochd_app_kick(app, asked.handle, "late")));
	fprintf(out, "verdict %s\n", epochd_verdict_name(epochd_app_verdict(app, asked.handle, NULL)));
	fclose(out);
	epochd_detach(app);
	return 0;
}

static int be_client(const char *application)
{
	struct epochd_client *client;
	struct epochd_message message;
	unsigned char bytes[8] = { 0 };

	if (epochd_connect(&client, application, api_messages, api_count, NULL) < 0 ||
	    epochd_send(client, silent_id, 1, bytes, sizeof bytes) < 0)
		return 1;
	printf("%#018" PRIx64 "\n", epochd_client_handle(client));
	fflush(stdout);
	printf("%s\n", strerrorname_np(-epochd_receive(client, &message, -1)));
	epochd_close(client);
	return 0;
}

int main(int argc, char **argv)
{
	return argc == 3 ? be_client(argv[2]) : argc == 2 ? serve(argv[1]) : 2;
}
