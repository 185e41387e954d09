#include <config.h>

#include "apilib/application_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum { JOBS_A_MEMBER = 16, WORKERS_MAX = 256 };

/* A message on its way to its handler. */
struct job {
	struct job *next;
	bool in_order, timed;
	struct handling handling;
};

struct pool {
	pthread_mutex_t lock;            /* of all that follows, but for what says otherwise */
	pthread_cond_t some;             /* a job is ready, or the end has come */
	struct job *ready, **ready_end;  /* whose turn it is: out of order, or the first of a member's */
	struct member *wanted;           /* by the dispatching thread */
	bool ending;
	_Atomic bool news;               /* somebody is wanted */
	pthread_rwlock_t table;          /* of the members: for itself */
	uint32_t count;
	pthread_t worker[];
};

/* ---- with the lock held ---- */

static void add_ready(struct pool *pool, struct job *job)
{
	job->next = NULL;
	*pool->ready_end = job;
	pool->ready_end = &job->next;
	pthread_cond_signal(&pool->some);
}

static void want(struct pool *pool, struct member *member)
{
	if (member->wanted)
		return;
	member->wanted = true;
	member->next_wanted = pool->wanted;
	pool->wanted = member;
}

static struct job *take_first(struct member *member)
{
	struct job *job = member->first_job;

	member->first_job = job->next;
	if (!member->first_job)
		member->jobs_end = &member->first_job;
	return job;
}

/* The member's next one goes to where it is to be handled. */
static void go_on_with(const struct epochd_app *app, struct member *member)
{
	const struct job *first = member->first_job;

	member->scheduled = first != NULL;
	member->ours = first && !(app->handlers[first->handling.message.type].flags & HANDLER_CONCURRENT);
	if (member->ours)
		want(app->pool, member);
	else if (first)
		add_ready(app->pool, take_first(member));
}

/* The handler has returned. */
static void is_over(const struct epochd_app *app, struct job *job)
{
	struct member *member = job->handling.member;

	job->next = member->free_jobs;
	member->free_jobs = job;
	if (job->in_order) {
		/* Release, with the acquire in pool_takes(): what comes next sees what this handler did. */
		atomic_fetch_sub_explicit(&member->in_order, 1, memory_order_release);
		go_on_with(app, member);
	} else {
		member->unordered--;
	}
	if (member->blocked || (member->leaving_why && !member->scheduled && !member->unordered))
		want(app->pool, member);
}

/* ---- workers ---- */

/* Without the lock. */
static void tell(struct epochd_app *app)
{
	/* Release, with the acquire in pool_turn(); the lock says the rest. */
	if (!atomic_exchange_explicit(&app->pool->news, true, memory_order_release))
		app_wake(app);
}

static struct job *await_job(struct pool *pool)
{
	struct job *job;

	while (!pool->ready && !pool->ending)
		pthread_cond_wait(&pool->some, &pool->lock);
	if (pool->ending)
		return NULL;
	job = pool->ready;
	pool->ready = job->next;
	if (!pool->ready)
		pool->ready_end = &pool->ready;
	return job;
}

