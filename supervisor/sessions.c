#include <config.h>

#include "supervisor/sessions.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/app_private.h"
#include "supervisor/closer.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/kernel.h"
#include "supervisor/log.h"
#include "supervisor/printable.h"
#include "supervisor/service.h"
#include "supervisor/session_private.h"

enum {
	BACKLOG = 1024,
	ACCEPT_BUDGET = 64,       /* in a turn of the loop */
	PACKET_BUDGET = 32,
	NEWS_SLICE = 256,
	KEPT_BACK = 64,           /* descriptors, for restarts */
	OF_A_USER_MOST = 4096,    /* sessions of one that is neither root nor ours */
};
static const ev_tstamp patience = 10.;   /* for HELLO or ATTACH, READY */

/* ---- one session ---- */

static void list_remove(struct session *session)
{
	session->next->before = session->before;
	session->before->next = session->next;
	session->sessions->count--;
}

static void remove_from(struct session **list, struct session ***end, struct session *session,
			struct session **(*next)(struct session *))
{
	struct session **at = list;

	while (*at && *at != session)
		at = next(*at);
	if (!*at)
		return;
	*at = *next(session);
	if (*end == next(session))
		*end = at;
}

static struct session **next_news(struct session *session) { return &session->next_news; }
static struct session **next_joining(struct session *session) { return &session->next_joining; }

void session_end(struct session *session)
{
	struct sessions *sessions = session->sessions;
	struct service *service = session->service;

	if (session->client)
		client_leave(session, EP_GONE_DEAD);
	if (session->has_news)
		remove_from(&sessions->news, &sessions->news_end, session, next_news);
	if (session->joins && service)
		remove_from(&service->joining, &service->joining_end, session, next_joining);
	if (service && service->attached == session)
		service->attached = NULL;   /* its process dies, or it would have said so: the pidfd tells */
	if (service && service->attaching == session)
		service->attaching = NULL;
	list_remove(session);
	ev_io_stop(sessions->epochd->loop, &session->io);
	closer_close(sessions->closer, session->io.fd);
	free(session);
}

static void watch(struct session *session, int events)
{
	ev_io_stop(session->sessions->epochd->loop, &session->io);
	ev_io_set(&session->io, session->io.fd, events);
	ev_io_start(session->sessions->epochd->loop, &session->io);
}

void session_await_room(struct session *session, bool wanted)
{
	int events = EV_READ | (wanted ? EV_WRITE : 0);

	if ((session->io.events & (EV_READ | EV_WRITE)) != events)
		watch(session, events);
}

int session_send(struct session *session, void *packet, const int *fds, unsigned count)
{
	return ep_wire_send(session->io.fd, packet, fds, count);
}

bool session_has_room(const struct session *session)
{
	struct pollfd self = { .fd = session->io.fd, .events = POLLOUT };

	return poll(&self, 1, 0) == 1 && self.revents & POLLOUT;
}

void session_text(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text);
	make_printable(out, size - 1);
}

void session_refuse(struct session *session, int error, const char *format, ...)
{
	struct ep_wire_refused refused = { .head = ep_wire_make(EP_WIRE_REFUSED, sizeof refused),
					   .error = error };
	va_list values;

	va_start(values, format);
	vsnprintf(refused.text, sizeof refused.text, format, values);
	va_end(values);
	log_debug(0, "api: pid %d, uid %u: refused: %s", (int)session->pid, (unsigned)session->uid,
		  refused.text);
	session_send(session, &refused, NULL, 0);
	session_end(session);
}

/* Said once for each reason: whoever does that may do it often. */
void session_count(const struct session *session, enum refusal why, const char *what)
{
	if (refusals_add(&session->sessions->epochd->refusals, why, 1))
		log_notice(0, "api: pid %d, uid %u: %s (%s); this is said once", (int)session->pid,
			   (unsigned)session->uid, what, refusal_name(why));
	else
		log_debug(0, "api: pid %d, uid %u: %s (%s)", (int)session->pid, (unsigned)session->uid, what,
			  refusal_name(why));
}

