#include <config.h>

#include "store/private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS_MIN = 64 };

/* A turn of the loop starts as many applications at most, so that what they do is seen between. */
enum { DISPATCH_MOST = 16 };

int64_t store_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- applications ---- */

static size_t bucket_of(const char *name, size_t bucket_count)
{
	uint64_t hash = 14695981039346656037u;   /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 1099511628211u;
	return (hash ^ hash >> 32) & (bucket_count - 1);
}

static int grow(struct store *store)
{
	size_t count = store->bucket_count ? store->bucket_count * 2 : BUCKETS_MIN, i;
	struct store_app **bucket, *app;

	if (store->app_count < store->bucket_count)
		return 0;
	bucket = calloc(count, sizeof(struct store_app *));
	if (!bucket)
		return -ENOMEM;
	for (app = store->all; app; app = app->next_of_all) {
		i = bucket_of(app->name, count);
		app->next_in_bucket = bucket[i];
		bucket[i] = app;
	}
	free(store->bucket);
	store->bucket = bucket;
	store->bucket_count = count;
	return 0;
}

struct store_app *store_app_find(const struct store *store, const char *name)
{
	struct store_app *app;

	if (!store->bucket_count)
		return NULL;
	app = store->bucket[bucket_of(name, store->bucket_count)];
	while (app && strcmp(app->name, name) != 0)
		app = app->next_in_bucket;
	return app;
}

static struct store_app *add(struct store *store, const char *name)
{
	size_t size = strlen(name) + 1, i;
	struct store_app *app;

	if (grow(store) < 0)
		return NULL;
	app = calloc(1, sizeof *app + size);
	if (!app)
		return NULL;
	memcpy(app->name, name, size);
	app->store = store;
	app->state.wanted = true;
	app->pending_tail = &app->pending;
	app->rows_since_prune = UINT16_MAX;   /* how many it has is not known */
	i = bucket_of(name, store->bucket_count);
	app->next_in_bucket = store->bucket[i];
	store->bucket[i] = app;
	store->app_count++;
	pthread_mutex_lock(&store->lock);
	app->next_of_all = store->all;
	store->all = app;
	pthread_mutex_unlock(&store->lock);
	return app;
}

int store_app_get(struct store_app **out, struct store *store, const char *name)
{
	struct store_app *app = store_app_find(store, name);

	if (!app)
		app = add(store, name);
	if (!app)
		return -ENOMEM;
	*out = app;
	return 0;
}

const char *store_app_name(const struct store_app *app)
{
	return app->name;
}

void store_app_set_owner(struct store_app *app, void *owner)
{
	app->owner = owner;
}

void *store_app_owner(const struct store_app *app)
{
	return app->owner;
}

void store_app_state(const struct store_app *app, struct store_state *out)
{
	pthread_mutex_lock(&app->store->lock);
	*out = app->state;
	pthread_mutex_unlock(&app->store->lock);
}

void store_each_app(struct store *store, store_app_fn *fn, void *user)
{
	struct store_app *app;

	/* Only the loop changes the list: no lock, so that fn can ask for anything. */
	for (app = store->all; app; app = app->next_of_all)
		fn(app, user);
}

void store_mark_dirty(struct store_app *app)
{
	struct store *store = app->store;

	if (app->dirty)
		return;
	app->dirty = true;
	app->next_dirty = NULL;
	*store->dirty_tail = app;
	store->dirty_tail = &app->next_dirty;
}

/* A writer that only spaces its commits is not woken; it wakes by itself, or for what is urgent. */
static void wake_writer(struct store *store)
{
	if (!store->held && (!store->pausing || store->urgent))
		pthread_cond_signal(&store->work);
}

/* With the lock held: there is something for the writer, which then tries even if the disk just failed. */
static void handed_over(struct store *store)
{
	store->handed++;
	store->kicked = true;
	wake_writer(store);
}

void store_hold(struct store *store)
{
	pthread_mutex_lock(&store->lock);
	store->held = true;
	pthread_mutex_unlock(&store->lock);
}

void store_let_go(struct store *store)
{
	pthread_mutex_lock(&store->lock);
	store->held = false;
	if (store->kicked)
		wake_writer(store);
	pthread_mutex_unlock(&store->lock);
}

void store_app_put(struct store_app *app, const struct store_state *state)
{
	struct store *store = app->store;
	struct store_state *known = &app->state;
	uint64_t total;
	int i;

	pthread_mutex_lock(&store->lock);
	if (state->used > known->used)
		known->used = state->used;
	if (state->reserved > app->asked)
		app->asked = state->reserved;
	/* Soon somebody is held until more are durable. */
	if (app->asked > known->reserved && known->used + FEW_LEFT > known->reserved)
		store->urgent = true;
	known->wanted = state->wanted;
	known->fatal = state->fatal;
	known->forgiven_at = state->forgiven_at;
	if (!known->since)
		known->since = state->since;
	for (i = 0; i < STORE_TOTALS_COUNT; i++) {
		total = state->totals[i] > INT64_MAX ? INT64_MAX : state->totals[i];
		if (total > known->totals[i])
			known->totals[i] = total;
	}
	store_mark_dirty(app);
	handed_over(store);
	pthread_mutex_unlock(&store->lock);
}

