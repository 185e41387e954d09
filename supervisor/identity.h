/* Who a process is: pid, start time, inode of its pidfd; never the pid alone, since pids are reused,
 * 241 within one tick of start time when it was tried. And how one ended. */
#ifndef EPOCHD_IDENTITY_H
#define EPOCHD_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "apilib/fence.h"

struct kernel;

struct identity {
	pid_t pid;              /* 0: none */
	uint64_t start_ticks;   /* /proc/PID/stat field 22; 0: not known */
	uint64_t pidfd_inode;   /* 0: not known (before Linux 6.9) */
};

/* From a pidfd of it that is already held; cheap: pidfd_inode only, no /proc. */
void identity_from_pidfd(struct identity *out, const struct kernel *kernel, pid_t pid, int pidfd);
/* Reads the start time as well (~15 us). -ESRCH: gone. */
int identity_complete(struct identity *identity);

/* Opens a pidfd (CLOEXEC), reads, then polls it: the fd is >= 0 and that process, living or a zombie
 * that nobody reaped. -ESRCH: gone, or the pid is another process's now. */
int identity_open(const struct identity *identity, const struct kernel *kernel);

/* Readable means dead, whatever /proc says. */
bool pidfd_is_dead(int pidfd);
/* pidfd_send_signal(2). 0 or negative errno. */
int pidfd_signal(int pidfd, int signal);

/* How it ended, without reaping (WNOWAIT) if it is our child. 1: *end has kind, value and core (cause
 * and oom are untouched). 0: not known yet (adopted: ask again when POLLHUP comes). -ESRCH: it will
 * never be known. -EAGAIN: it lives. */
int exit_peek(pid_t pid, int pidfd, const struct kernel *kernel, struct ep_end *end);
/* Reaps our child; nothing if it is not ours. */
void exit_reap(pid_t pid, int pidfd);

/* Fields of /proc/PID/stat; -ESRCH when it is gone. */
struct process_stat {
	char comm[17];
	char state;
	pid_t ppid, pgid, sid;
	uint64_t start_ticks;
	int exit_code;          /* as of wait(2); -1: not shown to us */
	bool environment_hidden;   /* /proc/PID/environ is empty for now: amid its exec or exit */
};
int process_stat(struct process_stat *out, pid_t pid);
#endif
