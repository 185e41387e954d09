#include <config.h>

#include "apilib/application_private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "apilib/application_pool.h"
#include "apilib/doorbell.h"
#include "apilib/fault.h"
#include "apilib/fd.h"
#include "apilib/inside.h"
#include "apilib/message.h"
#include "apilib/now.h"
#include "apilib/place.h"
#include "apilib/tracepoint.h"

static const int64_t timeout_usual = 10000000000;
enum { ASK_AGAIN_NS = 50000000 };

/* ---- attaching ---- */

static void forget(struct ep_family *family)
{
	struct epochd_app *app = container_of(family, struct epochd_app, family);

	ep_close_fd(&app->session);
	ep_retry_end(&app->retry);
	ep_close_fd(&app->bell);
	ep_close_fd(&app->meter_fd);
	ep_close_fd(&app->wake);
	ep_close_fd(&app->poll);
	for (uint32_t i = 0; i < app->room; i++)
		if (app->members[i])
			ep_close_fd(&app->members[i]->ring);
}

/* Whatever is to be said first. What does not fit any more the supervisor learns when this process ends. */
static void say_goodbye(struct epochd_app *app)
{
	struct ep_wire_goodbye goodbye = { ep_wire_make(EP_WIRE_GOODBYE, sizeof goodbye) };

	if (app->session < 0)
		return;
	app_flush(app);
	app_tell_refusals(app);
	ep_wire_send(app->session, &goodbye, NULL, 0);
}

void epochd_detach(struct epochd_app *app)
{
	bool inherited;

	if (!app)
		return;
	inherited = app->family.next && ep_is_inherited(&app->family);
	inside_detached(app);
	if (!inherited) {
		pool_free(app);   /* first: they send */
		ep_family_leave(&app->family);
		say_goodbye(app);
		forget(&app->family);
		ep_view_unmap(&app->view);
		ep_meter_unmap(app->meter_page, app->meter_types);
		ep_trace_unmap(&app->trace.trace);
	}
	for (uint32_t i = 0; i < app->room; i++) {
		app_free_member(app->members[i], inherited);
		free(app->departed[i]);
	}
	free(app->members);
	free(app->departed);
	free(app->handlers);
	free(app->on_joined);
	free(app->on_gone);
	free(app->scratch);
	free(app->joined_types);
	free(app->modules);
	pthread_mutex_destroy(&app->posts_lock);
	pthread_mutex_destroy(&app->trace.lock);
	free(app);
}

static void detachp(struct epochd_app **app)
{
	epochd_detach(*app);
}

static const char *from_environment(const char *name)
{
	const char *value = secure_getenv(name);   /* NOLINT(concurrency-mt-unsafe) */

	return value ? value : "";
}

/* By what the supervisor gave this process, or by name alone. */
static int take_name(struct epochd_app *app, const struct epochd_options *options, char *why, size_t why_size)
{
	const char *name = options->name ? options->name : from_environment("EPOCHD_APP");
	const char *token = options->name ? "" : from_environment("EPOCHD_TOKEN");

	if (!*name) {
		snprintf(why, why_size, "this process was not started by epochd: name the external application "
			 "that it is");
		return -ENOENT;
	}
	if (strlen(name) >= sizeof app->name || strlen(token) >= sizeof app->token)
		return -EINVAL;
	snprintf(app->name, sizeof app->name, "%s", name);
	snprintf(app->token, sizeof app->token, "%s", token);
	return 0;
}

static int say_who(const struct epochd_app *app)
{
	struct ep_wire_attach attach = { .head = ep_wire_make(EP_WIRE_ATTACH, sizeof attach) };

	memcpy(attach.app, app->name, sizeof attach.app);
	memcpy(attach.token, app->token, sizeof attach.token);
	return ep_wire_send(app->session, &attach, NULL, 0);
}

static bool await_room(const struct epochd_app *app, int64_t deadline)
{
	struct pollfd session = { .fd = app->session, .events = POLLOUT };
	struct timespec left;

	return ppoll(&session, 1, ep_until(deadline, &left), NULL) != 0;
}

