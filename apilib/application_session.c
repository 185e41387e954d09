/* An application's session with the supervisor: who joins, who is gone, and what became of their channels. */
#include <config.h>

#include "apilib/application_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "apilib/application_pool.h"
#include "apilib/fault.h"
#include "apilib/fd.h"

enum { FULL_LOOKS = 64 };

void app_free_member(struct member *member, bool inherited)
{
	if (!member)
		return;
	ep_producer_deinit(&member->producer);
	app_free_jobs(member);
	if (!inherited) {
		ep_large_unmap(&member->producer.lane);
		ep_large_unmap(&member->consumer.lane);
		ep_channel_unmap(&member->channel);
		ep_close_fd(&member->ring);
	}
	free(member->departed);
	pthread_mutex_destroy(&member->lock);
	free(member);
}

static void free_memberp(struct member **member)
{
	app_free_member(*member, false);
}

/* ---- what we say ---- */

void app_await_room(struct epochd_app *app, bool full)
{
	struct epoll_event event = { .events = EPOLLIN | (full ? EPOLLOUT : 0) };

	if (app->session_full != full && app->session >= 0)
		epoll_ctl(app->poll, EPOLL_CTL_MOD, app->session, &event);
	app->session_full = full;
}

/* False: it did not fit, and is to be said again. */
static bool say(struct epochd_app *app, void *packet)
{
	int r = app->session < 0 ? -ENOTCONN : ep_wire_send(app->session, packet, NULL, 0);

	if (r == -EAGAIN)
		app_await_room(app, true);
	return r != -EAGAIN;   /* otherwise nobody is there to whom it could be said */
}

void app_flush(struct epochd_app *app)
{
	if (app->resuming) {
		app_go_on_resuming(app);
		return;
	}
	while (app->unsaid) {
		struct departed *departed = app->unsaid;

		if (!say(app, &departed->drained))
			return;
		app->unsaid = departed->next;
		departed->unsaid = false;
	}
	app->unsaid_end = &app->unsaid;
	app_await_room(app, false);
}

void app_tell_refusals(struct epochd_app *app)
{
	struct ep_wire_refusals refusals = { .head = ep_wire_make(EP_WIRE_REFUSALS, sizeof refusals) };
	uint64_t sum = 0;

	for (int i = 0; i < EP_VERDICTS; i++)
		sum += refusals.count[i] = ep_meter_read(&app->counts.refused[i]);
	if (sum != app->refused_told && say(app, &refusals))
		app->refused_told = sum;
}

static bool say_broken(struct epochd_app *app, uint64_t handle, bool kicked, const char *why)
{
	struct ep_wire_broken broken = { .head = ep_wire_make(EP_WIRE_BROKEN, sizeof broken),
					 .handle = handle, .kicked = kicked };

	snprintf(broken.text, sizeof broken.text, "%s", why);
	return say(app, &broken);
}

/* The supervisor then says GONE. Where it cannot be said now, the member goes on. */
void app_break(struct epochd_app *app, struct member *member, enum epochd_gone by, const char *why)
{
	app_deactivate(app, member);
	if (member->broken)
		return;
	member->broken_by = by;
	member->broken = say_broken(app, member->peer.handle, by == EPOCHD_GONE_KICKED, why);
	if (!member->broken)
		app_activate(app, member);   /* to come by here again */
}

/* ---- who joins ---- */

static int make_room(struct epochd_app *app, uint32_t index)
{
	uint32_t room = app->room ? app->room : 64;
	struct departed **departed;
	struct member **grown;

	if (index < app->room)
		return 0;
	while (room <= index)
		room *= 2;
	grown = realloc(app->members, room * sizeof *grown);
	if (!grown)
		return -ENOMEM;
	memset(grown + app->room, 0, (room - app->room) * sizeof *grown);
	app->members = grown;
	departed = realloc(app->departed, room * sizeof *departed);
	if (!departed)
		return -ENOMEM;
	memset(departed + app->room, 0, (room - app->room) * sizeof *departed);
	app->departed = departed;
	app->room = room;
	return 0;
}

