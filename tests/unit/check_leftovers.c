#include <config.h>

#include "supervisor/leftovers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/cgroups.h"
#include "supervisor/identity.h"
#include "supervisor/kernel.h"
#include "tests/unit/unit.h"

/* Each test is one incarnation: a main process that leaves some behind, dies, and is reaped. All that
 * it left holds the end of one pipe, so that the pipe's HUP says that nobody is left. */
static struct kernel kernel;
static struct leftovers leftovers;
static struct cgroups *cgroups;
static int held[2], told[2];
static pid_t innocent;
static char token[40];   /* of this test alone: the adopted are sought everywhere */

static bool is_innocent(pid_t pid, void *user)
{
	(void)user;
	return pid == innocent;
}

static _Noreturn void linger(void)
{
	signal(SIGTERM, SIG_IGN);
	(void)!write(told[1], "x", 1);
	for (;;)
		pause();
}

enum kind {
	CHILD, GROUP_OF_ITS_OWN, DAEMON, DAEMON_WITH_TOKEN, DAEMON_IN_EXEC, GRANDCHILD_OF_DAEMON
};

/* With the token in the environment as the kernel has it, which takes an exec. It waits for a byte
 * that never comes; or goes on to the next exec, amid which nobody can see the token. */
static _Noreturn void exec_with_token(bool again)
{
	const char *script = again ? "trap '' TERM; echo >&$TOLD; exec sleep 1000"
				   : "trap '' TERM; echo >&$TOLD; read never <&$HELD";
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
	char variable[3][64], *envp[] = { variable[0], variable[1], variable[2],
					  (char *)"PATH=/bin:/usr/bin", NULL };

	snprintf(variable[0], sizeof variable[0], "TOLD=%d", told[1]);
	snprintf(variable[1], sizeof variable[1], "HELD=%d", held[0]);
	snprintf(variable[2], sizeof variable[2], "EPOCHD_TOKEN=%s", token);
	execve("/bin/sh", argv, envp);
	_exit(1);
}

static void leave_behind(enum kind kind)
{
	pid_t pid = fork();

	if (pid != 0) {
		/* A daemon is an orphan when its parent has ended, which has no mark of its own here. */
		if (kind >= DAEMON)
			waitpid(pid, NULL, 0);
		return;
	}
	if (kind == GROUP_OF_ITS_OWN)
		setpgid(0, 0);
	if (kind >= DAEMON) {
		setsid();
		if (fork() != 0)
			_exit(0);
	}
	if (kind == GRANDCHILD_OF_DAEMON && fork() == 0)
		exec_with_token(false);
	if (kind >= DAEMON_WITH_TOKEN)
		exec_with_token(kind == DAEMON_IN_EXEC);
	linger();
}

static void await_told(int count)
{
	char byte;

	for (; count > 0; count--)
		ck_assert_int_eq(read(told[0], &byte, 1), 1);
}

/* Runs a main process that leaves these behind; dead and reaped when it returns. */
static pid_t run_main(int cgroup, const enum kind *kinds, int count)
{
	int i, go[2], ready = 0;
	pid_t pid;

	ck_assert_int_eq(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		char byte;

		close(go[1]);
		setsid();
		(void)!read(go[0], &byte, 1);
		for (i = 0; i < count; i++)
			leave_behind(kinds[i]);
		for (;;)
			pause();
	}
	if (cgroup >= 0) {
		int fd = openat(cgroup, "cgroup.procs", O_WRONLY);
		char text[16];
		int n = snprintf(text, sizeof text, "%d", (int)pid);

		ck_assert_int_eq(write(fd, text, (size_t)n), n);
		close(fd);
	}
	close(go[1]);
	close(go[0]);
	for (i = 0; i < count; i++)
		ready += kinds[i] == GRANDCHILD_OF_DAEMON ? 2 : 1;
	await_told(ready);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return pid;
}

static void set_up(void)
{
	kernel_probe(&kernel);
	snprintf(token, sizeof token, "feed-%d", (int)getpid());
	leftovers = (struct leftovers){ .kernel = &kernel, .is_main = is_innocent };
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	innocent = fork();   /* another application's; made before the pipe that it must not hold */
	if (innocent == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);   /* also if the test fails */
		setsid();
		for (;;)
			pause();
	}
	ck_assert_int_eq(pipe(held) + pipe(told), 0);
}

