/* Which of our children is whose: pid to owner, so that what SIGCHLD tells is handed on, and the rest,
 * orphans that became ours as subreaper or PID 1, is reaped. */
#ifndef EPOCHD_PIDS_H
#define EPOCHD_PIDS_H

#include <sys/types.h>

struct pids;
typedef void pid_ended_fn(void *owner);   /* its child can be waited for; should reap it now */

int pids_new(struct pids **out);
void pids_free(struct pids *pids);   /* NULL is fine */
int pids_add(struct pids *pids, pid_t pid, pid_ended_fn *ended, void *owner);
void pids_remove(struct pids *pids, pid_t pid);   /* nothing if it is not there */
int pids_know(const struct pids *pids, pid_t pid);   /* 1 or 0 */

/* Looks at every child that ended: hands ours to its owner, reaps the others. */
void pids_reap(struct pids *pids);
#endif
