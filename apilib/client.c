#include <config.h>

#include "apilib/client_private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "apilib/doorbell.h"
#include "apilib/fd.h"
#include "apilib/inside.h"
#include "apilib/now.h"
#include "apilib/place.h"

enum {
	LOOK_OUTSIDE_EVERY = 1024,   /* looks that found nothing, of somebody who polls */
	LOOK_AFTER_EVERY = 1024,     /* messages, of somebody for whom there is always one */
};

#define CALL_CONTEXT (1ull << 63)   /* of epochd_call(): nobody else's */

static const int64_t timeout_usual = 10000000000;

/* ---- connecting ---- */

static void forget(struct ep_family *family)
{
	struct epochd_client *client = container_of(family, struct epochd_client, family);

	ep_close_fd(&client->session);
	ep_close_fd(&client->poll);
	ep_retry_end(&client->retry);
	ep_close_fd(&client->link.memfd);
	ep_close_fd(&client->link.bell);
	ep_close_fd(&client->link.ring);
}

void epochd_close(struct epochd_client *client)
{
	struct ep_wire_goodbye goodbye = { ep_wire_make(EP_WIRE_GOODBYE, sizeof goodbye) };

	if (!client)
		return;
	bool inherited = client->family.next && ep_is_inherited(&client->family);

	inside_leave(client);
	if (!inherited) {
		ep_family_leave(&client->family);
		if (client->session >= 0)
			ep_wire_send(client->session, &goodbye, NULL, 0);
		forget(&client->family);
	}
	client_unlink(&client->link, inherited);
	ep_agreed_deinit(&client->agreed);
	free(client->kept);
	free(client);
}

static void closep(struct epochd_client **client)
{
	epochd_close(*client);
}

static int take_name(char *out, size_t size, const char *name)
{
	if (!name || !*name || strlen(name) >= size)
		return -EINVAL;
	snprintf(out, size, "%s", name);
	return 0;
}

static int take_geometry(struct epochd_client *client, const struct epochd_options *options)
{
	client->wanted.ring = options->ring;
	if (options->buffers_count > EP_CLASSES_MAX || (options->buffers_count && !options->buffers))
		return -EINVAL;
	client->wanted.classes = options->buffers_count;
	for (uint32_t i = 0; i < options->buffers_count; i++)
		client->wanted.class[i] = (struct ep_class){ options->buffers[i].size,
							     options->buffers[i].count };
	return 0;
}

static int take_options(struct epochd_client *client, const char *application,
			const struct epochd_options *options)
{
	const char *name = options->name ? options->name : program_invocation_short_name;
	int r = take_name(client->app, sizeof client->app, application);

	snprintf(client->why, sizeof client->why, "the options make no sense");
	if (r < 0 || (options->size && options->size != sizeof *options) ||
	    options->wait > EPOCHD_SLEEP || options->flags & ~(uint32_t)(EPOCHD_RECONNECT | EPOCHD_ADOPT))
		return -EINVAL;
	snprintf(client->name, sizeof client->name, "%.*s", (int)sizeof client->name - 1, name);
	ep_wait_init(&client->wait, (enum epochd_wait)options->wait);
	client->flags = options->flags;
	client->reconnected = options->reconnected;
	client->user = options->user;
	return take_geometry(client, options);
}

