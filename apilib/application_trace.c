/* What an application is told to write down of its messages (trace.h). */
#include <config.h>

#include "apilib/application_private.h"

#include <errno.h>
#include <sys/stat.h>

static bool is_the_same(const struct app_trace *trace, const struct stat *st)
{
	return trace->trace.header && trace->inode == st->st_ino && trace->device == st->st_dev;
}

static void stop(struct app_trace *trace)
{
	/* Relaxed: who has seen it on looks again with the lock held. */
	atomic_store_explicit(&trace->on, false, memory_order_relaxed);
	ep_trace_unmap(&trace->trace);
}

static int begin(struct app_trace *trace, int fd)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (is_the_same(trace, &st))   /* said again, by another supervisor */
		return 0;
	stop(trace);
	r = ep_trace_map(&trace->trace, fd);
	if (r < 0)
		return r;
	trace->inode = st.st_ino;
	trace->device = st.st_dev;
	atomic_store_explicit(&trace->on, true, memory_order_relaxed);
	return 0;
}

int app_on_trace(struct epochd_app *app, const int *fds, unsigned count)
{
	int r = 0;

	pthread_mutex_lock(&app->trace.lock);
	if (count)
		r = begin(&app->trace, fds[0]);
	else
		stop(&app->trace);
	pthread_mutex_unlock(&app->trace.lock);
	/* No room for the mapping: then there is no trace, and the supervisor shows that nothing comes. */
	return r == -EBADMSG ? -EPROTO : 0;
}

/* With the lock held. */
static void put(struct app_trace *trace, const struct ep_traced *message)
{
	if (trace->trace.header)
		ep_trace_write(&trace->trace, message);
}

void app_trace_received(struct epochd_app *app, const struct member *member, const struct ep_received *received)
{
	const struct ep_content *content = &received->content;
	const struct ep_traced message = {
		.kind = EP_TRACE_RECEIVED, .type = content->id, .handle = member->peer.handle,
		.context = content->context, .size = content->size,
		.payload = received->is_buffer ? received->in_place : content->bytes,
	};

	pthread_mutex_lock(&app->trace.lock);
	put(&app->trace, &message);
	pthread_mutex_unlock(&app->trace.lock);
}

/* Before it is sent: of what a client has seen nothing is missing, wherever we are killed. */
int app_send_traced(struct epochd_app *app, struct member *member, uint32_t type, uint64_t context,
		    const void *payload, size_t size)
{
	struct ep_traced message = {
		.kind = EP_TRACE_SENT, .type = (uint16_t)(type + 1), .handle = member->peer.handle, .context = context,
		.payload = payload, .size = (uint32_t)size,
	};
	int r;

	/* Whoever tries again and again does not fill the trace with that. */
	if (!ep_can_send(&member->producer) || size > UINT32_MAX)
		return ep_types_send(&member->producer, message.type, context, payload, size);
	pthread_mutex_lock(&app->trace.lock);
	put(&app->trace, &message);
	r = ep_types_send(&member->producer, message.type, context, payload, size);
	if (r < 0) {
		message.kind = EP_TRACE_UNSENT;
		message.size = 0;
		put(&app->trace, &message);
	}
	pthread_mutex_unlock(&app->trace.lock);
	return r;
}
