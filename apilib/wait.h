/* How long to poll before sleeping. A wake-up across cores costs 30 to 40 us, so that is what polling may cost
 * at most. Judged by how long waits really were, sleep included: judged by the polls that succeeded it would stay
 * with whatever it began with. */
#ifndef EPOCHD_WAIT_H
#define EPOCHD_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "apilib/epochd.h"

enum {
	EP_SPIN_NS = 40000,          /* what a wake-up costs */
	EP_SPIN_WORTH_NS = 80000,    /* a wait of this length was a short one, and a wake-up: polling had got it */
	EP_SPINS_A_LOOK = 64,        /* polls between two looks at the clock */
};

struct ep_wait {
	enum epochd_wait mode;
	bool alone;            /* on one processor, the other side cannot run while we poll */
	int64_t usual;         /* ns: moving average of the waits */
};

void ep_wait_init(struct ep_wait *out, enum epochd_wait mode);

/* Otherwise no clock need be asked: what was usual decides nothing. */
static inline bool ep_wait_learns(const struct ep_wait *wait)
{
	return wait->mode == EPOCHD_ADAPTIVE && !wait->alone;
}

static inline bool ep_wait_spins(const struct ep_wait *wait)
{
	return wait->mode == EPOCHD_BUSY ||
	       (ep_wait_learns(wait) && wait->usual < EP_SPIN_WORTH_NS);
}

static inline void ep_wait_took(struct ep_wait *wait, int64_t ns)
{
	/* One long wait is not all of them. */
	if (ns > 4 * EP_SPIN_WORTH_NS)
		ns = 4 * EP_SPIN_WORTH_NS;
	wait->usual += (ns - wait->usual) / 8;
}

/* Worth a third of a round trip: lets the core's other thread run, and leaves the line where it is. */
static inline void ep_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}
#endif
