#include <config.h>

#include "apilib/channel.h"
#include "apilib/channel_fence.h"

/* Of the buffer that a reclaimed line names, if it is one that was sent. */
static bool reclaim_buffer(const struct ep_lane *lane, struct ep_buffer buffer)
{
	uint64_t held = buffer.generation - 1;

	if (buffer.class >= lane->geometry->classes ||
	    buffer.index >= lane->geometry->class[buffer.class].count)
		return false;
	/* Release, with the acquire in ep_receive(), which must then see the fence moved. */
	return atomic_load_explicit(&lane->allocated[buffer.class][buffer.index],
				    memory_order_relaxed) ==
		       ep_allocated_word(buffer.generation, true) &&
	       atomic_compare_exchange_strong_explicit(
		       &lane->released[buffer.class][buffer.index], &held, buffer.generation,
		       memory_order_release, memory_order_relaxed);
}

/* What a message can have at most, whatever it says (I6). */
static uint32_t bound(const struct ep_geometry *geometry, const struct ep_content *content)
{
	uint32_t most = EP_INLINE;

	if (content->kind == EP_KIND_BUFFER)
		most = content->buffer.class < geometry->classes ?
			       geometry->class[content->buffer.class].size : 0;
	return content->size < most ? content->size : most;
}

static void reclaim_line(const struct ep_lane *lane, uint64_t index, uint64_t taken,
			 struct ep_reclaimed *counts)
{
	struct ep_line *line = &lane->lines[index];
	/* Acquire, with the release in ep_send(): the line is whole. */
	uint64_t word = atomic_load_explicit(&line->word, memory_order_acquire);
	uint64_t position = ep_line_position(word);
	struct ep_content content;

	/* I6: its own place, and neither taken nor further ahead than the ring is long. */
	if (!word || word != ep_line_word(position, EP_LINE_SENT) ||
	    (position & lane->mask) != index || position - taken > lane->mask)
		return;
	if (!ep_settle(line, position, EP_LINE_RECLAIMED))
		return;
	content = ep_line_copy(line);
	counts->messages++;
	counts->bytes += bound(lane->geometry, &content);
	if (content.kind == EP_KIND_BUFFER && reclaim_buffer(lane, content.buffer))
		counts->buffers++;
}

static void collect(const struct ep_lane *lane, uint32_t class, uint32_t index,
		    struct ep_reclaimed *counts)
{
	uint64_t generation = ep_allocated_generation(
		atomic_load_explicit(&lane->allocated[class][index], memory_order_relaxed));
	uint64_t held = generation - 1;

	/* Release, as in reclaim_buffer(). */
	if (!atomic_compare_exchange_strong_explicit(&lane->released[class][index], &held, generation,
						     memory_order_release, memory_order_relaxed))
		return;
	counts->collected++;
	counts->collected_bytes += lane->geometry->class[class].size;
}

void ep_channel_reclaim(const struct ep_channel *channel, enum ep_direction direction,
			struct ep_reclaimed *counts)
{
	struct ep_lane lane = ep_channel_lane(channel, direction);
	uint64_t taken, i;
	uint32_t class;

	/* Full, between the fence word, which has moved, and what was taken: a consumer that did not see it
	 * move has stored that (ep_receive()). */
	atomic_thread_fence(memory_order_seq_cst);
	taken = atomic_load_explicit(&lane.head->taken, memory_order_relaxed);
	for (i = 0; i <= lane.mask; i++)
		reclaim_line(&lane, i, taken, counts);
	for (class = 0; class < channel->geometry.classes; class++)
		for (i = 0; i < channel->geometry.class[class].count; i++)
			collect(&lane, class, (uint32_t)i, counts);
}
