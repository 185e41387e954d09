#include <config.h>

#include "apilib/channel.h"
#include "apilib/channel_fence.h"
#include "apilib/large.h"

enum how {
	TO_COUNT,    /* what would be taken back */
	TO_SETTLE,   /* takes it back */
	TO_FINISH,   /* the same, with what was taken back by somebody who did not live to say so */
};

/* One use of a buffer is over, by us; or would be. */
static bool end_use(const struct ep_lane *lane, const struct ep_buffer *buffer, enum how how)
{
	_Atomic uint64_t *released = &lane->released[buffer->class][buffer->index];
	uint64_t held = buffer->generation - 1, ended = buffer->generation | EP_ENDED_BY_SUPERVISOR;

	/* Relaxed: nobody is there to race with. */
	if (how == TO_COUNT)
		return atomic_load_explicit(released, memory_order_relaxed) == held;
	/* Release, with the acquire in ep_receive(), which must then see the fence moved. */
	return atomic_compare_exchange_strong_explicit(released, &held, ended, memory_order_release,
						       memory_order_relaxed) ||
	       (how == TO_FINISH && held == ended);
}

/* Of the buffer that a reclaimed line names, if it is one that was sent. */
static bool reclaim_buffer(const struct ep_lane *lane, struct ep_buffer buffer, enum how how)
{
	if (!ep_lane_size(lane, buffer.class, buffer.index))
		return false;
	return atomic_load_explicit(&lane->allocated[buffer.class][buffer.index],
				    memory_order_relaxed) ==
		       ep_allocated_word(buffer.generation, true) &&
	       end_use(lane, &buffer, how);
}

/* What a message can have at most, whatever it says (I6). */
static uint64_t bound(const struct ep_lane *lane, const struct ep_content *content)
{
	uint64_t most = content->kind != EP_KIND_BUFFER ? EP_INLINE :
			ep_lane_size(lane, content->buffer.class, content->buffer.index);

	return content->size < most ? content->size : most;
}

static void reclaim_line(const struct ep_lane *lane, uint64_t index, uint64_t taken, enum how how,
			 struct ep_reclaimed *counts)
{
	struct ep_line *line = &lane->lines[index];
	/* Acquire, with the release in ep_send(): the line is whole. */
	uint64_t word = atomic_load_explicit(&line->word, memory_order_acquire);
	uint64_t position = ep_line_position(word);
	struct ep_content content;

	/* I6: its own place, and neither taken nor further ahead than the ring is long. */
	if (!word || (position & lane->mask) != index || position - taken > lane->mask)
		return;
	if (word != ep_line_word(position, EP_LINE_SENT) &&
	    (how != TO_FINISH || word != ep_line_word(position, EP_LINE_RECLAIMED)))
		return;
	if (how != TO_COUNT && word == ep_line_word(position, EP_LINE_SENT) &&
	    !ep_settle(line, position, EP_LINE_RECLAIMED))
		return;
	ep_line_copy(&content, line);
	counts->messages++;
	counts->bytes += bound(lane, &content);
	if (content.kind == EP_KIND_BUFFER && reclaim_buffer(lane, content.buffer, how)) {
		counts->buffers++;
		counts->buffer_bytes += ep_lane_size(lane, content.buffer.class, content.buffer.index);
	}
}

static void collect(const struct ep_lane *lane, uint32_t class, uint32_t index, enum how how,
		    struct ep_reclaimed *counts)
{
	uint64_t word = atomic_load_explicit(&lane->allocated[class][index], memory_order_relaxed);
	struct ep_buffer buffer = { .class = class, .index = index,
				    .generation = ep_allocated_generation(word) };
	struct ep_collected *cause = word == ep_allocated_word(buffer.generation, true) ? &counts->held :
											  &counts->abandoned;

	if (!end_use(lane, &buffer, how))
		return;
	cause->buffers++;
	cause->bytes += ep_lane_size(lane, class, index);
}

static void take_back(const struct ep_channel *channel, enum ep_direction direction, enum how how,
		      struct ep_reclaimed *counts)
{
	struct ep_lane lane = ep_channel_lane(channel, direction);
	uint64_t taken, i;
	uint32_t class;

