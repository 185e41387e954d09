#include <config.h>

#include "store/private.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	RETRY_MS_MIN = 100,
	RETRY_MS_MAX = 5000,
	PRUNE_BATCH = 2000,      /* rows in a transaction: a commit may have to wait for one of them */
	PRUNE_APPS = 16,         /* applications after one commit */
};

/* What one transaction carries. */
struct flight {
	struct store_app *apps;
	struct event_queue events;
	uint64_t seq;       /* all that was handed over up to here is in it */
	uint64_t ceiling;   /* of event numbers; 0: stays as it is */
};

/* ---- taking off ---- */

static void take_off(struct store *store, struct flight *flight, const struct ending *ending)
{
	struct store_app *app;

	pthread_mutex_lock(&store->lock);
	flight->apps = store->dirty;
	/* What is put from now on is for the next commit, though this one may carry it already. */
	for (app = flight->apps; app; app = app->next_dirty) {
		app->next_in_flight = app->next_dirty;
		app->dirty = false;
	}
	store->dirty = NULL;
	store->dirty_tail = &store->dirty;
	flight->events = store->events;
	if (flight->events.tail == &store->events.head)
		flight->events.tail = &flight->events.head;
	store->events = (struct event_queue){ .tail = &store->events.head };
	flight->seq = store->handed;
	flight->ceiling = 0;
	if (ending)   /* none are given any more: no gap is needed */
		flight->ceiling = store->event_number;
	else if (store->event_number + EVENT_STRETCH / 2 > store->event_ceiling)
		flight->ceiling = store->event_number + EVENT_STRETCH;
	pthread_mutex_unlock(&store->lock);
}

/* ---- in the transaction ---- */

/* Copies the next row of this application that is to be written; NULL: no more. What came or changed
 * after the state was copied waits for the next commit: each holds a past moment whole. */
static struct pending *copy_pending(struct store_app *app, struct pending *after, uint64_t moment,
				    struct store_incarnation *row, char *detail, char *shm)
{
	struct pending *next;

	pthread_mutex_lock(&app->store->lock);
	next = after ? after->next : app->pending;
	for (; next && next->version > moment; next = next->next)
		next->written = 0;
	if (next) {
		*row = next->row;
		if (row->detail) {
			snprintf(detail, DETAIL_MAX, "%s", row->detail);
			row->detail = detail;
		}
		if (row->shm) {
			snprintf(shm, SHM_MAX, "%s", row->shm);
			row->shm = shm;
		}
		next->written = next->version;
	}
	pthread_mutex_unlock(&app->store->lock);
	return next;
}

static int write_rows(struct sql *into, struct store_app *app, uint64_t moment)
{
	struct store_incarnation row;
	struct pending *pending = NULL;
	char detail[DETAIL_MAX], shm[SHM_MAX];
	int r;

	while ((pending = copy_pending(app, pending, moment, &row, detail, shm))) {
		r = sql_put_incarnation(into, app->name, &row);
		if (r < 0)
			return r;
		if (app->rows_since_prune < UINT16_MAX)
			app->rows_since_prune++;
	}
	return 0;
}

static int write_app(struct sql *into, struct store_app *app)
{
	struct store_state state;
	uint64_t moment;
	int r;

	pthread_mutex_lock(&app->store->lock);
	moment = app->store->handed;
	state = app->state;
	state.reserved = app->flying_reserved = app->asked;
	pthread_mutex_unlock(&app->store->lock);
	r = sql_put_application(into, app->name, &state);
	return r < 0 ? r : write_rows(into, app, moment);
}

static int write_events(struct sql *into, const struct event_queue *events)
{
	struct waiting_event *waiting;
	int r = 0;

	for (waiting = events->head; waiting && r >= 0; waiting = waiting->next)
		r = sql_put_event(into, &waiting->event);
	return r;
}

static int write_ending(struct store *store, struct flight *flight, const struct ending *ending)
{
	int r = sql_run(&store->sql, SQL_META_SET, "si", "event_ceiling", (int64_t)flight->ceiling);

	if (r >= 0 && ending->how != STORE_UNCLEAN)
		r = sql_run(&store->sql, SQL_END_RUN, "ii", (int64_t)ending->how, (int64_t)store->identity.run);
	return r;
}

