#include <config.h>

#include "supervisor/log.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

static FILE *file;
static int real_stderr;
static char lines[16384];

/* Check forks for each test: the setting goes with the child. */
static void set_up(void)
{
	file = tmpfile();
	ck_assert_ptr_nonnull(file);
	fflush(stderr);
	real_stderr = dup(STDERR_FILENO);
	ck_assert_int_ge(dup2(fileno(file), STDERR_FILENO), 0);
	unsetenv("JOURNAL_STREAM");
}

static void tear_down(void)
{
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	fclose(file);
}

/* What was written since; it begins again. */
static const char *written(void)
{
	ssize_t n = pread(fileno(file), lines, sizeof lines - 1, 0);

	ck_assert_int_ge(n, 0);
	lines[n] = '\0';
	ck_assert_int_eq(ftruncate(fileno(file), 0), 0);
	lseek(STDERR_FILENO, 0, SEEK_SET);
	return lines;
}

static const char *expect_one_line(void)
{
	const char *line = written(), *end = strchr(line, '\n');

	ck_assert_ptr_nonnull(end);
	ck_assert_str_eq(end, "\n");
	return line;
}

static json_t *expect_json(const char *level)
{
	json_t *object = json_loads(expect_one_line(), 0, NULL);
	const char *time, *got, *text;

	ck_assert_msg(object != NULL, "not JSON: %s", lines);
	ck_assert_int_eq(json_unpack_ex(object, NULL, JSON_STRICT, "{s:s, s:s, s:s}", "time", &time,
					"level", &got, "text", &text), 0);
	ck_assert_str_eq(got, level);
	ck_assert_uint_eq(strlen(time), strlen("2026-11-22T20:12:00.123Z"));
	return object;
}

static void expect_text(const char *wanted)
{
	json_t *object = expect_json("error");

	ck_assert_str_eq(json_string_value(json_object_get(object, "text")), wanted);
	json_decref(object);
}

START_TEST(a_line_has_time_level_and_reason)
{
	char level[16], text[64], day[40];

	log_setup((struct log_options){ .level = LOG_LEVEL_DEBUG });
	ck_assert_int_eq(log_error(-ENOENT, "app %s: no file", "kv"), -ENOENT);
	ck_assert_int_eq(sscanf(expect_one_line(), "%39s %15s %63[^\n]", day, level, text), 3);
	ck_assert_str_eq(level, "error");
	ck_assert_str_eq(text, "app kv: no file: No such file or directory");
	ck_assert_int_eq(day[23], 'Z');
	ck_assert_int_eq(log_notice(0, "up"), 0);
	ck_assert_ptr_nonnull(strstr(expect_one_line(), " notice up\n"));
	ck_assert_int_eq(log_debug(0, "rest"), 0);
	ck_assert_ptr_nonnull(strstr(expect_one_line(), " debug  rest\n"));
}
END_TEST

START_TEST(what_is_more_verbose_is_not_written)
{
	log_notice(0, "by default");
	ck_assert_ptr_nonnull(strstr(expect_one_line(), "by default"));
	log_debug(0, "not by default");
	log_setup((struct log_options){ .level = LOG_LEVEL_ERROR });
	ck_assert_int_eq(log_notice(-EPERM, "no"), -EPERM);
	ck_assert_str_eq(written(), "");
}
END_TEST

static void name_journal(unsigned long long more)
{
	char stream[64];
	struct stat st;

	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev, st.st_ino + more);
	setenv("JOURNAL_STREAM", stream, 1);
	log_setup((struct log_options){ .level = LOG_LEVEL_DEBUG });
}

START_TEST(the_journal_is_told_a_priority)
{
	name_journal(0);
	log_error(-EPERM, "a");
	ck_assert_str_eq(expect_one_line(), "<3>a: Operation not permitted\n");
	log_notice(0, "b");
	ck_assert_str_eq(expect_one_line(), "<5>b\n");
	log_debug(0, "c");
	ck_assert_str_eq(expect_one_line(), "<7>c\n");
}
END_TEST

START_TEST(a_journal_that_is_not_our_stderr_is_none)
{
	static const char *const streams[] = { "", "1", "x:y" };

	name_journal(1);
	log_error(0, "a");
	ck_assert_int_ne(expect_one_line()[0], '<');
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		setenv("JOURNAL_STREAM", streams[i], 1);
		log_setup((struct log_options){ .level = LOG_LEVEL_DEBUG });
		log_error(0, "a");
		ck_assert_int_ne(expect_one_line()[0], '<');
	}
}
END_TEST

START_TEST(a_newline_in_a_text_is_none_in_the_log)
{
	log_error(0, "a\nb\rc\x1b[1m\td\x7f");
	ck_assert_ptr_nonnull(strstr(expect_one_line(), "a b c [1m d "));
	log_setup((struct log_options){ .level = LOG_LEVEL_ERROR, .json = true });
	log_error(0, "a\nb\"\\");
	expect_text("a b\"\\");
}
END_TEST

/* However long: one line, with its beginning; in JSON, too, where each character may need two bytes. */
static const char *const fillers[] = { "x", "\"", "\\", "\n", "\xc3\xa4", "\xe2\x82\xac",
				       "\xf0\x9f\x98\x80" };
