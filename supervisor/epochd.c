/* The order of start and stop, and what concerns the supervisor as a whole. */
#include <config.h>

#include "supervisor/epochd.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/app_private.h"
#include "supervisor/cgroups.h"
#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/control.h"
#include "supervisor/events.h"
#include "supervisor/fault.h"
#include "supervisor/kernel.h"
#include "supervisor/ledger.h"
#include "supervisor/locks.h"
#include "supervisor/log.h"
#include "supervisor/output.h"
#include "supervisor/paths.h"
#include "supervisor/pids.h"
#include "supervisor/recovery.h"
#include "supervisor/reload.h"
#include "supervisor/run.h"
#include "supervisor/sessions.h"
#include "supervisor/signals.h"
#include "supervisor/spawn.h"
#include "supervisor/traces.h"
#include "supervisor/upward.h"

struct app *epochd_app(const struct epochd *epochd, const char *name)
{
	struct store_app *stored = store_app_find(epochd->store, name);

	return stored ? store_app_owner(stored) : NULL;
}

/* ---- warnings ---- */

static struct report_warning *find_warning(struct epochd *epochd, const char *code)
{
	for (size_t i = 0; i < epochd->warning_count; i++)
		if (strcmp(epochd->warnings[i].code, code) == 0)
			return &epochd->warnings[i];
	return NULL;
}

void epochd_warn(struct epochd *epochd, const char *code, const char *format, ...)
{
	struct report_warning *warning = find_warning(epochd, code);
	char *text;
	va_list values;
	int n;

	va_start(values, format);
	n = vasprintf(&text, format, values);
	va_end(values);
	if (n < 0)
		return;
	if (!warning) {
		if (epochd->warning_count == WARNINGS_MAX) {
			free(text);
			return;
		}
		warning = &epochd->warnings[epochd->warning_count++];
		*warning = (struct report_warning){ .code = code, .since = clock_real() };
		log_error(0, "%s: %s", code, text);
		events_post(epochd->events, NULL, 0, code, text);
	}
	free((char *)warning->text);
	warning->text = text;
}

void epochd_unwarn(struct epochd *epochd, const char *code)
{
	struct report_warning *warning = find_warning(epochd, code);
	size_t index;

	if (!warning)
		return;
	index = (size_t)(warning - epochd->warnings);
	free((char *)warning->text);
	memmove(warning, warning + 1, (--epochd->warning_count - index) * sizeof *warning);
	log_notice(0, "%s: it is over", code);
	events_post(epochd->events, NULL, 0, code, "it is over");
}

/* ---- the store's side ---- */

static void wake(void *user)
{
	struct epochd *epochd = user;

	ev_async_send(epochd->loop, &epochd->store_spoke);
}

static void on_committed(struct store_app *stored, void *user)
{
	struct app *app = store_app_owner(stored);

	(void)user;
	if (app)
		app_committed(app);
}

static void look_at_store(struct epochd *epochd)
{
	struct store_health health;

	store_health(epochd->store, &health);
	if (health.rebuilt && !health.set_aside[0])
		epochd_warn(epochd, "store_lost", "the database in %s was removed: made anew from memory, "
			    "without its history", epochd->state_dir);
	else if (health.rebuilt)
		epochd_warn(epochd, "store_lost", "the database was corrupt (%s): set aside as %s and "
			    "rebuilt", health.set_aside_why, health.set_aside);
	if (health.writable) {
		epochd_unwarn(epochd, "store_unwritable");
		return;
	}
	epochd_warn(epochd, "store_unwritable", "%s cannot be written: %s; epochs already reserved "
		    "are used, then restarts are held", epochd->state_dir, health.text);
	for (size_t i = 0; i < epochd->app_count; i++)
		app_store_failing(epochd->apps[i]);
}

static void on_store_spoke(EV_P_ ev_async *w, int revents)
{
	struct epochd *epochd = container_of(w, struct epochd, store_spoke);

	(void)revents;
	(void)loop;
	store_dispatch(epochd->store);
	look_at_store(epochd);
}

