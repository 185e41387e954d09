/* An application whose supervisor went, and the one that came after it: who we are, what we serve, which clients we
 * have, what became of those that went meanwhile. Clients are served all the while (I10). */
#include <config.h>

#include "apilib/application_private.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "apilib/fault.h"
#include "apilib/fd.h"
#include "apilib/place.h"

/* What was asked for went with it. */
static void forget_wish(struct member *member)
{
	pthread_mutex_lock(&member->lock);
	member->wish = (struct ep_wish){ 0 };
	pthread_mutex_unlock(&member->lock);
}

void app_lose_session(struct epochd_app *app)
{
	ep_close_fd(&app->session);   /* and so out of the epoll */
	app->session_full = false;
	app->resuming = RESUMING_NOT;
	app->refused_told = 0;
	for (uint32_t i = 0; i < app->room; i++)
		if (app->members[i])
			forget_wish(app->members[i]);
	if (!app->detached)
		ep_retry_begin(&app->retry, app->poll);
}

void app_look_for_supervisor(struct epochd_app *app)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd;

	if (app->session >= 0 || app->detached || !ep_retry_is_due(&app->retry))
		return;
	fd = ep_place_try(app->folder);
	if (fd < 0) {
		ep_retry_later(&app->retry);
		return;
	}
	app->session = fd;
	if (epoll_ctl(app->poll, EPOLL_CTL_ADD, fd, &event) < 0) {
		app_lose_session(app);
		return;
	}
	ep_retry_end(&app->retry);
	app->resuming = RESUMING_WHO;
	app_go_on_resuming(app);
}

static int say_who(const struct epochd_app *app)
{
	struct ep_wire_resume_app resume = { .head = ep_wire_make(EP_WIRE_RESUME_APP, sizeof resume),
					     .epoch = app->epoch };
	const int fds[EP_RESUME_APP_FDS] = { [EP_RESUME_APP_BELL] = app->bell, [EP_RESUME_APP_METER] = app->meter_fd };
	int r;

	memcpy(resume.app, app->name, sizeof resume.app);
	memcpy(resume.token, app->token, sizeof resume.token);
	r = ep_wire_send(app->session, &resume, fds, EP_RESUME_APP_FDS);
	EP_FAULT(resume_app_said);
	return r;
}

/* From *at on, up to a packet full. */
static uint32_t gather(const struct epochd_app *app, struct ep_wire_handles *handles, uint32_t at)
{
	handles->count = 0;
	for (; at < app->room && handles->count < EP_WIRE_HANDLES_MAX; at++)
		if (app->members[at])
			handles->handle[handles->count++] = app->members[at]->peer.handle;
	handles->head = ep_wire_make(EP_WIRE_HANDLES, ep_wire_handles_size(handles->count));
	return at;
}

static int say_handles(struct epochd_app *app)
{
	union ep_wire_packet packet;
	int r = 0;

	while (r == 0 && app->resuming_at < app->room) {
		uint32_t next = gather(app, &packet.handles, app->resuming_at);

		r = packet.handles.count ? ep_wire_send(app->session, &packet, NULL, 0) : 0;
		if (r == 0)
			app->resuming_at = next;
	}
	EP_FAULT(handles_said);
	return r;
}

static int say_broken_again(const struct epochd_app *app, const struct member *member)
{
	struct ep_wire_broken broken = { .head = ep_wire_make(EP_WIRE_BROKEN, sizeof broken),
					 .handle = member->peer.handle,
					 .kicked = member->broken_by == EPOCHD_GONE_KICKED };

	snprintf(broken.text, sizeof broken.text, "%s", member->broken_by == EPOCHD_GONE_KICKED ?
		 "the application sent it away" : member->consumer.why ? member->consumer.why :
		 "it wrote nonsense");
	return ep_wire_send(app->session, &broken, NULL, 0);
}

/* Those that the supervisor before may not have heard of. */
static int say_departed(struct epochd_app *app)
{
	for (; app->resuming_at < app->room; app->resuming_at++) {
		const struct member *member = app->members[app->resuming_at];
		struct departed *departed = app->departed[app->resuming_at];
		int r = member && member->broken ? say_broken_again(app, member) :
			departed ? ep_wire_send(app->session, &departed->drained, NULL, 0) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static int say_ready(struct epochd_app *app)
{
	struct ep_wire_ready ready = { ep_wire_make(EP_WIRE_READY, sizeof ready) };

	return ep_wire_send(app->session, &ready, NULL, 0);
}

/* All of it was said just now. */
static void forget_unsaid(struct epochd_app *app)
{
	for (; app->unsaid; app->unsaid = app->unsaid->next)
		app->unsaid->unsaid = false;
	app->unsaid_end = &app->unsaid;
}

static int say_step(struct epochd_app *app)
{
	switch (app->resuming) {
	case RESUMING_WHO:
		return say_who(app);
	case RESUMING_TYPES:
		return app_tell_types(app, &app->resuming_at);
	case RESUMING_HANDLES:
		return say_handles(app);
	case RESUMING_DEPARTED:
		return say_departed(app);
	default:
		return say_ready(app);
	}
}

void app_go_on_resuming(struct epochd_app *app)
{
	int r = 0;

	while (app->resuming) {
		r = say_step(app);
		if (r < 0)
			break;
		app->resuming_at = 0;
		app->resuming = app->resuming == RESUMING_READY ? RESUMING_NOT : app->resuming + 1;
	}
	if (!app->resuming)
		forget_unsaid(app);
	app_await_room(app, r == -EAGAIN);   /* another error: we shall read that it is gone */
}
