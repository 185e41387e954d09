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

/* Between what a consumer stores of a message that it takes (`taken`) and its look at the fence word: we see it moved, or
 * whoever moved it sees what we stored. With ep_barrier() of the supervisor, who moves it and then reclaims
 * (clients_reclaim()), and of a producer who saw it move (take_back()). Those are rare, so whoever is `light` leaves the
 * fence to them, and only the compiler is kept from reordering. */
static inline void ep_fence_after_taking(const struct ep_fencing *fencing)
{
	if (fencing->light)
		atomic_signal_fence(memory_order_seq_cst);
	else
		atomic_thread_fence(memory_order_seq_cst);
}

/* Between a producer's line, and its looks at `armed` and the fence word: we see the consumer armed, or it sees the line;
 * and the same of the fence and the supervisor. With the fence in ep_arm(): a full one where the consumer is awake, an
 * ep_barrier() where it was EP_POLLING; and with that of clients_reclaim(). */
static inline void ep_fence_after_sending(const struct ep_fencing *fencing, const _Atomic uint32_t *armed)
{
	/* Relaxed: should it be the EP_POLLING of before an ep_barrier(), our line came before that as well. */
	if (fencing->light && atomic_load_explicit(armed, memory_order_relaxed) == EP_POLLING)
		atomic_signal_fence(memory_order_seq_cst);
	else
		atomic_thread_fence(memory_order_seq_cst);
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
