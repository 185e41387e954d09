#include <config.h>

#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ev.h>

#include "supervisor/configuration.h"
#include "supervisor/identity.h"
#include "tests/unit/unit.h"

static struct ev_loop *loop;
static struct spawner *spawner;
static char helper[4096];
static char *const no_environment[] = { NULL };

/* A child shares our table of descriptors for a moment where that is large, and has a copy of a small one. */
static bool crowded;

static void set_up(void)
{
	const char *build = getenv("EPOCHD_BUILD");

	char here[3000];   /* run by hand: from the build directory */

	if (!build)
		build = getcwd(here, sizeof here);
	snprintf(helper, sizeof helper, "%s/tests/lib/report_self", build ? build : "");
	signal(SIGPIPE, SIG_IGN);   /* before the spawner asks */
	signal(SIGHUP, SIG_IGN);
	signal(SIGRTMIN + 3, SIG_IGN);
	loop = ev_loop_new(EVFLAG_AUTO);
	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(spawner_new(&spawner, loop), 0);
	for (int i = 0; crowded && i < 128; i++)
		ck_assert_int_ge(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
}

static void tear_down(void)
{
	spawner_free(spawner);
	ev_loop_destroy(loop);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);   /* nothing is left */
	ck_assert_int_eq(errno, ECHILD);
}

/* As an application without any words would have it. */
static struct spawn_options plain(char *const argv[])
{
	return (struct spawn_options){
		.argv = argv, .envp = no_environment, .input = -1, .output = -1, .error = -1,
		.uid = (uid_t)-1, .gid = (gid_t)-1, .umask = 022, .cgroup = -1,
		.close_first = { -1, -1, -1, -1 },
	};
}

struct outcome {
	int calls, r;
	const char *step;
};

static void on_done(int r, const char *step, void *user)
{
	struct outcome *outcome = user;

	outcome->calls++;
	outcome->r = r;
	outcome->step = step;
}

