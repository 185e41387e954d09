/* Through libepochd: a client here, the echoing application under a supervisor there. It is stopped while others are
 * measured. */
#include <config.h>

#include <errno.h>
#include <signal.h>

#include "tests/bench/echo.h"
#include "tests/bench/peer.h"

static const int64_t patience = 10000000000;
static struct epochd_client *client;
static pid_t other;

static void put(struct peer *peer, const unsigned char *bytes)
{
	int r = epochd_send(client, echo_work_id, 0, bytes, peer->size);

	if (r < 0)
		bench_die("epochd_send: %s", strerrorname_np(-r));
}

static bool take(struct peer *peer, unsigned char *bytes, bool wait)
{
	struct epochd_message message;
	int r = epochd_receive(client, &message, wait ? patience : 0);

	if (r == -EAGAIN && !wait)
		return false;
	if (r < 0 || message.size != peer->size)
		bench_die("epochd_receive: %s", strerrorname_np(-r));
	if (peer->size == 32)
		memcpy(bytes, message.payload, 32);
	else
		memcpy(bytes, message.payload, peer->size);
	epochd_release(client, &message);
	return true;
}

static void connect_to(const struct peer *peer)
{
	char why[300] = "";
	const struct epochd_options options = {
		.size = sizeof options, .instance = bench_instance(), .runtime_dir = bench_runtime(),
		.timeout = patience, .wait = peer->sleeps ? EPOCHD_SLEEP : EPOCHD_BUSY,
		.why = why, .why_size = sizeof why,
	};
	int64_t end = bench_now() + patience;
	int r;

	do {   /* the supervisor begins */
		r = epochd_connect(&client, "echo", echo_messages, echo_count, &options);
		if (r == -ENOENT)
			bench_nap(1);
	} while (r == -ENOENT && bench_now() < end);
	if (r < 0)
		bench_die("epochd_connect: %s: %s", strerrorname_np(-r), why);
}

/* The first time the supervisor has been started; then the application goes on. */
static void open_epochd(struct peer *peer)
{
	const struct echo_pid question = { 0 };
	struct epochd_message reply;
	struct echo_pid answer;

	if (client) {
		kill(other, SIGCONT);
		return;
	}
	connect_to(peer);
	if (epochd_call(client, echo_pid_id, &question, sizeof question, &reply, patience) < 0)
		bench_die("epochd_call: %s", epochd_client_why(client));
	memcpy(&answer, reply.payload, sizeof answer);
	epochd_release(client, &reply);
	other = answer.pid;
}

static void close_epochd(struct peer *peer)
{
	(void)peer;
	kill(other, SIGSTOP);
}

void way_epochd_end(void)
{
	if (!client)
		return;
	kill(other, SIGCONT);
	epochd_close(client);
	client = NULL;
}

PEER_RUN(run, put, take) const way_epochd = { "libepochd", open_epochd, run, close_epochd };
