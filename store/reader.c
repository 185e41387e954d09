#include <config.h>

#include "store/private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { READ_WAIT_S = 1, LIMIT_MAX = 1000 };

static void free_read(struct read *read)
{
	sql_page_free(&read->page);
	free(read->app);
	free(read);
}

static void append(struct read_queue *queue, struct read *read)
{
	read->next = NULL;
	*queue->tail = read;
	queue->tail = &read->next;
}

static struct read *take_first(struct read_queue *queue)
{
	struct read *read = queue->head;

	if (read) {
		queue->head = read->next;
		if (!queue->head)
			queue->tail = &queue->head;
	}
	return read;
}

/* ---- the reader's side ---- */

/* With the lock held: what was handed over before the question is to be in the answer. */
static void await_commit(struct store *store, const struct read *read)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += READ_WAIT_S;
	if (store->committed_seq < read->needed) {   /* somebody waits for it */
		store->urgent = true;
		pthread_cond_signal(&store->work);
	}
	while (store->committed_seq < read->needed && store->health.writable && !store->stopping)
		if (pthread_cond_timedwait(&store->reading, &store->lock, &until) == ETIMEDOUT)
			return;
}

static int ask(struct sql *sql, struct read *read)
{
	if (read->incarnations_fn)
		return sql_page_incarnations(sql, read->app, (uint32_t)read->before, read->limit,
					     &read->page);
	return sql_page_events(sql, read->app, read->before, read->limit, &read->page);
}

/* What the reader has open. */
struct opened {
	struct sql sql;
	uint64_t generation;   /* of the file */
	bool copied;
};

static int open_again(struct store *store, struct opened *opened)
{
	int r = store_open_to_read(&opened->sql, store->path, store->scratch);

	opened->copied = r == 1;
	if (r >= 0)
		r = sql_prepare(&opened->sql, SQL_FOR_READING);
	if (r < 0)
		sql_forget(&opened->sql);
	return r;
}

static int ask_interruptibly(struct store *store, struct sql *sql, struct read *read)
{
	bool stopping;
	int r;

	pthread_mutex_lock(&store->lock);
	stopping = store->stopping;
	store->interruptible_read = stopping ? NULL : sql->db;
	pthread_mutex_unlock(&store->lock);
	r = stopping ? -ECANCELED : ask(sql, read);
	pthread_mutex_lock(&store->lock);
	store->interruptible_read = NULL;
	pthread_mutex_unlock(&store->lock);
	return r;
}

static int answer(struct store *store, struct opened *opened, struct read *read)
{
	uint64_t current;
	int r = 0;

	pthread_mutex_lock(&store->lock);
	await_commit(store, read);
	current = store->generation;
	pthread_mutex_unlock(&store->lock);
	if (opened->generation != current)
		sql_forget(&opened->sql);
	opened->generation = current;
	if (!opened->sql.db)
		r = open_again(store, opened);
	if (r == 0)
		r = ask_interruptibly(store, &opened->sql, read);
	if (r == -EUCLEAN && !opened->copied)
		store_found_broken(store, current, "a page that a report needs cannot be read");
	return r == -ENOENT || r == -ENODATA ? 0 : r;   /* none is there yet: nor is any row */
}

/* With the lock held. */
static bool hand_back(struct store *store, struct read *read)
{
	store->reading_now = NULL;
	if (read->cancelled) {
		store->reads--;
		return false;
	}
	append(&store->answers, read);
	return true;
}

void *store_reader_main(void *user)
{
	struct store *store = user;
	struct opened opened = { 0 };
	struct read *read;
	bool wanted;

	pthread_mutex_lock(&store->lock);
	while (!store->stopping) {
		read = take_first(&store->questions);
		if (!read) {
			pthread_cond_wait(&store->reading, &store->lock);
			continue;
		}
		store->reading_now = read;
		pthread_mutex_unlock(&store->lock);
		read->r = answer(store, &opened, read);
		pthread_mutex_lock(&store->lock);
		wanted = hand_back(store, read);
		pthread_mutex_unlock(&store->lock);
		if (!wanted)
			free_read(read);
		else if (store->wake)
			store->wake(store->user);
		pthread_mutex_lock(&store->lock);
	}
	pthread_mutex_unlock(&store->lock);
	sql_forget(&opened.sql);
	return NULL;
}

/* ---- the loop's side ---- */

static int put_question(struct store *store, const struct read *wanted, const char *app)
{
	struct read *read;
	bool busy;

	if (wanted->limit < 1 || wanted->limit > LIMIT_MAX)
		return -EINVAL;
	read = malloc(sizeof *read);
	if (!read)
		return -ENOMEM;
	*read = *wanted;
	read->app = app ? strdup(app) : NULL;
	if (app && !read->app) {
		free_read(read);
		return -ENOMEM;
	}
	pthread_mutex_lock(&store->lock);
	busy = store->reads >= READS_MAX;
	if (!busy) {
		store->reads++;
		read->needed = store->handed;
		append(&store->questions, read);
		pthread_cond_broadcast(&store->reading);
	}
	pthread_mutex_unlock(&store->lock);
	if (busy)
		free_read(read);
	return busy ? -EBUSY : 0;
}

int store_read_incarnations(struct store *store, const char *app, uint32_t before, unsigned limit,
			    store_incarnations_fn *fn, void *user)
{
	struct read read = { .incarnations_fn = fn, .fn_user = user, .before = before,
			     .limit = limit };

	return put_question(store, &read, app);
}

int store_read_events(struct store *store, const char *app, uint64_t before, unsigned limit,
		      store_events_fn *fn, void *user)
{
	struct read read = { .events_fn = fn, .fn_user = user, .before = before, .limit = limit };

	return put_question(store, &read, app);
}

/* Those of this user, or all; the count of those that were freed. */
static size_t drop(struct read_queue *queue, const void *user, bool all)
{
	struct read **link = &queue->head, *read;
	size_t count = 0;

	while ((read = *link)) {
		if (!all && read->fn_user != user) {
			link = &read->next;
			continue;
		}
		*link = read->next;
		free_read(read);
		count++;
	}
	queue->tail = link;
	return count;
}

void store_read_cancel(struct store *store, void *user)
{
	pthread_mutex_lock(&store->lock);
	store->reads -= drop(&store->questions, user, false);
	store->reads -= drop(&store->answers, user, false);
	if (store->reading_now && store->reading_now->fn_user == user)
		store->reading_now->cancelled = true;
	pthread_mutex_unlock(&store->lock);
}

void store_forget_reads(struct store *store)
{
	drop(&store->questions, NULL, true);
	drop(&store->answers, NULL, true);
}

void store_answer(struct store *store)
{
	struct read *read;
	size_t left = READS_MAX;   /* what is answered meanwhile has woken the loop again */

	while (left--) {
		pthread_mutex_lock(&store->lock);
		read = take_first(&store->answers);
		if (read)
			store->reads--;
		pthread_mutex_unlock(&store->lock);
		if (!read)
			return;
		if (read->incarnations_fn)
			read->incarnations_fn(read->r, read->page.incarnations, read->page.count,
					      read->fn_user);
		else
			read->events_fn(read->r, read->page.events, read->page.count,
					read->fn_user);
		free_read(read);
	}
}
