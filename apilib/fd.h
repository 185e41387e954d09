/* For CLEANUP: closes a descriptor where its scope ends; -1 is none. */
#ifndef EPOCHD_FD_H
#define EPOCHD_FD_H

#include <unistd.h>

static inline void ep_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* To the caller: what CLEANUP finds is none. */
static inline int ep_steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}
#endif