void session_malformed(struct session *session, enum refusal why, const char *what)
{
	session_count(session, why, what);
	session_end(session);
}

/* ---- news ---- */

void session_has_news(struct session *session, enum session_news news)
{
	struct sessions *sessions = session->sessions;

	session->news = news;
	session->table_at = 0;
	if (session->has_news)
		return;
	session->has_news = true;
	session->next_news = NULL;
	*sessions->news_end = session;
	sessions->news_end = &session->next_news;
	if (!ev_is_active(&sessions->tell))
		ev_timer_again(sessions->epochd->loop, &sessions->tell);
}

static void on_tell(EV_P_ ev_timer *w, int revents)
{
	struct sessions *sessions = container_of(w, struct sessions, tell);

	(void)revents;
	for (int i = 0; i < NEWS_SLICE && sessions->news; i++) {
		struct session *session = sessions->news;

		sessions->news = session->next_news;
		if (!sessions->news)
			sessions->news_end = &sessions->news;
		session->has_news = false;
		client_tell(session);
	}
	if (!sessions->news)
		ev_timer_stop(EV_A_ w);
}

/* ---- packets ---- */

static bool on_packet(struct session *session, union ep_wire_packet *packet)
{
	switch (session->role) {
	case SESSION_RESUMING:
		return app_on_resuming(session, packet);
	case SESSION_NEW:
		return packet->head.kind == EP_WIRE_ATTACH ? app_on_packet(session, packet) :
							     client_on_packet(session, packet);
	case SESSION_CLIENT:
		if (session->client)
			reaper_heard(&session->service->reaper, session->client);
		return client_on_packet(session, packet);
	case SESSION_ATTACHING:
	case SESSION_ATTACHED:
		return app_on_packet(session, packet);
	case SESSION_OVER:   /* of an epoch that has ended: whatever it says */
		break;
	}
	return true;
}

/* Who comes back brings one descriptor with his first words. */
static bool on_first_with_fds(struct session *session)
{
	struct closer *closer = session->sessions->closer;
	union ep_wire_packet packet;
	int fds[EP_WIRE_FDS_ANY];
	unsigned count;
	int r = ep_wire_receive_any(session->io.fd, &packet, fds, &count);

	if (r == 1 && count == 1 && packet.head.kind == EP_WIRE_RESUME)
		return client_on_resume(session, &packet.resume, fds[0]);
	if (r == 1 && count == EP_RESUME_APP_FDS && packet.head.kind == EP_WIRE_RESUME_APP)
		return app_on_resume(session, &packet.resume_app, fds);
	for (unsigned i = 0; i < count; i++)
		closer_drop(closer, fds[i]);
	session_malformed(session, REFUSAL_malformed, "it sends descriptors, which nobody asked for");
	return false;
}

