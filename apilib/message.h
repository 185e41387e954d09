/* The table in which an application tells its clients of its messages. A message's number on the wire is its place in
 * that table, from 1 on; a client finds it by the name, and both are sure of each other by the CRC of the layout. */
#ifndef EPOCHD_MESSAGE_H
#define EPOCHD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apilib/types.h"

struct epochd_type;   /* epochd.h */

enum {
	EP_TYPES_MAX = 4096,
	EP_MODULE_VERSION_MAX = 31,   /* bytes */
};

/* Appends one record of the table to packet[*used..size): how it is on the wire is message.c's own.
 * -ENOSPC: no room, nothing was written. */
int ep_table_put(unsigned char *packet, size_t size, size_t *used, const struct epochd_type *type);
/* Of a module, before its messages. Both texts checked. */
int ep_table_put_module(unsigned char *packet, size_t size, size_t *used, const char *name, const char *version);

struct ep_record {
	const char *text;   /* in the table: a layout, which is yet to be parsed; of a module "name version" */
	uint32_t crc;       /* of it, and right */
	uint32_t flags;
	bool is_module;
};

/* 1: the next one, and *at (0 at the begin) is behind it; 0: there is none; -EPROTO: that is no table. */
int ep_table_next(const unsigned char *table, size_t size, size_t *at, struct ep_record *out);

/* What a client made of an application's table. */
struct ep_agreed {
	struct ep_types types;        /* own ones; or, if it adopts them, the application's */
	bool adopts;
	uint16_t *wire_of;    /* of each own type: its number on the wire; 0: the application has none such */
	uint32_t *type_of;    /* of each number on the wire: the own type, or UINT32_MAX; [0] is unused */
	uint32_t wire_count;  /* numbers there are, and one */
	uint32_t room;
	struct epochd_type *adopted, **parsed;
};

/* adopts: types has none of its own. -ENOMEM. */
int ep_agreed_init(struct ep_agreed *out, const struct ep_types *types, bool adopts);
void ep_agreed_deinit(struct ep_agreed *agreed);           /* of a zeroed one, too */
void ep_agreed_forget(struct ep_agreed *agreed);           /* the table comes anew */

/* Takes the bytes of one TABLE, the next in their order. A type of that name with another CRC: -ENOMSG, and
 * why has both layouts. -EPROTO: that is no table. -ENOMEM. */
int ep_agreed_take(struct ep_agreed *agreed, const unsigned char *table, size_t size, char *why, size_t why_size);
#endif
