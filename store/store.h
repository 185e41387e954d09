/* The store: what must survive. One SQLite database for each instance, written by one thread.
 *
 * The loop never waits for it (I9): it hands over the state of an application as absolute values,
 * the writer thread commits all that is dirty in one transaction (group commit, one fsync), and
 * tells the loop through `wake`, upon which the loop calls store_dispatch(). A list of dirty
 * applications, each in it at most once, is all the queue there is. Totals are odometers: the store
 * keeps the larger of its own and what it is given, and never adds (I8). Epochs and reservations
 * never go down (I2).
 *
 * Unless a comment says otherwise a function is for the loop's thread, does not touch the disk and
 * returns 0 or a negative errno. Nothing here logs. Another engine can stand behind this header. */
#ifndef EPOCHD_STORE_H
#define EPOCHD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;       /* one database */
struct store_app;   /* one application in it; lives as long as the store */

/* Totals by name, in the order of the registry's ep_total_id. Each is a column. */
#define STORE_TOTALS(X) \
	X(restarts_crashed) X(restarts_exited) X(restarts_watchdog) X(restarts_health) \
	X(restarts_start_failed) X(restarts_start_timeout) X(restarts_asked) \
	X(restarts_reconfigured) X(restarts_group) X(restarts_boot) X(restarts_unseen) \
	X(reclaimed_messages) X(reclaimed_bytes) X(reclaimed_channels_lost) \
	X(abandoned_buffers) X(abandoned_bytes) \
	X(clients_registered) X(clients_reaped) X(clients_confused) \
	X(refused_stale_epoch) X(refused_stale_generation) X(refused_free_slot) X(refused_down) \
	X(refused_not_a_handle) X(shm_cleaned_files) X(shm_cleaned_bytes) \
	X(held_buffers) X(held_bytes) X(overdue_buffers) X(overdue_bytes)
#define STORE_TOTAL_ID(name) STORE_TOTAL_##name,
enum store_total { STORE_TOTALS(STORE_TOTAL_ID) STORE_TOTALS_COUNT };
#undef STORE_TOTAL_ID

struct store_options {
	const char *path;              /* of the database file; its directory exists */
	const char *instance;          /* name, for the record */
	const char *scratch;           /* directory (in memory) for a copy, should it not be readable as it is */
	const char *boot_id;           /* of the running kernel, 36 characters */
	const char *uuid;              /* adopted if the database is new or lost; NULL: make one */
	unsigned keep_events;          /* pruned to about this many, the newest kept */
	unsigned keep_incarnations;    /* for each application; see store_app_keep_for() */
	void (*wake)(void *user);      /* any thread: have store_dispatch() called, soon but not at once */
	void (*committed)(struct store_app *app, void *user);   /* from store_dispatch() */
	void *user;
};

/* What opening found. Strings belong to the store. */
struct store_found {
	const char *uuid;          /* of the instance, 36 characters */
	const char *last_boot_id;  /* of the run before; NULL: there was none */
	const char *set_aside;     /* path to which a corrupt database was moved; NULL: none was */
	const char *why;           /* set aside; NULL otherwise */
	bool created;              /* the database is new, or was lost */
	bool unwritable;           /* for now: nothing of this run is durable */
	bool last_clean;           /* the run before ended clean (true if there was none) */
	uint64_t runs;             /* of the supervisor, this one counted */
	uint64_t unclean_runs;
};

/* Opens, migrates, begins a run of the supervisor and loads every application; a corrupt database
 * is set aside under a dated name, salvaged as far as it can be read, and made anew. Durable when it
 * returns, but for one that cannot be written: that is loaded as it is (nothing, where there is none), and
 * the run begins with the first commit that goes through. Until then no epoch counts as reserved if the
 * run before ended clean: what that reserved was not used, and nothing durable would tell that it is (I2).
 * Blocks on the disk: before the loop turns. No thread runs before store_start().
 *   -EINVAL      made by a newer version of the schema
 *   -EREMOTEIO   on a network file system: locks and WAL do not work there
 *   other        cannot be read, or is corrupt and cannot be made anew */
int store_open(struct store **out, const struct store_options *options, struct store_found *found);

/* Starts the writer and the reader thread (all signals blocked in them). store_check() has quick_check
 * run, once, in a thread that ends with it, so that no commit waits for it; a database that fails it
 * is set aside by the writer and rebuilt from what it still gives and what the loop last handed over,
 * which store_health() then tells. */
