/* The inside of a session, for sessions.c, session_client.c, session_app.c and service.c. */
#ifndef EPOCHD_SESSION_PRIVATE_H
#define EPOCHD_SESSION_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <ev.h>

#include "apilib/geometry.h"
#include "apilib/registry.h"
#include "apilib/wire.h"
#include "supervisor/refusals.h"

struct app;
struct client;
struct closer;
struct epochd;
struct service;
struct session;

enum session_role { SESSION_NEW, SESSION_CLIENT, SESSION_ATTACHING, SESSION_RESUMING, SESSION_ATTACHED, SESSION_OVER };

/* What a client is yet to be told. */
enum session_news { NEWS_NONE, NEWS_WAIT, NEWS_OFFER };

struct session {
	struct session *next, *before;    /* all of them, in order of arrival */
	struct session *next_news;        /* among those who have news */
	struct session *next_joining;
	struct sessions *sessions;
	struct service *service;          /* NULL: none yet, or no more */
	struct client *client;            /* that it is, in the epoch that serves; NULL */
	uint64_t nonce;
	ev_io io;
	ev_tstamp since;
	pid_t pid;
	uid_t uid;
	gid_t gid;
	enum session_role role;
	enum session_news news;
	bool has_news;                    /* it is in the list of those */
	bool joins;                       /* it is in the list of those */
	bool no_rights;                   /* no descriptor can be in its socket */
	uint32_t table_at;                /* of the tables, how many were sent in this offer */
	struct ep_geometry wanted;
	char name[EP_CLIENT_NAME_SIZE];
};

struct sessions {
	struct epochd *epochd;
	char *path;
	struct closer *closer;            /* closes their sockets */
	ev_io listener;
	ev_timer late;                    /* HELLO or ATTACH was to come */
	ev_timer crowded;                 /* listens again */
	ev_timer tell;                    /* news are told, in slices */
	struct session all;               /* head of the circle */
	struct session *news, **news_end;
	uint64_t count;
	bool abandoned;
};

/* sessions.c */
void session_end(struct session *session);   /* frees it: its owner's last act */
/* -EAGAIN: its socket is full, and session_writable() will be called. Other errors: it is at its end. */
int session_send(struct session *session, void *packet, const int *fds, unsigned count);
void session_await_room(struct session *session, bool wanted);
bool session_has_room(const struct session *session);   /* for one packet, at least */
/* REFUSED, and the end of it. */
void session_refuse(struct session *session, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void session_has_news(struct session *session, enum session_news news);
void session_malformed(struct session *session, enum refusal why, const char *what);   /* counts, logs and ends it */
void session_count(const struct session *session, enum refusal why, const char *what); /* counts and logs */
void session_init_slice(struct service *service);
void session_text(char *out, size_t size, const char *text);   /* printable ASCII or UTF-8 of it */

/* session_client.c. Each may end the session, and returns false then. */
bool client_on_packet(struct session *session, union ep_wire_packet *packet);
bool client_tell(struct session *session);        /* its news, as far as there is room */
void client_leave(struct session *session, uint32_t why);   /* its client is gone; enum ep_gone */
void client_fenced(struct session *session, int error, const char *text);
void service_join_waiting(struct service *service);

/* session_resume.c: as these. fd, fds: what came with it; taken over. */
bool client_on_resume(struct session *session, struct ep_wire_resume *resume, int fd);
bool app_on_resume(struct session *session, struct ep_wire_resume_app *resume, const int fds[static EP_RESUME_APP_FDS]);
bool app_on_resuming(struct session *session, const union ep_wire_packet *packet);

/* session_client.c */
void client_end_unheard(const struct session *session, uint64_t but);   /* but that handle */
bool client_takes(struct session *session, const char *app, const char *name, uint64_t nonce);

/* session_app.c */
bool app_is_of_incarnation(const struct session *session, struct app *app, const char *token);
bool app_on_table(struct session *session, const union ep_wire_packet *packet);
void app_on_drained(const struct service *service, const struct ep_wire_drained *drained);
void app_on_refusals(const struct session *session, const struct ep_wire_refusals *refusals);
void app_on_broken(const struct service *service, const struct ep_wire_broken *broken);
void service_save_counts(const struct service *service);
bool app_on_packet(struct session *session, union ep_wire_packet *packet);
void app_writable(struct session *session);
void app_serves(struct service *service);   /* from here on, as far as its state says so */
void app_detached(struct session *session);
void service_tell_gone(struct service *service);
bool service_serves(const struct service *service);   /* somebody may join */

/* service.c */
int reopen_pipe(int fd, int flags);
#endif
