/* An application's turns: each client in its turn, with a budget, so that one who floods starves nobody. */
#include <config.h>

#include "apilib/application_private.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apilib/application_pool.h"
#include "apilib/doorbell.h"
#include "apilib/inside.h"
#include "apilib/now.h"

enum {
	BUDGET = 32,            /* messages of one client in a turn */
	LINGER = 1024,          /* looks that found nothing, before a client is armed; by all together */
	LOOK_OUTSIDE_EVERY = 64,   /* turns in which there was something to do */
	SPINS_BUSY = 32,        /* of EP_SPINS_A_LOOK, between two looks outside: some 50 us */
	BELL_READS = 64,        /* more than a pipe of the usual size holds; whoever fills it holds nobody up */
};

void app_activate(struct epochd_app *app, struct member *member)
{
	if (member->active)
		return;
	member->active = true;
	member->idle = 0;
	member->next = &app->active;
	member->before = app->active.before;
	app->active.before->next = member;
	app->active.before = member;
	app->active_count++;
}

void app_deactivate(struct epochd_app *app, struct member *member)
{
	if (!member->active)
		return;
	member->active = false;
	app->active_count--;
	member->next->before = member->before;
	member->before->next = member->next;
}

/* ---- one message ---- */

static void drop(struct member *member, const struct ep_received *received)
{
	if (received->is_buffer)
		ep_release(&member->consumer, &received->content.buffer);
}

static void leave_unhandled(struct epochd_app *app, struct member *member, const struct handling *handling,
			    uint32_t type)
{
	app_count(app, &app->counts.unhandled);
	app_count(app, &app->meter[type].unhandled);
	drop(member, &handling->received);
}

/* Its copy lies in what all share here, which is as large as any class; for a large one it grows. */
static void handle_buffer(struct epochd_app *app, struct handling *handling, uint32_t type, bool timed)
{
	bool shared = app->depth == 1;

	handling->copy = shared ? app->scratch : NULL;
	handling->copy_size = shared ? app->scratch_size : 0;
	if (app_fill(app, handling, type) == 0) {
		app_handle(app, handling, timed);
	} else {
		app_count(app, &app->counts.unhandled);
		app_count(app, &app->meter[type].unhandled);
	}
	if (shared) {
		app->scratch = handling->copy;   /* another one, if it was kept */
		app->scratch_size = handling->copy_size;
	} else {
		free(handling->copy);
	}
}

static void handle(struct epochd_app *app, struct member *member, struct handling *handling, uint32_t type)
{
	const struct ep_received *received = &handling->received;
	uint64_t before = ep_meter_count(&app->meter[type].received, 1);
	bool timed = received->content.flags || before < EP_TIMED_FIRST || before % EP_TIMED_EVERY == 0;

	if (!app->handlers[type].fn) {
		leave_unhandled(app, member, handling, type);
	} else if (app->pool && pool_takes(app, member, type)) {
		pool_add(app, member, received, type, timed);
	} else if (received->is_buffer) {
		handle_buffer(app, handling, type, timed);
	} else {
		app_fill(app, handling, type);
		app_handle(app, handling, timed);
	}
}

/* A buffer is released as soon as that may be. */
static void handle_any(struct epochd_app *app, struct member *member, struct handling *handling)
{
	const struct ep_content *content = &handling->received.content;
	uint32_t type = content->id - 1u;

	if (type < app->types.count && ep_types_fit(&app->types, type, content->size)) {
		if (app_is_traced(app))
			app_trace_received(app, member, &handling->received);
		handle(app, member, handling, type);
		return;
	}
	if (type >= app->types.count) {
		app_count(app, &app->counts.unknown);
		app_count(app, &app->counts.unhandled);
	} else {
		ep_meter_count(&app->meter[type].misfit, 1);
		member->consumer.closed = -EPROTO;
		member->consumer.why = "a message is not as large as its type";
	}
	drop(member, &handling->received);
}

/* The supervisor told us of it before it told the client: it is in the session, or the client lies. 0: it is read soon. */
static int await_slot(struct epochd_app *app, struct member *member)
{
	if (member->awaits_slot)
		return ep_refuse_next(&member->consumer);
	member->awaits_slot = app->session_wanted = true;
	return 0;
}

/* Messages handled, up to `most`. The member is there afterwards. */
static int serve(struct epochd_app *app, struct member *member, int most)
{
	struct handling handling;
	int n = 0, r = 0;

	app_begin_handling(&handling, member);
	app->depth++;
	while (n < most) {
		if (app->pool && !pool_has_room(app, member)) {
			app_deactivate(app, member);   /* until it has */
			break;
		}
		r = ep_receive(&member->consumer, &handling.received);
		if (r == -ENXIO)
			r = await_slot(app, member);
		if (r <= 0)
			break;
		n++;
		member->awaits_slot = false;
		handle_any(app, member, &handling);
	}
	app->depth--;
	if (r == -EPROTO)
		app_break(app, member, EPOCHD_GONE_BROKEN, member->consumer.why);
	return n;
}

