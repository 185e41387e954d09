/* Buffers beside the classes: each a sealed memfd of its own, of a power of two bytes, that the supervisor makes when one
 * side asks for it, and that both sides keep and use again until the channel is over. Their words stand in the channel as
 * those of one more class, EP_CLASS_LARGE, so all that is true of a buffer is true of them; only where they lie, and how
 * large they are, each side knows by itself (I6). */
#ifndef EPOCHD_LARGE_H
#define EPOCHD_LARGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "apilib/channel.h"

/* log2 of the size of the one that has room for so many bytes; 0: none is as large. */
uint8_t ep_large_log(uint64_t size);
static inline uint64_t ep_large_size(uint8_t log) { return log ? 1ull << log : 0; }

/* The memfd of one, sealed; its memory comes with its first use. Supervisor only. -ENOMEM, -EMFILE, -ENFILE. */
int ep_large_create(uint8_t log);

/* From now on the channel has it, and the lane, which is of that direction: PROT_READ for a consumer, with PROT_WRITE for a
 * producer. The fd stays the caller's.
 *   -EBADMSG   it is not sealed so, or of another size, or there is one of that index already */
int ep_large_add(struct ep_channel *channel, enum ep_direction direction, struct ep_lane *lane, uint32_t index, uint8_t log,
		 int fd, int prot);
/* ep_large_add() for whoever sends there, who from now on also looks there for payloads. */
int ep_large_add_to_producer(struct ep_channel *channel, enum ep_direction direction, struct ep_producer *producer,
			     uint32_t index, uint8_t log, int fd);
void ep_large_unmap(struct ep_lane *lane);   /* all of them; of a zeroed lane, too */

/* What a side that sends has asked the supervisor for. */
struct ep_wish {
	bool asked;          /* and not heard yet */
	int refused;         /* what it heard: said once, then it may ask again; 0 */
	uint64_t size;       /* of the one that it was refused, a power of two */
};

/* None is large enough (-ENOENT), or those that are are in use (-EAGAIN): 0: the supervisor is to be asked for one of that
 * size; or what whoever wants it is told: -EAGAIN, -EMSGSIZE. */
int ep_wish_for(struct ep_wish *wish, int r, uint64_t size);
void ep_wish_heard(struct ep_wish *wish, int error, uint64_t size);

/* A free one of `size` bytes or more, the smallest there is; otherwise as ep_allocate().
 *   -EAGAIN   those that are large enough are all in use
 *   -ENOENT   none is large enough: the supervisor may make one */
int ep_large_allocate(struct ep_producer *producer, size_t size, struct ep_buffer *out, void **memory);
#endif