static int reap(int pidfd)
{
	siginfo_t info;

	ck_assert_int_eq(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
	close(pidfd);
	return info.si_status;
}

static struct outcome run(const struct spawn_options *options, int *status)
{
	struct outcome outcome = { 0 };
	struct spawn *spawn;
	pid_t pid;
	int pidfd;

	ck_assert_int_eq(spawn_start(&spawn, spawner, options, on_done, &outcome, &pid, &pidfd), 0);
	ck_assert_int_gt(fcntl(pidfd, F_GETFD) & FD_CLOEXEC, 0);
	while (!outcome.calls)
		ev_run(loop, EVRUN_ONCE);
	*status = reap(pidfd);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_int_eq(outcome.calls, 1);
	return outcome;
}

static char answer[65536];

/* Runs the helper with its stdout in `answer`. */
static void report_of(struct spawn_options *options)
{
	FILE *file = tmpfile();
	struct outcome outcome;
	size_t n;
	int status;

	ck_assert_ptr_nonnull(file);
	if (options->output < 0)
		options->output = fileno(file);
	outcome = run(options, &status);
	ck_assert_msg(outcome.r == 0, "%s: %s", outcome.step, strerror(-outcome.r));
	ck_assert_int_eq(status, 0);
	rewind(file);
	n = fread(answer, 1, sizeof answer - 1, file);
	answer[n] = '\0';
	fclose(file);
}

static void expect(const char *line)
{
	char wanted[4200];

	snprintf(wanted, sizeof wanted, "\n%s\n", line);
	ck_assert_msg(strstr(answer, wanted) != NULL, "no line '%s' in:\n%s", line, answer);
}

#define LINE(...) \
	do { \
		char line_[4200]; \
		snprintf(line_, sizeof line_, __VA_ARGS__); \
		expect(line_); \
	} while (0)

START_TEST(a_plain_child_has_a_session_and_three_fds)
{
	char *argv[] = { helper, (char *)"--port", (char *)"70 00", NULL };
	char *envp[] = { (char *)"A=1", (char *)"B=two words", NULL };
	struct spawn_options options = plain(argv);
	int leaked = open("/dev/null", O_RDONLY);   /* without CLOEXEC, as some library would */
	struct stat null;
	int pid;

	options.envp = envp;
	report_of(&options);
	close(leaked);
	ck_assert_int_eq(sscanf(answer, "pid %d", &pid), 1);   /* NOLINT(cert-err34-c) */
	LINE("session %d", pid);
	LINE("group %d", pid);
	expect("arg1 --port");
	expect("arg2 70 00");
	expect("env A=1");
	expect("env B=two words");
	expect("not-default 0");
	expect("masked 0");
	expect("fds 0 1 2");
	stat("/dev/null", &null);
	LINE("fd0 %llu", (unsigned long long)null.st_ino);
	expect("umask 022");
	expect("no-new-privileges 0");
}
END_TEST

START_TEST(words_of_the_configuration_are_obeyed)
{
	char *argv[] = { helper, NULL };
	struct spawn_options options = plain(argv);
	struct limit_config limits[] = { { RLIMIT_NOFILE, { 77, 99 } } };

	options.directory = "/";
	options.umask = 077;
	options.limits = limits;
	options.limit_count = 1;
	options.no_new_privileges = true;
	report_of(&options);
	expect("directory /");
	expect("umask 077");
	expect("nofile 77 99");
	expect("no-new-privileges 1");
}
END_TEST

START_TEST(another_user_is_that_user_and_nobody_else)
{
	/* By /proc/self/exe's way: the build directory may be closed to that user. */
	char *argv[] = { (char *)"/bin/sh", (char *)"-c",
			 (char *)"echo; grep -E '^(Uid|Gid|Groups)' /proc/self/status", NULL };
	struct spawn_options options = plain(argv);
	gid_t groups[] = { 4, 44 };

	if (geteuid() != 0)
		return;
	options.uid = 65534;
	options.gid = 65533;
	options.groups = groups;
	options.group_count = 2;
	options.set_groups = true;
	options.path = "/usr/bin:/bin";
	report_of(&options);
	expect("Uid:\t65534\t65534\t65534\t65534");
	expect("Gid:\t65533\t65533\t65533\t65533");
	expect("Groups:\t4 44 ");
}
END_TEST

START_TEST(fds_find_their_places_in_any_order)
{
	char *argv[] = { helper, NULL };
	struct spawn_options options = plain(argv);
	FILE *file = tmpfile();
	struct stat st[3];
	int i, keep[3], made[3];

	/* 0, 1 and 2 of ours, turned by one: each source is another's place. */
	for (i = 0; i < 3; i++) {
		keep[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
		made[i] = fileno(i == 2 ? file : tmpfile());
		ck_assert_int_eq(fstat(made[i], &st[i]), 0);
	}
	for (i = 0; i < 3; i++)
		dup2(made[i], i);
	options.input = 1;
	options.output = 2;
	options.error = 0;
	{
		struct outcome outcome = { 0 };
		struct spawn *spawn;
		int pidfd;
		pid_t pid;
		int r = spawn_start(&spawn, spawner, &options, on_done, &outcome, &pid, &pidfd);

		while (r == 0 && !outcome.calls)
			ev_run(loop, EVRUN_ONCE);
		if (r == 0)
			reap(pidfd);
		for (i = 0; i < 3; i++)
			dup2(keep[i], i);
		ck_assert_int_eq(r, 0);
		ck_assert_int_eq(outcome.r, 0);
	}
	rewind(file);
	answer[fread(answer, 1, sizeof answer - 1, file)] = '\0';
	LINE("fd0 %llu", (unsigned long long)st[1].st_ino);
	LINE("fd1 %llu", (unsigned long long)st[2].st_ino);
	LINE("fd2 %llu", (unsigned long long)st[0].st_ino);
	expect("fds 0 1 2");
}
END_TEST

static const struct {
	const char *program, *path, *directory;
	int r;
	const char *step;
} failures[] = {
	{ "/nonexistent/program", NULL, NULL, -ENOENT, "exec" },
	{ "no-such-program-anywhere", NULL, NULL, -ENOENT, "exec" },
	{ "", NULL, NULL, -ENOENT, "exec" },
	{ "/etc/passwd", NULL, NULL, -EACCES, "exec" },
	{ "passwd", "/nonexistent:/etc:/proc", NULL, -EACCES, "exec" },
	{ "/bin/true", NULL, "/nonexistent", -ENOENT, "chdir" },
	{ "/bin/true", NULL, "/etc/passwd", -ENOTDIR, "chdir" },
};

START_TEST(what_cannot_be_started_says_where_and_why)
{
	char *argv[] = { (char *)failures[_i].program, NULL };
	struct spawn_options options = plain(argv);
	struct outcome outcome;
	int status;

	options.path = failures[_i].path;
	options.directory = failures[_i].directory;
	outcome = run(&options, &status);
	ck_assert_int_eq(outcome.r, failures[_i].r);
	ck_assert_str_eq(outcome.step, failures[_i].step);
	ck_assert_int_eq(status, 127);
}
END_TEST

START_TEST(a_script_without_an_interpreter_gets_no_shell)
{
	char path[] = "/tmp/check_spawn.XXXXXX";
	char *argv[] = { path, NULL };
	struct spawn_options options = plain(argv);
	struct outcome outcome;
	int status, fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "exit 0\n", 7), 7);
	fchmod(fd, 0755);
	close(fd);
	outcome = run(&options, &status);
	unlink(path);
	ck_assert_int_eq(outcome.r, -ENOEXEC);
	ck_assert_str_eq(outcome.step, "exec");
}
END_TEST

