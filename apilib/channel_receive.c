#include <config.h>

#include "apilib/barrier.h"
#include "apilib/channel.h"
#include "apilib/channel_fence.h"
#include "apilib/fault.h"
#include "apilib/tracepoint.h"

#include <errno.h>
#include <string.h>

enum { FETCHED_AHEAD = 4 };   /* lines */

void ep_consumer_init(struct ep_consumer *out, const struct ep_channel *channel,
		      enum ep_direction direction, struct ep_fencing fencing)
{
	*out = (struct ep_consumer){ .lane = ep_channel_lane(channel, direction),
				     .fencing = fencing, .polls_at = EP_POLLS_AFTER };
}

static int close_with(struct ep_consumer *consumer, int r, const char *why)
{
	consumer->closed = r;
	consumer->why = why;
	return r;
}

/* What may stand in a line whose turn it is: nothing yet, the message of one round before, or this one.
 * NULL: one of these. */
static const char *nonsense(const struct ep_consumer *consumer, uint64_t word)
{
	uint64_t ring = consumer->lane.mask + 1;

	if (word == 0 && consumer->next < ring)
		return NULL;
	if (ep_line_position(word) + ring == consumer->next && consumer->next >= ring)
		return NULL;
	if (ep_line_position(word) == consumer->next)   /* taken back or reclaimed: the fence has moved */
		return NULL;
	return "a line holds a number that is not its own";
}

static const char not_known[] = "a line names a large buffer that was never made";

static const char *check_buffer(const struct ep_consumer *consumer, struct ep_received *out)
{
	const struct ep_buffer buffer = out->content.buffer;
	size_t size = ep_lane_size(&consumer->lane, buffer.class, buffer.index);

	if (!size && buffer.class == EP_CLASS_LARGE && buffer.index < EP_LARGE_SLOTS)
		return not_known;   /* yet: see ep_receive() */
	if (!size)
		return "a line names a buffer that does not exist";
	if (out->content.size > size)
		return "a message is larger than its buffer";
	/* Ours alone while we hold it. Otherwise it was sent twice, or never allocated; or, acquire, with the
	 * release in ep_channel_reclaim(), we then see the fence moved. */
	if (atomic_load_explicit(&consumer->lane.released[buffer.class][buffer.index],
				 memory_order_acquire) + 1 != buffer.generation)
		return "a line names a buffer that was released";
	out->is_buffer = true;
	out->in_place = ep_lane_memory(&consumer->lane, buffer.class, buffer.index);
	return NULL;
}

static const char *check_stamp(const struct ep_received *out)
{
	if (out->content.flags != EP_STAMPED)
		return "a line has flags that are not known";
	return out->content.kind == EP_KIND_INLINE && out->content.size > EP_STAMP_AT ?
		       "a message is larger than its line" : NULL;
}

/* NULL, or what is wrong. */
static const char *take_out(const struct ep_consumer *consumer, const struct ep_line *line,
			    struct ep_received *out)
{
	const char *why = NULL;

	ep_line_copy(&out->content, line);
	out->is_buffer = false;
	if (out->content.flags)
		why = check_stamp(out);
	if (why)
		return why;
	if (out->content.kind == EP_KIND_BUFFER)
		return check_buffer(consumer, out);
	if (out->content.kind != EP_KIND_INLINE)
		return "a line is of no known kind";
	return out->content.size > EP_INLINE ? "a message is larger than its line" : NULL;
}

/* No message: why not? 0: it has not come yet. */
static int nothing(struct ep_consumer *consumer, const char *why)
{
	if (!ep_still_serves(&consumer->fencing))   /* then lines change under us, and nobody lies */
		return close_with(consumer, -ESTALE, NULL);
	return why ? close_with(consumer, -EPROTO, why) : 0;
}

/* Said anew now and then: a producer who rang late may have written over it. */
static void begin_to_poll(struct ep_consumer *consumer)
{
	consumer->polls_at = consumer->next + EP_POLLS_AFTER;
	if (!consumer->fencing.light)
		return;
	consumer->polls = true;
	/* Relaxed: whoever does not see it uses a fence. */
	atomic_store_explicit(&consumer->lane.head->armed, EP_POLLING, memory_order_relaxed);
}

