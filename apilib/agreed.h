/* What a client made of an application's table of messages: it finds each by the name, and both are sure of each other by the
 * CRC of the layout. */
#ifndef EPOCHD_AGREED_H
#define EPOCHD_AGREED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apilib/types.h"

struct epochd_type;   /* epochd.h */

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
