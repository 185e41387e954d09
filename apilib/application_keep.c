/* A message in its handler and after it: where its payload lies, and who gives that back. */
#include <config.h>

#include "apilib/application_private.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "apilib/now.h"

enum kept_kind { KEPT_NOTHING, KEPT_INLINE, KEPT_BUFFER, KEPT_COPY };

/* In epochd_message.inside. */
struct kept {
	union {
		unsigned char bytes[EP_INLINE];   /* the payload itself */
		struct {
			struct member *member;
			struct ep_buffer buffer;
		};
		void *copy;
	};
	uint64_t unused[2];
	uint64_t kind;   /* enum kept_kind; before it is kept, meaningless */
};
static_assert(sizeof(struct kept) == sizeof(((struct epochd_message *)NULL)->inside), "ABI 1");

static struct kept *inside(struct epochd_message *message)
{
	return (struct kept *)(void *)message->inside;
}

static void *allocate(size_t size)
{
	void *memory;

	/* As the buffers are: copies that split no line take half the time, and none waits for a store to another page
	 * at the same offset. */
	return posix_memalign(&memory, EP_PAGE, size) == 0 ? memory : NULL;
}

static int make_room(struct handling *handling, size_t size)
{
	if (size <= handling->copy_size)
		return 0;
	free(handling->copy);
	handling->copy = allocate(size);
	handling->copy_size = handling->copy ? size : 0;
	return handling->copy ? 0 : -ENOMEM;
}

/* ---- for its handler ---- */

void app_begin_handling(struct handling *handling, struct member *member)
{
	handling->message.handle = member->peer.handle;
	handling->member = member;
	handling->kept = handling->holds_buffer = false;
}

/* The handler's own copy (I6), or where it lies. */
int app_fill_from_buffer(struct epochd_app *app, struct handling *handling)
{
	const struct ep_received *received = &handling->received;
	struct epochd_message *message = &handling->message;
	int r;

	handling->holds_buffer = app->types.type[message->type].flags & EPOCHD_IN_PLACE;
	if (handling->holds_buffer) {
		message->payload = received->in_place;
		return 0;
	}
	r = make_room(handling, received->content.size);
	if (r == 0)
		message->payload = memcpy(handling->copy, received->in_place, received->content.size);
	ep_release(&handling->member->consumer, &received->content.buffer);
	return r;
}

static void add_time(const struct epochd_app *app, struct ep_histogram *histogram, uint64_t ns)
{
	_Atomic uint64_t *bucket = &histogram->bucket[ep_bucket_of(ns)];

	app_count(app, bucket);
	/* Relaxed: an odometer. */
	if (app->pool)
		atomic_fetch_add_explicit(&histogram->sum, ns, memory_order_relaxed);
	else
		ep_meter_count(&histogram->sum, ns);
}

void app_run_timed(struct epochd_app *app, struct handling *handling)
{
	const struct handler *handler = &app->handlers[handling->message.type];
	struct ep_meter *meter = &app->meter[handling->message.type];
	int64_t sent_at = ep_sent_at(&handling->received), began = ep_now(), waited = began - sent_at, took;

	/* I6: a client that lies about the time, or has another, spoils this, and nothing else. */
	if (sent_at > 0 && waited >= 0)
		add_time(app, &meter->wait, (uint64_t)waited);
	handler->fn(app, &handling->message, handler->user);
	took = ep_now() - began;
	add_time(app, &meter->handling, took > 0 ? (uint64_t)took : 0);
}

static void tell_released(struct epochd_app *app, const struct epochd_message *message)
{
	const struct handler *handler = &app->handlers[message->type];

	if (handler->released)
		handler->released(app, message, handler->released_user);
}

void app_finish(struct epochd_app *app, struct handling *handling)
{
	if (!handling->kept) {
		tell_released(app, &handling->message);
		if (handling->holds_buffer)
			ep_release(&handling->member->consumer, &handling->received.content.buffer);
	}
	handling->kept = handling->holds_buffer = false;
}

/* ---- kept ---- */

void app_drop_member(struct member *member)
{
	/* Release, and acquire where it is freed: whoever used it before is done with it. */
	if (atomic_fetch_sub_explicit(&member->holds, 1, memory_order_acq_rel) == 1)
		app_free_member(member, false);
}

/* The copy becomes the keeper's, and another takes its place. */
static int keep_copy(struct handling *handling, struct kept *kept)
{
	void *another = allocate(handling->copy_size);

	if (!another)
		return -ENOMEM;
	kept->copy = handling->copy;
	kept->kind = KEPT_COPY;
	handling->copy = another;
	return 0;
}

int epochd_keep(struct epochd_app *app, const struct epochd_message *message, struct epochd_message *out)
{
	struct handling *handling = container_of((struct epochd_message *)message, struct handling, message);
	struct epochd_message kept = *message;
	int r = 0;

	(void)app;
	if (handling->kept)
		return -EINVAL;
	if (handling->holds_buffer) {
		inside(&kept)->member = handling->member;
		inside(&kept)->buffer = handling->received.content.buffer;
		inside(&kept)->kind = KEPT_BUFFER;
		/* Relaxed: the handler's is one of them, so it is there. */
		atomic_fetch_add_explicit(&handling->member->holds, 1, memory_order_relaxed);
	} else if (handling->received.is_buffer) {
		r = keep_copy(handling, inside(&kept));
	} else {
		memcpy(inside(&kept)->bytes, message->payload, EP_INLINE);
		inside(&kept)->kind = KEPT_INLINE;
	}
	if (r < 0)
		return r;
	handling->kept = true;
	*out = kept;
	if (inside(out)->kind == KEPT_INLINE)
		out->payload = inside(out)->bytes;
	return 0;
}

/* A client that is gone meanwhile: its channel is counted, the buffer as held. */
static void release_buffer(struct member *member, const struct ep_buffer *buffer)
{
	pthread_mutex_lock(&member->lock);
	if (!member->gone)
		ep_release(&member->consumer, buffer);
	pthread_mutex_unlock(&member->lock);
	app_drop_member(member);
}

void epochd_app_release(struct epochd_app *app, struct epochd_message *message)
{
	struct kept *kept = inside(message);
	enum kept_kind kind = (enum kept_kind)kept->kind;

	if (ep_is_inherited(&app->family))
		return;
	if (kind == KEPT_NOTHING) {
		app_count(app, &app->counts.refused[EP_HANDLE_GOOD]);
		return;
	}
	tell_released(app, message);
	if (kind == KEPT_BUFFER)
		release_buffer(kept->member, &kept->buffer);
	else if (kind == KEPT_COPY)
		free(kept->copy);
	kept->kind = KEPT_NOTHING;   /* twice is once */
	message->payload = NULL;
}