static int write_flight(struct store *store, struct flight *flight, const struct ending *ending)
{
	struct store_app *app;
	int r = sql_run(&store->sql, SQL_BEGIN, "");

	for (app = flight->apps; app && r >= 0; app = app->next_in_flight)
		r = write_app(&store->sql, app);
	if (r >= 0)
		r = write_events(&store->sql, &flight->events);
	if (r >= 0 && ending)
		r = write_ending(store, flight, ending);
	else if (r >= 0 && flight->ceiling)
		r = sql_run(&store->sql, SQL_RAISE_CEILING, "i", (int64_t)flight->ceiling);
	if (r >= 0)
		r = sql_run(&store->sql, SQL_COMMIT, "");
	return r < 0 ? r : 0;
}

/* ---- landing ---- */

/* Forgets the rows whose newest version is durable, hands them out to be freed. */
static struct pending *take_written(struct store_app *app)
{
	struct pending **link = &app->pending, *pending, *written = NULL;

	while ((pending = *link)) {
		if (pending->written && pending->row.epoch > app->committed_through)
			app->committed_through = pending->row.epoch;
		if (pending->written == pending->version) {
			*link = pending->next;
			pending->next = written;
			written = pending;
		} else {
			link = &pending->next;
		}
	}
	app->pending_tail = link;
	return written;
}

static void land_app(struct store *store, struct store_app *app)
{
	struct pending *written, *next;

	pthread_mutex_lock(&store->lock);
	if (app->flying_reserved > app->state.reserved)
		app->state.reserved = app->flying_reserved;
	written = take_written(app);
	if (!app->done) {
		app->done = true;
		app->next_done = NULL;
		*store->done_tail = app;
		store->done_tail = &app->next_done;
		store->done_count++;
	}
	pthread_mutex_unlock(&store->lock);
	for (; written; written = next) {
		next = written->next;
		free((char *)written->row.detail);
		free((char *)written->row.shm);
		free(written);
	}
}

static void free_events(struct waiting_event *waiting)
{
	struct waiting_event *next;

	for (; waiting; waiting = next) {
		next = waiting->next;
		free(waiting);
	}
}

static void land(struct store *store, struct flight *flight)
{
	struct store_app *app;

	for (app = flight->apps; app; app = app->next_in_flight)
		land_app(store, app);
	free_events(flight->events.head);
	store->events_since_prune += flight->events.count;
	pthread_mutex_lock(&store->lock);
	store->committed_seq = flight->seq;
	if (flight->ceiling)
		store->event_ceiling = flight->ceiling;
	store->retry_ms = 0;
	store->health.writable = true;
	store->health.unwritable_since = 0;
	store->health.commits++;
	pthread_cond_broadcast(&store->reading);
	pthread_mutex_unlock(&store->lock);
}

/* ---- failing ---- */

/* In front of what came since. What is beyond the limit, the oldest, is handed out. */
static struct waiting_event *put_back_events(struct store *store, struct event_queue *flown)
{
	struct waiting_event *dropped = flown->head, **link = &dropped;
	struct event_queue *queue = &store->events;

	if (flown->head) {
		*flown->tail = queue->head;
		if (!queue->head)
			queue->tail = flown->tail;
		queue->head = flown->head;
		queue->count += flown->count;
	}
	dropped = queue->head;
	while (queue->count > EVENTS_WAITING_MAX) {
		link = &(*link)->next;
		queue->count--;
		store->health.events_dropped++;
	}
	if (link == &dropped)
		return NULL;
	queue->head = *link;
	*link = NULL;
	return dropped;
}

static void retry_later(struct store *store)
{
	struct timespec *at = &store->retry_at;

	store->retry_ms = store->retry_ms ? store->retry_ms * 2 : RETRY_MS_MIN;
	if (store->retry_ms > RETRY_MS_MAX)
		store->retry_ms = RETRY_MS_MAX;
	clock_gettime(CLOCK_MONOTONIC, at);
	at->tv_sec += store->retry_ms / 1000;
	at->tv_nsec += (long)(store->retry_ms % 1000) * 1000000;
	if (at->tv_nsec >= 1000000000) {
		at->tv_sec++;
		at->tv_nsec -= 1000000000;
	}
}

