/* What a channel looks like in its memfd: a header; two directions, each with a head, a ring of lines, and two words
 * for each buffer, also for those that lie elsewhere (large.h); then the buffers of both. What one side writes and the other polls
 * stands on a cache line of its own; each word has one writer (I4), but for the compare-and-swaps that
 * settle who counts a line or a buffer when a peer has died. Offsets and fixed widths only (I6). */
#ifndef EPOCHD_CHANNEL_LAYOUT_H
#define EPOCHD_CHANNEL_LAYOUT_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apilib/geometry.h"

#define EP_CHANNEL_MAGIC 0x316e616843455045ull   /* "EPEChan1" */

enum { EP_PAGE = 4096, EP_LANES_AT = 128, EP_INLINE = 40, EP_CHANNEL_LAYOUT = 2 };

struct ep_channel_header {
	uint64_t magic;
	uint32_t layout;
	uint32_t reserved;
	struct ep_geometry geometry;
	/* The supervisor's, for the one after it: of which sizes there are large buffers (large.h), as log2; 0: none. */
	_Atomic uint8_t large[2][EP_LARGE_SLOTS];
};
static_assert(sizeof(struct ep_channel_header) <= EP_LANES_AT, "layout 2");

/* A line's word tells which message of the direction it holds, counted from 0, and what became of it. */
enum ep_line_state {
	EP_LINE_SENT,         /* stored by the producer: the line is whole (I5) */
	/* From here on it is settled, by compare-and-swap from EP_LINE_SENT, after the fence moved. */
	EP_LINE_TAKEN_BACK,   /* by its producer: the send failed */
	EP_LINE_RECLAIMED,    /* by the supervisor, who counts it */
	EP_LINE_RECEIVED,     /* by its consumer, who had it in hand when the fence moved */
};

static inline uint64_t ep_line_word(uint64_t position, enum ep_line_state state)
{
	return (position + 1) << 2 | state;
}

static inline uint64_t ep_line_position(uint64_t word) { return (word >> 2) - 1; }

enum ep_line_kind { EP_KIND_INLINE, EP_KIND_BUFFER };

/* EP_STAMPED: the last eight bytes of the line are when it was sent, CLOCK_MONOTONIC, ns, as its sender says. */
enum { EP_STAMPED = 1, EP_STAMP_AT = EP_INLINE - 8 };

/* Names one use of one buffer. */
struct ep_buffer {
	uint32_t class;
	uint32_t index;
	uint64_t generation;
};

/* The word of a sender says how often the buffer was allocated, and if what is in it was sent. The buffer is
 * free while the other word, how often it was released, says as much. */
static inline uint64_t ep_allocated_word(uint64_t generation, bool sent)
{
	return generation << 1 | sent;
}

static inline uint64_t ep_allocated_generation(uint64_t word) { return word >> 1; }

/* In the word of uses ended: this one, the last of its buffer, by the supervisor. */
#define EP_ENDED_BY_SUPERVISOR (1ull << 63)

struct ep_content {
	uint16_t id;     /* of the message's type */
	uint8_t kind;    /* enum ep_line_kind */
	uint8_t flags;
	uint32_t size;   /* bytes of payload */
	uint64_t context;
	union {
		unsigned char bytes[EP_INLINE];
		struct ep_buffer buffer;
	};
};

struct ep_line {
	_Atomic uint64_t word;   /* ep_line_word(); 0: never used */
	struct ep_content content;
};
static_assert(sizeof(struct ep_line) == 64, "layout 1");

/* A peer may write to a line at any time: what is checked must be what is used, so it is copied once, and
 * the fence keeps the compiler from reading the line again in place of the copy (I6). */
static inline void ep_line_copy(struct ep_content *out, const struct ep_line *line)
{
	*out = line->content;
	atomic_signal_fence(memory_order_seq_cst);
}

enum ep_armed {
	EP_AWAKE,     /* it can be EP_ARMED at any moment */
	EP_ARMED,     /* it sleeps, or is about to: to be rung for */
	EP_POLLING,   /* it calls ep_barrier() before it sleeps again */
};

struct ep_lane_head {
	/* The consumer's. Messages that it has laid hand on: those below are received, unless the fence had
	 * moved and somebody else settled the last one. */
	alignas(64) _Atomic uint64_t taken;
	/* The consumer's. Lines that may be used again: read, and settled where that was needed. The producer
	 * looks when its copy says that the ring is full. */
	_Atomic uint64_t consumed;
	/* enum ep_armed. The consumer's, but that a producer who rings exchanges EP_ARMED for EP_AWAKE. */
	alignas(64) _Atomic uint32_t armed;
	/* The producer's, for people to look at; nothing is decided by them. */
	alignas(64) _Atomic uint64_t sent;
	_Atomic uint64_t hits[EP_CLASSES_MAX];
	_Atomic uint64_t fallbacks;   /* hits of what is larger than all classes */
	alignas(64) _Atomic uint64_t misses[EP_CLASSES_MAX];
};
static_assert(sizeof(struct ep_lane_head) == 256, "layout 2");
#endif
