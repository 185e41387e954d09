/* A handle: 64 bits that name a client of one epoch. 0 is none.
 *
 *   63..40 epoch   39..20 generation   19..0 index
 *
 * The index says where the client's slot stands, the generation how often it was used in this epoch,
 * so that a handle is never given twice. */
#ifndef EPOCHD_HANDLE_H
#define EPOCHD_HANDLE_H

#include <stdint.h>

#define EP_INDEX_MAX 0xfffffu        /* 20 bits */
#define EP_GENERATION_MAX 0xfffffu   /* 20 bits; a slot that has used them up rests until the next epoch */

static inline uint64_t ep_handle_pack(uint32_t epoch, uint32_t generation, uint32_t index)
{
	return (uint64_t)epoch << 40 | (uint64_t)(generation & EP_GENERATION_MAX) << 20 |
	       (index & EP_INDEX_MAX);
}

static inline uint32_t ep_handle_epoch(uint64_t handle) { return (uint32_t)(handle >> 40); }
static inline uint32_t ep_handle_generation(uint64_t handle)
{
	return (uint32_t)(handle >> 20) & EP_GENERATION_MAX;
}
static inline uint32_t ep_handle_index(uint64_t handle) { return (uint32_t)handle & EP_INDEX_MAX; }
#endif
