#include <config.h>

#include "supervisor/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/clock.h"

enum { MINUTES = 60, HOURS = 24 };

/* What happened before the machine was started has a negative time on its clock. Moved by two days, all
 * that can still be of interest has a span of its own; the hours begin where they began. */
static const int64_t before_the_start = 48 * 3600 * NS_PER_S;

/* A ring of counts, one for each span; `newest` is the span that was counted last. */
struct spans {
	int64_t newest;
	uint32_t count[MINUTES + 1];   /* one more: the oldest span is only partly within */
	int size;
	int64_t span;
};

struct history {
	struct spans minutes, hours;
	unsigned window;               /* times kept */
	unsigned used;
	int64_t time[];                /* oldest first */
};

static void spans_forward(struct spans *spans, int64_t span)
{
	int64_t steps = span - spans->newest;

	if (steps > spans->size)
		steps = spans->size;
	for (int64_t i = 1; i <= steps; i++)
		spans->count[(spans->newest + i) % spans->size] = 0;
	if (span > spans->newest)
		spans->newest = span;
	if (steps == spans->size)
		memset(spans->count, 0, sizeof spans->count);
}

static void spans_add(struct spans *spans, int64_t at)
{
	int64_t span = (at + before_the_start) / spans->span;

	if (at < -before_the_start)
		return;
	spans_forward(spans, span);
	if (spans->newest - span < spans->size)
		spans->count[span % spans->size]++;
}

static uint64_t spans_sum(const struct spans *spans, int64_t now)
{
	int64_t first = (now + before_the_start) / spans->span - spans->size + 1;
	uint64_t sum = 0;

	for (int64_t span = spans->newest; span > spans->newest - spans->size && span >= 0; span--)
		if (span >= first)
			sum += spans->count[span % spans->size];
	return sum;
}

static int make_room(struct history **history, unsigned window)
{
	struct history *old = *history, *grown;

	if (old && old->window >= window)
		return 0;
	grown = realloc(old, sizeof *grown + window * sizeof grown->time[0]);
	if (!grown)
		return -ENOMEM;
	if (!old) {
		memset(grown, 0, sizeof *grown);
		grown->minutes.size = MINUTES + 1;
		grown->minutes.span = 60 * NS_PER_S;
		grown->hours.size = HOURS + 1;
		grown->hours.span = 3600 * NS_PER_S;
	}
	grown->window = window;
	*history = grown;
	return 0;
}

int history_add(struct history **history, int64_t at, bool counts, unsigned window)
{
	struct history *it;
	int r = make_room(history, window);

	if (r < 0)
		return r;
	it = *history;
	spans_add(&it->minutes, at);
	spans_add(&it->hours, at);
	if (!counts || it->window == 0)
		return 0;
	if (it->used == it->window)
		memmove(it->time, it->time + 1, --it->used * sizeof it->time[0]);
	it->time[it->used++] = at;
	return 0;
}

void history_free(struct history *history)
{
	free(history);
}

uint64_t history_last_hour(const struct history *history, int64_t now)
{
	return history ? spans_sum(&history->minutes, now) : 0;
}

uint64_t history_last_day(const struct history *history, int64_t now)
{
	return history ? spans_sum(&history->hours, now) : 0;
}

unsigned history_count_since(const struct history *history, int64_t since)
{
	unsigned count = 0;

	if (history)
		for (unsigned i = 0; i < history->used; i++)
			count += history->time[i] >= since;
	return count;
}

void history_forgive(struct history *history)
{
	if (history)
		history->used = 0;
}
