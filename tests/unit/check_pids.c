#include <config.h>

#include "supervisor/pids.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct pids *pids;

struct owner {
	pid_t pid;
	unsigned told;
	bool leaves_it;
};

static void set_up(void)
{
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	ck_assert_int_eq(pids_new(&pids), 0);
}

static void tear_down(void)
{
	pids_free(pids);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);   /* nothing is left */
	ck_assert_int_eq(errno, ECHILD);
}

static void on_ended(void *user)
{
	struct owner *owner = user;

	owner->told++;
	if (owner->leaves_it)
		return;
	ck_assert_int_eq(waitpid(owner->pid, NULL, WNOHANG), owner->pid);
	pids_remove(pids, owner->pid);
}

/* One that has ended already, and waits to be reaped. */
static pid_t ended_child(void)
{
	pid_t pid = fork();
	siginfo_t info;

	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	return pid;
}

static void own(struct owner *owner)
{
	owner->pid = ended_child();
	ck_assert_int_eq(pids_add(pids, owner->pid, on_ended, owner), 0);
}

START_TEST(each_end_is_handed_to_its_owner)
{
	struct owner owners[20] = { { 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(owners); i++)
		own(&owners[i]);
	ck_assert_int_eq(pids_know(pids, owners[3].pid), 1);
	ck_assert_int_eq(pids_know(pids, 1), 0);
	pids_reap(pids);
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
		ck_assert_uint_eq(owners[i].told, 1);
		ck_assert_int_eq(pids_know(pids, owners[i].pid), 0);
	}
	pids_reap(pids);   /* without any children */
	pids_remove(pids, owners[0].pid);
}
END_TEST

START_TEST(one_that_runs_is_left_alone)
{
	struct owner owner = { 0 };
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	ck_assert_int_eq(pids_add(pids, pid, on_ended, &owner), 0);
	pids_reap(pids);
	ck_assert_uint_eq(owner.told, 0);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

/* A grandchild whose parent is gone, and a child that nobody wants. */
START_TEST(an_orphan_is_reaped)
{
	struct owner owner = { 0 };
	pid_t parent, orphan = 0;
	siginfo_t info;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	parent = fork();
	if (parent == 0) {
		orphan = fork();
		if (orphan == 0)
			_exit(7);
		(void)!write(fds[1], &orphan, sizeof orphan);
		_exit(0);
	}
	ck_assert_int_eq(read(fds[0], &orphan, sizeof orphan), (ssize_t)sizeof orphan);
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_eq(waitpid(parent, NULL, 0), parent);
	ck_assert_int_eq(waitid(P_PID, (id_t)orphan, &info, WEXITED | WNOWAIT), 0);   /* ours now */
	ended_child();
	own(&owner);
	pids_reap(pids);
	ck_assert_uint_eq(owner.told, 1);
}
END_TEST

/* Its end is looked at once more with the next SIGCHLD, not for ever now. */
START_TEST(one_whose_owner_leaves_it_does_not_hold_us)
{
	struct owner lazy = { .leaves_it = true };

	own(&lazy);
	alarm(60);
	pids_reap(pids);
	ck_assert_uint_eq(lazy.told, 1);
	lazy.leaves_it = false;
	pids_reap(pids);
	ck_assert_uint_eq(lazy.told, 2);
	ck_assert_int_eq(pids_know(pids, lazy.pid), 0);
}
END_TEST

START_TEST(a_number_used_again_is_its_new_owners)
{
	struct owner old = { 0 }, new = { 0 };

	own(&old);
	new.pid = old.pid;
	ck_assert_int_eq(pids_add(pids, new.pid, on_ended, &new), 0);
	pids_reap(pids);
	ck_assert_uint_eq(old.told, 0);
	ck_assert_uint_eq(new.told, 1);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, each_end_is_handed_to_its_owner);
	tcase_add_test(tcase, one_that_runs_is_left_alone);
	tcase_add_test(tcase, an_orphan_is_reaped);
	tcase_add_test(tcase, one_whose_owner_leaves_it_does_not_hold_us);
	tcase_add_test(tcase, a_number_used_again_is_its_new_owners);
}

int main(void)
{
	return unit_run("pids", fill);
}