static int make_scratch(struct epochd_app *app, const struct ep_geometry *geometry)
{
	size_t size = geometry->classes ? geometry->class[geometry->classes - 1].size : 0;
	void *larger;

	if (size <= app->scratch_size)
		return 0;
	/* As the buffers are: copies that split no line take half the time, and none waits for a store to another page
	 * at the same offset. */
	if (posix_memalign(&larger, EP_PAGE, size) != 0)
		return -ENOMEM;
	free(app->scratch);
	app->scratch = larger;
	app->scratch_size = size;
	return 0;
}

/* *why is given the reason of -EBADMSG. */
static int open_member(struct member **out, struct epochd_app *app, const struct ep_wire_joined *joined,
		       int fds[static EP_WIRE_FDS_MAX], const char **why)
{
	CLEANUP(free_memberp) struct member *member = calloc(1, sizeof *member);
	struct ep_fencing fencing = { &app->view.page->fence, app->epoch, ep_view_is_light(&app->view) };
	int r;

	if (!member)
		return -ENOMEM;
	atomic_init(&member->holds, 1);
	pthread_mutex_init(&member->lock, NULL);
	member->jobs_end = &member->first_job;
	member->departed = calloc(1, sizeof *member->departed);
	if (!member->departed)
		return -ENOMEM;
	member->ring = ep_steal_fd(&fds[EP_JOINED_RING]);
	r = ep_channel_map(&member->channel, fds[EP_JOINED_CHANNEL], why);
	if (r == 0)
		r = make_scratch(app, &member->channel.geometry);
	if (r == 0)
		r = ep_producer_init(&member->producer, &member->channel, EP_TO_CLIENT, fencing);
	if (r < 0)
		return r;
	ep_consumer_init(&member->consumer, &member->channel, EP_TO_APPLICATION, fencing);
	member->peer = (struct epochd_peer){ .handle = joined->handle, .pid = joined->pid,
					     .uid = joined->uid, .gid = joined->gid };
	memcpy(member->peer.name, joined->name, sizeof member->peer.name);
	*out = STEAL(member);
	return 0;
}

static int on_joined(struct epochd_app *app, const struct ep_wire_joined *joined,
		     int fds[static EP_WIRE_FDS_MAX], unsigned count)
{
	uint32_t index = ep_handle_index(joined->handle);
	struct member *member = NULL;
	const char *why = NULL;
	int r;

	EP_FAULT(joined_read);
	if (app_member(app, joined->handle))   /* told twice */
		return 0;
	if (count != EP_JOINED_FDS || !joined->handle || ep_handle_epoch(joined->handle) != app->epoch ||
	    index >= app->view.slot_count || (index < app->room && app->members[index]) ||
	    (index < app->room && app->departed[index] && app->departed[index]->unsaid))
		return -EPROTO;
	pool_lock_table(app);
	r = make_room(app, index);
	pool_unlock_table(app);
	if (r == 0)
		r = open_member(&member, app, joined, fds, &why);
	if (r < 0) {   /* it may have written there already */
		say_broken(app, joined->handle, r != -EBADMSG,
			   r == -EBADMSG ? why : "the application has no room for it");
		return 0;
	}
	pool_lock_table(app);
	app->members[index] = member;
	pool_unlock_table(app);
	free(app->departed[index]);   /* its slot is given away, so it is counted */
	app->departed[index] = NULL;
	EP_FAULT(member_there);
	app_count(app, &app->counts.joined);
	app_activate(app, member);
	for (size_t i = 0; i < app->on_joined_count; i++)
		app->on_joined[i].fn(app, &member->peer, app->on_joined[i].user);
	return 0;
}

/* ---- who is gone ---- */

