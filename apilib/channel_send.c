#include <config.h>

#include "apilib/barrier.h"
#include "apilib/channel.h"
#include "apilib/channel_fence.h"
#include "apilib/fault.h"
#include "apilib/meter.h"
#include "apilib/now.h"
#include "apilib/tracepoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FETCHED_MOST = 1024 };   /* bytes of a buffer */

/* Into both ep_send() and ep_send_small(), so that a small message is put together nowhere but in its line. */
#define ALWAYS_INLINE __attribute__((always_inline))

/* The buffers of a class as their sender knows them, in private memory: nothing a peer writes can make a
 * buffer that is in use be given out again. FIFO: so a released one is looked for once in a round and not
 * at each message. */
struct ep_pool {
	uint32_t count, free;    /* buffers; how many of them wait in the queue */
	uint32_t head;           /* of the queue: a circle of `count` */
	uint32_t *queue;
	uint64_t *generation;    /* of each: how often it was allocated */
};

static void free_pool(struct ep_pool *pool)
{
	if (!pool)
		return;
	free(pool->queue);
	free(pool->generation);
	free(pool);
}

static void put(struct ep_pool *pool, uint32_t index)
{
	uint32_t tail = pool->head + pool->free++;

	pool->queue[tail < pool->count ? tail : tail - pool->count] = index;
}

static struct ep_pool *new_pool(uint32_t count)
{
	struct ep_pool *pool = calloc(1, sizeof *pool);
	uint32_t i;

	if (!pool)
		return NULL;
	pool->count = count;
	pool->queue = calloc(count, sizeof *pool->queue);
	pool->generation = calloc(count, sizeof *pool->generation);
	if (!pool->queue || !pool->generation) {
		free_pool(pool);
		return NULL;
	}
	for (i = 0; i < count; i++)
		put(pool, i);
	return pool;
}

int ep_producer_init(struct ep_producer *out, const struct ep_channel *channel,
		     enum ep_direction direction, struct ep_fencing fencing)
{
	struct ep_producer producer = { .lane = ep_channel_lane(channel, direction), .fencing = fencing,
					.begin = channel->base, .end = channel->base + channel->size,
					.stamp_at = direction == EP_TO_APPLICATION ? 0 : UINT64_MAX };
	uint32_t i;

	for (i = 0; i < channel->geometry.classes; i++) {
		producer.pool[i] = new_pool(channel->geometry.class[i].count);
		if (!producer.pool[i]) {
			ep_producer_deinit(&producer);
			return -ENOMEM;
		}
	}
	*out = producer;
	return 0;
}

void ep_producer_deinit(struct ep_producer *producer)
{
	uint32_t i;

	for (i = 0; i < EP_CLASSES_MAX; i++) {
		free_pool(producer->pool[i]);
		producer->pool[i] = NULL;
	}
}

/* ---- buffers ---- */

/* None is in the queue, so all are out: looks which ones have come back. */
static void refill(struct ep_producer *producer, uint32_t class)
{
	struct ep_pool *pool = producer->pool[class];
	uint32_t i;

	for (i = 0; i < pool->count; i++) {
		/* Acquire, with the release in ep_release(): its reads are over. And with the one in
		 * ep_channel_reclaim(): we then see below that the fence moved. */
		if (atomic_load_explicit(&producer->lane.released[class][i],
					 memory_order_acquire) == pool->generation[i])
			put(pool, i);
	}
	/* What was collected may be in its receiver's hands still: it is marked, and so was not put back. */
	if (!ep_still_serves(&producer->fencing))
		producer->closed = -ESTALE;
}

