/* A client's session: it asks for an application, is offered each epoch of it, joins. */
#include <config.h>

#include "supervisor/session_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervisor/app_private.h"
#include "supervisor/awaited.h"
#include "supervisor/configuration.h"
#include "supervisor/control_access.h"
#include "supervisor/epochd.h"
#include "supervisor/kernel.h"
#include "supervisor/large.h"
#include "supervisor/log.h"
#include "supervisor/service.h"

/* ---- who may ---- */

static void peer_done(struct peer *peer)
{
	peer_deinit(peer);
}

static bool may_join(const struct session *session, const struct app_config *config)
{
	CLEANUP(peer_done) struct peer peer = { 0 };

	if (session->uid == 0 || session->uid == geteuid() || session->uid == config->uid)
		return true;
	return config->clients.allow_count && peer_of(&peer, session->io.fd) == 0 &&
	       peer_is_named(&peer, config->clients.allow, config->clients.allow_count);
}

/* ---- what it is told ---- */

static int say_wait(struct session *session)
{
	const struct app *app = session->service->app;
	struct ep_wire_wait wait = { .head = ep_wire_make(EP_WIRE_WAIT, sizeof wait) };

	snprintf(wait.text, sizeof wait.text, "%s is %s%s%.160s%s", app_name(app),
		 app_state_name(app_state(app)), app->reason ? ": " : "", app->reason ? app->reason : "",
		 app_state(app) == APP_UP ? ", but it is not attached" : "");
	return session_send(session, &wait, NULL, 0);
}

static int say_offer(struct session *session)
{
	const struct service *service = session->service;
	struct ep_wire_offer offer = { .head = ep_wire_make(EP_WIRE_OFFER, sizeof offer),
				       .epoch = clients_epoch(service->clients),
				       .geometry = service->app->config->channel };
	int r = 0;

	while (r == 0 && session->table_at < service->table_count) {
		r = session_send(session, service->tables[session->table_at]->bytes, NULL, 0);
		if (r == 0)
			session->table_at++;
	}
	return r == 0 ? session_send(session, &offer, NULL, 0) : r;
}

bool client_tell(struct session *session)
{
	int r = 0;

	if (session->news == NEWS_NONE || !session->service || session->client)
		return true;
	/* What is news by now, whatever it was. */
	if (service_serves(session->service))
		r = say_offer(session);
	else
		r = session->news == NEWS_WAIT || session->table_at ? say_wait(session) : 0;
	if (r == -EAGAIN) {
		session_await_room(session, true);
		return true;
	}
	session->news = NEWS_NONE;
	session->table_at = 0;
	if (r < 0) {
		session_end(session);
		return false;
	}
	return true;
}

void client_fenced(struct session *session, int error, const char *text)
{
	struct ep_wire_fenced fenced = { .head = ep_wire_make(EP_WIRE_FENCED, sizeof fenced),
					 .epoch = ep_handle_epoch(session->client->handle),
					 .error = error };

	session_text(fenced.text, sizeof fenced.text, text);
	session->client = NULL;
	/* One that does not read what little it is told learns of it by the session's end. */
	if (session_send(session, &fenced, NULL, 0) < 0)
		session_end(session);
	else
		session_has_news(session, NEWS_OFFER);
}

/* ---- joining ---- */

struct ends { int memfd, own, theirs, ring; };