/* Everything stays dirty. True if the loop should hear of it. */
static bool fail(struct store *store, struct flight *flight, int r, const char *text)
{
	struct waiting_event *dropped;
	struct store_app *app;
	bool news;

	pthread_mutex_lock(&store->lock);
	for (app = flight->apps; app; app = app->next_in_flight)
		store_mark_dirty(app);
	dropped = put_back_events(store, &flight->events);
	news = store->health.writable || store->health.error != -r;
	if (store->health.writable)
		store->health.unwritable_since = store_now();
	store->health.writable = false;
	store->health.error = -r;
	snprintf(store->health.text, sizeof store->health.text, "%s", text);
	retry_later(store);
	pthread_cond_broadcast(&store->reading);
	pthread_mutex_unlock(&store->lock);
	free_events(dropped);
	return news;
}

/* ---- a broken database ---- */

static int rebuild_apps(struct store *store, struct sql *fresh)
{
	struct store_app *app;
	struct store_state state;
	int r = 0;

	pthread_mutex_lock(&store->lock);
	app = store->all;
	pthread_mutex_unlock(&store->lock);
	for (; app && r >= 0; app = app->next_of_all) {
		pthread_mutex_lock(&store->lock);
		state = app->state;   /* with the durable reservation: nothing less may stand there */
		pthread_mutex_unlock(&store->lock);
		r = sql_put_application(fresh, app->name, &state);
	}
	return r;
}

static int fill(struct store *store, struct sql *fresh)
{
	uint64_t ceiling;
	int r = store_write_identity(fresh, store);

	pthread_mutex_lock(&store->lock);
	ceiling = store->event_ceiling;
	pthread_mutex_unlock(&store->lock);
	if (r >= 0)
		r = sql_run(fresh, SQL_RAISE_CEILING, "i", (int64_t)ceiling);
	return r < 0 ? r : rebuild_apps(store, fresh);
}