static void *work(void *user)
{
	struct epochd_app *app = user;
	struct pool *pool = app->pool;
	struct job *job;

	pthread_mutex_lock(&pool->lock);
	while ((job = await_job(pool))) {
		bool wanted;

		pthread_mutex_unlock(&pool->lock);
		app_handle(app, &job->handling, job->timed);
		pthread_mutex_lock(&pool->lock);
		is_over(app, job);
		wanted = pool->wanted != NULL;
		if (!wanted)
			continue;
		pthread_mutex_unlock(&pool->lock);
		tell(app);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* ---- the dispatching thread: what is received ---- */

bool pool_has_room(struct epochd_app *app, struct member *member)
{
	struct pool *pool = app->pool;

	if (!member->jobs)   /* none was needed yet */
		return true;
	pthread_mutex_lock(&pool->lock);
	member->blocked = !member->free_jobs;
	pthread_mutex_unlock(&pool->lock);
	return !member->blocked;
}

bool pool_takes(const struct epochd_app *app, const struct member *member, uint32_t type)
{
	/* Acquire, with the release in is_over(). */
	return app->handlers[type].flags & HANDLER_CONCURRENT ||
	       atomic_load_explicit(&member->in_order, memory_order_acquire);
}

/* With a client's first message for the pool, and never again. */
static bool make_jobs(struct member *member)
{
	member->jobs = calloc(JOBS_A_MEMBER, sizeof *member->jobs);
	for (int i = 0; member->jobs && i < JOBS_A_MEMBER; i++) {
		member->jobs[i].next = member->free_jobs;
		member->free_jobs = &member->jobs[i];
	}
	return member->jobs != NULL;
}

void app_free_jobs(struct member *member)
{
	for (int i = 0; member->jobs && i < JOBS_A_MEMBER; i++)
		free(member->jobs[i].handling.copy);
	free(member->jobs);
}

static struct job *take_free(struct pool *pool, struct member *member)
{
	struct job *job;

	if (!member->jobs && !make_jobs(member))
		return NULL;
	pthread_mutex_lock(&pool->lock);
	job = member->free_jobs;
	member->free_jobs = job->next;
	pthread_mutex_unlock(&pool->lock);
	job->next = NULL;
	return job;
}

static void no_memory_for(struct epochd_app *app, struct member *member, struct job *job,
			  const struct ep_received *received, uint32_t type)
{
	app_count(app, &app->counts.unhandled);
	app_count(app, &app->meter[type].unhandled);
	if (!job) {
		if (received->is_buffer)
			ep_release(&member->consumer, &received->content.buffer);
		return;
	}
	pthread_mutex_lock(&app->pool->lock);
	job->next = member->free_jobs;
	member->free_jobs = job;
	pthread_mutex_unlock(&app->pool->lock);
}

void pool_add(struct epochd_app *app, struct member *member, const struct ep_received *received, uint32_t type,
	      bool timed)
{
	struct pool *pool = app->pool;
	struct job *job = take_free(pool, member);

	if (job) {
		app_begin_handling(&job->handling, member);
		job->handling.received = *received;
	}
	if (!job || app_fill(app, &job->handling, type) < 0) {
		no_memory_for(app, member, job, received, type);
		return;
	}
	job->timed = timed;
	job->in_order = !(app->handlers[type].flags & HANDLER_UNORDERED);
	pthread_mutex_lock(&pool->lock);
	if (job->in_order) {
		/* Relaxed: this thread is the only one that asks whether it is 0. */
		atomic_fetch_add_explicit(&member->in_order, 1, memory_order_relaxed);
		*member->jobs_end = job;
		member->jobs_end = &job->next;
		if (!member->scheduled)
			go_on_with(app, member);   /* to a worker: one that is not concurrent had been handled at once */
	} else {
		member->unordered++;
		add_ready(pool, job);
	}
	pthread_mutex_unlock(&pool->lock);
}

/* ---- the dispatching thread: what workers leave to it ---- */

bool pool_has_news(const struct epochd_app *app)
{
	/* Relaxed: whoever has news after this look has written to `wake`. */
	return app->pool && atomic_load_explicit(&app->pool->news, memory_order_relaxed);
}

/* What is to be done for a member. */
struct errand {
	struct member *member;
	struct job *job;    /* to be handled here; NULL */
	bool unblocked;     /* it can be received from again */
	bool condemned;
	uint64_t wished;
};

static bool take_wanted(struct pool *pool, struct errand *out)
{
	struct member *member;

	pthread_mutex_lock(&pool->lock);
	member = pool->wanted;
	*out = (struct errand){ .member = member };
	if (member) {
		pool->wanted = member->next_wanted;
		member->wanted = false;
		out->condemned = member->condemned;
		out->wished = member->wished;
		member->wished = 0;
		out->unblocked = member->blocked && member->free_jobs;
		if (out->unblocked)
			member->blocked = false;
		if (member->ours)
			out->job = take_first(member);
		member->ours = false;
	}
	pthread_mutex_unlock(&pool->lock);
	return member != NULL;
}

static void handle_here(struct epochd_app *app, struct job *job)
{
	app_handle(app, &job->handling, job->timed);
	pthread_mutex_lock(&app->pool->lock);
	is_over(app, job);
	pthread_mutex_unlock(&app->pool->lock);
}

int pool_turn(struct epochd_app *app)
{
	struct pool *pool = app->pool;
	struct errand errand;
	int n = 0;

	/* Acquire, with the release in tell(). */
	if (!pool || !atomic_load_explicit(&pool->news, memory_order_relaxed) ||
	    !atomic_exchange_explicit(&pool->news, false, memory_order_acquire))
		return 0;
	for (; take_wanted(pool, &errand); n++) {
		struct member *member = errand.member;

		if (errand.job)
			handle_here(app, errand.job);
		if (errand.wished) {
			pthread_mutex_lock(&member->lock);
			app_say_wish(app, member, errand.wished);
			pthread_mutex_unlock(&member->lock);
		}
		if (errand.condemned && !member->leaving_why)
			app_break(app, member, EPOCHD_GONE_BROKEN, "its counters make no sense");
		if (member->leaving_why)
			app_go_on_leaving(app, member);
		else if (errand.unblocked && !member->broken)
			app_activate(app, member);
	}
	return n;
}

void pool_leave(struct epochd_app *app, struct member *member, int why)
{
	if (!app->pool) {
		member->leaving_why = why;
		return;
	}
	pthread_mutex_lock(&app->pool->lock);
	member->leaving_why = why;
	pthread_mutex_unlock(&app->pool->lock);
}

bool pool_is_done_with(struct epochd_app *app, struct member *member)
{
	bool done;

	if (!app->pool)
		return true;
	pthread_mutex_lock(&app->pool->lock);
	done = !member->scheduled && !member->unordered && !member->blocked;
	pthread_mutex_unlock(&app->pool->lock);
	return done;
}

void pool_forget(struct epochd_app *app, struct member *member)
{
	struct member **at;

	if (!app->pool)
		return;
	pthread_mutex_lock(&app->pool->lock);
	for (at = &app->pool->wanted; member->wanted && *at; at = &(*at)->next_wanted)
		if (*at == member) {
			*at = member->next_wanted;
			break;
		}
	pthread_mutex_unlock(&app->pool->lock);
}

/* ---- where several threads send ---- */

void pool_hold_table(struct epochd_app *app)
{
	if (app->pool)
		pthread_rwlock_rdlock(&app->pool->table);
}

void pool_let_table_go(struct epochd_app *app)
{
	if (app->pool)
		pthread_rwlock_unlock(&app->pool->table);
}

void pool_lock_table(struct epochd_app *app)
{
	if (app->pool)
		pthread_rwlock_wrlock(&app->pool->table);
}

void pool_unlock_table(struct epochd_app *app)
{
	if (app->pool)
		pthread_rwlock_unlock(&app->pool->table);
}

void pool_condemn(struct epochd_app *app, struct member *member)
{
	pthread_mutex_lock(&app->pool->lock);
	member->condemned = true;
	want(app->pool, member);
	pthread_mutex_unlock(&app->pool->lock);
	tell(app);
}

void pool_wish(struct epochd_app *app, struct member *member, uint64_t size)
{
	pthread_mutex_lock(&app->pool->lock);
	member->wished = size;
	want(app->pool, member);
	pthread_mutex_unlock(&app->pool->lock);
	tell(app);
}

/* ---- its begin and its end ---- */

static int make(struct pool **out, unsigned count)
{
	struct pool *pool = calloc(1, sizeof *pool + count * sizeof pool->worker[0]);
	pthread_rwlockattr_t attributes;

	if (!pool)
		return -ENOMEM;
	pool->ready_end = &pool->ready;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->some, NULL);
	pthread_rwlockattr_init(&attributes);
	/* Who joins or goes is not to wait for as long as workers send. Nobody holds it twice. */
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&pool->table, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	*out = pool;
	return 0;
}

/* The host's signals are for its own threads. */
static int start(struct epochd_app *app, unsigned count)
{
	sigset_t all, before;
	int r = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (r == 0 && app->pool->count < count) {
		r = -pthread_create(&app->pool->worker[app->pool->count], NULL, work, app);
		if (r == 0)
			app->pool->count++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

int epochd_workers(struct epochd_app *app, unsigned count)
{
	int r;

	if (ep_is_inherited(&app->family))
		return -ECHILD;
	if (app->pool)
		return -EBUSY;
	if (count == 0 || count > WORKERS_MAX)
		return -EINVAL;
	r = make(&app->pool, count);
	if (r == 0)
		r = start(app, count);
	if (r < 0)
		pool_free(app);
	return r;
}

void pool_free(struct epochd_app *app)
{
	struct pool *pool = app->pool;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->some);
	pthread_mutex_unlock(&pool->lock);
	for (uint32_t i = 0; i < pool->count; i++)
		pthread_join(pool->worker[i], NULL);
	pthread_rwlock_destroy(&pool->table);
	pthread_cond_destroy(&pool->some);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
	app->pool = NULL;
}