/* ---- asked of the whole ---- */

void epochd_retire(struct epochd *epochd, struct config *config)
{
	struct config **grown = realloc(epochd->retired,
					(epochd->retired_count + 1) * sizeof *grown);

	if (!grown)
		return;   /* kept for ever rather than freed under somebody */
	epochd->retired = grown;
	epochd->retired[epochd->retired_count++] = config;
}

static void free_retired(struct epochd *epochd)
{
	for (size_t i = 0; i < epochd->retired_count; i++)
		config_free(epochd->retired[i]);
	free(epochd->retired);
	epochd->retired = NULL;
	epochd->retired_count = 0;
}

int epochd_reload(struct epochd *epochd, uint64_t *event)
{
	int r = epochd->run_mode ? -ENOTSUP : epochd->shutting_down ? -ECANCELED :
		reload_start(epochd->reload);
	uint64_t number;

	if (r < 0)
		return r;
	number = events_post(epochd->events, NULL, 0, "asked", "reload");
	if (event)
		*event = number;
	return 0;
}

static void on_still_stopping(EV_P_ ev_timer *w, int revents)
{
	struct epochd *epochd = container_of(w, struct epochd, still_stopping);

	(void)revents;
	(void)loop;
	upward_extend(epochd->upward, 15 * NS_PER_S);
}

static void hurry(struct epochd *epochd)
{
	log_notice(0, "asked to shut down again: SIGKILL to what still runs");
	for (size_t i = 0; i < epochd->app_count; i++) {
		app_end(epochd->apps[i], EP_ASKED);
		if (epochd->apps[i]->active)
			app_kill(epochd->apps[i]);
	}
}

void epochd_shutdown(struct epochd *epochd, uint64_t *event)
{
	uint64_t number = events_post(epochd->events, NULL, 0, "asked", "shutdown");

	if (event)
		*event = number;
	if (epochd->shutting_down) {
		hurry(epochd);
		return;
	}
	epochd->shutting_down = true;
	if (!epochd->run_mode)
		log_notice(0, "shutting down");
	upward_stopping(epochd->upward);
	if (epochd->upward) {
		ev_timer_set(&epochd->still_stopping, 0., 5.);
		ev_timer_start(epochd->loop, &epochd->still_stopping);
	}
	for (size_t i = 0; i < epochd->app_count; i++) {
		struct app *app = epochd->apps[i];

		app->waiting = false;
		app->awaits_epochs = false;
		if (!app->active && app->state != APP_FATAL && app->state != APP_STOPPED) {
			app_clear_deadline(app);
			app_move(app, APP_STOPPED, "the supervisor shuts down");
		}
	}
	shutdown_step(epochd);
}

/* As if we were killed at this very moment, but that all we know is written down. */
int epochd_keep(struct epochd *epochd, uint64_t *event)
{
	uint64_t number;

	if (epochd->run_mode)
		return -ENOTSUP;
	if (epochd->shutting_down)
		return -ECANCELED;
	number = events_post(epochd->events, NULL, 0, "asked", "shutdown, and the applications go on");
	if (event)
		*event = number;
	log_notice(0, "leaving: the applications go on, and the next supervisor adopts them");
	upward_stopping(epochd->upward);
	epochd->kept = true;
	epochd->done = true;
	ev_break(epochd->loop, EVBREAK_ALL);
	return 0;
}

/* ---- once for each turn of the loop ---- */

static void collect_removed(struct epochd *epochd)
{
	size_t kept = 0, removed = 0;

	for (size_t i = 0; i < epochd->app_count; i++)
		if (epochd->apps[i]->removed && !epochd->apps[i]->active)
			group_forget(epochd->apps[i]);
	for (size_t i = 0; i < epochd->app_count; i++) {
		struct app *app = epochd->apps[i];

		removed += app->removed;
		if (app->removed && !app->active)
			recovery_forget(epochd, app);
		else
			epochd->apps[kept++] = app;
	}
	removed -= epochd->app_count - kept;
	if (kept < epochd->app_count) {
		epochd->app_count = kept;
		group_retry(epochd);   /* one may have waited for one that is no more */
	}
	if (removed == 0)
		free_retired(epochd);
}

