/* A registry as its readers have it: the application, its clients, and whoever else may open the file. They
 * map it read-only and ask of a handle whether it is good (I3). */
#ifndef EPOCHD_REGISTRY_VIEW_H
#define EPOCHD_REGISTRY_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "apilib/registry.h"

struct ep_view {
	const struct ep_page *page;
	uint32_t slot_count;   /* as it was checked */
	uint32_t backed;       /* slots_backed, as last read; never less than it was */
};

/* Maps the registry that the descriptor is open on, after it was checked (I6). The descriptor stays the
 * caller's. A child of fork() does not have the mapping. *out: ep_view_unmap().
 *   -EBADMSG   not a registry: *why tells (static) */
int ep_view_map(struct ep_view *out, int fd, const char **why);
void ep_view_unmap(struct ep_view *view);   /* of a zeroed one, too */

enum ep_verdict {
	EP_HANDLE_GOOD,
	EP_HANDLE_STALE_EPOCH,        /* of an incarnation before the one in the fence */
	EP_HANDLE_STALE_GENERATION,   /* its slot was given to another client since */
	EP_HANDLE_FREE_SLOT,          /* its client is gone */
	EP_HANDLE_DOWN,               /* its epoch is the newest one, and does not serve */
	EP_HANDLE_NOT_ONE,            /* never given: 0, an epoch to come, a slot that there is not */
	EP_VERDICTS
};

const char *ep_verdict_name(enum ep_verdict verdict);   /* "good" ... "not_a_handle"; static */

/* Why a handle is not good. */
enum ep_verdict ep_handle_why(struct ep_view *view, uint64_t handle);

static inline const struct ep_slot *ep_view_slot(const struct ep_view *view, uint32_t index)
{
	return &ep_registry_slots(view->page)[index];
}

/* For fencing (channel.h): the supervisor calls ep_barrier(), and it reaches this process. */
bool ep_view_is_light(const struct ep_view *view);

/* I3: two loads decide. Any thread, for a view of its own; never blocks. */
static inline enum ep_verdict ep_handle_check(struct ep_view *view, uint64_t handle)
{
	/* Acquire, with the release in app_fence(): a moved fence is seen before anything that followed. */
	uint64_t fence = atomic_load_explicit(&view->page->fence, memory_order_acquire);

	if (ep_fence_serves(fence, ep_handle_epoch(handle)) && ep_handle_index(handle) < view->backed &&
	    /* Acquire, with the release of who fills the slot: what stands in it is its client's. */
	    atomic_load_explicit(&ep_view_slot(view, ep_handle_index(handle))->handle,
				 memory_order_acquire) == handle && handle)
		return EP_HANDLE_GOOD;
	return ep_handle_why(view, handle);
}
#endif
