/* The inside of struct app, for the files app_*.c, groups.c and recovery.c: one state machine, told in
 * several files, each one idea. Everyone else uses app.h. */
#ifndef EPOCHD_APP_PRIVATE_H
#define EPOCHD_APP_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include <ev.h>

#include "apilib/fence.h"
#include "supervisor/app.h"
#include "supervisor/identity.h"
#include "supervisor/leftovers.h"
#include "supervisor/trace.h"

struct ep_page;
struct health;   /* health.h */
struct history;
struct ledger_record;
struct notify;
struct output;
struct service;
struct spawn;
struct store_app;
struct store_state;

/* What recovery found of an application. */
enum found {
	FOUND_NOTHING,     /* no incarnation: start it if it is wanted */
	FOUND_STRAYS,      /* nothing is known, but something may run in its cgroup */
	FOUND_CANCELLED,   /* an epoch begun, its process never made: it is made now */
	FOUND_ALIVE,
	FOUND_LOST,        /* it ended unseen */
	FOUND_ENDED,       /* its end was seen, the next was not begun */
};

struct app {
	struct epochd *epochd;
	const struct app_config *config;
	struct ep_page *registry;
	struct ledger_record *ledger;
	struct store_app *stored;

	enum app_state state;
	uint32_t epoch;              /* current, or last used */
	uint32_t reserved;           /* durable (I1) */
	char *reason;                /* of the state; NULL */
	int64_t retry_at;            /* CLOCK_REALTIME, ns; in backoff */

	bool wanted;                 /* a person wants it started */
	bool fatal;                  /* stored: survives the supervisor */
	bool strays;                 /* swept before the first start: no end of ours */
	bool is_old_news;            /* its end was told by the supervisor before us */
	enum found found;            /* by app_recover(), for app_resume() */
	bool to_resume;              /* app_resume() is yet to come: until then nobody starts it (I7) */
	bool removed;                /* not configured any more: goes when it is down */
	bool again;                  /* start the next as soon as this one is gone, whatever the policy */
	bool uncounted;              /* that next start is none of the restarts: it was stopped before */
	bool waiting;                /* for another application; see groups.c */
	bool awaits_epochs;          /* to become durable */
	bool expected;               /* external: its next process may come */
	bool adopted;                /* started by the supervisor before us */
	bool exit_pending;           /* dead, but the outcome of its exec is yet to be read */
	bool killed;                 /* SIGKILL was sent, and has not ended it yet */
	struct app *held_by;         /* the one of its group that took it down and starts it again with
				      * itself; its own: it is that one. In the ledger too */

	/* The incarnation that runs. */
	bool active;                 /* it is there, or what it left behind is (I7) */
	struct identity identity;
	int pidfd;                   /* -1: none */
	struct spawn *spawn;         /* exec under way */
	int exec_error;              /* negative errno, and the step */
	const char *exec_step;
	bool has_run;                /* under this supervisor, in whatever epoch */
	bool no_room;                /* for it in the system (EAGAIN, ENOMEM, EMFILE): not its fault */
	enum ep_cause ending;        /* why we end it; EP_NO_CAUSE: we do not (stopping: it does itself) */
	int64_t started_at, up_at;   /* CLOCK_REALTIME, ns */
	int64_t up_since;            /* CLOCK_MONOTONIC, ns; of `starting` until it is up */
	int64_t watchdog;            /* ns; 0: off (WATCHDOG_USEC= may have changed it) */
	int64_t oom_kills;           /* of its cgroup, at its start; < 0: not known */

	/* The one that ended last. */
	struct ep_end end;
	uint32_t end_epoch;          /* 0: none yet */
	int64_t ended_at;            /* CLOCK_REALTIME, ns */
	enum ep_cause restart_cause; /* what the next start is counted under; EP_NO_CAUSE: no restart */
	uint32_t remembered;         /* restarts up to this epoch are in `history` */
	unsigned failures;           /* in a row */
	struct history *history;
	int64_t forgiven_at, since;  /* CLOCK_REALTIME, ns */

	int cgroup;                  /* directory fd; -1: none */
	bool cgroup_used;            /* something in it was killed as a whole: see open_cgroup() */
	struct notify *notify;
	struct output *output;
	struct health *health;
	char *status_text;           /* STATUS= */
	struct service *service;     /* what it serves clients with; NULL until one comes */
	struct trace trace;          /* of its messages */

	ev_io exited;                /* the pidfd */
	ev_timer deadline;           /* of the state: start, stop, backoff, the next look at leftovers */
	ev_timer watched;            /* watchdog; WATCHDOG=1 moves it */
	int64_t deadline_at;         /* CLOCK_MONOTONIC, ns: when `deadline` or `watched` is due; 0: none is */
	int64_t deadline_since;      /* when that was set; what moves it later leaves this */
	double sweep_delay;
	int64_t gone_since;          /* CLOCK_MONOTONIC, ns: its process was seen ended; 0: it was not */
	bool told_stuck;             /* that it takes long to be gone */
};

