/* An application's session: it attaches, tells its messages, serves; and hears of its clients. */
#include <config.h>

#include "supervisor/session_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apilib/message.h"
#include "supervisor/app_private.h"
#include "supervisor/awaited.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/kernel.h"
#include "supervisor/large.h"
#include "supervisor/ledger.h"
#include "supervisor/log.h"
#include "supervisor/pids.h"
#include "supervisor/service.h"
#include "supervisor/sessions.h"

/* Its fence word, as this thread wrote it last. */
static uint64_t fence_of(const struct app *app)
{
	return atomic_load_explicit(&app->registry->fence, memory_order_relaxed);   /* our own */
}

bool service_serves(const struct service *service)
{
	/* Not in STOPPING: calls in flight are let finish, and nobody new comes. */
	return service->attached && service->app->state == APP_UP &&
	       ep_fence_serves(fence_of(service->app), clients_epoch(service->clients));
}

/* ---- attaching ---- */

bool app_is_of_incarnation(const struct session *session, struct app *app, const char *token)
{
	if (app->config->external)
		return session->pid && session->pid == app->identity.pid;
	return app->ledger->token[0] && strcmp(token, app->ledger->token) == 0 &&
	       (session->pid == 0 || app_notify_sender(session->pid, session->uid, app));
}

