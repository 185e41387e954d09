/* Buffers that a living receiver holds for too long. Looked at when somebody asks: nothing ticks, so what is held is
 * noted by one look, and overdue by a later one. */
#ifndef EPOCHD_OVERDUE_H
#define EPOCHD_OVERDUE_H

#include <stdbool.h>
#include <stdint.h>

#include "apilib/channel.h"

struct clients;
struct client;
struct overdue;

/* Of one direction and class. */
struct overdue_class {
	uint32_t overdue;      /* buffers; those that were collected are not */
	uint64_t collected;    /* ever, of this channel, from its living receiver */
};

struct overdue_options {
	int64_t timeout;       /* ns; 0: nothing is overdue */
	bool collect;          /* what is overdue is given back to its sender, and counted */
	int64_t now;           /* CLOCK_MONOTONIC, ns */
};

/* Of a client that is there. The result is the client's, until the next look. NULL: no memory. */
const struct overdue_class *overdue_look(struct clients *clients, struct client *client, enum ep_direction direction,
					 const struct overdue_options *options);
void overdue_free(struct overdue *overdue);   /* NULL is fine */
#endif
