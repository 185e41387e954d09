#include <config.h>

#include "supervisor/locks.h"
#include "supervisor/log.h"
#include "tests/unit/directory.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { SOMEBODY = 54321 };

static char path[64], segments[80], state[80], runtime[80], said[4096];

static void set_up(void)
{
	directory_new(path);
	snprintf(segments, sizeof segments, "%s/segments", path);
	snprintf(state, sizeof state, "%s/state", path);
	snprintf(runtime, sizeof runtime, "%s/runtime", path);
	ck_assert_int_eq(mkdir(segments, 0700) | mkdir(state, 0700) | mkdir(runtime, 0700), 0);
}

static void tear_down(void)
{
	directory_remove(path);
}

static int take(struct locks **locks)
{
	return locks_take(locks, segments, state, runtime);
}

/* What is logged while `fn` runs, in `said`; what it returned. */
static int listen_to(int (*fn)(void *), void *user)
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO), r;
	ssize_t n;

	ck_assert_ptr_nonnull(file);
	dup2(fileno(file), STDERR_FILENO);
	r = fn(user);
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = pread(fileno(file), said, sizeof said - 1, 0);
	said[n > 0 ? n : 0] = '\0';
	fclose(file);
	return r;
}

static int take_and_listen(void *user)
{
	return take(user);
}

/* A child that does `fn`, then says so and lives until it is killed. */
static pid_t child(void (*fn)(void))
{
	int fds[2];
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn();
		(void)!write(fds[1], "x", 1);
		for (;;)
			pause();
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void take_all(void)
{
	struct locks *locks;

	if (take(&locks) < 0)
		_exit(1);
}

START_TEST(a_second_one_is_refused_and_told_who_holds_it)
{
	struct locks *locks = NULL;
	pid_t holder = child(take_all);
	char wanted[64];

	ck_assert_int_eq(listen_to(take_and_listen, &locks), -EBUSY);
	ck_assert_ptr_null(locks);
	snprintf(wanted, sizeof wanted, "epochd with pid %d holds it already", (int)holder);
	ck_assert_msg(strstr(said, wanted) && strstr(said, segments), "%s", said);
	/* One directory in common is enough. */
	ck_assert_int_eq(mkdir("other", 0700), 0);
	ck_assert_int_eq(locks_take(&locks, "other", "other", runtime), -EBUSY);
	ck_assert_int_eq(locks_take(&locks, "other", "other", "other"), 0);
	locks_release(locks);
	locks = NULL;
	/* A holder that died holds nothing. */
	end(holder);
	ck_assert_int_eq(listen_to(take_and_listen, &locks), 0);
	ck_assert_str_eq(said, "");
	locks_release(locks);
	locks_release(NULL);
}
END_TEST

static void enter_private_directory(void)
{
	set_up();
	ck_assert_int_eq(chdir(path), 0);
}

/* A child of a holder that died has not let go yet: waited for, as it is about to. */
static void leave_an_heir(void)
{
	int fds[4];
	struct locks *locks;

	if (take(&locks) < 0)
		_exit(1);
	locks_fds(locks, fds);
	if (fork() == 0) {
		struct timespec pause = { .tv_nsec = 200000000 };

		while (access("parent-is-gone", F_OK) < 0)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		nanosleep(&pause, NULL);   /* so that it is surely asked for in between */
		close(fds[0]);
		_exit(0);
	}
}

START_TEST(a_child_of_a_dead_holder_is_waited_for)
{
	struct locks *locks;
	pid_t holder;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	holder = child(leave_an_heir);
	end(holder);
	close(open("parent-is-gone", O_WRONLY | O_CREAT, 0600));
	ck_assert_int_eq(take(&locks), 0);
	locks_release(locks);
	waitpid(-1, NULL, 0);
}
END_TEST

START_TEST(a_clean_end_leaves_no_lock_file)
{
	struct locks *locks;
	char file[100];
	int fds[4];

	ck_assert_int_eq(take(&locks), 0);
	locks_fds(locks, fds);
	for (int i = 0; i < 3; i++)
		ck_assert_int_gt(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(fds[3], -1);
	snprintf(file, sizeof file, "%s/.lock", state);
	ck_assert_int_eq(access(file, F_OK), 0);
	locks_remove(locks);
	locks_release(locks);
	ck_assert_int_eq(access(file, F_OK), -1);
	ck_assert_int_eq(rmdir(segments) | rmdir(state) | rmdir(runtime), 0);
	locks_fds(NULL, fds);
	ck_assert_int_eq(fds[0], -1);
}
END_TEST

START_TEST(one_directory_may_serve_as_all)
{
	struct locks *locks;

	ck_assert_int_eq(locks_take(&locks, state, state, state), 0);
	locks_release(locks);
	ck_assert_int_eq(locks_take(&locks, state, segments, state), 0);
	locks_release(locks);
}
END_TEST

/* Whoever holds the lock is the only one to unlink the file, so that it has its name. */
static void take_remove_and_end(int times)
{
	for (int i = 0; i < times; i++) {
		struct locks *locks;
		struct stat st;
		int fds[4];

		while (locks_take(&locks, state, state, state) < 0)
			;
		locks_fds(locks, fds);
		if (fstat(fds[0], &st) < 0 || st.st_nlink == 0)
			close(open("held-nothing", O_WRONLY | O_CREAT, 0600));
		locks_remove(locks);
		locks_release(locks);
	}
}

/* One that ends unlinks its lock file while another waits on it: that one then holds a lock on nothing. */
START_TEST(a_lock_on_an_unlinked_file_is_none)
{
	pid_t pids[3];
	int null;

	fflush(stderr);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(null, STDERR_FILENO);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			take_remove_and_end(2000);
			_exit(0);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		ck_assert_int_eq(waitpid(pids[i], NULL, 0), pids[i]);
	close(null);
	ck_assert_int_eq(access("held-nothing", F_OK), -1);
}
END_TEST

/* ---- directory_make ---- */

static unsigned mode_of(const char *name)
{
	struct stat st;

	ck_assert_int_eq(lstat(name, &st), 0);
	return st.st_mode & 07777;
}

START_TEST(a_directory_is_made_with_its_parents)
{
	umask(077);
	ck_assert_int_eq(directory_make("a/b/c", 0711), 0);
	ck_assert_uint_eq(mode_of("a/b/c"), 0711);
	ck_assert_int_eq(directory_make("a/b/c", 0711), 0);
	ck_assert_int_eq(directory_make("a/b/d/", 0700), 0);
	ck_assert_int_eq(close(open("file", O_WRONLY | O_CREAT, 0600)), 0);
	ck_assert_int_eq(directory_make("file/below", 0700), -ENOTDIR);
}
END_TEST

static int make(void *name)
{
	return directory_make(name, 0711);
}

static void spoil(const char *name, int how)
{
	switch (how) {
	case 0:
		ck_assert_int_eq(close(open(name, O_WRONLY | O_CREAT, 0600)), 0);
		break;
	case 1:
		ck_assert_int_eq(symlink(path, name), 0);
		break;
	case 2:
		ck_assert_int_eq(mkdir(name, 0700) | chmod(name, 0770), 0);
		break;
	case 3:
		ck_assert_int_eq(mkdir(name, 0700) | chmod(name, 01777), 0);
		break;
	default:
		ck_assert_int_eq(mkdir(name, 0755) | chown(name, SOMEBODY, SOMEBODY), 0);
		break;
	}
}

static const char *const reasons[] = { "it is no directory", "it is no directory", "others may write it",
				       "others may write it", "it is not ours" };

/* Check forks: what is done to our uid goes with the child. */
START_TEST(what_is_not_ours_is_refused)
{
	char name[] = "spoilt";

	if (_i == 4 && geteuid() != 0)
		return;
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(path, SOMEBODY, SOMEBODY), 0);
		spoil(name, _i);
		if (_i == 4)
			ck_assert_int_eq(chown(name, 0, 0), 0);
		else
			ck_assert_int_eq(lchown(name, SOMEBODY, SOMEBODY), 0);
		ck_assert_int_eq(seteuid(SOMEBODY), 0);
	} else {
		spoil(name, _i);
	}
	ck_assert_int_eq(listen_to(make, name), -EPERM);
	ck_assert_msg(strstr(said, reasons[_i]) && strstr(said, "it belongs to "), "%s", said);
	if (_i == 4)
		ck_assert_msg(strstr(said, "it belongs to root, uid 0"), "%s", said);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
	prctl(PR_SET_DUMPABLE, 1);   /* who looks for leaks at the end has to be allowed to */
}
END_TEST

