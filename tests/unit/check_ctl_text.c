#include <config.h>

#include "supervisor/ctl/text.h"
#include "tests/unit/unit.h"

#include <string.h>

static const struct {
	const char *text, *harmless;
	size_t columns;
} texts[] = {
	{ "", "", 0 },
	{ "plain", "plain", 5 },
	{ "a\tb\nc\r", "a b c ", 6 },
	{ "\033[31mred", "?[31mred", 8 },
	{ "\x7f\xc2\x9b", "??", 2 },                     /* DEL, and CSI in one character */
	{ "\xff\xc3(\xe2\x82", "?" "?(?" "?", 5 },             /* not UTF-8 */
	{ "\xed\xa0\x80", "???", 3 },                    /* a surrogate */
	{ "a\xe2\x80\xae" "b", "a?b", 3 },               /* right-to-left override */
	{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", 4 },
	{ "e\xcc\x81", "e\xcc\x81", 1 },                 /* a combining accent */
	{ "\xe6\x97\xa5\xe6\x9c\xac", "\xe6\x97\xa5\xe6\x9c\xac", 4 },
};

START_TEST(text_is_made_harmless_and_measured)
{
	char *harmless = text_harmless(texts[_i].text);

	ck_assert_str_eq(harmless, texts[_i].harmless);
	ck_assert_uint_eq(text_columns(harmless), texts[_i].columns);
	free(harmless);
}
END_TEST

START_TEST(a_character_is_never_cut_in_two)
{
	static const char text[] = "a\xe6\x97\xa5\xc3\xbc";
	static const size_t fits[] = { 0, 1, 1, 4, 6, 6 };
	size_t columns;

	for (columns = 0; columns < ARRAY_SIZE(fits); columns++)
		ck_assert_uint_eq(text_fit(text, columns, NULL), fits[columns]);
}
END_TEST

START_TEST(json_stays_json_when_made_harmless)
{
	char *harmless = text_harmless_json("{\n \"a\xc2\x9b\x7f\xe2\x80\xae\xc3\xbc\": 1}");

	ck_assert_str_eq(harmless, "{\n \"a\\u009b\\u007f\\u202e\xc3\xbc\": 1}");
	free(harmless);
}
END_TEST

static const struct {
	double seconds;
	const char *text, *brief;
} durations[] = {
	{ -1, "0ms", "0s" },
	{ 0, "0ms", "0s" },
	{ 0.25, "250ms", "0s" },
	{ 0.9996, "1s", "0s" },
	{ 1, "1s", "1s" },
	{ 3.25, "3.3s", "3s" },
	{ 9.96, "10s", "9s" },
	{ 12.5, "12s", "12s" },
	{ 60, "1m", "1m" },
	{ 312, "5m 12s", "5m" },
	{ 3600, "1h", "1h" },
	{ 7980, "2h 13m", "2h" },
	{ 86400, "1d", "1d" },
	{ 273600, "3d 4h", "3d" },
	{ 1e300, "11574074074d 1h", "11574074074d" },
};

START_TEST(durations_are_short_and_right)
{
	char buffer[32];

	ck_assert_str_eq(text_duration(buffer, durations[_i].seconds), durations[_i].text);
	ck_assert_str_eq(text_duration_short(buffer, durations[_i].seconds), durations[_i].brief);
}
END_TEST

START_TEST(times_are_read_and_shown)
{
	char buffer[32];

	setenv("TZ", "UTC", 1);
	ck_assert(text_parse_time("1970-01-01T00:01:00.500Z") == 60.5);
	ck_assert(text_parse_time("1970-01-01T00:01:00Z") == 60);
	ck_assert(text_parse_time("") < 0);
	ck_assert(text_parse_time("yesterday") < 0);
	ck_assert_str_eq(text_time(buffer, "2026-11-22T20:14:02.511Z"), "2026-11-22 20:14:02");
	ck_assert_str_eq(text_time(buffer, ""), "-");
}
END_TEST

static const struct {
	const char *word, *nearest;
} words[] = {
	{ "stauts", "status" }, { "statu", "status" }, { "starrt", "start" }, { "sotp", "stop" },
	{ "inca", "incarnations" }, { "evnts", "events" }, { "x", NULL }, { "frobnicate", NULL },
	{ "", NULL },
	{ "averyveryveryveryverylongwordthatisnoword", NULL },
};

START_TEST(the_nearest_word_is_found)
{
	static const char *const known[] = { "status", "start", "stop", "incarnations", "events",
					     NULL };

	if (words[_i].nearest)
		ck_assert_str_eq(text_nearest(words[_i].word, known), words[_i].nearest);
	else
		ck_assert_ptr_null(text_nearest(words[_i].word, known));
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_unchecked_fixture(tcase, text_setup, NULL);
	tcase_add_loop_test(tcase, text_is_made_harmless_and_measured, 0, ARRAY_SIZE(texts));
	tcase_add_test(tcase, a_character_is_never_cut_in_two);
	tcase_add_test(tcase, json_stays_json_when_made_harmless);
	tcase_add_loop_test(tcase, durations_are_short_and_right, 0, ARRAY_SIZE(durations));
	tcase_add_test(tcase, times_are_read_and_shown);
	tcase_add_loop_test(tcase, the_nearest_word_is_found, 0, ARRAY_SIZE(words));
}

int main(void)
{
	return unit_run("ctl_text", fill);
}
