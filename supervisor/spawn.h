/* Starting a process: the restart path, so its cost counts. clone3 with CLONE_VM on a stack of its own
 * (vfork would suspend the loop on a hung chdir or exec, I9); raw system calls only in the child, which
 * shares our memory until it execs; the outcome of exec comes to the loop through a CLOEXEC pipe. The
 * child's function is not instrumented by sanitizers (libchild.la is built without). */
#ifndef EPOCHD_SPAWN_H
#define EPOCHD_SPAWN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct ev_loop;
struct limit_config;   /* configuration.h */
struct spawn;          /* one under way */
struct spawner;

/* All memory named here is copied or used before spawn_start() returns, unless it says otherwise. */
struct spawn_options {
	char *const *argv;              /* argv[0] without '/' is looked up in `path` by the child */
	char *const *envp;
	const char *path;               /* NULL: the default path */
	const char *directory;          /* NULL: stay */
	int input, output, error;       /* fds; -1: /dev/null for input, ours for the others */
	uid_t uid;                      /* (uid_t)-1: stay */
	gid_t gid;                      /* (gid_t)-1: stay */
	const gid_t *groups;
	size_t group_count;
	bool set_groups;
	mode_t umask;
	const struct limit_config *limits;
	size_t limit_count;
	bool no_new_privileges;
	bool terminal;                  /* on fd 0; it stays in its session: setpgid, not setsid */
	bool foreground;                /* its group becomes that terminal's foreground group */
	int cgroup;                     /* directory fd; -1: stay */
	/* The spawn word in the ledger. The child claims it by compare-and-swap from `open` to
	 * `claimed | pid` before anything else; one that finds another word exits. NULL: none. */
	_Atomic uint64_t *word;
	uint64_t open, claimed;
	int close_first[4];             /* locks: closed before anything that may hang; -1: none */
};

/* The exec has happened (r = 0), or failed at `step` ("chdir", "exec", ...; static) with r. -ECANCELED
 * at "claim": the spawn word was another. One that is killed before its exec looks like r = 0, since
 * both end its part in our memory; the pidfd is readable then. Called from the loop, once; `spawn` is
 * gone afterwards. The process's end is the pidfd's matter. */
typedef void spawn_done_fn(int r, const char *step, void *user);

/* Which signals we ignore is asked once, here: ignore none afterwards, or the children would too. */
int spawner_new(struct spawner **out, struct ev_loop *loop);
void spawner_free(struct spawner *spawner);   /* NULL is fine; children under way go on */

/* 0: *pid and *pidfd (CLOEXEC, the caller's) are set, and done() will be called unless spawn_forget()
 * comes first. Its signals are all default, and none blocked. Negative errno: nothing was started
 * (EAGAIN: process limit; EMFILE; ENOMEM). Never blocks. */
int spawn_start(struct spawn **out, struct spawner *spawner, const struct spawn_options *options,
		spawn_done_fn *done, void *user, pid_t *pid, int *pidfd);
/* Its process has ended (the pidfd says so): needed once while done() is still owed, which then comes
 * soon. A child that was killed early may still have held our own table of descriptors. */
void spawn_ended(struct spawn *spawn);
/* done() will not be called. */
void spawn_forget(struct spawn *spawn);
/* Some child has not come to its exec yet. */
bool spawner_is_busy(const struct spawner *spawner);
#endif
