/* Through libepochd: a client here, the echoing application under a supervisor there. It is stopped while others are
 * measured. */
#include <config.h>

#include <errno.h>
#include <signal.h>

#include "tests/bench/echo_client.h"
#include "tests/bench/peer.h"

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
	int r = epochd_receive(client, &message, wait ? echo_patience : 0);

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

/* The first time the supervisor has been started; then the application goes on. */
static void open_epochd(struct peer *peer)
{
	if (client) {
		kill(other, SIGCONT);
		return;
	}
	client = echo_connect(peer->sleeps ? EPOCHD_SLEEP : EPOCHD_BUSY);
	other = echo_pid_of(client);
}

static void close_epochd(struct peer *peer)
{
	(void)peer;
	kill(other, SIGSTOP);
}

pid_t way_epochd_other(void) { return other; }

void way_epochd_end(void)
{
	if (!client)
		return;
	kill(other, SIGCONT);
	epochd_close(client);
	client = NULL;
}

PEER_RUN(run, put, take) const way_epochd = { "libepochd", open_epochd, run, close_epochd };
