#include <config.h>

#include "supervisor/pids.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <sys/wait.h>

struct child {
	pid_t pid;
	pid_ended_fn *ended;
	void *owner;
};

struct pids {
	void *tree;   /* tsearch(3) */
};

static int by_pid(const void *a, const void *b)
{
	pid_t x = ((const struct child *)a)->pid, y = ((const struct child *)b)->pid;

	return x < y ? -1 : x > y;
}

int pids_new(struct pids **out)
{
	*out = calloc(1, sizeof **out);
	return *out ? 0 : -ENOMEM;
}

void pids_free(struct pids *pids)
{
	if (!pids)
		return;
	tdestroy(pids->tree, free);
	free(pids);
}

int pids_add(struct pids *pids, pid_t pid, pid_ended_fn *ended, void *owner)
{
	struct child *child = malloc(sizeof *child);
	struct child **found;

	if (!child)
		return -ENOMEM;
	*child = (struct child){ .pid = pid, .ended = ended, .owner = owner };
	found = tsearch(child, &pids->tree, by_pid);
	if (!found) {
		free(child);
		return -ENOMEM;
	}
	if (*found != child) {   /* the pid was reused before its owner took it out */
		**found = *child;
		free(child);
	}
	return 0;
}

static struct child *find(const struct pids *pids, pid_t pid)
{
	struct child key = { .pid = pid };
	struct child **found = tfind(&key, &pids->tree, by_pid);

	return found ? *found : NULL;
}

void pids_remove(struct pids *pids, pid_t pid)
{
	struct child *child = find(pids, pid);

	if (!child)
		return;
	tdelete(child, &pids->tree, by_pid);
	free(child);
}

int pids_know(const struct pids *pids, pid_t pid)
{
	return find(pids, pid) != NULL;
}

void pids_reap(struct pids *pids)
{
	pid_t last = 0;

	for (;;) {
		siginfo_t info = { .si_pid = 0 };
		struct child *child;

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
			return;
		child = find(pids, info.si_pid);
		if (!child)
			waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
		else if (info.si_pid == last)
			return;   /* its owner leaves it for now; the next SIGCHLD looks again */
		else
			child->ended(child->owner);
		last = info.si_pid;
	}
}
