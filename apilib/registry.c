#include <config.h>

#include "apilib/barrier.h"
#include "apilib/fd.h"
#include "apilib/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* FNV-1a (Fowler, Noll, Vo), 64 bits, over what stands before the checksum but for the magic, which is
 * written last. It finds damage, not malice: the directory's owner and mode keep others out. */
static uint64_t checksum_of(const struct ep_page *page)
{
	const unsigned char *byte = (const unsigned char *)page;
	uint64_t sum = 0xcbf29ce484222325ull;

	for (size_t i = sizeof page->magic; i < offsetof(struct ep_page, checksum); i++)
		sum = (sum ^ byte[i]) * 0x100000001b3ull;
	return sum;
}

static uint32_t slots_for(const struct ep_registry_id *id)
{
	uint32_t count = id->slots > EP_SLOTS_MIN ? id->slots : EP_SLOTS_MIN;

	return count > EP_INDEX_MAX + 1 ? EP_INDEX_MAX + 1 : count;
}

static void fill_header(struct ep_page *page, const struct ep_registry_id *id)
{
	page->layout = EP_LAYOUT;
	page->header_size = EP_SLOTS_AT;
	page->slot_size = sizeof(struct ep_slot);
	page->slot_count = slots_for(id);
	snprintf(page->uuid, sizeof page->uuid, "%s", id->uuid);
	snprintf(page->boot_id, sizeof page->boot_id, "%s", id->boot_id);
	snprintf(page->name, sizeof page->name, "%s", id->name);
	page->checksum = checksum_of(page);
	/* Release, with the acquire of whoever reads the magic first: all of the above is then there. */
	atomic_store_explicit(&page->magic, EP_REGISTRY_MAGIC, memory_order_release);
}

/* NULL, with errno, if it cannot be mapped. */
static struct ep_page *map_page(int fd, size_t size)
{
	struct ep_page *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (page == MAP_FAILED)
		return NULL;
	/* Relaxed: who reads it was given the file after this. */
	atomic_store_explicit(&page->barriers, ep_barrier_works(), memory_order_relaxed);
	return page;
}

static int open_new(int directory, const char *name)
{
	int fd = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

int ep_registry_create(struct ep_page **out, int directory, const struct ep_registry_id *id)
{
	char fresh[EP_NAME_SIZE + 8];
	size_t size = ep_registry_size(slots_for(id));
	CLEANUP(ep_close_fd) int fd = -1;
	struct ep_page *page;
	int r;

	/* A leading dot: epochd's own, never an application's name. */
	snprintf(fresh, sizeof fresh, ".%s.new", id->name);
	fd = open_new(directory, fresh);
	if (fd == -EEXIST) {   /* of a supervisor that was killed */
		unlinkat(directory, fresh, 0);
		fd = open_new(directory, fresh);
	}
	if (fd < 0)
		return fd;
	errno = posix_fallocate(fd, 0, EP_SLOTS_AT);
	page = errno || ftruncate(fd, (off_t)size) < 0 ? NULL : map_page(fd, size);
	if (!page) {
		r = -errno;
		unlinkat(directory, fresh, 0);
		return r;
	}
	fill_header(page, id);
	if (renameat(directory, fresh, directory, id->name) < 0) {
		r = -errno;
		munmap(page, size);
		unlinkat(directory, fresh, 0);
		return r;
	}
	*out = page;
	return 0;
}

static int refuse(const char **why, const char *text)
{
	*why = text;
	return -EBADMSG;
}

static int check_file(int fd, size_t *size, const char **why)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return refuse(why, "it is not a regular file");
	if (st.st_uid != geteuid())
		return refuse(why, "it belongs to another user");
	if (st.st_nlink != 1)
		return refuse(why, "it has more than one name");
	if (st.st_size < (off_t)ep_registry_size(EP_SLOTS_MIN) ||
	    st.st_size > (off_t)ep_registry_size(EP_INDEX_MAX + 1))
		return refuse(why, "its size is not that of a registry");
	*size = (size_t)st.st_size;
	return 0;
}

static bool text_is(const char *field, size_t size, const char *text)
{
	return memchr(field, '\0', size) && strcmp(field, text) == 0;
}

int ep_registry_check(const struct ep_page *copy, size_t size, const char **why)
{
	/* Relaxed, both: a private copy. */
	if (atomic_load_explicit(&copy->magic, memory_order_relaxed) != EP_REGISTRY_MAGIC)
		return refuse(why, "it has no registry's magic");
	if (copy->layout != EP_LAYOUT)
		return refuse(why, "its layout is of another version");
	if (copy->header_size != EP_SLOTS_AT || copy->slot_size != sizeof(struct ep_slot) ||
	    copy->slot_count > EP_INDEX_MAX + 1 || ep_registry_size(copy->slot_count) != size)
		return refuse(why, "its sizes are not those of this layout");
	if (copy->checksum != checksum_of(copy))
		return refuse(why, "its checksum is wrong");
	if (!ep_fence_is_sane(atomic_load_explicit(&copy->fence, memory_order_relaxed)))
		return refuse(why, "its fence word contradicts itself");
	return 0;
}