/* folder: of the instance, if that is known. */
static int open_client(struct epochd_client *client, const char *application, const char *folder,
		       const struct ep_types *types, const struct epochd_options *options)
{
	int64_t timeout = options->timeout ? options->timeout : timeout_usual;
	int r = take_options(client, application, options);

	if (r == 0 && client->flags & EPOCHD_ADOPT && types->count)
		r = -EINVAL;
	if (r == 0)
		r = ep_types_check(types, client->why, sizeof client->why);
	if (r == 0)
		r = ep_agreed_init(&client->agreed, types, client->flags & EPOCHD_ADOPT);
	if (r == 0 && folder)
		snprintf(client->folder, sizeof client->folder, "%s", folder);
	else if (r == 0)
		r = ep_place_find(client->folder, sizeof client->folder, options, client->why,
				  sizeof client->why);
	if (r < 0)
		return r;
	client->why[0] = '\0';
	if (getrandom(&client->nonce, sizeof client->nonce, GRND_NONBLOCK) != (ssize_t)sizeof client->nonce)
		client->nonce = (uint64_t)ep_now() << 20 ^ (uint64_t)getpid();
	client->poll = epoll_create1(EPOLL_CLOEXEC);
	if (client->poll < 0)
		return -errno;
	r = ep_family_join(&client->family, forget);
	if (r < 0)
		return r;
	return client_join(client, ep_deadline(timeout));
}

int epochd_connect(struct epochd_client **out, const char *application, const struct epochd_type *types,
		   size_t count, const struct epochd_options *options)
{
	return client_connect(out, application, NULL, types, count, options);
}

int client_connect(struct epochd_client **out, const char *application, const char *folder,
		   const struct epochd_type *types, size_t count, const struct epochd_options *options)
{
	static const struct epochd_options usual;
	CLEANUP(closep) struct epochd_client *client = calloc(1, sizeof *client);
	int r;

	if (!client)
		return -ENOMEM;
	if (!options)
		options = &usual;
	client->session = client->poll = client->retry.fd = -1;
	client->link.memfd = client->link.bell = client->link.ring = -1;
	const struct ep_types own = { types, (uint32_t)(count <= UINT32_MAX ? count : UINT32_MAX) };

	client->empty = true;
	r = open_client(client, application, folder, &own, options);
	if (r < 0) {
		if (options->why && options->why_size)
			snprintf(options->why, options->why_size, "%s",
				 client->why[0] ? client->why : strerrordesc_np(-r));
		return r;
	}
	*out = STEAL(client);
	return 0;
}

int epochd_reconnect(struct epochd_client *client, int64_t timeout)
{
	if (ep_is_inherited(&client->family))
		return -ECHILD;
	return client_join(client, ep_deadline(timeout));
}

uint64_t epochd_client_handle(const struct epochd_client *client)
{
	return client->link.handle;
}

int epochd_client_fd(const struct epochd_client *client)
{
	return ep_is_inherited(&client->family) ? -ECHILD : client->poll;
}

const struct epochd_type *epochd_client_type(const struct epochd_client *client, uint32_t type)
{
	return type < client->agreed.types.count ? &client->agreed.types.type[type] : NULL;
}

const char *epochd_client_why(const struct epochd_client *client)
{
	return client->why;
}

/* ---- the state that every call finds ---- */

struct waiting {
	struct epochd_message *out;
	uint64_t call;       /* whose reply; 0: anything */
	uint64_t handle;     /* that it waits under */
	int64_t timeout;     /* from the first look at the clock on; that is not where a message passes at once */
	int64_t deadline;    /* 0: there was none yet: client_deadline() */
	int64_t began;
};

int64_t client_deadline(struct waiting *waiting)
{
	if (!waiting->deadline)
		waiting->deadline = ep_deadline(waiting->timeout);
	return waiting->deadline;
}

/* The epoch has ended. Told once, so that whoever waits for a reply learns that none comes; then, with
 * EPOCHD_RECONNECT, the next one is joined in passing. */
static int stale(struct epochd_client *client, struct waiting *waiting)
{
	int r;

	if (client->told && client->flags & EPOCHD_RECONNECT) {
		r = waiting ? client_join(client, client_deadline(waiting)) : client_read_session(client);
		if (r == 0 && !client_is_stale(client))
			return 0;
		return r < 0 ? r : -ESTALE;
	}
	client->told = true;
	r = client_read_session(client);   /* for the reason, and to keep the descriptor quiet */
	return r < 0 ? r : -ESTALE;
}