START_TEST(a_long_text_is_cut)
{
	char text[6000] = "begins ";
	const char *got;
	json_t *object;

	for (int shift = 0; shift < 4; shift++) {
		text[7] = '\0';
		memset(text + 7, 'y', (size_t)shift);
		text[7 + shift] = '\0';
		for (size_t n = strlen(text), size = strlen(fillers[_i]); n < 5000; n += size)
			memcpy(text + n, fillers[_i], size + 1);
		log_setup((struct log_options){ .level = LOG_LEVEL_ERROR, .json = true });
		log_error(-EPERM, "%s", text);
		object = expect_json("error");
		got = json_string_value(json_object_get(object, "text"));
		ck_assert_uint_gt(strlen(got), 1000);
		ck_assert_uint_lt(strlen(got), 1024);
		if (fillers[_i][0] != '\n')
			ck_assert_int_eq(strncmp(got, text, strlen(got)), 0);
		json_decref(object);
		log_setup((struct log_options){ .level = LOG_LEVEL_ERROR });
		log_error(0, "%s", text);
		ck_assert_ptr_nonnull(strstr(expect_one_line(), "begins "));
	}
}
END_TEST

START_TEST(what_is_not_utf8_is_still_told)
{
	log_setup((struct log_options){ .level = LOG_LEVEL_ERROR, .json = true });
	log_error(0, "caf\xe9 au lait");
	expect_text("caf? au lait");
	log_error(0, "caf\xc3\xa9 au lait");
	expect_text("caf\xc3\xa9 au lait");
	log_error(-ENOENT, "\xff\xfe");
	expect_text("??: No such file or directory");
}
END_TEST

/* ---- a stderr that takes nothing ---- */

static FILE *reader;

static void make_pipe(int flags)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | flags), 0);
	ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
	close(ends[1]);
	fcntl(ends[0], F_SETFL, 0);
	reader = fdopen(ends[0], "r");
	ck_assert_ptr_nonnull(reader);
}

/* Through an open file description of its own, with one long line. */
static void stuff(void)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	char block[4096];

	ck_assert_int_ge(fd, 0);
	memset(block, 'x', sizeof block);
	while (write(fd, block, sizeof block) > 0)
		;
	ck_assert_int_eq(errno, EAGAIN);
	close(fd);
}

static const char *read_line(void)
{
	static char *line;
	static size_t room;

	ck_assert_int_gt(getline(&line, &room, reader), 0);
	return line;
}

/* What was logged before is there, whole and in order, and how much is not. */
START_TEST(a_full_pipe_stops_nobody)
{
	enum { LINES = 40000 };
	unsigned i, next = 0, dropped = 0, more;
	const char *line, *text;

	make_pipe(0);
	stuff();
	ck_assert_int_eq(log_start(), 0);
	for (i = 0; i < LINES; i++)
		log_notice(0, "line %u of many, each as long as that", i);
	/* What is dropped may be told in parts, each where it is missing. */
	while (next + dropped < LINES) {
		line = read_line();
		text = strstr(line, " error  log: ");
		if (text) {
			ck_assert_int_eq(sscanf(text, " error log: %u lines dropped", &more), 1);
			dropped += more;
			continue;
		}
		text = strstr(line, " notice line ");
		ck_assert_msg(text && sscanf(text, " notice line %u of", &i) == 1, "after %u lines: %.200s", next, line);
		ck_assert_str_eq(strchr(text, ','), ", each as long as that\n");
		ck_assert_uint_eq(i, next + dropped);
		next++;
	}
	ck_assert_uint_gt(dropped, 0);
	ck_assert_uint_gt(next, 10000);
	ck_assert_uint_eq(next + dropped, LINES);
	log_notice(0, "goes on");
	ck_assert_ptr_nonnull(strstr(read_line(), " notice goes on\n"));
	log_stop();
	fclose(reader);
}
END_TEST

START_TEST(a_full_pipe_does_not_hold_the_end)
{
	make_pipe(0);
	stuff();
	ck_assert_int_eq(log_start(), 0);
	log_notice(0, "that nobody reads");
	log_stop();
	log_notice(0, "nor that");
}
END_TEST

/* An application that shares stderr may set it. */
START_TEST(o_nonblock_loses_nothing)
{
	unsigned i, got;

	make_pipe(O_NONBLOCK);
	ck_assert_int_eq(log_start(), 0);
	for (i = 0; i < 5000; i++)
		log_notice(0, "line %u", i);
	for (i = 0; i < 5000; i++) {
		ck_assert_int_eq(sscanf(read_line(), "%*s notice line %u", &got), 1);
		ck_assert_uint_eq(got, i);
	}
	log_stop();
	fclose(reader);
}
END_TEST

START_TEST(what_waits_at_the_end_is_written)
{
	unsigned i;
	char *at;

	ck_assert_int_eq(log_start(), 0);
	log_hold();
	for (i = 0; i < 100; i++)
		log_notice(0, "line %u", i);
	log_stop();
	log_notice(0, "line %u", i);   /* at once */
	written();
	for (at = lines, i = 0; i <= 100; i++, at = strchr(at, '\n') + 1) {
		unsigned got;

		ck_assert_int_eq(sscanf(at, "%*s notice line %u", &got), 1);
		ck_assert_uint_eq(got, i);
	}
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_line_has_time_level_and_reason);
	tcase_add_test(tcase, what_is_more_verbose_is_not_written);
	tcase_add_test(tcase, the_journal_is_told_a_priority);
	tcase_add_test(tcase, a_journal_that_is_not_our_stderr_is_none);
	tcase_add_test(tcase, a_newline_in_a_text_is_none_in_the_log);
	tcase_add_loop_test(tcase, a_long_text_is_cut, 0, ARRAY_SIZE(fillers));
	tcase_add_test(tcase, what_is_not_utf8_is_still_told);
	tcase_add_test(tcase, a_full_pipe_stops_nobody);
	tcase_add_test(tcase, a_full_pipe_does_not_hold_the_end);
	tcase_add_test(tcase, o_nonblock_loses_nothing);
	tcase_add_test(tcase, what_waits_at_the_end_is_written);
}

int main(void)
{
	return unit_run("log", fill);
}
