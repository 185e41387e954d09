#include <config.h>

#include "supervisor/clock.h"
#include "supervisor/history.h"
#include "tests/unit/unit.h"

static const int64_t minute = 60 * NS_PER_S, hour = 3600 * NS_PER_S;
static struct history *history;

static void tear_down(void)
{
	history_free(history);
}

static void add(int64_t at)
{
	ck_assert_int_eq(history_add(&history, at, true, 5), 0);
}

START_TEST(without_restarts_there_is_nothing)
{
	ck_assert_uint_eq(history_last_hour(NULL, 100 * hour), 0);
	ck_assert_uint_eq(history_last_day(NULL, 100 * hour), 0);
	ck_assert_uint_eq(history_count_since(NULL, 0), 0);
	history_forgive(NULL);
	history_free(NULL);
}
END_TEST

/* Far from the start of the clock, and right at it. */
static const int64_t starts[] = { 0, 1, 59, 60, 61, 1000, 100000, 10000000 };   /* minutes */
START_TEST(the_last_hour_and_the_last_day_go_by)
{
	int64_t start = starts[_i] * minute;

	add(start);
	add(start + minute / 2);
	add(start + 30 * minute);
	ck_assert_uint_eq(history_last_hour(history, start + 30 * minute), 3);
	ck_assert_uint_eq(history_last_hour(history, start + 60 * minute), 3);   /* to the minute */
	ck_assert_uint_eq(history_last_hour(history, start + 62 * minute), 1);
	ck_assert_uint_eq(history_last_hour(history, start + 92 * minute), 0);
	ck_assert_uint_eq(history_last_day(history, start + 92 * minute), 3);
	ck_assert_uint_eq(history_last_day(history, start + 24 * hour), 3);      /* to the hour */
	ck_assert_uint_eq(history_last_day(history, start + 26 * hour), 0);
	/* A look at a later time changes nothing. */
	ck_assert_uint_eq(history_last_hour(history, start + 30 * minute), 3);
}
END_TEST

START_TEST(one_each_minute_is_sixty_an_hour)
{
	for (int64_t i = 0; i < 3000; i++) {
		add(i * minute);
		ck_assert_uint_eq(history_last_hour(history, i * minute), i < 60 ? (uint64_t)i + 1 : 61);
	}
	ck_assert_uint_eq(history_last_day(history, 3000 * minute), 1440);   /* the hour 50 is empty */
}
END_TEST

START_TEST(what_is_long_ago_is_forgotten_at_once)
{
	for (int i = 0; i < 100; i++)
		add(10 * hour);
	add(10 * hour + 1000000 * hour);
	ck_assert_uint_eq(history_last_hour(history, 1000010 * hour), 1);
	ck_assert_uint_eq(history_last_day(history, 1000010 * hour), 1);
	add(10 * hour);   /* older than the ring */
	ck_assert_uint_eq(history_last_day(history, 1000010 * hour), 1);
}
END_TEST

/* What a supervisor before us counted comes in after what is newer, and by its age: before the machine
 * was started the clock was negative. */
START_TEST(what_was_before_the_machine_started_is_as_old_as_it_is)
{
	add(-5 * hour);
	add(-50 * minute);
	ck_assert_uint_eq(history_last_hour(history, minute), 1);
	ck_assert_uint_eq(history_last_day(history, minute), 2);
	ck_assert_uint_eq(history_last_hour(history, 15 * minute), 0);
	ck_assert_uint_eq(history_last_day(history, 15 * minute), 2);
	ck_assert_uint_eq(history_last_day(history, 21 * hour), 1);
	ck_assert_uint_eq(history_last_day(history, 25 * hour), 0);
	add(-1000000 * hour);   /* a clock that was wrong */
	ck_assert_uint_eq(history_last_day(history, minute), 2);
	ck_assert_uint_eq(history_count_since(history, -6 * hour), 2);
	ck_assert_uint_eq(history_count_since(history, -hour), 1);
}
END_TEST

START_TEST(only_the_window_is_kept_for_intensity)
{
	for (int64_t i = 1; i <= 8; i++)
		add(i * NS_PER_S);
	ck_assert_uint_eq(history_count_since(history, 0), 5);
	ck_assert_uint_eq(history_count_since(history, 4 * NS_PER_S), 5);
	ck_assert_uint_eq(history_count_since(history, 8 * NS_PER_S), 1);
	ck_assert_uint_eq(history_count_since(history, 8 * NS_PER_S + 1), 0);
	/* A larger window after a reload: what there is is kept. */
	for (int64_t i = 9; i <= 15; i++)
		ck_assert_int_eq(history_add(&history, i * NS_PER_S, true, 10), 0);
	ck_assert_uint_eq(history_count_since(history, 0), 10);
	ck_assert_uint_eq(history_count_since(history, 7 * NS_PER_S), 9);
	ck_assert_uint_eq(history_last_hour(history, 15 * NS_PER_S), 15);
}
END_TEST

START_TEST(what_was_asked_for_does_not_count_towards_intensity)
{
	ck_assert_int_eq(history_add(&history, NS_PER_S, false, 5), 0);
	ck_assert_uint_eq(history_count_since(history, 0), 0);
	ck_assert_uint_eq(history_last_hour(history, NS_PER_S), 1);
}
END_TEST

START_TEST(without_a_window_only_the_hour_and_the_day_are_kept)
{
	ck_assert_int_eq(history_add(&history, NS_PER_S, true, 0), 0);
	ck_assert_uint_eq(history_count_since(history, 0), 0);
	ck_assert_uint_eq(history_last_hour(history, NS_PER_S), 1);
}
END_TEST

START_TEST(what_is_forgiven_still_happened)
{
	add(NS_PER_S);
	history_forgive(history);
	ck_assert_uint_eq(history_count_since(history, 0), 0);
	ck_assert_uint_eq(history_last_hour(history, NS_PER_S), 1);
	add(2 * NS_PER_S);
	ck_assert_uint_eq(history_count_since(history, 0), 1);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, NULL, tear_down);
	tcase_add_test(tcase, without_restarts_there_is_nothing);
	tcase_add_loop_test(tcase, the_last_hour_and_the_last_day_go_by, 0, ARRAY_SIZE(starts));
	tcase_add_test(tcase, one_each_minute_is_sixty_an_hour);
	tcase_add_test(tcase, what_is_long_ago_is_forgotten_at_once);
	tcase_add_test(tcase, what_was_before_the_machine_started_is_as_old_as_it_is);
	tcase_add_test(tcase, only_the_window_is_kept_for_intensity);
	tcase_add_test(tcase, what_was_asked_for_does_not_count_towards_intensity);
	tcase_add_test(tcase, without_a_window_only_the_hour_and_the_day_are_kept);
	tcase_add_test(tcase, what_is_forgiven_still_happened);
}

int main(void)
{
	return unit_run("history", fill);
}
