#include <config.h>

#include "apilib/large.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apilib/channel_fence.h"
#include "apilib/fault.h"
#include "apilib/fd.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

uint8_t ep_large_log(uint64_t size)
{
	uint8_t log = EP_LARGE_LOG_MIN;

	while (log <= EP_LARGE_LOG_MAX && ep_large_size(log) < size)
		log++;
	return log <= EP_LARGE_LOG_MAX ? log : 0;
}

int ep_large_create(uint8_t log)
{
	CLEANUP(ep_close_fd) int fd = memfd_create("epochd-large", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)ep_large_size(log)) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	return ep_steal_fd(&fd);
}

/* The supervisor made it, but the descriptor came by a socket: what is mapped is what it is said to be. */
static bool is_good(int fd, uint8_t log)
{
	int seals = fcntl(fd, F_GET_SEALS);   /* before all else: it is refused of what is no memfd */
	struct stat st;

	return seals >= 0 && (seals & SEALS) == SEALS && fstat(fd, &st) == 0 &&
	       (uint64_t)st.st_size == ep_large_size(log);
}

int ep_large_add(struct ep_channel *channel, enum ep_direction direction, struct ep_lane *lane, uint32_t index, uint8_t log,
		 int fd, int prot)
{
	void *base;

	if (index >= EP_LARGE_SLOTS || log < EP_LARGE_LOG_MIN || log > EP_LARGE_LOG_MAX ||
	    channel->large[direction][index] || !is_good(fd, log))
		return -EBADMSG;
	base = mmap(NULL, ep_large_size(log), prot, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	(void)madvise(base, ep_large_size(log), MADV_DONTFORK);
	channel->large[direction][index] = log;
	lane->large[index] = (struct ep_large){ base, ep_large_size(log) };
	return 0;
}

int ep_large_add_to_producer(struct ep_channel *channel, enum ep_direction direction, struct ep_producer *producer,
			     uint32_t index, uint8_t log, int fd)
{
	int r = ep_large_add(channel, direction, &producer->lane, index, log, fd, PROT_READ | PROT_WRITE);

	if (r < 0)
		return r;
	producer->has_large = true;
	return 0;
}

void ep_large_unmap(struct ep_lane *lane)
{
	for (uint32_t i = 0; i < EP_LARGE_SLOTS; i++) {
		if (lane->large[i].base)
			munmap(lane->large[i].base, lane->large[i].size);
		lane->large[i] = (struct ep_large){ 0 };
	}
}

/* What its own word says, which nobody else writes. */
static uint64_t begun(const struct ep_lane *lane, uint32_t index)
{
	return ep_allocated_generation(
		atomic_load_explicit(&lane->allocated[EP_CLASS_LARGE][index], memory_order_relaxed));
}

static bool is_free(const struct ep_lane *lane, uint32_t index)
{
	/* Acquire, with the release in ep_release(), or that in ep_channel_reclaim(), as in refill(). A peer that writes
	 * there makes its own channel's next message nonsense. */
	return atomic_load_explicit(&lane->released[EP_CLASS_LARGE][index], memory_order_acquire) == begun(lane, index);
}

/* The smallest free one: its index, or -EAGAIN, -ENOENT. */
static int find(const struct ep_lane *lane, size_t size)
{
	int found = -ENOENT;

	for (uint32_t i = 0; i < EP_LARGE_SLOTS; i++) {
		if (lane->large[i].size < size)
			continue;
		if (!is_free(lane, i))
			found = found == -ENOENT ? -EAGAIN : found;
		else if (found < 0 || lane->large[i].size < lane->large[found].size)
			found = (int)i;
	}
	return found;
}

int ep_large_allocate(struct ep_producer *producer, size_t size, struct ep_buffer *out, void **memory)
{
	struct ep_lane *lane = &producer->lane;
	_Atomic uint64_t *shown = &lane->head->fallbacks;
	int index = find(lane, size);

	/* With the acquire in is_free(): what was collected is not given out again. */
	if (!ep_still_serves(&producer->fencing))
		producer->closed = -ESTALE;
	if (producer->closed)
		return producer->closed;
	if (index < 0)
		return index;
	*out = (struct ep_buffer){ .class = EP_CLASS_LARGE, .index = (uint32_t)index,
				   .generation = begun(lane, (uint32_t)index) + 1 };
	/* Relaxed: as in take() of channel_send.c. */
	atomic_store_explicit(&lane->allocated[EP_CLASS_LARGE][index], ep_allocated_word(out->generation, false),
			      memory_order_relaxed);
	EP_FAULT(allocate_done);
	atomic_store_explicit(shown, atomic_load_explicit(shown, memory_order_relaxed) + 1, memory_order_relaxed);
	*memory = lane->large[index].base;
	return 0;
}

/* ---- asking ---- */

int ep_wish_for(struct ep_wish *wish, int r, uint64_t size)
{
	int refused = wish->refused;
	uint8_t log = ep_large_log(size);

	if (!log)
		return -EMSGSIZE;
	if (wish->asked)
		return -EAGAIN;
	wish->refused = 0;
	if (!refused || ep_large_size(log) < wish->size) {
		wish->asked = true;
		return 0;
	}
	return r == -EAGAIN ? -EAGAIN : refused;
}

void ep_wish_heard(struct ep_wish *wish, int error, uint64_t size)
{
	wish->asked = false;
	wish->refused = error == -EAGAIN ? 0 : error;
	wish->size = size;
}