static int check_again(struct epochd_client *client, struct waiting *waiting)
{
	if (ep_is_inherited(&client->family))
		return -ECHILD;
	return client->state == CLIENT_ENDED ? client->error : stale(client, waiting);
}

/* 0: joined in an epoch that serves. waiting: NULL: nothing is waited for. */
static inline int check(struct epochd_client *client, struct waiting *waiting)
{
	return ep_is_inherited(&client->family) || client_is_stale(client) ? check_again(client, waiting) : 0;
}

/* An end of the channel said r. */
static int channel_error(struct epochd_client *client, int r)
{
	if (r == -ESTALE)
		client->told = true;
	if (r == -EPROTO) {
		client->state = CLIENT_ENDED;
		client->error = r;
		snprintf(client->why, sizeof client->why, "the application wrote nonsense: %s",
			 client->link.consumer.why ? client->link.consumer.why : "its counters");
	}
	return r;
}

/* While it is owed, whoever waits for the client's fd is told when there is room again. */
static void ring_application(struct epochd_client *client)
{
	bool owed = !ep_bell_ring_index(client->link.ring, ep_handle_index(client->link.handle));
	struct epoll_event event = { .events = EPOLLOUT };

	if (owed != client->ring_owed)
		epoll_ctl(client->poll, owed ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, client->link.ring, &event);
	client->ring_owed = owed;
}

/* Who never rests does not hear that the supervisor is away, and must come back to the next one all the same. */
static inline void look_after_session(struct epochd_client *client)
{
	if (client->passed < LOOK_AFTER_EVERY)
		return;
	client->passed = 0;
	client_look_after_session(client);
}

/* ---- sending ---- */

/* Who asks again hears what was said meanwhile. */
static int allocate_large(struct epochd_client *client, size_t size, void **memory)
{
	uint64_t handle = client->link.handle;
	struct ep_buffer buffer;
	int r = client->link.wish.asked ? client_read_session(client) : 0;

	if (r < 0)
		return r;
	if (client->link.handle != handle || client_is_stale(client))
		return -ESTALE;
	r = ep_large_allocate(&client->link.producer, size, &buffer, memory);
	return r == -ENOENT || r == -EAGAIN ? client_wish(client, r, size) : r;
}

int epochd_allocate(struct epochd_client *client, size_t size, void **memory)
{
	struct ep_buffer buffer = { 0 };
	int r = check(client, NULL);

	if (r == 0)
		r = ep_allocate(&client->link.producer, size, &buffer, memory);
	if (r == -EMSGSIZE)
		r = allocate_large(client, size, memory);
	return r < 0 ? channel_error(client, r) : 0;
}

/* Until the supervisor has said something. */
static int hear_of_wish(struct epochd_client *client, int64_t deadline)
{
	struct pollfd session = { .fd = client->session < 0 ? client->retry.fd : client->session, .events = POLLIN };
	struct timespec left;

	if (ppoll(&session, 1, ep_until(deadline, &left), NULL) == 0)
		return -ETIMEDOUT;
	return client_read_session(client);
}

int epochd_allocate_wait(struct epochd_client *client, size_t size, void **memory, int64_t timeout)
{
	int64_t deadline = ep_deadline(timeout);
	int r = epochd_allocate(client, size, memory), heard;

	while (r == -EAGAIN && (client->link.wish.asked || client->session < 0)) {
		heard = hear_of_wish(client, deadline);
		if (heard < 0)
			return heard;
		r = epochd_allocate(client, size, memory);
	}
	return r;
}

int epochd_free(struct epochd_client *client, void *memory)
{
	struct ep_buffer buffer = { 0 };
	int r = check(client, NULL);

	if (r == 0)
		r = ep_buffer_at(&client->link.producer, memory, &buffer);
	if (r == -ENOENT)
		r = -EINVAL;
	return r < 0 ? r : ep_free(&client->link.producer, &buffer);
}

