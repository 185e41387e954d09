/* Time: durations are CLOCK_MONOTONIC, what people read is CLOCK_REALTIME; both in ns. */
#ifndef EPOCHD_CLOCK_H
#define EPOCHD_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S 1000000000ll

static inline int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static inline int64_t clock_now(void) { return clock_ns(CLOCK_MONOTONIC); }
static inline int64_t clock_real(void) { return clock_ns(CLOCK_REALTIME); }
static inline double clock_seconds(int64_t ns) { return (double)ns / (double)NS_PER_S; }
#endif
