#include <config.h>

#include "supervisor/identity.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/kernel.h"
#include "tests/unit/unit.h"

static struct kernel kernel;

static void set_up(void)
{
	kernel_probe(&kernel);
}

static int open_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void wait_dead(int pidfd, short events)
{
	struct pollfd look = { .fd = pidfd, .events = events };

	do
		ck_assert_int_eq(poll(&look, 1, 60000), 1);
	while (!(look.revents & events));
}

/* A child that lives until it is killed. */
static pid_t sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (;;)
			pause();
	}
	ck_assert_int_gt(pid, 0);
	return pid;
}

START_TEST(our_own_stat_is_read_whole)
{
	struct process_stat stat;

	prctl(PR_SET_NAME, "a) R 1 (b c");
	ck_assert_int_eq(process_stat(&stat, getpid()), 0);
	ck_assert_str_eq(stat.comm, "a) R 1 (b c");
	ck_assert_int_eq(stat.state, 'R');
	ck_assert_int_eq(stat.ppid, getppid());
	ck_assert_int_eq(stat.pgid, getpgrp());
	ck_assert_int_eq(stat.sid, getsid(0));
	ck_assert_uint_gt(stat.start_ticks, 0);
	ck_assert_int_eq(stat.exit_code, -1);
	ck_assert_int_eq(process_stat(&stat, 0x7ffffff), -ESRCH);
}
END_TEST

START_TEST(a_process_is_found_again_and_only_itself)
{
	pid_t pid = sleeper();
	int pidfd = open_pidfd(pid), again;
	struct identity identity, other;

	identity_from_pidfd(&identity, &kernel, pid, pidfd);
	ck_assert_int_eq(identity.pid, pid);
	ck_assert_uint_eq(identity.start_ticks, 0);
	ck_assert_int_eq(identity.pidfd_inode != 0, kernel.pidfd_inode);
	ck_assert_int_eq(identity_complete(&identity), 0);
	ck_assert_uint_gt(identity.start_ticks, 0);
	again = identity_open(&identity, &kernel);
	ck_assert_int_ge(again, 0);
	close(again);

	other = identity;
	other.start_ticks++;
	ck_assert_int_eq(identity_open(&other, &kernel), -ESRCH);
	other = identity;
	other.pidfd_inode++;   /* a pid used again within the tick */
	if (kernel.pidfd_inode)
		ck_assert_int_eq(identity_open(&other, &kernel), -ESRCH);
	other = (struct identity){ .pid = pid };   /* a pid alone is nobody */
	ck_assert_int_eq(identity_open(&other, &kernel), -ESRCH);
	other = (struct identity){ 0 };
	ck_assert_int_eq(identity_open(&other, &kernel), -ESRCH);

	ck_assert(!pidfd_is_dead(pidfd));
	ck_assert_int_eq(pidfd_signal(pidfd, SIGKILL), 0);
	wait_dead(pidfd, POLLIN);
	ck_assert(pidfd_is_dead(pidfd));
	again = identity_open(&identity, &kernel);   /* a zombie that nobody reaped */
	ck_assert_int_ge(again, 0);
	ck_assert(pidfd_is_dead(again));
	close(again);
	exit_reap(pid, pidfd);
	ck_assert_int_eq(identity_open(&identity, &kernel), -ESRCH);
	ck_assert_int_eq(identity_complete(&identity), -ESRCH);
	ck_assert_int_eq(pidfd_signal(pidfd, 0), -ESRCH);
	close(pidfd);
}
END_TEST

static const struct {
	int signal, code;   /* it ends by */
	enum ep_end_kind kind;
	unsigned value;
} ends[] = {
	{ 0, 0, EP_END_CODE, 0 },
	{ 0, 255, EP_END_CODE, 255 },
	{ SIGKILL, 0, EP_END_SIGNAL, SIGKILL },
	{ SIGTERM, 0, EP_END_SIGNAL, SIGTERM },
};

static void end_as(int which)
{
	if (ends[which].signal) {
		signal(ends[which].signal, SIG_DFL);
		raise(ends[which].signal);
	}
	_exit(ends[which].code);
}