static int send_message(struct epochd_client *client, uint32_t type, uint64_t context, const void *payload,
			size_t size)
{
	int r;

	if (type >= client->agreed.types.count || !ep_types_fit(&client->agreed.types, type, size))
		return -EINVAL;
	if (!client->agreed.wire_of[type])
		return -ENOMSG;
	r = ep_types_send(&client->link.producer, client->agreed.wire_of[type], context, payload, size);
	if (r == -ENOENT && client->link.wish.asked && client_read_session(client) == 0 && !client_is_stale(client))
		r = ep_types_send(&client->link.producer, client->agreed.wire_of[type], context, payload, size);
	if (r == -ENOENT)
		r = client_wish(client, r, size);
	if (r < 0)
		return channel_error(client, r);
	if (r > 0 || client->ring_owed)
		ring_application(client);
	client->passed++;
	look_after_session(client);
	return 0;
}

int epochd_send(struct epochd_client *client, uint32_t type, uint64_t context, const void *payload,
		size_t size)
{
	int r = check(client, NULL);

	if (r == 0 && context & CALL_CONTEXT)
		r = -EINVAL;
	return r < 0 ? r : send_message(client, type, context, payload, size);
}

/* ---- receiving ---- */

static void release(struct epochd_client *client, const struct ep_received *received)
{
	if (received->is_buffer)
		ep_release(&client->link.consumer, &received->content.buffer);
}

/* ep_receive(), and what the supervisor told us before it told whoever sent it. */
static int receive(struct epochd_client *client, struct ep_received *received)
{
	int r = ep_receive(&client->link.consumer, received);

	if (r != -ENXIO)
		return r;
	r = client_read_session(client);
	if (r == 0)
		r = ep_receive(&client->link.consumer, received);
	return r == -ENXIO ? ep_refuse_next(&client->link.consumer) : r;
}

/* The next one that came through the ring. 1, 0: none, or the error. */
static int take(struct epochd_client *client, struct epochd_message *out)
{
	struct ep_received received;
	uint32_t type;
	int r;

	while ((r = receive(client, &received)) > 0) {
		type = received.content.id < client->agreed.wire_count ? client->agreed.type_of[received.content.id] :
								 UINT32_MAX;
		if (type == UINT32_MAX) {   /* one that we do not know */
			release(client, &received);
			continue;
		}
		if (!ep_types_fit(&client->agreed.types, type, received.content.size)) {
			client->link.consumer.why = "a message is not as large as its type";
			return channel_error(client, client->link.consumer.closed = -EPROTO);
		}
		ep_message_fill(out, &received, type, client->link.handle);
		client->passed++;
		return 1;
	}
	return r < 0 ? channel_error(client, r) : 0;
}

/* As take(), but for replies that nobody waits for any more. */
static int take_wanted(struct epochd_client *client, struct epochd_message *out, uint64_t call)
{
	int r;

	while ((r = take(client, out)) > 0 && out->context & CALL_CONTEXT && out->context != call)
		epochd_release(client, out);
	return r;
}

int epochd_release(struct epochd_client *client, const struct epochd_message *message)
{
	struct ep_buffer buffer = { 0 };

	if (ep_is_inherited(&client->family))
		return -ECHILD;
	if (!ep_message_buffer(message, &buffer))
		return 0;
	if (message->handle != client->link.handle)
		return -ESTALE;
	if (!ep_lane_size(&client->link.consumer.lane, buffer.class, buffer.index))
		return -EINVAL;
	return ep_release(&client->link.consumer, &buffer);
}

int client_take_wanted(struct epochd_client *client, struct waiting *waiting)
{
	return take_wanted(client, waiting->out, waiting->call);
}

bool client_arm(struct epochd_client *client)
{
	if (client->armed)   /* and perhaps rung since */
		ep_bell_drain(client->link.bell);
	client->armed = true;
	return ep_arm(&client->link.consumer);
}

