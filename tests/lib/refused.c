/* Does one thing that is to be refused, for refusals.sh.
 *
 *   refused serve            an application that gives memory back twice whenever it is asked to
 *   refused ask              has it do so
 *   refused say SOCKET WHAT  WHAT: the reason it is to be counted under; ends when its session does */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "apilib/epochd.h"
#include "apilib/handle.h"
#include "apilib/wire.h"

#define ASK(FIELD, ARRAY) FIELD(u64, times)
#define LIST(MESSAGE) MESSAGE(ask, "refused.ask", ASK, 0)
EPOCHD_MESSAGES(refused, LIST)

static const int64_t patience = 60000000000;   /* only stops a hang */
static struct epochd_app *app;

static void on_signal(int signal)
{
	(void)signal;
	epochd_stop(app);   /* NOLINT(bugprone-signal-handler): it may */
}

static void on_ask(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const struct ask *ask = message->payload;
	struct epochd_message kept;
	void *memory;

	(void)user;
	for (uint64_t i = 0; i < ask->times && epochd_app_allocate(of, message->handle, 100, &memory) == 0; i++) {
		epochd_app_free(of, message->handle, memory);
		epochd_app_free(of, message->handle, memory);
	}
	if (epochd_keep(of, message, &kept) < 0)
		return;
	epochd_app_release(of, &kept);
	epochd_app_release(of, &kept);
	epochd_app_send(of, message->handle, ask_id, message->context, ask, sizeof *ask);
}

static int serve(void)
{
	if (epochd_attach(&app, refused_messages, refused_count, NULL) < 0)
		return 1;
	epochd_handle(app, ask_id, on_ask, NULL);
	signal(SIGTERM, on_signal);
	epochd_run(app);
	epochd_detach(app);
	return 0;
}

static int ask(void)
{
	const struct ask three = { 3 };
	struct epochd_client *client;
	struct epochd_message reply;
	int r = epochd_connect(&client, "refused", refused_messages, refused_count, NULL);

	if (r == 0)
		r = epochd_call(client, ask_id, &three, sizeof three, &reply, patience);
	epochd_close(client);
	return r != 0;
}

static int say(const char *path, const char *what)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	union ep_wire_packet packet = { 0 };
	struct pollfd session = { .fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), .events = POLLIN };
	int fd = -1;

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (connect(session.fd, (struct sockaddr *)&address, sizeof address) < 0)
		return 1;
	if (strcmp(what, "malformed") == 0) {
		packet.head = ep_wire_make(EP_WIRE_HELLO, sizeof packet.head);
	} else if (strcmp(what, "out_of_turn") == 0) {
		packet.ready.head = ep_wire_make(EP_WIRE_READY, sizeof packet.ready);
	} else if (strcmp(what, "unnamed") == 0) {
		packet.hello.head = ep_wire_make(EP_WIRE_HELLO, sizeof packet.hello);
	} else if (strcmp(what, "unregistered") == 0) {
		packet.join.head = ep_wire_make(EP_WIRE_JOIN, sizeof packet.join);
	} else if (strcmp(what, "stray_pong") == 0) {
		packet.pong = (struct ep_wire_pong){ ep_wire_make(EP_WIRE_PONG, sizeof packet.pong), 1 };
	} else {
		packet.resume = (struct ep_wire_resume){ .head = ep_wire_make(EP_WIRE_RESUME, sizeof packet.resume),
							 .app = "refused", .name = "nobody",
							 .handle = ep_handle_pack(99, 1, 1) };
		fd = memfd_create("nothing", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	}
	if (ep_wire_send(session.fd, &packet, &fd, fd >= 0) < 0)
		return 1;
	/* Answered, or ended: so it is counted. */
	return poll(&session, 1, 60000) != 1;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		return serve();
	if (argc == 2 && strcmp(argv[1], "ask") == 0)
		return ask();
	return argc == 4 ? say(argv[2], argv[3]) : 2;
}
