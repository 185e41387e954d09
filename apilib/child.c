#include <config.h>

#include "apilib/child.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>

_Atomic uint32_t ep_generation;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ep_family all = { .next = &all, .before = &all };
static int installed;

static void before_fork(void) { pthread_mutex_lock(&lock); }
static void in_parent(void) { pthread_mutex_unlock(&lock); }

static void in_child(void)
{
	struct ep_family *family, *next;

	/* Relaxed: see ep_is_inherited(). */
	atomic_fetch_add_explicit(&ep_generation, 1, memory_order_relaxed);
	for (family = all.next; family != &all; family = next) {
		next = family->next;
		family->forget(family);
		family->next = family->before = family;
	}
	all.next = all.before = &all;
	pthread_mutex_init(&lock, NULL);
}

static void install(void)
{
	installed = -pthread_atfork(before_fork, in_parent, in_child);
}

int ep_family_join(struct ep_family *family, ep_forget_fn *forget)
{
	pthread_once(&once, install);
	if (installed < 0)
		return installed;
	pthread_mutex_lock(&lock);
	family->forget = forget;
	family->generation = atomic_load_explicit(&ep_generation, memory_order_relaxed);
	family->next = &all;
	family->before = all.before;
	all.before->next = family;
	all.before = family;
	pthread_mutex_unlock(&lock);
	return 0;
}

void ep_family_leave(struct ep_family *family)
{
	if (!family->next)
		return;
	pthread_mutex_lock(&lock);
	family->next->before = family->before;
	family->before->next = family->next;
	family->next = family->before = NULL;
	pthread_mutex_unlock(&lock);
}
