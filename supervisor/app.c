#include <config.h>

#include "supervisor/app_private.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apilib/registry.h"
#include "apilib/tracepoint.h"
#include "store/store.h"
#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/control.h"
#include "supervisor/epochd.h"
#include "supervisor/events.h"
#include "supervisor/fault.h"
#include "supervisor/health.h"
#include "supervisor/history.h"
#include "supervisor/ledger.h"
#include "supervisor/log.h"
#include "supervisor/notify.h"
#include "supervisor/output.h"
#include "supervisor/pids.h"
#include "supervisor/report.h"
#include "supervisor/service.h"
#include "supervisor/sessions.h"
#include "supervisor/spawn.h"

/* The store keeps the registry's totals, in the same order. */
static_assert((int)EP_TOTALS == (int)STORE_TOTALS_COUNT, "one column for each total");
static_assert((int)STORE_TOTAL_restarts_unseen == (int)EP_TOTAL_RESTARTS + EP_UNSEEN - 1, "order");
static_assert((int)STORE_TOTAL_shm_cleaned_bytes == (int)EP_TOTAL_SHM_CLEANED_BYTES, "order");
static_assert((int)STORE_TOTAL_clients_registered == (int)EP_TOTAL_CLIENTS_REGISTERED, "order");

#define TO(state) (1u << (state))

static const struct {
	const char *name;
	enum ep_state fence;
	unsigned next;   /* the only states this one may become */
} states[APP_STATES] = {
	[APP_STOPPED] = { "stopped", EP_DOWN, TO(APP_STARTING) | TO(APP_UP) | TO(APP_STOPPING) |
			  TO(APP_SWEEPING) | TO(APP_BACKOFF) | TO(APP_FATAL) | TO(APP_HELD) },
	[APP_STARTING] = { "starting", EP_STARTING, TO(APP_UP) | TO(APP_STOPPING) | TO(APP_SWEEPING) |
			   TO(APP_BACKOFF) | TO(APP_STOPPED) | TO(APP_FATAL) | TO(APP_HELD) },
	[APP_UP] = { "up", EP_UP, TO(APP_STOPPING) | TO(APP_SWEEPING) | TO(APP_STARTING) |
		     TO(APP_BACKOFF) | TO(APP_STOPPED) | TO(APP_FATAL) | TO(APP_HELD) },
	[APP_STOPPING] = { "stopping", EP_STOPPING, TO(APP_SWEEPING) | TO(APP_STARTING) |
			   TO(APP_BACKOFF) | TO(APP_STOPPED) | TO(APP_FATAL) | TO(APP_HELD) },
	/* Its process is gone, what it left behind is not yet (I7). */
	[APP_SWEEPING] = { "stopping", EP_DOWN, TO(APP_STARTING) | TO(APP_BACKOFF) | TO(APP_STOPPED) |
			   TO(APP_FATAL) | TO(APP_HELD) },
	[APP_BACKOFF] = { "backoff", EP_DOWN, TO(APP_STARTING) | TO(APP_STOPPED) | TO(APP_HELD) |
			  TO(APP_FATAL) },
	[APP_FATAL] = { "fatal", EP_FATAL, TO(APP_STARTING) | TO(APP_STOPPED) | TO(APP_HELD) },
	[APP_HELD] = { "held", EP_DOWN, TO(APP_STARTING) | TO(APP_STOPPED) | TO(APP_FATAL) },
};

const char *app_state_name(enum app_state state)
{
	return states[state].name;
}

const char *app_name(const struct app *app)
{
	return app->config->name;
}

enum app_state app_state(const struct app *app)
{
	return app->state;
}

const struct app_config *app_config(const struct app *app)
{
	return app->config;
}

uint32_t app_epoch(const struct app *app)
{
	return app->epoch;
}

bool app_runs(const struct app *app)
{
	return app->active;
}