START_TEST(root_renames_it_aside)
{
	char name[] = "spoilt";
	unsigned aside = 0;
	struct dirent *entry;
	DIR *dir;

	if (geteuid() != 0)
		return;
	spoil(name, _i);
	ck_assert_int_eq(listen_to(make, name), 0);
	ck_assert_msg(strstr(said, "renamed to spoilt.not-ours-"), "%s", said);
	ck_assert_uint_eq(mode_of(name), 0711);
	dir = opendir(".");
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)))
		aside += strncmp(entry->d_name, "spoilt.not-ours-", 16) == 0;
	closedir(dir);
	ck_assert_uint_eq(aside, 1);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, enter_private_directory, tear_down);
	tcase_add_test(tcase, a_second_one_is_refused_and_told_who_holds_it);
	tcase_add_test(tcase, a_child_of_a_dead_holder_is_waited_for);
	tcase_add_test(tcase, a_clean_end_leaves_no_lock_file);
	tcase_add_test(tcase, one_directory_may_serve_as_all);
	tcase_add_test(tcase, a_lock_on_an_unlinked_file_is_none);
	tcase_add_test(tcase, a_directory_is_made_with_its_parents);
	tcase_add_loop_test(tcase, what_is_not_ours_is_refused, 0, ARRAY_SIZE(reasons));
	tcase_add_loop_test(tcase, root_renames_it_aside, 0, ARRAY_SIZE(reasons));
}

int main(void)
{
	return unit_run("locks", fill);
}