static int replace(struct store *store, char *aside, size_t size)
{
	struct sql fresh = { 0 };
	int r;

	if (!store->sql.db)
		(void)sqlite3_open_v2(store->path, &store->sql.db,
				      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	r = store_rebuild_begin(&fresh, store->path, store->sql.db);
	if (r < 0)
		return r;
	r = fill(store, &fresh);
	if (r < 0) {
		sql_forget(&fresh);
		return r;
	}
	sql_forget(&store->sql);
	return store_rebuild_finish(&fresh, store->path, aside, size);
}

/* The new database holds what the old one still gives and what is in memory; what is dirty follows in
 * the commit after this. Killed anywhere in between, the next start finds its place. */
static int rebuild(struct store *store)
{
	struct store_app *app;
	char aside[sizeof store->health.set_aside];
	int r = 0;

	if (!store->sql.db)   /* an earlier attempt got as far as closing it */
		r = store_rebuild_resume(store->path, aside, sizeof aside);
	if (r == 0)
		r = replace(store, aside, sizeof aside);
	if (r < 0)
		return r;
	r = store_open_to_write(store);
	if (r < 0) {
		sql_forget(&store->sql);
		return r;
	}
	store->begun = true;   /* fill() has told */
	pthread_mutex_lock(&store->lock);
	store->broken = false;
	store->generation++;
	store->health.rebuilt = true;
	if (aside[0])
		snprintf(store->health.set_aside, sizeof store->health.set_aside, "%s", aside);
	for (app = store->all; app; app = app->next_of_all)
		store_mark_dirty(app);
	pthread_mutex_unlock(&store->lock);
	return 0;
}

/* SQLite goes on writing to a file that somebody has removed, and all of it would be lost. */
static bool is_in_place(const struct store *store)
{
	struct stat st;

	return store->sql.db && stat(store->path, &st) == 0 && st.st_ino == store->inode;
}

static bool is_broken(struct store *store)
{
	bool broken;

	pthread_mutex_lock(&store->lock);
	broken = store->broken;
	pthread_mutex_unlock(&store->lock);
	return broken;
}

/* ---- a commit ---- */

static void describe(struct store *store, char *text, size_t size, int r)
{
	char reason[100];

	if (store->sql.db && sqlite3_errcode(store->sql.db) != SQLITE_OK)
		snprintf(text, size, "cannot commit: %s (%s)", sqlite3_errmsg(store->sql.db),
			 strerror_r(-r, reason, sizeof reason));
	else
		snprintf(text, size, "cannot commit: %s", strerror_r(-r, reason, sizeof reason));
}

/* A reader has had to do with what could be read until then: it opens it again. */
static int begin_if_not(struct store *store)
{
	int r;

	if (store->begun)
		return is_in_place(store) ? 0 : -EUCLEAN;
	r = store_begin(store);
	if (r == 0) {
		pthread_mutex_lock(&store->lock);
		store->generation++;
		pthread_mutex_unlock(&store->lock);
	}
	return r;
}

static int try(struct store *store, struct flight *flight, const struct ending *ending, char *text,
	       size_t size)
{
	int r = -EUCLEAN;

	text[0] = '\0';
	if (!is_broken(store)) {
		r = begin_if_not(store);
		if (r == 0)
			r = write_flight(store, flight, ending);
		if (r < 0)
			describe(store, text, size, r);
		sql_rollback(&store->sql);
	}
	if (r != -EUCLEAN)
		return r;
	pthread_mutex_lock(&store->lock);
	if (!store->broken)
		snprintf(store->health.set_aside_why, sizeof store->health.set_aside_why, "%s", text);
	store->broken = true;   /* until it is rebuilt, however many attempts that takes */
	pthread_mutex_unlock(&store->lock);
	r = rebuild(store);
	if (r == 0)
		r = write_flight(store, flight, ending);
	if (r < 0)
		describe(store, text, size, r);
	sql_rollback(&store->sql);
	return r;
}

/* What came of a batch: true if nothing is left to do for now. */
static bool prune_batch(struct store *store, int r)
{
	if (r == -EUCLEAN) {
		pthread_mutex_lock(&store->lock);
		store->broken = true;
		pthread_mutex_unlock(&store->lock);
	}
	return r < PRUNE_BATCH;
}

struct limits {
	unsigned events, incarnations;
};

/* In force now. After a change all counts as not looked at. */
static struct limits limits_of(struct store *store)
{
	struct limits limits;
	struct store_app *app;

	pthread_mutex_lock(&store->lock);
	limits = (struct limits){ store->keep_events, store->keep_incarnations };
	if (store->keep_changed) {
		store->events_since_prune = UINT16_MAX;
		for (app = store->all; app; app = app->next_of_all)
			app->rows_since_prune = UINT16_MAX;
	}
	store->keep_changed = false;
	pthread_mutex_unlock(&store->lock);
	return limits;
}

/* Rows started before this may be pruned. */
static int64_t is_old_before(struct store_app *app)
{
	int64_t keep_for;

	pthread_mutex_lock(&app->store->lock);
	keep_for = app->keep_for;
	pthread_mutex_unlock(&app->store->lock);
	return keep_for ? store_now() - keep_for : INT64_MAX;
}

static unsigned now_and_then(unsigned keep)
{
	return keep / 16 < 1000 ? keep / 16 : 1000;
}

/* Now and then, a batch at a time, in transactions of its own: nobody waits for it. Where it fails it
 * is tried again after a later commit. */
static void prune(struct store *store, struct flight *flight)
{
	struct limits keep = limits_of(store);
	unsigned budget = PRUNE_APPS;
	struct store_app *app;

	if (store->events_since_prune > now_and_then(keep.events) &&
	    prune_batch(store, sql_run(&store->sql, SQL_PRUNE_EVENTS, "ii", (int64_t)keep.events,
				       (int64_t)PRUNE_BATCH)))
		store->events_since_prune = 0;
	for (app = flight->apps; app && budget; app = app->next_in_flight) {
		if (app->rows_since_prune <= now_and_then(keep.incarnations))
			continue;
		budget--;
		if (prune_batch(store, sql_run(&store->sql, SQL_PRUNE_INCARNATIONS, "siii",
					       app->name, (int64_t)keep.incarnations,
					       (int64_t)PRUNE_BATCH, is_old_before(app))))
			app->rows_since_prune = 0;
	}
}

int store_commit(struct store *store, const struct ending *ending)
{
	struct flight flight;
	char text[sizeof store->health.text];
	bool news = true;
	int r;

	take_off(store, &flight, ending);
	r = try(store, &flight, ending, text, sizeof text);
	if (r == 0)
		land(store, &flight);
	else
		news = fail(store, &flight, r, text);
	if (ending)
		return r;
	if (news && store->wake)
		store->wake(store->user);
	if (r == 0)
		prune(store, &flight);
	return r;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static bool has_work(const struct store *store)
{
	return store->dirty || store->events.head || store->broken;
}

/* With the lock held. */
static bool is_due(const struct store *store)
{
	struct timespec now;

	if (store->health.writable || store->kicked)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return !is_before(&now, &store->retry_at);
}

/* Commits that are not urgent stand apart, and the first one after a rest begins late: what comes first
 * is most often a restart, whose exec needs the processor now. */
enum { APART_NS = 50000000, LATE_NS = 5000000 };

/* With the lock held: the next commit is due in `ns`, or later. */
static void commit_not_before(struct store *store, long ns)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += ns;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	if (is_before(&store->next_at, &at))
		store->next_at = at;
}

/* With the lock held. Waits if the next commit is not due; true: it has waited, look again. */
static bool pause_before_commit(struct store *store)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (store->urgent || !is_before(&now, &store->next_at))
		return false;
	store->pausing = true;
	pthread_cond_timedwait(&store->work, &store->lock, &store->next_at);
	store->pausing = false;
	return true;
}