bool app_is_settled(const struct app *app)
{
	return app->state != APP_STARTING && app->state != APP_STOPPING &&
	       app->state != APP_SWEEPING && !app->again && !app->waiting && !app->awaits_epochs;
}

/* ---- life ---- */

static void on_exited(EV_P_ ev_io *w, int revents)
{
	(void)revents;
	(void)loop;
	app_exited(container_of(w, struct app, exited));
}

/* By the monotonic clock: libev's own time is the wall's, and that jumps. */
bool app_loop_was_away(const struct app *app)
{
	return clock_now() - app->deadline_at > NS_PER_S;
}

/* A deadline says that something did not happen in time. If the loop itself was away for more than a
 * second (SIGSTOP, a suspended machine), nobody had that time: it moves by as much. */
static bool deadline_is_real(struct app *app)
{
	if (!app_loop_was_away(app) || app->state == APP_BACKOFF || app->state == APP_SWEEPING)
		return true;
	app_move_deadline(app, clock_now() + clock_now() - app->deadline_at);
	return false;
}

static void on_deadline(EV_P_ ev_timer *w, int revents)
{
	struct app *app = container_of(w, struct app, deadline);

	(void)revents;
	(void)loop;
	if (app->notify)   /* what its sockets say comes before what the clock says */
		notify_drain(app->notify);
	if (!ev_is_active(w) && deadline_is_real(app))
		app_on_deadline(app);
}

void app_move_deadline(struct app *app, int64_t at)
{
	int64_t ns = at - clock_now();

	ev_timer_stop(app->epochd->loop, &app->deadline);
	app->deadline_at = at;
	ev_timer_set(&app->deadline, ns > 0 ? clock_seconds(ns) : 0., 0.);
	ev_timer_start(app->epochd->loop, &app->deadline);
}

void app_set_deadline(struct app *app, int64_t ns)
{
	app->deadline_since = clock_now();
	app_move_deadline(app, app->deadline_since + ns);
}

void app_clear_deadline(struct app *app)
{
	ev_timer_stop(app->epochd->loop, &app->deadline);
	app->deadline_at = 0;
}

double app_deadline_seconds(const struct app *app)
{
	return clock_seconds(app->deadline_at - app->deadline_since);
}

int app_new(struct app **out, struct epochd *epochd, const struct app_config *config)
{
	struct app *app = calloc(1, sizeof *app);
	int r;

	if (!app)
		return -ENOMEM;
	app->epochd = epochd;
	app->config = config;
	app->pidfd = -1;
	app->cgroup = -1;
	ev_io_init(&app->exited, on_exited, -1, EV_READ);
	ev_timer_init(&app->deadline, on_deadline, 0., 0.);
	app_watchdog_start(app);   /* only initialises: it is not up */
	r = store_app_get(&app->stored, epochd->store, config->name);
	if (r < 0) {
		free(app);
		return r;
	}
	store_app_set_owner(app->stored, app);
	store_app_keep_for(app->stored, config->intensity.within);
	*out = app;
	return 0;
}

void app_free(struct app *app)
{
	if (!app)
		return;
	if (app->service)
		sessions_forget(app->epochd->sessions, app);
	store_app_set_owner(app->stored, NULL);
	ev_io_stop(app->epochd->loop, &app->exited);
	ev_timer_stop(app->epochd->loop, &app->deadline);
	ev_timer_stop(app->epochd->loop, &app->watched);
	if (app->spawn)
		spawn_forget(app->spawn);
	if (app->pidfd >= 0)
		close(app->pidfd);
	if (app->cgroup >= 0)
		close(app->cgroup);
	health_free(app->health);
	notify_close(app->notify);
	history_free(app->history);
	ep_registry_unmap(app->registry);
	free(app->status_text);
	free(app->reason);
	free(app);
}

/* ---- state ---- */

uint64_t app_post(struct app *app, const char *event, const char *reason)
{
	return events_post(app->epochd->events, app->config->name, app->epoch, event, reason);
}

