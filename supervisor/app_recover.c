/* Recovery of one application: where in "From crash to restart" did the supervisor before us stop? */
#include <config.h>

#include "supervisor/app_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apilib/registry.h"
#include "store/store.h"
#include "supervisor/awaited.h"
#include "supervisor/cgroups.h"
#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/fault.h"
#include "supervisor/health.h"
#include "supervisor/history.h"
#include "supervisor/ledger.h"
#include "supervisor/log.h"
#include "supervisor/output.h"
#include "supervisor/pids.h"
#include "supervisor/policy.h"
#include "supervisor/recovery.h"
#include "supervisor/service.h"

/* Of the name in a row of the store; what is not a cause of ours is unseen. */
enum ep_cause app_cause_named(const char *name)
{
	for (int i = EP_CRASHED; name && i < EP_CAUSES; i++)
		if (strcmp(name, ep_cause_name((enum ep_cause)i)) == 0)
			return (enum ep_cause)i;
	return EP_UNSEEN;
}

static struct ep_end end_of_row(const struct store_incarnation *row)
{
	struct ep_end end = { .cause = app_cause_named(row->cause) };

	if (row->signal > 0) {
		end.kind = EP_END_SIGNAL;
		end.value = (unsigned)row->signal;
	} else if (row->code >= 0) {
		end.kind = EP_END_CODE;
		end.value = (unsigned)row->code;
	}
	end.oom = row->oom < 0 ? EP_OOM_UNKNOWN : row->oom ? EP_OOM_YES : EP_OOM_NO;
	return end;
}

/* The larger of what the store and the registry say (I8); the registry is the redo log. */
static void raise_totals(struct app *app, const struct store_state *state)
{
	for (int i = 0; i < EP_TOTALS; i++)
		/* Relaxed: this thread is the only writer (I4). */
		if (atomic_load_explicit(&app->registry->total[i], memory_order_relaxed) <
		    state->totals[i])
			atomic_store_explicit(&app->registry->total[i], state->totals[i],
					      memory_order_relaxed);
}

/* With `epochd run` a person says anew that it shall run, and after a clean end that what was is over:
 * otherwise one that was fatal or stopped would never be started, and nobody be told. */
static void want_anew(struct app *app, const struct found_at_start *at_start)
{
	app->wanted = true;
	if (at_start->clean || app->fatal)
		app->forgiven_at = clock_real();
	app->fatal = false;
}

static void take_state(struct app *app, const struct found_at_start *at_start,
		       const struct store_state *state)
{
	app->wanted = state->wanted && !app->removed;
	app->fatal = state->fatal;
	app->reserved = state->reserved;
	app->forgiven_at = state->forgiven_at;
	app->since = state->since;
	if (app->epochd->run_mode && !app->removed)
		want_anew(app, at_start);
}

static void remember_end(struct app *app, uint32_t epoch, struct ep_end end, int64_t ended_at)
{
	app->end = end;
	app->end_epoch = epoch;
	app->ended_at = ended_at;
}

/* ---- without a registry ---- */

/* A process of a lost segment: it cannot be fenced any more, so it must go (I7). */
static void kill_unfenced(struct app *app, const struct store_incarnation *row)
{
	struct identity identity = { .pid = row->pid, .start_ticks = row->start_ticks,
				     .pidfd_inode = row->pidfd_inode };
	int pidfd = row->pid > 0 && (row->start_ticks || row->pidfd_inode) ?
		    identity_open(&identity, app->epochd->kernel) : -ESRCH;

	if (pidfd < 0)
		return;
	log_error(0, "app %s epoch %u: still runs as pid %d, but its registry is lost: ended",
		  app->config->name, row->epoch, (int)row->pid);
	app->identity = identity;
	app->pidfd = pidfd;
}

static void end_in_store(struct app *app, const struct store_incarnation *row)
{
	struct store_incarnation ended = *row;

	ended.cause = ep_cause_name(app->end.cause);
	ended.detail = NULL;
	ended.restart = NULL;
	store_app_incarnation(app->stored, &ended);
}

