/* Buffers that a living receiver holds for too long. Looked at when somebody asks: nothing ticks, so what is held is
 * noted by one look, and overdue by a later one. */
#ifndef EPOCHD_OVERDUE_H
#define EPOCHD_OVERDUE_H

#include <stdbool.h>
#include <stdint.h>

#include "apilib/channel.h"

struct overdue;   /* what the looks at a channel remember */

/* Of one direction and class. */
struct overdue_class {
	uint32_t overdue;      /* buffers; those that were collected are not */
	uint32_t fresh;        /* collected by this look: to be counted by whoever asked */
	uint64_t collected;    /* by all of them */
};

struct overdue_options {
	int64_t timeout;       /* ns; 0: nothing is overdue */
	bool collect;          /* what is overdue is given back to its sender */
	int64_t now;           /* CLOCK_MONOTONIC, ns */
};

/* *overdue: NULL before the first look that finds a buffer in use. The result has a class for each of the channel's and
 * is good until the next look; NULL: nothing was ever in use, or memory is out. */
const struct overdue_class *overdue_look(struct overdue **overdue, const struct ep_channel *channel,
					 enum ep_direction direction, const struct overdue_options *options);
void overdue_free(struct overdue *overdue);   /* NULL is fine */
#endif
