/* When an application was restarted: counts of the last hour and day, and the times within the
 * intensity window. Clocks are monotonic; what was before this supervisor is put in by its age. */
#ifndef EPOCHD_HISTORY_H
#define EPOCHD_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

struct history;

/* Made at the first restart: most applications never need one. *history may be NULL everywhere.
 * counts: towards intensity. window: how many times to keep for it. -ENOMEM: not remembered. */
int history_add(struct history **history, int64_t at, bool counts, unsigned window);
void history_free(struct history *history);

/* Of the last 60 minutes and the last 24 hours, to the minute and to the hour. */
uint64_t history_last_hour(const struct history *history, int64_t now);
uint64_t history_last_day(const struct history *history, int64_t now);

/* Those that count, at `since` or later. */
unsigned history_count_since(const struct history *history, int64_t since);
/* They do not count any more (a person's reset). */
void history_forgive(struct history *history);
#endif