/* What is not received by now never is, on either side. */
static void count_rest(const struct member *member)
{
	struct ep_reclaimed counts = { 0 };

	ep_channel_count(&member->channel, EP_TO_CLIENT, &counts);
	ep_channel_count(&member->channel, EP_TO_APPLICATION, &counts);
	member->departed->drained = (struct ep_wire_drained){
		.head = ep_wire_make(EP_WIRE_DRAINED, sizeof(struct ep_wire_drained)),
		.handle = member->peer.handle,
		.messages = counts.messages, .bytes = counts.bytes,
		.abandoned = counts.abandoned.buffers, .abandoned_bytes = counts.abandoned.bytes,
		.held = counts.held.buffers, .held_bytes = counts.held.bytes,
	};
}

static bool was_ours(const struct epochd_app *app, uint64_t handle)
{
	uint32_t index = ep_handle_index(handle);

	return index < app->room && app->departed[index] && app->departed[index]->drained.handle == handle;
}

/* Once: it may have to be said to another supervisor. */
static void depart(struct epochd_app *app, struct member *member)
{
	struct departed *departed = STEAL(member->departed);

	app->departed[ep_handle_index(member->peer.handle)] = departed;
	if (!app->unsaid && say(app, &departed->drained))
		return;
	departed->unsaid = true;
	departed->next = NULL;
	*app->unsaid_end = departed;
	app->unsaid_end = &departed->next;
}

/* Nothing of it is under way. */
static void bury(struct epochd_app *app, struct member *member)
{
	int why = member->broken ? (int)member->broken_by : member->leaving_why;

	EP_FAULT(gone_drained);
	pool_forget(app, member);
	pool_lock_table(app);
	app->members[ep_handle_index(member->peer.handle)] = NULL;
	pool_unlock_table(app);
	app_count(app, &app->counts.gone);
	pthread_mutex_lock(&member->lock);
	member->gone = true;   /* from here on a release of what was kept changes nothing that is counted */
	count_rest(member);
	pthread_mutex_unlock(&member->lock);
	EP_FAULT(gone_counted);
	for (size_t i = 0; i < app->on_gone_count; i++)
		app->on_gone[i].fn(app, &member->peer, why, app->on_gone[i].user);
	depart(app, member);
	EP_FAULT(drained_said);
	app_drop_member(member);
}

static int go_on_leaving(struct epochd_app *app, struct member *member)
{
	int handled = member->broken ? 0 : app_drain(app, member);

	if (pool_is_done_with(app, member))
		bury(app, member);   /* otherwise that is told when it is so */
	return handled;
}

void app_go_on_leaving(struct epochd_app *app, struct member *member)
{
	go_on_leaving(app, member);
}

static int on_gone(struct epochd_app *app, const struct ep_wire_gone *gone)
{
	struct ep_wire_drained nothing = { .head = ep_wire_make(EP_WIRE_DRAINED, sizeof nothing),
					   .handle = gone->handle };
	uint32_t index = ep_handle_index(gone->handle);
	struct member *member = app_member(app, gone->handle);

	EP_FAULT(gone_read);
	if (!member) {   /* told twice, or one for whom there was no room */
		say(app, was_ours(app, gone->handle) ? &app->departed[index]->drained : &nothing);
		return 0;
	}
	app_deactivate(app, member);
	if (member->leaving_why)   /* told twice, by another supervisor: it is said when it is over */
		return 0;
	pool_leave(app, member, gone->why >= EP_GONE_GOODBYE && gone->why <= EP_GONE_KICKED ? (int)gone->why :
										   EPOCHD_GONE_DEAD);
	return go_on_leaving(app, member);
}

/* ---- large buffers ---- */

void app_say_wish(struct epochd_app *app, struct member *member, uint64_t size)
{
	struct ep_wire_large large = { .head = ep_wire_make(EP_WIRE_LARGE, sizeof large),
				       .handle = member->peer.handle, .size = size };

	if (app->session < 0 || app->resuming || ep_wire_send(app->session, &large, NULL, 0) < 0)
		member->wish.asked = false;
}

