#include <config.h>

#include "apilib/retry.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "apilib/fd.h"
#include "apilib/now.h"

static const int64_t first = 10000000, most = 1000000000;   /* ns */

/* Knuth, The Art of Computer Programming, 3.3.4, line 16: enough to keep thousands apart. */
static uint32_t next(struct ep_retry *retry)
{
	return retry->seed = retry->seed * 1664525u + 1013904223u;
}

static void set(struct ep_retry *retry, int64_t pause)
{
	/* Half of it to one and a half. */
	int64_t wait = pause / 2 + pause / 1024 * (next(retry) >> 22);
	struct itimerspec when = { 0 };

	retry->pause = pause;
	retry->at = ep_now() + wait;
	when.it_value.tv_sec = retry->at / 1000000000;
	when.it_value.tv_nsec = retry->at % 1000000000;
	if (retry->fd >= 0)
		timerfd_settime(retry->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void ep_retry_begin(struct ep_retry *retry, int poll)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (!retry->seed)
		retry->seed = (uint32_t)ep_now() ^ (uint32_t)getpid() << 16 ^ (uint32_t)(uintptr_t)retry >> 4;
	ep_close_fd(&retry->fd);
	retry->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (retry->fd >= 0)
		epoll_ctl(poll, EPOLL_CTL_ADD, retry->fd, &event);
	set(retry, first);
}

bool ep_retry_is_due(const struct ep_retry *retry)
{
	return ep_now() >= retry->at;
}

void ep_retry_later(struct ep_retry *retry)
{
	set(retry, retry->pause * 2 < most ? retry->pause * 2 : most);
}

void ep_retry_end(struct ep_retry *retry)
{
	ep_close_fd(&retry->fd);   /* and so out of the epoll */
	retry->pause = 0;
}
