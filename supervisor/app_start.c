/* From the decision to start to up: the steps 4 to 6 and 8 of design.md's "From crash to restart". */
#include <config.h>

#include "supervisor/app_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "apilib/registry.h"
#include "store/store.h"
#include "supervisor/cgroups.h"
#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/environment.h"
#include "supervisor/epochd.h"
#include "supervisor/fault.h"
#include "supervisor/health.h"
#include "supervisor/history.h"
#include "supervisor/ledger.h"
#include "supervisor/log.h"
#include "supervisor/notify.h"
#include "supervisor/output.h"
#include "supervisor/pids.h"
#include "supervisor/policy.h"
#include "supervisor/run.h"
#include "supervisor/spawn.h"

/* ---- what an incarnation needs around it ---- */

/* A path of its own for each incarnation, made of name and epoch, so that the next supervisor binds the
 * same again. A socket's path is short: where the name does not fit, a digest of it stands for it. */
static int notify_path_of(const struct app *app, char *path, size_t size)
{
	uint32_t sum = 2166136261u;   /* FNV-1a, 32 bits */
	size_t length = (size_t)snprintf(path, size, "%s/notify/%s.%" PRIu32,
					 app->epochd->runtime_dir, app->config->name, app->epoch);

	if (length < size)
		return 0;
	for (const char *c = app->config->name; *c; c++)
		sum = (sum ^ (unsigned char)*c) * 16777619u;
	length = (size_t)snprintf(path, size, "%s/notify/%08" PRIx32 ".%" PRIu32,
				  app->epochd->runtime_dir, sum, app->epoch);
	return length < size ? 0 : -ENAMETOOLONG;
}

void app_open_notify(struct app *app)
{
	char path[108];
	int r;

	notify_close(app->notify);
	app->notify = NULL;
	if (app->config->readiness != READINESS_NOTIFY && !app->config->watchdog)
		return;
	r = notify_path_of(app, path, sizeof path);
	if (r == 0)
		r = notify_open(&app->notify, app->epochd->loop, path, app_notify_sender,
				app_on_notify, app);
	if (r < 0)
		log_error(r, "app %s epoch %u: no notify socket in %s (choose a shorter --runtime-dir)",
			  app->config->name, app->epoch, app->epochd->runtime_dir);
}

/* A file that a reload took away is written until here: its incarnation may have had something to say
 * while it was stopping, and what it left behind as well. */
void app_open_output(struct app *app)
{
	const struct app_config *config = app->config;
	int r;

	if (app->output && !config->output.file)
		output_remove(STEAL(app->output));
	if (!config->output.file || app->output)
		return;
	r = output_add(&app->output, app->epochd->outputs, config->name, config->output.file,
		       config->output.max_size, config->output.keep);
	if (r < 0)
		log_error(r, "app %s: no FIFO for its output, which is inherited instead",
			  config->name);
}

/* After a cgroup.kill, Linux 6.14 and later also kill what clone3 puts into that cgroup: its count of
 * kills is compared with that of the parent's cgroup. A new directory has a count of 0 again. */
static void renew_cgroup(struct app *app)
{
	if (app->cgroup >= 0)
		close(app->cgroup);
	app->cgroup = -1;
	cgroup_remove(app->epochd->cgroups, app->config->name);
	app->cgroup_used = false;
}

static void open_cgroup(struct app *app)
{
	if (app->cgroup_used)
		renew_cgroup(app);
	if (app->cgroup < 0)
		app->cgroup = cgroup_open(app->epochd->cgroups, app->config->name);
	if (app->cgroup < 0 && app->cgroup != -ENOTSUP)
		log_error(app->cgroup, "app %s: no cgroup of its own: what it leaves behind is found by "
			  "session and token only", app->config->name);
	if (app->cgroup < 0)
		app->cgroup = -1;
	app->oom_kills = app->cgroup >= 0 && !app->epochd->no_oom_counts ?
			 cgroup_oom_kills(app->cgroup) : -1;
	if (app->oom_kills == -ENOTSUP)
		app->epochd->no_oom_counts = true;
}

static int make_token(char token[static 40])
{
	unsigned char random[16];

	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return -errno;
	for (size_t i = 0; i < sizeof random; i++)
		snprintf(token + 2 * i, 3, "%02x", random[i]);
	return 0;
}

