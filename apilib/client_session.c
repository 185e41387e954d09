/* A client's session with the supervisor: asking for the application, joining each epoch of it. */
#include <config.h>

#include "apilib/client_private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apilib/fault.h"
#include "apilib/fd.h"
#include "apilib/now.h"
#include "apilib/place.h"

enum { REST_AFTER_LOSS = 50000000 };   /* ns */

static int end(struct epochd_client *client, int r, const char *why)
{
	client->state = CLIENT_ENDED;
	client->error = r;
	snprintf(client->why, sizeof client->why, "%s", why);
	return r;
}

static int send_packet(struct epochd_client *client, void *packet)
{
	int r = client->session < 0 ? -ENOTCONN : ep_wire_send(client->session, packet, NULL, 0);

	/* The supervisor reads always, so what we have to say fits: otherwise it is gone, and we shall read that. */
	return r == -EPIPE || r == -ECONNRESET || r == -EAGAIN ? 0 : r;
}

static int say_hello(struct epochd_client *client)
{
	struct ep_wire_hello hello = { .head = ep_wire_make(EP_WIRE_HELLO, sizeof hello), .nonce = client->nonce };
	int r;

	client->state = CLIENT_ASKED;
	memcpy(hello.app, client->app, sizeof hello.app);
	memcpy(hello.name, client->name, sizeof hello.name);
	r = send_packet(client, &hello);
	EP_FAULT(hello_said);
	return r;
}

/* Also in an epoch that has ended meanwhile: what stands in its channel is yet to be counted. */
static int say_resume(struct epochd_client *client)
{
	struct ep_wire_resume resume = { .head = ep_wire_make(EP_WIRE_RESUME, sizeof resume),
					 .nonce = client->nonce, .handle = client->link.handle };
	int r;

	if (client->state != CLIENT_JOINED)
		client->state = CLIENT_ASKED;
	memcpy(resume.app, client->app, sizeof resume.app);
	memcpy(resume.name, client->name, sizeof resume.name);
	r = ep_wire_send(client->session, &resume, &client->link.memfd, 1);
	EP_FAULT(resume_said);
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;   /* we shall read that */
}

