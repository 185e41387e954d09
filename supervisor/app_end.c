/* From the end of an incarnation to the decision what comes next: the steps 1 to 3 of design.md's "From
 * crash to restart", and what was asked before them. */
#include <config.h>

#include "supervisor/app_private.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"
#include "supervisor/cgroups.h"
#include "supervisor/clients.h"
#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/fault.h"
#include "supervisor/health.h"
#include "supervisor/history.h"
#include "supervisor/ledger.h"
#include "supervisor/log.h"
#include "supervisor/notify.h"
#include "supervisor/pids.h"
#include "supervisor/policy.h"
#include "supervisor/run.h"
#include "supervisor/service.h"
#include "supervisor/spawn.h"

/* The exit status of one that is not our child (adopted, or by MAINPID=) comes when its parent reaps it. */
#define EXIT_UNKNOWN_AFTER NS_PER_S

/* Before the system is asked for a process once more that it had no room for. */
#define NO_ROOM_DELAY (NS_PER_S / 10)

static const char *signal_text(unsigned signal, char buffer[static 16])
{
	const char *name = config_signal_name((int)signal);

	if (name)
		return name;
	snprintf(buffer, 16, "signal %u", signal);
	return buffer;
}

void app_describe_end(const struct ep_end *end, char *text, size_t size)
{
	static const char *const why[EP_CAUSES] = {
		[EP_WATCHDOG] = "watchdog missed: ",
		[EP_HEALTH] = "unhealthy: ",
		[EP_START_FAILED] = "start failed: ",
		[EP_START_TIMEOUT] = "start timed out: ",
		[EP_ASKED] = "asked to: ",
		[EP_RECONFIGURED] = "reconfigured: ",
		[EP_GROUP] = "with its group: ",
		[EP_BOOT] = "the machine went down: ",
		[EP_UNSEEN] = "unseen: ",
	};
	const char *first = why[end->cause] ? why[end->cause] : "";
	char buffer[16];

	if (end->kind == EP_END_CODE)
		snprintf(text, size, "%sexited with code %u", first, end->value);
	else if (end->kind == EP_END_SIGNAL)
		snprintf(text, size, "%skilled by %s%s%s", first, signal_text(end->value, buffer),
			 end->core ? " (core dumped)" : "",
			 end->oom == EP_OOM_YES ? " (out of memory)" : "");
	else
		snprintf(text, size, "%show is not known", first);
}

/* ---- asked to end ---- */

void app_kill(struct app *app)
{
	struct incarnation_id id = app_incarnation(app);
	struct leftovers leftovers = app_leftovers(app);
	pid_t example;

	app->killed = true;
	if (app->state == APP_STOPPING && !app->gone_since)
		app_set_deadline(app, NS_PER_S);   /* to say so if that does not end it */
	app->cgroup_used = true;
	if (app->pidfd >= 0)
		pidfd_signal(app->pidfd, SIGKILL);
	if (app->cgroup >= 0 && !app->config->external)
		leftovers_kill(&leftovers, &id, &example);
}

static void watch_no_more(struct app *app)
{
	ev_timer_stop(app->epochd->loop, &app->watched);
	health_free(app->health);
	app->health = NULL;
}

void app_ends_itself(struct app *app)
{
	watch_no_more(app);
	app_move(app, APP_STOPPING, "by itself: it said STOPPING=1");
	app_set_deadline(app, app->config->stop_timeout);
}