/* ---- exec ---- */

void app_watch_process(struct app *app)
{
	ev_io_set(&app->exited, app->pidfd, EV_READ);
	ev_io_start(app->epochd->loop, &app->exited);
}

void app_is_up(struct app *app, const char *reason)
{
	struct ledger_incarnation *entry = ledger_incarnation_find(app->ledger, app->epoch);

	app->up_at = clock_real();
	app->up_since = clock_now();
	if (entry)
		entry->up_at = app->up_at;
	app_clear_deadline(app);
	app_move(app, APP_UP, reason ? "%s" : NULL, reason);
	FAULT(fence_up);
	app_watchdog_start(app);
	if (app->config->health.command && health_new(&app->health, app) < 0)
		log_error(-ENOMEM, "app %s: its health is not watched", app->config->name);
	app_fill_incarnation(app, app->epoch, NULL);
	app_save(app);
	group_is_up(app);
}

static void on_spawned(int r, const char *step, void *user)
{
	struct app *app = user;

	app->spawn = NULL;
	app->exec_error = r;
	app->exec_step = step;
	if (app->exit_pending) {
		app->exit_pending = false;
		app_exited(app);
		pids_reap(app->epochd->pids);
		return;
	}
	if (r < 0)
		return;   /* it is about to exit: pidfd */
	app->has_run = true;
	/* Off the path of the restart, and not at all where the inode says it all: /proc is slow, also
	 * when the process ends. */
	if (!app->identity.pidfd_inode && identity_complete(&app->identity) == 0)
		ledger_identity_set(app->ledger, app->epoch, &app->identity);
	if (app->state == APP_STARTING && app->config->readiness == READINESS_NONE)
		app_is_up(app, NULL);
}

void app_child_exited(void *owner)
{
	app_exited(owner);
}

/* Our own limit of descriptors was raised; a program gets the one that we were started with. */
static size_t limits_of(const struct app *app, struct limit_config limits[static RLIM_NLIMITS + 1])
{
	const struct app_config *config = app->config;
	size_t count = 0;

	limits[count++] = (struct limit_config){ RLIMIT_NOFILE, app->epochd->nofile };
	for (size_t i = 0; i < config->limit_count && count <= RLIM_NLIMITS; i++)
		limits[count++] = config->limits[i];
	return count;
}

static int start_process(struct app *app, char *const *envp, unsigned attempt)
{
	const struct app_config *config = app->config;
	struct limit_config limits[RLIM_NLIMITS + 1];
	struct epochd *epochd = app->epochd;
	int output = app->output ? output_fd(app->output) : -1;
	struct spawn_options options = {
		.argv = config->command,
		.envp = envp,
		.path = environment_get(envp, "PATH"),
		.directory = config->directory,
		.input = epochd->run_mode ? STDIN_FILENO : -1,
		.output = output,
		.error = output,
		.uid = config->uid,
		.gid = config->gid,
		.groups = config->groups,
		.group_count = config->group_count,
		.set_groups = config->set_groups,
		.umask = config->umask,
		.limits = limits,
		.limit_count = limits_of(app, limits),
		.no_new_privileges = config->no_new_privileges,
		.terminal = epochd->terminal,
		.foreground = epochd->terminal && run_has_terminal(),
		.cgroup = app->cgroup,
		.word = &app->ledger->spawn,
		.open = spawn_word(app->epoch, attempt, SPAWN_OPEN, 0),
		.claimed = spawn_word(app->epoch, attempt, SPAWN_CLAIMED, 0),
	};

	epochd_lock_fds(epochd, options.close_first);
	return spawn_start(&app->spawn, epochd->spawner, &options, on_spawned, app,
			   &app->identity.pid, &app->pidfd);
}

static int prepare_environment(struct app *app, char ***out)
{
	char socket[512];
	struct environment_values values = {
		.instance = app->epochd->config->instance,
		.socket = socket,
		.token = app->ledger->token,
		.epoch = app->epoch,
		.notify_socket = app->notify ? notify_path(app->notify) : NULL,
		.watchdog = app->config->watchdog,
	};

	snprintf(socket, sizeof socket, "%s/api.sock", app->epochd->runtime_dir);
	return environment_make(out, app->config, &values);
}

