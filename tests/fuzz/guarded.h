/* A channel between two stretches of address space that nobody may touch, so that whoever leaves it is caught, also
 * by offsets of 32 bits times a line or a buffer; and what everybody must find within. For the fuzzers, and
 * check_hostile.c. */
#ifndef EPOCHD_TESTS_GUARDED_H
#define EPOCHD_TESTS_GUARDED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "apilib/channel.h"

#define GUARD ((size_t)1 << 34)

struct guarded {
	struct ep_channel channel;
	unsigned char *begin;
	int memfd;
	_Atomic uint64_t fence;
};

static inline void guarded_open(struct guarded *out, const struct ep_geometry *geometry)
{
	size_t size = ep_geometry_size(geometry);

	out->memfd = ep_channel_create(geometry);
	out->begin = mmap(NULL, size + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (out->memfd < 0 || out->begin == MAP_FAILED)
		abort();
	out->channel = (struct ep_channel){ .base = out->begin + GUARD, .size = size, .geometry = *geometry };
	ep_geometry_places(geometry, &out->channel.places);
	if (mmap(out->channel.base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, out->memfd, 0) ==
	    MAP_FAILED)
		abort();
}

static inline void guarded_close(struct guarded *guarded)
{
	munmap(guarded->begin, guarded->channel.size + 2 * GUARD);
	close(guarded->memfd);
}

static inline bool guarded_has(const struct guarded *guarded, const void *memory, size_t size)
{
	const unsigned char *at = memory;

	return at >= guarded->channel.base && size <= guarded->channel.size &&
	       (size_t)(at - guarded->channel.base) <= guarded->channel.size - size;
}

static inline bool guarded_is_buffer(const struct guarded *guarded, const struct ep_buffer *buffer)
{
	const struct ep_geometry *geometry = &guarded->channel.geometry;

	return buffer->class < geometry->classes && buffer->index < geometry->class[buffer->class].count;
}

static inline bool guarded_is_message(const struct guarded *guarded, const struct ep_received *received)
{
	if (!received->is_buffer)
		return received->content.size <= EP_INLINE;
	return guarded_is_buffer(guarded, &received->content.buffer) &&
	       received->content.size <= guarded->channel.geometry.class[received->content.buffer.class].size &&
	       guarded_has(guarded, received->in_place, received->content.size);
}

/* No more than one direction holds. */
static inline bool guarded_holds(const struct guarded *guarded, const struct ep_reclaimed *counts)
{
	const struct ep_geometry *geometry = &guarded->channel.geometry;
	uint64_t buffers = 0, bytes = 0;

	for (uint32_t i = 0; i < geometry->classes; i++) {
		buffers += geometry->class[i].count;
		bytes += (uint64_t)geometry->class[i].count * geometry->class[i].size;
	}
	return counts->messages <= geometry->ring && counts->bytes <= bytes + geometry->ring * EP_INLINE &&
	       counts->buffers + counts->abandoned.buffers + counts->held.buffers <= buffers &&
	       counts->buffer_bytes + counts->abandoned.bytes + counts->held.bytes <= bytes;
}
#endif