int ep_receive(struct ep_consumer *consumer, struct ep_received *out)
{
	struct ep_lane_head *head = consumer->lane.head;
	uint64_t next = consumer->next, word;
	struct ep_line *line = &consumer->lane.lines[next & consumer->lane.mask];
	const char *why;

	if (consumer->closed)
		return consumer->closed;
	/* Acquire, with the release in ep_send(): the message is whole. */
	word = atomic_load_explicit(&line->word, memory_order_acquire);
	if (word != ep_line_word(next, EP_LINE_SENT))
		return nothing(consumer, nonsense(consumer, word));
	EP_FAULT(receive_seen);
	/* Where many are under way, it takes longer to come than a message to be handled. */
	__builtin_prefetch(&consumer->lane.lines[(next + FETCHED_AHEAD) & consumer->lane.mask]);
	why = take_out(consumer, line, out);
	if (why == not_known && ep_still_serves(&consumer->fencing))
		return -ENXIO;
	if (why)
		return nothing(consumer, why);
	EP_FAULT(receive_copied);
	/* Relaxed: the fence that follows orders it. */
	atomic_store_explicit(&head->taken, next + 1, memory_order_relaxed);
	EP_FAULT(receive_taken);
	/* The supervisor sees that we have it, or we see that the fence moved and ask who has it. */
	ep_fence_after_taking(&consumer->fencing);
	if (!ep_still_serves(&consumer->fencing) &&
	    !ep_settle(line, next, EP_LINE_RECEIVED))
		return close_with(consumer, -ESTALE, NULL);
	EP_FAULT(receive_looked);
	consumer->next = next + 1;
	/* Release, with the acquire in ep_can_send(): we have read the line, and it is settled. Not before:
	 * the producer writes over it. */
	atomic_store_explicit(&head->consumed, next + 1, memory_order_release);
	EP_FAULT(receive_done);
	EP_TRACEPOINT3(receive, out->content.id, out->content.context, out->content.size);
	if (next >= consumer->polls_at)
		begin_to_poll(consumer);
	return 1;
}

int ep_refuse_next(struct ep_consumer *consumer)
{
	return nothing(consumer, not_known);
}

int ep_release(const struct ep_consumer *consumer, const struct ep_buffer *buffer)
{
	uint64_t held = buffer->generation - 1;
	bool ended;

	EP_FAULT(release_begun);
	/* Release, with the acquire in the sender's refill(): our reads are over. Compare-and-swap, since it
	 * may be collected: one of the two ends this use. */
	ended = atomic_compare_exchange_strong_explicit(
		&consumer->lane.released[buffer->class][buffer->index], &held, buffer->generation,
		memory_order_release, memory_order_relaxed);
	EP_FAULT(release_done);
	return ended ? 0 : -ESTALE;
}

/* ---- sleeping ---- */

bool ep_arm(struct ep_consumer *consumer)
{
	struct ep_line *line = &consumer->lane.lines[consumer->next & consumer->lane.mask];
	uint64_t word;

	atomic_store_explicit(&consumer->lane.head->armed, EP_ARMED, memory_order_relaxed);
	EP_FAULT(armed);
	/* With ep_fence_after_sending(): the producer sees us armed, or we see the line. */
	if (consumer->polls)
		ep_barrier();
	else
		atomic_thread_fence(memory_order_seq_cst);
	consumer->polls = false;
	consumer->polls_at = consumer->next + EP_POLLS_AFTER;
	word = atomic_load_explicit(&line->word, memory_order_relaxed);   /* ep_receive() looks anew */
	if (!consumer->closed && ep_still_serves(&consumer->fencing) &&
	    word != ep_line_word(consumer->next, EP_LINE_SENT) && !nonsense(consumer, word))
		return true;
	ep_disarm(consumer);
	return false;
}

void ep_disarm(struct ep_consumer *consumer)
{
	/* Relaxed: at worst somebody rings who need not. */
	atomic_store_explicit(&consumer->lane.head->armed, EP_AWAKE, memory_order_relaxed);
}
