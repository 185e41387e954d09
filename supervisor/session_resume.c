/* Who spoke with a supervisor before us comes back (I10): a client with its channel, an application with its bell and
 * the handles that it serves. All is as it was, or they are told what is over. */
#include <config.h>

#include "supervisor/session_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/app_private.h"
#include "supervisor/awaited.h"
#include "supervisor/clients.h"
#include "supervisor/closer.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/fault.h"
#include "supervisor/log.h"
#include "supervisor/service.h"
#include "supervisor/sessions.h"

static int say_resumed(struct session *session)
{
	struct ep_wire_resumed resumed = { ep_wire_make(EP_WIRE_RESUMED, sizeof resumed) };

	return session_send(session, &resumed, NULL, 0);
}

/* ---- a client ---- */

/* What it asks for is over: it is told, and what stands in its channel is counted. */
static void bury(struct session *session, struct client *client, uint64_t handle)
{
	struct service *service = session->service;
	struct ep_wire_fenced fenced = { .head = ep_wire_make(EP_WIRE_FENCED, sizeof fenced),
					 .epoch = ep_handle_epoch(handle), .error = -ESTALE };

	if (client && client->late && client->channel.base) {
		clients_reclaim(service->clients, client);
		service_save_counts(service);
	}
	snprintf(fenced.text, sizeof fenced.text, "%s: epoch %u has ended, or this client in it, while epochd was away",
		 app_name(service->app), ep_handle_epoch(handle));
	session_send(session, &fenced, NULL, 0);   /* it does not fit: there is nothing else in an empty socket */
	session_has_news(session, NEWS_WAIT);
}

/* The channel that it brings, if it may: 0; -EPERM: it is somebody else. */
static int take_channel(const struct session *session, struct client *client, int memfd)
{
	struct service *service = session->service;
	const char *why = "no memory";
	int r = awaited_check(service, client, session);

	if (r == 0)
		r = clients_bring(service->clients, client, memfd, &why);
	if (r == -EBADMSG)
		log_notice(0, "app %s: client %#018llx, pid %d, brings what is not its channel: %s",
			   app_name(service->app), (unsigned long long)client->handle, (int)session->pid, why);
	return r;
}

static void take_back(struct session *session, struct client *client)
{
	awaited_forget(client, session->service);
	client->session = session;
	session->client = client;
	reaper_heard(&session->service->reaper, client);
	say_resumed(session);
	FAULT(client_resumed);
}

/* Nobody was ever given that. */
static bool handle_may_be(const struct session *session, uint64_t handle)
{
	const struct app *app = session->service->app;

	return ep_handle_epoch(handle) && ep_handle_epoch(handle) <= app->epoch && ep_handle_generation(handle) &&
	       ep_handle_index(handle) < app->registry->slot_count;
}

/* False: the session is ended. */
static bool resume_client(struct session *session, uint64_t handle, int memfd)
{
	struct client *client = clients_find(session->service->clients, handle);
	int r = 0;

	if (client && !client->session && !client->channel.base)
		r = take_channel(session, client, memfd);
	else
		client = NULL;   /* another has it, or nobody */
	if (r == -EPERM || r == -EBADMSG || (!client && !handle_may_be(session, handle)))
		session_count(session, REFUSAL_unknown_client, "it claims to be a client that there is not, or another's");
	if (r == -EPERM || r == -EBADMSG) {
		session_refuse(session, -EPERM, "pid %d is not the client 0x%016llx, or this is not its channel",
			       (int)session->pid, (unsigned long long)handle);
		return false;
	}
	if (r < 0) {   /* out of descriptors, or of memory: it may come again */
		session_end(session);
		return false;
	}
	if (client && client->there)
		take_back(session, client);
	else
		bury(session, client, handle);
	return true;
}

bool client_on_resume(struct session *session, struct ep_wire_resume *resume, int fd)
{
	struct closer *closer = session->sessions->closer;
	bool goes_on = client_takes(session, resume->app, resume->name, resume->nonce);

	if (goes_on) {
		client_end_unheard(session, resume->handle);
		goes_on = resume_client(session, resume->handle, fd);
	}
	closer_drop(closer, fd);
	return goes_on;
}

/* ---- an application ---- */

/* Nothing is asked of a file here: it could be one of a file system that does not answer (I9). */
static bool is_pipe(int fd)
{
	char path[40], target[32] = "";

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return readlink(path, target, sizeof target - 1) > 0 && strncmp(target, "pipe:[", 6) == 0;
}

static int check_app(const struct session *session, struct app *app, const struct ep_wire_resume_app *resume)
{
	if (app->state != APP_STARTING && app->state != APP_UP && app->state != APP_STOPPING)
		return -ESTALE;
	if (resume->epoch != app->epoch)
		return -ESTALE;
	return app_is_of_incarnation(session, app, resume->token) ? 0 : -EACCES;
}

