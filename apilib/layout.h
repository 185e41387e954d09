/* The layout of a message as text, "kv.value(u64 key, u32 found, text value[32], ...)": what two sides agree on by
 * its CRC, and from which a side that has never seen the declaration can make it again. */
#ifndef EPOCHD_LAYOUT_H
#define EPOCHD_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

struct epochd_type;   /* epochd.h */

enum {
	EP_TYPE_NAME_MAX = 63,        /* bytes */
	EP_TYPE_LAYOUT_MAX = 4095,
};

/* Offset and size of an element of each field follow from the kinds, as in C: *size is that of the struct.
 * -EINVAL: *why (static) tells what is wrong with the type. */
int ep_type_check(const struct epochd_type *type, const char **why);

/* "kv.value(u64 key, u32 found, text value[32], ...)" into text; its length, or -ENAMETOOLONG. */
int ep_type_layout(const struct epochd_type *type, char *text, size_t size);

/* CRC-32 (IEEE 802.3, reflected) of the layout. */
uint32_t ep_layout_crc(const char *layout);

/* Of one element, bytes, and what it is aligned to. kind: a known one. */
uint32_t ep_kind_size(uint32_t kind);

/* The type that has that layout, and these flags besides; the text may be anybody's. *out: free(). -EINVAL, -ENOMEM. */
int ep_layout_parse(struct epochd_type **out, const char *layout, uint32_t flags);
#endif
