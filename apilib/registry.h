/* The registry: an application's file in /dev/shm. Only the supervisor writes it (I4); whom `allow`
 * names may read it. Its totals and its fence word are the redo log of which the store is the
 * checkpoint: each is one 64-bit word, changed by one store, so that a kill anywhere is a clean cut (I5).
 * Offsets and fixed widths only (I6). The slots of clients stand at EP_SLOTS_AT; they are allocated as they
 * are first used, and nobody touches one before that: a hole of a full tmpfs is SIGBUS, even for a reader. */
#ifndef EPOCHD_REGISTRY_H
#define EPOCHD_REGISTRY_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "apilib/fence.h"
#include "apilib/handle.h"

#define EP_REGISTRY_MAGIC 0x3164686370455045ull   /* "EPEpchd1" */

/* Where magic, layout and checksum stand, and what the checksum is of, is the same in every layout: so a file of another
 * version is told from one that is damaged. */
enum { EP_LAYOUT = 2, EP_SLOTS_AT = 4096, EP_SLOTS_MIN = 4096, EP_UUID_SIZE = 40, EP_NAME_SIZE = 64,
       EP_CLIENT_NAME_SIZE = 40 };

/* Odometers. The first ones are in the order of enum ep_cause, from EP_CRASHED on. */
enum ep_total_id {
	EP_TOTAL_RESTARTS,
	EP_TOTAL_RECLAIMED_MESSAGES = EP_TOTAL_RESTARTS + EP_CAUSES - 1,
	EP_TOTAL_RECLAIMED_BYTES,
	EP_TOTAL_RECLAIMED_CHANNELS_LOST,
	EP_TOTAL_ABANDONED_BUFFERS,   /* collected, as the held and the overdue ones below */
	EP_TOTAL_ABANDONED_BYTES,
	EP_TOTAL_CLIENTS_REGISTERED,
	EP_TOTAL_CLIENTS_REAPED,
	EP_TOTAL_CLIENTS_CONFUSED,
	EP_TOTAL_REFUSED_STALE_EPOCH,
	EP_TOTAL_REFUSED_STALE_GENERATION,
	EP_TOTAL_REFUSED_FREE_SLOT,
	EP_TOTAL_REFUSED_DOWN,
	EP_TOTAL_REFUSED_NOT_A_HANDLE,
	EP_TOTAL_SHM_CLEANED_FILES,
	EP_TOTAL_SHM_CLEANED_BYTES,
	EP_TOTAL_HELD_BUFFERS,
	EP_TOTAL_HELD_BYTES,
	EP_TOTAL_OVERDUE_BUFFERS,
	EP_TOTAL_OVERDUE_BYTES,
	EP_TOTALS
};

/* Which total a restart is counted under. cause: not EP_NO_CAUSE. */
static inline enum ep_total_id ep_total_of_restart(enum ep_cause cause)
{
	return (enum ep_total_id)(EP_TOTAL_RESTARTS + (int)cause - 1);
}

struct ep_page {
	/* Written once, under `checksum`; the magic last, which declares the rest valid. */
	_Atomic uint64_t magic;
	uint32_t layout;
	uint32_t header_size;             /* EP_SLOTS_AT */
	uint32_t slot_size;
	uint32_t slot_count;              /* EP_SLOTS_MIN to EP_INDEX_MAX + 1 */
	char uuid[EP_UUID_SIZE];          /* of the instance */
	char boot_id[EP_UUID_SIZE];
	char name[EP_NAME_SIZE];          /* of the application */
	uint64_t checksum;

	_Atomic uint32_t slots_backed;    /* slots below it are allocated */
	_Atomic uint32_t barriers;        /* 1: the supervisor calls ep_barrier() between fencing and reclaiming */
	/* The highest epoch ever reserved in the instance, as known when this application last reserved;
	 * the highest of all registries is the instance's (I2). */
	_Atomic uint64_t highest;

	alignas(64) _Atomic uint64_t fence;
	alignas(64) _Atomic uint64_t total[EP_TOTALS];
};
static_assert(offsetof(struct ep_page, uuid) == 24, "layout 2");
static_assert(offsetof(struct ep_page, checksum) == 168, "layout 2");
static_assert(offsetof(struct ep_page, fence) == 192, "layout 2");
static_assert(offsetof(struct ep_page, total) == 256, "layout 2");
static_assert(sizeof(struct ep_page) <= EP_SLOTS_AT, "layout 2");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock in shared memory can be left locked for ever");

