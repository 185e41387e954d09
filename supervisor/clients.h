/* An application's clients: a slot of its registry for each, a handle that no other ever had, a channel. They
 * belong to one epoch. When that ends, or one of them does, what stands in the channel is counted, once,
 * whoever is killed meanwhile (I8): a slot owes its counts until they are in the totals. */
#ifndef EPOCHD_CLIENTS_H
#define EPOCHD_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "apilib/channel.h"
#include "apilib/registry.h"
#include "supervisor/identity.h"
#include "supervisor/reaper.h"

struct ledger_count;
struct overdue;

struct client;
typedef void client_fn(struct client *client, void *user);

/* Whose slots. */
struct clients_place {
	struct ep_page *registry;
	struct ledger_count *count;   /* ledger.h: where a step of several words is written down first */
	uint32_t record;      /* of the application in the ledger */
	int directory;        /* of the registry */
	const char *name;     /* of the application */
	struct ep_geometry largest;   /* of a channel */
	client_fn *ended;     /* told of each whose handle is good no more; NULL */
	client_fn *forget;    /* told of each that is about to be freed; NULL */
	void *user;
};

struct client {
	struct client *next, *before;   /* in the list that it is in */
	void *session;                  /* NULL: gone; or there, since before this supervisor, and not back yet */
	/* Mapped; geometry as we made it: peers can write to the header (I6). `base` NULL: a supervisor before us made
	 * it, and nobody has brought it yet. */
	struct ep_channel channel;
	uint64_t handle;
	uid_t uid;
	bool there;                     /* its handle is good */
	bool late;                      /* its epoch has ended, and its channel is awaited */
	bool listed;                    /* by the application that came back */
	bool brought;                   /* its channel was, by itself: a supervisor before us may have begun to reclaim it */
	bool unheard;                   /* its client never heard that it has joined, and so never had the channel */
	bool untold;                    /* late, and its application never heard of it: so nobody has its channel */
	uint32_t why;                   /* enum ep_gone; 0: it is there */
	struct reaper_link reaped_as;
	void *watch;                    /* of its process, while it has no session: awaited.c; NULL */
	struct overdue *overdue;        /* what it or the application holds; NULL until somebody asks */
};

struct clients;

int clients_new(struct clients **out, const struct clients_place *place);
/* What is left is counted first; takes as long as that takes. NULL is fine. */
void clients_free(struct clients *clients);
/* Forgets all of them, whose slots say what the next supervisor needs. Then there is nothing left to be counted. */
void clients_abandon(struct clients *clients);

/* ---- of a supervisor before us ---- */

/* What it was amid counting. */
void clients_recover(const struct clients_place *place);
/* Does any slot say anything? */
bool clients_are_recorded(const struct ep_page *registry);
/* Into a new *clients: those whom the slots name. Of the epoch that lives (0: none does) they are there, or gone and owed;
 * of another they are late. epoch: the newest one. How many slots contradicted themselves: counted, and free; or
 * -ENOMEM. */
int clients_load(struct clients *clients, uint32_t epoch, uint32_t lives);
struct identity clients_identity(const struct clients *clients, const struct client *client);
/* One of them who is there and has not come back, or is late, whose HELLO said that nonce; NULL. Its client never heard
 * that it joined, or has its channel no more. */
struct client *clients_with_nonce(const struct clients *clients, uint64_t nonce, uint64_t but);
/* Its channel. The memfd stays the caller's. -EBADMSG: it is none, or another one: *why tells (static). */
int clients_bring(struct clients *clients, struct client *client, int memfd, const char **why);
/* Its epoch has ended, or it is untold; and nobody has brought its channel. */
void clients_is_late(struct clients *clients, struct client *client);
bool clients_have_late(const struct clients *clients);
void clients_lose(struct clients *clients, struct client *client);   /* nobody will: counted as lost, if anybody had it. Frees it */
void clients_lose_late(struct clients *clients);

/* ---- of this one ---- */

/* A new epoch begins to serve: handles are of that one. Those of another were ended before. */
void clients_begin(struct clients *clients, uint32_t epoch);
uint32_t clients_epoch(const struct clients *clients);

/* A slot and a channel for one more. Nobody can see it until clients_publish(). *memfd is the caller's, to be
 * closed when it was handed on.
 *   -EUSERS   as many as may, or as many of that user    -ENOSPC, -ENOMEM, -EMFILE */
struct client_options {
	const char *name;
	struct identity who;
	uid_t uid;
	uint64_t nonce;
	struct ep_geometry geometry;
	uint32_t max, max_per_user;
};
int clients_add(struct client **out, struct clients *clients, const struct client_options *options, int *memfd);
void clients_take_back(struct clients *clients, struct client *client);   /* of one that was not published */
/* I3: from now on its handle is good. Counted as registered. */
void clients_publish(struct clients *clients, struct client *client);

struct client *clients_find(const struct clients *clients, uint64_t handle);   /* or NULL */

/* Into its slot, for whoever looks there. */
void clients_heard(const struct clients *clients, const struct client *client, int64_t heard_at, uint32_t unanswered);
/* Its slot does not say what we wrote there. */
bool clients_contradict(const struct clients *clients, const struct client *client);
/* So it is counted as confused, set right, and ended. Its channel is still owed. */
void clients_confused(struct clients *clients, struct client *client);

/* Its session is at an end: its handle is good no more. The channel is still owed. */
void clients_end(struct clients *clients, struct client *client, uint32_t why);   /* enum ep_gone */
bool clients_has_ended(const struct clients *clients, const struct client *client);   /* with its epoch */
/* What the application says was left. Bounded by what the channel can hold; frees it. */
void clients_drained(struct clients *clients, struct client *client, const struct ep_reclaimed *counts);
/* Looks itself: the application does not answer (any more). Frees it. */
void clients_reclaim(struct clients *clients, struct client *client);
/* Buffers of `size` bytes that were overdue and collected while it lives. Its channel is still owed. */
void clients_collected(struct clients *clients, const struct client *client, uint64_t buffers, uint32_t size);

/* Of one that clients_end() has: the application is to be told. The next of them, or NULL. */
void clients_leave(struct clients *clients, struct client *client);
struct client *clients_leaving(const struct clients *clients);
void clients_left(struct clients *clients, struct client *client);   /* it was told: DRAINED is awaited */

/* The epoch has ended, after the fence moved: all are to be reclaimed. Costs nothing at once; then some are done
 * with each clients_go_on(), which returns false when nothing is left. fn is told first of all those that have a
 * session, whose they are no more. */
void clients_end_all(struct clients *clients);
bool clients_go_on(struct clients *clients, client_fn *fn, void *user);

/* What was counted of an epoch's channels, by whomever. */
struct clients_sum {
	uint32_t epoch;
	uint64_t messages, bytes, lost;
	struct ep_collected collected;   /* whatever the cause */
};

/* Of an epoch that has ended, when clients_go_on() has nothing left; given whenever it has grown, the last eight are
 * kept. */
bool clients_take_sum(struct clients *clients, struct clients_sum *out);

uint32_t clients_connected(const struct clients *clients);
void clients_each(const struct clients *clients, client_fn *fn, void *user);   /* who is there */
/* Who is there, or gone and owed, in the epoch that serves. */
void clients_each_owed(const struct clients *clients, client_fn *fn, void *user);
void clients_each_late(const struct clients *clients, client_fn *fn, void *user);

/* Handles refused by the application, odometers of its epoch: totals grow by what is new. */
void clients_refused(struct clients *clients, const uint64_t count[static 6]);
#endif
