#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/output.h"
#include "tests/unit/unit.h"

enum { LINE_MAX_SIZE = 400, KEEP_ALL = 1000000 };

static char directory[] = "/tmp/epochd-output-XXXXXX";
static char file[80], fifo[80];
static struct outputs *outputs;
static struct output *output;

static void begin(uint64_t max_size, unsigned keep)
{
	ck_assert_int_eq(outputs_new(&outputs, directory), 0);
	ck_assert_int_eq(output_add(&output, outputs, "kv", file, max_size, keep), 0);
}

/* All that was written so far is in the files when this returns. */
static void finish(void)
{
	outputs_free(STEAL(outputs), false);
	output = NULL;
}

static void set_up(void)
{
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(file, sizeof file, "%s/log", directory);
	snprintf(fifo, sizeof fifo, "%s/kv.fifo", directory);
}

static void tear_down(void)
{
	char command[128];

	outputs_free(outputs, true);
	snprintf(command, sizeof command, "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void nap(void)
{
	nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
}

static char *in(const char *name)
{
	static char path[2][128];
	static unsigned turn;

	turn ^= 1;
	snprintf(path[turn], sizeof path[turn], "%s/%s", directory, name);
	return path[turn];
}

/* The whole file, or NULL; the caller's. */
static char *content(const char *path)
{
	FILE *stream = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	if (!stream)
		return NULL;
	if (getdelim(&text, &size, EOF, stream) < 0) {
		free(text);
		text = strdup("");
	}
	fclose(stream);
	return text;
}

static void expect(const char *name, const char *wanted)
{
	char *text = content(in(name));

	ck_assert_ptr_nonnull(text);
	ck_assert_str_eq(text, wanted);
	free(text);
}

static void await_content(const char *name, const char *wanted)
{
	for (;;) {
		char *text = content(in(name));
		bool same = text && strcmp(text, wanted) == 0;

		free(text);
		if (same)
			return;
		nap();
	}
}

static struct output_health await_error(int error)
{
	struct output_health health;

	for (;;) {
		output_health(output, &health);
		if (health.error == error)
			return health;
		nap();
	}
}

/* --- A writer of numbered lines, and who reads them again --- */

static unsigned dice(unsigned *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* "NUMBER xxx...\n"; its length follows from its number. */
static size_t numbered(char *line, unsigned number)
{
	unsigned state = number;
	size_t length = (size_t)sprintf(line, "%u ", number) + dice(&state) % 200;

	memset(line + strlen(line), 'a' + (int)(number % 26), length - strlen(line));
	line[length] = '\n';
	return length + 1;
}

/* Lines in pieces that end anywhere, as a buffer of stdio does it. */
static void write_numbered(int fd, unsigned count)
{
	char buffer[8192];
	size_t held = 0;
	unsigned state = 1, number = 0;

	while (number < count || held > 0) {
		size_t size;

		while (number < count && held + LINE_MAX_SIZE < sizeof buffer)
			held += numbered(buffer + held, number++);
		/* cppcheck-suppress zerodiv ; the loop goes on with a line, or with some of one held */
		size = 1 + dice(&state) % held;
		if (write(fd, buffer, size) != (ssize_t)size)
			_exit(1);
		held -= size;
		memmove(buffer, buffer + size, held);
	}
}

/* Reads the files from the oldest to the newest: exactly the lines from `next` on. The number after. */
static unsigned read_numbered(const char *path, unsigned next, uint64_t max_size)
{
	char line[LINE_MAX_SIZE], wanted[LINE_MAX_SIZE];
	FILE *stream = fopen(path, "r");
	uint64_t size = 0;

	ck_assert_ptr_nonnull(stream);
	while (fgets(line, sizeof line, stream)) {
		size_t length = numbered(wanted, next++);

		wanted[length] = '\0';
		ck_assert_str_eq(line, wanted);
		size += length;
	}
	fclose(stream);
	if (max_size)
		ck_assert_uint_le(size, max_size + LINE_MAX_SIZE);
	return next;
}

static unsigned read_all_numbered(uint64_t max_size, unsigned *files)
{
	char path[128];
	unsigned next = 0;

	*files = 0;
	do
		snprintf(path, sizeof path, "%s.%u", file, *files + 1);
	while (access(path, F_OK) == 0 && ++*files);
	for (unsigned i = *files; i > 0; i--) {
		snprintf(path, sizeof path, "%s.%u", file, i);
		next = read_numbered(path, next, max_size);
	}
	return read_numbered(file, next, max_size);
}

/* --- */

START_TEST(what_is_written_arrives)
{
	struct output_health health;
	struct stat st;

	begin(0, 5);
	ck_assert_int_eq(stat(fifo, &st), 0);
	ck_assert(S_ISFIFO(st.st_mode));
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_ge(fcntl(output_fd(output), F_GETPIPE_SZ), 1 << 20);
	say(output_fd(output), "one\ntwo, a prompt: ");
	await_content("log", "one\ntwo, a prompt: ");   /* nothing waits for its line's end */
	say(output_fd(output), "three\n");
	await_content("log", "one\ntwo, a prompt: three\n");
	do {
		output_health(output, &health);
		nap();
	} while (health.bytes_written < 25);
	ck_assert_uint_eq(health.bytes_written, 25);
	ck_assert_uint_eq(health.lines_dropped, 0);
	ck_assert_int_eq(health.error, 0);
	finish();
	ck_assert_int_eq(access(fifo, F_OK), 0);
}
END_TEST

START_TEST(a_file_that_is_there_goes_on)
{
	begin(0, 5);
	say(output_fd(output), "one\n");
	finish();
	begin(0, 5);
	say(output_fd(output), "two\n");
	finish();
	expect("log", "one\ntwo\n");
}
END_TEST

START_TEST(rotation_loses_no_line_and_cuts_none)
{
	unsigned files;
	pid_t writer;
	int status;

	begin(65536, KEEP_ALL);
	writer = fork();
	if (writer == 0) {
		write_numbered(output_fd(output), 100000);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(writer, &status, 0), writer);
	ck_assert_int_eq(status, 0);
	finish();
	ck_assert_uint_eq(read_all_numbered(65536, &files), 100000);
	ck_assert_uint_gt(files, 100);
}
END_TEST

START_TEST(as_many_old_files_are_kept_as_was_said)
{
	char line[32];

	begin(10, (unsigned)_i);
	for (int i = 0; i < 10; i++) {
		snprintf(line, sizeof line, "line %d\n", i);
		say(output_fd(output), line);
	}
	finish();
	expect("log", "line 9\n");
	if (_i >= 1)
		expect("log.1", "line 8\n");
	if (_i >= 2)
		expect("log.2", "line 7\n");
	snprintf(line, sizeof line, "log.%d", _i + 1);
	ck_assert_int_eq(access(in(line), F_OK), -1);
}
END_TEST

START_TEST(lines_that_fit_share_a_file)
{
	begin(10, 5);
	say(output_fd(output), "a\nbb\nccc\n");   /* 9 bytes */
	await_content("log", "a\nbb\nccc\n");
	say(output_fd(output), "\n");             /* 10: just fits */
	await_content("log", "a\nbb\nccc\n\n");
	say(output_fd(output), "d\n");
	await_content("log", "d\n");
	expect("log.1", "a\nbb\nccc\n\n");
	say(output_fd(output), "0123456789abcdef\nx\n");   /* too long for any */
	finish();
	expect("log.3", "a\nbb\nccc\n\n");
	expect("log.2", "d\n");
	expect("log.1", "0123456789abcdef\n");
	expect("log", "x\n");
}
END_TEST

START_TEST(a_line_that_was_begun_ends_in_its_file)
{
	begin(10, 5);
	say(output_fd(output), "a\nbegun ");
	await_content("log", "a\nbegun ");
	say(output_fd(output), "and still ");
	await_content("log", "a\nbegun and still ");
	finish();
	begin(10, 5);   /* nor does the next supervisor forget it */
	say(output_fd(output), "ended\nb\n");
	finish();
	expect("log.1", "a\nbegun and still ended\n");
	expect("log", "b\n");
}
END_TEST

START_TEST(a_rotation_that_was_killed_moves_nothing_twice)
{
	begin(5, 3);
	say(output_fd(output), "one\n");
	say(output_fd(output), "two\n");
	say(output_fd(output), "three\n");
	finish();
	ck_assert_int_eq(rename(in("log.1"), in("log.3")), 0);   /* .1 is free, as after a kill */
	begin(5, 3);
	say(output_fd(output), "four\n");
	finish();
	expect("log.3", "two\n");
	expect("log.2", "one\n");
	expect("log.1", "three\n");
	expect("log", "four\n");
}
END_TEST

START_TEST(a_new_file_has_the_mode_and_owner_of_the_old)
{
	struct stat st;
	FILE *stream = fopen(file, "w");

	ck_assert_ptr_nonnull(stream);
	fputs("old\n", stream);
	fclose(stream);
	ck_assert_int_eq(chmod(file, 0604), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(chown(file, 12, 34), 0);
	begin(5, 1);
	say(output_fd(output), "new\n");
	finish();
	expect("log.1", "old\n");
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0604);
	ck_assert_uint_eq(st.st_uid, geteuid() == 0 ? 12 : geteuid());
}
END_TEST

START_TEST(a_file_that_somebody_took_away_is_made_anew)
{
	begin(0, 0);
	say(output_fd(output), "one\nbeg");
	await_content("log", "one\nbeg");
	ck_assert_int_eq(rename(file, in("taken")), 0);
	say(output_fd(output), "un\ntwo\n");
	await_content("log", "two\n");
	expect("taken", "one\nbegun\n");   /* not cut */
	ck_assert_int_eq(rename(file, in("taken")), 0);   /* logrotate's create */
	ck_assert_int_eq(mknod(file, S_IFREG | 0600, 0), 0);
	say(output_fd(output), "made\n");
	await_content("log", "made\n");
	expect("taken", "two\n");
	ck_assert_int_eq(unlink(file), 0);
	say(output_fd(output), "three\n");
	await_content("log", "three\n");
	ck_assert_int_eq(truncate(file, 0), 0);   /* logrotate's copytruncate */
	say(output_fd(output), "four\n");
	finish();
	expect("log", "four\n");
}
END_TEST

START_TEST(what_comes_while_no_supervisor_lives_is_taken_by_the_next)
{
	int child;

	begin(0, 0);
	child = dup(output_fd(output));
	say(child, "one\n");
	finish();
	say(child, "two\n");
	expect("log", "one\n");
	begin(0, 0);
	await_content("log", "one\ntwo\n");
	say(child, "three\n");   /* it is the same pipe still */
	finish();
	expect("log", "one\ntwo\nthree\n");
	close(child);
}
END_TEST

START_TEST(what_is_no_fifo_of_ours_is_replaced)
{
	struct stat st;

	if (_i == 0) {
		FILE *stream = fopen(fifo, "w");

		ck_assert_ptr_nonnull(stream);
		fclose(stream);
	} else if (_i == 1) {
		ck_assert_int_eq(symlink("/dev/null", fifo), 0);
	} else {
		if (geteuid() != 0)
			return;
		ck_assert_int_eq(mkfifo(fifo, 0666), 0);
		ck_assert_int_eq(chown(fifo, 12, 34), 0);
	}
	begin(0, 0);
	ck_assert_int_eq(lstat(fifo, &st), 0);
	ck_assert(S_ISFIFO(st.st_mode));
	ck_assert_uint_eq(st.st_uid, geteuid());
	say(output_fd(output), "one\n");
	finish();
	expect("log", "one\n");
}
END_TEST

START_TEST(a_fifo_that_cannot_be_made_is_refused)
{
	ck_assert_int_eq(mkdir(fifo, 0700), 0);
	ck_assert_int_eq(outputs_new(&outputs, directory), 0);
	ck_assert_int_lt(output_add(&output, outputs, "kv", file, 0, 0), 0);
}
END_TEST

START_TEST(one_incarnation_leaves_no_nonblock_to_the_next)
{
	int fd;

	begin(0, 0);
	fd = output_fd(output);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(fcntl(output_fd(output), F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

/* The process that holds the outputs. Ends by being killed, or when its input ends. */
static pid_t start_holder(int *life)
{
	int fds[2];
	pid_t pid;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		char byte;

		close(fds[1]);
		if (outputs_new(&outputs, directory) < 0 ||
		    output_add(&output, outputs, "kv", file, 262144, KEEP_ALL) < 0)
			_exit(1);
		(void)!read(fds[0], &byte, 1);
		outputs_free(outputs, false);
		_exit(0);
	}
	close(fds[0]);
	*life = fds[1];
	return pid;
}

START_TEST(a_killed_supervisor_neither_loses_nor_repeats_a_byte)
{
	const unsigned lines = 200000;
	unsigned state = (unsigned)getpid(), kills = 0, files;
	/* Grows, so that a slow machine gets somewhere, too. */
	long window_ns = 4000000;
	pid_t writer, holder;
	int status, life, fd;

	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	fd = open(fifo, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	writer = fork();
	if (writer == 0) {
		write_numbered(fd, lines);
		_exit(0);
	}
	while (waitpid(writer, &status, WNOHANG) == 0) {
		holder = start_holder(&life);
		nanosleep(&(struct timespec){ 0, dice(&state) % window_ns }, NULL);
		if (window_ns < 500000000)
			window_ns += window_ns / 64;
		ck_assert_int_eq(kill(holder, SIGKILL), 0);
		ck_assert_int_eq(waitpid(holder, NULL, 0), holder);
		close(life);
		kills++;
	}
	ck_assert_int_eq(status, 0);
	holder = start_holder(&life);
	close(life);
	ck_assert_int_eq(waitpid(holder, &status, 0), holder);
	ck_assert_int_eq(status, 0);
	close(fd);
	ck_assert_uint_eq(read_all_numbered(262144, &files), lines);
	ck_assert_uint_gt(kills, 3);
}
END_TEST

static void limit_file_size(rlim_t size)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Each line is whole and rising in number; what is missing is what the notes say. */
static void check_gaps(unsigned written, uint64_t dropped)
{
	char line[LINE_MAX_SIZE], wanted[LINE_MAX_SIZE];
	FILE *stream = fopen(file, "r");
	unsigned next = 0, number, missing, cut = 0;
	uint64_t told = 0, seen = 0;

	ck_assert_ptr_nonnull(stream);
	while (fgets(line, sizeof line, stream)) {
		if (sscanf(line, "epochd: %u line", &missing) == 1) {
			ck_assert_ptr_nonnull(strstr(line, "dropped: File too large\n"));
			told += missing;
			continue;
		}
		ck_assert_int_eq(sscanf(line, "%u", &number), 1);
		wanted[numbered(wanted, number)] = '\0';
		if (strcmp(line, wanted) != 0) {   /* where the disk became full */
			ck_assert_int_eq(strncmp(line, wanted, strlen(line) - 1), 0);
			cut++;
			continue;
		}
		ck_assert_uint_ge(number, next);
		next = number + 1;
		seen++;
	}
	fclose(stream);
	ck_assert_uint_le(cut, 1);
	ck_assert_uint_eq(told, dropped);
	ck_assert_uint_eq(seen + dropped, written);
}

START_TEST(a_full_disk_stops_nobody_and_what_is_missing_is_counted)
{
	struct output_health health;
	char line[LINE_MAX_SIZE];
	unsigned written = 20000;

	limit_file_size(100001);
	begin(0, 0);
	write_numbered(output_fd(output), written);   /* 2 MB: does not block for ever */
	health = await_error(EFBIG);
	ck_assert_int_gt(health.since, 0);
	do {   /* until it is all gone */
		nap();
		output_health(output, &health);
	} while (health.lines_dropped + 100001 / 2 < written && health.lines_dropped < 18000);
	limit_file_size(RLIM_INFINITY);
	do {
		size_t length = numbered(line, written++);

		ck_assert_int_eq(write(output_fd(output), line, length), (ssize_t)length);
		nap();
		output_health(output, &health);
	} while (health.error);
	ck_assert_int_eq(health.since, 0);
	ck_assert_uint_gt(health.lines_dropped, 18000);
	finish();
	check_gaps(written, health.lines_dropped);
}
END_TEST

START_TEST(the_end_of_a_line_whose_beginning_was_dropped_is_dropped_too)
{
	struct output_health health;

	snprintf(file, sizeof file, "%s/logs/log", directory);
	begin(0, 0);
	await_error(ENOENT);
	say(output_fd(output), "one\ntwo begins");
	do {
		nap();
		output_health(output, &health);
	} while (health.lines_dropped < 1);
	ck_assert_int_eq(mkdir(in("logs"), 0700), 0);
	for (time_t now = time(NULL); time(NULL) < now + 2; nap())   /* until it may be tried again */
		say(output_fd(output), ", goes on");
	ck_assert_int_eq(access(file, F_OK), -1);
	say(output_fd(output), " and ends\nthree\n");
	finish();
	expect("logs/log", "epochd: 2 lines dropped: No such file or directory\nthree\n");
}
END_TEST

START_TEST(a_device_that_is_full_drops_lines_and_one_that_swallows_takes_them)
{
	struct output_health health;

	snprintf(file, sizeof file, "/dev/full");
	begin(1000, 1);
	say(output_fd(output), "one\ntwo\n");
	await_error(ENOSPC);
	do {
		nap();
		output_health(output, &health);
	} while (health.lines_dropped < 2);
	ck_assert_uint_eq(health.bytes_written, 0);
	ck_assert_int_eq(output_change(output, "/dev/null", 1000, 1), 0);
	await_error(0);
	say(output_fd(output), "three\n");
	do {
		nap();
		output_health(output, &health);
	} while (health.bytes_written < 6);
	ck_assert_uint_eq(health.lines_dropped, 2);
}
END_TEST

START_TEST(a_file_that_cannot_be_moved_grows_and_that_is_told)
{
	ck_assert_int_eq(mkdir(in("log.1"), 0700), 0);
	begin(5, 1);
	say(output_fd(output), "one\n");
	say(output_fd(output), "two\n");
	await_error(EISDIR);
	await_content("log", "one\ntwo\n");
	ck_assert_int_eq(rmdir(in("log.1")), 0);
	ck_assert_int_eq(output_change(output, file, 5, 1), 0);   /* tries at once */
	await_error(0);
	say(output_fd(output), "three\n");
	finish();
	expect("log.1", "one\ntwo\n");
	expect("log", "three\n");
}
END_TEST

START_TEST(another_file_begins_with_the_next_line)
{
	struct output *after;

	begin(0, 0);
	say(output_fd(output), "one\ntwo beg");
	ck_assert_int_eq(output_change(output, in("next"), 5, 1), 0);
	/* Commands are obeyed in order: when this one has its file, the change is known. */
	ck_assert_int_eq(output_add(&after, outputs, "after", in("after"), 0, 0), 0);
	await_content("after", "");
	say(output_fd(output), "ins\nthree\nfour\n");
	finish();
	expect("log", "one\ntwo begins\n");
	expect("next.1", "three\n");
	expect("next", "four\n");
}
END_TEST

START_TEST(a_removed_one_is_emptied_and_its_name_is_free_at_once)
{
	begin(0, 0);
	for (int i = 0; i < 200; i++) {
		say(output_fd(output), "x\n");
		output_remove(STEAL(output));
		ck_assert_int_eq(access(fifo, F_OK), -1);
		ck_assert_int_eq(output_add(&output, outputs, "kv", file, 0, 0), 0);
		ck_assert_int_eq(access(fifo, F_OK), 0);
	}
	outputs_free(STEAL(outputs), true);
	ck_assert_int_eq(access(fifo, F_OK), -1);
	{
		char *text = content(file);

		ck_assert_ptr_nonnull(text);
		ck_assert_uint_eq(strlen(text), 400);
		free(text);
	}
}
END_TEST

START_TEST(many_share_one_thread_and_may_share_a_file)
{
	struct output *all[50];
	char name[16], *text;

	ck_assert_int_eq(outputs_new(&outputs, directory), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		snprintf(name, sizeof name, "app%u", i);
		ck_assert_int_eq(output_add(&all[i], outputs, name, file, 0, 0), 0);
	}
	for (unsigned round = 0; round < 20; round++)
		for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
			say(output_fd(all[i]), "0123456789\n");
	outputs_free(STEAL(outputs), true);
	text = content(file);
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(strlen(text), 11000);
	for (size_t at = 0; at < 11000; at += 11)
		ck_assert_int_eq(strncmp(text + at, "0123456789\n", 11), 0);
	free(text);
}
END_TEST

START_TEST(freeing_nothing_is_fine)
{
	outputs_free(NULL, true);
	ck_assert_int_eq(outputs_new(&outputs, directory), 0);   /* no output, no thread */
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, what_is_written_arrives);
	tcase_add_test(tcase, a_file_that_is_there_goes_on);
	tcase_add_test(tcase, rotation_loses_no_line_and_cuts_none);
	tcase_add_loop_test(tcase, as_many_old_files_are_kept_as_was_said, 0, 3);
	tcase_add_test(tcase, lines_that_fit_share_a_file);
	tcase_add_test(tcase, a_line_that_was_begun_ends_in_its_file);
	tcase_add_test(tcase, a_rotation_that_was_killed_moves_nothing_twice);
	tcase_add_test(tcase, a_new_file_has_the_mode_and_owner_of_the_old);
	tcase_add_test(tcase, a_file_that_somebody_took_away_is_made_anew);
	tcase_add_test(tcase, what_comes_while_no_supervisor_lives_is_taken_by_the_next);
	tcase_add_loop_test(tcase, what_is_no_fifo_of_ours_is_replaced, 0, 3);
	tcase_add_test(tcase, a_fifo_that_cannot_be_made_is_refused);
	tcase_add_test(tcase, one_incarnation_leaves_no_nonblock_to_the_next);
	/* What is killed tells valgrind nothing, and under it gets nowhere in its few milliseconds. */
	if (!getenv("EPOCHD_VALGRIND"))
		tcase_add_test(tcase, a_killed_supervisor_neither_loses_nor_repeats_a_byte);
	tcase_add_test(tcase, a_full_disk_stops_nobody_and_what_is_missing_is_counted);
	tcase_add_test(tcase, the_end_of_a_line_whose_beginning_was_dropped_is_dropped_too);
	tcase_add_test(tcase, a_device_that_is_full_drops_lines_and_one_that_swallows_takes_them);
	tcase_add_test(tcase, a_file_that_cannot_be_moved_grows_and_that_is_told);
	tcase_add_test(tcase, another_file_begins_with_the_next_line);
	tcase_add_test(tcase, a_removed_one_is_emptied_and_its_name_is_free_at_once);
	tcase_add_test(tcase, many_share_one_thread_and_may_share_a_file);
	tcase_add_test(tcase, freeing_nothing_is_fine);
}

int main(void)
{
	return unit_run("output", fill);
}
