/* Keepalive of an application's clients: who is quiet is pinged, and who does not answer is lazy if it lives, and buried
 * if not. They stand in the order in which they were last heard or asked, so that a pass costs what is due and not who is
 * connected; those that are due soon are asked with those that are due now, since a batch wakes us once. A ring that moves
 * counts as heard. */
#ifndef EPOCHD_REAPER_H
#define EPOCHD_REAPER_H

#include <stdbool.h>
#include <stdint.h>

#include <ev.h>

struct client;
struct service;

/* In struct client. `next` NULL: it is in no list. */
struct reaper_link {
	struct reaper_link *next, *before;
	int64_t asked_at;        /* CLOCK_MONOTONIC, ns: when it was last heard or asked */
	int64_t heard_at;
	int64_t lazy_since;      /* 0: it is not */
	uint64_t moved;          /* what its ring's counters added up to */
	uint32_t unanswered;     /* pings */
};

struct reaper {
	struct reaper_link quiet;   /* head: the longest silent first */
	struct reaper_link over;    /* head: of an epoch that has ended */
	ev_timer due;               /* for when the first one is */
	int64_t due_at;             /* 0: nobody is */
	struct service *service;
	uint64_t pings;
	uint32_t lazy;              /* now */
};

void reaper_init(struct reaper *reaper, struct service *service);
void reaper_deinit(struct reaper *reaper);
void reaper_add(struct reaper *reaper, struct client *client);      /* it is there */
void reaper_remove(struct reaper *reaper, struct client *client);   /* of one that is in no list, too */
void reaper_heard(struct reaper *reaper, struct client *client);
/* The epoch has ended: all at once. */
void reaper_remove_all(struct reaper *reaper);
/* keepalive may have changed. */
void reaper_reconfigured(struct reaper *reaper);
/* A PING of that serial was sent to somebody. */
static inline bool reaper_asked(const struct reaper *reaper, uint64_t serial) { return serial && serial <= reaper->pings; }
#endif