static int take_app(struct session *session, struct app *app, const int fds[static EP_RESUME_APP_FDS])
{
	int r = service_of(&session->service, session->sessions, app), both;

	if (r < 0)
		return r;
	if (app->service->attached || app->service->attaching) {
		session->service = NULL;
		return -EBUSY;
	}
	both = reopen_pipe(fds[EP_RESUME_APP_BELL], O_RDWR);
	r = both < 0 ? both : service_take_meter(app->service, fds[EP_RESUME_APP_METER]);
	if (r < 0) {
		if (both >= 0)
			close(both);
		session->service = NULL;
		return r;
	}
	if (app->service->bell >= 0)
		close(app->service->bell);
	app->service->bell = both;
	return 0;
}

bool app_on_resume(struct session *session, struct ep_wire_resume_app *resume, const int fds[static EP_RESUME_APP_FDS])
{
	struct closer *closer = session->sessions->closer;
	struct app *app = epochd_app(session->sessions->epochd, resume->app);
	char name[EP_NAME_SIZE];
	int r = !app ? -ENOENT : !is_pipe(fds[EP_RESUME_APP_BELL]) ? -EACCES : check_app(session, app, resume);

	session_text(name, sizeof name, resume->app);
	if (r == 0)
		r = take_app(session, app, fds);
	for (int i = 0; i < EP_RESUME_APP_FDS; i++)
		closer_drop(closer, fds[i]);
	if (r < 0) {
		session_refuse(session, r, "pid %d cannot serve on as epoch %u of %s: %s", (int)session->pid,
			       resume->epoch, name, strerrordesc_np(-r));
		return false;
	}
	session->role = SESSION_RESUMING;
	app->service->attaching = session;
	service_forget_tables(app->service);
	FAULT(app_resuming);
	return true;
}

/* Its slot was cleared as confused, say: what it was owed is not known any more. */
static void say_unknown(struct session *session, uint64_t handle)
{
	struct ep_wire_gone gone = { .head = ep_wire_make(EP_WIRE_GONE, sizeof gone), .handle = handle,
				     .why = EP_GONE_KICKED };

	session_send(session, &gone, NULL, 0);
}

static void take_handles(struct session *session, const struct ep_wire_handles *handles)
{
	for (uint32_t i = 0; i < handles->count; i++) {
		struct client *client = clients_find(session->service->clients, handles->handle[i]);

		if (client)
			client->listed = true;
		else
			say_unknown(session, handles->handle[i]);
	}
}

/* The supervisor died before it said JOINED, and so before WELCOME; or the application had no room for it, and then the
 * client, which still lives, may have written there, and brings it. */
static void stays_untold(struct service *service, struct client *client)
{
	client->untold = true;
	clients_is_late(service->clients, client);
}

/* What one of us two knows and the other does not. */
static void compare(struct client *client, void *user)
{
	static const struct ep_reclaimed nothing;
	struct service *service = user;
	struct session *session = client->session;
	bool was_there = client->there;

	if (client->listed) {
		client->listed = false;
		if (!client->there)   /* it is told once more */
			clients_leave(service->clients, client);
		return;
	}
	/* Nobody reads there, and nobody will. */
	if (client->there) {
		clients_end(service->clients, client, EP_GONE_FENCED);
		if (session)
			client_fenced(session, -ESTALE, "its application does not know this client");
	}
	if (client->channel.base)
		clients_reclaim(service->clients, client);
	else if (was_there)
		stays_untold(service, client);
	else   /* JOINED comes before WELCOME: so nobody ever had it */
		clients_drained(service->clients, client, &nothing);
}

static void finish(struct session *session)
{
	struct service *service = session->service;
	struct app *app = service->app;

	session->role = SESSION_ATTACHED;
	service->attaching = NULL;
	service->attached = session;
	clients_begin(service->clients, app->epoch);
	say_resumed(session);
	clients_each_owed(service->clients, compare, service);
	awaited_begin_grace(service);
	FAULT(app_resumed);
	log_notice(0, "app %s epoch %u: pid %d is back, with %u clients", app_name(app), app->epoch,
		   (int)session->pid, clients_connected(service->clients));
	trace_attached(app, true);
	service_tell_gone(service);
	app_serves(service);
}

bool app_on_resuming(struct session *session, const union ep_wire_packet *packet)
{
	switch ((enum ep_wire_kind)packet->head.kind) {
	case EP_WIRE_TABLE:
		return app_on_table(session, packet);
	case EP_WIRE_HANDLES:
		take_handles(session, &packet->handles);
		return true;
	case EP_WIRE_DRAINED:
		app_on_drained(session->service, &packet->drained);
		return true;
	case EP_WIRE_BROKEN:
		app_on_broken(session->service, &packet->broken);
		return true;
	case EP_WIRE_REFUSALS:
		app_on_refusals(session, &packet->refusals);
		return true;
	case EP_WIRE_READY:
		finish(session);
		return true;
	default:
		session_malformed(session, REFUSAL_out_of_turn, "it says what is not its turn while it comes back");
		return false;
	}
}