int app_serve_inside(struct epochd_app *app, uint64_t handle)
{
	struct member *member = app_member(app, handle);
	bool before = app->serving;
	int n;

	if (!member || app_is_fenced(app))
		return -ESTALE;
	app->serving = true;
	n = serve(app, member, BUDGET);
	app->serving = before;
	return n;
}

int app_hear_session(struct epochd_app *app)
{
	int r;

	app->serving = true;
	r = app_read_session(app);
	app_flush(app);
	app->serving = false;
	return r < 0 ? r : 0;
}

int app_drain(struct epochd_app *app, struct member *member)
{
	return serve(app, member, (int)member->channel.geometry.ring);
}

/* ---- who has something ---- */

static void look_at_all(struct epochd_app *app)
{
	for (uint32_t i = 0; i < app->room; i++)
		if (app->members[i] && !app->members[i]->broken)
			app_activate(app, app->members[i]);
}

static void read_bell(struct epochd_app *app)
{
	uint32_t index[EP_BELL_BATCH];
	size_t found, sum = 0;
	bool more = true, odd = false;

	for (int reads = 0; more && reads < BELL_READS; reads++) {
		more = ep_bell_drain_indices(app->bell, index, &found, &odd);
		sum += found;
		for (size_t i = 0; i < found; i++)
			if (index[i] < app->room && app->members[index[i]] &&
			    !app->members[index[i]]->broken)
				app_activate(app, app->members[index[i]]);
	}
	/* Also where it was not emptied: who finds it full meanwhile is looked at now, or when the rest is read. */
	if (odd || more || sum >= EP_BELL_FULL_PERHAPS)
		look_at_all(app);
}

/* Nothing was there: armed after a while, or looked at again. */
static void rest(struct epochd_app *app, struct member *member)
{
	if (++member->idle < LINGER / app->active_count && app->wait.mode != EPOCHD_SLEEP)
		return;
	if (ep_arm(&member->consumer))
		app_deactivate(app, member);
	else
		member->idle = 0;
}

/* Each that is active, once. Those who become so meanwhile wait for the next turn. */
static int serve_all(struct epochd_app *app)
{
	struct member *last = app->active.before, *member = app->active.next, *next;
	int sum = 0;

	while (member != &app->active) {
		bool is_last = member == last;
		int n = serve(app, member, BUDGET);

		next = member->next;
		if (n)
			member->idle = 0;
		else if (member->active)
			rest(app, member);
		sum += n;
		if (is_last)
			break;
		member = next;
	}
	return sum;
}

/* ---- posts ---- */

static struct posts *take_posts(struct epochd_app *app)
{
	struct posts *taken;

	pthread_mutex_lock(&app->posts_lock);
	taken = &app->posts[app->posts_filling];
	app->posts_filling = !app->posts_filling;
	pthread_mutex_unlock(&app->posts_lock);
	return taken;
}

/* All that are there: what they post themselves waits for the next turn. */
static int run_posts(struct epochd_app *app)
{
	struct posts *posts;
	uint64_t count;
	int n;

	/* Acquire, with the release in epochd_post(). */
	if (app->posts_running || !atomic_load_explicit(&app->posted, memory_order_relaxed) ||
	    !atomic_exchange_explicit(&app->posted, false, memory_order_acquire))
		return 0;
	if (read(app->wake, &count, sizeof count) < 0 && errno != EAGAIN)
		return 0;
	posts = take_posts(app);
	app->posts_running = true;
	for (uint32_t i = 0; i < posts->count; i++)
		posts->post[i].fn(posts->post[i].user);
	app->posts_running = false;
	n = (int)posts->count;
	posts->count = 0;
	return n;
}

/* ---- turns ---- */

static int serve_in_turn(struct epochd_app *app)
{
	int n = serve_all(app), r;

	if (app->session_wanted) {
		app->session_wanted = false;
		r = app_read_session(app);
		app_flush(app);
		if (r < 0)
			return r;
		n += 1 + r;   /* there is something to do */
	}
	return n + pool_turn(app);
}

static int turn(struct epochd_app *app)
{
	int n;

	app->serving = true;
	n = serve_in_turn(app);
	app->serving = false;
	if (n < 0)
		return n;
	n += run_posts(app);
	return n + (app->inside ? inside_tell(app) : 0);
}

