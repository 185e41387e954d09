#include <config.h>

#include "supervisor/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/pidfd_info.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1u << 2)
#endif
#define PIDFS_MAGIC 0x50494446   /* "PIDF" */

/* A range that no descriptor can be in: nothing is touched, the flag is judged all the same. */
static bool has_close_range_cloexec(void)
{
	return syscall(SYS_close_range, ~0u, ~0u, CLOSE_RANGE_CLOEXEC) == 0;
}

static bool has_passrights(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), off = 0;
	bool has = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof off) == 0;

	if (fd >= 0)
		close(fd);
	return has;
}

static bool has_peer_pidfd(void)
{
	int pair[2], pidfd = -1;
	socklen_t size = sizeof pidfd;
	bool has;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	has = getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0;
	if (has && pidfd >= 0)
		close(pidfd);
	close(pair[0]);
	close(pair[1]);
	return has;
}

static bool has_pidfd_inode(int pidfd)
{
	struct statfs st;

	return fstatfs(pidfd, &st) == 0 && st.f_type == PIDFS_MAGIC;
}

/* 6.13 knows the call and passes over the mask's bit without a word, so that only a process that
 * ended and was reaped shows whether its exit is told. */
static bool has_pidfd_info_exit(void)
{
	int pidfd = -1;
	struct clone_args args = { .flags = CLONE_PIDFD, .pidfd = (uintptr_t)&pidfd };
	struct pidfd_exit_info info = { .mask = PIDFD_INFO_EXIT };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	bool has;

	if (pid < 0)
		return false;
	if (pid == 0)
		for (;;)
			syscall(SYS_exit_group, 42);
	/* It sends no signal when it ends, hence __WALL. */
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	has = ioctl(pidfd, PIDFD_GET_EXIT_INFO, &info) == 0 && (info.mask & PIDFD_INFO_EXIT) &&
	      info.exit_code == 42 << 8;
	close(pidfd);
	return has;
}

#ifdef EPOCHD_FAULTS
static void mask_newer(struct kernel *kernel)
{
	const char *text = getenv("EPOCHD_KERNEL");
	unsigned major, minor, release;

	if (!text || sscanf(text, "%u.%u", &major, &minor) != 2)   /* NOLINT(cert-err34-c) */
		return;
	release = major * 1000 + minor;
	kernel->close_range_cloexec &= release >= 5011;
	kernel->cgroup_kill &= release >= 5014;
	kernel->peer_pidfd &= release >= 6005;
	kernel->pidfd_inode &= release >= 6009;
	kernel->pidfd_info_exit &= release >= 6015;
	kernel->refuses_rights &= release >= 6016;
}
#endif

void kernel_probe(struct kernel *out)
{
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);

	out->close_range_cloexec = has_close_range_cloexec();
	/* The file says so itself: a root cgroup has none on any kernel. cgroup_kill() looks. */
	out->cgroup_kill = true;
	out->peer_pidfd = has_peer_pidfd();
	out->refuses_rights = has_passrights();
	out->pidfd_inode = self >= 0 && has_pidfd_inode(self);
	out->pidfd_info_exit = out->pidfd_inode && has_pidfd_info_exit();
	if (self >= 0)
		close(self);
#ifdef EPOCHD_FAULTS
	mask_newer(out);
#endif
}
