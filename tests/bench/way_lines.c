/* What the cores can do: a message's number is its flag. Up to 40 bytes in one line each way, handed to and fro with
 * a release store and an acquire load; more of them in as many lines as are under way, so that no index is shared;
 * larger ones copied through buffers that are used in turn, as the library's are. */
#include <config.h>

#include <stdatomic.h>
#include <sys/mman.h>

#include "tests/bench/peer.h"

enum { LINES = 256, INLINE = 40, BUFFERS = 64 };

struct line {
	_Alignas(64) _Atomic uint64_t number;   /* 0: nothing yet */
	unsigned char bytes[INLINE];
};

struct lane {
	struct line line[LINES];
	unsigned char buffers[BUFFERS * PAYLOAD_MAX];
};

static struct lane *lane;
static struct lane *to, *from;
static uint64_t sent, received, mask;

static void put(struct peer *peer, const unsigned char *bytes)
{
	struct line *line = &to->line[sent & mask];
	unsigned char *at = peer->size > INLINE ? to->buffers + sent % BUFFERS * peer->size : line->bytes;

	if (peer->size == 32)
		memcpy(at, bytes, 32);
	else
		memcpy(at, bytes, peer->size);
	/* Release, with the acquire in take(). */
	atomic_store_explicit(&line->number, ++sent, memory_order_release);
}

static bool take(struct peer *peer, unsigned char *bytes, bool wait)
{
	struct line *line = &from->line[received & mask];
	const unsigned char *at = peer->size > INLINE ? from->buffers + received % BUFFERS * peer->size : line->bytes;

	while (atomic_load_explicit(&line->number, memory_order_acquire) != received + 1) {
		if (!wait)
			return false;
		peer_relax();
	}
	received++;
	if (peer->size == 32)
		memcpy(bytes, at, 32);
	else
		memcpy(bytes, at, peer->size);
	return true;
}

static void serve(struct peer *peer)
{
	struct lane *swapped = to;

	to = from;
	from = swapped;
	for (;;) {
		take(peer, peer->in, true);
		put(peer, peer->in);
	}
}

static void open_lines(struct peer *peer)
{
	lane = mmap(NULL, 2 * sizeof *lane, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (lane == MAP_FAILED)
		bench_die("no memory");
	to = &lane[0];
	from = &lane[1];
	sent = received = 0;
	mask = peer->many ? LINES - 1 : 0;
	peer_fork(peer, serve);
}

static void close_lines(struct peer *peer)
{
	(void)peer;
	peer_end();
	munmap(lane, 2 * sizeof *lane);
}

PEER_RUN(run, put, take) const way_lines = { "bare lines", open_lines, run, close_lines };