static void free_environment(char ***environment)
{
	free(*environment);
}

/* Step 5, of the incarnation whose word is not open yet; then 6. */
void app_spawn(struct app *app)
{
	CLEANUP(free_environment) char **envp = NULL;
	struct ledger_incarnation *entry = ledger_incarnation_find(app->ledger, app->epoch);
	/* Relaxed: no child is there to race with. */
	uint64_t word = atomic_load_explicit(&app->ledger->spawn, memory_order_relaxed);
	unsigned attempt = spawn_word_attempt(word);
	int r = prepare_environment(app, &envp);

	app->adopted = false;
	if (r == 0)
		r = start_process(app, envp, attempt);
	if ((r == -ENOENT || r == -ENODEV) && app->cgroup >= 0) {   /* somebody removed its cgroup */
		app->cgroup_used = true;
		open_cgroup(app);
		r = start_process(app, envp, attempt);
	}
	FAULT(cloned);
	if (r < 0) {
		app->exec_error = r;
		app->exec_step = "clone";
		app->identity.pid = 0;
		app->no_room = true;
		app_move(app, APP_STARTING, NULL);   /* from whatever it was in, to its end */
		app_lost(app, (struct ep_end){ .cause = EP_START_FAILED });
		return;
	}
	identity_from_pidfd(&app->identity, app->epochd->kernel, app->identity.pid, app->pidfd);
	ledger_identity_set(app->ledger, app->epoch, &app->identity);
	if (entry)
		entry->pid = app->identity.pid;
	FAULT(identity_in_ledger);
	pids_add(app->epochd->pids, app->identity.pid, app_child_exited, app);
	app_watch_process(app);
	app_move(app, APP_STARTING, NULL);
	if (app->config->start_timeout)   /* without readiness: of its exec, which may hang */
		app_set_deadline(app, app->config->start_timeout);
	app_fill_incarnation(app, app->epoch, NULL);
	app_save(app);
	FAULT(begin_handed_over);
}

/* ---- the next epoch ---- */

static uint64_t total_of(const struct app *app, enum ep_cause cause)
{
	/* Relaxed: this thread is the only writer (I4). */
	return atomic_load_explicit(&app->registry->total[ep_total_of_restart(cause)],
				    memory_order_relaxed);
}

/* Step 4. Redo first: a supervisor killed after any of these stores finds either a start that has
 * happened, and then counts it once, or none (I8). */
static void begin(struct app *app, enum ep_cause cause, const char *token, pid_t external)
{
	struct ledger_record *ledger = app->ledger;
	uint64_t after = cause ? total_of(app, cause) + 1 : 0;

	memcpy(ledger->token, token, sizeof ledger->token);
	ledger->watchdog = 0;
	ledger->redo_cause = cause;
	ledger->redo_total = after;
	/* Release: whoever finds the epoch after a kill finds cause and total written. */
	atomic_store_explicit(&ledger->redo_epoch, cause ? app->epoch + 1 : 0, memory_order_release);
	FAULT(redo_written);
	app->epoch++;
	/* Release, with the child's compare-and-swap: the token is written by then. One that came by itself is there
	 * already, and never made again. */
	atomic_store_explicit(&ledger->spawn,
			      spawn_word(app->epoch, 0, external ? SPAWN_CLAIMED : SPAWN_OPEN, external),
			      memory_order_release);
	FAULT(spawn_word_open);
	app_fence(app, EP_STARTING, (struct ep_end){ 0 });
	FAULT(fence_starting);
	if (cause)
		/* Relaxed: an odometer; the redo record carries the order. */
		atomic_store_explicit(&app->registry->total[ep_total_of_restart(cause)], after,
				      memory_order_relaxed);
	FAULT(total_counted);
	/* Release: not before the total. */
	atomic_store_explicit(&ledger->redo_epoch, 0, memory_order_release);
	ledger->again = 0;
	FAULT(redo_cleared);
}

void app_say_held(struct app *app)
{
	struct store_health health;

	store_health(app->epochd->store, &health);
	/* The very first epochs come with the first commit: that is not worth a state of its own. */
	if (app->epoch || !health.writable)
		app_move(app, APP_HELD, "every epoch reserved is used, the next is not durable yet%s%s",
			 health.writable ? "" : ": ", health.writable ? "" : health.text);
}