uint32_t ep_registry_other_layout(const struct ep_page *copy)
{
	return atomic_load_explicit(&copy->magic, memory_order_relaxed) == EP_REGISTRY_MAGIC &&
	       copy->layout != EP_LAYOUT && copy->checksum == checksum_of(copy) ? copy->layout : 0;
}

static int check_whose(const struct ep_page *copy, const struct ep_registry_id *id, const char **why)
{
	if (!text_is(copy->name, sizeof copy->name, id->name))
		return refuse(why, "it names another application");
	if (!text_is(copy->uuid, sizeof copy->uuid, id->uuid) ||
	    !text_is(copy->boot_id, sizeof copy->boot_id, id->boot_id))
		return -ESTALE;
	return 0;
}

int ep_registry_open(struct ep_page **out, int directory, const struct ep_registry_id *id,
		     const char **why)
{
	CLEANUP(ep_close_fd) int fd = -1;
	struct ep_page copy, *page;
	size_t size = 0;
	int r;

	*why = NULL;
	/* O_NONBLOCK: a FIFO of that name must not hold us. */
	fd = openat(directory, id->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0)
		return refuse(why, "it cannot be opened");
	r = check_file(fd, &size, why);
	if (r < 0)
		return r;
	if (pread(fd, &copy, sizeof copy, 0) != (ssize_t)sizeof copy)
		return refuse(why, "it cannot be read");
	r = ep_registry_check(&copy, size, why);
	if (r == 0)
		r = check_whose(&copy, id, why);
	if (r < 0)
		return r;
	page = map_page(fd, size);
	if (!page)
		return -errno;
	*out = page;
	return 0;
}

/* A file that somebody put in its place is not ours to grow. */
static int is_it(const struct ep_page *page, int fd)
{
	struct stat st;
	uint64_t sum;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size != (off_t)ep_registry_size(page->slot_count) ||
	    pread(fd, &sum, sizeof sum, offsetof(struct ep_page, checksum)) != sizeof sum ||
	    sum != page->checksum)
		return -ESTALE;
	return 0;
}

int ep_registry_back_slots(struct ep_page *page, int directory, const char *name, uint32_t count)
{
	CLEANUP(ep_close_fd) int fd = -1;
	int r;

	if (count > page->slot_count)
		return -EINVAL;
	/* Relaxed: only we write it. */
	if (count <= atomic_load_explicit(&page->slots_backed, memory_order_relaxed))
		return 0;
	fd = openat(directory, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	r = is_it(page, fd);
	if (r == 0)
		r = -posix_fallocate(fd, EP_SLOTS_AT, (off_t)(count * sizeof(struct ep_slot)));
	if (r < 0)
		return r;
	/* Release, with the acquire in ep_handle_check(): slots below it are allocated. */
	atomic_store_explicit(&page->slots_backed, count, memory_order_release);
	return 0;
}

/* State, serving and cause are one byte of the fence word, so this is one store, as app_fence()'s is, for whoever has it
 * mapped. I3: nothing is served from here on. */
static void close_fence(int fd, uint64_t fence)
{
	union { uint64_t word; unsigned char byte[8]; } closed = {
		.word = ep_fence_pack(ep_fence_epoch(fence), EP_DOWN, (struct ep_end){ .cause = EP_UNSEEN }),
	};

	static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "which byte it is");
	if (ep_fence_is_serving(fence) || ep_fence_state(fence) != EP_DOWN)
		(void)!pwrite(fd, &closed.byte[4], 1, offsetof(struct ep_page, fence) + 4);
}

int ep_registry_retire(int directory, const char *name, const char **why)
{
	/* O_NONBLOCK: a FIFO of that name must not hold us. */
	CLEANUP(ep_close_fd) int fd = openat(directory, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct ep_page copy = { 0 };
	size_t size = 0;

	*why = NULL;
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0)
		*why = "it cannot be opened";
	else if (check_file(fd, &size, why) == 0 && pread(fd, &copy, sizeof copy, 0) != (ssize_t)sizeof copy)
		*why = "it cannot be read";
	/* Relaxed, all: a private copy; only a guard against files that are something else. */
	if (*why || atomic_load_explicit(&copy.magic, memory_order_relaxed) != EP_REGISTRY_MAGIC) {
		*why = *why ? *why : "it has no registry's magic";
		return 0;
	}
	close_fence(fd, atomic_load_explicit(&copy.fence, memory_order_relaxed));
	ep_registry_check(&copy, size, why);
	return 0;
}

void ep_registry_close_fence(int directory, const char *name)
{
	const char *why;

	ep_registry_retire(directory, name, &why);
}

void ep_registry_unmap(struct ep_page *page)
{
	if (page)
		munmap(page, ep_registry_size(page->slot_count));   /* I4: nobody but us writes it */
}
