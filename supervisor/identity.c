#include <config.h>

#include "supervisor/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/kernel.h"
#include "supervisor/pidfd_info.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define PF_EXITING 0x4   /* of the flags in /proc/PID/stat; since Linux 2.6 */

int pidfd_signal(int pidfd, int signal)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

bool pidfd_is_dead(int pidfd)
{
	struct pollfd look = { .fd = pidfd, .events = POLLIN };

	return poll(&look, 1, 0) > 0;
}

/* A zombie still has its pid; one that was reaped has none, and the pid may be another's. */
static bool is_reaped(int pidfd)
{
	return pidfd_signal(pidfd, 0) == -ESRCH;
}

/* ---- /proc/PID/stat ---- */

static int read_stat(char *text, size_t size, pid_t pid)
{
	char path[40];
	ssize_t n;
	int fd, r;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = read(fd, text, size - 1);
	r = n < 0 ? -errno : n == 0 ? -ESRCH : 0;
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return r;
}

/* The kernel shows an exit code to whom it would let trace the process, and 0 to others. The link of
 * its user namespace is behind the same question. */
static bool exit_code_is_shown(pid_t pid)
{
	char path[40], target[64];

	snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
	return readlink(path, target, sizeof target) > 0;
}

/* `at` stands on the state; what is left are numbers. Field 3 is the state. */
static int parse_fields(struct process_stat *out, const char *at)
{
	long long value[53] = { 0 };
	char *end;
	int field;

	out->state = *at++;
	for (field = 4; field < 53; field++) {
		value[field] = strtoll(at, &end, 10);
		if (end == at)
			return -EPROTO;
		at = end;
	}
	out->ppid = (pid_t)value[4];
	out->pgid = (pid_t)value[5];
	out->sid = (pid_t)value[6];
	out->start_ticks = (uint64_t)value[22];
	out->exit_code = (int)value[52];
	/* Exec: there is memory (23), yet no end of the environment in it (51). */
	out->environment_hidden = (value[9] & PF_EXITING) || (value[23] != 0 && value[51] == 0);
	return 0;
}

int process_stat(struct process_stat *out, pid_t pid)
{
	char text[1024], *open, *close;
	size_t length;
	int r = read_stat(text, sizeof text, pid);

	if (r < 0)
		return r;
	/* The name may hold anything, also ") R 1": the last parenthesis is the one. */
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (!open || !close || close < open || close[1] != ' ' || !close[2])
		return -EPROTO;
	length = (size_t)(close - open - 1);
	if (length >= sizeof out->comm)
		length = sizeof out->comm - 1;
	memcpy(out->comm, open + 1, length);
	out->comm[length] = '\0';
	r = parse_fields(out, close + 2);
	if (r < 0)
		return r;
	if ((out->state != 'Z' && out->state != 'X') ||
	    (out->exit_code == 0 && !exit_code_is_shown(pid)))
		out->exit_code = -1;
	return 0;
}

/* ---- identity ---- */

static uint64_t pidfd_inode(const struct kernel *kernel, int pidfd)
{
	struct stat st;

	return kernel->pidfd_inode && fstat(pidfd, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

void identity_from_pidfd(struct identity *out, const struct kernel *kernel, pid_t pid, int pidfd)
{
	*out = (struct identity){ .pid = pid, .pidfd_inode = pidfd_inode(kernel, pidfd) };
}

int identity_complete(struct identity *identity)
{
	struct process_stat stat;
	int r = process_stat(&stat, identity->pid);

	if (r == 0)
		identity->start_ticks = stat.start_ticks;
	return r;
}

/* 0, or -ESRCH: it is another one. At least one mark beside the pid must be there to compare. */
static int compare(const struct identity *identity, const struct kernel *kernel, int pidfd)
{
	uint64_t inode = pidfd_inode(kernel, pidfd);
	struct process_stat stat;
	bool known = false;
	int r;

	if (inode && identity->pidfd_inode) {
		if (inode != identity->pidfd_inode)
			return -ESRCH;
		known = true;
	}
	if (identity->start_ticks) {
		r = process_stat(&stat, identity->pid);
		if (r < 0)
			return r;
		if (stat.start_ticks != identity->start_ticks)
			return -ESRCH;
		known = true;
	}
	return known ? 0 : -ESRCH;
}

int identity_open(const struct identity *identity, const struct kernel *kernel)
{
	int pidfd, r;

	if (identity->pid <= 0)
		return -ESRCH;
	pidfd = (int)syscall(SYS_pidfd_open, identity->pid, 0);
	if (pidfd < 0)   /* EINVAL: the number is a thread's now */
		return errno == EINVAL ? -ESRCH : -errno;
	r = compare(identity, kernel, pidfd);
	/* Only now: had it been reaped, what was read may have been the next owner's of the pid. */
	if (r == 0 && is_reaped(pidfd))
		r = -ESRCH;
	if (r < 0) {
		close(pidfd);
		return r;
	}
	return pidfd;
}

/* ---- how it ended ---- */

static void end_from_status(struct ep_end *end, int status)
{
	if (WIFEXITED(status)) {
		end->kind = EP_END_CODE;
		end->value = (unsigned)WEXITSTATUS(status);
		end->core = false;
	} else {
		end->kind = EP_END_SIGNAL;
		end->value = (unsigned)WTERMSIG(status);
		end->core = WCOREDUMP(status);
	}
}

/* -ECHILD: not ours. */
static int peek_at_child(int pidfd, struct ep_end *end)
{
	siginfo_t info = { .si_pid = 0 };
	int r;

	do
		r = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (info.si_pid == 0)
		return -EAGAIN;
	end->kind = info.si_code == CLD_EXITED ? EP_END_CODE : EP_END_SIGNAL;
	end->value = (unsigned)info.si_status & 0xff;
	end->core = info.si_code == CLD_DUMPED;
	return 1;
}

static bool told_by_pidfd(int pidfd, struct ep_end *end)
{
	struct pidfd_exit_info info = { .mask = PIDFD_INFO_EXIT };

	if (ioctl(pidfd, PIDFD_GET_EXIT_INFO, &info) < 0 || !(info.mask & PIDFD_INFO_EXIT))
		return false;
	end_from_status(end, info.exit_code);
	return true;
}

/* Only of a zombie, and what was read was its own only if it is still there afterwards. */
static bool told_by_proc(pid_t pid, int pidfd, struct ep_end *end)
{
	struct process_stat stat;

	if (process_stat(&stat, pid) < 0 || stat.exit_code < 0 || is_reaped(pidfd))
		return false;
	end_from_status(end, stat.exit_code);
	return true;
}

int exit_peek(pid_t pid, int pidfd, const struct kernel *kernel, struct ep_end *end)
{
	int r = peek_at_child(pidfd, end);
	bool reaped;

	if (r != -ECHILD)
		return r;
	if (!pidfd_is_dead(pidfd))
		return -EAGAIN;
	reaped = is_reaped(pidfd);   /* first: after that nothing changes any more */
	if (kernel->pidfd_info_exit && told_by_pidfd(pidfd, end))
		return 1;
	if (!reaped && told_by_proc(pid, pidfd, end))
		return 1;
	return reaped || !kernel->pidfd_info_exit ? -ESRCH : 0;
}

void exit_reap(pid_t pid, int pidfd)
{
	siginfo_t info;
	int r;

	(void)pid;
	do
		r = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
	while (r < 0 && errno == EINTR);
}
