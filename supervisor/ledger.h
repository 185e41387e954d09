/* The ledger: the supervisor's private file beside the registries, a record for each application: spawn
 * word, token, redo record, mirror of the reservation, and the incarnations whose rows are not yet
 * durable in the store, so that none is lost with the supervisor however slow the disk. A step of
 * several words is written here first (redo); doing it again is harmless (I8). */
#ifndef EPOCHD_LEDGER_H
#define EPOCHD_LEDGER_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apilib/fence.h"

struct identity;   /* identity.h */
struct ledger;

enum {
	LEDGER_LAYOUT = 3,
	LEDGER_RECORDS_MAX = 65536,
	RESERVED_AHEAD = 16,            /* epochs; refilled when half is used */
	/* What can be waiting for a commit: all that are reserved, and the one that ran at the time. */
	LEDGER_INCARNATIONS = RESERVED_AHEAD + 2,
	LEDGER_IDENTITIES = 3,
	LEDGER_REDO_TOTALS = 12,
};

/* One that the store may not have yet. Valid while `epoch` is not 0: it is written last, and cleared
 * first. `ended` is written last of an end. */
struct ledger_incarnation {
	_Atomic uint32_t epoch;
	int32_t pid;                    /* for people: who it is, is in the record's identity */
	int64_t started_at;             /* CLOCK_REALTIME, ns */
	int64_t up_at;
	int64_t ended_at;
	_Atomic uint32_t ended;         /* how, packed; 0: not ended */
	uint16_t restart;               /* enum ep_cause its start was counted under; 0: none */
	uint16_t reserved;
};
static_assert(sizeof(struct ledger_incarnation) == 40, "layout 3");

/* A main process of the current incarnation: the one it has, or the one that it was started with. Of three,
 * these two are good (often it is one), and another is written before it takes its place: MAINPID= changes
 * it while a kill may come at any moment (I5). */
struct ledger_identity {
	int32_t pid;
	uint32_t reserved;
	uint64_t start_ticks;
	uint64_t pidfd_inode;
};
static_assert(sizeof(struct ledger_identity) == 24, "layout 3");

/* The spawn word: epoch 24 | attempt 12 | state 4 | pid 24. Of the child, the supervisor, and the one
 * after it, exactly one wins the compare-and-swap from OPEN. */
enum spawn_word_state { SPAWN_NONE, SPAWN_OPEN, SPAWN_CLAIMED, SPAWN_CANCELLED };

static inline uint64_t spawn_word(uint32_t epoch, unsigned attempt, enum spawn_word_state state,
				  int pid)
{
	return (uint64_t)epoch << 40 | (uint64_t)(attempt & 0xfff) << 28 | (uint64_t)state << 24 |
	       ((uint32_t)pid & 0xffffff);
}
static inline uint32_t spawn_word_epoch(uint64_t word) { return (uint32_t)(word >> 40); }
static inline unsigned spawn_word_attempt(uint64_t word) { return word >> 28 & 0xfff; }
static inline enum spawn_word_state spawn_word_state(uint64_t word)
{
	return (enum spawn_word_state)(word >> 24 & 15);
}
static inline int spawn_word_pid(uint64_t word) { return (int)(word & 0xffffff); }

enum { LEDGER_WISH = 1, LEDGER_WISH_STARTED = 2, LEDGER_WISH_FATAL = 4 };

struct ledger_record {
	char app[64];                   /* "": free */
	_Atomic uint64_t spawn;
	/* Redo of a counted restart: it holds if the fence word has reached redo_epoch, otherwise the start
	 * never happened. redo_epoch is written last; 0: none. */
	_Atomic uint64_t redo_epoch;
	uint64_t redo_cause;            /* enum ep_cause */
	uint64_t redo_total;            /* what the total is afterwards */
	_Atomic uint64_t reserved;      /* mirror of the store's committed reservation, for doctor: never
					 * itself a reservation (I1) */
	/* Of the incarnation in the spawn word: its EPOCHD_TOKEN, and what it said by WATCHDOG_USEC=, in ns, plus
	 * 1; 0: nothing. */
	char token[40];
	uint64_t watchdog;
	uint32_t again;                 /* a restart was asked for and the next start is still owed */
	/* ledger_index() of the one of its group that took it down and starts it again, its own where it
	 * is that one itself; 0: none. */
	uint32_t held_by;
	/* What a person wants, newer than the store's: LEDGER_WISH_*, 0: nothing yet. */
	uint64_t wish;
	int64_t forgiven_at;            /* goes with it */
	/* Which of them are good, and of which epoch: epoch << 8 | index of the first << 4 | of the one now.
	 * 0: none yet. */
	_Atomic uint64_t identity_word;
	struct ledger_identity identity[LEDGER_IDENTITIES];
	struct ledger_incarnation incarnation[LEDGER_INCARNATIONS];
};
static_assert(sizeof(struct ledger_record) == 976, "layout 3");