/* 1 when an incarnation was running as far as the store knows. */
static int last_of_store(struct app *app, const struct found_at_start *at_start,
			 const struct store_state *state)
{
	struct store_incarnation row;

	/* Nothing durable, so nothing has run (I1). */
	if (at_start->running || !state->reserved ||
	    store_last_incarnation(app->epochd->store, app->config->name, &row) <= 0)
		return 0;
	if (row.cause) {
		remember_end(app, row.epoch, end_of_row(&row), row.ended_at);
		return 0;
	}
	remember_end(app, row.epoch,
		     (struct ep_end){ .cause = at_start->same_boot ? EP_UNSEEN : EP_BOOT }, 0);
	end_in_store(app, &row);
	if (at_start->same_boot)
		kill_unfenced(app, &row);
	return 1;
}

/* Who else may look at handles without joining. */
static void permit_registry(const struct app *app, const struct found_at_start *at_start)
{
	const struct config *config = app->epochd->config;
	const char *name = app->config->name;

	if (config->segments_group.gid != (gid_t)-1 &&
	    fchownat(at_start->directory, name, (uid_t)-1, config->segments_group.gid, AT_SYMLINK_NOFOLLOW) < 0)
		log_error(-errno, "app %s: its registry cannot be given to group %s", name, config->segments_group.name);
	if (fchmodat(at_start->directory, name, config->segments_mode, 0) < 0)
		log_error(-errno, "app %s: the mode of its registry", name);
}

static int make_registry(struct app *app, const struct found_at_start *at_start,
			 const struct ep_registry_id *id)
{
	int r;

	ep_registry_close_fence(at_start->directory, id->name);
	r = ep_registry_create(&app->registry, at_start->directory, id);
	if (r < 0)
		return log_error(r, "app %s: cannot make its registry in %s", app->config->name,
				 app->epochd->segment_dir);
	return 0;
}

/* Missing or bad, or of another boot: unless the last run ended clean, every epoch that was reserved
 * may have been used (I2). */
static int recover_anew(struct app *app, const struct found_at_start *at_start,
			const struct ep_registry_id *id, const struct store_state *state)
{
	bool ran = last_of_store(app, at_start, state);
	int r = make_registry(app, at_start, id);

	if (r < 0)
		return r;
	raise_totals(app, state);
	app->epoch = at_start->clean ? state->used : state->reserved;
	if (at_start->store_lost && app->epoch < at_start->highest)
		app->epoch = at_start->highest;
	if (app->epoch < state->used)
		app->epoch = state->used;
	if (!at_start->clean && app->end.cause != EP_ASKED)
		app->restart_cause = app->end.cause;
	app_fence(app, app->fatal ? EP_FATAL : EP_DOWN, app->end);
	app->found = app->pidfd >= 0 ? FOUND_ENDED : FOUND_NOTHING;
	if (app->found == FOUND_NOTHING && app->cgroup >= 0 &&
	    (at_start->store_lost || !at_start->clean))
		app->found = FOUND_STRAYS;
	if (ran && !at_start->clean)
		log_notice(0, "app %s: epoch %u ended unseen; goes on above %u", app->config->name,
			   app->end_epoch, app->epoch);
	return 0;
}

/* ---- with a registry ---- */

/* A restart was being counted: it holds if its start is in the fence word, otherwise it never was. */
static void redo(struct app *app, uint64_t fence)
{
	struct ledger_record *ledger = app->ledger;
	/* Acquire, with the release in begin(): cause and total were written before it. */
	uint64_t epoch = atomic_load_explicit(&ledger->redo_epoch, memory_order_acquire);
	_Atomic uint64_t *total;

	if (epoch && epoch <= ep_fence_epoch(fence) && ledger->redo_cause > EP_NO_CAUSE &&
	    ledger->redo_cause < EP_CAUSES) {
		total = &app->registry->total[ep_total_of_restart((enum ep_cause)ledger->redo_cause)];
		/* Relaxed: this thread is the only writer (I4). Absolute: again is harmless. */
		if (atomic_load_explicit(total, memory_order_relaxed) < ledger->redo_total)
			atomic_store_explicit(total, ledger->redo_total, memory_order_relaxed);
	}
	/* Release: not before the total. */
	atomic_store_explicit(&ledger->redo_epoch, 0, memory_order_release);
}

