/* A channel: what one client and its application share, in a sealed memfd that the supervisor made. In each
 * of its two directions one producer sends and one consumer receives; neither waits, neither has a lock,
 * and a kill anywhere is a clean cut (I5). A peer is not trusted: what it wrote is copied once, checked,
 * then used; what is nonsense closes this channel and touches no other (I6).
 *
 * Every send and every receive looks at the application's fence word after it has published: once that has
 * moved, a line is settled by compare-and-swap, so that producer, consumer and supervisor agree who had it,
 * and sent = received + reclaimed (I8). */
#ifndef EPOCHD_CHANNEL_H
#define EPOCHD_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "apilib/channel_layout.h"
#include "apilib/geometry.h"

enum ep_direction { EP_TO_APPLICATION, EP_TO_CLIENT };

/* A mapping, and the geometry that was checked. */
struct ep_channel {
	unsigned char *base;
	size_t size;
	struct ep_geometry geometry;
	struct ep_places places;
	uint8_t large[2][EP_LARGE_SLOTS];   /* of each direction the large buffers that we know of, log2 of their size; 0: none */
};

/* The memfd of a new channel, sealed against shrinking and growing; geometry: checked. The rings are
 * allocated, the buffers with their first use. Supervisor only. -ENOMEM, -EMFILE, -ENFILE. */
int ep_channel_create(const struct ep_geometry *geometry);

/* Maps it, after its seals, its size and its header were checked. The fd stays the caller's. A child of
 * fork() does not have the mapping. *out: ep_channel_unmap().
 *   -EBADMSG   it is no channel: *why tells (static) */
int ep_channel_map(struct ep_channel *out, int fd, const char **why);
void ep_channel_unmap(struct ep_channel *channel);   /* of a zeroed one, too */

/* large.h; base: NULL where it is not mapped, as by the supervisor. */
struct ep_large {
	unsigned char *base;
	size_t size;   /* 0: there is none */
};

/* The parts of one direction. */
struct ep_lane {
	struct ep_lane_head *head;
	struct ep_line *lines;
	uint64_t mask;
	_Atomic uint64_t *allocated[EP_CLASSES_MAX + 1], *released[EP_CLASSES_MAX + 1];   /* the last: EP_CLASS_LARGE */
	unsigned char *buffers[EP_CLASSES_MAX];
	struct ep_large large[EP_LARGE_SLOTS];
	const struct ep_geometry *geometry;
};

/* How large a buffer is, of a class and an index that anybody may have written (I6); 0: there is no such buffer. */
static inline size_t ep_lane_size(const struct ep_lane *lane, uint32_t class, uint32_t index)
{
	const struct ep_geometry *geometry = lane->geometry;

	if (class < geometry->classes)
		return index < geometry->class[class].count ? geometry->class[class].size : 0;
	return class == EP_CLASS_LARGE && index < EP_LARGE_SLOTS ? lane->large[index].size : 0;
}

/* Where it begins. It is there, and mapped. */
static inline unsigned char *ep_lane_memory(const struct ep_lane *lane, uint32_t class, uint32_t index)
{
	return class == EP_CLASS_LARGE ? lane->large[index].base :
					 lane->buffers[class] + (size_t)index * lane->geometry->class[class].size;
}

struct ep_lane ep_channel_lane(const struct ep_channel *channel, enum ep_direction direction);

/* Which epoch an end belongs to, and the word that says whether it still serves. */
struct ep_fencing {
	const _Atomic uint64_t *word;
	uint32_t epoch;
	/* This process has joined (barrier.h), and whoever moves the fence word calls ep_barrier() before he reclaims: then
	 * receiving needs no full fence, nor does sending to somebody who polls. */
	bool light;
};

/* ---- the sending end; one thread at a time ---- */

struct ep_pool;   /* the free buffers of a class; channel_send.c */

struct ep_producer {
	struct ep_lane lane;
	struct ep_fencing fencing;
	uint64_t next;       /* position of the next line */
	uint64_t consumed;   /* as last read */
	uint64_t stamp_at;   /* position from which on the next line that has room for it is stamped; UINT64_MAX: none is */
	int closed;          /* 0, or the error that every call gives from now on */
	struct ep_pool *pool[EP_CLASSES_MAX];
	const unsigned char *begin, *end;   /* of the mapping, which all buffers are in but the large ones */
	bool has_large;      /* so a payload may be in one of those: ep_buffer_at() looks more closely */
};

/* Of a channel that nobody has sent on; it stays where it is, and mapped, longer than *out. -ENOMEM. */
int ep_producer_init(struct ep_producer *out, const struct ep_channel *channel,
		     enum ep_direction direction, struct ep_fencing fencing);
void ep_producer_deinit(struct ep_producer *producer);   /* of a zeroed one, too */

/* A buffer of `size` bytes or more, to be filled at *memory and sent, or given back with ep_free(). A class
 * that has none left counts a miss, and the next larger one is tried.
 *   -EAGAIN     all are in use: one comes back when the consumer releases it
 *   -EMSGSIZE   larger than the largest class
 *   -ESTALE     the epoch has ended */
int ep_allocate(struct ep_producer *producer, size_t size, struct ep_buffer *out, void **memory);
int ep_free(struct ep_producer *producer, const struct ep_buffer *buffer);   /* -ESTALE: collected */

static inline bool ep_is_inside(const struct ep_producer *producer, const void *memory)
{
	const unsigned char *at = memory;

	return (at >= producer->begin && at < producer->end) || producer->has_large;
}

/* The buffer that begins at that address, allocated and not sent yet. -ENOENT: no buffer is there; -EINVAL:
 * inside of one, or it is not the caller's; -ESTALE: not any more, since the epoch has ended. */
