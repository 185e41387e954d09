/* What this kernel can do beyond 5.10. Everything newer is probed once, here, and has a stated
 * fallback. A test build (EPOCHD_FAULTS) answers as the release in EPOCHD_KERNEL ("6.1") would. */
#ifndef EPOCHD_KERNEL_H
#define EPOCHD_KERNEL_H

#include <stdbool.h>
#include <sys/socket.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

struct kernel {
	bool close_range_cloexec;   /* 5.11; otherwise: /proc/self/fd is walked */
	bool cgroup_kill;           /* 5.14; otherwise: SIGKILL to each pid in cgroup.procs */
	bool peer_pidfd;            /* 6.5; otherwise: SO_PEERCRED alone */
	bool pidfd_inode;           /* 6.9, pidfs: an inode for each process, never used again;
				     * otherwise: the start time alone */
	bool refuses_rights;        /* 6.16, SO_PASSRIGHTS: who sends us descriptors is told EPERM; otherwise:
				     * each packet is looked at before it is taken */
	bool pidfd_info_exit;       /* 6.15, PIDFD_GET_INFO tells the exit status of a process that is
				     * not ours; otherwise: what /proc tells of a zombie, or unknown */
};

void kernel_probe(struct kernel *out);
#endif