static void tell_upward(struct epochd *epochd)
{
	size_t up = 0;
	char text[80];

	epochd->changed = false;
	if (!epochd->upward || epochd->shutting_down)
		return;
	for (size_t i = 0; i < epochd->app_count; i++)
		up += epochd->apps[i]->state == APP_UP;
	snprintf(text, sizeof text, "%zu of %zu applications up", up, epochd->app_count);
	upward_status(epochd->upward, text);
}

static void on_waited_enough(EV_P_ ev_timer *w, int revents)
{
	struct epochd *epochd = container_of(w, struct epochd, wait_for_exec);

	(void)revents;
	(void)loop;
	epochd->waited_enough = true;
}

/* The threads that write what this turn has handed over and logged are not woken beside an exec, whose
 * processor they would want: when it has happened, or has not for a while. */
static bool lets_go(struct epochd *epochd)
{
	if (!spawner_is_busy(epochd->spawner)) {
		ev_timer_stop(epochd->loop, &epochd->wait_for_exec);
		epochd->waited_enough = false;
		return true;
	}
	if (!epochd->waited_enough && !ev_is_active(&epochd->wait_for_exec)) {
		ev_timer_set(&epochd->wait_for_exec, 0.002, 0.);
		ev_timer_start(epochd->loop, &epochd->wait_for_exec);
	}
	return epochd->waited_enough;
}

/* What a turn hands over and logs waits for its end: the restarts in it come first. */
static void on_after_sleep(EV_P_ ev_check *w, int revents)
{
	struct epochd *epochd = container_of(w, struct epochd, after_sleep);

	(void)revents;
	(void)loop;
	store_hold(epochd->store);
	log_hold();
}

static void on_before_sleep(EV_P_ ev_prepare *w, int revents)
{
	struct epochd *epochd = container_of(w, struct epochd, before_sleep);

	(void)revents;
	(void)loop;
	if (epochd->retired_count)
		collect_removed(epochd);
	if (epochd->changed) {
		group_tell_waits(epochd);
		tell_upward(epochd);
	}
	if (lets_go(epochd)) {
		store_let_go(epochd->store);
		log_let_go();
	}
}

/* ---- start ---- */

static int read_boot_id(char id[static 40])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, id, 36) : -1;

	if (fd >= 0)
		close(fd);
	id[n == 36 ? 36 : 0] = '\0';
	return n == 36 ? 0 : log_error(-ENODATA, "/proc/sys/kernel/random/boot_id: cannot be read");
}

/* In the order of paths.h. */
static const char *directory_from(const char *option, const char *variable)
{
	const char *value = getenv(variable);

	return option ? "command line" : value && *value ? "environment" : "";
}

static int make_paths(struct epochd *epochd, const struct epochd_options *options)
{
	const struct config *config = epochd->config;
	char *runtime = NULL, *state = NULL;
	int is_private = paths_runtime_base(&runtime, options->runtime_dir, config->runtime_directory,
					    config->segment_directory);
	int r = paths_state_base(&state, options->state_dir, config->state_directory);

	epochd->runtime_from = directory_from(options->runtime_dir, "EPOCHD_RUNTIME_DIR");
	epochd->state_from = directory_from(options->state_dir, "EPOCHD_STATE_DIR");
	if (is_private < 0)
		return log_error(is_private, "no runtime directory: choose one with --runtime-dir");
	if (is_private && directory_make(runtime, 0700) < 0)
		return log_error(-EPERM, "%s: choose a --runtime-dir", runtime);
	if (r < 0 && !epochd->run_mode)
		return log_error(r, "no state directory: choose one with --state-dir");
	epochd->runtime_is_private = is_private;
	epochd->runtime_dir = paths_of_instance(runtime, config->instance, NULL);
	epochd->state_dir = r < 0 ? NULL : paths_of_instance(state, config->instance, NULL);
	if (asprintf(&epochd->segment_dir, "%s/epochd-%u-%s", config->segment_directory,
		     (unsigned)geteuid(), config->instance) < 0)
		epochd->segment_dir = NULL;
	free(runtime);
	free(state);
	return epochd->runtime_dir && epochd->segment_dir ? 0 : -ENOMEM;
}