static int send_packet_in_time(const struct epochd_app *app, void *packet, int64_t deadline)
{
	int r;

	while ((r = ep_wire_send(app->session, packet, NULL, 0)) == -EAGAIN)
		if (!await_room(app, deadline))
			return -ETIMEDOUT;
	return r;
}

/* A module comes before its first message. */
static int put_type(const struct epochd_app *app, uint32_t i, unsigned char *packet, size_t size, size_t *used)
{
	size_t before = *used;
	int r = 0;

	for (size_t j = 0; r == 0 && j < app->module_count; j++)
		if (app->modules[j].base == i && app->modules[j].count && app->modules[j].version[0])
			r = ep_table_put_module(packet, size, used, app->modules[j].name, app->modules[j].version);
	if (r == 0)
		r = ep_table_put(packet, size, used, &app->types.type[i]);
	if (r < 0)
		*used = before;
	return r;
}

int app_tell_types(const struct epochd_app *app, uint32_t *at)
{
	union ep_wire_packet packet;
	size_t used = sizeof(struct ep_wire_table);
	uint32_t i = *at;
	int r;

	while (i < app->types.count) {
		r = put_type(app, i, packet.bytes, sizeof packet, &used);
		if (r == 0)
			i++;
		if (r == 0 && i < app->types.count)
			continue;
		packet.head = ep_wire_make(EP_WIRE_TABLE, used);
		r = ep_wire_send(app->session, &packet, NULL, 0);
		if (r < 0)
			return r;
		*at = i;
		used = sizeof(struct ep_wire_table);
	}
	return 0;
}

static int tell_types(const struct epochd_app *app, int64_t deadline)
{
	uint32_t at = 0;
	int r;

	while ((r = app_tell_types(app, &at)) == -EAGAIN)
		if (!await_room(app, deadline))
			return -ETIMEDOUT;
	return r;
}

static int take_meter(struct epochd_app *app, int fd)
{
	int r = ep_meter_map(&app->meter_page, fd, PROT_READ | PROT_WRITE, &app->meter_types);

	if (r < 0)
		return r;
	app->meter = app->meter_page->type;
	return app->meter_types == app->types.count ? 0 : -EBADMSG;
}

static int on_attached(struct epochd_app *app, const struct ep_wire_attached *attached,
		       int fds[static EP_WIRE_FDS_MAX], unsigned count, char *why, size_t why_size)
{
	const char *reason = "no descriptors came";
	int r = count == EP_ATTACHED_FDS ? 0 : -EBADMSG;

	if (r == 0)
		r = ep_view_map(&app->view, fds[EP_ATTACHED_REGISTRY], &reason);
	if (r == 0) {
		reason = "its meter";
		r = take_meter(app, fds[EP_ATTACHED_METER]);
	}
	if (r == 0) {
		app->meter_fd = ep_steal_fd(&fds[EP_ATTACHED_METER]);
		app->epoch = attached->epoch;
		app->bell = ep_steal_fd(&fds[EP_ATTACHED_BELL]);
	}
	if (r == -EBADMSG)
		snprintf(why, why_size, "the supervisor's registry: %s", reason);
	return r == -EBADMSG ? -EPROTO : r;
}

static int on_answer(struct epochd_app *app, const union ep_wire_packet *packet,
		     int fds[static EP_WIRE_FDS_MAX], unsigned count, char *why, size_t why_size)
{
	if (packet->head.kind == EP_WIRE_ATTACHED)
		return on_attached(app, &packet->attached, fds, count, why, why_size);
	if (packet->head.kind == EP_WIRE_REFUSED) {
		snprintf(why, why_size, "%s", packet->refused.text);
		return packet->refused.error < 0 ? packet->refused.error : -EPROTO;
	}
	return -EPROTO;
}

