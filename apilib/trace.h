/* A trace of an application's messages: a file in the instance's directory in /dev/shm that the supervisor made, and in
 * which the application writes what it receives and sends. So it outlives either, and both. A header, the table of messages
 * (records as in message.h), then a ring of bytes. One writes at a time; readers copy, and then look what of their copy was
 * not written over meanwhile. A kill anywhere leaves whole records between `tail` and `head` (I5).
 *
 * Offsets in the ring are odometers: bytes ever written. A record never wraps: where it would, the rest of the ring is
 * skipped. In the byte order of the host, which the magic number tells. */
#ifndef EPOCHD_TRACE_H
#define EPOCHD_TRACE_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apilib/registry.h"

#define EP_TRACE_MAGIC 0x3165636172545045ull   /* "EPTrace1" */

enum {
	EP_TRACE_LAYOUT = 1,
	EP_TRACE_HEADER = 4096,              /* bytes */
	EP_TRACE_RING_MIN = 64 << 10,
	EP_TRACE_RING_MAX = 64 << 20,        /* bytes; a power of two. All of it is allocated at once */
	EP_TRACE_TABLE_MAX = 1 << 20,        /* bytes */
	EP_TRACE_PAYLOAD_MAX = 64 << 10,     /* bytes; of a larger one the begin is written, or as much as an eighth of the ring */
};

enum ep_trace_mode { EP_TRACE_LAST, EP_TRACE_FIRST };   /* what is kept when it is full */

struct ep_trace_header {
	uint64_t magic;
	uint32_t layout;
	uint32_t mode;             /* enum ep_trace_mode */
	uint64_t ring;             /* bytes */
	uint64_t messages_max;     /* as many are kept; 0: as fit */
	uint32_t table;            /* bytes of it, from EP_TRACE_HEADER on; the ring begins at the next multiple of that */
	uint32_t epoch;
	uint32_t on;               /* the supervisor's: 0 when it is to be written no more */
	uint32_t reserved;
	char app[EP_NAME_SIZE];
	char uuid[EP_UUID_SIZE];   /* of the instance */
	int64_t began_at;          /* CLOCK_REALTIME, ns */

	/* The application's. */
	alignas(64) _Atomic uint64_t head;       /* behind the last record */
	_Atomic uint64_t tail;                   /* where the first begins that is kept */
	_Atomic uint64_t messages;               /* ever written */
	_Atomic uint64_t first;                  /* number of the one at `tail`, from 0 on */
	_Atomic uint64_t missed;                 /* not written: it is full, of the first */
};
static_assert(sizeof(struct ep_trace_header) <= EP_TRACE_HEADER, "layout 1");

enum ep_trace_kind {
	EP_TRACE_RECEIVED = 1,
	EP_TRACE_SENT,
	EP_TRACE_UNSENT,     /* the one before of that handle could not be sent after all */
	EP_TRACE_SKIP,       /* none, and only its first 8 bytes may be there */
};

struct ep_trace_record {
	uint32_t size;             /* of the record and what follows, a multiple of 8 */
	uint16_t kind;             /* enum ep_trace_kind */
	uint16_t type;             /* its number in the table, from 1 on */
	uint32_t payload;          /* bytes that the message had */
	uint32_t kept;             /* of those, how many follow */
	uint64_t handle, context;
	int64_t at;                /* CLOCK_REALTIME, ns */
};
static_assert(sizeof(struct ep_trace_record) == 40, "layout 1");

static inline uint64_t ep_trace_ring_at(uint32_t table)
{
	return EP_TRACE_HEADER + ((uint64_t)table + EP_TRACE_HEADER - 1) / EP_TRACE_HEADER * EP_TRACE_HEADER;
}

/* Is it one, of a file of that size? */
bool ep_trace_is_good(const struct ep_trace_header *header, uint64_t file_size);
/* A copy, which nobody else can change (I6). -EBADMSG: it is no trace. */
int ep_trace_read_header(int fd, struct ep_trace_header *out);

struct ep_trace {
	struct ep_trace_header *header;
	unsigned char *ring;
	uint64_t mask;
	size_t size;               /* of the mapping */
};

/* Maps what the supervisor made, for writing. The fd stays the caller's. A child of fork() does not have the mapping.
 * -EBADMSG: it is no trace. */
int ep_trace_map(struct ep_trace *out, int fd);
void ep_trace_unmap(struct ep_trace *trace);   /* of a zeroed one, too */

struct ep_traced {
	enum ep_trace_kind kind;
	uint16_t type;
	uint64_t handle, context;
	const void *payload;
	uint32_t size;
};
/* One thread at a time. Never blocks. */
void ep_trace_write(struct ep_trace *trace, const struct ep_traced *message);
#endif