static int use_runtime_for_state(struct epochd *epochd)
{
	log_error(0, "no writable state directory: epochs last as long as %s does",
		  epochd->runtime_dir);
	free(epochd->state_dir);
	epochd->state_dir = strdup(epochd->runtime_dir);
	return epochd->state_dir ? 0 : -ENOMEM;
}

static bool has_database(const char *directory)
{
	char path[4200];

	snprintf(path, sizeof path, "%s/epochd.db", directory);
	return access(path, R_OK) == 0;
}

/* One that cannot be written now but was does: the store says so, and loads what is there. */
static int choose_state_dir(struct epochd *epochd)
{
	int r = epochd->state_dir ? directory_make(epochd->state_dir, 0700) : -ENOENT;

	if (r == 0 && access(epochd->state_dir, W_OK) < 0)
		r = -errno;
	if (r < 0 && epochd->run_mode)
		return use_runtime_for_state(epochd);
	if (r < 0 && r != -EPERM && has_database(epochd->state_dir))
		return 0;
	return r < 0 ? log_error(r, "state directory %s: choose another with --state-dir",
				 epochd->state_dir) : 0;
}

static int make_directories(struct epochd *epochd)
{
	char notify[4200], output[4200];
	int r = choose_state_dir(epochd);

	snprintf(notify, sizeof notify, "%s/notify", epochd->runtime_dir);
	snprintf(output, sizeof output, "%s/output", epochd->runtime_dir);
	if (r < 0)
		return r;
	r = directory_make(epochd->runtime_dir, 0755);
	if (r == 0)
		r = directory_make(notify, 0711);
	if (r == 0)
		r = directory_make(output, 0700);
	if (r < 0)
		return log_error(r, "runtime directory %s: choose another with --runtime-dir",
				 epochd->runtime_dir);
	r = directory_make(epochd->segment_dir, 0755);
	if (r < 0)
		return log_error(r, "segment directory %s cannot be used", epochd->segment_dir);
	epochd->segments = open(epochd->segment_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return epochd->segments < 0 ? -errno : 0;
}

/* Only the fds meant for it reach a child: what we were started with is not. */
static void close_inherited_on_exec(const struct kernel *kernel)
{
	if (kernel->close_range_cloexec && close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
		return;
	for (int fd = 3; fd < 1024; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void raise_fd_limit(struct epochd *epochd)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &epochd->nofile) < 0)
		return;
	limit = epochd->nofile;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_database(struct epochd *epochd, struct store_found *found)
{
	char path[4200], uuid[40] = "";
	struct store_options options = {
		.path = path, .scratch = epochd->segment_dir, .instance = epochd->config->instance,
		.boot_id = epochd->boot_id,
		.keep_events = epochd->config->keep_events,
		.keep_incarnations = epochd->config->keep_incarnations,
		.wake = wake, .committed = on_committed, .user = epochd,
	};
	int r;

	snprintf(path, sizeof path, "%s/epochd.db", epochd->state_dir);
	if (ledger_peek(epochd->segments, uuid) > 0)
		options.uuid = uuid;
	r = store_open(&epochd->store, &options, found);
	if (r == -EINVAL)
		return log_error(0, "%s: made by a newer epochd: use that one", path), r;
	if (r == -EREMOTEIO)
		return log_error(0, "%s: is on a network file system, where locks do not hold: choose "
				 "another --state-dir", path), r;
	return r < 0 ? log_error(r, "%s: cannot be opened", path) : 0;
}

/* `epochd run` has promised nobody that its epochs outlive it: better than to wait for the disk. */
static bool may_do_without(const struct epochd *epochd, const struct store_found *found)
{
	return epochd->run_mode && found->created && found->unwritable &&
	       strcmp(epochd->state_dir, epochd->runtime_dir) != 0;
}

static int open_store(struct epochd *epochd, struct found_at_start *at_start)
{
	struct store_found found;
	int r = open_database(epochd, &found);

	if (r == 0 && may_do_without(epochd, &found)) {
		store_close(STEAL(epochd->store), STORE_UNCLEAN);
		r = use_runtime_for_state(epochd);
		if (r == 0)
			r = open_database(epochd, &found);
	}
	if (r < 0)
		return r;
	FAULT(store_opened);
	if (found.set_aside)
		snprintf(epochd->store_news, sizeof epochd->store_news,
			 "the database was corrupt (%s): set aside as %s and rebuilt", found.why,
			 found.set_aside);
	else if (found.created && at_start->highest)
		snprintf(epochd->store_news, sizeof epochd->store_news,
			 "there was no database in %s, though applications have run: epochs go on above "
			 "%u, and what was counted is known as far as the segments tell",
			 epochd->state_dir, at_start->highest);
	snprintf(epochd->uuid, sizeof epochd->uuid, "%s", found.uuid);
	epochd->runs = found.runs;
	epochd->unclean_runs = found.unclean_runs;
	at_start->store_lost = found.created;
	at_start->clean = found.last_clean && !found.created;
	at_start->same_boot = found.last_boot_id &&
			      strcmp(found.last_boot_id, epochd->boot_id) == 0;
	if (found.created)
		epochd->highest_lost = at_start->highest;
	if (found.created && !at_start->highest)
		at_start->clean = true;   /* the very first run: nothing was used */
	return 0;
}

static int open_ledger(struct epochd *epochd, struct found_at_start *at_start)
{
	const char *why;
	int r = ledger_open(&epochd->ledger, epochd->segments, epochd->uuid, epochd->boot_id,
			    &at_start->ledger_fresh, &why);

	if (r < 0)
		return log_error(r, "segment directory %s: cannot make the ledger (is /dev/shm full?)",
				 epochd->segment_dir);
	if (why)
		log_error(0, "ledger in %s: made anew: %s", epochd->segment_dir, why);
	FAULT(ledger_opened);
	return 0;
}

void epochd_lock_fds(const struct epochd *epochd, int fds[static 4])
{
	locks_fds(epochd->locks, fds);
	fds[3] = fds[0];
	fds[0] = cgroups_fd(epochd->cgroups);   /* a supervisor after us takes it when it has the others */
}

static int open_cgroups(struct epochd *epochd)
{
	const char *recorded = ledger_cgroup(epochd->ledger);
	int r = cgroups_open(&epochd->cgroups, epochd->config->cgroup, recorded[0] ? recorded : NULL,
			     epochd->config->instance);

	if (r == -EBUSY)
		log_error(0, "instance %s: another one of that name, with other directories, uses its "
			  "cgroup: choose another name (--instance), or cgroup = \"off\"",
			  epochd->config->instance);
	else if (r < 0)
		log_error(r, "cgroup %s: cannot be used", epochd->config->cgroup);
	if (r < 0)
		return r;
	ledger_set_cgroup(epochd->ledger, cgroups_path(epochd->cgroups));
	return 0;
}

static int make_parts(struct epochd *epochd)
{
	char path[4200];
	int r = pids_new(&epochd->pids);

	if (r == 0)
		r = spawner_new(&epochd->spawner, epochd->loop);
	if (r == 0)
		r = events_new(&epochd->events, epochd->store);
	if (r == 0)
		r = traces_new(&epochd->traces, epochd);
	if (r == 0)
		r = reload_new(&epochd->reload, epochd);
	snprintf(path, sizeof path, "%s/output", epochd->runtime_dir);
	if (r == 0)
		r = outputs_new(&epochd->outputs, path);
	return r < 0 ? log_error(r, "cannot start") : 0;
}

static int bind_control(struct epochd *epochd)
{
	char path[4200];

	snprintf(path, sizeof path, "%s/control.sock", epochd->runtime_dir);
	return control_new(&epochd->control, epochd, path);
}

/* Where the registries are, for those who look at handles without joining (epochd_registry_open(3)). */
static void link_segments(const struct epochd *epochd)
{
	char path[4200], fresh[4200];

	snprintf(path, sizeof path, "%s/segments", epochd->runtime_dir);
	snprintf(fresh, sizeof fresh, "%s/segments~", epochd->runtime_dir);
	unlink(fresh);
	if (symlink(epochd->segment_dir, fresh) < 0 || rename(fresh, path) < 0)
		log_error(-errno, "%s: cannot be made: handles can be checked by clients only", path);
}

static int bind_api(struct epochd *epochd)
{
	char path[4200];

	snprintf(path, sizeof path, "%s/api.sock", epochd->runtime_dir);
	link_segments(epochd);
	return sessions_new(&epochd->sessions, epochd, path);
}

static void init_watchers(struct epochd *epochd)
{
	ev_async_init(&epochd->store_spoke, on_store_spoke);
	ev_async_start(epochd->loop, &epochd->store_spoke);
	ev_prepare_init(&epochd->before_sleep, on_before_sleep);
	ev_prepare_start(epochd->loop, &epochd->before_sleep);
	ev_check_init(&epochd->after_sleep, on_after_sleep);
	ev_set_priority(&epochd->after_sleep, EV_MAXPRI);
	ev_check_start(epochd->loop, &epochd->after_sleep);
	ev_timer_init(&epochd->wait_for_exec, on_waited_enough, 0.002, 0.);
	ev_timer_init(&epochd->still_stopping, on_still_stopping, 0., 5.);
}

/* locks -> store -> segments -> applications -> sockets */
static int start(struct epochd *epochd, const struct epochd_options *options)
{
	struct found_at_start at_start = { 0 };
	struct recovery_peek peek = { .boot_id = epochd->boot_id };
	int r = read_boot_id(epochd->boot_id);

	if (r == 0)
		r = make_paths(epochd, options);
	if (r == 0)
		r = make_directories(epochd);
	if (r == 0)
		r = locks_take(&epochd->locks, epochd->segment_dir, epochd->state_dir,
			       epochd->runtime_dir);
	if (r < 0)
		return r;
	at_start.directory = epochd->segments;
	init_watchers(epochd);
	r = recovery_peek(&peek, epochd->segments, epochd->segment_dir);
	if (r < 0)
		return r;
	at_start.highest = peek.highest;
	r = open_store(epochd, &at_start);
	epochd->untouched = r < 0 || at_start.clean;
	if (r == 0)
		r = open_ledger(epochd, &at_start);
	if (r == 0)
		r = open_cgroups(epochd);
	if (r == 0)
		r = make_parts(epochd);
	if (r == 0)
		r = recovery_look(epochd, &at_start);
	if (r == 0)
		r = store_start(epochd->store);
	if (r == 0)
		r = bind_control(epochd);
	if (r == 0)
		r = bind_api(epochd);
	return r;
}

static void go_on(struct epochd *epochd)
{
	epochd->untouched = false;
	events_post(epochd->events, NULL, 0, "started", NULL);
	if (epochd->store_news[0])
		epochd_warn(epochd, "store_lost", "%s", epochd->store_news);
	if (!cgroups_path(epochd->cgroups) && !epochd->run_mode)
		epochd_warn(epochd, "no_cgroup", "no writable cgroup2: what an application leaves "
			    "behind is found by session, group and token: best effort");
	recovery_go_on(epochd);
	store_check(epochd->store);
	upward_ready(epochd->upward);
	malloc_trim(0);
}

/* ---- end ---- */

static void remove_runtime(const struct epochd *epochd)
{
	static const char *const names[] = { "notify", "output" };
	char path[4200];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof path, "%s/%s", epochd->runtime_dir, names[i]);
		rmdir(path);
	}
	snprintf(path, sizeof path, "%s/segments", epochd->runtime_dir);
	unlink(path);
	if (strcmp(epochd->runtime_dir, epochd->state_dir) == 0)
		return;
	rmdir(epochd->runtime_dir);
	if (epochd->runtime_is_private) {   /* in shared memory, which we leave as we found it */
		*strrchr(epochd->runtime_dir, '/') = '\0';
		rmdir(epochd->runtime_dir);
	}
}

