#include <config.h>

#include "apilib/channel_layout.h"
#include "apilib/geometry.h"

#include <errno.h>
#include <stdbool.h>

const struct ep_geometry ep_geometry_default = {
	.ring = 128,
	.classes = 3,
	.class = { { 256, 64 }, { 2048, 32 }, { 16384, 8 } },
};

static int refuse(const char **why, const char *text)
{
	*why = text;
	return -EINVAL;
}

static int check_class(const struct ep_class *class, uint32_t size_before, const char **why)
{
	if (class->size < EP_BUFFER_MIN || class->size > EP_BUFFER_MAX || class->size % 64)
		return refuse(why, "a buffer has 64 bytes to 16 MiB, in steps of 64");
	if (!class->count || class->count > EP_BUFFERS_MAX)
		return refuse(why, "a class has 1 to 65,536 buffers");
	if (class->size <= size_before)
		return refuse(why, "the sizes of the classes must grow");
	return 0;
}

int ep_geometry_check(const struct ep_geometry *geometry, const char **why)
{
	uint32_t i, size = 0;
	int r;

	if (geometry->ring < EP_RING_MIN || geometry->ring > EP_RING_MAX ||
	    (geometry->ring & (geometry->ring - 1)))
		return refuse(why, "a ring has 2 to 32,768 lines, a power of two");
	if (geometry->classes > EP_CLASSES_MAX)
		return refuse(why, "there are 6 classes at most");
	for (i = 0; i < geometry->classes; i++) {
		r = check_class(&geometry->class[i], size, why);
		if (r < 0)
			return r;
		size = geometry->class[i].size;
	}
	/* Nothing above overflows: 6 classes of 2^16 buffers of 2^24 bytes are less than 2^43. */
	if (ep_geometry_size(geometry) > EP_CHANNEL_MAX)
		return refuse(why, "a channel has 4 GiB at most");
	return 0;
}

static size_t up_to(size_t size, size_t step)
{
	return (size + step - 1) / step * step;
}

void ep_geometry_places(const struct ep_geometry *geometry, struct ep_places *places)
{
	size_t at = sizeof(struct ep_lane_head);
	uint32_t i;
	int way;

	*places = (struct ep_places){ .lines = at };
	at += geometry->ring * sizeof(struct ep_line);
	for (i = 0; i < geometry->classes; i++) {
		places->allocated[i] = at;
		at += up_to(geometry->class[i].count * sizeof(uint64_t), 64);
		places->released[i] = at;
		at += up_to(geometry->class[i].count * sizeof(uint64_t), 64);
	}
	/* One line for both, so that it costs a small channel no page. */
	places->allocated[EP_CLASS_LARGE] = at;
	places->released[EP_CLASS_LARGE] = at + EP_LARGE_SLOTS * sizeof(uint64_t);
	at += 2 * EP_LARGE_SLOTS * sizeof(uint64_t);
	places->lane[0] = EP_LANES_AT;
	places->lane[1] = EP_LANES_AT + at;
	places->backed = at = up_to(EP_LANES_AT + 2 * at, EP_PAGE);   /* the buffers come with their first use */
	for (way = 0; way < 2; way++)
		for (i = 0; i < geometry->classes; i++) {
			places->buffers[way][i] = at;
			at += (size_t)geometry->class[i].size * geometry->class[i].count;
		}
	places->size = up_to(at, EP_PAGE);
}

size_t ep_geometry_size(const struct ep_geometry *geometry)
{
	struct ep_places places;

	ep_geometry_places(geometry, &places);
	return places.size;
}

static const struct ep_class *find(const struct ep_geometry *geometry, uint32_t size)
{
	uint32_t i;

	for (i = 0; i < geometry->classes; i++)
		if (geometry->class[i].size == size)
			return &geometry->class[i];
	return NULL;
}

int ep_geometry_within(struct ep_geometry *out, const struct ep_geometry *offered,
		       const struct ep_geometry *wanted, const char **why)
{
	const struct ep_class *class;
	uint32_t i;
	int r;

	if (!wanted->ring) {
		*out = *offered;
		return 0;
	}
	r = ep_geometry_check(wanted, why);
	if (r < 0)
		return r;
	if (wanted->ring > offered->ring)
		return refuse(why, "more lines than the application offers");
	for (i = 0; i < wanted->classes; i++) {
		class = find(offered, wanted->class[i].size);
		if (!class || class->count < wanted->class[i].count)
			return refuse(why, "buffers that the application does not offer");
	}
	*out = *wanted;
	return 0;
}
