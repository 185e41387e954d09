/* CLOCK_MONOTONIC, in ns, and deadlines in it. */
#ifndef EPOCHD_NOW_H
#define EPOCHD_NOW_H

#include <stdint.h>
#include <time.h>

static inline int64_t ep_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* timeout: ns from now on; negative: for ever. */
static inline int64_t ep_deadline(int64_t timeout)
{
	int64_t now;

	if (timeout < 0)
		return INT64_MAX;
	now = ep_now();
	return timeout > INT64_MAX - now ? INT64_MAX : now + timeout;
}

/* What ppoll() is to be given until then: NULL: for ever. */
static inline const struct timespec *ep_until(int64_t deadline, struct timespec *left)
{
	int64_t ns;

	if (deadline == INT64_MAX)
		return NULL;
	ns = deadline - ep_now();
	if (ns < 0)
		ns = 0;
	*left = (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	return left;
}
#endif