/* ---- incarnations ---- */

/* The caller's words are static, or of a row that it read and that will go. NULL: no memory. */
static const char *intern(struct store *store, const char *text)
{
	size_t size = strlen(text) + 1;
	struct word *word;

	for (word = store->words; word; word = word->next)
		if (!strcmp(word->text, text))
			return word->text;
	word = malloc(sizeof *word + size);
	if (!word)
		return NULL;
	memcpy(word->text, text, size);
	word->next = store->words;
	store->words = word;
	return word->text;
}

/* Cut where a character begins. */
static char *copy_detail(const char *text)
{
	size_t length = strlen(text);

	if (length >= DETAIL_MAX) {
		length = DETAIL_MAX - 1;
		while (length && ((unsigned char)text[length] & 0xc0) == 0x80)
			length--;
	}
	return strndup(text, length);
}

/* What is known replaces; the detail's owner changes with it. */
static void merge(struct store_incarnation *into, struct store_incarnation *row)
{
	const char *detail = into->detail, *shm = into->shm;

#define KEEP_KNOWN(member, unknown) \
	if (row->member != (unknown))  \
		into->member = row->member
	KEEP_KNOWN(pid, 0);
	KEEP_KNOWN(start_ticks, 0);
	KEEP_KNOWN(pidfd_inode, 0);
	KEEP_KNOWN(started_at, 0);
	KEEP_KNOWN(up_at, 0);
	KEEP_KNOWN(ended_at, 0);
	KEEP_KNOWN(restart, NULL);
	KEEP_KNOWN(cause, NULL);
	KEEP_KNOWN(code, -1);
	KEEP_KNOWN(signal, 0);
	KEEP_KNOWN(oom, -1);
	KEEP_KNOWN(detail, NULL);
	KEEP_KNOWN(shm, NULL);
#undef KEEP_KNOWN
	if (row->reclaimed.is_known)
		into->reclaimed = row->reclaimed;
	/* The old ones go with `row`. */
	row->detail = row->detail ? detail : NULL;
	row->shm = row->shm ? shm : NULL;
}

void store_free_pending(struct pending *pending)
{
	if (!pending)
		return;
	free((char *)pending->row.detail);
	free((char *)pending->row.shm);
	free(pending);
}

static struct pending *new_pending(struct store *store, const struct store_incarnation *row)
{
	struct pending *pending = calloc(1, sizeof *pending);

	if (!pending)
		return NULL;
	pending->row = *row;
	pending->row.detail = row->detail ? copy_detail(row->detail) : NULL;
	pending->row.shm = row->shm && strlen(row->shm) < SHM_MAX ? strdup(row->shm) : NULL;
	pending->row.restart = row->restart ? intern(store, row->restart) : NULL;
	pending->row.cause = row->cause ? intern(store, row->cause) : NULL;
	if (!pending->row.detail == !row->detail && !pending->row.restart == !row->restart &&
	    !pending->row.cause == !row->cause)
		return pending;
	store_free_pending(pending);
	return NULL;
}

int store_app_incarnation(struct store_app *app, const struct store_incarnation *row)
{
	struct store *store = app->store;
	struct pending *fresh = new_pending(store, row), *same;

	if (!fresh)
		return -ENOMEM;
	pthread_mutex_lock(&store->lock);
	for (same = app->pending; same && same->row.epoch != row->epoch; same = same->next)
		;
	if (same) {
		merge(&same->row, &fresh->row);
	} else {
		same = STEAL(fresh);
		*app->pending_tail = same;
		app->pending_tail = &same->next;
	}
	store_mark_dirty(app);
	handed_over(store);
	same->version = store->handed;
	pthread_mutex_unlock(&store->lock);
	store_free_pending(fresh);
	return 0;
}

void store_app_keep_for(struct store_app *app, int64_t ns)
{
	pthread_mutex_lock(&app->store->lock);
	app->keep_for = ns;
	pthread_mutex_unlock(&app->store->lock);
}

uint32_t store_app_durable_through(const struct store_app *app)
{
	const struct pending *pending;
	uint32_t through;

	pthread_mutex_lock(&app->store->lock);
	through = app->committed_through;
	for (pending = app->pending; pending; pending = pending->next)
		if (pending->row.epoch <= through)
			through = pending->row.epoch ? pending->row.epoch - 1 : 0;
	pthread_mutex_unlock(&app->store->lock);
	return through;
}

/* Before the threads run: they begin with that. */
static int met(struct store *store, int r)
{
	if (r == -EUCLEAN)
		store_found_broken(store, store->generation, "a page that a start needs cannot be read");
	return r;
}

