/* What both ends of a channel ask of the fence word (I3). */
#ifndef EPOCHD_CHANNEL_FENCE_H
#define EPOCHD_CHANNEL_FENCE_H

#include "apilib/channel.h"
#include "apilib/fence.h"

static inline bool ep_still_serves(const struct ep_fencing *fencing)
{
	/* Acquire, with the release in app_fence(): who sees it moved also sees what was consumed by
	 * those who had not (ep_send(), ep_receive()). */
	return ep_fence_serves(atomic_load_explicit(fencing->word, memory_order_acquire),
			       fencing->epoch);
}

/* Settles a line that was in hand when the fence moved: true, if it is ours. */
static inline bool ep_settle(struct ep_line *line, uint64_t position, enum ep_line_state state)
{
	uint64_t sent = ep_line_word(position, EP_LINE_SENT);

	/* Acquire and release, with the same of the two others who settle: one of them wins, and what it
	 * wrote before is seen by whoever loses. */
	return atomic_compare_exchange_strong_explicit(&line->word, &sent,
						       ep_line_word(position, state),
						       memory_order_acq_rel, memory_order_acquire);
}
#endif
