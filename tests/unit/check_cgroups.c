#include <config.h>

#include "supervisor/cgroups.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/kernel.h"
#include "tests/unit/unit.h"

static struct kernel kernel;
static struct cgroups *cgroups;
static char instance[40];

static void set_up(void)
{
	kernel_probe(&kernel);
	snprintf(instance, sizeof instance, "check-%d", (int)getpid());
	ck_assert_int_eq(cgroups_open(&cgroups, "auto", NULL, instance), 0);
}

static void tear_down(void)
{
	char *path = cgroups_path(cgroups) ? strdup(cgroups_path(cgroups)) : NULL;

	cgroups_close(cgroups, true);
	if (path)
		ck_assert_int_eq(access(path, F_OK), -1);   /* nothing stays */
	free(path);
}

/* No tree that we may write: then "auto" says so, and nothing else is to be seen here. */
static bool there_are_none(void)
{
	return cgroups_path(cgroups) == NULL;
}

static pid_t sleeper_in(int cgroup)
{
	int fd = openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	pid_t pid = fork();

	if (pid == 0) {
		if (write(fd, "0", 1) != 1)
			_exit(1);
		kill(getpid(), SIGSTOP);
		for (;;)
			pause();
	}
	close(fd);
	ck_assert_int_eq(waitpid(pid, NULL, WUNTRACED), pid);
	return pid;
}

START_TEST(a_process_is_in_its_applications_cgroup_only)
{
	int kv, db;
	pid_t pid, pids[4];

	if (there_are_none())
		return;
	kv = cgroup_open(cgroups, "kv");
	db = cgroup_open(cgroups, "kv2");
	ck_assert_int_ge(kv, 0);
	ck_assert_int_ge(db, 0);
	ck_assert_int_eq(fcntl(kv, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(cgroup_pids(kv, pids, 4), 0);
	pid = sleeper_in(kv);
	ck_assert_int_eq(cgroup_pids(kv, pids, 4), 1);
	ck_assert_int_eq(pids[0], pid);
	ck_assert_int_eq(cgroup_pids(db, pids, 4), 0);
	ck_assert_int_eq(cgroup_has(kv, cgroups, "kv", pid), 1);
	ck_assert_int_eq(cgroup_has(db, cgroups, "kv2", pid), 0);
	ck_assert_int_eq(cgroup_has(kv, cgroups, "k", pid), 0);
	ck_assert_int_eq(cgroup_has(kv, cgroups, "kv", getpid()), 0);
	cgroup_remove(cgroups, "kv");   /* not while somebody is in it */
	ck_assert_int_eq(cgroup_pids(kv, pids, 4), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	cgroup_remove(cgroups, "kv");
	ck_assert_int_lt(cgroup_pids(kv, pids, 4), 0);
	close(kv);
	close(db);
}
END_TEST

START_TEST(cgroups_below_are_looked_into_and_killed)
{
	int kv, sub, deep, i, status;
	pid_t in[3], pids[1];

	if (there_are_none())
		return;
	if (_i == 1)
		kernel.cgroup_kill = false;
	kv = cgroup_open(cgroups, "kv");
	ck_assert_int_eq(mkdirat(kv, "sub", 0755), 0);
	sub = openat(kv, "sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(mkdirat(sub, "deep", 0755), 0);
	deep = openat(sub, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	in[0] = sleeper_in(kv);
	in[1] = sleeper_in(sub);
	in[2] = sleeper_in(deep);
	ck_assert_int_eq(cgroup_pids(kv, pids, 1), 3);   /* counted, though only one is written */
	ck_assert_int_eq(cgroup_has(kv, cgroups, "kv", in[2]), 1);
	ck_assert_int_eq(cgroup_kill(kv, &kernel), 0);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(waitpid(in[i], &status, 0), in[i]);
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	ck_assert_int_eq(cgroup_pids(kv, pids, 1), 0);
	close(deep);
	close(sub);
	close(kv);
}
END_TEST

START_TEST(a_recorded_path_is_preferred_if_it_is_ours)
{
	struct cgroups *again;
	char path[4100], other[4200];

	if (there_are_none())
		return;
	snprintf(path, sizeof path, "%s", cgroups_path(cgroups));
	cgroups_close(cgroups, false);
	ck_assert_int_eq(cgroups_open(&again, "auto", path, instance), 0);
	ck_assert_str_eq(cgroups_path(again), path);
	cgroups_close(again, false);
	snprintf(other, sizeof other, "%s/sub", path);
	ck_assert_int_eq(cgroups_open(&cgroups, "auto", other, instance), 0);
	ck_assert_str_eq(cgroups_path(cgroups), path);
}
END_TEST

/* Two instances of one name would end each other's processes. */
START_TEST(one_instance_at_a_time_is_at_work_in_it)
{
	struct cgroups *again;

	if (there_are_none())
		return;
	ck_assert_int_eq(cgroups_open(&again, "auto", NULL, instance), -EBUSY);
	ck_assert_int_eq(cgroups_open(&again, "auto", cgroups_path(cgroups), instance), -EBUSY);
}
END_TEST

START_TEST(nobody_is_in_one_that_is_gone)
{
	int kv;

	if (there_are_none())
		return;
	kv = cgroup_open(cgroups, "kv");
	ck_assert_int_ge(kv, 0);
	ck_assert_int_eq(cgroup_is_populated(kv), 0);
	cgroup_remove(cgroups, "kv");
	ck_assert_int_eq(cgroup_is_populated(kv), 0);
	close(kv);
}
END_TEST

START_TEST(off_and_wrong_settings_have_no_path)
{
	struct cgroups *none;
	char directory[] = "/tmp/check_cgroups.XXXXXX";

	ck_assert_int_eq(cgroups_open(&none, "off", NULL, instance), 0);
	ck_assert_ptr_null(cgroups_path(none));
	ck_assert_int_eq(cgroup_open(none, "kv"), -ENOTSUP);
	ck_assert_int_eq(cgroup_has(-1, none, "kv", getpid()), -ENOTSUP);
	cgroups_close(none, true);
	ck_assert_int_eq(cgroups_open(&none, "/nonexistent", NULL, instance), -ENOENT);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(cgroups_open(&none, directory, NULL, instance), -ENOTSUP);
	ck_assert_int_eq(rmdir(directory), 0);   /* and nothing was left in it */
	cgroups_close(NULL, true);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_process_is_in_its_applications_cgroup_only);
	tcase_add_loop_test(tcase, cgroups_below_are_looked_into_and_killed, 0, 2);
	tcase_add_test(tcase, a_recorded_path_is_preferred_if_it_is_ours);
	tcase_add_test(tcase, one_instance_at_a_time_is_at_work_in_it);
	tcase_add_test(tcase, nobody_is_in_one_that_is_gone);
	tcase_add_test(tcase, off_and_wrong_settings_have_no_path);
}

int main(void)
{
	return unit_run("cgroups", fill);
}