/* It has said who it is, and nothing more of that kind is to come. What is in the socket by now can still have them. */
static void refuse_rights(struct session *session)
{
	char byte;
	int off = 0;

	session->no_rights = session->sessions->epochd->kernel->refuses_rights &&
			     setsockopt(session->io.fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof off) == 0 &&
			     recv(session->io.fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* False: it is ended, and gone. */
static bool read_one(struct session *session, bool *more)
{
	union ep_wire_packet packet;
	int fds[EP_WIRE_FDS_MAX];
	unsigned count;
	bool was_new;
	int r;

	/* Not taken out: whoever has them must close them (closer.h). */
	if (!session->no_rights && ep_wire_brings_fds(session->io.fd)) {
		if (session->role == SESSION_NEW) {
			if (!on_first_with_fds(session))
				return false;
			refuse_rights(session);
			return true;
		}
		session_malformed(session, REFUSAL_malformed, "it sends descriptors, which nobody asked for");
		return false;
	}
	r = ep_wire_receive(session->io.fd, &packet, fds, &count, 0);
	*more = r == 1;
	if (r == -EAGAIN)
		return true;
	if (r == -EPROTO) {
		session_malformed(session, REFUSAL_malformed, "what it says is no packet of this version");
		return false;
	}
	if (r <= 0) {
		session_end(session);
		return false;
	}
	was_new = session->role == SESSION_NEW;
	if (!on_packet(session, &packet))
		return false;
	if (was_new)
		refuse_rights(session);
	return true;
}

static void on_event(EV_P_ ev_io *w, int revents)
{
	struct session *session = container_of(w, struct session, io);
	int budget = PACKET_BUDGET;
	bool more = true;

	(void)loop;
	if (revents & EV_WRITE) {
		session_await_room(session, false);
		if (session->role == SESSION_ATTACHED)
			app_writable(session);
		else if (session->role == SESSION_CLIENT && !client_tell(session))
			return;
	}
	/* A client says one thing at a time: to ask for a second would cost as much as reading the first. */
	if (session->role == SESSION_CLIENT)
		budget = 1;
	if (revents & EV_READ)
		for (int i = 0; i < budget && more; i++)
			if (!read_one(session, &more))
				return;
}

/* ---- accepting ---- */

static uint64_t count_of_user(const struct sessions *sessions, uid_t uid)
{
	uint64_t count = 0;

	for (const struct session *s = sessions->all.next; s != &sessions->all; s = s->next)
		count += s->uid == uid;
	return count;
}

static bool is_one_too_many(const struct sessions *sessions, uid_t uid)
{
	return uid != 0 && uid != geteuid() && sessions->count >= OF_A_USER_MOST &&
	       count_of_user(sessions, uid) >= OF_A_USER_MOST;
}

static bool is_crowded(int fd)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd + KEPT_BACK > limit.rlim_cur;
}

/* Who comes waits in the queue of the socket. */
static void rest(struct sessions *sessions)
{
	ev_io_stop(sessions->epochd->loop, &sessions->listener);
	ev_timer_again(sessions->epochd->loop, &sessions->crowded);
}

static void on_crowded(EV_P_ ev_timer *w, int revents)
{
	struct sessions *sessions = container_of(w, struct sessions, crowded);

	(void)revents;
	ev_timer_stop(EV_A_ w);
	ev_io_start(EV_A_ &sessions->listener);
}

static int add_session(struct sessions *sessions, int fd)
{
	struct session *session;
	struct ucred peer;
	socklen_t size = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	if (is_one_too_many(sessions, peer.uid))
		return -EUSERS;
	session = calloc(1, sizeof *session);
	if (!session)
		return -ENOMEM;
	session->sessions = sessions;
	session->pid = peer.pid;
	session->uid = peer.uid;
	session->gid = peer.gid;
	session->since = ev_now(sessions->epochd->loop);
	session->next = &sessions->all;
	session->before = sessions->all.before;
	sessions->all.before->next = session;
	sessions->all.before = session;
	sessions->count++;
	ev_io_init(&session->io, on_event, fd, EV_READ);
	ev_io_start(sessions->epochd->loop, &session->io);
	if (!ev_is_active(&sessions->late))
		ev_timer_again(sessions->epochd->loop, &sessions->late);
	return 0;
}

static void on_connection(EV_P_ ev_io *w, int revents)
{
	struct sessions *sessions = container_of(w, struct sessions, listener);

	(void)loop;
	(void)revents;
	for (int i = 0; i < ACCEPT_BUDGET; i++) {
		int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
			rest(sessions);
		if (fd < 0)
			return;
		if (is_crowded(fd)) {
			close(fd);
			rest(sessions);
			return;
		}
		if (add_session(sessions, fd) < 0)
			close(fd);
	}
}

/* Whoever connects and says nothing. */
static void on_late(EV_P_ ev_timer *w, int revents)
{
	struct sessions *sessions = container_of(w, struct sessions, late);
	struct session *session = sessions->all.next, *next;
	bool more = false;

	(void)revents;
	for (; session != &sessions->all; session = next) {
		next = session->next;
		if (session->role != SESSION_NEW && session->role != SESSION_ATTACHING &&
		    session->role != SESSION_RESUMING)
			continue;
		if (ev_now(EV_A) - session->since < patience)
			more = true;
		else
			session_malformed(session, REFUSAL_unregistered, "it connected, and did not say what for");
	}
	if (!more)
		ev_timer_stop(EV_A_ w);
}

/* ---- the listener ---- */

static void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Bound beside the path and renamed, so that nobody finds one that does not listen. */
static int listen_at(const char *path, const struct config *config)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int listener;

	if (fd < 0)
		return -errno;
	if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s~", path) >=
	    sizeof address.sun_path)
		return -ENAMETOOLONG;
	unlink(address.sun_path);   /* of one who died right here */
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	if (config->api_group.gid != (gid_t)-1 && chown(address.sun_path, (uid_t)-1, config->api_group.gid) < 0)
		log_error(-errno, "%s: cannot be given to group %s", path, config->api_group.name);
	if (chmod(address.sun_path, config->api_mode) < 0 || listen(fd, BACKLOG) < 0 ||
	    rename(address.sun_path, path) < 0) {
		int r = -errno;

		unlink(address.sun_path);
		return r;
	}
	listener = fd;
	fd = -1;
	return listener;
}

