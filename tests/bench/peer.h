/* Two processes and what one sends the other, for bench-ipc: a message of some bytes begins in private memory of one
 * and ends in private memory of the other, which sends it back. Each way of doing that is compiled into the loops
 * below, with no indirect call on the way of a message. */
#ifndef EPOCHD_TESTS_BENCH_PEER_H
#define EPOCHD_TESTS_BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tests/bench/bench.h"

enum { PAYLOAD_MAX = 16384, WINDOW = 128 };

struct peer;

struct way {
	const char *name;
	/* Starts the other side; ended with close(). */
	void (*open)(struct peer *peer);
	/* `count` messages there and back: ns of each to *each, or NULL: many under way. ns of all. */
	int64_t (*run)(struct peer *peer, size_t count, int64_t *each);
	void (*close)(struct peer *peer);
};

extern const struct way way_epochd, way_lines, way_pipe, way_unix;
pid_t way_epochd_other(void);   /* the application */
void way_epochd_end(void);   /* before its supervisor ends */

struct peer {
	size_t size;          /* of a message */
	bool sleeps;          /* else it polls */
	bool many;            /* messages are under way at once */
	int cpu[2];           /* ours, the other's */
	unsigned char out[2][PAYLOAD_MAX], in[PAYLOAD_MAX];
};

/* A child that runs serve(peer) on the other cpu until it is killed. */
void peer_fork(struct peer *peer, void (*serve)(struct peer *peer));
void peer_end(void);

static inline int64_t peer_ticks(void)
{
#if defined(__x86_64__)
	__builtin_ia32_lfence();
	return (int64_t)__builtin_ia32_rdtsc();
#else
	return bench_now();
#endif
}
double peer_ns_of_tick(void);

static inline void peer_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

static inline void peer_check(const struct peer *peer, uint64_t number)
{
	uint64_t found;

	memcpy(&found, peer->in, sizeof found);
	if (found != number)
		bench_die("message %llu came back as %llu", (unsigned long long)number,
			  (unsigned long long)found);
}

typedef void peer_put_fn(struct peer *peer, const unsigned char *bytes);
typedef bool peer_take_fn(struct peer *peer, unsigned char *bytes, bool wait);

/* One stamp a round: the samples add up to the whole. The next message is written while one is under way. */
static inline __attribute__((always_inline)) int64_t peer_one_by_one(struct peer *peer, size_t count, int64_t *each,
								      peer_put_fn *put, peer_take_fn *take)
{
	int64_t began = peer_ticks(), before = began, now = began;
	uint64_t number = 0;

	memcpy(peer->out[0], &number, sizeof number);
	for (size_t i = 0; i < count; i++) {
		put(peer, peer->out[i & 1]);
		number = i + 1;
		memcpy(peer->out[number & 1], &number, sizeof number);
		take(peer, peer->in, true);
		peer_check(peer, i);
		now = peer_ticks();
		each[i] = now - before;
		before = now;
	}
	return now - began;
}

static inline __attribute__((always_inline)) int64_t peer_many(struct peer *peer, size_t count, peer_put_fn *put,
							       peer_take_fn *take)
{
	int64_t began = peer_ticks();
	uint64_t sent = 0, got = 0;

	while (got < count) {
		for (; sent < count && sent - got < WINDOW; sent++) {
			memcpy(peer->out[0], &sent, sizeof sent);
			put(peer, peer->out[0]);
		}
		take(peer, peer->in, true);
		peer_check(peer, got++);
		for (int i = 1; i < WINDOW / 4 && got < sent && take(peer, peer->in, false); i++)
			peer_check(peer, got++);
	}
	return peer_ticks() - began;
}

#define PEER_RUN(name, put, take) \
	static int64_t name(struct peer *peer, size_t count, int64_t *each) \
	{ \
		return each ? peer_one_by_one(peer, count, each, put, take) : \
			      peer_many(peer, count, put, take); \
	} \
	struct way
#endif