START_TEST(path_is_searched_in_order)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"exit 7", NULL };
	struct spawn_options options = plain(argv);
	struct outcome outcome;
	int status;

	options.path = "/nonexistent::/usr/bin:/bin";
	outcome = run(&options, &status);
	ck_assert_int_eq(outcome.r, 0);
	ck_assert_int_eq(status, 7);
	options.path = NULL;
	outcome = run(&options, &status);
	ck_assert_int_eq(outcome.r, 0);
	ck_assert_int_eq(status, 7);
}
END_TEST

static _Atomic uint64_t *new_word(uint64_t value)
{
	_Atomic uint64_t *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(word, MAP_FAILED);
	atomic_store(word, value);
	return word;
}

START_TEST(the_spawn_word_is_claimed_with_the_pid)
{
	char *argv[] = { (char *)"true", NULL };
	struct spawn_options options = plain(argv);
	struct outcome outcome = { 0 };
	struct spawn *spawn;
	pid_t pid;
	int pidfd;

	options.word = new_word(0x700000000);
	options.open = 0x700000000;
	options.claimed = 0x800000000;
	ck_assert_int_eq(spawn_start(&spawn, spawner, &options, on_done, &outcome, &pid, &pidfd), 0);
	while (!outcome.calls)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_int_eq(outcome.r, 0);
	ck_assert_uint_eq(atomic_load(options.word), 0x800000000 | (uint64_t)pid);
	ck_assert_int_eq(reap(pidfd), 0);
	munmap((void *)options.word, 4096);
}
END_TEST

START_TEST(a_cancelled_word_never_execs)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"echo ran", NULL };
	struct spawn_options options = plain(argv);
	struct outcome outcome;
	FILE *file = tmpfile();
	struct stat st;
	int status;

	options.word = new_word(1);
	options.open = 0x700000000;
	options.claimed = 0x800000000;
	options.output = fileno(file);
	outcome = run(&options, &status);
	ck_assert_int_eq(outcome.r, -ECANCELED);
	ck_assert_str_eq(outcome.step, "claim");
	ck_assert_uint_eq(atomic_load(options.word), 1);
	ck_assert_int_eq(fstat(fileno(file), &st), 0);
	ck_assert_int_eq(st.st_size, 0);
	fclose(file);
	munmap((void *)options.word, 4096);
}
END_TEST

START_TEST(a_large_environment_arrives_whole)
{
	enum { VARIABLES = 100, SIZE = 8000 };
	static char values[VARIABLES][SIZE];
	char *envp[VARIABLES + 1];
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"echo; echo size $(env | wc -c)", NULL };
	struct spawn_options options = plain(argv);
	long size;
	char *at;
	int i;

	for (i = 0; i < VARIABLES; i++) {
		memset(values[i], 'x', SIZE - 1);
		memcpy(values[i], "V00=", 4);
		values[i][1] = (char)('0' + i / 10);
		values[i][2] = (char)('0' + i % 10);
		envp[i] = values[i];
	}
	envp[VARIABLES] = NULL;
	options.envp = envp;
	report_of(&options);
	at = strstr(answer, "size ");
	ck_assert_ptr_nonnull(at);
	size = strtol(at + 5, NULL, 10);
	ck_assert_int_ge(size, (long)VARIABLES * SIZE);
}
END_TEST

static int open_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 8192; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

START_TEST(many_at_once_all_come_up_and_leak_nothing)
{
	enum { MANY = 1000 };
	static struct outcome outcomes[MANY];
	static int pidfds[MANY];
	char *argv[] = { (char *)"/bin/true", NULL };
	struct spawn_options options = plain(argv);
	struct rlimit files = { 8192, 8192 };
	int i, before, up = 0;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max < 8192 ? files.rlim_max : 8192;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	ck_assert_uint_gt(files.rlim_cur, 2 * MANY + 100);
	ev_run(loop, EVRUN_NOWAIT);
	before = open_fds();
	for (i = 0; i < MANY; i++) {
		struct spawn *spawn;
		pid_t pid;

		ck_assert_int_eq(spawn_start(&spawn, spawner, &options, on_done, &outcomes[i], &pid,
					     &pidfds[i]), 0);
		if (i % 7 == 0) {   /* nobody wants to know */
			spawn_forget(spawn);
			outcomes[i].calls = -1;
		}
	}
	while (up < MANY) {
		ev_run(loop, EVRUN_ONCE);
		for (up = i = 0; i < MANY; i++)
			up += outcomes[i].calls != 0;
	}
	for (i = 0; i < MANY; i++) {
		ck_assert_int_eq(outcomes[i].calls, i % 7 ? 1 : -1);
		ck_assert_int_eq(outcomes[i].r, 0);
		ck_assert_int_eq(reap(pidfds[i]), 0);
	}
	while (open_fds() > before)   /* those that were forgotten */
		ev_run(loop, EVRUN_ONCE);
}
END_TEST