void *store_writer_main(void *user)
{
	struct store *store = user;

	/* Woken near the exec of a restart, it must not take that one's processor. */
	(void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 });
	pthread_mutex_lock(&store->lock);
	while (!store->stopping) {
		if (!has_work(store)) {
			pthread_cond_wait(&store->work, &store->lock);
			commit_not_before(store, LATE_NS);
		} else if (!is_due(store)) {
			pthread_cond_timedwait(&store->work, &store->lock, &store->retry_at);
		} else if (!pause_before_commit(store)) {
			store->kicked = false;
			store->urgent = false;
			commit_not_before(store, APART_NS);
			pthread_mutex_unlock(&store->lock);
			store_commit(store, NULL);
			pthread_mutex_lock(&store->lock);
		}
	}
	pthread_mutex_unlock(&store->lock);
	return NULL;
}

/* ---- found by others ---- */

void store_found_broken(struct store *store, uint64_t generation, const char *why)
{
	pthread_mutex_lock(&store->lock);
	if (store->generation == generation) {   /* otherwise it is another file by now */
		store->broken = true;
		store->kicked = true;
		snprintf(store->health.set_aside_why, sizeof store->health.set_aside_why, "%s", why);
		pthread_cond_signal(&store->work);
	}
	pthread_mutex_unlock(&store->lock);
}

/* Empty if the database is sound, or if that could not be found out. */
static void quick_check(struct store *store, sqlite3 *db, char *why, size_t size)
{
	sqlite3_stmt *stmt = NULL;
	int rc;

	pthread_mutex_lock(&store->lock);
	store->interruptible_check = db;
	pthread_mutex_unlock(&store->lock);
	why[0] = '\0';
	rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") != 0)
		sql_text(why, size, stmt, 0);
	else if (rc != SQLITE_ROW && sql_errno(db, rc) == -EUCLEAN)
		snprintf(why, size, "%s", sqlite3_errmsg(db));
	sqlite3_finalize(stmt);
	pthread_mutex_lock(&store->lock);
	store->interruptible_check = NULL;
	if (store->stopping)   /* interrupted: what it said means nothing */
		why[0] = '\0';
	pthread_mutex_unlock(&store->lock);
}

void *store_check_main(void *user)
{
	struct store *store = user;
	struct sql sql = { 0 };
	char why[sizeof store->health.set_aside_why];
	uint64_t generation;
	int r;

	pthread_mutex_lock(&store->lock);
	generation = store->generation;
	pthread_mutex_unlock(&store->lock);
	r = sql_open(&sql, store->path, SQL_FOR_READING);
	why[0] = '\0';
	if (r == 0)
		quick_check(store, sql.db, why, sizeof why);
	else if (r == -EUCLEAN)
		snprintf(why, sizeof why, "it cannot be opened");
	sql_forget(&sql);
	if (!why[0])
		return NULL;
	store_found_broken(store, generation, why);
	return NULL;
}
