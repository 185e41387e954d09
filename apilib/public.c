/* What is the same for everybody: versions, and the registry for those who neither serve nor join. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apilib/child.h"
#include "apilib/epochd.h"
#include "apilib/fd.h"
#include "apilib/place.h"
#include "apilib/registry_view.h"

struct epochd_registry {
	struct ep_family family;
	struct ep_view view;
};

const char *epochd_version(void) { return PACKAGE_VERSION; }

const char *epochd_verdict_name(int verdict) { return ep_verdict_name((enum ep_verdict)verdict); }

uint32_t epochd_handle_epoch(uint64_t handle) { return ep_handle_epoch(handle); }

static void forget(struct ep_family *family)
{
	(void)family;   /* it has no descriptor */
}

void epochd_registry_close(struct epochd_registry *registry)
{
	if (!registry)
		return;
	if (registry->family.next && !ep_is_inherited(&registry->family)) {
		ep_family_leave(&registry->family);
		ep_view_unmap(&registry->view);
	}
	free(registry);
}

static int open_file(int *fd, const char *application, const struct epochd_options *options, char *why,
		     size_t why_size)
{
	char folder[108], path[256];
	int r;

	if (!application || !*application || *application == '.' || strchr(application, '/') ||
	    strlen(application) >= EP_NAME_SIZE)
		return -EINVAL;
	r = ep_place_find(folder, sizeof folder, options, why, why_size);
	if (r < 0)
		return r;
	/* A link that the supervisor keeps: its segment directory may be anywhere. */
	snprintf(path, sizeof path, "%s/segments/%s", folder, application);
	*fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (*fd < 0)
		snprintf(why, why_size, errno == ENOENT ? "there is no application %s in %s" :
			 "the registry of %s in %s cannot be read", application, folder);
	return *fd < 0 ? -errno : 0;
}

int epochd_registry_open(struct epochd_registry **out, const char *application,
			 const struct epochd_options *options)
{
	static const struct epochd_options usual;
	CLEANUP(ep_close_fd) int fd = -1;
	struct epochd_registry *registry;
	const char *reason = NULL;
	char why[512] = "";
	int r;

	options = options ? options : &usual;
	registry = calloc(1, sizeof *registry);
	r = registry ? open_file(&fd, application, options, why, sizeof why) : -ENOMEM;
	if (r == 0)
		r = ep_view_map(&registry->view, fd, &reason);
	if (r == 0)
		r = ep_family_join(&registry->family, forget);
	if (r < 0) {
		if (options->why && options->why_size)
			snprintf(options->why, options->why_size, "%s",
				 reason ? reason : why[0] ? why : strerrordesc_np(-r));
		if (registry)
			ep_view_unmap(&registry->view);
		free(registry);
		return r;
	}
	*out = registry;
	return 0;
}

int epochd_handle_check(struct epochd_registry *registry, uint64_t handle)
{
	if (ep_is_inherited(&registry->family))
		return -ECHILD;
	return (int)ep_handle_check(&registry->view, handle);
}

uint32_t epochd_registry_epoch(const struct epochd_registry *registry)
{
	/* Acquire, with the release in app_fence(). */
	return ep_is_inherited(&registry->family) ? 0 :
	       ep_fence_epoch(atomic_load_explicit(&registry->view.page->fence, memory_order_acquire));
}