void app_end(struct app *app, enum ep_cause cause)
{
	bool hung = cause == EP_WATCHDOG || cause == EP_HEALTH;
	int signal = hung ? SIGABRT : app->config->stop_signal;
	int r;

	/* Dead already, only how is not known yet: its fence stays closed (I3). */
	if ((app->state != APP_STARTING && app->state != APP_UP) || app->gone_since)
		return;
	app->ending = cause;
	watch_no_more(app);
	app_move(app, APP_STOPPING, "%s", ep_cause_name(cause));
	if (app->config->stop_timeout == 0) {
		app_kill(app);
		return;
	}
	app_set_deadline(app, app->config->stop_timeout);
	r = pidfd_signal(app->pidfd, signal);
	if (r < 0 && r != -ESRCH)   /* ESRCH: it has just ended, and its pidfd says so */
		log_error(r, "app %s epoch %u: cannot send it %s", app->config->name, app->epoch,
			  config_signal_name(signal));
	pidfd_signal(app->pidfd, SIGCONT);   /* a stopped process ends only when it goes on */
}

/* ---- the end ---- */

static enum ep_cause cause_of(const struct app *app, const struct ep_end *end)
{
	if (app->ending != EP_NO_CAUSE)
		return app->ending;
	if (app->exec_error < 0)
		return EP_START_FAILED;
	if (app->state == APP_STARTING && app->config->readiness != READINESS_NONE)
		return EP_START_FAILED;
	if (end->kind == EP_END_UNKNOWN)
		return EP_UNSEEN;
	return end->kind == EP_END_CODE ? EP_EXITED : EP_CRASHED;
}

static enum ep_oom oom_of(const struct app *app, const struct ep_end *end)
{
	int64_t kills = app->cgroup >= 0 && app->oom_kills >= 0 ? cgroup_oom_kills(app->cgroup) : -1;

	if (end->kind != EP_END_SIGNAL || end->value != SIGKILL)
		return EP_OOM_NO;
	return kills < 0 ? EP_OOM_UNKNOWN : kills > app->oom_kills ? EP_OOM_YES : EP_OOM_NO;
}

static void close_process(struct app *app)
{
	ev_io_stop(app->epochd->loop, &app->exited);
	ev_timer_stop(app->epochd->loop, &app->watched);
	app_clear_deadline(app);
	if (app->pidfd >= 0) {
		exit_reap(app->identity.pid, app->pidfd);   /* if it is our child */
		close(app->pidfd);
		pids_remove(app->epochd->pids, app->identity.pid);
	}
	app->pidfd = -1;
	notify_close(app->notify);
	app->notify = NULL;
	health_free(app->health);
	app->health = NULL;
	free(app->status_text);
	app->status_text = NULL;
}

/* Dead for sure; how is known when its parent reaps it, or never. */
static bool must_wait_for_status(struct app *app)
{
	if (!app->gone_since) {
		app->gone_since = clock_now();
		app->sweep_delay = 0.001;
		ev_io_stop(app->epochd->loop, &app->exited);   /* it stays readable */
		ev_timer_stop(app->epochd->loop, &app->watched);
		/* I3: down at once, however long its status takes. */
		app_fence(app, EP_DOWN, (struct ep_end){ .cause = app->ending ? app->ending :
							 EP_UNSEEN });
	}
	if (clock_now() - app->gone_since >= EXIT_UNKNOWN_AFTER)
		return false;
	app_set_deadline(app, (int64_t)(app->sweep_delay * (double)NS_PER_S));
	if (app->sweep_delay < 0.1)
		app->sweep_delay *= 2;
	return true;
}

/* Steps 1 to 3. */
void app_exited(struct app *app)
{
	struct ep_end end = { 0 };
	int r;

	if (app->pidfd < 0 || app->exit_pending)
		return;
	if (app->spawn) {   /* dead before its exec was told of: on_spawned() comes back here */
		app->exit_pending = true;
		spawn_ended(app->spawn);
		ev_io_stop(app->epochd->loop, &app->exited);
		return;
	}
	/* What it said last comes first: MAINPID= of a daemon whose first process ends right after it. */
	if (app->notify && pidfd_is_dead(app->pidfd))
		notify_drain(app->notify);
	r = exit_peek(app->identity.pid, app->pidfd, app->epochd->kernel, &end);
	if (r == -EAGAIN)
		return;
	if (r == 0 && must_wait_for_status(app))
		return;
	FAULT(exit_seen);
	end.cause = cause_of(app, &end);
	end.oom = oom_of(app, &end);
	app_lost(app, end);
}

