/* A cgroup2 for each application, so that nothing an incarnation left behind can hide. Used wherever a
 * cgroup2 tree is writable, hybrid mode too: cgroup.kill and cgroup.procs need no controller. */
#ifndef EPOCHD_CGROUPS_H
#define EPOCHD_CGROUPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct kernel;
struct cgroups;   /* the instance's: BASE/epochd-<uid>-<instance>/<application> */

/* setting: "auto" (below our own cgroup, or none), "off", or the path of a cgroup directory to work
 * below (then failing is an error). recorded: the path a supervisor before us used, preferred if it
 * still works; NULL. Where there is none (or off), 0 and *out has no path. -EBUSY: another instance of
 * this name and user is at work there; each would end the other's processes. */
int cgroups_open(struct cgroups **out, const char *setting, const char *recorded,
		 const char *instance);
/* Removes the instance's cgroups that are empty. NULL is fine. */
void cgroups_close(struct cgroups *cgroups, bool remove_empty);
int cgroups_fd(const struct cgroups *cgroups);   /* holds the lock of its directory; -1 */
const char *cgroups_path(const struct cgroups *cgroups);   /* absolute; NULL: there are none */

/* A directory fd (O_RDONLY|O_DIRECTORY|O_CLOEXEC, for clone3's CLONE_INTO_CGROUP) of the application's
 * cgroup, made if need be. -ENOTSUP: there are none. */
int cgroup_open(struct cgroups *cgroups, const char *app);
/* The same of one that a supervisor before us made; -ENOENT: there is none. */
int cgroup_find(struct cgroups *cgroups, const char *app);
void cgroup_remove(struct cgroups *cgroups, const char *app);   /* if it is empty */

/* Pids in it and below (zombies are not). Count (at most `most` are written) or negative errno. */
int cgroup_pids(int cgroup, pid_t *pids, int most);
/* Whether anybody is in it or below, one that is only just ending included (cgroup_pids() passes over
 * such a one, though it may still hold files and ports). 1, 0 (also of one that somebody removed), or
 * negative errno. */
int cgroup_is_populated(int cgroup);
/* SIGKILL to all in it and below. */
int cgroup_kill(int cgroup, const struct kernel *kernel);
/* 1, 0, or negative errno. */
int cgroup_has(int cgroup, const struct cgroups *cgroups, const char *app, pid_t pid);
/* memory.events' oom_kill: the count, or -ENOTSUP where the controller is off. */
int64_t cgroup_oom_kills(int cgroup);
#endif