int store_start(struct store *store);
void store_check(struct store *store);

/* Other limits than store_open() was given; from the next commit on. */
void store_set_keep(struct store *store, unsigned events, unsigned incarnations);

/* Commits what is dirty, blocking for as long as that takes, and closes. CLEAN: the run is recorded
 * as ended clean: nothing runs any more. KEPT: it ended as it was asked to, and all runs on. store becomes invalid whatever is returned; NULL is fine (0). A negative errno means
 * that the last state is not durable: the segments must then be left where they are. */
enum store_ending { STORE_UNCLEAN, STORE_CLEAN, STORE_KEPT };
int store_close(struct store *store, enum store_ending ending);

/* ---- applications ---- */

/* The state of an application, absolute. */
struct store_state {
	uint32_t used;                  /* highest epoch used */
	uint32_t reserved;              /* put: reserve up to here; get: durable */
	bool wanted;                    /* a person wants it started */
	bool fatal;
	int64_t forgiven_at;            /* restarts before this do not count for intensity;
					 * CLOCK_REALTIME, ns */
	int64_t since;                  /* when it was first seen, CLOCK_REALTIME, ns; put ignores it
					 * once it is set */
	uint64_t totals[STORE_TOTALS_COUNT];
};

/* The application of this name; made if the store does not know it (then state is all 0, wanted
 * true). O(1). Does not block. */
int store_app_get(struct store_app **out, struct store *store, const char *name);
struct store_app *store_app_find(const struct store *store, const char *name);   /* O(1); or NULL */
const char *store_app_name(const struct store_app *app);
/* Whose it is in the supervisor, for the way back from a store_app; NULL at first. The loop's. */
void store_app_set_owner(struct store_app *app, void *owner);
void *store_app_owner(const struct store_app *app);

/* What the store knows: as loaded, raised by each put; `reserved` only by a commit. */
void store_app_state(const struct store_app *app, struct store_state *out);

/* Every application the store knows, configured or not; for recovery. fn may not add any. */
typedef void store_app_fn(struct store_app *app, void *user);
void store_each_app(struct store *store, store_app_fn *fn, void *user);

/* Hands over the state and marks the application dirty. A commit holds an application, its rows too,
 * as handed over up to one moment. */
void store_app_put(struct store_app *app, const struct store_state *state);

/* Of the channels of an incarnation's clients, when all of them were counted. */
struct store_reclaimed {
	bool is_known;
	uint64_t messages, bytes;
	uint64_t channels_lost;
	uint64_t collected_buffers, collected_bytes;   /* for whatever cause */
};

/* One incarnation, a row keyed by (application, epoch). Strings are static, or the store's in what
 * is read back: valid until the callback returns. */
struct store_incarnation {
	uint32_t epoch;
	int32_t pid;             /* 0: never ran */
	uint64_t start_ticks;    /* of the process, clock ticks since boot; 0: not known */
	uint64_t pidfd_inode;    /* 0: not known */
	int64_t started_at;      /* CLOCK_REALTIME, ns; these three 0 where not (yet) so */
	int64_t up_at;
	int64_t ended_at;
	const char *restart;     /* the cause its start was counted under; NULL: no restart */
	const char *cause;       /* it ended by; NULL: it has not ended */
	int code;                /* exit code; -1: none, not known */
	int signal;              /* number; 0: none, not known */
	int oom;                 /* 1, 0; -1: not known */
	const char *detail;      /* one line for people ("exec: No such file ..."); NULL. Copied. */
	struct store_reclaimed reclaimed;
	/* Stale files in shared memory that were removed before it began, and after it ended for good: a JSON object
	 * (epochd-api(7)), less than 4 KiB; NULL: none. Copied. */
	const char *shm;
};

/* Upserts in the next commit, and marks the application dirty. What is not known (0, NULL, -1)
 * never overwrites what is. -ENOMEM. */
int store_app_incarnation(struct store_app *app, const struct store_incarnation *row);

/* Rows started within the last `ns` are not pruned, however many they are. 0, as at first: no such rule. */
void store_app_keep_for(struct store_app *app, int64_t ns);

/* Rows handed over in the order of their epochs up to here are durable. 0: none yet in this run. Goes
 * down to below a row that is handed over again, until that is durable as well. */
uint32_t store_app_durable_through(const struct store_app *app);

/* The restarts (rows whose `restart` is set) started since then, oldest first.
 * Blocks on the disk: between store_open() and store_start() only. */