/* What the supervisor has said: -ESTALE: what is waited for does not come any more, also if the next epoch was joined in
 * passing. The fence is looked at with each line. */
static int look_whether_over(struct epochd_client *client, const struct waiting *waiting)
{
	if (client->link.handle != waiting->handle)
		return -ESTALE;
	if (client->state == CLIENT_JOINED)
		return 0;
	client->told = true;
	return -ESTALE;
}

/* What it says meanwhile. As take_in_time(). */
static int hear(struct epochd_client *client, const struct waiting *waiting)
{
	int r = client_read_session(client);

	/* It may have replied before it detached. */
	if (r == 0 && client->state != CLIENT_JOINED && client->link.handle == waiting->handle)
		r = take_wanted(client, waiting->out, waiting->call);
	return r ? r : look_whether_over(client, waiting);
}

static int sleep_until(struct epochd_client *client, struct waiting *waiting)
{
	struct pollfd awaited[3] = {
		{ .fd = client->link.bell, .events = POLLIN },
		{ .fd = client->session < 0 ? client->retry.fd : client->session, .events = POLLIN },
		{ .fd = client->ring_owed ? client->link.ring : -1, .events = POLLOUT },
	};
	struct timespec left;
	int n = ppoll(awaited, ARRAY_SIZE(awaited), ep_until(client_deadline(waiting), &left), NULL);

	if (n == 0)
		return -ETIMEDOUT;
	if (n > 0 && awaited[2].revents)
		ring_application(client);
	return n > 0 && awaited[1].revents ? hear(client, waiting) : 0;
}

/* Polls for as long as that is worth. 1, 0: nothing came, or the error. */
static int spin(struct epochd_client *client, struct waiting *waiting)
{
	int r = 0;

	for (;;) {
		for (int i = 0; i < EP_SPINS_A_LOOK && !ep_has_next(&client->link.consumer); i++)
			ep_relax();
		r = take_wanted(client, waiting->out, waiting->call);
		if (r)
			return r;
		int64_t now = ep_now();

		if (!waiting->began)
			waiting->began = now;
		if (now >= client_deadline(waiting))
			return -ETIMEDOUT;
		if (client->wait.mode != EPOCHD_BUSY) {
			if (now - waiting->began > EP_SPIN_NS)
				return 0;
			continue;
		}
		r = hear(client, waiting);
		if (r)
			return r;
	}
}

static int sleep_for(struct epochd_client *client, struct waiting *waiting)
{
	int r = 0;

	if (!waiting->began && ep_wait_learns(&client->wait))
		waiting->began = ep_now();
	while (r == 0) {
		if (client_arm(client))
			r = sleep_until(client, waiting);
		if (r == 0 || r == -ETIMEDOUT) {
			int last = take_wanted(client, waiting->out, waiting->call);

			r = last ? last : r;
		}
	}
	ep_disarm(&client->link.consumer);
	return r;
}

/* As take_wanted(), but waits: 1 or the error. */
static int take_in_time(struct epochd_client *client, struct waiting *waiting)
{
	int r = take_wanted(client, waiting->out, waiting->call);

	if (r)
		return r;
	r = look_whether_over(client, waiting);   /* as it may have been before this one came, and was kept */
	if (r < 0)
		return r;
	if (client->inside)
		return inside_wait(client, waiting);
	waiting->began = 0;
	if (client->ring_owed)
		ring_application(client);
	if (ep_wait_spins(&client->wait))
		r = spin(client, waiting);
	if (r == 0)
		r = sleep_for(client, waiting);
	if (ep_wait_learns(&client->wait))
		ep_wait_took(&client->wait, waiting->began ? ep_now() - waiting->began : 0);
	return r;
}

