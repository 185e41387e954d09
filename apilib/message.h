/* The table in which an application tells of its messages. A message's number on the wire is its place in that table, from
 * 1 on. */
#ifndef EPOCHD_MESSAGE_H
#define EPOCHD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
	uint32_t crc;       /* of it, as it says: ep_record_is_whole() */
	uint32_t flags;
	bool is_module;
};

/* Its CRC is that of its text. For whoever reads a table that nobody has checked before. */
bool ep_record_is_whole(const struct ep_record *record);

/* 1: the next one, and *at (0 at the begin) is behind it; 0: there is none; -EPROTO: that is no table. */
int ep_table_next(const unsigned char *table, size_t size, size_t *at, struct ep_record *out);
#endif
