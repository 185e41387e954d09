#include <config.h>

#include "apilib/channel.h"
#include "apilib/channel_fence.h"

#include <errno.h>

int ep_buffer_at(const struct ep_producer *producer, const void *memory, struct ep_buffer *out)
{
	const struct ep_geometry *geometry = producer->lane.geometry;
	const unsigned char *at = memory;
	uint64_t word;
	size_t offset;

	/* Most payloads are elsewhere: found out without a division. */
	if (!ep_is_inside(producer, memory))
		return -ENOENT;
	for (uint32_t class = 0; class < geometry->classes; class++) {
		if (at < producer->lane.buffers[class])
			continue;
		offset = (size_t)(at - producer->lane.buffers[class]);
		if (offset / geometry->class[class].size >= geometry->class[class].count)
			continue;
		if (offset % geometry->class[class].size)
			return -EINVAL;
		out->class = class;
		out->index = (uint32_t)(offset / geometry->class[class].size);
		/* Relaxed: our own word. */
		word = atomic_load_explicit(&producer->lane.allocated[class][out->index],
					    memory_order_relaxed);
		out->generation = ep_allocated_generation(word);
		/* Acquire, with the release in ep_channel_reclaim(): where that ended the use, we see the fence moved. A
		 * peer that writes there makes its own channel's next message nonsense. */
		if (word == ep_allocated_word(out->generation, false) &&
		    atomic_load_explicit(&producer->lane.released[class][out->index],
					 memory_order_acquire) + 1 == out->generation)
			return 0;
		return ep_still_serves(&producer->fencing) ? -EINVAL : -ESTALE;
	}
	return -ENOENT;
}