static void close_ends(struct ends *ends)
{
	const int fds[] = { ends->memfd, ends->own, ends->theirs, ends->ring };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* The client's bell: one end to read for it, and a description for the application that has both, so that no
 * ring of it finds no reader. */
static int make_bell(struct ends *ends)
{
	int both[2];

	if (pipe2(both, O_NONBLOCK | O_CLOEXEC) < 0)
		return -errno;
	ends->own = both[0];
	ends->theirs = reopen_pipe(both[0], O_RDWR);
	close(both[1]);
	return ends->theirs < 0 ? ends->theirs : 0;
}

static int say_joined(struct session *session, const struct client *client, const struct ends *ends)
{
	struct ep_wire_joined joined = { .head = ep_wire_make(EP_WIRE_JOINED, sizeof joined),
					 .handle = client->handle, .pid = session->pid,
					 .uid = session->uid, .gid = session->gid };
	const int fds[EP_JOINED_FDS] = { [EP_JOINED_CHANNEL] = ends->memfd, [EP_JOINED_RING] = ends->theirs };

	memcpy(joined.name, session->name, sizeof joined.name);
	return session_send(session->service->attached, &joined, fds, EP_JOINED_FDS);
}

static int say_welcome(struct session *session, const struct client *client, const struct ends *ends,
		       int registry)
{
	struct ep_wire_welcome welcome = { .head = ep_wire_make(EP_WIRE_WELCOME, sizeof welcome),
					   .handle = client->handle };
	const int fds[EP_WELCOME_FDS] = {
		[EP_WELCOME_REGISTRY] = registry, [EP_WELCOME_CHANNEL] = ends->memfd,
		[EP_WELCOME_BELL] = ends->own, [EP_WELCOME_RING] = ends->ring,
	};

	snprintf(welcome.instance, sizeof welcome.instance, "%s", session->sessions->epochd->uuid);
	return session_send(session, &welcome, fds, EP_WELCOME_FDS);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static int open_ends(const struct session *session, struct ends *ends, int *registry)
{
	const struct service *service = session->service;
	int r;

	*registry = openat(session->sessions->epochd->segments, app_name(service->app),
			   O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	r = *registry < 0 ? -errno : make_bell(ends);
	if (r < 0)
		return r;
	ends->ring = service_open_bell(service, O_WRONLY);
	return ends->ring < 0 ? ends->ring : 0;
}

/* From here on it is owed, and its handle is good: before the application hears of it, which may send to it, or ask
 * for its handle, at once (I3, I8). So that has to have room for the news. */
static int publish(struct session *session, struct client *client, const struct ends *ends)
{
	struct clients *clients = session->service->clients;
	int r;

	clients_publish(clients, client);
	client->session = session;
	session->client = client;
	reaper_add(&session->service->reaper, client);
	r = say_joined(session, client, ends);
	if (r == 0)
		return 0;
	/* It is going, or many descriptors are under way: nobody has the channel. */
	session->client = NULL;
	clients_end(clients, client, EP_GONE_GOODBYE);
	clients_reclaim(clients, client);
	return r == -EAGAIN ? r : -ENOTCONN;
}

/* For a supervisor after us, and for the reaper: never the pid alone. */
static struct identity identity_of(const struct session *session)
{
	const struct kernel *kernel = session->sessions->epochd->kernel;
	struct identity identity = { .pid = session->pid };
	int pidfd = -1;
	socklen_t size = sizeof pidfd;

	if (!session->pid)   /* of another pid namespace */
		return identity;
	if (kernel->peer_pidfd && kernel->pidfd_inode &&
	    getsockopt(session->io.fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0) {
		identity_from_pidfd(&identity, kernel, session->pid, pidfd);
		close(pidfd);
	}
	identity_complete(&identity);
	return identity;
}

static int try_join(struct session *session)
{
	struct service *service = session->service;
	const struct app_config *config = service->app->config;
	struct client_options options = {
		.name = session->name, .who = identity_of(session), .uid = session->uid,
		.nonce = session->nonce, .max = config->clients.max,
		.max_per_user = config->clients.max_per_user, .geometry = session->wanted,
	};
	CLEANUP(close_ends) struct ends ends = { -1, -1, -1, -1 };
	CLEANUP(close_fd) int registry = -1;
	struct client *client;
	int r = session_has_room(service->attached) ?
			clients_add(&client, service->clients, &options, &ends.memfd) : -EAGAIN;

	if (r < 0)
		return r;
	r = open_ends(session, &ends, &registry);
	if (r < 0) {
		clients_take_back(service->clients, client);
		return r;
	}
	r = publish(session, client, &ends);
	if (r < 0)
		return r;
	/* It does not read, or is gone: the end of the session buries it. */
	return say_welcome(session, client, &ends, registry) < 0 ? -EPIPE : 0;
}

/* False: it is at its end. */
static bool finish_join(struct session *session, int r)
{
	const char *name = app_name(session->service->app);

	if (r == 0)
		return true;
	if (r == -ENOTCONN) {
		session_has_news(session, NEWS_WAIT);
		return true;
	}
	if (r == -EPIPE && session->client)
		session_end(session);
	else if (r == -EUSERS)
		session_refuse(session, r, "%s has as many clients as may join it, or as many of this user: see "
			       "clients { max, max-per-user }", name);
	else
		session_refuse(session, r, "%s: no room for another client: %s", name, strerrordesc_np(-r));
	return false;
}

static void await_turn(struct session *session)
{
	struct service *service = session->service;

	session->joins = true;
	session->next_joining = NULL;
	*service->joining_end = session;
	service->joining_end = &session->next_joining;
	session_await_room(service->attached, true);
}

void service_join_waiting(struct service *service)
{
	while (service->joining && service_serves(service)) {
		struct session *session = service->joining;
		int r = try_join(session);

		if (r == -EAGAIN) {
			session_await_room(service->attached, true);
			return;
		}
		service->joining = session->next_joining;
		if (!service->joining)
			service->joining_end = &service->joining;
		session->joins = false;
		finish_join(session, r);
	}
}

static bool on_join(struct session *session, const struct ep_wire_join *wire)
{
	struct service *service = session->service;
	const char *why;
	int r;

	if (session->role != SESSION_CLIENT) {
		session_malformed(session, session->role == SESSION_NEW ? REFUSAL_unregistered : REFUSAL_out_of_turn, "it joins out of turn");
		return false;
	}
	/* It may have been offered an epoch twice before it answered, and answers both. */
	if (session->client || session->joins)
		return true;
	if (!service_serves(service) || wire->epoch != clients_epoch(service->clients)) {
		session_has_news(session, NEWS_WAIT);   /* or OFFER, if that is what there is by then */
		return true;
	}
	if (ep_geometry_within(&session->wanted, &service->app->config->channel, &wire->wanted, &why) < 0) {
		session_refuse(session, -EINVAL, "%s: the channel that was asked for: %s",
			       app_name(service->app), why);
		return false;
	}
	r = service->joining ? -EAGAIN : try_join(session);
	if (r == -EAGAIN) {
		await_turn(session);
		return true;
	}
	return finish_join(session, r);
}

/* ---- asking ---- */

/* It never heard that it has joined: WELCOME went with the supervisor that said it. */
void client_end_unheard(const struct session *session, uint64_t but)
{
	struct service *service = session->service;
	struct client *client = session->nonce ? clients_with_nonce(service->clients, session->nonce, but) : NULL;

	if (!client || awaited_check(service, client, session) < 0)
		return;
	awaited_forget(client, service);
	if (client->late) {   /* nobody will bring its channel */
		clients_lose(service->clients, client);
		return;
	}
	client->unheard = true;
	clients_end(service->clients, client, EP_GONE_GOODBYE);
	clients_leave(service->clients, client);
	service_tell_gone(service);
}

bool client_takes(struct session *session, const char *asked, const char *named, uint64_t nonce)
{
	struct epochd *epochd = session->sessions->epochd;
	struct app *app = epochd_app(epochd, asked);
	char name[EP_NAME_SIZE];

	session_text(name, sizeof name, asked);
	if (!*name)
		session_count(session, REFUSAL_unnamed, "it asks for no application");
	if (!app || app->removed) {
		session_refuse(session, -ENOENT, "there is no application %s in instance %s: see epochctl "
			       "status", name, epochd->config->instance);
		return false;
	}
	if (!may_join(session, app->config)) {
		session_refuse(session, -EACCES, "uid %u may not join %s: see clients { allow } of it",
			       (unsigned)session->uid, name);
		return false;
	}
	if (service_of(&session->service, session->sessions, app) < 0) {
		session_refuse(session, -ENOMEM, "epochd is out of memory");
		return false;
	}
	session->role = SESSION_CLIENT;
	session->nonce = nonce;
	session_text(session->name, sizeof session->name, named);
	return true;
}

static bool on_hello(struct session *session, struct ep_wire_hello *hello)
{
	if (session->role != SESSION_NEW) {
		session_malformed(session, REFUSAL_out_of_turn, "it says hello twice");
		return false;
	}
	if (!client_takes(session, hello->app, hello->name, hello->nonce))
		return false;
	client_end_unheard(session, 0);
	session_has_news(session, NEWS_WAIT);
	return true;
}

/* In an epoch that has ended meanwhile nobody answers: it is told that. */
static bool on_large(struct session *session, const struct ep_wire_large *wire)
{
	if (session->role == SESSION_CLIENT && (!session->client || session->client->handle != wire->handle))
		return true;
	if (session->role == SESSION_CLIENT && large_ask(session->service, session, wire))
		return true;
	session_malformed(session, REFUSAL_unregistered, "it asks for a buffer, and is no client");
	return false;
}

bool client_on_packet(struct session *session, union ep_wire_packet *packet)
{
	switch ((enum ep_wire_kind)packet->head.kind) {
	case EP_WIRE_HELLO:
		return on_hello(session, &packet->hello);
	case EP_WIRE_JOIN:
		return on_join(session, &packet->join);
	case EP_WIRE_GOODBYE:
		if (session->client)
			client_leave(session, EP_GONE_GOODBYE);
		session_end(session);
		return false;
	case EP_WIRE_LARGE:
		return on_large(session, &packet->large);
	case EP_WIRE_PONG:
		if (session->role == SESSION_NEW) {
			session_malformed(session, REFUSAL_stray_pong, "it answers a ping, and is nobody");
			return false;
		}
		if (!session->service || !reaper_asked(&session->service->reaper, packet->pong.serial))
			session_count(session, REFUSAL_stray_pong, "it answers a ping that nobody sent it");
		return true;
	default:
		session_malformed(session, REFUSAL_out_of_turn, "it says what is not a client's to say");
		return false;
	}
}

/* ---- leaving ---- */

void client_leave(struct session *session, uint32_t why)
{
	struct service *service = session->service;
	struct client *client = session->client;

	session->client = NULL;
	clients_end(service->clients, client, why);
	if (clients_has_ended(service->clients, client))
		return;   /* reclaimed with the others of its epoch */
	clients_leave(service->clients, client);
	service_tell_gone(service);
}
