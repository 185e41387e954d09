/* The fence word: which epoch of an application is serving, and how the last one ended, in one
 * 64-bit word. One look at it decides whether a handle is good (I3), so all that a reader must
 * know together stands together.
 *
 *   63..40 epoch   39 serving   38..36 state   35..32 cause   12..11 oom   10 core   9..8 kind
 *   7..0 exit code or signal
 *
 * cause, kind, code, core and oom tell how the epoch in the word ended; they are 0 while it runs, but for
 * the cause in STOPPING: why it is being ended. */
#ifndef EPOCHD_FENCE_H
#define EPOCHD_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#define EP_EPOCH_MAX 0xffffffu   /* 24 bits; refused at the end, never wrapped (I2) */

enum ep_state { EP_DOWN, EP_STARTING, EP_UP, EP_STOPPING, EP_FATAL, EP_STATES };

/* Why an incarnation ended. The order is that of ep_total_id and of the stats document. */
enum ep_cause {
	EP_NO_CAUSE,        /* it has not ended */
	EP_CRASHED,         /* by a signal that the supervisor did not send */
	EP_EXITED,          /* by itself, with an exit code */
	EP_WATCHDOG,
	EP_HEALTH,
	EP_START_FAILED,    /* not executable, or gone before it was ready */
	EP_START_TIMEOUT,
	EP_ASKED,           /* a person asked, or the supervisor was shut down */
	EP_RECONFIGURED,
	EP_GROUP,           /* the strategy of its group */
	EP_BOOT,            /* the machine went down */
	EP_UNSEEN,          /* while no supervisor looked, or how is not known */
	EP_CAUSES
};

enum ep_end_kind { EP_END_UNKNOWN, EP_END_CODE, EP_END_SIGNAL };
enum ep_oom { EP_OOM_UNKNOWN, EP_OOM_NO, EP_OOM_YES };

/* How an incarnation ended, unpacked. */
struct ep_end {
	enum ep_cause cause;
	enum ep_end_kind kind;
	unsigned value;     /* exit code or signal number, by kind */
	bool core;
	enum ep_oom oom;
};

static inline uint64_t ep_fence_pack(uint32_t epoch, enum ep_state state, struct ep_end end)
{
	bool serving = state == EP_UP || state == EP_STOPPING;

	return (uint64_t)(epoch & EP_EPOCH_MAX) << 40 | (uint64_t)serving << 39 |
	       (uint64_t)state << 36 | (uint64_t)end.cause << 32 | (uint64_t)end.oom << 11 |
	       (uint64_t)end.core << 10 | (uint64_t)end.kind << 8 | (end.value & 0xffu);
}

static inline uint32_t ep_fence_epoch(uint64_t fence) { return (uint32_t)(fence >> 40); }
static inline bool ep_fence_is_serving(uint64_t fence) { return fence >> 39 & 1; }
static inline enum ep_state ep_fence_state(uint64_t fence)
{
	return (enum ep_state)(fence >> 36 & 7);
}

static inline struct ep_end ep_fence_end(uint64_t fence)
{
	return (struct ep_end){ .cause = (enum ep_cause)(fence >> 32 & 15),
				.kind = (enum ep_end_kind)(fence >> 8 & 3),
				.value = (unsigned)(fence & 0xff),
				.core = fence >> 10 & 1,
				.oom = (enum ep_oom)(fence >> 11 & 3) };
}

/* A word that no supervisor writes: someone else did, or memory is bad. */
static inline bool ep_fence_is_sane(uint64_t fence)
{
	return (fence >> 36 & 7) < EP_STATES && (fence >> 32 & 15) < EP_CAUSES &&
	       (fence >> 8 & 3) <= EP_END_SIGNAL && (fence >> 11 & 3) <= EP_OOM_YES &&
	       ep_fence_is_serving(fence) == (ep_fence_state(fence) == EP_UP ||
					      ep_fence_state(fence) == EP_STOPPING);
}

static inline bool ep_fence_serves(uint64_t fence, uint32_t epoch)
{
	return ep_fence_is_serving(fence) && ep_fence_epoch(fence) == epoch;
}

/* "down" ... "fatal", "crashed" ... "unseen"; static. Out of range: "?". */
const char *ep_state_name(enum ep_state state);
const char *ep_cause_name(enum ep_cause cause);
#endif