int app_wish(struct epochd_app *app, struct member *member, int r, uint64_t size)
{
	r = ep_wish_for(&member->wish, r, size);
	if (r < 0)
		return r;
	if (app->pool)
		pool_wish(app, member, size);
	else
		app_say_wish(app, member, size);
	return -EAGAIN;
}

static int add_slot(struct member *member, const struct ep_wire_slot *slot, int fd)
{
	if (slot->direction == EP_TO_APPLICATION)
		return ep_large_add(&member->channel, EP_TO_APPLICATION, &member->consumer.lane, slot->index,
				    (uint8_t)slot->log, fd, PROT_READ);
	return ep_large_add_to_producer(&member->channel, EP_TO_CLIENT, &member->producer, slot->index,
					(uint8_t)slot->log, fd);
}

static int on_slot(struct epochd_app *app, const struct ep_wire_slot *slot, const int *fds, unsigned count)
{
	struct member *member = app_member(app, slot->handle);
	int r = slot->error;

	if (!member)   /* gone meanwhile */
		return 0;
	if (r == 0 && count != 1)
		return -EPROTO;
	pthread_mutex_lock(&member->lock);
	if (r == 0)
		r = add_slot(member, slot, fds[0]);
	if (slot->direction == EP_TO_CLIENT)
		ep_wish_heard(&member->wish, r, ep_large_size((uint8_t)slot->log));
	pthread_mutex_unlock(&member->lock);
	return 0;
}

/* ---- what is said ---- */

static int on_packet(struct epochd_app *app, const union ep_wire_packet *packet,
		     int fds[static EP_WIRE_FDS_MAX], unsigned count)
{
	struct ep_wire_pong pong = { ep_wire_make(EP_WIRE_PONG, sizeof pong), packet->ping.serial };

	switch ((enum ep_wire_kind)packet->head.kind) {
	case EP_WIRE_JOINED:
		return on_joined(app, &packet->joined, fds, count);
	case EP_WIRE_GONE:
		return on_gone(app, &packet->gone);
	case EP_WIRE_PING:
		say(app, &pong);
		return 0;
	case EP_WIRE_SLOT:
		return on_slot(app, &packet->slot, fds, count);
	case EP_WIRE_TRACE:
		return app_on_trace(app, fds, count);
	case EP_WIRE_FENCED:   /* the fence word has said so already */
		return 0;
	case EP_WIRE_RESUMED:
		EP_FAULT(resumed);
		return 0;
	case EP_WIRE_REFUSED:   /* it is not taken back: who is connected is served all the same */
		app->detached = packet->refused.error == -EACCES || packet->refused.error == -ESTALE ||
				packet->refused.error == -ENOENT;
		return 0;
	default:
		return -EPROTO;
	}
}

/* Messages handled in passing, of those that are gone; -EPROTO: what came makes no sense. */
int app_read_session(struct epochd_app *app)
{
	union ep_wire_packet packet;
	int fds[EP_WIRE_FDS_MAX], handled = 0;
	unsigned count;
	int r;

	app_look_for_supervisor(app);
	for (int i = 0; app->session >= 0 && i < FULL_LOOKS; i++) {
		r = ep_wire_receive(app->session, &packet, fds, &count, EP_JOINED_FDS);
		if (r == -EAGAIN)
			break;
		if (r <= 0) {   /* I10: who is connected is served without it */
			app_lose_session(app);
			break;
		}
		for (unsigned j = count; j < EP_WIRE_FDS_MAX; j++)
			fds[j] = -1;
		r = on_packet(app, &packet, fds, count);
		for (unsigned j = 0; j < count; j++)
			ep_close_fd(&fds[j]);
		if (r < 0)
			return r;
		handled += r;
	}
	return handled;
}
