/* When to look again for a supervisor that is away: later each time, and not all at once. A timerfd tells, so that who
 * waits for descriptors waits for that too; there is none while nothing is lost. */
#ifndef EPOCHD_RETRY_H
#define EPOCHD_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct ep_retry {
	int fd;          /* readable when it is time; -1: nothing is lost, or there was no descriptor left */
	int64_t at;      /* CLOCK_MONOTONIC, ns: the same for whoever polls */
	int64_t pause;   /* the last one, ns */
	uint32_t seed;
};

/* From now on; the first time is soon. poll: an epoll that is to tell of it, too. */
void ep_retry_begin(struct ep_retry *retry, int poll);
bool ep_retry_is_due(const struct ep_retry *retry);
void ep_retry_later(struct ep_retry *retry);   /* it was in vain */
void ep_retry_end(struct ep_retry *retry);     /* of one that did not begin, too */
#endif