int store_restarts_since(struct store *store, int64_t since, store_restart_fn *fn, void *user)
{
	struct store_app *app;
	const char *name;
	int r;
	/* Another thread writes through this connection once it is started. */
	assert(!store->started);
	CLEANUP(sql_rewind) sqlite3_stmt *stmt =
		sql_query(&store->sql, SQL_RESTARTS_SINCE, &r, "i", since);

	if (!stmt)
		return r;
	while ((r = sql_step(&store->sql, stmt)) > 0) {
		name = (const char *)sqlite3_column_text(stmt, 0);
		app = name ? store_app_find(store, name) : NULL;
		if (app)
			fn(app, (uint32_t)sqlite3_column_int64(stmt, 1),
			   sqlite3_column_int64(stmt, 2),
			   (const char *)sqlite3_column_text(stmt, 3), user);
	}
	return met(store, r);
}

int store_last_incarnation(struct store *store, const char *app, struct store_incarnation *out)
{
	int r;

	assert(!store->started);   /* as above */
	sql_page_free(&store->last_page);
	r = sql_page_incarnations(&store->sql, app, 0, 1, &store->last_page);
	if (r < 0 || !store->last_page.count)
		return met(store, r);
	*out = store->last_page.incarnations[0];
	return 1;
}

int store_last_ended(struct store *store, const char *app, struct store_incarnation *out)
{
	/* Only the newest runs; a row whose end got lost may stand before it. */
	enum { LOOK_AT = 20 };
	int r;

	assert(!store->started);   /* as above */
	sql_page_free(&store->last_page);
	r = sql_page_incarnations(&store->sql, app, 0, LOOK_AT, &store->last_page);
	for (size_t i = 0; r >= 0 && i < store->last_page.count; i++)
		if (store->last_page.incarnations[i].cause) {
			*out = store->last_page.incarnations[i];
			return 1;
		}
	return met(store, r);
}

/* ---- events ---- */

static const char *copy_text(char **at, const char *text)
{
	size_t size;
	char *copy = *at;

	if (!text)
		return NULL;
	size = strlen(text) + 1;
	memcpy(copy, text, size);
	*at += size;
	return copy;
}

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static struct waiting_event *copy_event(const struct store_event *event)
{
	struct waiting_event *waiting = malloc(sizeof *waiting + text_size(event->app) +
					       text_size(event->event) +
					       text_size(event->reason));
	char *at;

	if (!waiting)
		return NULL;
	at = waiting->text;
	waiting->next = NULL;
	waiting->event = *event;
	waiting->event.app = copy_text(&at, event->app);
	waiting->event.event = copy_text(&at, event->event);
	waiting->event.reason = copy_text(&at, event->reason);
	return waiting;
}

uint64_t store_untold_number(uint64_t above)
{
	uint64_t now = (uint64_t)store_now() / 1000;

	return now > above ? now : above + 1;
}

void store_event(struct store *store, struct store_event *event)
{
	struct waiting_event *waiting = copy_event(event), *oldest = NULL;
	struct event_queue *queue = &store->events;

	pthread_mutex_lock(&store->lock);
	/* A number above the durable ceiling could be given again after a kill. With the disk away for
	 * so long that the stretch is spent, the clock gives those that are not. */
	if (store->event_number < store->event_ceiling)
		store->event_number++;
	else
		store->event_number = store_untold_number(store->event_number);
	event->number = store->event_number;
	if (waiting) {
		waiting->event.number = event->number;
		*queue->tail = waiting;
		queue->tail = &waiting->next;
		queue->count++;
	}
	if (queue->count > EVENTS_WAITING_MAX) {
		oldest = queue->head;
		queue->head = oldest->next;
		queue->count--;
	}
	if (!waiting || oldest)
		store->health.events_dropped++;
	handed_over(store);
	pthread_mutex_unlock(&store->lock);
	free(oldest);
}

/* ---- the loop's side ---- */

static struct store_app *take_done(struct store *store)
{
	struct store_app *app;

	pthread_mutex_lock(&store->lock);
	app = store->done;
	if (app) {
		store->done = app->next_done;
		if (!store->done)
			store->done_tail = &store->done;
		store->done_count--;
		app->done = false;
	}
	pthread_mutex_unlock(&store->lock);
	return app;
}

void store_dispatch(struct store *store)
{
	struct store_app *app;
	size_t done, left;

	pthread_mutex_lock(&store->lock);
	done = store->done_count;   /* what lands meanwhile has woken the loop again */
	pthread_mutex_unlock(&store->lock);
	left = done < DISPATCH_MOST ? done : DISPATCH_MOST;
	for (; left && (app = take_done(store)); left--)
		if (store->committed)
			store->committed(app, store->user);
	store_answer(store);
	if (done > DISPATCH_MOST)
		store->wake(store->user);
}

void store_health(struct store *store, struct store_health *out)
{
	pthread_mutex_lock(&store->lock);
	*out = store->health;
	pthread_mutex_unlock(&store->lock);
}