void app_fence(struct app *app, enum ep_state state, struct ep_end end)
{
	/* I3. Release, with the acquire in every handle check: who sees epoch N serving sees all that was
	 * written when N came up; and a word that does not serve fails every handle from here on. */
	atomic_store_explicit(&app->registry->fence, ep_fence_pack(app->epoch, state, end),
			      memory_order_release);
	EP_TRACEPOINT3(fence, app->config->name, app->epoch, state);
	if (app->service && state != EP_UP && state != EP_STOPPING)
		sessions_fence_moved(app->epochd->sessions, app);
}

/* The fence of a state, as far as it is not already what an end made it. */
static void fence_for(struct app *app, enum app_state state)
{
	struct ep_end none = { 0 };

	switch (state) {
	case APP_STARTING:   /* app_start.c has fenced, between the spawn word and the totals */
	case APP_SWEEPING:
		return;
	case APP_UP:
		app_fence(app, EP_UP, none);
		return;
	case APP_STOPPING:
		/* What was asked, or is its own will, lets calls in flight finish; what is hung or bad
		 * serves no more. */
		if (app->ending == EP_NO_CAUSE || app->ending == EP_ASKED ||
		    app->ending == EP_RECONFIGURED || app->ending == EP_GROUP)
			app_fence(app, EP_STOPPING, (struct ep_end){ .cause = app->ending });
		else
			app_fence(app, EP_DOWN, (struct ep_end){ .cause = app->ending });
		return;
	default:
		app_fence(app, states[state].fence, app->end);
	}
}

void app_move(struct app *app, enum app_state state, const char *reason, ...)
{
	/* Starting may follow starting, in the next epoch. */
	bool told = state == APP_STARTING ||
		    strcmp(states[state].name, states[app->state].name) != 0;
	va_list values;

	assert(state == app->state || states[app->state].next & TO(state));
	fence_for(app, state);
	free(app->reason);
	app->reason = NULL;
	if (reason) {
		va_start(values, reason);
		if (vasprintf(&app->reason, reason, values) < 0)
			app->reason = NULL;
		va_end(values);
	}
	app->state = state;
	app->epochd->changed = true;
	if (state != APP_BACKOFF)
		app->retry_at = 0;
	if (told) {
		log_notice(0, "app %s epoch %u: %s%s%s", app->config->name, app->epoch,
			   states[state].name, app->reason ? ": " : "", app->reason ? app->reason : "");
		app_post(app, states[state].name, app->reason);
	}
	if (app->service)
		sessions_app_changed(app->epochd->sessions, app);
	if (app->epochd->control)
		control_app_changed(app->epochd->control, app);
}

void app_save(struct app *app)
{
	struct store_state state = {
		.used = app->epoch,
		.reserved = app->reserved,
		.wanted = app->wanted || app->removed,   /* nobody asked it to stay stopped */
		.fatal = app->fatal,
		.forgiven_at = app->forgiven_at,
		.since = app->since,
	};

	app->ledger->forgiven_at = app->forgiven_at;
	app->ledger->wish = LEDGER_WISH | (state.wanted ? LEDGER_WISH_STARTED : 0) |
			    (state.fatal ? LEDGER_WISH_FATAL : 0);
	/* I1: refilled when half is used, so that no restart ever waits for the disk. */
	if (app->reserved < app->epoch + RESERVED_AHEAD / 2 + 1)
		state.reserved = app->epoch + RESERVED_AHEAD;
	if (state.reserved > EP_EPOCH_MAX)
		state.reserved = EP_EPOCH_MAX;
	for (int i = 0; i < EP_TOTALS; i++)
		/* Relaxed: this thread is the only writer (I4). */
		state.totals[i] = atomic_load_explicit(&app->registry->total[i],
						       memory_order_relaxed);
	store_app_put(app->stored, &state);
}

