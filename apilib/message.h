/* The types of messages: their layouts as text, the CRCs of these, and the table in which an application tells
 * its clients of them. A message's number on the wire is its place in the application's table, from 1 on;
 * a client finds it by the name, and both are sure of each other by the CRC. */
#ifndef EPOCHD_MESSAGE_H
#define EPOCHD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct epochd_type;   /* epochd.h */

enum {
	EP_TYPES_MAX = 4096,
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

/* Appends one record of the table to packet[*used..size): how it is on the wire is message.c's own.
 * -ENOSPC: no room, nothing was written. */
int ep_table_put(unsigned char *packet, size_t size, size_t *used, const struct epochd_type *type);

/* What a client made of an application's table. */
struct ep_agreed {
	uint16_t *wire_of;    /* of each own type: its number on the wire; 0: the application has none such */
	uint32_t count;       /* own types */
	uint32_t *type_of;    /* of each number on the wire: the own type, or UINT32_MAX; [0] is unused */
	uint32_t wire_count;  /* numbers there are, and one */
	uint32_t room;
};

int ep_agreed_init(struct ep_agreed *out, size_t count);   /* -ENOMEM */
void ep_agreed_deinit(struct ep_agreed *agreed);           /* of a zeroed one, too */
void ep_agreed_forget(struct ep_agreed *agreed);           /* the table comes anew */

/* Takes the bytes of one TABLE, the next in their order. A type of that name with another CRC: -ENOMSG, and
 * why has both layouts. -EPROTO: that is no table. -ENOMEM. */
int ep_agreed_take(struct ep_agreed *agreed, const struct epochd_type *types, const unsigned char *table,
		   size_t size, char *why, size_t why_size);
#endif