static void free_all(struct epochd *epochd, bool clean)
{
	int r;

	control_free(epochd->control);
	if (epochd->kept)
		sessions_abandon(epochd->sessions);
	sessions_free(epochd->sessions);
	for (size_t i = 0; i < epochd->app_count; i++)
		app_free(epochd->apps[i]);
	traces_free(epochd->traces);   /* tells what it saved */
	outputs_free(epochd->outputs, clean);
	reload_free(epochd->reload);
	events_free(epochd->events);
	r = store_close(epochd->store, epochd->kept ? STORE_KEPT : clean ? STORE_CLEAN : STORE_UNCLEAN);
	if (r < 0)
		log_error(r, "%s: the last state is not durable: the segments in %s are kept for the "
			  "next supervisor", epochd->state_dir, epochd->segment_dir);
	/* All is durable in the store: nothing is left in /dev/shm. */
	if (clean && r == 0 && epochd->store)
		recovery_clean_up(epochd->segments);
	cgroups_close(epochd->cgroups, clean);
	spawner_free(epochd->spawner);
	pids_free(epochd->pids);
	ledger_close(epochd->ledger);
	/* Under the locks: a supervisor that comes now must not lose what it has just made. */
	if (clean && r == 0 && epochd->locks) {
		locks_remove(epochd->locks);
		rmdir(epochd->segment_dir);
		remove_runtime(epochd);
	}
	locks_release(epochd->locks);
}

