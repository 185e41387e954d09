#include <config.h>

#include "supervisor/events.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* An event and its text in one block. */
struct kept {
	struct store_event event;
	char text[];
};

struct event_follower {
	struct events *events;
	struct event_follower *next, **link;   /* list of the events' */
	uint64_t position;                     /* of the event to read next */
	event_fn *fn;
	void *user;
};

struct events {
	struct store *store;
	struct event_follower *followers;
	uint64_t position;                     /* of the event to come; counts from 0 */
	struct kept *ring[EVENTS_KEPT];        /* by position; NULL: not kept, see keep() */
};

int events_new(struct events **out, struct store *store)
{
	struct events *events = calloc(1, sizeof *events);

	if (!events)
		return -ENOMEM;
	events->store = store;
	*out = events;
	return 0;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	assert(!events->followers);   /* they hold a pointer to us */
	for (size_t i = 0; i < EVENTS_KEPT; i++)
		free(events->ring[i]);
	free(events);
}

static char *append(char **end, const char *text)
{
	char *start = *end;

	if (!text)
		return NULL;
	*end = stpcpy(start, text) + 1;
	return start;
}

static size_t size_of(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

/* Nobody can ask for what was posted before he followed, so without a follower nothing is kept. NULL
 * when memory is out: whoever comes to this place has missed it and is cut off. */
static struct kept *keep(const struct events *events, const struct store_event *event)
{
	struct kept *kept;
	char *end;

	if (!events->followers)
		return NULL;
	kept = malloc(sizeof *kept + size_of(event->app) + size_of(event->event) +
		      size_of(event->reason));
	if (!kept)
		return NULL;
	end = kept->text;
	kept->event = *event;
	kept->event.app = append(&end, event->app);
	kept->event.event = append(&end, event->event);
	kept->event.reason = append(&end, event->reason);
	return kept;
}

uint64_t events_post(struct events *events, const char *app, uint32_t epoch, const char *event,
		     const char *reason)
{
	struct store_event posted = { .app = app, .epoch = epoch, .event = event,
				      .reason = reason };
	struct kept **place = &events->ring[events->position % EVENTS_KEPT];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	posted.at = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	store_event(events->store, &posted);
	free(*place);
	*place = keep(events, &posted);
	events->position++;
	for (struct event_follower *f = events->followers; f; f = f->next)
		f->fn(f->user);
	return posted.number;
}

int events_follow(struct event_follower **out, struct events *events, event_fn *fn, void *user)
{
	struct event_follower *follower = malloc(sizeof *follower);

	if (!follower)
		return -ENOMEM;
	*follower = (struct event_follower){ .events = events, .next = events->followers,
					     .link = &events->followers,
					     .position = events->position, .fn = fn, .user = user };
	if (follower->next)
		follower->next->link = &follower->next;
	events->followers = follower;
	*out = follower;
	return 0;
}

void events_unfollow(struct event_follower *follower)
{
	if (!follower)
		return;
	*follower->link = follower->next;
	if (follower->next)
		follower->next->link = follower->link;
	free(follower);
}

int events_next(struct event_follower *follower, struct store_event *out)
{
	const struct events *events = follower->events;
	const struct kept *kept;

	if (follower->position == events->position)
		return 0;
	if (events->position - follower->position > EVENTS_KEPT)
		return -EOVERFLOW;
	kept = events->ring[follower->position % EVENTS_KEPT];
	if (!kept)
		return -EOVERFLOW;
	follower->position++;
	*out = kept->event;
	return 1;
}
