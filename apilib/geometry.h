/* The geometry of a channel: how many lines a ring has and which buffers there are, and where each of
 * them stands. Both peers work with a copy of it that was checked once (I6): what stands in shared
 * memory is only looked at while that copy is made. */
#ifndef EPOCHD_GEOMETRY_H
#define EPOCHD_GEOMETRY_H

#include <stddef.h>
#include <stdint.h>

enum {
	EP_CLASSES_MAX = 6,
	EP_RING_MIN = 2, EP_RING_MAX = 32768,              /* lines; a power of two */
	EP_BUFFER_MIN = 64, EP_BUFFER_MAX = 16 << 20,      /* bytes; a multiple of 64 */
	EP_BUFFERS_MAX = 65536,                            /* of one class */
	EP_CLASS_LARGE = EP_CLASSES_MAX,                   /* buffers beside the classes: large.h */
	EP_LARGE_SLOTS = 4,                                /* of them, in each direction */
	EP_LARGE_LOG_MIN = 16, EP_LARGE_LOG_MAX = 30,      /* 64 KiB to 1 GiB */
};
#define EP_CHANNEL_MAX ((size_t)1 << 32)               /* bytes, both directions */

struct ep_class {
	uint32_t size;    /* bytes of one buffer */
	uint32_t count;
};

struct ep_geometry {
	uint32_t ring;      /* lines, in each direction */
	uint32_t classes;   /* how many of the next are used; 0: only what fits into a line is sent */
	struct ep_class class[EP_CLASSES_MAX];   /* sizes grow */
};

/* Where the parts of a channel stand, in bytes. What small clients need of it stands close together: both directions'
 * heads, lines and words; the buffers after them, on pages of their own. */
struct ep_places {
	size_t lane[2];                        /* each direction's head, from the begin; from there: */
	size_t lines;
	size_t allocated[EP_CLASSES_MAX + 1];  /* a word for each buffer: uses begun, written by the sender */
	size_t released[EP_CLASSES_MAX + 1];   /* a word for each buffer: uses ended */
	size_t buffers[2][EP_CLASSES_MAX];     /* from the begin of the channel */
	size_t backed;                         /* up to here it is allocated when it is made: whole pages */
	size_t size;                           /* of all: whole pages */
};

/* "128 lines, 64x256 ..." as in `channel`; what the design gives where nothing is configured. */
extern const struct ep_geometry ep_geometry_default;

/* 0, or -EINVAL: *why (static) tells a person what is wrong. */
int ep_geometry_check(const struct ep_geometry *geometry, const char **why);

/* Of a geometry that was checked. */
void ep_geometry_places(const struct ep_geometry *geometry, struct ep_places *places);

/* Bytes of a channel. */
size_t ep_geometry_size(const struct ep_geometry *geometry);

/* What a client asks for, within what the application offers: no more lines, of each class no more and no
 * other buffers. 0 lines: as offered. 0, or -EINVAL with *why. */
int ep_geometry_within(struct ep_geometry *out, const struct ep_geometry *offered,
		       const struct ep_geometry *wanted, const char **why);
#endif