/* Without a committed reservation nothing is started (I1). */
static void hold(struct app *app)
{
	app->awaits_epochs = true;
	app_say_held(app);
	app_save(app);
}

/* Up to where its process is made; or it is `external`, and has come. False: held. */
static bool begin_next(struct app *app, pid_t external)
{
	enum ep_cause cause = app->restart_cause;
	bool counts = policy_counts(cause) && !app->no_room;
	int64_t now = clock_now();
	char token[40] = "";

	app_clear_deadline(app);
	if (!external) {
		open_cgroup(app);
		app_open_output(app);
	}
	app->started_at = clock_real();
	FAULT(prepared);
	if (make_token(token) < 0 ||
	    !ledger_incarnation_add(app->ledger, app->epoch + 1, app->started_at, cause)) {
		hold(app);
		return false;
	}
	FAULT(incarnation_in_ledger);
	app->active = true;
	app->ending = EP_NO_CAUSE;
	app->killed = false;
	app->watchdog = app->config->watchdog;
	app->exec_error = 0;
	app->no_room = false;
	app->up_at = 0;
	app->restart_cause = EP_NO_CAUSE;
	app->identity = (struct identity){ 0 };
	begin(app, cause, token, external);
	app->up_since = now;
	if (!app->since)
		app->since = app->started_at;
	if (!external)
		app_open_notify(app);
	if (cause && history_add(&app->history, now, counts,
				 app->config->intensity.restarts) < 0)
		log_error(-ENOMEM, "app %s: a restart is missing in the last hour and day",
			  app->config->name);
	return true;
}

/* ---- one that comes by itself ---- */

/* Its next incarnation begins when a process attaches. */
static void expect(struct app *app)
{
	const char *user = app->config->user;

	app->expected = app->waiting = true;
	app_move(app, APP_STOPPED, "waits for a process of %s%s to attach", user ? "user " : "epochd's user",
		 user ? user : "");
	app_save(app);
}

bool app_begin_external(struct app *app, pid_t pid, int pidfd)
{
	struct ledger_incarnation *entry;

	app->expected = app->waiting = false;
	if (!begin_next(app, pid))
		return false;
	app->adopted = false;
	app->has_run = true;
	app->pidfd = pidfd;
	identity_from_pidfd(&app->identity, app->epochd->kernel, pid, pidfd);
	identity_complete(&app->identity);   /* dead already: its pidfd tells */
	ledger_identity_set(app->ledger, app->epoch, &app->identity);
	entry = ledger_incarnation_find(app->ledger, app->epoch);
	if (entry)
		entry->pid = pid;
	if (pids_add(app->epochd->pids, pid, app_child_exited, app) < 0)
		log_error(-ENOMEM, "app %s: out of memory", app->config->name);
	app_watch_process(app);
	app_move(app, APP_STARTING, NULL);
	if (app->config->start_timeout)
		app_set_deadline(app, app->config->start_timeout);
	app_fill_incarnation(app, app->epoch, NULL);
	app_save(app);
	return true;
}

bool app_expects(const struct app *app)
{
	return app->expected && app->wanted && !app->removed && !app->epochd->shutting_down && !app_runs(app) &&
	       app->state == APP_STOPPED && app->epoch + 1 <= app->reserved;
}

void app_try_start(struct app *app)
{
	if (app->epochd->shutting_down || !app->wanted || app->removed || app->to_resume || app_runs(app))
		return;
	if (app->fatal) {
		if (app->state != APP_FATAL)
			app_move(app, APP_FATAL, "as it was before: epochctl reset %s",
				 app->config->name);
		return;
	}
	app->expected = false;
	if (!group_lets(app))
		return;
	app->waiting = false;
	app->again = false;
	if (app->epoch >= EP_EPOCH_MAX) {
		app->fatal = true;
		app_move(app, APP_FATAL, "its %u epochs are used up (they never wrap): give it another "
			 "name", EP_EPOCH_MAX);
		app_save(app);
	} else if (app->epoch + 1 > app->reserved) {
		hold(app);
	} else if (app->config->external) {
		app_clean_shm(app, app->epoch);
		expect(app);
	} else if (begin_next(app, 0)) {
		app_clean_shm(app, app->epoch);
		app_spawn(app);
	}
}
