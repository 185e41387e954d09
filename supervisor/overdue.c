#include <config.h>

#include "supervisor/overdue.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/clients.h"

/* One use of one buffer, as the last look found it in its receiver's hands; generation 0: it was not. */
struct held {
	uint64_t generation;
	int64_t since;
	bool queued;   /* in this look: in a line that nobody received yet */
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

static struct overdue *overdue_of(struct client *client)
{
	const struct ep_geometry *geometry = &client->channel.geometry;
	uint32_t count = first_of(geometry, geometry->classes);

	if (client->overdue)
		return client->overdue;
	client->overdue = calloc(1, sizeof *client->overdue + 2 * (size_t)count * sizeof(struct held));
	if (client->overdue)
		client->overdue->count = count;
	return client->overdue;
}

/* What peers write is copied once and checked (I6). Relaxed, all: a look may be late, but a use that stood there in two
 * of them is one that was not ended between. */
static void mark_queued(const struct ep_lane *lane, struct held *held)
{
	const struct ep_geometry *geometry = lane->geometry;
	uint64_t at = atomic_load_explicit(&lane->head->consumed, memory_order_relaxed), end = at + lane->mask + 1;
	struct ep_content content;

	for (; at < end; at++) {
		const struct ep_line *line = &lane->lines[at & lane->mask];

		/* Acquire, with the release in ep_send(): the line is whole. */
		if (atomic_load_explicit(&line->word, memory_order_acquire) != ep_line_word(at, EP_LINE_SENT))
			continue;
		ep_line_copy(&content, line);
		if (content.kind == EP_KIND_BUFFER && content.buffer.class < geometry->classes &&
		    content.buffer.index < geometry->class[content.buffer.class].count)
			held[first_of(geometry, content.buffer.class) + content.buffer.index].queued = true;
	}
}

/* The use that its receiver has in hand; 0: none. */
static uint64_t use_of(const struct ep_lane *lane, uint32_t class, uint32_t index, bool queued)
{
	uint64_t begun = atomic_load_explicit(&lane->allocated[class][index], memory_order_relaxed);
	uint64_t generation = ep_allocated_generation(begun);

	if (queued || begun != ep_allocated_word(generation, true) ||
	    atomic_load_explicit(&lane->released[class][index], memory_order_relaxed) + 1 != generation)
		return 0;
	return generation;
}

/* One of us and ep_release() ends this use; a release that loses says so. Not marked as the ends of an epoch are: the
 * sender lives, and may give the buffer out again. */
static bool collect(const struct ep_lane *lane, uint32_t class, uint32_t index, uint64_t generation)
{
	uint64_t before = generation - 1;

	/* Acquire and release, as in ep_release(), whose place it takes. */
	return atomic_compare_exchange_strong_explicit(&lane->released[class][index], &before, generation,
						       memory_order_acq_rel, memory_order_relaxed);
}

static void look_at(const struct ep_lane *lane, uint32_t class, struct held *held, const struct overdue_options *options,
		    struct overdue_class *out)
{
	out->overdue = 0;
	for (uint32_t i = 0; i < lane->geometry->class[class].count; i++) {
		uint64_t generation = use_of(lane, class, i, held[i].queued);

		held[i].queued = false;
		if (generation == 0 || generation != held[i].generation) {
			held[i] = (struct held){ .generation = generation, .since = options->now };
			continue;
		}
		if (!options->timeout || options->now - held[i].since < options->timeout)
			continue;
		if (options->collect && collect(lane, class, i, generation)) {
			out->collected++;
			held[i].generation = 0;
		} else {
			out->overdue++;
		}
	}
}

const struct overdue_class *overdue_look(struct clients *clients, struct client *client, enum ep_direction direction,
					 const struct overdue_options *options)
{
	struct ep_lane lane = ep_channel_lane(&client->channel, direction);
	struct overdue *overdue = overdue_of(client);
	struct held *held;

	if (!overdue)
		return NULL;
	held = overdue->held + (direction == EP_TO_CLIENT ? overdue->count : 0);
	mark_queued(&lane, held);
	for (uint32_t class = 0; class < lane.geometry->classes; class++) {
		struct overdue_class *out = &overdue->class[direction][class];
		uint64_t before = out->collected;

		look_at(&lane, class, held + first_of(lane.geometry, class), options, out);
		if (out->collected > before)
			clients_collected(clients, client, out->collected - before, lane.geometry->class[class].size);
	}
	return overdue->class[direction];
}

void overdue_free(struct overdue *overdue)
{
	free(overdue);
}
