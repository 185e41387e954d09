#include <config.h>

#include "apilib/channel.h"
#include "apilib/fault.h"
#include "apilib/fd.h"
#include "apilib/large.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* ---- making ---- */

static int allocate(int fd, const struct ep_geometry *geometry)
{
	struct ep_places places;

	ep_geometry_places(geometry, &places);
	return -posix_fallocate(fd, 0, (off_t)places.backed);
}

static int write_header(int fd, const struct ep_geometry *geometry)
{
	struct ep_channel_header header = { .magic = EP_CHANNEL_MAGIC, .layout = EP_CHANNEL_LAYOUT,
					    .geometry = *geometry };

	ssize_t written = pwrite(fd, &header, sizeof header, 0);

	if (written < 0)
		return -errno;
	return written == (ssize_t)sizeof header ? 0 : -EIO;
}

int ep_channel_create(const struct ep_geometry *geometry)
{
	CLEANUP(ep_close_fd) int fd = memfd_create("epochd-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)ep_geometry_size(geometry)) < 0)
		return -errno;
	r = allocate(fd, geometry);
	if (r == 0)
		r = write_header(fd, geometry);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	r = fd;
	fd = -1;
	return r;
}

/* ---- mapping ---- */

static int refuse(const char **why, const char *text)
{
	*why = text;
	return -EBADMSG;
}

static int check_file(int fd, size_t *size, const char **why)
{
	int seals = fcntl(fd, F_GET_SEALS);   /* before all else: it is refused of what is no memfd */
	struct stat st;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return refuse(why, "it is not sealed as a channel is");
	if (fstat(fd, &st) < 0)
		return -errno;
	*size = (size_t)st.st_size;
	return 0;
}

/* Into a copy that the peer cannot change any more (I6). */
static int read_header(int fd, size_t size, struct ep_geometry *out, const char **why)
{
	struct ep_channel_header header;

	if (pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header)
		return refuse(why, "it has no header");
	if (header.magic != EP_CHANNEL_MAGIC)
		return refuse(why, "it has no channel's magic");
	if (header.layout != EP_CHANNEL_LAYOUT)
		return refuse(why, "its layout is of another version");
	if (ep_geometry_check(&header.geometry, why) < 0)
		return -EBADMSG;
	if (ep_geometry_size(&header.geometry) != size)
		return refuse(why, "its size is not that of its geometry");
	*out = header.geometry;
	return 0;
}

int ep_channel_map(struct ep_channel *out, int fd, const char **why)
{
	struct ep_channel channel = { 0 };
	void *base;
	int r;

	*why = NULL;
	r = check_file(fd, &channel.size, why);
	if (r == 0)
		r = read_header(fd, channel.size, &channel.geometry, why);
	if (r < 0)
		return r;
	ep_geometry_places(&channel.geometry, &channel.places);
	base = mmap(NULL, channel.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	(void)madvise(base, channel.size, MADV_DONTFORK);
	channel.base = base;
	*out = channel;
	EP_FAULT_MAPPED(fd);
	EP_FAULT(channel_mapped);
	return 0;
}

void ep_channel_unmap(struct ep_channel *channel)
{
	if (channel->base)
		munmap(channel->base, channel->size);
	channel->base = NULL;
}

struct ep_lane ep_channel_lane(const struct ep_channel *channel, enum ep_direction direction)
{
	const struct ep_places *places = &channel->places;
	unsigned char *base = channel->base + places->lane[direction];
	struct ep_lane lane = { .geometry = &channel->geometry, .mask = channel->geometry.ring - 1 };
	uint32_t i;

	/* All offsets are multiples of 64 (ep_geometry_places()), and a mapping begins with a page. */
	lane.head = (void *)base;
	lane.lines = (void *)(base + places->lines);
	lane.allocated[EP_CLASS_LARGE] = (void *)(base + places->allocated[EP_CLASS_LARGE]);
	lane.released[EP_CLASS_LARGE] = (void *)(base + places->released[EP_CLASS_LARGE]);
	for (i = 0; i < EP_LARGE_SLOTS; i++)
		lane.large[i].size = ep_large_size(channel->large[direction][i]);
	for (i = 0; i < channel->geometry.classes; i++) {
		lane.allocated[i] = (void *)(base + places->allocated[i]);
		lane.released[i] = (void *)(base + places->released[i]);
		lane.buffers[i] = channel->base + places->buffers[direction][i];
	}
	return lane;
}