int ep_buffer_at(const struct ep_producer *producer, const void *memory, struct ep_buffer *out);

struct ep_send {
	uint16_t id;
	uint64_t context;
	uint32_t size;                    /* bytes */
	const void *bytes;                /* up to EP_INLINE, copied; or */
	const struct ep_buffer *buffer;   /* from ep_allocate(); the consumer's, when it was sent */
};

/* 0, or 1 if the consumer sleeps and is to be woken. Otherwise nothing was sent, and a buffer stays the
 * caller's:
 *   -EAGAIN   the ring is full
 *   -ESTALE   the epoch has ended
 *   -EPROTO   the consumer wrote nonsense: the channel is closed */
int ep_send(struct ep_producer *producer, const struct ep_send *send);
/* The same of up to EP_INLINE bytes. */
int ep_send_small(struct ep_producer *producer, uint16_t id, uint64_t context, const void *bytes, uint32_t size);

bool ep_look_for_room(struct ep_producer *producer);   /* for ep_can_send() */

/* Room for one more line, at least. */
static inline bool ep_can_send(struct ep_producer *producer)
{
	return producer->next - producer->consumed <= producer->lane.mask || ep_look_for_room(producer);
}

/* ---- the receiving end; one thread at a time ---- */

struct ep_consumer {
	struct ep_lane lane;
	struct ep_fencing fencing;
	uint64_t next;
	uint64_t polls_at;   /* position from which on it is EP_POLLING, should it not have slept until then */
	bool polls;
	int closed;
	const char *why;   /* -EPROTO: what was wrong (static) */
};

/* Messages without sleep: so many are worth an ep_barrier(), which also interrupts others that have nothing to do with
 * this channel. */
enum { EP_POLLS_AFTER = 1024 };

struct ep_received {
	struct ep_content content;   /* a copy, checked; a buffer in it is to be released */
	bool is_buffer;              /* else its bytes are the payload */
	const void *in_place;        /* only if is_buffer: the sender can still write there; read each byte once */
};

/* CLOCK_MONOTONIC, ns, as the sender says; 0: it does not. */
static inline int64_t ep_sent_at(const struct ep_received *received)
{
	int64_t at = 0;

	if (received->content.flags & EP_STAMPED)
		memcpy(&at, received->content.bytes + EP_STAMP_AT, sizeof at);
	return at;
}

/* As ep_producer_init(), and nothing to free. */
void ep_consumer_init(struct ep_consumer *out, const struct ep_channel *channel,
		      enum ep_direction direction, struct ep_fencing fencing);

/* 1: *out is the next message; 0: there is none.
 *   -ESTALE   the epoch has ended
 *   -EPROTO   the producer wrote nonsense: the channel is closed, consumer->why tells
 *   -ENXIO    it is in a large buffer that we do not know: the supervisor told us before it told the producer, so when
 *             that was read and nothing came, ep_refuse_next() */
int ep_receive(struct ep_consumer *consumer, struct ep_received *out);

/* The producer lied: -EPROTO. */
int ep_refuse_next(struct ep_consumer *consumer);

/* Is ep_receive() worth calling? For polling: nothing but the one load. It does not see the epoch end. */
static inline bool ep_has_next(const struct ep_consumer *consumer)
{
	/* Relaxed: ep_receive() looks anew. */
	return atomic_load_explicit(&consumer->lane.lines[consumer->next & consumer->lane.mask].word,
				    memory_order_relaxed) == ep_line_word(consumer->next, EP_LINE_SENT);
}

/* Any thread, in any order. -ESTALE: it was collected meanwhile. */
int ep_release(const struct ep_consumer *consumer, const struct ep_buffer *buffer);

/* Before sleeping. True: sleep, the producer will ring. False: there is something to do at once. Some microseconds
 * after EP_POLLS_AFTER messages without sleep (ep_barrier()). */
bool ep_arm(struct ep_consumer *consumer);
void ep_disarm(struct ep_consumer *consumer);   /* after sleeping */

/* ---- the supervisor: what the dead left ---- */

struct ep_collected { uint64_t buffers, bytes; };

/* All buffers of a direction, as far as we know of them. */
struct ep_collected ep_channel_holds(const struct ep_channel *channel, enum ep_direction direction);

struct ep_reclaimed {
	uint64_t messages, bytes;         /* sent, and never received */
	uint64_t buffers, buffer_bytes;   /* that those were in */
	struct ep_collected abandoned;    /* allocated, and never sent */
	struct ep_collected held;         /* sent, or amid it while the fence moved, and never released */
};

/* Takes back every message of a direction that was sent and not received, and every buffer that is not
 * free, and adds them to *counts. The fence must have moved, and ep_barrier() been called since; or both ends be
 * dead. Whatever the peers wrote, no more is counted than the channel holds. Doing it again counts nothing twice. */
void ep_channel_reclaim(const struct ep_channel *channel, enum ep_direction direction,
			struct ep_reclaimed *counts);

/* The same of a channel that somebody may have been amid reclaiming who died before that was counted: what he took back is
 * counted as well. Not to be done again once it is. */
void ep_channel_finish(const struct ep_channel *channel, enum ep_direction direction,
		       struct ep_reclaimed *counts);

/* Adds what that would take back, and changes nothing: for an application whose client is dead, and which may
 * die itself before anybody hears the counts; then the supervisor reclaims. Nobody else uses the direction. */
void ep_channel_count(const struct ep_channel *channel, enum ep_direction direction,
		      struct ep_reclaimed *counts);
#endif