typedef void store_restart_fn(struct store_app *app, uint32_t epoch, int64_t started_at,
			      const char *restart, void *user);
int store_restarts_since(struct store *store, int64_t since, store_restart_fn *fn, void *user);

/* The newest row of an application, ended or not. Blocks: before store_start() only. 1, 0 if there
 * is none, or negative errno. */
int store_last_incarnation(struct store *store, const char *app, struct store_incarnation *out);
/* The newest that has ended; likewise. */
int store_last_ended(struct store *store, const char *app, struct store_incarnation *out);

/* ---- events ---- */

struct store_event {
	uint64_t number;      /* set by store_event(); grows, may have gaps, never used twice */
	int64_t at;           /* CLOCK_REALTIME, ns */
	const char *app;      /* NULL: of the supervisor itself */
	uint32_t epoch;       /* 0: of none */
	const char *event;    /* one word: "up", "down", ... */
	const char *reason;   /* a line; NULL: none */
};

/* Gives the event its number and hands it over; strings are copied. Numbers are reserved durably ahead,
 * 10,000 at a time; once no disk has taken any for so long that they are spent, the clock gives them
 * (microseconds), and they stay that large. When more than 65,536 wait for a
 * disk that does not take them, the oldest are dropped and counted. */
void store_event(struct store *store, struct store_event *event);

/* ---- reports: read by a thread of their own, answered from store_dispatch() ---- */

/* r: 0 or negative errno; rows newest first, valid until it returns. */
typedef void store_incarnations_fn(int r, const struct store_incarnation *rows, size_t count,
				   void *user);
typedef void store_events_fn(int r, const struct store_event *rows, size_t count, void *user);

/* before: only epochs (numbers) below it; 0: from the newest. limit: 1 to 1000. app for events:
 * NULL: of all. Each sees all that was handed over before the call (the reader waits for the commit
 * that holds it, up to a second, while the database can be written). -EBUSY: 64 wait already. */
int store_read_incarnations(struct store *store, const char *app, uint32_t before, unsigned limit,
			    store_incarnations_fn *fn, void *user);
int store_read_events(struct store *store, const char *app, uint64_t before, unsigned limit,
		      store_events_fn *fn, void *user);
/* Forgets the reads of this user; their functions are not called any more. */
void store_read_cancel(struct store *store, void *user);

/* ---- the loop's side ---- */

/* While held, what is handed over does not wake the writer; letting go does, if something was. So that
 * a turn of the loop that restarts an application wakes it once, after the restart. */
void store_hold(struct store *store);
void store_let_go(struct store *store);

/* Calls what waits: committed(), of a few applications, the rest after another wake(); and the functions
 * of finished reads. Never blocks. */
void store_dispatch(struct store *store);

struct store_health {
	bool writable;             /* the last commit went through */
	int64_t unwritable_since;  /* CLOCK_REALTIME, ns; 0 */
	int error;                 /* errno of the last failure; 0 */
	char text[160];            /* of the last failure, for people; "" */
	uint64_t commits;
	uint64_t events_dropped;
	bool rebuilt;              /* while running, from what was in memory and what could be read: */
	char set_aside[256];       /* of a corrupt one; "": it was not there any more */
	char set_aside_why[160];
};
void store_health(struct store *store, struct store_health *out);

/* ---- looking at a database that no supervisor has open (epochctl --db) ---- */

struct store_view;
struct store_view_info {
	char uuid[40];
	char instance[64];
	char boot_id[40];        /* of the newest run */
	uint64_t runs, unclean_runs;
	int64_t started_at;      /* of the newest run */
	bool copied;             /* it was a private copy that could be read, see below */
};
/* Opens read-only as it is where that works, else a private copy of it and its WAL (in $TMPDIR,
 * unlinked as soon as it is open). -EINVAL: of another version, or none of ours. -EUCLEAN: corrupt. Everything about a view blocks on the disk. */
int store_view_open(struct store_view **out, const char *path, struct store_view_info *info);
void store_view_close(struct store_view *view);
typedef void store_view_app_fn(const char *name, const struct store_state *state,
			       const struct store_incarnation *last, void *user);   /* last: or NULL */
int store_view_apps(struct store_view *view, store_view_app_fn *fn, void *user);
int store_view_incarnations(struct store_view *view, const char *app, uint32_t before,
			    unsigned limit, store_incarnations_fn *fn, void *user);
int store_view_events(struct store_view *view, const char *app, uint64_t before, unsigned limit,
		      store_events_fn *fn, void *user);
#endif
