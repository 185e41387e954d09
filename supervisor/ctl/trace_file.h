/* A file that `epochctl trace save` wrote, or the supervisor at the end of an epoch (apilib/trace.h): read whole, and
 * checked as it is read, since it may be anybody's. */
#ifndef EPOCHD_CTL_TRACE_FILE_H
#define EPOCHD_CTL_TRACE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "apilib/epochd.h"
#include "apilib/trace.h"

struct trace_file {
	struct ep_trace_header header;
	struct epochd_type **types;      /* by number - 1 */
	uint32_t type_count;
	unsigned char *bytes;            /* all of it */
	const unsigned char *ring;
	uint64_t head, tail;
};

/* -EPROTO: it is no trace, or one of another kind: why tells; other errors: it cannot be read. */
int trace_file_open(struct trace_file **out, const char *path, char *why, size_t why_size);
void trace_file_close(struct trace_file *file);   /* NULL is fine */

struct trace_entry {
	uint64_t number;                 /* from 1 on, counted from the begin of the trace */
	enum ep_trace_kind kind;
	uint32_t type;                   /* of file->types */
	uint64_t handle, context;
	int64_t at;                      /* CLOCK_REALTIME, ns */
	const unsigned char *payload;    /* `kept` bytes of `size` */
	uint32_t size, kept;
};
struct trace_cursor { uint64_t at, number; };

/* 1: the next one; 0: there is none; -EPROTO: what follows is no record. cursor: zeroed at first. */
int trace_file_next(const struct trace_file *file, struct trace_cursor *cursor, struct trace_entry *out);
#endif