static void reap_all(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void tear_down(void)
{
	int status;

	ck_assert_int_eq(waitpid(innocent, &status, WNOHANG), 0);   /* it lives */
	kill(innocent, SIGKILL);
	waitpid(innocent, NULL, 0);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

typedef int kill_fn(const struct leftovers *, const struct incarnation_id *, pid_t *);

/* Passes until one finds nothing; then nobody may hold the pipe. */
static void expect_gone(kill_fn *look, const struct incarnation_id *id)
{
	struct pollfd hup = { .fd = held[0], .events = POLLIN };
	pid_t example = 0;
	int n = look(&leftovers, id, &example);

	ck_assert_int_gt(n, 0);
	ck_assert_int_gt(example, 0);
	ck_assert_int_ne(example, innocent);
	while ((n = look(&leftovers, id, &example)) > 0)
		reap_all();
	ck_assert_int_eq(n, 0);
	close(held[1]);
	ck_assert_int_eq(poll(&hup, 1, 0), 1);
	ck_assert_int_eq(hup.revents & POLLHUP, POLLHUP);
}

/* Some other orphan of this machine may be amid its exec or exit, and is let be. */
static void expect_nothing_anywhere(const struct incarnation_id *id)
{
	pid_t example = 0;

	while (leftovers_kill_adopted(&leftovers, id, &example) != 0)
		ck_assert_int_ne(example, innocent);
}

static const struct {
	kill_fn *look;
	enum kind kinds[3];
	int count;
	bool sole;
} cases[] = {
	{ leftovers_kill, { CHILD }, 1, false },
	{ leftovers_kill, { CHILD, GROUP_OF_ITS_OWN }, 2, false },
	{ leftovers_kill, { DAEMON_WITH_TOKEN }, 1, false },
	{ leftovers_kill, { DAEMON_IN_EXEC, DAEMON_IN_EXEC, DAEMON_IN_EXEC }, 3, false },
	{ leftovers_kill, { CHILD, GRANDCHILD_OF_DAEMON, DAEMON_WITH_TOKEN }, 3, false },
	{ leftovers_kill, { DAEMON, CHILD }, 2, true },
	{ leftovers_kill_adopted, { CHILD, GROUP_OF_ITS_OWN }, 2, false },
	{ leftovers_kill_adopted, { DAEMON_IN_EXEC }, 1, false },
	{ leftovers_kill_adopted, { DAEMON_WITH_TOKEN, GRANDCHILD_OF_DAEMON }, 2, false },
};

START_TEST(what_is_left_is_found_and_killed)
{
	struct incarnation_id id = { .app = "kv", .token = token, .cgroup = -1 };

	id.main = run_main(-1, cases[_i].kinds, cases[_i].count);
	leftovers.sole = cases[_i].sole;
	expect_gone(cases[_i].look, &id);
}
END_TEST

START_TEST(nothing_left_is_nothing_found)
{
	struct incarnation_id id = { .app = "kv", .token = token, .cgroup = -1 };
	pid_t example = 0;

	id.main = run_main(-1, NULL, 0);
	ck_assert_int_eq(leftovers_kill(&leftovers, &id, &example), 0);
	expect_nothing_anywhere(&id);
	id.token = NULL;
	ck_assert_int_eq(leftovers_kill(&leftovers, &id, &example), 0);
}
END_TEST

START_TEST(a_reused_pid_is_nobodys_mark)
{
	/* The number of the old main is alive: the session that it leads is a stranger's. */
	struct incarnation_id id = { .app = "kv", .token = token, .cgroup = -1 };
	pid_t example = 0, stranger = fork();

	if (stranger == 0) {
		setsid();
		linger();
	}
	await_told(1);
	id.main = stranger;
	ck_assert_int_eq(leftovers_kill(&leftovers, &id, &example), 0);
	expect_nothing_anywhere(&id);
	ck_assert_int_eq(waitpid(stranger, NULL, WNOHANG), 0);
	kill(stranger, SIGKILL);
}
END_TEST

/* Of what it leads and of itself, as long as nobody else has its number. */
START_TEST(the_first_main_process_is_a_mark_too)
{
	struct incarnation_id id = { .app = "kv", .token = token, .cgroup = -1 };
	pid_t example = 0, first = fork();

	if (first == 0) {
		setsid();
		linger();
	}
	await_told(1);
	id.main = run_main(-1, NULL, 0);
	id.first = (struct identity){ .pid = first, .start_ticks = 1 };
	ck_assert(!incarnation_has(&leftovers, &id, first));
	ck_assert_int_eq(leftovers_kill(&leftovers, &id, &example), 0);
	expect_nothing_anywhere(&id);
	ck_assert_int_eq(waitpid(first, NULL, WNOHANG), 0);
	ck_assert_int_eq(identity_complete(&id.first), 0);
	ck_assert(incarnation_has(&leftovers, &id, first));
	expect_gone(_i ? leftovers_kill_adopted : leftovers_kill, &id);
}
END_TEST

START_TEST(what_the_first_main_process_left_is_found)
{
	struct incarnation_id id = { .app = "kv", .token = token, .cgroup = -1 };

	id.first.pid = run_main(-1, (enum kind[]){ CHILD }, 1);
	id.first.start_ticks = 1;
	id.main = run_main(-1, NULL, 0);
	expect_gone(_i ? leftovers_kill_adopted : leftovers_kill, &id);
}
END_TEST

START_TEST(members_are_told_from_strangers)
{
	struct incarnation_id id = { .app = "kv", .token = token, .cgroup = -1 };
	pid_t member = 0, pid;
	int pids[2];

	ck_assert_int_eq(pipe(pids), 0);
	id.main = fork();
	if (id.main == 0) {
		setsid();
		member = fork();
		if (member == 0) {
			setsid();   /* only the tree leads to it */
			linger();
		}
		(void)!write(pids[1], &member, sizeof member);
		linger();
	}
	pid = fork();
	if (pid == 0) {
		setsid();
		exec_with_token(false);   /* only the token does */
	}
	ck_assert_int_eq(read(pids[0], &member, sizeof member), sizeof member);
	await_told(3);
	ck_assert(incarnation_has(&leftovers, &id, id.main));
	ck_assert(incarnation_has(&leftovers, &id, member));
	ck_assert(incarnation_has(&leftovers, &id, pid));
	ck_assert(!incarnation_has(&leftovers, &id, innocent));
	ck_assert(!incarnation_has(&leftovers, &id, getpid()));
	ck_assert(!incarnation_has(&leftovers, &id, getppid()));
	ck_assert(!incarnation_has(&leftovers, &id, 1));
	kill(id.main, SIGKILL);
	kill(member, SIGKILL);
	kill(pid, SIGKILL);
}
END_TEST

/* The cgroup needs no marks: a daemon without a token is found as well. As the kernel is, and as one
 * without cgroup.kill. */
START_TEST(a_cgroup_hides_nobody)
{
	struct incarnation_id id = { .app = "kv" };
	enum kind kinds[] = { DAEMON, CHILD, GRANDCHILD_OF_DAEMON };
	char instance[40];

	snprintf(instance, sizeof instance, "check-%d", (int)getpid());
	ck_assert_int_eq(cgroups_open(&cgroups, "auto", NULL, instance), 0);
	if (cgroups_path(cgroups)) {
		if (_i == 1)
			kernel.cgroup_kill = false;
		leftovers.cgroups = cgroups;
		id.cgroup = cgroup_open(cgroups, "kv");
		ck_assert_int_ge(id.cgroup, 0);
		id.main = run_main(id.cgroup, kinds, ARRAY_SIZE(kinds));
		expect_gone(leftovers_kill, &id);
		close(id.cgroup);
	}
	cgroups_close(cgroups, true);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, what_is_left_is_found_and_killed, 0, ARRAY_SIZE(cases));
	tcase_add_test(tcase, nothing_left_is_nothing_found);
	tcase_add_test(tcase, a_reused_pid_is_nobodys_mark);
	tcase_add_loop_test(tcase, the_first_main_process_is_a_mark_too, 0, 2);
	tcase_add_loop_test(tcase, what_the_first_main_process_left_is_found, 0, 2);
	tcase_add_test(tcase, members_are_told_from_strangers);
	tcase_add_loop_test(tcase, a_cgroup_hides_nobody, 0, 2);
}

int main(void)
{
	/* valgrind knows no pidfds, and without them there is nothing to see. */
	if (syscall(SYS_pidfd_open, getpid(), 0) < 0)
		return 77;
	return unit_run("leftovers", fill);
}