static void count_one(_Atomic uint64_t *shown)
{
	/* Relaxed: one writer, and people look at it. */
	atomic_store_explicit(shown, atomic_load_explicit(shown, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static bool take(struct ep_producer *producer, uint32_t class, struct ep_buffer *out)
{
	struct ep_pool *pool = producer->pool[class];
	uint32_t index;

	if (!pool->free)
		refill(producer, class);
	if (producer->closed)
		return false;
	if (!pool->free) {
		count_one(&producer->lane.head->misses[class]);
		return false;
	}
	EP_FAULT(allocate_begun);
	index = pool->queue[pool->head];
	pool->head = pool->head + 1 < pool->count ? pool->head + 1 : 0;
	pool->free--;
	*out = (struct ep_buffer){ .class = class, .index = index,
				   .generation = ++pool->generation[index] };
	/* Relaxed: only read when we are dead or fenced (ep_channel_reclaim()). One that comes after that is in
	 * vain, and counted nowhere: its memory goes with the channel. */
	atomic_store_explicit(&producer->lane.allocated[class][index],
			      ep_allocated_word(out->generation, false), memory_order_relaxed);
	EP_FAULT(allocate_done);
	count_one(&producer->lane.head->hits[class]);
	return true;
}

int ep_allocate(struct ep_producer *producer, size_t size, struct ep_buffer *out, void **memory)
{
	const struct ep_geometry *geometry = producer->lane.geometry;
	bool fits = false;
	uint32_t i;

	if (producer->closed)
		return producer->closed;
	for (i = 0; i < geometry->classes; i++) {
		if (geometry->class[i].size < size)
			continue;
		fits = true;
		if (!take(producer, i, out))
			continue;   /* also when it was closed just now */
		*memory = producer->lane.buffers[i] + (size_t)out->index * geometry->class[i].size;
		return 0;
	}
	if (producer->closed)
		return producer->closed;
	return fits ? -EAGAIN : -EMSGSIZE;
}

int ep_free(struct ep_producer *producer, const struct ep_buffer *buffer)
{
	uint64_t held = buffer->generation - 1;

	EP_FAULT(free_begun);
	/* Against the supervisor's collecting: one of the two ends this use. Relaxed: only we write there. */
	if (!atomic_compare_exchange_strong_explicit(
		    &producer->lane.released[buffer->class][buffer->index], &held, buffer->generation,
		    memory_order_relaxed, memory_order_relaxed))
		return -ESTALE;
	EP_FAULT(free_done);
	if (buffer->class != EP_CLASS_LARGE)
		put(producer->pool[buffer->class], buffer->index);
	return 0;
}

/* ---- lines ---- */

bool ep_look_for_room(struct ep_producer *producer)
{
	uint64_t ring = producer->lane.mask + 1;

	/* Acquire, with the release in ep_receive(): the consumer has read and settled those lines. */
	producer->consumed = atomic_load_explicit(&producer->lane.head->consumed,
						  memory_order_acquire);
	if (producer->next - producer->consumed > ring)   /* I6: beyond what was sent, or backwards */
		producer->closed = -EPROTO;
	return !producer->closed && producer->next - producer->consumed < ring;
}

/* Any number up to EP_INLINE, in few moves that may overlap. */
ALWAYS_INLINE static inline void copy_inline(unsigned char *to, const unsigned char *from, size_t size)
{
	if (size < 8) {
		memcpy(to, from, size);
		return;
	}
	if (size < 16) {
		memcpy(to, from, 8);
		memcpy(to + size - 8, from + size - 8, 8);
		return;
	}
	memcpy(to, from, 16);
	if (size > 32)
		memcpy(to + 16, from + 16, 16);
	memcpy(to + size - 16, from + size - 16, 16);
}

ALWAYS_INLINE static inline void fill(struct ep_content *content, const struct ep_send *send)
{
	content->id = send->id;
	content->kind = send->buffer ? EP_KIND_BUFFER : EP_KIND_INLINE;
	content->flags = 0;
	content->size = send->size;
	content->context = send->context;
	if (send->buffer)
		content->buffer = *send->buffer;
	else
		copy_inline(content->bytes, send->bytes, send->size);
}

/* Of the first and then of some, as a look at the clock takes its time. A payload may need the room. */
static void stamp(struct ep_producer *producer, struct ep_content *content)
{
	int64_t now;

	if (content->kind == EP_KIND_INLINE && content->size > EP_STAMP_AT)
		return;
	now = ep_now();
	memcpy(content->bytes + EP_STAMP_AT, &now, sizeof now);
	content->flags = EP_STAMPED;
	/* Not every 64th, or of types that are sent in turns only one were ever timed: 1 to 128 further on. */
	producer->stamp_at = producer->next + 1;
	if (producer->next >= EP_TIMED_FIRST)
		producer->stamp_at += producer->next * 0x9e3779b97f4a7c15 >> 57;
}

static void mark(struct ep_producer *producer, const struct ep_buffer *buffer, bool sent)
{
	/* Relaxed: in front of the line's release, and read only through it or when we are dead. */
	atomic_store_explicit(&producer->lane.allocated[buffer->class][buffer->index],
			      ep_allocated_word(buffer->generation, sent), memory_order_relaxed);
}

/* The fence moved while the line was on its way. 0: it had been received before. */
static int take_back(struct ep_producer *producer, struct ep_line *line, const struct ep_buffer *buffer)
{
	producer->closed = -ESTALE;
	/* With ep_fence_after_taking(): a consumer that has not seen the fence moved, and so keeps the line without
	 * asking, has stored that it took it. */
	ep_barrier();
	/* Relaxed: after that. */
	if (atomic_load_explicit(&producer->lane.head->taken, memory_order_relaxed) >
	    producer->next)
		return 0;
	if (!ep_settle(line, producer->next, EP_LINE_TAKEN_BACK))
		return 0;   /* received, or reclaimed and counted: it was sent */
	if (buffer)
		mark(producer, buffer, false);
	return -ESTALE;
}

ALWAYS_INLINE static inline int send_line(struct ep_producer *producer, const struct ep_send *send)
{
	struct ep_lane_head *head = producer->lane.head;
	uint64_t next = producer->next;
	struct ep_line *line = &producer->lane.lines[next & producer->lane.mask];
	uint32_t armed;

	if (producer->closed)
		return producer->closed;
	if (!ep_still_serves(&producer->fencing))
		return producer->closed = -ESTALE;
	if (!ep_can_send(producer))
		return producer->closed ? producer->closed : -EAGAIN;
	EP_FAULT(send_begun);
	fill(&line->content, send);
	if (next >= producer->stamp_at)
		stamp(producer, &line->content);
	EP_FAULT(send_filled);
	if (send->buffer)
		mark(producer, send->buffer, true);
	EP_FAULT(send_marked);
	/* Release, with the acquire in ep_receive(): the message is whole before it is visible (I5). */
	atomic_store_explicit(&line->word, ep_line_word(next, EP_LINE_SENT), memory_order_release);
	EP_FAULT(send_published);
	ep_fence_after_sending(&producer->fencing, &head->armed);
	if (!ep_still_serves(&producer->fencing) && take_back(producer, line, send->buffer) < 0)
		return -ESTALE;
	EP_FAULT(send_looked);
	producer->next = next + 1;
	/* Relaxed: for people to look at. */
	atomic_store_explicit(&head->sent, next + 1, memory_order_relaxed);
	EP_FAULT(send_counted);
	EP_TRACEPOINT3(send, send->id, send->context, send->size);
	/* Relaxed: the fence above has ordered it. The exchange lets one ring only. */
	armed = atomic_load_explicit(&head->armed, memory_order_relaxed);
	return armed != EP_AWAKE && armed != EP_POLLING &&
	       atomic_exchange_explicit(&head->armed, EP_AWAKE, memory_order_relaxed) != EP_AWAKE;
}

static inline void fetch_to_write(const void *at)
{
#if defined(__x86_64__)
	__asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)at));   /* a no-op where it is not known */
#else
	__builtin_prefetch(at, 1);
#endif
}

/* The next one of that class is wanted for writing by then, so its first lines come while nobody waits for them. A page
 * that is not there yet stays so. */
static void fetch_next(const struct ep_producer *producer, const struct ep_send *send)
{
	const struct ep_pool *pool = send->buffer->class < EP_CLASSES_MAX ? producer->pool[send->buffer->class] : NULL;
	uint32_t size = send->size < FETCHED_MOST ? send->size : FETCHED_MOST;
	const unsigned char *next;

	if (!pool || !pool->free)
		return;
	next = producer->lane.buffers[send->buffer->class] +
	       (size_t)pool->queue[pool->head] * producer->lane.geometry->class[send->buffer->class].size;
	for (uint32_t at = 0; at < size; at += 64)
		fetch_to_write(next + at);
}

int ep_send(struct ep_producer *producer, const struct ep_send *send)
{
	int r = send_line(producer, send);

	if (r >= 0 && send->buffer)
		fetch_next(producer, send);
	return r;
}

int ep_send_small(struct ep_producer *producer, uint16_t id, uint64_t context, const void *bytes, uint32_t size)
{
	const struct ep_send send = { .id = id, .context = context, .size = size, .bytes = bytes };

	return send_line(producer, &send);
}
