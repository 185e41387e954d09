/* The side of a spawn that runs in the child, while it still shares our memory, errno and all: raw
 * system calls only, and no function of anybody else (tests/integration/child-stands-alone.sh). */
#ifndef EPOCHD_SPAWN_CHILD_H
#define EPOCHD_SPAWN_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In the order in which they are done; spawn.c has their names. */
enum child_step {
	STEP_CLAIM, STEP_SESSION, STEP_CGROUP, STEP_FDS, STEP_LIMITS, STEP_GROUPS, STEP_USER,
	STEP_PRIVILEGES, STEP_DIRECTORY, STEP_EXEC, STEPS
};

/* What comes through the pipe when it failed; nothing when it did not. */
struct child_report {
	uint32_t step;
	int32_t error;   /* errno */
};

struct child_limit {
	int resource;
	struct { uint64_t soft, hard; } value;   /* as prlimit64 takes it */
};

/* Whose table of descriptors the child uses. A copy of ours costs what we have open, twice: made by
 * clone, closed by the child. So it shares ours (CLONE_FILES) and leaves it by one close_range(2) that
 * copies only the low ones it needs. Until then our end of its pipe stays open in the one table. */
enum child_table {
	TABLE_COPIED,    /* its own from the start */
	TABLE_SHARED,
	TABLE_AWAITED,   /* shared, and we sleep: a byte through the pipe tells when it is not */
	TABLE_OWN,       /* it has left ours */
};

/* All that the child reads. It stays as it is until the pipe tells that the child is gone from our
 * memory. */
struct child_plan {
	_Atomic uint64_t *word;
	uint64_t open, claimed;
	int close_first[4];
	bool terminal, foreground, set_groups, no_new_privileges;
	uint64_t not_default;             /* signals, bit 0 is 1 */
	int cgroup;                       /* to be joined by itself; -1: cloned into it, or none */
	int fds[3];                       /* none is -1 */
	mode_t umask;
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t group_count;
	const struct child_limit *limits;
	size_t limit_count;
	const char *directory;
	char *const *files;               /* tried in turn, ends in NULL */
	char *const *argv;
	char *const *envp;
	int report;                       /* the pipe's end */
	_Atomic uint32_t table;           /* enum child_table */
	int highest;                      /* of those it needs, if it shares ours */
};

_Noreturn void child_main(void *plan);

/* clone3(2) whose child runs child_main(plan) on the stack in `args`. The pid, -ENOSYS where there
 * is no clone3 or no code of ours for this processor, or another negative errno. */
struct clone_args;
long child_clone(struct clone_args *args, size_t size, void *plan);
#endif