/* Written at once, while the store may have been a slow disk behind. */
static void take_wish(struct app *app)
{
	uint64_t wish = app->ledger->wish;

	if (!(wish & LEDGER_WISH) || app->epochd->run_mode)   /* see want_anew() */
		return;
	app->wanted = (wish & LEDGER_WISH_STARTED) && !app->removed;
	app->fatal = wish & LEDGER_WISH_FATAL;
	if (app->ledger->forgiven_at > app->forgiven_at)
		app->forgiven_at = app->ledger->forgiven_at;
}

/* Entries beyond the fence were prepared and never begun; the others go to the store once more. */
static void take_incarnations(struct app *app)
{
	for (int i = 0; i < LEDGER_INCARNATIONS; i++) {
		struct ledger_incarnation *entry = &app->ledger->incarnation[i];
		/* Acquire, with the release in ledger_incarnation_add(). */
		uint32_t epoch = atomic_load_explicit(&entry->epoch, memory_order_acquire);
		struct ep_end end;

		if (epoch > app->epoch)
			atomic_store_explicit(&entry->epoch, 0, memory_order_relaxed);
		if (!epoch || epoch > app->epoch)
			continue;
		app_fill_incarnation(app, epoch, NULL);
		if (ledger_incarnation_has_ended(entry, &end) && epoch > app->end_epoch)
			remember_end(app, epoch, end, entry->ended_at);
	}
}

void app_remember_restart(struct app *app, uint32_t epoch, int64_t started_at, enum ep_cause cause)
{
	int64_t age = clock_real() - started_at;

	if (epoch <= app->remembered)
		return;
	app->remembered = epoch;
	history_add(&app->history, clock_now() - (age > 0 ? age : 0),
		    policy_counts(cause) && started_at >= app->forgiven_at,
		    app->config->intensity.restarts);
}

/* Those that the store did not have yet. In order: each is remembered once. */
void app_remember_ledger(struct app *app)
{
	for (uint32_t epoch = app->epoch > LEDGER_INCARNATIONS ? app->epoch - LEDGER_INCARNATIONS : 1;
	     epoch && epoch <= app->epoch; epoch++) {
		struct ledger_incarnation *entry = ledger_incarnation_find(app->ledger, epoch);

		if (entry && entry->restart && entry->restart < EP_CAUSES)
			app_remember_restart(app, epoch, entry->started_at,
					     (enum ep_cause)entry->restart);
	}
}

/* Between clone and the parent's next instruction only the pid is known: that it is ours is then told
 * by its cgroup or token, asked while its pidfd is held. The token shows once its exec is over: that is
 * awaited for a moment, before the loop turns, since otherwise it would be ended as a stranger's. */
static int open_by_pid(const struct app *app, struct identity *identity)
{
	struct incarnation_id id = app_incarnation(app);
	struct leftovers leftovers = app_leftovers(app);
	struct timespec pause = { .tv_nsec = 1000000 };
	int pidfd = identity_complete(identity) == 0 ? identity_open(identity, app->epochd->kernel) :
						       -ESRCH;

	id.main = 0;   /* its number says nothing */
	for (int tries = 0; pidfd >= 0 && tries < 200 && !pidfd_is_dead(pidfd); tries++) {
		if (incarnation_has(&leftovers, &id, identity->pid))
			return pidfd;
		nanosleep(&pause, NULL);
	}
	if (pidfd >= 0)
		close(pidfd);
	return -ESRCH;
}