/* A client of the epoch in the fence word, or of one before it that is yet to be counted. */
struct ep_slot {
	_Atomic uint64_t handle;       /* 0: it names nobody. Written last when taken, first when freed */
	/* The handle whose channel has not been counted: written when it is counted as registered, before `handle`,
	 * and cleared when the counts are in the totals. Free is a slot with neither. */
	_Atomic uint64_t owed;
	uint64_t start_time;           /* of the process, clock ticks since boot */
	uint64_t registered_at;        /* CLOCK_REALTIME, ns */
	_Atomic uint64_t heard_at;     /* CLOCK_MONOTONIC, ns */
	int32_t pid;
	uint32_t uid;
	_Atomic uint32_t unanswered;   /* pings */
	_Atomic uint32_t gone;         /* enum ep_gone, from before `handle` is cleared; 0: it is there */
	uint64_t pidfd_inode;          /* 0 before Linux 6.9 */
	uint64_t nonce;                /* of its HELLO */
	uint64_t channel_inode;        /* of its memfd */
	char name[EP_CLIENT_NAME_SIZE];   /* NUL-terminated */
	_Atomic uint64_t last;         /* the handle that was given last, from before it was: none is given twice */
};
static_assert(sizeof(struct ep_slot) == 128, "layout 2");
static_assert(offsetof(struct ep_slot, pid) == 40, "layout 2");
static_assert(offsetof(struct ep_slot, name) == 80, "layout 2");

static inline const struct ep_slot *ep_registry_slots(const struct ep_page *page)
{
	return (const struct ep_slot *)(const void *)((const char *)page + EP_SLOTS_AT);
}

/* Bytes of a registry with that many slots. */
static inline size_t ep_registry_size(uint32_t slot_count)
{
	return EP_SLOTS_AT + (size_t)slot_count * sizeof(struct ep_slot);
}

/* A copy that nobody else can change (I6), of a file of `size` bytes: 0, or -EBADMSG with *why. */
int ep_registry_check(const struct ep_page *copy, size_t size, const char **why);

/* The layout of an intact registry that another version of this code made; 0: it is none. */
uint32_t ep_registry_other_layout(const struct ep_page *copy);

/* Whose registry it must be. */
struct ep_registry_id {
	const char *uuid;
	const char *boot_id;
	const char *name;
	uint32_t slots;   /* when it is made: that many or more; 0: EP_SLOTS_MIN */
};

/* Makes the registry NAME in the directory, mapped for writing: complete in a file of another name
 * first, then renamed, so that nobody sees a half-made one. A file that stands there is replaced; its
 * fence must have been closed (ep_registry_close_fence()). Allocated up to the slots: never SIGBUS. Blocks
 * only as tmpfs does. *out: ep_registry_unmap(). -ENOSPC: /dev/shm is full. */
int ep_registry_create(struct ep_page **out, int directory, const struct ep_registry_id *id);

/* Maps the registry that a supervisor before us left, after it was read and checked (I6).
 *   -ENOENT    there is none
 *   -ESTALE    good, but of another boot or another instance (nothing of it can still run)
 *   -EBADMSG   not a registry, or not ours: *why tells (static) */
int ep_registry_open(struct ep_page **out, int directory, const struct ep_registry_id *id,
		     const char **why);

/* Allocates the first `count` slots, and then says so in page->slots_backed; fewer than there are changes
 * nothing. The registry must still be the file NAME in the directory. -ENOSPC: /dev/shm is full;
 * -EINVAL: more than it has; -ESTALE: another file is there. */
int ep_registry_back_slots(struct ep_page *page, int directory, const char *name, uint32_t count);

/* Closes the fence of a file that is to be replaced or unlinked (I3), whoever may still have it mapped.
 * Only of a regular file of our own uid with a registry's magic; otherwise nothing is done. */
void ep_registry_close_fence(int directory, const char *name);

/* The same of a file that is not wanted, and tells why: NULL: a good one of ours (then of what, is for the caller to say);
 * static. -ENOENT: it is there no more. */
int ep_registry_retire(int directory, const char *name, const char **why);

void ep_registry_unmap(struct ep_page *page);   /* NULL is fine */
#endif
