/* The inside of the store: what its threads share. Everything below `lock` is read and written with it
 * held, and it is held for copies in memory only, never across the disk (I9); one entry is copied at a
 * time, so that the loop waits for no more than that. */
#ifndef EPOCHD_STORE_PRIVATE_H
#define EPOCHD_STORE_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "store/sql.h"
#include "store/store.h"

enum {
	EVENT_STRETCH = 10000,     /* numbers reserved ahead */
	EVENTS_WAITING_MAX = 65536,
	READS_MAX = 64,
	SHM_MAX = 4096,            /* bytes of its `shm`, as the next */
	DETAIL_MAX = 512,          /* bytes of an incarnation's detail, the NUL among them */
	FEW_LEFT = 6,              /* epochs: with fewer, more of them are urgent */
};

/* A row of an incarnation that is not durable yet. Stays here until a commit holds its newest version,
 * so a commit that fails loses nothing. */
struct pending {
	struct pending *next;
	uint64_t version, written;   /* written: the version that the commit under way holds */
	struct store_incarnation row;
};

struct store_app {
	struct store *store;
	struct store_app *next_in_bucket;   /* loop's, like `owner` */
	void *owner;
	struct store_app *next_of_all;      /* set once, before it is seen */
	struct store_app *next_dirty, *next_done;
	struct store_app *next_in_flight;   /* writer's, like the two below */
	uint32_t flying_reserved;
	uint16_t rows_since_prune;
	bool dirty, done;
	uint32_t asked;                     /* reservation that was put; state.reserved is durable */
	uint32_t committed_through;
	int64_t keep_for;                   /* ns */
	struct pending *pending, **pending_tail;
	struct store_state state;
	char name[];
};

/* A cause or the like that an incarnation names, kept once for all: there are a dozen of them. */
struct word {
	struct word *next;
	char text[];
};

struct waiting_event {
	struct waiting_event *next;
	struct store_event event;   /* strings stand behind it */
	char text[];
};

struct event_queue {
	struct waiting_event *head, **tail;
	size_t count;
};

struct read {
	struct read *next;
	void *fn_user;
	store_incarnations_fn *incarnations_fn;   /* one of these two */
	store_events_fn *events_fn;
	uint64_t needed;       /* handed over before it was asked */
	uint64_t before;
	unsigned limit;
	bool cancelled;
	int r;
	struct page page;
	char *app;             /* NULL: events of all */
};

struct read_queue {
	struct read *head, **tail;
};

/* What a new database must say of the instance, from memory where a broken one does not. */
struct identity {
	char uuid[40], boot_id[40];
	uint64_t run, unclean;
	int64_t started_at;
};

struct store {
	/* set by store_open() */
	char *path, *instance, *scratch, *set_aside, *why;
	char last_boot_id[40];
	struct identity identity;
	void (*wake)(void *user);
	void (*committed)(struct store_app *app, void *user);
	void *user;

	/* the loop's */
	struct store_app **bucket;
	size_t bucket_count, app_count;
	struct word *words;            /* see intern() */
	bool started, check_started;
	bool held;             /* the writer is not woken for now */
	pthread_t writer, reader, checker;
	struct store_incarnation last; /* of store_last_incarnation() */
	struct page last_page;

	/* the writer's, and before store_start() and in store_close() the caller's */
	struct sql sql;
	bool begun;                    /* this run is durable, and all may be written */
	uint64_t inode;                /* of the database file */
	unsigned events_since_prune;

	pthread_mutex_t lock;
	pthread_cond_t work;           /* for the writer */
	pthread_cond_t reading;        /* for the reader: a question, or a commit or its failure */
	bool stopping, kicked, broken;
	unsigned keep_events, keep_incarnations;
	bool keep_changed;             /* so that all is to be looked at again */
	struct store_app *all;
	struct store_app *dirty, **dirty_tail;
	struct store_app *done, **done_tail;
	size_t done_count;
	struct event_queue events;
	uint64_t handed, committed_seq;
	uint64_t event_number, event_ceiling;
	uint64_t generation;           /* of the file: the reader opens it again when that moved */
	struct timespec retry_at;
	/* Commits that are not urgent wait a little: what comes meanwhile is one group. */
	struct timespec next_at;
	bool pausing, urgent;
	unsigned retry_ms;
	struct store_health health;
	struct read_queue questions, answers;
	struct read *reading_now;
	size_t reads;
	sqlite3 *interruptible_read, *interruptible_check;
};

int64_t store_now(void);   /* CLOCK_REALTIME, ns */

/* store.c. With the lock held; once in the list, however often. */
void store_mark_dirty(struct store_app *app);
void store_free_pending(struct pending *pending);
/* Event numbers that no run before this one can have used, when it is not known which those were: there
 * were never as many events as microseconds. */
uint64_t store_untold_number(uint64_t above);

/* writer.c. store_commit() is the writer's, and store_close()'s after that has ended. */
struct ending {
	enum store_ending how;
};
void *store_writer_main(void *store);
int store_commit(struct store *store, const struct ending *ending);
void *store_check_main(void *store);
/* Any thread: the file of this generation is corrupt; the writer rebuilds it. */
void store_found_broken(struct store *store, uint64_t generation, const char *why);

/* reader.c */
void *store_reader_main(void *store);
void store_answer(struct store *store);   /* loop's: calls the functions of finished reads */
void store_forget_reads(struct store *store);

/* open_to_read.c: opens it read-only as it is where that works, else a private copy of it and its WAL in the
 * directory `scratch` (NULL: one of its own in $TMPDIR), unlinked as soon as it is open. Nothing is prepared.
 * 1: a copy, 0, -ENODATA: there is nothing in it yet, -EINVAL: of another version, or negative errno. */
int store_open_to_read(struct sql *out, const char *path, const char *scratch);

/* rebuild.c: a broken database is replaced in steps that a kill cannot make worse. */
/* Finishes a replacement that was begun and interrupted. 1, 0 if there was none, or negative errno. */
int store_rebuild_resume(const char *path, char *aside, size_t size);
/* A new database beside `path`, filled with what `from` still gives (NULL: nothing), in an open
 * transaction, to which the caller adds what it knows. */
int store_rebuild_begin(struct sql *out, const char *path, sqlite3 *from);
/* Commits, closes it, and puts it where the broken one is, which is set aside. */
int store_rebuild_finish(struct sql *fresh, const char *path, char *aside, size_t size);

/* open.c: opens the database that is there or a new one, migrates and prepares. 1: it is new. */
int store_open_to_write(struct store *store);
/* Once more, after a start that could not write: this run is made durable before anything else is. */
int store_begin(struct store *store);
int store_write_identity(struct sql *into, const struct store *store);
#endif