START_TEST(the_end_of_a_child_is_seen_without_reaping)
{
	struct ep_end end = { .cause = EP_ASKED, .oom = EP_OOM_NO };
	int go[2], pidfd, i;
	pid_t pid;

	ck_assert_int_eq(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		char byte;

		close(go[1]);
		(void)!read(go[0], &byte, 1);
		end_as(_i);
	}
	pidfd = open_pidfd(pid);
	ck_assert_int_eq(exit_peek(pid, pidfd, &kernel, &end), -EAGAIN);
	close(go[1]);
	wait_dead(pidfd, POLLIN);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(exit_peek(pid, pidfd, &kernel, &end), 1);
		ck_assert_int_eq(end.kind, ends[_i].kind);
		ck_assert_uint_eq(end.value, ends[_i].value);
		ck_assert_int_eq(end.cause, EP_ASKED);
		ck_assert_int_eq(end.oom, EP_OOM_NO);
	}
	exit_reap(pid, pidfd);
	exit_reap(pid, pidfd);   /* not ours any more: nothing */
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), -1);
	close(pidfd);
	close(go[0]);
}
END_TEST

/* A grandchild stands for one that was adopted: its parent reaps it when it is told to. */
START_TEST(the_end_of_one_adopted_is_told)
{
	int pids[2], go[2], reap[2], pidfd, r;
	struct kernel as[2] = { kernel, kernel };
	struct ep_end end = { 0 };
	pid_t parent, pid = 0;

	as[1].pidfd_info_exit = as[1].pidfd_inode = false;   /* as 6.1 answers */
	ck_assert_int_eq(pipe(pids) + pipe(go) + pipe(reap), 0);
	parent = fork();
	if (parent == 0) {
		char byte;

		close(go[1]);
		close(reap[1]);
		pid = fork();
		if (pid == 0) {
			(void)!read(go[0], &byte, 1);
			end_as(_i);
		}
		(void)!write(pids[1], &pid, sizeof pid);
		(void)!read(reap[0], &byte, 1);
		waitpid(pid, NULL, 0);
		_exit(0);
	}
	ck_assert_int_eq(read(pids[0], &pid, sizeof pid), sizeof pid);
	pidfd = open_pidfd(pid);
	ck_assert_int_eq(exit_peek(pid, pidfd, &as[0], &end), -EAGAIN);
	ck_assert_int_eq(exit_peek(pid, pidfd, &as[1], &end), -EAGAIN);
	close(go[1]);
	wait_dead(pidfd, POLLIN);
	for (r = 0; r < 2; r++) {   /* a zombie of our own user */
		end.kind = EP_END_UNKNOWN;
		ck_assert_int_eq(exit_peek(pid, pidfd, &as[r], &end), 1);
		ck_assert_int_eq(end.kind, ends[_i].kind);
		ck_assert_uint_eq(end.value, ends[_i].value);
	}
	close(reap[1]);
	waitpid(parent, NULL, 0);
	end.kind = EP_END_UNKNOWN;
	ck_assert_int_eq(exit_peek(pid, pidfd, &as[1], &end), -ESRCH);   /* never */
	r = exit_peek(pid, pidfd, &as[0], &end);
	ck_assert_int_eq(r, kernel.pidfd_info_exit ? 1 : -ESRCH);
	if (r == 1) {
		ck_assert_int_eq(end.kind, ends[_i].kind);
		ck_assert_uint_eq(end.value, ends[_i].value);
	}
	close(pidfd);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, NULL);
	tcase_add_test(tcase, our_own_stat_is_read_whole);
	tcase_add_test(tcase, a_process_is_found_again_and_only_itself);
	tcase_add_loop_test(tcase, the_end_of_a_child_is_seen_without_reaping, 0, ARRAY_SIZE(ends));
	tcase_add_loop_test(tcase, the_end_of_one_adopted_is_told, 0, ARRAY_SIZE(ends));
}

int main(void)
{
	return unit_run("identity", fill);
}