/* The session is there: what for? */
static int begin_session(struct epochd_client *client, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	client->session = fd;
	if (epoll_ctl(client->poll, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	ep_retry_end(&client->retry);
	return client->link.memfd >= 0 ? say_resume(client) : say_hello(client);
}

/* I10: what is joined goes on without it; it is looked for in passing. */
static void lose_session(struct epochd_client *client)
{
	ep_close_fd(&client->session);   /* and so out of the epoll */
	if (client->state != CLIENT_JOINED)
		client->state = CLIENT_ASKED;   /* what was offered, or asked for, went with it */
	client->link.wish = (struct ep_wish){ 0 };
	snprintf(client->why, sizeof client->why, "epochd is away");
	ep_retry_begin(&client->retry, client->poll);
}

/* Blocks until the deadline. */
static int find_supervisor(struct epochd_client *client, int64_t deadline)
{
	int fd = ep_place_connect(client->folder, deadline, client->why, sizeof client->why);
	int r = fd < 0 ? fd : begin_session(client, fd);

	if (r != -EAGAIN)
		return r;
	lose_session(client);   /* too many descriptors are under way: it is said in another session, a little later */
	return 0;
}

/* While it is away. Never blocks. */
static void look_for_supervisor(struct epochd_client *client)
{
	int fd;

	if (!ep_retry_is_due(&client->retry))
		return;
	fd = ep_place_try(client->folder);
	if (fd < 0) {
		ep_retry_later(&client->retry);
	} else if (begin_session(client, fd) < 0) {
		lose_session(client);
	}
}

/* ---- the channel of an epoch ---- */

void client_unlink(struct client_link *link, bool inherited)
{
	ep_producer_deinit(&link->producer);
	if (!inherited) {   /* a child has neither, and may have something else there */
		ep_large_unmap(&link->producer.lane);
		ep_large_unmap(&link->consumer.lane);
		ep_channel_unmap(&link->channel);
		ep_view_unmap(&link->view);
		ep_close_fd(&link->memfd);
		ep_close_fd(&link->bell);
		ep_close_fd(&link->ring);
	}
	*link = (struct client_link){ .memfd = -1, .bell = -1, .ring = -1 };
}

static void unlink_fresh(struct client_link *link)
{
	client_unlink(link, false);
}

static int make_room(struct epochd_client *client, uint32_t ring)
{
	if (client->kept_room >= ring)
		return 0;
	free(client->kept);
	client->kept_room = 0;
	client->kept = calloc(ring, sizeof *client->kept);
	if (!client->kept)
		return -ENOMEM;
	client->kept_room = ring;
	return 0;
}

static int open_link(struct epochd_client *client, uint64_t handle, int fds[static EP_WIRE_FDS_MAX])
{
	CLEANUP(unlink_fresh) struct client_link link = { .handle = handle, .memfd = -1, .bell = -1, .ring = -1 };
	struct epoll_event event = { .events = EPOLLIN };
	struct ep_fencing fencing = { .epoch = ep_handle_epoch(handle) };
	const char *why = NULL;
	int r = ep_view_map(&link.view, fds[EP_WELCOME_REGISTRY], &why);

	EP_FAULT(view_mapped);
	if (r == 0)
		r = ep_channel_map(&link.channel, fds[EP_WELCOME_CHANNEL], &why);
	if (r == -EBADMSG)
		return end(client, -EPROTO, why);
	if (r < 0)
		return r;
	fencing.word = &link.view.page->fence;
	fencing.light = ep_view_is_light(&link.view);
	ep_consumer_init(&link.consumer, &link.channel, EP_TO_CLIENT, fencing);
	r = ep_producer_init(&link.producer, &link.channel, EP_TO_APPLICATION, fencing);
	if (r == 0)
		r = make_room(client, link.channel.geometry.ring);
	if (r < 0)
		return r;
	if (epoll_ctl(client->poll, EPOLL_CTL_ADD, fds[EP_WELCOME_BELL], &event) < 0)
		return -errno;
	link.memfd = ep_steal_fd(&fds[EP_WELCOME_CHANNEL]);
	link.bell = ep_steal_fd(&fds[EP_WELCOME_BELL]);
	link.ring = ep_steal_fd(&fds[EP_WELCOME_RING]);
	client_unlink(&client->link, false);
	client->link = link;
	/* Lanes point to the geometry, which has moved with the channel. */
	client->link.consumer.lane.geometry = &client->link.channel.geometry;
	client->link.producer.lane.geometry = &client->link.channel.geometry;
	link = (struct client_link){ .memfd = -1, .bell = -1, .ring = -1 };
	EP_FAULT(linked);
	return 0;
}

static int on_welcome(struct epochd_client *client, const struct ep_wire_welcome *welcome,
		      int fds[static EP_WIRE_FDS_MAX], unsigned count)
{
	uint64_t before = client->link.handle;
	int r;

	EP_FAULT(welcome_read);
	if (client->state != CLIENT_JOINING || count != EP_WELCOME_FDS)
		return end(client, -EPROTO, "the supervisor welcomed out of turn");
	r = open_link(client, welcome->handle, fds);
	if (r < 0)
		return end(client, r, strerrordesc_np(-r));
	client->state = CLIENT_JOINED;
	client->told = client->armed = client->ring_owed = false;
	client->kept_first = client->kept_count = 0;
	if (client->reconnected && before)
		client->reconnected(client, before, welcome->handle, client->user);
	return 0;
}

/* ---- what is said ---- */

static int send_join(struct epochd_client *client)
{
	struct ep_wire_join join = { .head = ep_wire_make(EP_WIRE_JOIN, sizeof join),
				     .epoch = client->offered, .wanted = client->wanted };

	client->state = CLIENT_JOINING;
	int r = send_packet(client, &join);

	EP_FAULT(join_said);
	return r;
}

static int on_table(struct epochd_client *client, const union ep_wire_packet *packet)
{
	size_t head = sizeof(struct ep_wire_table);
	char why[sizeof client->why] = "the application's table of messages makes no sense";
	int r;

	if (!client->table_comes)
		ep_agreed_forget(&client->agreed);
	client->table_comes = true;
	r = ep_agreed_take(&client->agreed, packet->bytes + head, packet->head.size - head, why, sizeof why);
	return r < 0 ? end(client, r, why) : 0;
}

static int on_offer(struct epochd_client *client, const struct ep_wire_offer *offer)
{
	if (!client->table_comes)   /* of none */
		ep_agreed_forget(&client->agreed);
	client->table_comes = false;
	client->offered = offer->epoch;
	if (client->state == CLIENT_JOINED && !client_is_stale(client))
		return 0;
	if (client->state == CLIENT_JOINING || client->flags & EPOCHD_RECONNECT)
		return send_join(client);
	client->state = CLIENT_OFFERED;
	return 0;
}

static int on_fenced(struct epochd_client *client, const struct ep_wire_fenced *fenced)
{
	if (fenced->error != -ESTALE)
		return end(client, fenced->error < 0 ? fenced->error : -EPROTO, fenced->text);
	if (client->state == CLIENT_JOINED && fenced->epoch == ep_handle_epoch(client->link.handle)) {
		client->state = CLIENT_ASKED;
		snprintf(client->why, sizeof client->why, "%s", fenced->text);
	}
	return 0;
}

int client_wish(struct epochd_client *client, int r, uint64_t size)
{
	struct ep_wire_large large = { .head = ep_wire_make(EP_WIRE_LARGE, sizeof large),
				       .handle = client->link.handle, .size = size };

	if (client->session < 0)
		return -EAGAIN;
	r = ep_wish_for(&client->link.wish, r, size);
	if (r < 0)
		return r;
	if (ep_wire_send(client->session, &large, NULL, 0) < 0)
		client->link.wish.asked = false;
	return -EAGAIN;
}

/* Of an epoch that is over: nobody wants it any more. */
static int on_slot(struct epochd_client *client, const struct ep_wire_slot *slot, const int fds[static EP_WIRE_FDS_MAX],
		   unsigned count)
{
	struct client_link *link = &client->link;
	bool sends = slot->direction == EP_TO_APPLICATION;
	int r = slot->error;

	if (slot->handle != link->handle || client->state != CLIENT_JOINED)
		return 0;
	if (r == 0 && count != 1)
		return end(client, -EPROTO, "the supervisor sent no buffer");
	if (r == 0 && sends)
		r = ep_large_add_to_producer(&link->channel, EP_TO_APPLICATION, &link->producer, slot->index,
					     (uint8_t)slot->log, fds[0]);
	else if (r == 0)
		r = ep_large_add(&link->channel, EP_TO_CLIENT, &link->consumer.lane, slot->index, (uint8_t)slot->log, fds[0],
				 PROT_READ);
	if (sends)
		ep_wish_heard(&link->wish, r, ep_large_size((uint8_t)slot->log));
	return 0;   /* one that could not be mapped is missed when something comes in it */
}

static int on_packet(struct epochd_client *client, const union ep_wire_packet *packet,
		     int fds[static EP_WIRE_FDS_MAX], unsigned count)
{
	struct ep_wire_pong pong = { ep_wire_make(EP_WIRE_PONG, sizeof pong), packet->ping.serial };

	switch ((enum ep_wire_kind)packet->head.kind) {
	case EP_WIRE_WAIT:
		snprintf(client->why, sizeof client->why, "%s", packet->wait.text);
		return 0;
	case EP_WIRE_TABLE:
		return on_table(client, packet);
	case EP_WIRE_OFFER:
		return on_offer(client, &packet->offer);
	case EP_WIRE_WELCOME:
		return on_welcome(client, &packet->welcome, fds, count);
	case EP_WIRE_FENCED:
		return on_fenced(client, &packet->fenced);
	case EP_WIRE_REFUSED:
		return end(client, packet->refused.error < 0 ? packet->refused.error : -EPROTO,
			   packet->refused.text);
	case EP_WIRE_PING:
		return send_packet(client, &pong);
	case EP_WIRE_SLOT:
		return on_slot(client, &packet->slot, fds, count);
	case EP_WIRE_RESUMED:
		client->why[0] = '\0';
		return 0;
	default:
		return end(client, -EPROTO, "the supervisor says what is not for a client");
	}
}

int client_read_session(struct epochd_client *client)
{
	union ep_wire_packet packet;
	int fds[EP_WIRE_FDS_MAX];
	unsigned count;
	int r;

	if (client->session < 0 && client->state != CLIENT_ENDED)
		look_for_supervisor(client);
	while (client->session >= 0 && client->state != CLIENT_ENDED) {
		r = ep_wire_receive(client->session, &packet, fds, &count, EP_WELCOME_FDS);
		if (r == -EAGAIN)
			return 0;
		if (r == -EPROTO)
			return end(client, r, "the supervisor is of another version");
		if (r <= 0) {
			lose_session(client);
			return 0;
		}
		for (unsigned i = count; i < EP_WIRE_FDS_MAX; i++)
			fds[i] = -1;
		r = on_packet(client, &packet, fds, count);
		for (unsigned i = 0; i < count; i++)
			ep_close_fd(&fds[i]);
		if (r < 0)
			return r;
	}
	return client->state == CLIENT_ENDED ? client->error : 0;
}

/* What was said there waits for somebody who rests. */
void client_look_after_session(struct epochd_client *client)
{
	char byte;

	if (client->state == CLIENT_ENDED)
		return;
	if (client->session < 0)
		look_for_supervisor(client);
	else if (recv(client->session, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) == 0)
		lose_session(client);
}

static int poll_session(struct epochd_client *client, int64_t deadline)
{
	struct pollfd session = { .fd = client->session, .events = POLLIN };
	struct timespec left;

	if (client->session < 0) {   /* it went in the middle: not at once again */
		int64_t soon = ep_deadline(REST_AFTER_LOSS);

		ppoll(NULL, 0, ep_until(soon < deadline ? soon : deadline, &left), NULL);
		return ep_now() < deadline ? find_supervisor(client, deadline) : -ETIMEDOUT;
	}
	if (ppoll(&session, 1, ep_until(deadline, &left), NULL) == 0)
		return -ETIMEDOUT;
	return client_read_session(client);
}

int client_join(struct epochd_client *client, int64_t deadline)
{
	int r = client_read_session(client);

	if (r == 0 && client->session < 0 && (client->state != CLIENT_JOINED || client_is_stale(client)))
		r = find_supervisor(client, deadline);
	while (r == 0) {
		if (client->state == CLIENT_ENDED)
			return client->error;
		if (client->state == CLIENT_JOINED && !client_is_stale(client))
			return 0;
		if (client->state == CLIENT_JOINED)
			client->state = CLIENT_ASKED;
		if (client->state == CLIENT_OFFERED)
			r = send_join(client);
		if (r == 0)
			r = poll_session(client, deadline);
	}
	return r;
}
