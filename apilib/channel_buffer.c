#include <config.h>

#include "apilib/channel.h"
#include "apilib/channel_fence.h"

#include <errno.h>

static int find_large(const struct ep_lane *lane, const unsigned char *at, struct ep_buffer *out)
{
	for (uint32_t i = 0; i < EP_LARGE_SLOTS; i++) {
		if (at < lane->large[i].base || at >= lane->large[i].base + lane->large[i].size)
			continue;
		out->class = EP_CLASS_LARGE;
		out->index = i;
		return at == lane->large[i].base ? 0 : -EINVAL;
	}
	return -ENOENT;
}

static int find(const struct ep_lane *lane, const unsigned char *at, struct ep_buffer *out)
{
	const struct ep_geometry *geometry = lane->geometry;
	size_t offset;

	for (uint32_t class = 0; class < geometry->classes; class++) {
		if (at < lane->buffers[class])
			continue;
		offset = (size_t)(at - lane->buffers[class]);
		if (offset / geometry->class[class].size >= geometry->class[class].count)
			continue;
		if (offset % geometry->class[class].size)
			return -EINVAL;
		out->class = class;
		out->index = (uint32_t)(offset / geometry->class[class].size);
		return 0;
	}
	return find_large(lane, at, out);
}

/* Ours to send? */
static int check_use(const struct ep_producer *producer, struct ep_buffer *buffer)
{
	/* Relaxed: our own word. */
	uint64_t word = atomic_load_explicit(&producer->lane.allocated[buffer->class][buffer->index],
					     memory_order_relaxed);

	buffer->generation = ep_allocated_generation(word);
	/* Acquire, with the release in ep_channel_reclaim(): where that ended the use, we see the fence moved. A peer that
	 * writes there makes its own channel's next message nonsense. */
	if (word == ep_allocated_word(buffer->generation, false) &&
	    atomic_load_explicit(&producer->lane.released[buffer->class][buffer->index],
				 memory_order_acquire) + 1 == buffer->generation)
		return 0;
	return ep_still_serves(&producer->fencing) ? -EINVAL : -ESTALE;
}

int ep_buffer_at(const struct ep_producer *producer, const void *memory, struct ep_buffer *out)
{
	int r;

	/* Most payloads are elsewhere: found out without a division. */
	if (!ep_is_inside(producer, memory))
		return -ENOENT;
	r = find(&producer->lane, memory, out);
	return r == 0 ? check_use(producer, out) : r;
}