static void find_process(struct app *app, uint64_t word)
{
	struct ledger_incarnation *entry = ledger_incarnation_find(app->ledger, app->epoch);
	struct identity *identity = &app->identity;
	bool only_pid;

	if (!ledger_identity_get(app->ledger, app->epoch, identity) &&
	    spawn_word_epoch(word) == app->epoch && spawn_word_state(word) == SPAWN_CLAIMED)
		*identity = (struct identity){ .pid = spawn_word_pid(word) };
	only_pid = !identity->start_ticks && !identity->pidfd_inode;
	if (identity->pid > 0)
		app->pidfd = only_pid ? open_by_pid(app, identity) :
					identity_open(identity, app->epochd->kernel);
	if (app->pidfd < 0)
		app->pidfd = -1;
	if (app->pidfd >= 0 && only_pid)
		ledger_identity_set(app->ledger, app->epoch, identity);
	if (entry) {
		if (app->pidfd >= 0)
			entry->pid = identity->pid;
		app->started_at = entry->started_at;
		app->up_at = entry->up_at;
	}
}

/* Exactly one of us and a child that is still in the old supervisor's memory wins. */
static bool cancel_spawn(struct app *app, uint64_t word)
{
	uint64_t open = word;

	if (spawn_word_epoch(word) != app->epoch || spawn_word_state(word) != SPAWN_OPEN)
		return false;
	/* Acquire and release, with the child's compare-and-swap. */
	if (!atomic_compare_exchange_strong_explicit(
		    &app->ledger->spawn, &open,
		    spawn_word(app->epoch, spawn_word_attempt(word), SPAWN_CANCELLED, 0),
		    memory_order_acq_rel, memory_order_acquire))
		return false;
	FAULT(spawn_word_cancelled);
	return true;
}

static enum found what_was_found(struct app *app, uint64_t fence)
{
	struct ledger_incarnation *entry = ledger_incarnation_find(app->ledger, app->epoch);
	enum ep_state state = ep_fence_state(fence);
	uint64_t word;

	if (app->epoch == 0)
		return FOUND_NOTHING;
	/* Acquire, with the child's compare-and-swap. */
	word = atomic_load_explicit(&app->ledger->spawn, memory_order_acquire);
	if (state == EP_STARTING && (spawn_word_state(word) == SPAWN_CANCELLED ||
				     cancel_spawn(app, word)))
		return FOUND_CANCELLED;
	/* Acquire: the child may have won just now. */
	word = atomic_load_explicit(&app->ledger->spawn, memory_order_acquire);
	find_process(app, word);
	if (state == EP_DOWN || state == EP_FATAL) {
		app->fatal = app->fatal || (state == EP_FATAL && !app->epochd->run_mode);
		remember_end(app, app->epoch, ep_fence_end(fence),
			     entry && entry->ended_at ? entry->ended_at : clock_real());
		return FOUND_ENDED;
	}
	return app->pidfd >= 0 ? FOUND_ALIVE : FOUND_LOST;
}

static void recover_from_words(struct app *app, const struct found_at_start *at_start,
			       const struct store_state *state)
{
	/* Acquire, with the release in app_fence() of the supervisor before us. */
	uint64_t fence = atomic_load_explicit(&app->registry->fence, memory_order_acquire);
	struct clients_place place = service_place(app);
	struct store_incarnation row;

	app->epoch = ep_fence_epoch(fence);
	take_wish(app);
	redo(app, fence);
	raise_totals(app, state);
	if (!at_start->running && store_last_ended(app->epochd->store, app->config->name, &row) > 0)
		remember_end(app, row.epoch, end_of_row(&row), row.ended_at);
	take_incarnations(app);
	app->found = what_was_found(app, fence);
	clients_recover(&place);
	if (app->epoch < state->used) {   /* no registry of ours is behind its store */
		app->epoch = state->used;
		app_fence(app, EP_DOWN, app->end);
		app->found = app->pidfd >= 0 ? FOUND_LOST : FOUND_NOTHING;
	}
	FAULT(registry_recovered);
}