/* app.c */
int app_new(struct app **out, struct epochd *epochd, const struct app_config *config);
void app_free(struct app *app);   /* does not end it; NULL is fine */
/* The one place that changes the state: fence, event, log, and those who wait. */
void app_move(struct app *app, enum app_state state, const char *reason, ...)
	__attribute__((format(printf, 3, 4)));
void app_fence(struct app *app, enum ep_state state, struct ep_end end);
void app_save(struct app *app);   /* hands its state to the store, and asks for epochs */
void app_committed(struct app *app);
void app_store_failing(struct app *app);
void app_set_deadline(struct app *app, int64_t ns);
void app_move_deadline(struct app *app, int64_t at);   /* CLOCK_MONOTONIC, ns */
double app_deadline_seconds(const struct app *app);    /* that there were, with all that moved it */
/* How late the deadline's timer is: more than a second is the loop's own fault. */
bool app_loop_was_away(const struct app *app);
void app_clear_deadline(struct app *app);
bool app_runs(const struct app *app);   /* an incarnation is there, or what it left behind */
struct incarnation_id app_incarnation(const struct app *app);
struct leftovers app_leftovers(const struct app *app);
uint64_t app_post(struct app *app, const char *event, const char *reason);

/* app_start.c */
void app_say_held(struct app *app);   /* for want of a durable epoch, with what the store says */
void app_try_start(struct app *app);
void app_spawn(struct app *app);             /* the incarnation that the spawn word names */
/* External: may a process attach as the next incarnation? Then it is that: takes the pidfd. False: held, for want of
 * a durable epoch; the pidfd stays the caller's. */
bool app_expects(const struct app *app);
bool app_begin_external(struct app *app, pid_t pid, int pidfd);
void app_watch_process(struct app *app);     /* its pidfd, in `pidfd` */
void app_child_exited(void *app);            /* for pids_add() */
void app_is_up(struct app *app, const char *reason);
void app_open_notify(struct app *app);
void app_open_output(struct app *app);

/* app_end.c */
void app_end(struct app *app, enum ep_cause cause);   /* signals; stop-timeout */
/* It said that it ends: calls in flight are served, nobody watches it any more, and it has stop-timeout. */
void app_ends_itself(struct app *app);
void app_kill(struct app *app);                       /* SIGKILL, now */
void app_cannot_be_killed(struct app *app);           /* it outlived that: the reason says so */
void app_exited(struct app *app);                     /* its pidfd is readable */
void app_lost(struct app *app, struct ep_end end);    /* the incarnation is over: fence, record, sweep */
void app_sweep(struct app *app);
void app_decide(struct app *app);                     /* what comes after the end */
void app_describe_end(const struct ep_end *end, char *text, size_t size);
void app_fill_incarnation(const struct app *app, uint32_t epoch, const char *detail);
struct clients_sum;
void app_fill_reclaimed(const struct app *app, const struct clients_sum *sum);

/* app_notify.c */
void app_on_deadline(struct app *app);
void app_watchdog_start(struct app *app);
/* Adopted: with readiness attach it has its start-timeout to come back. */
void app_watchdog_adopted(struct app *app);
/* It serves no more, and so nobody answers: with readiness attach it is not watched until it attaches again. */
void app_detached_watchdog(struct app *app);
bool app_notify_sender(pid_t pid, uid_t uid, void *user);
struct notify_message;
void app_on_notify(const struct notify_message *message, void *user);

/* app_shm.c: stale files, listed with that incarnation. */
void app_clean_shm(struct app *app, uint32_t epoch);

/* groups.c */
bool group_lets(struct app *app);            /* may it start now? otherwise it waits, with the reason */
void group_failed(struct app *app);          /* its end takes others down */
void group_is_up(struct app *app);           /* those who wait for it */
void group_is_down(struct app *app);
void group_forget(struct app *app);          /* it goes: nobody is held by it any more */
void group_retry(struct epochd *epochd);     /* those who wait */
void group_reconfigured(struct epochd *epochd);   /* whoever is in another group is not held any more */
void group_recover(struct epochd *epochd);   /* who is held by whom, as the ledger says */
/* The reason of those who wait names the state of the other: it may have changed in this turn. */
void group_tell_waits(const struct epochd *epochd);
void shutdown_step(struct epochd *epochd);   /* ends what no running one needs */

/* app_recover.c: first the words of all are read, later, with everything in place, each goes on. */
struct found_at_start;
int app_recover(struct app *app, const struct found_at_start *at_start);
void app_resume(struct app *app);
enum ep_cause app_cause_named(const char *name);
/* A restart of before this supervisor, for the last hour and day and for intensity; epochs must grow. */
void app_remember_restart(struct app *app, uint32_t epoch, int64_t started_at, enum ep_cause cause);
void app_remember_ledger(struct app *app);
#endif
