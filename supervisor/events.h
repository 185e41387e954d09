/* Events: every change, with time, epoch and reason. Handed to the store, and kept in memory for as
 * long as a follower may need to catch up. */
#ifndef EPOCHD_EVENTS_H
#define EPOCHD_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

enum { EVENTS_KEPT = 1024 };   /* in memory; a follower further behind is cut off */

struct events;
struct event_follower;
/* Something new is there: read it with events_next(). Called from events_post(); must not free. */
typedef void event_fn(void *user);

int events_new(struct events **out, struct store *store);
void events_free(struct events *events);   /* nobody follows any more; NULL is fine */

/* app: NULL for the supervisor's own. reason: NULL or a line. Returns the event's number. */
uint64_t events_post(struct events *events, const char *app, uint32_t epoch, const char *event,
		     const char *reason);

/* Follows from now on. */
int events_follow(struct event_follower **out, struct events *events, event_fn *fn, void *user);
void events_unfollow(struct event_follower *follower);   /* NULL is fine */
/* 1 and the next event (valid until the loop turns), 0 if there is none yet, -EOVERFLOW if this
 * follower fell behind by more than EVENTS_KEPT: it has missed some and must be cut off. */
int events_next(struct event_follower *follower, struct store_event *out);
#endif