/* The reason of a failed start that the end itself does not tell. */
static const char *detail_of(const struct app *app, char *text, size_t size)
{
	const char *of = app->config->command ? app->config->command[0] : "";
	char buffer[128];

	if (app->exec_error == 0)
		return NULL;
	if (app->exec_step && strcmp(app->exec_step, "chdir") == 0 && app->config->directory)
		of = app->config->directory;
	snprintf(text, size, "%s %.80s: %s", app->exec_step ? app->exec_step : "start", of,
		 strerror_r(-app->exec_error, buffer, sizeof buffer));
	return text;
}

void app_fill_incarnation(const struct app *app, uint32_t epoch, const char *detail)
{
	const struct ledger_incarnation *entry = ledger_incarnation_find(app->ledger, epoch);
	struct store_incarnation row = { .epoch = epoch, .code = -1, .oom = -1, .detail = detail };
	struct identity identity;
	struct ep_end end;

	if (!entry)
		return;
	row.pid = entry->pid;
	if (ledger_identity_get(app->ledger, epoch, &identity)) {
		row.pid = identity.pid;   /* killed amid MAINPID=, the entry has the one before */
		row.start_ticks = identity.start_ticks;
		row.pidfd_inode = identity.pidfd_inode;
	}
	row.started_at = entry->started_at;
	row.up_at = entry->up_at;
	row.restart = entry->restart && entry->restart < EP_CAUSES ?
		      ep_cause_name((enum ep_cause)entry->restart) : NULL;
	if (ledger_incarnation_has_ended(entry, &end)) {
		row.ended_at = entry->ended_at;
		row.cause = ep_cause_name(end.cause);
		row.code = end.kind == EP_END_CODE ? (int)end.value : -1;
		row.signal = end.kind == EP_END_SIGNAL ? (int)end.value : 0;
		row.oom = end.oom == EP_OOM_UNKNOWN ? -1 : end.oom == EP_OOM_YES;
	}
	if (store_app_incarnation(app->stored, &row) < 0)
		log_error(-ENOMEM, "app %s epoch %u: its row waits in the ledger", app->config->name,
			  epoch);
}

/* When all of its channels were counted: a moment after its end. */
void app_fill_reclaimed(const struct app *app, const struct clients_sum *sum)
{
	const struct store_incarnation row = {
		.epoch = sum->epoch, .code = -1, .oom = -1,
		.reclaimed = { true, sum->messages, sum->bytes, sum->lost, sum->collected.buffers, sum->collected.bytes },
	};

	if (store_app_incarnation(app->stored, &row) < 0)
		log_error(-ENOMEM, "app %s epoch %u: what was reclaimed is in the totals only", app->config->name,
			  sum->epoch);
}

void app_lost(struct app *app, struct ep_end end)
{
	struct ledger_incarnation *entry;
	char detail[240];

	app->end = end;
	app->end_epoch = app->epoch;
	app->ended_at = clock_real();
	/* Step 2, I3: before anything else of a restart. */
	app_fence(app, EP_DOWN, end);
	FAULT(fence_closed);
	entry = ledger_incarnation_find(app->ledger, app->epoch);
	if (entry)
		ledger_incarnation_end(entry, end, app->ended_at);
	FAULT(end_in_ledger);
	close_process(app);   /* step 3: reaps */
	FAULT(reaped);
	app_fill_incarnation(app, app->epoch, detail_of(app, detail, sizeof detail));
	trace_epoch_ended(app);
	app->gone_since = clock_now();
	app->sweep_delay = 0.001;
	app->told_stuck = false;
	app_sweep(app);
}

/* ---- I7: what it left behind ---- */