static void clear_wake(const struct epochd_app *app)
{
	uint64_t count;

	while (read(app->wake, &count, sizeof count) < 0 && errno == EINTR)
		;
}

/* What only the descriptors tell; waits for them if it may. Messages handled in passing, or an error. */
static int look_outside(struct epochd_app *app, const struct timespec *timeout)
{
	struct pollfd outside[3] = {
		{ .fd = app->bell, .events = POLLIN },
		{ .fd = app->wake, .events = POLLIN },
		{ .fd = app->session < 0 ? app->retry.fd : app->session,
		  .events = (short)(POLLIN | (app->session_full ? POLLOUT : 0)) },
	};
	int r = 0;

	app_tell_refusals(app);
	if (ppoll(outside, ARRAY_SIZE(outside), timeout, NULL) <= 0)
		return 0;
	if (outside[0].revents)
		read_bell(app);
	/* Before the posts are looked for: who posts after that wakes us again. */
	if (outside[1].revents)
		clear_wake(app);
	if (outside[2].revents) {
		app->serving = true;
		r = app_read_session(app);
		app_flush(app);
		app->serving = false;
		inside_look(app);
	}
	return r;
}

/* True: there is nothing, and each client is armed. */
static bool is_quiet(struct epochd_app *app)
{
	struct member *member = app->active.next, *next;

	for (; member != &app->active; member = next) {
		next = member->next;
		if (ep_arm(&member->consumer))
			app_deactivate(app, member);
	}
	/* Relaxed: who posts after this look has written to `wake`. */
	return !app->active_count && !atomic_load_explicit(&app->posted, memory_order_relaxed) && !pool_has_news(app);
}

int epochd_dispatch(struct epochd_app *app)
{
	const struct timespec at_once = { 0 };
	int n, r = app->serving ? -EDEADLK : app_check(app);

	if (r < 0)
		return r;
	n = turn(app);
	if (n < 0)
		return n;
	if (n && ++app->turns % LOOK_OUTSIDE_EVERY)
		return n;
	r = look_outside(app, &at_once);
	if (r < 0)
		return r;
	n += r;
	if (n || app->wait.mode == EPOCHD_BUSY || is_quiet(app))
		return n;
	return turn(app);
}

static bool is_stopped(const struct epochd_app *app)
{
	/* Relaxed: nothing else is told by it. */
	return atomic_load_explicit(&app->stopped, memory_order_relaxed);
}

static bool has_next(const struct epochd_app *app)
{
	const struct member *member = app->active.next;

	while (member != &app->active && !ep_has_next(&member->consumer))
		member = member->next;
	return member != &app->active;
}

/* Polls with nothing but loads, then a turn: what was handled. */
static int spin(struct epochd_app *app)
{
	for (int i = 0; i < EP_SPINS_A_LOOK && !has_next(app); i++)
		ep_relax();
	return turn(app);
}

/* Never sleeps, and asks no clock: that would be a third of the way of a message. */
static int poll_for_more(struct epochd_app *app)
{
	const struct timespec at_once = { 0 };

	for (int i = 0; i < SPINS_BUSY && !app_is_fenced(app) && !is_stopped(app); i++) {
		int n = spin(app);

		if (n)
			return n;
	}
	return look_outside(app, &at_once);
}

/* Nothing was there: polls, then sleeps. */
static int wait_for_more(struct epochd_app *app)
{
	int64_t began = ep_wait_learns(&app->wait) ? ep_now() : 0;
	int r = 0;

	while (r == 0 && ep_wait_spins(&app->wait) && ep_now() - began < EP_SPIN_NS && app_check(app) == 0 &&
	       !is_stopped(app))
		r = spin(app);
	if (r == 0 && is_quiet(app) && !is_stopped(app))
		r = look_outside(app, NULL);
	if (ep_wait_learns(&app->wait))
		ep_wait_took(&app->wait, ep_now() - began);
	return r;
}

int epochd_run(struct epochd_app *app)
{
	const struct timespec at_once = { 0 };
	int r = app->serving ? -EDEADLK : 0;

	while (r >= 0 && !is_stopped(app)) {
		r = app_check(app);
		if (r == 0)
			r = turn(app);
		if (r == 0)
			r = app->wait.mode == EPOCHD_BUSY ? poll_for_more(app) : wait_for_more(app);
		else if (r > 0 && ++app->turns % LOOK_OUTSIDE_EVERY == 0)
			r = look_outside(app, &at_once);
	}
	if (r < 0)
		return r;
	atomic_store_explicit(&app->stopped, false, memory_order_relaxed);
	return 0;
}
