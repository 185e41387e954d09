#include <config.h>

#include "apilib/trace.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "apilib/fault.h"

bool ep_trace_is_good(const struct ep_trace_header *header, uint64_t file_size)
{
	return header->magic == EP_TRACE_MAGIC && header->layout == EP_TRACE_LAYOUT &&
	       header->ring >= EP_TRACE_RING_MIN && header->ring <= EP_TRACE_RING_MAX &&
	       !(header->ring & (header->ring - 1)) && header->table <= EP_TRACE_TABLE_MAX &&
	       file_size == ep_trace_ring_at(header->table) + header->ring &&
	       memchr(header->app, '\0', sizeof header->app) && memchr(header->uuid, '\0', sizeof header->uuid);
}

int ep_trace_read_header(int fd, struct ep_trace_header *out)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || pread(fd, out, sizeof *out, 0) != (ssize_t)sizeof *out ||
	    !ep_trace_is_good(out, (uint64_t)st.st_size))
		return -EBADMSG;
	return 0;
}

int ep_trace_map(struct ep_trace *out, int fd)
{
	struct ep_trace_header header = { 0 };
	struct ep_trace trace = { 0 };
	void *base;
	int r = ep_trace_read_header(fd, &header);

	if (r < 0)
		return r;
	trace.size = (size_t)(ep_trace_ring_at(header.table) + header.ring);
	base = mmap(NULL, trace.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	madvise(base, trace.size, MADV_DONTFORK);
	trace.header = base;
	trace.ring = (unsigned char *)base + ep_trace_ring_at(header.table);
	trace.mask = header.ring - 1;
	*out = trace;
	return 0;
}

void ep_trace_unmap(struct ep_trace *trace)
{
	if (trace->header)
		munmap(trace->header, trace->size);
	*trace = (struct ep_trace){ 0 };
}

/* Relaxed: ours. */
static uint64_t own(const _Atomic uint64_t *word) { return atomic_load_explicit(word, memory_order_relaxed); }

static struct ep_trace_record *record_at(const struct ep_trace *trace, uint64_t at)
{
	return (struct ep_trace_record *)(void *)(trace->ring + (at & trace->mask));
}

/* The first records go, before anything is written over them. */
static void forget_until(struct ep_trace *trace, uint64_t tail, uint64_t messages_kept)
{
	struct ep_trace_header *header = trace->header;
	uint64_t at = own(&header->tail), first = own(&header->first), messages = own(&header->messages);
	uint64_t head = own(&header->head);

	while (at < head && (at < tail || messages - first > messages_kept)) {
		const struct ep_trace_record *record = record_at(trace, at);

		first += record->kind != EP_TRACE_SKIP;
		at += record->size >= 8 ? record->size : head - at;   /* 0: somebody wrote there who should not: all goes */
	}
	atomic_store_explicit(&header->first, first, memory_order_relaxed);
	/* Release, and the fence: whoever copied the ring and then finds the old tail has seen none of what is written
	 * over the records before the new one. */
	atomic_store_explicit(&header->tail, at, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
}

static int64_t real_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* There may be room for no more than its begin: records and the ring are multiples of 8. */
static void skip(const struct ep_trace *trace, uint64_t at, uint32_t size)
{
	const struct ep_trace_record record = { .size = size, .kind = EP_TRACE_SKIP };

	memcpy(record_at(trace, at), &record, offsetof(struct ep_trace_record, payload));
}

/* Room for a record of that size, without a seam: where it begins. False: it is full, and keeps the first. */
static bool make_room(struct ep_trace *trace, uint32_t size, uint64_t *at)
{
	struct ep_trace_header *header = trace->header;
	uint64_t head = own(&header->head), ring = trace->mask + 1, left = ring - (head & trace->mask);
	uint64_t begin = left < size ? head + left : head, end = begin + size;
	uint64_t max = header->messages_max ? header->messages_max : UINT64_MAX;
	uint64_t tail = end > ring ? end - ring : 0;

	/* Without a gap: once it is full it stays so. */
	if (header->mode == EP_TRACE_FIRST && (own(&header->missed) || end > ring || own(&header->messages) >= max))
		return false;
	if (own(&header->tail) < tail || own(&header->messages) - own(&header->first) >= max)
		forget_until(trace, tail, max - 1);
	EP_FAULT(trace_forgot);
	if (begin != head)
		skip(trace, head, (uint32_t)left);
	*at = begin;
	return true;
}

static uint32_t kept_of(const struct ep_trace *trace, uint32_t size)
{
	uint64_t eighth = (trace->mask + 1) / 8, most = eighth < EP_TRACE_PAYLOAD_MAX ? eighth : EP_TRACE_PAYLOAD_MAX;

	return size < most ? size : (uint32_t)most;
}

void ep_trace_write(struct ep_trace *trace, const struct ep_traced *message)
{
	struct ep_trace_header *header = trace->header;
	uint32_t kept = kept_of(trace, message->size);
	struct ep_trace_record record = {
		.size = (uint32_t)((sizeof record + kept + 7) / 8 * 8), .kind = (uint16_t)message->kind,
		.type = message->type, .payload = message->size, .kept = kept, .handle = message->handle,
		.context = message->context, .at = real_now(),
	};
	uint64_t at;

	EP_FAULT(trace_begun);
	if (!make_room(trace, record.size, &at)) {
		atomic_store_explicit(&header->missed, own(&header->missed) + 1, memory_order_relaxed);
		return;
	}
	memcpy(record_at(trace, at), &record, sizeof record);
	if (kept)
		memcpy(record_at(trace, at) + 1, message->payload, kept);
	EP_FAULT(trace_filled);
	/* Release, with the acquire of whoever copies: the record is whole (I5). */
	atomic_store_explicit(&header->head, at + record.size, memory_order_release);
	EP_FAULT(trace_published);
	atomic_store_explicit(&header->messages, own(&header->messages) + 1, memory_order_relaxed);
}