static void tell_stuck(struct app *app, int found, pid_t example)
{
	struct process_stat stat;
	char reason[160];

	if (found < 0)
		snprintf(reason, sizeof reason, "cannot look for what it left behind");
	else if (process_stat(&stat, example) == 0)
		snprintf(reason, sizeof reason, "process %d (%s, state %c) of epoch %u cannot be killed",
			 (int)example, stat.comm, stat.state, app->epoch);
	else
		snprintf(reason, sizeof reason, "what epoch %u left behind is not gone yet", app->epoch);
	if (!app->told_stuck && clock_now() - app->gone_since > 5 * NS_PER_S) {
		log_error(found < 0 ? found : 0, "app %s epoch %u: %s", app->config->name, app->epoch,
			  reason);
		app->told_stuck = true;
	}
	if (!app->reason || strcmp(app->reason, reason) != 0)
		app_move(app, app->state, "%s", reason);
}

void app_cannot_be_killed(struct app *app)
{
	tell_stuck(app, 1, app->identity.pid);
	app_set_deadline(app, NS_PER_S);
}

/* A main process whose end was recorded before it was gone: the supervisor was killed in between. */
static bool main_still_lives(struct app *app, pid_t *example)
{
	if (app->pidfd < 0)
		return false;
	if (!pidfd_is_dead(app->pidfd)) {
		pidfd_signal(app->pidfd, SIGKILL);
		*example = app->identity.pid;
		return true;
	}
	close(app->pidfd);
	app->pidfd = -1;
	return false;
}

static int kill_leftovers(struct app *app, pid_t *example)
{
	struct incarnation_id id = app_incarnation(app);
	struct leftovers leftovers = app_leftovers(app);

	if (app->config->external)   /* what it started is its own affair */
		return 0;
	return app->adopted ? leftovers_kill_adopted(&leftovers, &id, example) :
			      leftovers_kill(&leftovers, &id, example);
}

/* Kill, and look again until a pass finds nothing. */
void app_sweep(struct app *app)
{
	pid_t example = 0;
	int found = main_still_lives(app, &example) ? 1 : kill_leftovers(app, &example);

	FAULT(left_behind_killed);
	if (found == 0) {
		app_decide(app);
		return;
	}
	app->cgroup_used = true;
	if (app->state != APP_SWEEPING)
		app_move(app, APP_SWEEPING, "ending what epoch %u left behind", app->epoch);
	if (clock_now() - app->gone_since > NS_PER_S)
		tell_stuck(app, found, example);
	app_set_deadline(app, (int64_t)(app->sweep_delay * (double)NS_PER_S));
	if (app->sweep_delay < 0.1)
		app->sweep_delay *= 2;
}

/* ---- what comes next ---- */

static bool is_beyond_intensity(const struct app *app)
{
	int64_t now = clock_now();

	return app->config->intensity.within > 0 && policy_counts(app->end.cause) && !app->no_room &&
	       history_count_since(app->history, now - app->config->intensity.within) >=
		       app->config->intensity.restarts;
}

static void give_up(struct app *app)
{
	bool asks = !app->epochd->run_mode;   /* there, nobody is left to be asked */

	app->fatal = true;
	app_move(app, APP_FATAL, "%u restarts within %g s are used up%s%s",
		 app->config->intensity.restarts, clock_seconds(app->config->intensity.within),
		 asks ? ": mend it, then epochctl reset " : "", asks ? app->config->name : "");
	log_error(0, "app %s epoch %u: fatal: %s", app->config->name, app->epoch, app->reason);
	run_ended(app);
}

/* How it ended, and what the end itself does not tell of a failed start. */
static void describe(const struct app *app, char *text, size_t size)
{
	char detail[240];
	const char *more = detail_of(app, detail, sizeof detail);

	if (more && app->end.cause == EP_START_FAILED)
		snprintf(text, size, "start failed: %s", more);
	else
		app_describe_end(&app->end, text, size);
}

