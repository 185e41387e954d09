#include <config.h>

#include "apilib/registry_view.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apilib/barrier.h"

static int refuse(const char **why, const char *text)
{
	*why = text;
	return -EBADMSG;
}

int ep_view_map(struct ep_view *out, int fd, const char **why)
{
	struct ep_page copy;
	struct stat st;
	void *page;
	int r;

	*why = NULL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return refuse(why, "it is not a regular file");
	if (pread(fd, &copy, sizeof copy, 0) != (ssize_t)sizeof copy)
		return refuse(why, "its size is not that of a registry");
	r = ep_registry_check(&copy, (size_t)st.st_size, why);
	if (r < 0)
		return r;
	page = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	madvise(page, (size_t)st.st_size, MADV_DONTFORK);
	*out = (struct ep_view){ .page = page, .slot_count = copy.slot_count };
	return 0;
}

void ep_view_unmap(struct ep_view *view)
{
	if (view->page)
		munmap((void *)view->page, ep_registry_size(view->slot_count));
	*view = (struct ep_view){ 0 };
}

static bool is_backed(struct ep_view *view, uint32_t index)
{
	uint32_t backed;

	if (index < view->backed)
		return true;
	/* Acquire, with the release in ep_registry_back_slots(): slots below it are allocated. */
	backed = atomic_load_explicit(&view->page->slots_backed, memory_order_acquire);
	view->backed = backed < view->slot_count ? backed : view->slot_count;
	return index < view->backed;
}

enum ep_verdict ep_handle_why(struct ep_view *view, uint64_t handle)
{
	/* Acquire, both: as in ep_handle_check(), whose two loads these are once more. */
	uint64_t fence = atomic_load_explicit(&view->page->fence, memory_order_acquire), word;
	uint32_t epoch = ep_handle_epoch(handle), index = ep_handle_index(handle);

	if (epoch == 0 || epoch > ep_fence_epoch(fence) || index >= view->slot_count)
		return EP_HANDLE_NOT_ONE;
	if (epoch < ep_fence_epoch(fence))
		return EP_HANDLE_STALE_EPOCH;
	if (!ep_fence_is_serving(fence))
		return EP_HANDLE_DOWN;
	if (!is_backed(view, index))
		return EP_HANDLE_NOT_ONE;
	word = atomic_load_explicit(&ep_view_slot(view, index)->handle, memory_order_acquire);
	if (word == handle)
		return EP_HANDLE_GOOD;
	if (ep_handle_epoch(word) != epoch)
		return EP_HANDLE_FREE_SLOT;
	return ep_handle_generation(handle) < ep_handle_generation(word) ? EP_HANDLE_STALE_GENERATION :
									   EP_HANDLE_NOT_ONE;
}

const char *ep_verdict_name(enum ep_verdict verdict)
{
	static const char *const names[EP_VERDICTS] = {
		"good", "stale_epoch", "stale_generation", "free_slot", "down", "not_a_handle",
	};

	return (unsigned)verdict < EP_VERDICTS ? names[verdict] : "?";
}

bool ep_view_is_light(const struct ep_view *view)
{
	/* Relaxed: it was written before we were given the file. */
	return atomic_load_explicit(&view->page->barriers, memory_order_relaxed) && ep_barrier_join();
}
