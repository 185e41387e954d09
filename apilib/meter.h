/* What an application counts of each type of message, and how long they wait and are handled: in a sealed memfd that the
 * supervisor made and reads while the application writes, so that looking stops nobody. Odometers of one epoch. The
 * application's own (I6): shown, and never added to anything.
 *
 * Time is counted in buckets, four to an octave, as in HDR histograms: a bucket is at most a quarter as wide as what it
 * holds is long. Not every message is timed, since a look at the clock would be a tenth of the way of a small one: each
 * of the first EP_TIMED_FIRST of a type, then one in EP_TIMED_EVERY. */
#ifndef EPOCHD_METER_H
#define EPOCHD_METER_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define EP_METER_MAGIC 0x317274654d455045ull   /* "EPEMetr1" */

enum {
	EP_METER_LAYOUT = 1,
	EP_BUCKETS = 123,          /* the first is below 64 ns, the last without an end, from 96 s on */
	EP_BUCKETS_FROM = 6,       /* octave */
	EP_TIMED_FIRST = 4096,
	EP_TIMED_EVERY = 64,       /* a power of two */
};

struct ep_histogram {
	_Atomic uint64_t sum;                  /* ns */
	_Atomic uint64_t bucket[EP_BUCKETS];   /* how many */
};

/* Of one type. */
struct ep_meter {
	_Atomic uint64_t received, sent;
	_Atomic uint64_t unhandled;      /* received, and nobody handles it */
	_Atomic uint64_t misfit;         /* received, and not as large as its type: its sender is sent away */
	_Atomic uint64_t would_block;    /* not sent: -EAGAIN */
	uint64_t reserved[3];
	struct ep_histogram wait;        /* from its sending, as the client says, to its handler */
	struct ep_histogram handling;    /* in its handler */
};
static_assert(sizeof(struct ep_meter) == 2048, "layout 1");

struct ep_meter_page {
	uint64_t magic;
	uint32_t layout;
	uint32_t types;                  /* elements of `type` */
	uint64_t reserved[6];
	struct ep_meter type[];
};
static_assert(offsetof(struct ep_meter_page, type) == 64, "layout 1");

static inline size_t ep_meter_size(uint32_t types)
{
	return offsetof(struct ep_meter_page, type) + types * sizeof(struct ep_meter);
}

/* The memfd of a new one, allocated and sealed. Supervisor only. -ENOMEM, -EMFILE, -ENFILE. */
int ep_meter_create(uint32_t types);
/* Maps it, after its seals, its size and its header were checked; *types: how many it has. prot: as mmap(2)'s. The fd stays
 * the caller's. -EBADMSG: it is none. */
int ep_meter_map(struct ep_meter_page **out, int fd, int prot, uint32_t *types);
void ep_meter_unmap(struct ep_meter_page *page, uint32_t types);   /* NULL is fine */

/* Which bucket; the first number that is above all in it, ns (UINT64_MAX: the last). */
uint32_t ep_bucket_of(uint64_t ns);
uint64_t ep_bucket_end(uint32_t bucket);

/* Relaxed, all: odometers, for people to look at. */
static inline uint64_t ep_meter_read(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* By the one thread that counts there. What it was before. */
static inline uint64_t ep_meter_count(_Atomic uint64_t *word, uint64_t more)
{
	uint64_t before = ep_meter_read(word);

	atomic_store_explicit(word, before + more, memory_order_relaxed);
	return before;
}
#endif
