/* What an incarnation left behind when its main process ended (I7): children, grandchildren, daemons
 * that forked away. By cgroup where there is one; otherwise by the tree under us as subreaper, session,
 * process group, and the token in the environment last (a program may overwrite that). */
#ifndef EPOCHD_LEFTOVERS_H
#define EPOCHD_LEFTOVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "supervisor/identity.h"

struct cgroups;
struct kernel;

struct incarnation_id {
	const char *app;
	pid_t main;             /* its session and process group too */
	struct identity first;  /* the main process before MAINPID= named another: the same; pid 0: none */
	const char *token;      /* EPOCHD_TOKEN's value; NULL: not known */
	int cgroup;             /* directory fd; -1: none */
};

/* A pid that is a main process of an application of ours, and so never a leftover of another. */
typedef bool is_main_fn(pid_t pid, void *user);

struct leftovers {
	const struct kernel *kernel;
	struct cgroups *cgroups;
	is_main_fn *is_main;
	void *user;
	bool sole;              /* one application only, ever: every orphan of ours is its */
};

/* Looks once, kills (SIGKILL) what it finds, without waiting. The count found, 0: a pass found nothing.
 * *example: one of them, for the status; left as it is if none can be named. One amid its exec or exit
 * counts as found: look again. Zombies do not count; without a cgroup ours among them are reaped (with
 * one they are not looked for: who waits for all children of ours reaps them). Negative errno when it
 * could not look (then nothing is known). Fast when nothing is there: one read of cgroup.events, or of
 * our own children. Never blocks. */
int leftovers_kill(const struct leftovers *leftovers, const struct incarnation_id *id,
		   pid_t *example);

/* For a main process that we adopted, whose descendants are not below us: a full look at /proc. */
int leftovers_kill_adopted(const struct leftovers *leftovers, const struct incarnation_id *id,
			   pid_t *example);

/* Is this (living) process one of this incarnation? For sd_notify's senders and MAINPID=. */
bool incarnation_has(const struct leftovers *leftovers, const struct incarnation_id *id, pid_t pid);
#endif
