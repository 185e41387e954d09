#include <config.h>

#include "supervisor/health.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ev.h>

#include "supervisor/app_private.h"
#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/environment.h"
#include "supervisor/epochd.h"
#include "supervisor/ledger.h"
#include "supervisor/log.h"
#include "supervisor/pids.h"
#include "supervisor/spawn.h"

struct health {
	struct app *app;
	ev_timer due;        /* the next run, or the timeout of the one under way */
	ev_io exited;
	struct spawn *spawn;
	pid_t pid;
	int pidfd;           /* -1: none is under way */
	unsigned failures;   /* in a row */
};

static void wait_for_next(struct health *health, int64_t ns)
{
	struct ev_loop *loop = health->app->epochd->loop;

	ev_timer_stop(loop, &health->due);
	ev_timer_set(&health->due, clock_seconds(ns), 0.);
	ev_timer_start(loop, &health->due);
}

static void close_run(struct health *health)
{
	siginfo_t info;

	if (health->pidfd < 0)
		return;
	if (health->spawn)
		spawn_forget(health->spawn);
	health->spawn = NULL;
	ev_io_stop(health->app->epochd->loop, &health->exited);
	pids_remove(health->app->epochd->pids, health->pid);
	/* What it has begun in its session ends with it. Its group has that name until it is reaped, and none
	 * before it has a session: then there is only itself. */
	pidfd_signal(health->pidfd, SIGKILL);
	kill(-health->pid, SIGKILL);
	/* If it still ends its SIGKILL: reaped as an orphan is. */
	waitid(P_PID, (id_t)health->pid, &info, WEXITED | WNOHANG);
	close(health->pidfd);
	health->pidfd = -1;
}

static void judge(struct health *health, bool good, const char *why)
{
	struct app *app = health->app;

	wait_for_next(health, app->config->health.interval);
	if (good) {
		health->failures = 0;
		return;
	}
	health->failures++;
	log_notice(0, "app %s epoch %u: health command %s (%u in a row)", app->config->name, app->epoch,
		   why, health->failures);
	if (health->failures >= app->config->health.failures && app->state == APP_UP)
		app_end(app, EP_HEALTH);   /* frees health */
}

static void command_exited(void *owner)
{
	struct health *health = owner;
	struct ep_end end = { 0 };
	int r = health->pidfd < 0 ? -EAGAIN : exit_peek(health->pid, health->pidfd,
							health->app->epochd->kernel, &end);

	if (r == -EAGAIN)
		return;
	if (health->spawn)
		spawn_ended(health->spawn);
	close_run(health);
	judge(health, r == 1 && end.kind == EP_END_CODE && end.value == 0,
	      end.kind == EP_END_CODE ? "failed" : "was killed");
}

static void on_command_exited(EV_P_ ev_io *w, int revents)
{
	(void)revents;
	(void)loop;
	command_exited(container_of(w, struct health, exited));
}

static void on_command_spawned(int r, const char *step, void *user)
{
	struct health *health = user;

	health->spawn = NULL;
	if (r < 0)
		log_error(r, "app %s: its health command cannot be run (%s)",
			  health->app->config->name, step);
}

static int spawn_command(struct health *health)
{
	struct app *app = health->app;
	const struct app_config *config = app->config;
	char **envp = NULL;
	struct environment_values values = { .instance = app->epochd->config->instance, .socket = "",
					     .token = app->ledger->token, .epoch = app->epoch };
	struct spawn_options options = {
		.argv = config->health.command, .directory = config->directory,
		.input = -1, .output = -1, .error = -1,
		.uid = config->uid, .gid = config->gid, .groups = config->groups,
		.group_count = config->group_count, .set_groups = config->set_groups,
		.umask = config->umask, .no_new_privileges = config->no_new_privileges,
		.cgroup = app->cgroup,
	};
	int r = environment_make(&envp, config, &values);

	epochd_lock_fds(app->epochd, options.close_first);
	if (r == 0) {
		options.envp = envp;
		options.path = environment_get(envp, "PATH");
		r = spawn_start(&health->spawn, app->epochd->spawner, &options, on_command_spawned,
				health, &health->pid, &health->pidfd);
	}
	free(envp);
	return r;
}

static void on_due(EV_P_ ev_timer *w, int revents)
{
	struct health *health = container_of(w, struct health, due);
	int r;

	(void)revents;
	if (health->pidfd >= 0) {   /* the timeout of the one under way */
		close_run(health);
		judge(health, false, "timed out");
		return;
	}
	r = spawn_command(health);
	if (r < 0) {
		health->pidfd = -1;
		log_error(r, "app %s: its health command cannot be started",
			  health->app->config->name);
		wait_for_next(health, health->app->config->health.interval);
		return;
	}
	pids_add(health->app->epochd->pids, health->pid, command_exited, health);
	ev_io_set(&health->exited, health->pidfd, EV_READ);
	ev_io_start(EV_A_ &health->exited);
	wait_for_next(health, health->app->config->health.timeout);
}

int health_new(struct health **out, struct app *app)
{
	struct health *health = calloc(1, sizeof *health);

	if (!health)
		return -ENOMEM;
	health->app = app;
	health->pidfd = -1;
	ev_timer_init(&health->due, on_due, 0., 0.);
	ev_io_init(&health->exited, on_command_exited, -1, EV_READ);
	wait_for_next(health, app->config->health.after + app->config->health.interval);
	*out = health;
	return 0;
}

void health_free(struct health *health)
{
	if (!health)
		return;
	ev_timer_stop(health->app->epochd->loop, &health->due);
	close_run(health);
	free(health);
}