START_TEST(one_killed_before_its_exec_is_out_of_the_way)
{
	char *argv[] = { (char *)"/bin/true", NULL };
	struct spawn_options options = plain(argv);
	int i;

	for (i = 0; i < 50; i++) {
		struct outcome outcome = { 0 };
		struct spawn *spawn;
		pid_t pid;
		int pidfd;

		ck_assert_int_eq(spawn_start(&spawn, spawner, &options, on_done, &outcome, &pid,
					     &pidfd), 0);
		ck_assert_int_eq(pidfd_signal(pidfd, SIGKILL), 0);
		reap(pidfd);
		while (!outcome.calls) {
			spawn_ended(spawn);   /* it may have been in our table still */
			ev_run(loop, EVRUN_ONCE);
		}
	}
}
END_TEST

static volatile sig_atomic_t handled;

static void on_usr1(int signal)
{
	(void)signal;
	handled++;
}

START_TEST(no_handler_of_ours_runs_in_a_child)
{
	char *argv[] = { (char *)"sleep", (char *)"1000", NULL };
	struct spawn_options options = plain(argv);
	struct sigaction action = { .sa_handler = on_usr1 };
	int i;

	sigaction(SIGUSR1, &action, NULL);
	for (i = 0; i < 50; i++) {
		struct outcome outcome = { 0 };
		struct spawn *spawn;
		pid_t pid;
		int pidfd;

		ck_assert_int_eq(spawn_start(&spawn, spawner, &options, on_done, &outcome, &pid,
					     &pidfd), 0);
		ck_assert_int_eq(pidfd_signal(pidfd, SIGUSR1), 0);   /* early: it waits */
		while (!outcome.calls)
			ev_run(loop, EVRUN_ONCE);
		ck_assert_int_eq(reap(pidfd), SIGUSR1);
	}
	ck_assert_int_eq(handled, 0);
}
END_TEST

START_TEST(a_lock_named_first_is_let_go)
{
	char *argv[] = { (char *)"sleep", (char *)"1000", NULL };
	struct spawn_options options = plain(argv);
	struct outcome outcome = { 0 };
	struct spawn *spawn;
	pid_t pid;
	int pidfd, pair[2];
	struct pollfd hup;

	ck_assert_int_eq(pipe(pair), 0);
	options.close_first[2] = pair[1];
	ck_assert_int_eq(spawn_start(&spawn, spawner, &options, on_done, &outcome, &pid, &pidfd), 0);
	while (!outcome.calls)
		ev_run(loop, EVRUN_ONCE);
	close(pair[1]);
	hup = (struct pollfd){ .fd = pair[0], .events = POLLIN };
	ck_assert_int_eq(poll(&hup, 1, 0), 1);   /* nobody holds the other end any more */
	ck_assert_int_eq(pidfd_signal(pidfd, SIGKILL), 0);
	reap(pidfd);
	close(pair[0]);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_plain_child_has_a_session_and_three_fds);
	tcase_add_test(tcase, words_of_the_configuration_are_obeyed);
	tcase_add_test(tcase, another_user_is_that_user_and_nobody_else);
	tcase_add_test(tcase, fds_find_their_places_in_any_order);
	tcase_add_loop_test(tcase, what_cannot_be_started_says_where_and_why, 0,
			    ARRAY_SIZE(failures));
	tcase_add_test(tcase, a_script_without_an_interpreter_gets_no_shell);
	tcase_add_test(tcase, path_is_searched_in_order);
	tcase_add_test(tcase, the_spawn_word_is_claimed_with_the_pid);
	tcase_add_test(tcase, a_cancelled_word_never_execs);
	tcase_add_test(tcase, a_large_environment_arrives_whole);
	tcase_add_test(tcase, many_at_once_all_come_up_and_leak_nothing);
	tcase_add_test(tcase, one_killed_before_its_exec_is_out_of_the_way);
	tcase_add_test(tcase, no_handler_of_ours_runs_in_a_child);
	tcase_add_test(tcase, a_lock_named_first_is_let_go);
}

int main(void)
{
	int failed;

	/* valgrind knows no pidfds, and without them there is nothing to see. */
	if (syscall(SYS_pidfd_open, getpid(), 0) < 0)
		return 77;
	failed = unit_run("spawn", fill);

	crowded = true;
	return unit_run("spawn, crowded", fill) | failed;
}