static int await_answer(struct epochd_app *app, int64_t deadline, char *why, size_t why_size)
{
	struct pollfd session = { .fd = app->session, .events = POLLIN };
	int fds[EP_WIRE_FDS_MAX];
	union ep_wire_packet packet;
	struct timespec left;
	unsigned count = 0;
	int r;

	while ((r = ep_wire_receive(app->session, &packet, fds, &count, EP_ATTACHED_FDS)) == -EAGAIN)
		if (ppoll(&session, 1, ep_until(deadline, &left), NULL) == 0)
			return -ETIMEDOUT;
	if (r <= 0) {
		snprintf(why, why_size, "the supervisor has ended the session");
		return r == 0 ? -ECONNRESET : r;
	}
	r = on_answer(app, &packet, fds, count, why, why_size);
	for (unsigned i = 0; i < count; i++)
		ep_close_fd(&fds[i]);
	return r;
}

static int watch(const struct epochd_app *app, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(app->poll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int prepare(struct epochd_app *app, char *why, size_t why_size)
{
	int r = ep_types_check(&app->types, why, why_size);

	if (r < 0)
		return r;
	app->handlers = calloc((size_t)app->types.count + 1, sizeof *app->handlers);
	if (!app->handlers)
		return -ENOMEM;
	app->poll = epoll_create1(EPOLL_CLOEXEC);
	app->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (app->poll < 0 || app->wake < 0)
		return -errno;
	return ep_family_join(&app->family, forget);
}

static int ask(struct epochd_app *app, int64_t deadline, char *why, size_t why_size)
{
	struct ep_wire_ready ready = { ep_wire_make(EP_WIRE_READY, sizeof ready) };
	int r;

	ep_close_fd(&app->session);
	app->session = ep_place_connect(app->folder, deadline, why, why_size);
	if (app->session < 0)
		return app->session;
	r = say_who(app);
	EP_FAULT(attach_said);
	if (r == 0)
		r = tell_types(app, deadline);
	EP_FAULT(table_said);
	if (r == 0)
		r = send_packet_in_time(app, &ready, deadline);
	EP_FAULT(ready_said);
	/* A refusal may have come in the middle, and then the rest could not be sent. */
	if (r == 0 || r == -EPIPE || r == -ECONNRESET)
		r = await_answer(app, deadline, why, why_size);
	EP_FAULT(attached);
	return r;
}

static int attach(struct epochd_app *app, const struct epochd_options *options, char *why, size_t why_size)
{
	const struct timespec pause = { .tv_nsec = ASK_AGAIN_NS };
	int64_t deadline = ep_deadline(options->timeout ? options->timeout : timeout_usual);
	int r = prepare(app, why, why_size);

	if (r == 0)
		r = ep_place_find(app->folder, sizeof app->folder, options, why, why_size);
	if (r == 0)
		r = take_name(app, options, why, why_size);
	if (r < 0)
		return r;
	/* An external application's backoff, or what it waits for, takes its time; so does a supervisor that went in
	 * the middle. */
	while ((r = ask(app, deadline, why, why_size)) == -EAGAIN || r == -ECONNRESET || r == -EPIPE) {
		if (ep_now() + ASK_AGAIN_NS > deadline)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	if (r == 0)
		r = watch(app, app->session);
	if (r == 0)
		r = watch(app, app->bell);
	return r < 0 ? r : watch(app, app->wake);
}

struct epochd_app *attaching_new(void)
{
	struct epochd_app *app = calloc(1, sizeof *app);

	if (!app)
		return NULL;
	app->session = app->bell = app->meter_fd = app->wake = app->poll = app->retry.fd = -1;
	app->unsaid_end = &app->unsaid;
	app->active.next = app->active.before = &app->active;
	pthread_mutex_init(&app->posts_lock, NULL);
	pthread_mutex_init(&app->trace.lock, NULL);
	return app;
}

int attaching_finish(struct epochd_app **out, struct epochd_app *app, const struct epochd_options *options)
{
	static const struct epochd_options usual;
	CLEANUP(detachp) struct epochd_app *attaching = app;
	char why[512] = "";
	int r;

	if (!options)
		options = &usual;
	ep_wait_init(&app->wait, (enum epochd_wait)options->wait);
	r = (options->size && options->size != sizeof *options) || options->wait > EPOCHD_SLEEP ||
			    options->flags ? -EINVAL : attach(app, options, why, sizeof why);
	if (r < 0) {
		if (options->why && options->why_size)
			snprintf(options->why, options->why_size, "%s", why[0] ? why : strerrordesc_np(-r));
		return r;
	}
	*out = STEAL(attaching);
	return 0;
}

int epochd_attach(struct epochd_app **out, const struct epochd_type *types, size_t count,
		  const struct epochd_options *options)
{
	struct epochd_app *app = attaching_new();

	if (!app)
		return -ENOMEM;
	app->types = (struct ep_types){ types, (uint32_t)(count <= UINT32_MAX ? count : UINT32_MAX) };
	return attaching_finish(out, app, options);
}

uint32_t epochd_app_epoch(const struct epochd_app *app) { return app->epoch; }

int epochd_app_fd(const struct epochd_app *app)
{
	return ep_is_inherited(&app->family) ? -ECHILD : app->poll;
}

/* ---- who is told ---- */

int epochd_handle(struct epochd_app *app, uint32_t type, epochd_handler_fn *fn, void *user)
{
	if (type >= app->types.count)
		return -EINVAL;
	app->handlers[type].fn = fn;
	app->handlers[type].user = user;
	app->handlers[type].flags = 0;
	return 0;
}

int epochd_handle_concurrent(struct epochd_app *app, uint32_t type, epochd_handler_fn *fn, void *user, uint32_t flags)
{
	if (flags & ~(uint32_t)EPOCHD_UNORDERED)
		return -EINVAL;
	if (epochd_handle(app, type, fn, user) < 0)
		return -EINVAL;
	app->handlers[type].flags = HANDLER_CONCURRENT | (flags & EPOCHD_UNORDERED ? HANDLER_UNORDERED : 0);
	return 0;
}

int epochd_on_released(struct epochd_app *app, uint32_t type, epochd_released_fn *fn, void *user)
{
	if (type >= app->types.count)
		return -EINVAL;
	app->handlers[type].released = fn;
	app->handlers[type].released_user = user;
	return 0;
}

int epochd_on_joined(struct epochd_app *app, epochd_joined_fn *fn, void *user)
{
	struct on_joined *grown = realloc(app->on_joined, (app->on_joined_count + 1) * sizeof *grown);

	if (!grown)
		return -ENOMEM;
	app->on_joined = grown;
	grown[app->on_joined_count++] = (struct on_joined){ fn, user };
	return 0;
}

int epochd_on_gone(struct epochd_app *app, epochd_gone_fn *fn, void *user)
{
	struct on_gone *grown = realloc(app->on_gone, (app->on_gone_count + 1) * sizeof *grown);

	if (!grown)
		return -ENOMEM;
	app->on_gone = grown;
	grown[app->on_gone_count++] = (struct on_gone){ fn, user };
	return 0;
}

/* ---- clients ---- */

struct member *app_member(struct epochd_app *app, uint64_t handle)
{
	uint32_t index = ep_handle_index(handle);
	struct member *member = index < app->room ? app->members[index] : NULL;

	return member && member->peer.handle == handle && handle ? member : NULL;
}

/* The view remembers how many slots there are: one thread at a time. */
static enum ep_verdict check_handle(struct epochd_app *app, uint64_t handle)
{
	enum ep_verdict verdict;

	if (!app->pool)
		return ep_handle_check(&app->view, handle);
	pthread_mutex_lock(&app->posts_lock);
	verdict = ep_handle_check(&app->view, handle);
	pthread_mutex_unlock(&app->posts_lock);
	return verdict;
}

/* With the table held. */
static int verdict_on(struct epochd_app *app, uint64_t handle, struct epochd_peer *peer)
{
	enum ep_verdict verdict = check_handle(app, handle);
	const struct member *member = app_member(app, handle);

	if (verdict == EP_HANDLE_GOOD && !member)   /* it has joined, and we have not been told yet */
		verdict = EP_HANDLE_FREE_SLOT;
	if (verdict != EP_HANDLE_GOOD)
		app_count(app, &app->counts.refused[verdict]);
	else if (peer)
		*peer = member->peer;
	return (int)verdict;
}

int epochd_app_verdict(struct epochd_app *app, uint64_t handle, struct epochd_peer *peer)
{
	int verdict;

	if (ep_is_inherited(&app->family))
		return -ECHILD;
	pool_hold_table(app);
	verdict = verdict_on(app, handle, peer);
	pool_let_table_go(app);
	return verdict;
}

/* Whom something is for; NULL: nobody, refuse() says why. */
static inline struct member *find(struct epochd_app *app, uint64_t handle)
{
	return app_check(app) == 0 ? app_member(app, handle) : NULL;
}

static int refuse(struct epochd_app *app, uint64_t handle)
{
	int r = app_check(app);

	if (r < 0)
		return r;
	verdict_on(app, handle, NULL);   /* counts why */
	return -ENOTCONN;
}

int epochd_app_clients(struct epochd_app *app, epochd_joined_fn *fn, void *user)
{
	int count = 0;

	if (ep_is_inherited(&app->family))
		return -ECHILD;
	for (uint32_t i = 0; i < app->room; i++) {
		if (!app->members[i])
			continue;
		count++;
		if (fn)
			fn(app, &app->members[i]->peer, user);
	}
	return count;
}

int epochd_app_kick(struct epochd_app *app, uint64_t handle, const char *why)
{
	struct member *member = find(app, handle);

	if (!member)
		return refuse(app, handle);
	app_break(app, member, EPOCHD_GONE_KICKED, why ? why : "the application sent it away");
	return member->broken ? 0 : -EAGAIN;
}

static int blocked(struct epochd_app *app, int r)
{
	if (r == -EAGAIN)
		app_count(app, &app->counts.would_block);
	return r;
}

/* Where others may send to it at the same time. */
static inline void lock_producer(const struct epochd_app *app, struct member *member)
{
	if (app->pool)
		pthread_mutex_lock(&member->lock);
}

static inline void unlock_producer(const struct epochd_app *app, struct member *member)
{
	if (app->pool)
		pthread_mutex_unlock(&member->lock);
}

static int allocate_for(struct epochd_app *app, struct member *member, size_t size, void **memory)
{
	struct ep_buffer buffer = { 0 };
	int r;

	lock_producer(app, member);
	r = ep_allocate(&member->producer, size, &buffer, memory);
	if (r == -EMSGSIZE) {
		r = ep_large_allocate(&member->producer, size, &buffer, memory);
		if (r == -ENOENT || r == -EAGAIN)
			r = app_wish(app, member, r, size);
	}
	unlock_producer(app, member);
	return blocked(app, r);
}

int epochd_app_allocate(struct epochd_app *app, uint64_t handle, size_t size, void **memory)
{
	struct member *member;
	int r;

	pool_hold_table(app);
	member = find(app, handle);
	r = member ? allocate_for(app, member, size, memory) : refuse(app, handle);
	pool_let_table_go(app);
	return r;
}

static int free_of(struct epochd_app *app, struct member *member, void *memory)
{
	struct ep_buffer buffer = { 0 };
	int r;

	lock_producer(app, member);
	r = ep_buffer_at(&member->producer, memory, &buffer);
	if (r == 0)
		r = ep_free(&member->producer, &buffer);
	unlock_producer(app, member);
	if (r == -ENOENT || r == -EINVAL)
		app_count(app, &app->counts.refused[EP_HANDLE_GOOD]);   /* it is told with the others */
	return r == -ENOENT ? -EINVAL : r;
}

int epochd_app_free(struct epochd_app *app, uint64_t handle, void *memory)
{
	struct member *member;
	int r;

	pool_hold_table(app);
	member = find(app, handle);
	r = member ? free_of(app, member, memory) : refuse(app, handle);
	pool_let_table_go(app);
	return r;
}

static int send_to(struct epochd_app *app, struct member *member, uint32_t type, uint64_t context, const void *payload,
		   size_t size)
{
	int r;

	if (type >= app->types.count || !ep_types_fit(&app->types, type, size))
		return -EINVAL;
	lock_producer(app, member);
	r = app_is_traced(app) ? app_send_traced(app, member, type, context, payload, size) :
		ep_types_send(&member->producer, (uint16_t)(type + 1), context, payload, size);
	if (r == -ENOENT)
		r = app_wish(app, member, r, size);
	unlock_producer(app, member);
	if (r == -EPROTO && app->pool)
		pool_condemn(app, member);
	else if (r == -EPROTO)
		app_break(app, member, EPOCHD_GONE_BROKEN, "its counters make no sense");
	if (r == -EAGAIN)
		app_count(app, &app->meter[type].would_block);
	if (r < 0)
		return blocked(app, r);
	if (r > 0)
		ep_bell_ring(member->ring);
	app_count(app, &app->meter[type].sent);
	EP_TRACEPOINT4(reply, member->peer.handle, type, context, size);
	return 0;
}

int epochd_app_send(struct epochd_app *app, uint64_t handle, uint32_t type, uint64_t context,
		    const void *payload, size_t size)
{
	struct member *member;
	int r;

	if (!app->pool) {
		member = find(app, handle);
		return member ? send_to(app, member, type, context, payload, size) : refuse(app, handle);
	}
	pool_hold_table(app);
	member = find(app, handle);
	r = member ? send_to(app, member, type, context, payload, size) : refuse(app, handle);
	pool_let_table_go(app);
	return r;
}

int epochd_reply(struct epochd_app *app, const struct epochd_message *message, uint32_t type,
		 const void *payload, size_t size)
{
	return epochd_app_send(app, message->handle, type, message->context, payload, size);
}

void epochd_app_counts(const struct epochd_app *app, struct epochd_app_counts *out)
{
	/* Relaxed, all: odometers. */
	*out = (struct epochd_app_counts){
		.received = ep_meter_read(&app->counts.unknown),
		.unhandled = ep_meter_read(&app->counts.unhandled),
		.would_block = ep_meter_read(&app->counts.would_block),
		.joined = ep_meter_read(&app->counts.joined), .gone = ep_meter_read(&app->counts.gone),
	};
	for (uint32_t i = 0; i < app->types.count; i++) {
		out->received += ep_meter_read(&app->meter[i].received) + ep_meter_read(&app->meter[i].misfit);
		out->sent += ep_meter_read(&app->meter[i].sent);
	}
	for (int i = 0; i < EP_VERDICTS; i++)
		out->refused[i] = ep_meter_read(&app->counts.refused[i]);
}

/* ---- from other threads ---- */

void app_wake(const struct epochd_app *app)
{
	const uint64_t one = 1;
	ssize_t n;

	do
		n = write(app->wake, &one, sizeof one);   /* full: it is awake */
	while (n < 0 && errno == EINTR);
}

int epochd_post(struct epochd_app *app, epochd_post_fn *fn, void *user)
{
	struct posts *posts;
	bool fits;

	if (ep_is_inherited(&app->family))
		return -ECHILD;
	pthread_mutex_lock(&app->posts_lock);
	posts = &app->posts[app->posts_filling];
	fits = posts->count < POSTS_MAX;
	if (fits)
		posts->post[posts->count++] = (struct posted){ fn, user };
	pthread_mutex_unlock(&app->posts_lock);
	if (!fits)
		return -EAGAIN;
	/* Release, with the acquire in run_posts(): what was posted is there; the lock says the rest. */
	if (!atomic_exchange_explicit(&app->posted, true, memory_order_release))
		app_wake(app);
	return 0;
}

void epochd_stop(struct epochd_app *app)
{
	int before = errno;

	/* Relaxed: nothing else is told by it. */
	atomic_store_explicit(&app->stopped, true, memory_order_relaxed);
	app_wake(app);
	errno = before;
}
