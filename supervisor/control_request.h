/* The inside of control: one request, from its first line to its answer. control.c owns connections
 * and the loop, control_routes.c says what each path does, control_follow.c streams events.
 *
 * A request that cannot be answered at once is parked: MHD's suspended connection, which costs
 * nothing and which MHD does not look at, so that a watcher of ours sees the client hang up. */
#ifndef EPOCHD_CONTROL_REQUEST_H
#define EPOCHD_CONTROL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ev.h>
#include <jansson.h>
#include <microhttpd.h>

#include "supervisor/clock.h"
#include "supervisor/control_access.h"

struct app;
struct control;
struct epochd;
struct follower;

struct listener {
	struct control *control;
	struct MHD_Daemon *daemon;
	bool tcp;              /* anyone: health, metrics and stats only */
	ev_io ready;           /* MHD's epoll fd */
	ev_timer due;          /* only while MHD has something to do later */
	struct connection *connections;
	unsigned guests;       /* of these, whose peers may not act */
	int64_t patience;      /* ns */
	ev_timer overdue;      /* only while a connection's due_at is set */
};

/* Of libmicrohttpd's, what control_connections.c knows. */
struct connection {
	struct listener *listener;
	struct connection *next, **link;
	int fd;
	bool guest, stranger;  /* may not act; not even read: what it does moves no deadline */
	int64_t due_at;        /* is cut off then; CLOCK_MONOTONIC, ns; 0: may stay */
};

struct parked {
	struct listener *listener;
	struct MHD_Connection *connection;
	struct parked *next, **link;   /* list of the control's; link is NULL: not parked */
	ev_io hangup;
	bool gone;                     /* the client is */
};

enum waiting_for { FOR_NOTHING, FOR_APP, FOR_RELOAD, FOR_SHUTDOWN, FOR_STORE };

/* What stands behind the question mark. */
enum query_key {
	QUERY_BEFORE = 1, QUERY_LIMIT = 2, QUERY_APP = 4, QUERY_FOLLOW = 8, QUERY_WAIT = 16,
	QUERY_TIMEOUT = 32, QUERY_SIGNAL = 64, QUERY_KEEP = 128, QUERY_SIZE = 256, QUERY_MESSAGES = 512,
	QUERY_FIRST = 1024
};

struct query {
	unsigned given;        /* query_keys */
	uint64_t before;
	unsigned limit;
	const char *app;
	int64_t timeout;       /* ns */
	int signal;
	uint64_t size, messages;
};

struct request {
	struct parked parked;
	const char *method;
	char *path;
	char name[64];         /* of the application in the path */
	char second[64];       /* what stands further on in it */
	uint64_t handle;       /* that it asks for */
	struct query query;
	uint64_t body;         /* bytes, all of them ignored */
	bool routed;
	enum waiting_for waiting;
	struct request *next_waiting, **waiting_link;   /* list of the control's */
	ev_timer deadline;     /* of ?timeout= */
	uint64_t event;        /* that it caused */
	unsigned status;
	struct MHD_Response *response;
	bool streams;          /* for as long as its client reads */
	bool is_long;          /* counted in long_lived */
};

enum {
	CONNECTIONS_MAX = 64,          /* for each listener; 64 descriptors are kept back elsewhere */
	LONG_LIVED_MAX = 48,           /* of these may follow or wait, so that others get a word in */
	GUESTS_MAX = 48,               /* of these are for those who may not act */
	PER_ADDRESS_MAX = 32,          /* over TCP */
	CONNECTION_TIMEOUT_S = 30,     /* without a byte, for whoever may stay */
	BODY_MAX = 4096
};

/* For a request to be there whole, and for its answer to be taken; ns. */
#define PATIENCE (10 * NS_PER_S)
#define STRANGER_PATIENCE (2 * NS_PER_S)   /* who may not even read */

struct control {
	struct epochd *epochd;
	char *path;
	uint64_t inode;                /* of the socket's file, so that only ours is unlinked */
	struct listener *local, *http; /* http: NULL when off */
	char *http_address;            /* in force; NULL when off */
	struct parked *parked;
	struct request *waiting;
	struct follower *followers;
	unsigned long_lived;
	ev_timer turn;                 /* in the next turn of the loop: see what has settled */
	bool ending;
};

/* ---- control.c ---- */

/* The request's answer. An answer given stands: a second one is dropped. */
void answer_json(struct request *request, unsigned status, json_t *json /* stolen */);
void answer_problem(struct request *request, unsigned status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void answer_text(struct request *request, unsigned status, const char *content_type,
		 char *text /* malloc'd, taken */, size_t size);
void answer_response(struct request *request, unsigned status,
		     struct MHD_Response *response /* taken; NULL: memory is out */);
void answer_header(struct request *request, const char *name, const char *value);

/* To be called from within MHD's callbacks, for their own connection. */
void park(struct parked *parked);
/* From anywhere; nothing happens if it is not parked. */
void unpark(struct parked *parked);
/* The request waits (parked) and is answered later. Counted unless it waits for the store; when too
 * many wait or epochd is ending, it is answered 503 instead. */
void request_wait(struct request *request, enum waiting_for what);
/* One more that stays. false: too many, or ending. */
bool long_lived_take(struct control *control);
void long_lived_put(struct control *control);

/* ---- control_routes.c, for control_clients.c ---- */

struct app *app_of(struct request *request);   /* in the path; NULL: the request is answered */

/* ---- control_clients.c ---- */

void get_clients(struct request *request);
void get_rings(struct request *request);
void get_handle(struct request *request);
void post_kick(struct request *request);

/* ---- control_trace.c ---- */

void get_trace(struct request *request);
void get_trace_file(struct request *request);
void post_trace_on(struct request *request);
void post_trace_off(struct request *request);

/* ---- control_config.c ---- */

void get_config(struct request *request);
void get_app_config(struct request *request);

/* ---- control_connections.c ---- */

/* MHD_NotifyConnectionCallback; cls is the listener. */
void on_connection(void *cls, struct MHD_Connection *connection, void **context,
		   enum MHD_ConnectionNotificationCode code);
void on_overdue(EV_P_ ev_timer *w, int revents);
/* It is its client's turn: to send the next request whole, or to take the answer. */
void connection_is_awaited(struct MHD_Connection *connection);
/* It is not: it waits for us, or follows. */
void connection_may_stay(struct MHD_Connection *connection);

/* ---- control_routes.c ---- */

/* Answers, or makes the request wait. */
void route_request(struct request *request);
/* Whether the application has settled, so that what waits for it can be answered. */
void route_settled(struct request *request);

/* ---- control_follow.c ---- */

void follow_events(struct request *request);
/* Ends every stream properly. */
void followers_end(struct control *control);

/* ---- control_listen.c ---- */

/* Listening sockets, or a negative errno that was logged. */
int listen_local(const char *path, const struct epochd *epochd);
int listen_http(const char *address);
/* Owner, group and mode of the socket's file. */
int listen_permit(const char *path, const struct epochd *epochd);
#endif