/* Nothing is there, and nobody waits: what comes makes the descriptor readable. */
static int rest(struct epochd_client *client, struct waiting *waiting)
{
	bool polls = client->wait.mode == EPOCHD_BUSY;
	int r;

	if (polls && ++client->looks % LOOK_OUTSIDE_EVERY)
		return -EAGAIN;
	if (client->ring_owed)
		ring_application(client);
	r = hear(client, waiting);
	if (r == 0 && (polls || client_arm(client)))
		return -EAGAIN;
	if (r == 0)
		r = take_wanted(client, waiting->out, 0);
	return r > 0 ? 0 : r < 0 ? r : -EAGAIN;
}

static void take_kept(struct epochd_client *client, struct epochd_message *out)
{
	*out = client->kept[client->kept_first];
	ep_message_moved(out);
	client->kept_first = (client->kept_first + 1) % client->kept_room;
	client->kept_count--;
}

/* Nothing is there yet. */
static int await(struct epochd_client *client, struct epochd_message *out, int64_t timeout)
{
	struct waiting waiting = { .out = out, .timeout = timeout };
	int r = check(client, timeout ? &waiting : NULL);

	if (r < 0)
		return r;
	waiting.handle = client->link.handle;
	return timeout ? take_in_time(client, &waiting) : rest(client, &waiting);
}

int epochd_receive(struct epochd_client *client, struct epochd_message *out, int64_t timeout)
{
	int r;

	if (ep_is_inherited(&client->family))
		return -ECHILD;
	if (client->kept_count) {
		take_kept(client, out);
		return 0;
	}
	look_after_session(client);
	r = client_is_stale(client) ? 0 : take_wanted(client, out, 0);
	if (r == 0)
		r = await(client, out, timeout);
	if (r < 0)
		client->empty = true;
	return r < 0 ? r : 0;
}

/* ---- told when there is something ---- */

int epochd_on_readable(struct epochd_client *client, epochd_readable_fn *fn, void *user)
{
	if (ep_is_inherited(&client->family))
		return -ECHILD;
	client->readable = fn;
	client->readable_user = user;
	client->empty = true;
	return 0;
}

int client_tell_readable(struct epochd_client *client)
{
	bool readable = client->kept_count || ep_has_next(&client->link.consumer) || client_is_stale(client);

	if (!readable || !client->empty)
		return 0;
	client->empty = false;
	client->readable(client, client->readable_user);
	return 1;
}

int epochd_client_dispatch(struct epochd_client *client)
{
	int r;

	if (ep_is_inherited(&client->family))
		return -ECHILD;
	if (!client->readable)
		return -EINVAL;
	r = client_read_session(client);
	if (r == 0 && client->ring_owed)
		ring_application(client);
	/* An end is told as well: who then receives hears it. */
	if (client_tell_readable(client))
		return 1;
	if (r < 0)
		return r;
	return client->empty && client->wait.mode != EPOCHD_BUSY && !client_arm(client) ? client_tell_readable(client) : 0;
}

/* ---- calls ---- */

static int keep(struct epochd_client *client, const struct epochd_message *message)
{
	struct epochd_message *place;

	if (client->kept_count == client->kept_room) {
		epochd_release(client, message);
		return -ENOBUFS;
	}
	place = &client->kept[(client->kept_first + client->kept_count++) % client->kept_room];
	*place = *message;
	ep_message_moved(place);
	return 0;
}

int epochd_call(struct epochd_client *client, uint32_t type, const void *payload, size_t size,
		struct epochd_message *reply, int64_t timeout)
{
	struct waiting waiting = { .out = reply, .timeout = timeout };
	int r = check(client, &waiting);

	if (r == 0 && client->kept_count == client->kept_room)
		r = -ENOBUFS;
	if (r < 0)
		return r;
	waiting.handle = client->link.handle;
	waiting.call = CALL_CONTEXT | ++client->calls;
	r = send_message(client, type, waiting.call, payload, size);
	while (r == 0) {
		r = take_in_time(client, &waiting);
		if (r < 0)
			return r;
		if (reply->context == waiting.call)
			return 0;
		r = keep(client, reply);
	}
	return r;
}
