#include <config.h>

#include "apilib/meter.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apilib/fd.h"
#include "apilib/message.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int ep_meter_create(uint32_t types)
{
	const struct ep_meter_page header = { .magic = EP_METER_MAGIC, .layout = EP_METER_LAYOUT, .types = types };
	CLEANUP(ep_close_fd) int fd = memfd_create("epochd-meter", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t written;
	int r;

	if (fd < 0)
		return -errno;
	r = -posix_fallocate(fd, 0, (off_t)ep_meter_size(types));
	if (r < 0)
		return r;
	written = pwrite(fd, &header, offsetof(struct ep_meter_page, type), 0);
	if (written < 0)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	r = fd;
	fd = -1;
	return r;
}

int ep_meter_map(struct ep_meter_page **out, int fd, int prot, uint32_t *types)
{
	struct ep_meter_page header;   /* a copy that nobody else can change (I6) */
	int seals = fcntl(fd, F_GET_SEALS);   /* before all else: it is refused of what is no memfd */
	struct ep_meter_page *page;
	struct stat st;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return -EBADMSG;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header || header.magic != EP_METER_MAGIC ||
	    header.layout != EP_METER_LAYOUT || header.types > EP_TYPES_MAX ||
	    (size_t)st.st_size != ep_meter_size(header.types))
		return -EBADMSG;
	page = mmap(NULL, ep_meter_size(header.types), prot, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	madvise(page, ep_meter_size(header.types), MADV_DONTFORK);
	*out = page;
	*types = header.types;
	return 0;
}

void ep_meter_unmap(struct ep_meter_page *page, uint32_t types)
{
	if (page)
		munmap(page, ep_meter_size(types));
}

uint32_t ep_bucket_of(uint64_t ns)
{
	uint32_t octave, bucket;

	if (ns < 1ull << EP_BUCKETS_FROM)
		return 0;
	octave = 63 - (uint32_t)__builtin_clzll(ns);
	bucket = (octave - EP_BUCKETS_FROM) * 4 + (uint32_t)(ns >> (octave - 2) & 3) + 1;
	return bucket < EP_BUCKETS ? bucket : EP_BUCKETS - 1;
}

uint64_t ep_bucket_end(uint32_t bucket)
{
	uint32_t octave = EP_BUCKETS_FROM + (bucket - 1) / 4, quarter = (bucket - 1) % 4;

	if (bucket == 0)
		return 1ull << EP_BUCKETS_FROM;
	return bucket >= EP_BUCKETS - 1 ? UINT64_MAX : (uint64_t)(quarter + 5) << (octave - 2);
}
