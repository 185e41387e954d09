/* Through the kernel: two pipes, and a pair of Unix sockets; each wait has a deadline, so ppoll() comes before each
 * read(). Polling ways do not wait there. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/peer.h"

static int to, from, others[2];

static void put(struct peer *peer, const unsigned char *bytes)
{
	size_t done = 0;

	while (done < peer->size) {
		ssize_t n = write(to, bytes + done, peer->size - done);

		if (n > 0)
			done += (size_t)n;
		else if (errno != EAGAIN)
			bench_die("write: %s", strerror(errno));
	}
}

static bool take(struct peer *peer, unsigned char *bytes, bool wait)
{
	const struct timespec patience = { 10, 0 };
	struct pollfd readable = { .fd = from, .events = POLLIN };
	size_t done = 0;

	while (done < peer->size) {
		ssize_t n;

		if (wait && peer->sleeps && ppoll(&readable, 1, &patience, NULL) != 1)
			bench_die("nothing came");
		n = read(from, bytes + done, peer->size - done);
		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EAGAIN)
			bench_die("read: %s", n ? strerror(errno) : "end of file");
		else if (!wait && !done)
			return false;
	}
	return true;
}

static void serve(struct peer *peer)
{
	to = others[0];
	from = others[1];
	for (;;) {
		take(peer, peer->in, true);
		put(peer, peer->in);
	}
}

static void open_pipes(struct peer *peer)
{
	int there[2], back[2];

	if (pipe2(there, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(back, O_CLOEXEC | O_NONBLOCK) < 0)
		bench_die("pipe: %s", strerror(errno));
	to = there[1];
	from = back[0];
	others[0] = back[1];
	others[1] = there[0];
	peer_fork(peer, serve);
}

static void open_sockets(struct peer *peer)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		bench_die("socketpair: %s", strerror(errno));
	to = from = ends[0];
	others[0] = others[1] = ends[1];
	peer_fork(peer, serve);
}

static void close_all(struct peer *peer)
{
	(void)peer;
	peer_end();
	close(to);
	if (from != to)
		close(from);
	close(others[0]);
	if (others[1] != others[0])
		close(others[1]);
}

PEER_RUN(run, put, take) const way_pipe = { "pipe, ppoll and read", open_pipes, run, close_all };
const struct way way_unix = { "Unix socket, ppoll and read", open_sockets, run, close_all };