int sessions_new(struct sessions **out, struct epochd *epochd, const char *path)
{
	struct sessions *sessions = calloc(1, sizeof *sessions);
	int fd;

	if (!sessions)
		return -ENOMEM;
	sessions->epochd = epochd;
	sessions->all.next = sessions->all.before = &sessions->all;
	sessions->news_end = &sessions->news;
	sessions->path = strdup(path);
	fd = sessions->path && closer_new(&sessions->closer) == 0 ?
		     listen_at(path, epochd->config) : -ENOMEM;
	if (fd < 0) {
		closer_free(sessions->closer);
		free(sessions->path);
		free(sessions);
		return log_error(fd, "api %s: cannot listen", path);
	}
	ev_timer_init(&sessions->late, on_late, 0., patience / 2);
	ev_timer_init(&sessions->crowded, on_crowded, 0., 0.2);
	ev_timer_init(&sessions->tell, on_tell, 0., 1e-6);
	ev_io_init(&sessions->listener, on_connection, fd, EV_READ);
	ev_io_start(epochd->loop, &sessions->listener);
	*out = sessions;
	return 0;
}

void sessions_abandon(struct sessions *sessions)
{
	if (!sessions)
		return;
	for (struct session *s = sessions->all.next; s != &sessions->all; s = s->next) {
		s->client = NULL;
		s->service = NULL;
	}
	for (size_t i = 0; i < sessions->epochd->app_count; i++)
		service_abandon(sessions->epochd->apps[i]->service);
	sessions->abandoned = true;
}

void sessions_free(struct sessions *sessions)
{
	struct ev_loop *loop;

	if (!sessions)
		return;
	loop = sessions->epochd->loop;
	for (size_t i = 0; i < sessions->epochd->app_count && !sessions->abandoned; i++)
		sessions_forget(sessions, sessions->epochd->apps[i]);
	while (sessions->all.next != &sessions->all)
		session_end(sessions->all.next);
	ev_io_stop(loop, &sessions->listener);
	ev_timer_stop(loop, &sessions->late);
	ev_timer_stop(loop, &sessions->crowded);
	ev_timer_stop(loop, &sessions->tell);
	close(sessions->listener.fd);
	if (!sessions->abandoned)
		unlink(sessions->path);
	closer_free(sessions->closer);
	free(sessions->path);
	free(sessions);
}