static void free_rest(struct epochd *epochd)
{
	for (size_t i = 0; i < epochd->warning_count; i++)
		free((char *)epochd->warnings[i].text);
	if (epochd->segments >= 0)
		close(epochd->segments);
	free_retired(epochd);
	config_free(epochd->config);
	free(epochd->apps);
	free(epochd->segment_dir);
	free(epochd->runtime_dir);
	free(epochd->state_dir);
	free(epochd->config_file);
}

int epochd_run(struct config *config, const char *file, bool conf_d,
	       const struct epochd_options *options)
{
	struct kernel kernel;
	struct signals *signals = NULL;
	struct epochd epochd = { .config = config, .config_conf_d = conf_d, .segments = -1,
				 .run_mode = options->run_mode, .kernel = &kernel,
				 .instance_option = options->instance,
				 .started_at = clock_real() };
	bool clean;
	int r;

	signal(SIGPIPE, SIG_IGN);   /* every write says so itself; before the spawner looks what is */
	kernel_probe(&kernel);
	close_inherited_on_exec(&kernel);
	raise_fd_limit(&epochd);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	srand48((long)clock_real() ^ getpid());
	epochd.config_file = file ? strdup(file) : NULL;
	epochd.terminal = epochd.run_mode && run_has_terminal();
	/* Signals by signalfd: a SIGCHLD must not take us out of what its pidfd has begun. */
	epochd.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_SIGNALFD | EVFLAG_NOENV);
	if (!epochd.loop)
		return log_error(-errno, "cannot make an event loop"), EXIT_FAILURE;
	r = upward_open(&epochd.upward, epochd.loop);
	if (r == 0)
		r = start(&epochd, options);
	if (r == 0)
		r = signals_new(&signals, &epochd);
	if (r == 0)
		r = log_start();
	if (r == 0) {
		go_on(&epochd);
		if (!epochd.done)
			ev_run(epochd.loop, 0);
		log_let_go();
	}
	signals_free(signals);
	/* A start that failed leaves nothing either, unless something was there before. */
	clean = (r == 0 || epochd.untouched) && !epochd.kept;
	free_all(&epochd, clean);
	upward_close(epochd.upward);
	ev_loop_destroy(epochd.loop);
	free_rest(&epochd);
	log_stop();
	return r < 0 ? EXIT_FAILURE : epochd.exit_status;
}