void app_committed(struct app *app)
{
	struct store_state state;

	FAULT(committed);
	store_app_state(app->stored, &state);
	if (state.reserved > app->reserved) {
		app->reserved = state.reserved;
		/* Relaxed: mirrors, for people and for a supervisor after us. */
		atomic_store_explicit(&app->ledger->reserved, state.reserved, memory_order_relaxed);
		if (atomic_load_explicit(&app->registry->highest, memory_order_relaxed) <
		    state.reserved)
			atomic_store_explicit(&app->registry->highest, state.reserved,
					      memory_order_relaxed);
		FAULT(reserved);
	}
	ledger_incarnations_drop(app->ledger, store_app_durable_through(app->stored));
	if (app->awaits_epochs && app->epoch + 1 <= app->reserved) {
		app->awaits_epochs = false;
		app_try_start(app);
	}
}

void app_store_failing(struct app *app)
{
	if (app->awaits_epochs && (app->state == APP_STOPPED || app->state == APP_HELD))
		app_say_held(app);
}

struct incarnation_id app_incarnation(const struct app *app)
{
	struct incarnation_id id = { .app = app->config->name, .main = app->identity.pid,
				     .token = app->ledger->token[0] ? app->ledger->token : NULL,
				     .cgroup = app->cgroup };

	ledger_identity_first(app->ledger, app->epoch, &id.first);
	return id;
}

static bool is_main(pid_t pid, void *user)
{
	const struct epochd *epochd = user;

	return pids_know(epochd->pids, pid);
}

struct leftovers app_leftovers(const struct app *app)
{
	return (struct leftovers){ .kernel = app->epochd->kernel, .cgroups = app->epochd->cgroups,
				   .is_main = is_main, .user = app->epochd,
				   .sole = app->epochd->run_mode || !app->epochd->had_several };
}

/* ---- what people ask ---- */

static int refuse(int r, const char **why, const char *text)
{
	*why = text;
	return r;
}

static int ask_start(struct app *app, const char **why)
{
	if (app->state == APP_FATAL)
		return refuse(-EINVAL, why, "it is fatal: reset it first, that starts it again");
	if (app->wanted && (app->state == APP_STARTING || app->state == APP_UP))
		return refuse(-EALREADY, why, "it is started already");
	return 0;
}

static void do_start(struct app *app)
{
	if (app_runs(app)) {   /* as soon as the old one is gone (I7) */
		app->again = true;
		app->uncounted = app->uncounted || !app->wanted;
	}
	app->wanted = true;
	if (!app_runs(app))
		app_clear_deadline(app);
	app_save(app);
	app_try_start(app);
}

static int ask_stop(struct app *app, const char **why)
{
	if (!app->wanted && app->state == APP_STOPPED)
		return refuse(-EALREADY, why, "it is stopped already");
	return 0;
}

static void do_stop(struct app *app)
{
	app->wanted = false;
	app->again = false;
	app->ledger->again = 0;
	app->waiting = false;
	app->awaits_epochs = false;
	if (app->state == APP_STARTING || app->state == APP_UP) {
		app_end(app, EP_ASKED);
	} else if (!app_runs(app)) {
		app_clear_deadline(app);
		app->fatal = false;
		app->restart_cause = EP_NO_CAUSE;
		app_move(app, APP_STOPPED, "asked to");
		group_is_down(app);
	}
	app_save(app);
}

static void do_restart(struct app *app)
{
	if (!app_runs(app)) {
		do_start(app);
		return;
	}
	app->wanted = true;
	app->again = true;
	app->uncounted = false;
	app->ledger->again = 1;
	if (app->state == APP_STARTING || app->state == APP_UP)
		app_end(app, EP_ASKED);
	app_save(app);
}

static int ask_reset(struct app *app, const char **why)
{
	if (app->state != APP_FATAL && app->state != APP_BACKOFF)
		return refuse(-EALREADY, why, "it is neither fatal nor in backoff");
	return 0;
}