static int recover(struct app *app, const struct found_at_start *at_start)
{
	struct epochd *epochd = app->epochd;
	struct ep_registry_id id = { .uuid = epochd->uuid, .boot_id = epochd->boot_id,
				     .name = app->config->name, .slots = app->config->clients.max };
	struct store_state state;
	const char *why;
	int r = ledger_record_get(&app->ledger, epochd->ledger, app->config->name);

	if (r < 0)
		return log_error(r, "app %s: no room for it in the ledger (%s)", app->config->name,
				 epochd->segment_dir);
	store_app_state(app->stored, &state);
	take_state(app, at_start, &state);
	app->cgroup = cgroup_find(epochd->cgroups, app->config->name);
	if (app->cgroup < 0)
		app->cgroup = -1;
	app->cgroup_used = app->cgroup >= 0;   /* by the supervisor before us, for all we know */
	r = ep_registry_open(&app->registry, at_start->directory, &id, &why);
	if (r == -EBADMSG || r == -ESTALE) {
		epochd->segments_cleaned++;
		log_error(0, "app %s: its registry is replaced: %s", app->config->name,
			  why ? why : "it is of another boot, or of another instance");
		recovery_make_way(epochd, app->config->name);
	}
	if (r == 0 && !at_start->ledger_fresh) {
		recover_from_words(app, at_start, &state);
		return 0;
	}
	if (r == 0) {   /* a registry without its ledger tells the epoch, but not what runs */
		uint64_t fence = atomic_load_explicit(&app->registry->fence, memory_order_acquire);

		raise_totals(app, &state);
		for (int i = 0; i < EP_TOTALS; i++)
			state.totals[i] = atomic_load_explicit(&app->registry->total[i],
							       memory_order_relaxed);
		if (state.used < ep_fence_epoch(fence))
			state.used = ep_fence_epoch(fence);
		ep_registry_unmap(app->registry);
		app->registry = NULL;
	}
	memset(app->ledger->incarnation, 0, sizeof app->ledger->incarnation);
	ledger_identity_set(app->ledger, 0, &app->identity);
	return recover_anew(app, at_start, &id, &state);
}

int app_recover(struct app *app, const struct found_at_start *at_start)
{
	int r = recover(app, at_start);

	if (r == 0)
		permit_registry(app, at_start);
	return r;
}

/* ---- going on ---- */

/* Also of one whose output is not configured any more, so that nobody knows where it went: it must not wait
 * for us, not even to end. */
static void read_output(struct app *app)
{
	struct outputs *outputs = app->epochd->outputs;
	const char *name = app->config->name;

	app_open_output(app);
	if (app->output || !output_is_there(outputs, name))
		return;
	log_notice(0, "app %s epoch %u: its output is not configured any more: dropped", name, app->epoch);
	if (output_add(&app->output, outputs, name, "/dev/null", 0, 0) < 0)
		log_error(-ENOMEM, "app %s: nobody reads its output", name);
}

static void adopt(struct app *app)
{
	/* Acquire: as in recover_from_words(). */
	uint64_t fence = atomic_load_explicit(&app->registry->fence, memory_order_acquire);
	int64_t age = app->up_at ? clock_real() - app->up_at : 0;

	app->active = true;
	app->adopted = true;
	app->watchdog = app->ledger->watchdog ? (int64_t)(app->ledger->watchdog - 1) :
						app->config->watchdog;
	app->up_since = clock_now() - (age > 0 ? age : 0);
	app->oom_kills = -1;
	read_output(app);
	app_open_notify(app);
	app_watch_process(app);
	if (pids_add(app->epochd->pids, app->identity.pid, app_child_exited, app) < 0)
		log_error(-ENOMEM, "app %s: out of memory", app->config->name);
	if (ep_fence_state(fence) == EP_STOPPING)
		app->ending = ep_fence_end(fence).cause;
	app->state = ep_fence_state(fence) == EP_UP ? APP_UP :
		     ep_fence_state(fence) == EP_STOPPING ? APP_STOPPING : APP_STARTING;
	log_notice(0, "app %s epoch %u: adopted, pid %d, %s", app->config->name, app->epoch,
		   (int)app->identity.pid, app_state_name(app->state));
	app_post(app, "adopted", app_state_name(app->state));
	FAULT(adopted);
}

