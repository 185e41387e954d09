/* A child of fork() holds nothing of its parent's: its copies of the descriptors are closed, and it is told so
 * by each call. The mappings are MADV_DONTFORK; so whoever uses an object asks first. */
#ifndef EPOCHD_CHILD_H
#define EPOCHD_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ep_family;
typedef void ep_forget_fn(struct ep_family *family);   /* in the child: close descriptors, nothing else */

/* Stands in each object that must not be inherited. */
struct ep_family {
	struct ep_family *next, *before;
	ep_forget_fn *forget;
	uint32_t generation;
};

/* Counts the forks between the first process and this one. */
extern _Atomic uint32_t ep_generation;

int ep_family_join(struct ep_family *family, ep_forget_fn *forget);   /* -ENOMEM; any thread */
void ep_family_leave(struct ep_family *family);                      /* any thread */

static inline bool ep_is_inherited(const struct ep_family *family)
{
	/* Relaxed: it changes where there is but one thread, in a child of fork(). */
	return family->generation != atomic_load_explicit(&ep_generation, memory_order_relaxed);
}
#endif