static void do_reset(struct app *app)
{
	app->fatal = false;
	app->failures = 0;
	app->forgiven_at = clock_real();
	history_forgive(app->history);
	do_start(app);
}

static int do_signal(struct app *app, int signal, const char **why)
{
	int r = app->pidfd >= 0 ? pidfd_signal(app->pidfd, signal) : -ESRCH;

	return r < 0 ? refuse(-ESRCH, why, "its process has just ended") : 0;
}

static int ask_signal(struct app *app, const char **why)
{
	if (app->state != APP_STARTING && app->state != APP_UP && app->state != APP_STOPPING)
		return refuse(-EINVAL, why, "it has no process: start it first");
	return 0;
}

int app_ask(struct app *app, enum app_verb verb, int signal, uint64_t *event, const char **why)
{
	static const char *const names[] = {
		[VERB_START] = "start", [VERB_STOP] = "stop", [VERB_RESTART] = "restart",
		[VERB_SIGNAL] = "signal", [VERB_RESET] = "reset",
	};
	int r = 0;

	if (app->epochd->shutting_down)
		return refuse(-EPERM, why, "the supervisor is shutting down");
	if (app->removed)
		return refuse(-EPERM, why, "it is not configured any more and goes");
	if (verb == VERB_START)
		r = ask_start(app, why);
	else if (verb == VERB_STOP)
		r = ask_stop(app, why);
	else if (verb == VERB_RESTART && app->state == APP_FATAL)
		r = refuse(-EINVAL, why, "it is fatal: reset it first, that starts it again");
	else if (verb == VERB_RESET)
		r = ask_reset(app, why);
	else if (verb == VERB_SIGNAL)
		r = ask_signal(app, why);
	if (r == 0 && verb == VERB_SIGNAL)
		r = do_signal(app, signal, why);
	if (r < 0)
		return r;
	*event = app_post(app, "asked", verb == VERB_SIGNAL ? config_signal_name(signal) : names[verb]);
	if (verb == VERB_START)
		do_start(app);
	else if (verb == VERB_STOP)
		do_stop(app);
	else if (verb == VERB_RESTART)
		do_restart(app);
	else if (verb == VERB_RESET)
		do_reset(app);
	return 0;
}

/* ---- what is shown ---- */

static void report_last_exit(const struct app *app, struct store_incarnation *out)
{
	*out = (struct store_incarnation){
		.epoch = app->end_epoch,
		.ended_at = app->ended_at,
		.cause = ep_cause_name(app->end.cause),
		.code = app->end.kind == EP_END_CODE ? (int)app->end.value : -1,
		.signal = app->end.kind == EP_END_SIGNAL ? (int)app->end.value : 0,
		.oom = app->end.oom == EP_OOM_UNKNOWN ? -1 : app->end.oom == EP_OOM_YES,
	};
}

void app_report(const struct app *app, struct report_app *out)
{
	int64_t now = clock_now();

	*out = (struct report_app){
		.name = app->config->name,
		.state = states[app->state].name,
		.reason = app->reason,
		.status_text = app->status_text,
		.epoch = app->epoch,
		.pid = app->pidfd >= 0 ? (int)app->identity.pid : 0,
		.up_seconds = app->state == APP_UP ? clock_seconds(now - app->up_since) : -1,
		.retry_at = app->retry_at,
		.since = app->since,
		.last_hour = history_last_hour(app->history, now),
		.last_day = history_last_day(app->history, now),
		.has_ended = app->end_epoch != 0,
		.clients_lazy = app->service ? app->service->reaper.lazy : 0,
		.clients_connected = app->service ? clients_connected(app->service->clients) : 0,
	};
	for (int i = 0; i < EP_TOTALS; i++)
		/* Relaxed: this thread is the only writer (I4). */
		out->totals[i] = atomic_load_explicit(&app->registry->total[i],
						      memory_order_relaxed);
	if (out->has_ended)
		report_last_exit(app, &out->last_exit);
}
