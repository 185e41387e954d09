#include <config.h>

#include "apilib/doorbell.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { MARK = 0x80, INDEX_BYTES = 3 };

static int write_whole(int fd, const unsigned char *bytes, size_t size)
{
	ssize_t n;

	do
		n = write(fd, bytes, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

void ep_bell_ring(int fd)
{
	write_whole(fd, (const unsigned char *)"", 1);   /* full: a wake-up is under way */
}

/* The host's own SIGPIPEs, of before, are left to it. */
static int write_without_signal(int fd, const unsigned char *bytes, size_t size)
{
	const struct timespec at_once = { 0 };
	sigset_t pipe_only, before, pending;
	int r;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	if (pthread_sigmask(SIG_BLOCK, &pipe_only, &before) != 0)
		return 0;
	r = write_whole(fd, bytes, size);
	if (r == -EPIPE && !sigismember(&before, SIGPIPE) && sigpending(&pending) == 0 &&
	    sigismember(&pending, SIGPIPE))
		sigtimedwait(&pipe_only, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

bool ep_bell_ring_index(int fd, uint32_t index)
{
	const unsigned char bytes[INDEX_BYTES] = { (unsigned char)(MARK | (index >> 14 & 0x7f)),
						   index >> 7 & 0x7f, index & 0x7f };

	return write_without_signal(fd, bytes, sizeof bytes) != -EAGAIN;
}

void ep_bell_drain(int fd)
{
	unsigned char bytes[256];
	ssize_t n;

	do
		n = read(fd, bytes, sizeof bytes);
	while (n == (ssize_t)sizeof bytes || (n < 0 && errno == EINTR));
}

bool ep_bell_drain_indices(int fd, uint32_t index[static EP_BELL_BATCH], size_t *found, bool *odd)
{
	unsigned char bytes[INDEX_BYTES * EP_BELL_BATCH];
	ssize_t n, at = 0;

	*found = 0;
	do
		n = read(fd, bytes, sizeof bytes);
	while (n < 0 && errno == EINTR);
	while (at + INDEX_BYTES <= n) {
		if (!(bytes[at] & MARK) || bytes[at + 1] & MARK || bytes[at + 2] & MARK) {
			*odd = true;   /* none of ours: the next mark begins one that is */
			at++;
			continue;
		}
		index[(*found)++] = (uint32_t)(bytes[at] & 0x7f) << 14 | (uint32_t)bytes[at + 1] << 7 |
				    bytes[at + 2];
		at += INDEX_BYTES;
	}
	if (n > 0 && at < n)   /* cut through, by what stood before it */
		*odd = true;
	return n == (ssize_t)sizeof bytes;
}