	/* Full, between the fence word, which has moved, and what was taken: a consumer that did not see it
	 * move has stored that (ep_fence_after_taking(); one that is light by our caller's ep_barrier()). */
	atomic_thread_fence(memory_order_seq_cst);
	taken = atomic_load_explicit(&lane.head->taken, memory_order_relaxed);
	for (i = 0; i <= lane.mask; i++)
		reclaim_line(&lane, i, taken, how, counts);
	for (class = 0; class < channel->geometry.classes; class++)
		for (i = 0; i < channel->geometry.class[class].count; i++)
			collect(&lane, class, (uint32_t)i, how, counts);
	for (i = 0; i < EP_LARGE_SLOTS; i++)
		if (lane.large[i].size)
			collect(&lane, EP_CLASS_LARGE, (uint32_t)i, how, counts);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void take_off(struct ep_collected *from, uint64_t buffers, uint64_t bytes)
{
	from->buffers -= least(buffers, from->buffers);
	from->bytes -= least(bytes, from->bytes);
}

static void move(struct ep_collected *to, const struct ep_collected *from, struct ep_collected *room)
{
	const struct ep_collected part = { least(from->buffers, room->buffers), least(from->bytes, room->bytes) };

	to->buffers += part.buffers;
	to->bytes += part.bytes;
	take_off(room, part.buffers, part.bytes);
}

struct ep_collected ep_channel_holds(const struct ep_channel *channel, enum ep_direction direction)
{
	const struct ep_geometry *geometry = &channel->geometry;
	struct ep_collected all = { 0 };

	for (uint32_t i = 0; i < geometry->classes; i++) {
		all.buffers += geometry->class[i].count;
		all.bytes += (uint64_t)geometry->class[i].count * geometry->class[i].size;
	}
	for (uint32_t i = 0; i < EP_LARGE_SLOTS; i++) {
		all.buffers += channel->large[direction][i] != 0;
		all.bytes += ep_large_size(channel->large[direction][i]);
	}
	return all;
}

/* I6: lines that all name one buffer are not more than that. */
static void add_bounded(const struct ep_channel *channel, enum ep_direction direction, struct ep_reclaimed *counts,
			const struct ep_reclaimed *more)
{
	const struct ep_collected sent = { more->buffers, more->buffer_bytes };
	struct ep_collected room = ep_channel_holds(channel, direction), in_lines = { 0 };

	counts->messages += more->messages;
	counts->bytes += least(more->bytes, room.bytes + (uint64_t)channel->geometry.ring * EP_INLINE);
	move(&in_lines, &sent, &room);
	counts->buffers += in_lines.buffers;
	counts->buffer_bytes += in_lines.bytes;
	move(&counts->held, &more->held, &room);
	move(&counts->abandoned, &more->abandoned, &room);
}

void ep_channel_reclaim(const struct ep_channel *channel, enum ep_direction direction,
			struct ep_reclaimed *counts)
{
	struct ep_reclaimed all = { 0 };

	take_back(channel, direction, TO_SETTLE, &all);
	add_bounded(channel, direction, counts, &all);
}

/* Those in lines were seen twice. */
static void add_once(const struct ep_channel *channel, enum ep_direction direction, struct ep_reclaimed *counts,
		     struct ep_reclaimed *all)
{
	take_off(&all->held, all->buffers, all->buffer_bytes);
	add_bounded(channel, direction, counts, all);
}

void ep_channel_finish(const struct ep_channel *channel, enum ep_direction direction,
		       struct ep_reclaimed *counts)
{
	struct ep_reclaimed all = { 0 };

	take_back(channel, direction, TO_FINISH, &all);
	add_once(channel, direction, counts, &all);
}

void ep_channel_count(const struct ep_channel *channel, enum ep_direction direction,
		      struct ep_reclaimed *counts)
{
	struct ep_reclaimed all = { 0 };

	take_back(channel, direction, TO_COUNT, &all);
	add_once(channel, direction, counts, &all);
}
