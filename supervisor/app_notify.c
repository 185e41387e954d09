/* What an application says of itself (sd_notify), and what it fails to say in time. */
#include <config.h>

#include "supervisor/app_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/control.h"
#include "supervisor/epochd.h"
#include "supervisor/fault.h"
#include "supervisor/ledger.h"
#include "supervisor/log.h"
#include "supervisor/notify.h"
#include "supervisor/pids.h"
#include "supervisor/service.h"

/* ---- deadlines ---- */

static void start_timed_out(struct app *app)
{
	if (app->adopted) {
		/* Nobody heard what it said meanwhile: taken as up, not killed. */
		app_is_up(app, "taken as up: its start timeout has passed since it was adopted");
		return;
	}
	log_error(0, "app %s epoch %u: not ready within %g s", app->config->name, app->epoch,
		  app_deadline_seconds(app));
	app_end(app, EP_START_TIMEOUT);
}

void app_on_deadline(struct app *app)
{
	if (app->pidfd >= 0 && app->gone_since && app->state != APP_SWEEPING) {
		app_exited(app);   /* how it ended may be known by now */
		return;
	}
	switch (app->state) {
	case APP_STARTING:
		start_timed_out(app);
		break;
	case APP_STOPPING:
		if (app->killed) {
			app_cannot_be_killed(app);
			break;
		}
		log_notice(0, "app %s epoch %u: not gone within %g s: SIGKILL", app->config->name,
			   app->epoch, app_deadline_seconds(app));
		app_kill(app);
		break;
	case APP_SWEEPING:
		app_sweep(app);
		break;
	case APP_BACKOFF:
		app_try_start(app);
		break;
	default:
		break;
	}
}

/* ---- watchdog ---- */

static void on_watchdog(EV_P_ ev_timer *w, int revents)
{
	struct app *app = container_of(w, struct app, watched);
	int64_t before = app->up_since;

	(void)revents;
	(void)loop;
	if (app->notify)
		notify_drain(app->notify);
	/* Draining may have moved the timer, ended the incarnation, or the loop itself was away. */
	if (ev_is_active(w) || app->state != APP_UP || app->up_since != before)
		return;
	if (app_loop_was_away(app)) {   /* as in deadline_is_real() */
		app_watchdog_start(app);
		return;
	}
	if (app->config->readiness == READINESS_ATTACH && app->service && pulse_has_moved(&app->service->pulse)) {
		app_watchdog_start(app);
		return;
	}
	log_error(0, "app %s epoch %u: no WATCHDOG=1%s within %g s", app->config->name, app->epoch,
		  app->config->readiness == READINESS_ATTACH ? ", no answer and no message taken" : "",
		  app_deadline_seconds(app));
	app_end(app, EP_WATCHDOG);
}

/* While it is up, deadline_at is the watchdog's. */
static void move_watchdog(struct app *app, int64_t at)
{
	struct ev_loop *loop = app->epochd->loop;

	ev_timer_stop(loop, &app->watched);
	app->deadline_at = at;
	ev_timer_set(&app->watched, clock_seconds(at - clock_now()), 0.);
	ev_timer_start(loop, &app->watched);
}

static void stop_watchdog(struct app *app)
{
	ev_timer_stop(app->epochd->loop, &app->watched);
	app->deadline_at = 0;
}

/* Also moves it. */
void app_watchdog_start(struct app *app)
{
	if (!app->active) {
		ev_timer_init(&app->watched, on_watchdog, 0., 0.);
		return;
	}
	if (app->state != APP_UP)
		return;
	if (!app->watchdog) {
		stop_watchdog(app);
		return;
	}
	app->deadline_since = clock_now();
	move_watchdog(app, app->deadline_since + app->watchdog);
}

void app_watchdog_adopted(struct app *app)
{
	int64_t most = app->config->start_timeout;

	app_watchdog_start(app);
	if (app->deadline_at && app->config->readiness == READINESS_ATTACH && most > app->watchdog)
		move_watchdog(app, app->deadline_since + most);
}

void app_detached_watchdog(struct app *app)
{
	if (app->state == APP_UP && app->config->readiness == READINESS_ATTACH)
		stop_watchdog(app);
}

/* ---- messages ---- */