/* Deadlines begin anew at adoption. */
static void go_on_as_adopted(struct app *app)
{
	adopt(app);
	switch (app->state) {
	case APP_STARTING:
		if (app->config->readiness == READINESS_NONE)
			app_is_up(app, NULL);
		else if (app->config->start_timeout)
			app_set_deadline(app, app->config->start_timeout);
		break;
	case APP_STOPPING:
		if (app->ending != EP_NO_CAUSE)   /* otherwise it ends by itself */
			pidfd_signal(app->pidfd, app->config->stop_signal);
		app_set_deadline(app, app->config->stop_timeout);
		break;
	default:
		app_watchdog_adopted(app);
		if (app->config->health.command && health_new(&app->health, app) < 0)
			log_error(-ENOMEM, "app %s: its health is not watched", app->config->name);
		break;
	}
	if (!app->wanted)
		app_end(app, EP_ASKED);
}

static void spawn_again(struct app *app)
{
	/* Relaxed: whoever held the word before has lost it. */
	uint64_t word = atomic_load_explicit(&app->ledger->spawn, memory_order_relaxed);

	app->active = true;
	app->state = APP_STARTING;
	app->identity = (struct identity){ 0 };
	app->watchdog = app->config->watchdog;
	app->up_since = clock_now();
	app->oom_kills = -1;
	app_open_output(app);
	app_open_notify(app);
	app_clean_shm(app, app->epoch);
	/* That of a child which found its word cancelled is nobody's. */
	ledger_identity_set(app->ledger, 0, &app->identity);
	/* Release, with the child's compare-and-swap. Another attempt: an old child cannot take it. */
	atomic_store_explicit(&app->ledger->spawn,
			      spawn_word(app->epoch, spawn_word_attempt(word) + 1, SPAWN_OPEN, 0),
			      memory_order_release);
	app_spawn(app);
}

/* Its end is known; what it left behind may not be gone. */
static void go_on_after_end(struct app *app)
{
	struct ledger_incarnation *entry = ledger_incarnation_find(app->ledger, app->epoch);
	struct ep_end end;

	app->active = true;
	app->adopted = true;
	app->is_old_news = entry && ledger_incarnation_has_ended(entry, &end);
	if (entry && !app->is_old_news) {
		ledger_incarnation_end(entry, app->end, app->ended_at);
		app_fill_incarnation(app, app->epoch, NULL);
	}
	app->gone_since = clock_now();
	app->sweep_delay = 0.001;
	app->told_stuck = false;
	app_sweep(app);
}

static void it_is_over(struct app *app, enum ep_cause cause)
{
	app->active = true;
	app->adopted = true;
	app_lost(app, (struct ep_end){ .cause = cause });
}

/* An end for good that a supervisor before us saw, and was killed: this run is a new one. */
static void start_for_run(struct app *app)
{
	if (app->found == FOUND_ENDED && !policy_restarts(app->config, &app->end))
		app->again = app->uncounted = true;
}

void app_resume(struct app *app)
{
	app->to_resume = false;
	if (app->epochd->run_mode)
		start_for_run(app);
	awaited_load(app, app->found == FOUND_ALIVE ? app->epoch : 0);
	switch (app->found) {
	case FOUND_NOTHING:
		app_try_start(app);
		break;
	case FOUND_STRAYS:
		app->strays = true;
		app->active = true;
		app->adopted = true;
		app->gone_since = clock_now();
		app->sweep_delay = 0.001;
		app_sweep(app);
		break;
	case FOUND_CANCELLED:
		if (app->wanted && !app->config->external)
			spawn_again(app);
		else   /* stopped, taken out of the configuration, or external by now: it never ran */
			it_is_over(app, EP_ASKED);
		break;
	case FOUND_ALIVE:
		go_on_as_adopted(app);
		break;
	case FOUND_LOST:
		it_is_over(app, EP_UNSEEN);
		break;
	case FOUND_ENDED:
		go_on_after_end(app);
		break;
	}
	app_save(app);
}
