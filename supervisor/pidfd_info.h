/* PIDFD_GET_INFO (Linux 6.13, with the exit status 6.15) as its first version is laid out, since the
 * kernel's headers of the systems that we build on are older. */
#ifndef EPOCHD_PIDFD_INFO_H
#define EPOCHD_PIDFD_INFO_H

#include <stdint.h>
#include <sys/ioctl.h>

struct pidfd_exit_info {
	uint64_t mask;          /* asked, then answered */
	uint64_t cgroup_id;
	uint32_t pid, tgid, ppid;
	uint32_t ids[8];
	int32_t exit_code;      /* as of wait(2) */
};
_Static_assert(sizeof(struct pidfd_exit_info) == 64, "the kernel's first version");

#ifndef PIDFD_INFO_EXIT
#define PIDFD_INFO_EXIT (1ull << 3)
#endif
#define PIDFD_GET_EXIT_INFO _IOWR(0xff, 11, struct pidfd_exit_info)
#endif