/* Of whoever connected, so that no other process of that pid is meant. */
static int open_peer(const struct session *session)
{
	int pidfd = -1;
	socklen_t size = sizeof pidfd;

	if (!session->pid)   /* of another pid namespace */
		return -1;
	if (!session->sessions->epochd->kernel->peer_pidfd)
		return pidfd_open(session->pid, 0);
	return getsockopt(session->io.fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0 ? pidfd : -1;
}

/* A process that came by itself begins the next epoch. False: it was refused; -EAGAIN: it may come again. */
static bool begin_external(struct session *session, struct app *app)
{
	uid_t uid = app->config->uid == (uid_t)-1 ? geteuid() : app->config->uid;
	int pidfd;

	if (session->uid != uid) {
		session_refuse(session, -EACCES, "%s is a process of uid %u, and this is one of uid %u", app_name(app),
			       (unsigned)uid, (unsigned)session->uid);
		return false;
	}
	if (app->state == APP_FATAL) {
		session_refuse(session, -EACCES, "%s is fatal: %.160s", app_name(app), app->reason ? app->reason : "");
		return false;
	}
	if (pids_know(app->epochd->pids, session->pid)) {
		session_refuse(session, -EBUSY, "pid %d is another application", (int)session->pid);
		return false;
	}
	if (!app_expects(app)) {
		session_refuse(session, -EAGAIN, "%s is %s%s%.160s", app_name(app), app_state_name(app->state),
			       app->reason ? ": " : "", app->reason ? app->reason : "");
		return false;
	}
	pidfd = open_peer(session);
	if (pidfd >= 0 && app_begin_external(app, session->pid, pidfd))
		return true;
	if (pidfd >= 0)
		close(pidfd);
	session_refuse(session, -EAGAIN, "%s cannot begin now", app_name(app));
	return false;
}

static bool on_attach(struct session *session, struct ep_wire_attach *attach)
{
	struct epochd *epochd = session->sessions->epochd;
	struct app *app = epochd_app(epochd, attach->app);
	char name[EP_NAME_SIZE];
	int r;

	session_text(name, sizeof name, attach->app);
	if (!app && !*name)
		session_count(session, REFUSAL_unnamed, "it attaches as no application");
	if (!app) {
		session_refuse(session, -ENOENT, "there is no application %s in instance %s: see epochctl status", name,
			       epochd->config->instance);
		return false;
	}
	if (app->config->external && !app_runs(app) && !begin_external(session, app))
		return false;
	if (app->config->external && session->pid != app->identity.pid) {
		session_refuse(session, -EBUSY, "%s is pid %d, which has not ended", name, (int)app->identity.pid);
		return false;
	}
	if ((app->state != APP_STARTING && app->state != APP_UP) ||
	    !app_is_of_incarnation(session, app, attach->token)) {
		session_refuse(session, -EACCES, "pid %d is no process of the incarnation of %s that runs",
			       (int)session->pid, name);
		return false;
	}
	r = service_of(&session->service, session->sessions, app);
	if (r == 0 && (app->service->attached || app->service->attaching)) {
		session_refuse(session, -EBUSY, "another process of %s is attached", name);
		return false;
	}
	if (r < 0) {
		session_refuse(session, r, "epochd is out of memory");
		return false;
	}
	session->role = SESSION_ATTACHING;
	app->service->attaching = session;
	service_forget_tables(app->service);
	return true;
}

bool app_on_table(struct session *session, const union ep_wire_packet *packet)
{
	int r = service_add_table(session->service, packet->bytes, packet->head.size);

	if (r == 0)
		return true;
	session_refuse(session, r, r == -EPROTO ? "its table of messages makes no sense, or has more than %d" :
		       "its table of messages is larger than %d bytes, or memory is out",
		       r == -EPROTO ? EP_TYPES_MAX : EP_WIRE_TABLE_MAX);
	return false;
}

static void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static int say_attached(struct session *session)
{
	struct service *service = session->service;
	struct epochd *epochd = session->sessions->epochd;
	struct ep_wire_attached attached = { .head = ep_wire_make(EP_WIRE_ATTACHED, sizeof attached),
					     .epoch = service->app->epoch,
					     .clients_max = service->app->config->clients.max };
	CLEANUP(closep) int registry = openat(epochd->segments, app_name(service->app),
					      O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP(closep) int bell = service_open_bell(service, O_RDONLY);
	CLEANUP(closep) int meter = -1;
	int r = registry < 0 || bell < 0 ? -EMFILE : service_make_meter(service, &meter);
	const int fds[EP_ATTACHED_FDS] = { [EP_ATTACHED_REGISTRY] = registry, [EP_ATTACHED_BELL] = bell,
					   [EP_ATTACHED_METER] = meter };

	if (r < 0)
		return r;
	snprintf(attached.instance, sizeof attached.instance, "%s", epochd->uuid);
	return session_send(session, &attached, fds, EP_ATTACHED_FDS);
}

static void tell_detached(struct client *client, void *user)
{
	const struct service *service = user;
	struct session *session = client->session;
	char text[EP_WIRE_TEXT];

	snprintf(text, sizeof text, "%s serves no more in epoch %u: it %s", app_name(service->app),
		 ep_handle_epoch(client->handle),
		 service->app->state == APP_STOPPING ? "is being stopped" : "has detached");
	clients_end(service->clients, client, EP_GONE_FENCED);
	if (session)   /* otherwise it learns when it comes back */
		client_fenced(session, -ESTALE, text);
}

void app_serves(struct service *service)
{
	struct app *app = service->app;

	if (app->state == APP_STARTING && app->config->readiness == READINESS_ATTACH)
		app_is_up(app, NULL);   /* tells those who wait */
	else
		sessions_app_changed(service->sessions, app);
	app_watchdog_start(app);
	pulse_start(&service->pulse);
}

static bool on_ready(struct session *session)
{
	struct service *service = session->service;
	struct app *app = service->app;
	int r = service_make_bell(service);

	if (r == 0)
		r = say_attached(session);
	if (r < 0) {
		session_refuse(session, r, "epochd cannot make a bell or a meter for it: %s", strerrordesc_np(-r));
		return false;
	}
	/* It knows none of those who are there: they joined it when it was attached before, and are awaited since. */
	clients_each(service->clients, tell_detached, service);
	session->role = SESSION_ATTACHED;
	service->attaching = NULL;
	service->attached = session;
	service->double_frees = 0;
	clients_begin(service->clients, app->epoch);
	trace_attached(app, false);
	log_debug(0, "app %s epoch %u: attached by pid %d", app_name(app), app->epoch, (int)session->pid);
	app_serves(service);
	return true;
}

/* ---- what it says of its clients ---- */

void app_on_drained(const struct service *service, const struct ep_wire_drained *drained)
{
	struct client *client = clients_find(service->clients, drained->handle);
	const struct ep_reclaimed counts = {
		.messages = drained->messages, .bytes = drained->bytes,
		.abandoned = { drained->abandoned, drained->abandoned_bytes },
		.held = { drained->held, drained->held_bytes },
	};

	if (client && !client->there)   /* not twice, and not of one that is there */
		clients_drained(service->clients, client, &counts);
}

void app_on_refusals(const struct session *session, const struct ep_wire_refusals *refusals)
{
	struct service *service = session->service;
	uint64_t before = service->double_frees;

	clients_refused(service->clients, refusals->count);
	service->double_frees = refusals->count[0];
	if (refusals->count[0] > before &&
	    refusals_add(&service->app->epochd->refusals, REFUSAL_double_free, refusals->count[0] - before))
		log_notice(0, "app %s epoch %u: gives back memory that is not its own, or not any more (double_free); this is said "
			   "once", app_name(service->app), service->app->epoch);
}

void app_on_broken(const struct service *service, const struct ep_wire_broken *broken)
{
	struct client *client = clients_find(service->clients, broken->handle);
	char text[EP_WIRE_TEXT];

	session_text(text, sizeof text, broken->text);
	if (!client || !client->there)
		return;
	if (!broken->kicked)
		refusals_add(&service->app->epochd->refusals, REFUSAL_broken, 1);
	log_notice(0, "app %s epoch %u: client %#018llx is sent away: %s", app_name(service->app),
		   service->app->epoch, (unsigned long long)client->handle, text);
	sessions_kick(service->app, client, text);
}

static bool on_attaching(struct session *session, const union ep_wire_packet *packet)
{
	if (packet->head.kind == EP_WIRE_TABLE)
		return app_on_table(session, packet);
	if (packet->head.kind == EP_WIRE_READY)
		return on_ready(session);
	session_malformed(session, REFUSAL_out_of_turn, "it says what is not its turn while it attaches");
	return false;
}

bool app_on_packet(struct session *session, union ep_wire_packet *packet)
{
	if (session->role == SESSION_NEW)
		return on_attach(session, &packet->attach);
	if (session->role == SESSION_ATTACHING)
		return on_attaching(session, packet);
	switch ((enum ep_wire_kind)packet->head.kind) {
	case EP_WIRE_DRAINED:
		app_on_drained(session->service, &packet->drained);
		return true;
	case EP_WIRE_BROKEN:
		app_on_broken(session->service, &packet->broken);
		return true;
	case EP_WIRE_REFUSALS:
		app_on_refusals(session, &packet->refusals);
		return true;
	case EP_WIRE_LARGE:
		return large_ask(session->service, session, &packet->large);
	case EP_WIRE_PONG:
		if (!pulse_asked(&session->service->pulse, packet->pong.serial)) {
			session_count(session, REFUSAL_stray_pong, "it answers a ping that nobody sent it");
			return true;
		}
		if (session->service->app->config->readiness == READINESS_ATTACH)
			app_watchdog_start(session->service->app);
		return true;
	case EP_WIRE_GOODBYE:
		app_detached(session);
		return false;
	default:
		session_malformed(session, REFUSAL_out_of_turn, "it says what is not an application's to say");
		return false;
	}
}

void app_writable(struct session *session)
{
	trace_tell(session->service->app);
	service_tell_gone(session->service);
	service_join_waiting(session->service);
}

/* ---- who is gone ---- */

/* All of it is said anew when there is room: nothing is queued. */
void service_tell_gone(struct service *service)
{
	struct client *client;

	while ((client = clients_leaving(service->clients))) {
		struct ep_wire_gone gone = { .head = ep_wire_make(EP_WIRE_GONE, sizeof gone),
					     .handle = client->handle, .why = client->why };
		int r = service->attached ? session_send(service->attached, &gone, NULL, 0) : 0;

		if (r == -EAGAIN) {
			session_await_room(service->attached, true);
			return;
		}
		/* To nobody: then it is counted when the epoch ends. */
		clients_left(service->clients, client);
	}
}

/* Those whose JOIN waits for room in a session that is over. */
static void offer_anew(struct service *service)
{
	for (; service->joining; service->joining = service->joining->next_joining) {
		service->joining->joins = false;
		session_has_news(service->joining, NEWS_WAIT);
	}
	service->joining_end = &service->joining;
}

/* Its process lives on. What stands in the channels is counted when the epoch ends: until then clients may
 * receive it. */
void app_detached(struct session *session)
{
	struct service *service = session->service;

	service->attached = NULL;
	pulse_stop(&service->pulse);
	app_detached_watchdog(service->app);
	/* To nobody. Whoever attaches next knows none of them, and would say that nothing was left. */
	service_tell_gone(service);
	offer_anew(service);
	clients_each(service->clients, tell_detached, service);
	session_end(session);
}

void sessions_kick(struct app *app, struct client *client, const char *why)
{
	struct session *session = client->session;
	struct ep_wire_fenced fenced = { .head = ep_wire_make(EP_WIRE_FENCED, sizeof fenced),
					 .epoch = ep_handle_epoch(client->handle), .error = -ECONNABORTED };

	if (!session) {   /* of a supervisor before us: it learns when it comes back */
		clients_end(app->service->clients, client, EP_GONE_KICKED);
		clients_leave(app->service->clients, client);
		service_tell_gone(app->service);
		return;
	}
	session_text(fenced.text, sizeof fenced.text, why);
	session_send(session, &fenced, NULL, 0);
	client_leave(session, EP_GONE_KICKED);
	session_end(session);
}

/* ---- epochs ---- */

static void tell_waiting(struct sessions *sessions, const struct service *service)
{
	struct session *session = sessions->all.next;

	for (; session != &sessions->all; session = session->next)
		if (session->service == service && session->role == SESSION_CLIENT && !session->client)
			session_has_news(session, NEWS_WAIT);
}

void sessions_app_changed(struct sessions *sessions, struct app *app)
{
	if (app->service)
		tell_waiting(sessions, app->service);
}

static void tell_fenced(struct client *client, void *user)
{
	const struct service *service = user;
	const struct app *app = service->app;
	struct session *session = client->session;
	char text[EP_WIRE_TEXT], how[160] = "";

	if (app->end_epoch == ep_handle_epoch(client->handle))
		app_describe_end(&app->end, how, sizeof how);
	snprintf(text, sizeof text, "%s: epoch %u has ended%s%s", app_name(app),
		 ep_handle_epoch(client->handle), how[0] ? ": " : "", how);
	clients_end(service->clients, client, EP_GONE_FENCED);
	client_fenced(session, -ESTALE, text);
}

/* All of it is counted: into the rows of their epochs, and the totals. */
void service_save_counts(const struct service *service)
{
	struct clients_sum sum;

	while (clients_take_sum(service->clients, &sum))
		app_fill_reclaimed(service->app, &sum);
	app_save(service->app);
}

static void on_slice(EV_P_ ev_timer *w, int revents)
{
	struct service *service = container_of(w, struct service, slice);

	(void)revents;
	if (!clients_go_on(service->clients, tell_fenced, service)) {
		ev_timer_stop(EV_A_ w);
		service_save_counts(service);
		awaited_begin_grace(service);
	}
}

void session_init_slice(struct service *service)
{
	ev_timer_init(&service->slice, on_slice, 0., 1e-6);
}

static void let_go(struct session *session)
{
	struct ep_wire_fenced fenced = { .head = ep_wire_make(EP_WIRE_FENCED, sizeof fenced),
					 .error = -ESTALE };

	session->role = SESSION_OVER;
	session->service = NULL;
	session_send(session, &fenced, NULL, 0);
}

/* On the way of a restart: nothing is done here but to remember it. */
void sessions_fence_moved(struct sessions *sessions, struct app *app)
{
	struct service *service = app->service;

	(void)sessions;
	if (!service)
		return;
	if (service->attached)
		let_go(service->attached);
	if (service->attaching)
		let_go(service->attaching);
	service->attached = service->attaching = NULL;
	offer_anew(service);
	clients_end_all(service->clients);
	reaper_remove_all(&service->reaper);
	ev_timer_again(app->epochd->loop, &service->slice);
}

void sessions_forget(struct sessions *sessions, struct app *app)
{
	struct session *session, *next;

	if (!app->service)
		return;
	sessions_fence_moved(sessions, app);
	while (clients_go_on(app->service->clients, tell_fenced, app->service))
		;   /* ends the sessions of those who are gone */
	service_save_counts(app->service);
	for (session = sessions->all.next; session != &sessions->all; session = next) {
		next = session->next;
		if (session->service == app->service)
			session_end(session);
	}
	service_free(app->service);
}
