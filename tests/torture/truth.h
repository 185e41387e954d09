/* What was lost in a channel whose ends are both dead and which has been counted, read from the channel itself. */
#ifndef EPOCHD_TESTS_TRUTH_H
#define EPOCHD_TESTS_TRUTH_H

#include "apilib/channel.h"

struct truth {
	uint64_t sent, received;               /* messages, of one direction */
	uint64_t reclaimed, reclaimed_bytes;
	uint64_t allocated, released;          /* buffers: uses begun, and ended by a peer */
	uint64_t in_reclaimed;
	struct ep_collected abandoned, held;
	/* Collected as one or the other: its sender was sending it while the fence moved, and took it back. */
	struct ep_collected either;
	bool in_order;                         /* each line reclaimed holds the message of its number */
};

/* outlived: its client lived when it was counted. What that allocated afterwards was in vain. */
struct truth truth_of(const struct ep_channel *channel, enum ep_direction direction, bool outlived);
#endif