/* Redo of what a client's slot is counted for (clients.c), one at a time in the instance. The handle is written
 * last, and cleared when all of it is done; 0: none. */
enum ledger_owes { LEDGER_OWES_NOTHING, LEDGER_OWES_REST, LEDGER_SLOT_CLEARED };
struct ledger_count {
	_Atomic uint64_t handle;
	uint32_t app;                        /* ledger_index() */
	uint32_t owes;                       /* of the slot, then: enum ledger_owes */
	uint64_t total[LEDGER_REDO_TOTALS];  /* what the totals are afterwards */
};

/* Reads the UUID of a ledger (of this or another boot) without opening it: what a lost store is rebuilt
 * under. 1, 0 if there is none that is good. */
int ledger_peek(int directory, char uuid[static 40]);
/* The main processes that a ledger of this boot names, without opening it; nothing is changed. */
typedef void ledger_identity_fn(const struct identity *identity, void *user);
void ledger_peek_identities(int directory, const char *boot_id, ledger_identity_fn *fn, void *user);
/* The layout of one that another version of this code made in this boot; 0: there is none. Changes nothing. */
uint32_t ledger_other_layout(int directory, const char *boot_id);

/* Opens the one of this instance and boot, or makes it anew (*fresh) when there is none, or one of
 * another boot or instance, or a damaged one (*why tells; static, NULL otherwise). */
int ledger_open(struct ledger **out, int directory, const char *uuid, const char *boot_id, bool *fresh,
		const char **why);
void ledger_close(struct ledger *ledger);   /* the file stays; NULL is fine */
void ledger_unlink(int directory);

/* The application's record; made if need be (-ENOSPC: /dev/shm is full or LEDGER_RECORDS_MAX). Stays
 * where it is until ledger_close(). */
int ledger_record_get(struct ledger_record **out, struct ledger *ledger, const char *app);
void ledger_record_free(struct ledger *ledger, struct ledger_record *record);
/* A number for a record, by which another names it, from 1 on; and back. NULL: 0, or none is there. */
uint32_t ledger_index(const struct ledger *ledger, const struct ledger_record *record);
const struct ledger_record *ledger_record_of(const struct ledger *ledger, uint32_t index);
typedef void ledger_fn(struct ledger_record *record, void *user);
void ledger_each(struct ledger *ledger, ledger_fn *fn, void *user);

struct ledger_count *ledger_count(struct ledger *ledger);

/* Path of the instance's cgroup, as the supervisor before us recorded it; "" if none. */
const char *ledger_cgroup(const struct ledger *ledger);
void ledger_set_cgroup(struct ledger *ledger, const char *path);

/* Of the main process of `epoch`, which is the current one: what was known of it before is replaced, in one
 * store; of the first one of that epoch only where it has the same pid. Epoch 0: nothing is known any more. */
void ledger_identity_set(struct ledger_record *record, uint32_t epoch, const struct identity *identity);
/* False, with all of *out 0: nothing is known of the one of that epoch. */
bool ledger_identity_get(const struct ledger_record *record, uint32_t epoch, struct identity *out);
/* The one that it was started with, if that is another: false, with all of *out 0, otherwise. */
bool ledger_identity_first(const struct ledger_record *record, uint32_t epoch, struct identity *out);

/* The entry of an epoch, or NULL. */
struct ledger_incarnation *ledger_incarnation_find(struct ledger_record *record, uint32_t epoch);
/* A new entry; NULL when all wait for the store (then nothing may be started: the caller holds). */
struct ledger_incarnation *ledger_incarnation_add(struct ledger_record *record, uint32_t epoch,
						  int64_t started_at, enum ep_cause restart);
void ledger_incarnation_end(struct ledger_incarnation *incarnation, struct ep_end end,
			    int64_t ended_at);
/* What ended and is durable up to this epoch is dropped. */
void ledger_incarnations_drop(struct ledger_record *record, uint32_t durable_through);
bool ledger_incarnation_has_ended(const struct ledger_incarnation *incarnation, struct ep_end *end);
#endif