bool app_notify_sender(pid_t pid, uid_t uid, void *user)
{
	struct app *app = user;
	struct incarnation_id id = app_incarnation(app);
	struct leftovers leftovers = app_leftovers(app);

	(void)uid;
	return pid == app->identity.pid || incarnation_has(&leftovers, &id, pid);
}

/* MAINPID=: another process of this incarnation is the one to watch from now on. */
static void change_main(struct app *app, pid_t pid)
{
	struct incarnation_id id = app_incarnation(app);
	struct leftovers leftovers = app_leftovers(app);
	struct ledger_incarnation *entry = ledger_incarnation_find(app->ledger, app->epoch);
	struct identity identity = { .pid = pid };
	int pidfd;

	if (pid == app->identity.pid)
		return;
	pidfd = incarnation_has(&leftovers, &id, pid) && identity_complete(&identity) == 0 ?
		identity_open(&identity, app->epochd->kernel) : -ESRCH;
	if (pidfd < 0) {
		log_error(0, "app %s epoch %u: MAINPID=%d is no process of it", app->config->name,
			  app->epoch, (int)pid);
		return;
	}
	ev_io_stop(app->epochd->loop, &app->exited);
	pids_remove(app->epochd->pids, app->identity.pid);
	/* Our child whose exec we are yet to hear of: later nobody holds its number, which then says nothing. */
	if (!app->identity.pidfd_inode && !app->identity.start_ticks &&
	    identity_complete(&app->identity) == 0)
		ledger_identity_set(app->ledger, app->epoch, &app->identity);
	exit_reap(app->identity.pid, app->pidfd);   /* if it lives on: like any orphan, later */
	close(app->pidfd);
	app->pidfd = pidfd;
	identity_from_pidfd(&app->identity, app->epochd->kernel, pid, pidfd);
	identity_complete(&app->identity);
	ledger_identity_set(app->ledger, app->epoch, &app->identity);
	FAULT(main_changed);
	if (entry)
		entry->pid = pid;
	app_watch_process(app);
	/* Ours as soon as its parent ends: how it ended is then asked before it is reaped. */
	if (pids_add(app->epochd->pids, pid, app_child_exited, app) < 0)
		log_error(-ENOMEM, "app %s: out of memory", app->config->name);
	log_notice(0, "app %s epoch %u: its main process is %d now", app->config->name, app->epoch,
		   (int)pid);
	app_fill_incarnation(app, app->epoch, NULL);
	app_save(app);
}

static void set_status(struct app *app, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return;
	free(app->status_text);
	app->status_text = copy;
	if (app->epochd->control)
		control_app_changed(app->epochd->control, app);
}

/* Only ever later, and where there is no deadline none is made. One that is due just now stands, too. */
static void extend(struct app *app, int64_t ns)
{
	int64_t at = clock_now() + ns;

	if (!app->deadline_at || at <= app->deadline_at || app->killed)
		return;
	if (app->state == APP_UP)
		move_watchdog(app, at);
	else if (app->state == APP_STARTING || app->state == APP_STOPPING)
		app_move_deadline(app, at);
}

static void feed_watchdog(struct app *app, const struct notify_message *message)
{
	if (message->watchdog_ns >= 0) {
		app->watchdog = message->watchdog_ns;
		app->ledger->watchdog = (uint64_t)app->watchdog + 1;   /* for a supervisor after us */
	}
	if (message->watchdog_ns >= 0 || message->watchdog)
		app_watchdog_start(app);
	if (message->watchdog_ns >= 0 && app->service)
		pulse_start(&app->service->pulse);
	if (message->watchdog_trigger && (app->state == APP_STARTING || app->state == APP_UP)) {
		log_error(0, "app %s epoch %u: it triggered its watchdog itself", app->config->name,
			  app->epoch);
		app_end(app, EP_WATCHDOG);
	}
}

void app_on_notify(const struct notify_message *message, void *user)
{
	struct app *app = user;

	if (app->gone_since)   /* its fence is closed, nothing opens it again (I3) */
		return;
	if (message->main_pid)
		change_main(app, message->main_pid);
	if (message->status)
		set_status(app, message->status);
	if (message->ready && app->state == APP_STARTING)
		app_is_up(app, NULL);
	if (message->reloading)
		app_post(app, "reloading", NULL);
	if (message->stopping && app->state == APP_UP)
		app_ends_itself(app);
	if (message->extend_ns > 0)
		extend(app, message->extend_ns);
	feed_watchdog(app, message);
}