static void back_off(struct app *app, int64_t delay)
{
	char how[256];

	describe(app, how, sizeof how);
	app_move(app, APP_BACKOFF, "%s", how);
	app->retry_at = clock_real() + delay;
	app_set_deadline(app, delay);
}

static void restart_after_failure(struct app *app)
{
	int64_t ran = app->up_at ? clock_now() - app->up_since : 0;
	int64_t delay;

	if (app->config->backoff.reset_after && ran >= app->config->backoff.reset_after)
		app->failures = 0;
	app->failures++;
	group_failed(app);
	if (is_beyond_intensity(app)) {
		give_up(app);
		return;
	}
	delay = policy_delay(app->config, app->failures, drand48());
	if (app->no_room && delay < NO_ROOM_DELAY)
		delay = NO_ROOM_DELAY;
	if (delay > 0 && app->end.cause != EP_BOOT)
		back_off(app, delay);
	else
		app_try_start(app);
}

static void stay_down(struct app *app)
{
	char how[256];

	describe(app, how, sizeof how);
	app->restart_cause = EP_NO_CAUSE;   /* a stop followed by a start is no restart */
	app_move(app, APP_STOPPED, "%s", how);
	run_ended(app);
}

static void tell_end(struct app *app)
{
	char how[256];
	/* An end for good is no error of ours to tell: whoever started it gets its status. */
	bool bad = policy_counts(app->end.cause) && policy_is_failure(&app->end) &&
		   (policy_restarts(app->config, &app->end) || app->end.cause == EP_START_FAILED) &&
		   !run_was_told_to_end(app);

	describe(app, how, sizeof how);
	app_post(app, "ended", how);
	if (bad)
		log_error(0, "app %s epoch %u: %s", app->config->name, app->end_epoch, how);
	else
		log_notice(0, "app %s epoch %u: %s", app->config->name, app->end_epoch, how);
}

/* A command that is not there: whoever typed it is waiting to hear that. What did run once may come
 * back, while it is being replaced, say. */
static bool is_typed_wrong(const struct app *app)
{
	return app->epochd->run_mode && !app->has_run &&
	       (app->exec_error == -ENOENT || app->exec_error == -EACCES ||
		app->exec_error == -ENOTDIR || app->exec_error == -ENOEXEC);
}

/* I7 also where database and segments are both lost: nothing of before runs any more. */
static void strays_are_gone(struct app *app)
{
	app->strays = false;
	if (app->state != APP_STOPPED)
		app_move(app, APP_STOPPED, "what ran before is gone");
	app_try_start(app);
}

static void decide_after_end(struct app *app)
{
	app->restart_cause = app->uncounted ? EP_NO_CAUSE : app->end.cause;
	app->uncounted = false;
	if (!app->is_old_news)
		tell_end(app);
	app->is_old_news = false;
	FAULT(end_handed_over);
	if (app->epochd->shutting_down || app->removed || !app->wanted) {
		stay_down(app);
	} else if (app->again || app->ledger->again) {
		app_try_start(app);
	} else if (app->fatal) {
		app_move(app, APP_FATAL, "as it was before: epochctl reset %s", app->config->name);
	} else if (app->end.cause == EP_ASKED) {
		/* A shutdown that the supervisor before us did not live to finish. */
		app->restart_cause = EP_NO_CAUSE;
		app_try_start(app);
	} else if (!policy_restarts(app->config, &app->end) || run_was_told_to_end(app) ||
		   is_typed_wrong(app)) {
		stay_down(app);
	} else {
		restart_after_failure(app);
	}
}

void app_decide(struct app *app)
{
	run_leave_terminal(app);
	app->active = false;
	app->gone_since = 0;
	app->identity.pid = 0;
	app_clear_deadline(app);
	if (app->strays)
		strays_are_gone(app);
	else
		decide_after_end(app);
	if (app->state == APP_STOPPED || app->state == APP_FATAL)
		app_clean_shm(app, app->end_epoch);
	app_save(app);
	group_is_down(app);
}
