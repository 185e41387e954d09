#include <config.h>

#include "supervisor/overdue.h"

#include <stdatomic.h>
#include <stdlib.h>

/* One use of one buffer, since a look found it in nobody's hands but its receiver's. A sender marks a buffer as sent
 * before it publishes the line: if it stands still between the two, the buffer looks received, and is not. There is but
 * one such line, the next: so a use is certain to have been received when a line says so that its receiver is done
 * with, or when lines were published since. */
struct held {
	uint64_t generation;   /* 0: none */
	uint64_t published;    /* lines, when it was first seen */
	int64_t since;         /* CLOCK_MONOTONIC, ns */
	bool certain;
	/* Of this look: */
	bool queued;           /* a line names it that nobody has received */
	uint64_t received;     /* the generation that a line named which was; 0: none */
};

struct overdue {
	struct overdue_class class[2][EP_CLASSES_MAX];
	uint32_t count;          /* buffers of one direction */
	struct held held[];      /* of both, one class after the other */
};

static uint32_t first_of(const struct ep_geometry *geometry, uint32_t class)
{
	uint32_t first = 0;

	for (uint32_t i = 0; i < class; i++)
		first += geometry->class[i].count;
	return first;
}

/* The use that was begun, sent, and not ended; 0: none. Relaxed: a look may be late, but what stands there in two of
 * them was not ended between. */
static uint64_t use_of(const struct ep_lane *lane, uint32_t class, uint32_t index)
{
	uint64_t begun = atomic_load_explicit(&lane->allocated[class][index], memory_order_relaxed);
	uint64_t generation = ep_allocated_generation(begun);

	return begun == ep_allocated_word(generation, true) &&
	       atomic_load_explicit(&lane->released[class][index], memory_order_relaxed) + 1 == generation ?
		       generation : 0;
}

static bool is_any_in_use(const struct ep_lane *lane)
{
	for (uint32_t class = 0; class < lane->geometry->classes; class++)
		for (uint32_t i = 0; i < lane->geometry->class[class].count; i++)
			if (use_of(lane, class, i))
				return true;
	return false;
}

static struct overdue *make(const struct ep_geometry *geometry)
{
	uint32_t count = first_of(geometry, geometry->classes);
	struct overdue *overdue = calloc(1, sizeof *overdue + 2 * (size_t)count * sizeof(struct held));

	if (overdue)
		overdue->count = count;
	return overdue;
}

/* ---- lines ---- */

/* The producer may be filling the line for its next round: its predecessor's is published then. */
static bool may_be_changing(const struct ep_lane *lane, uint64_t position)
{
	/* Acquire: after the copy of the line's content. */
	atomic_thread_fence(memory_order_acquire);
	return ep_line_position(atomic_load_explicit(&lane->lines[(position - 1) & lane->mask].word,
						     memory_order_relaxed)) == position + lane->mask;
}

static void read_line(const struct ep_lane *lane, uint64_t position, uint64_t consumed, struct held *held)
{
	const struct ep_geometry *geometry = lane->geometry;
	struct ep_content content;

	ep_line_copy(&content, &lane->lines[position & lane->mask]);
	if (may_be_changing(lane, position) || content.kind != EP_KIND_BUFFER ||
	    content.buffer.class >= geometry->classes ||
	    content.buffer.index >= geometry->class[content.buffer.class].count)
		return;
	held += first_of(geometry, content.buffer.class) + content.buffer.index;
	if (position >= consumed)
		held->queued = true;
	else
		held->received = content.buffer.generation;
}

/* How many were published. What peers wrote is copied once and checked (I6); nonsense fools nobody but its channel. */
static uint64_t read_lines(const struct ep_lane *lane, struct held *held)
{
	/* Relaxed: too small a one makes more lines queued. */
	uint64_t consumed = atomic_load_explicit(&lane->head->consumed, memory_order_relaxed), published = 0;

	for (uint64_t i = 0; i <= lane->mask; i++) {
		/* Acquire, with the release in ep_send(): the line is whole. */
		uint64_t word = atomic_load_explicit(&lane->lines[i].word, memory_order_acquire);
		uint64_t position = ep_line_position(word);

		if (word == 0 || word != ep_line_word(position, EP_LINE_SENT) || (position & lane->mask) != i)
			continue;
		read_line(lane, position, consumed, held);
		if (position >= published)
			published = position + 1;
	}
	return published;
}

/* ---- buffers ---- */

/* One of us and ep_release() ends this use; a release that loses says so. Not marked as the ends of an epoch are: the
 * sender lives, and may give the buffer out again. */
static bool collect(const struct ep_lane *lane, uint32_t class, uint32_t index, uint64_t generation)
{
	uint64_t before = generation - 1;

	/* Acquire and release, as in ep_release(), whose place it takes. */
	return atomic_compare_exchange_strong_explicit(&lane->released[class][index], &before, generation,
						       memory_order_acq_rel, memory_order_relaxed);
}

/* True: it is held, for longer than it may. */
static bool note(struct held *held, uint64_t generation, uint64_t published, const struct overdue_options *options)
{
	bool received = held->received == generation;

	if (generation == 0 || held->queued || held->generation != generation) {
		*held = (struct held){ .generation = held->queued ? 0 : generation, .published = published,
				       .since = options->now, .certain = received };
		return false;
	}
	if (!held->certain) {
		held->certain = received || published > held->published;
		held->since = options->now;
	}
	held->received = 0;
	return held->certain && options->timeout && options->now - held->since >= options->timeout;
}

static void look_at(const struct ep_lane *lane, uint32_t class, struct held *held, uint64_t published,
		    const struct overdue_options *options, struct overdue_class *out)
{
	out->overdue = out->fresh = 0;
	for (uint32_t i = 0; i < lane->geometry->class[class].count; i++) {
		uint64_t generation = use_of(lane, class, i);

		if (!note(&held[i], generation, published, options))
			continue;
		if (options->collect && collect(lane, class, i, generation))
			out->fresh++;
		else
			out->overdue++;
	}
	out->collected += out->fresh;
}

const struct overdue_class *overdue_look(struct overdue **overdue, const struct ep_channel *channel,
					 enum ep_direction direction, const struct overdue_options *options)
{
	struct ep_lane lane = ep_channel_lane(channel, direction);
	struct held *held;
	uint64_t published;

	if (!*overdue && is_any_in_use(&lane))
		*overdue = make(lane.geometry);
	if (!*overdue)
		return NULL;
	held = (*overdue)->held + (direction == EP_TO_CLIENT ? (*overdue)->count : 0);
	published = read_lines(&lane, held);
	for (uint32_t class = 0; class < lane.geometry->classes; class++)
		look_at(&lane, class, held + first_of(lane.geometry, class), published, options,
			&(*overdue)->class[direction][class]);
	return (*overdue)->class[direction];
}

void overdue_free(struct overdue *overdue)
{
	free(overdue);
}
