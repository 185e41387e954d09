#include <config.h>

#include <errno.h>

#include "supervisor/events.h"
#include "tests/unit/unit.h"

static uint64_t handed_over;
static unsigned told;
static struct events *events;

/* The store, as far as events need one. */
void store_event(struct store *store, struct store_event *event)
{
	(void)store;
	event->number = ++handed_over;
}

static void on_event(void *user)
{
	(void)user;
	told++;
}

static void setup(void) { ck_assert_int_eq(events_new(&events, NULL), 0); }
static void teardown(void) { events_free(events); }

START_TEST(a_follower_gets_what_comes_and_nothing_from_before)
{
	struct event_follower *follower;
	struct store_event event;
	char app[] = "kv";

	events_post(events, "kv", 1, "up", NULL);
	ck_assert_int_eq(events_follow(&follower, events, on_event, NULL), 0);
	ck_assert_int_eq(events_next(follower, &event), 0);
	ck_assert_uint_eq(events_post(events, app, 2, "down", "SIGKILL"), 2);
	app[0] = 'x';   /* it was copied */
	ck_assert_uint_eq(told, 1);
	ck_assert_int_eq(events_next(follower, &event), 1);
	ck_assert_uint_eq(event.number, 2);
	ck_assert_str_eq(event.app, "kv");
	ck_assert_uint_eq(event.epoch, 2);
	ck_assert_str_eq(event.event, "down");
	ck_assert_str_eq(event.reason, "SIGKILL");
	ck_assert_int_gt(event.at, 0);
	ck_assert_int_eq(events_next(follower, &event), 0);
	events_unfollow(follower);
}
END_TEST

START_TEST(each_follower_has_its_own_place)
{
	struct event_follower *one, *other;
	struct store_event event;

	events_follow(&one, events, on_event, NULL);
	events_post(events, NULL, 0, "reloaded", NULL);
	events_follow(&other, events, on_event, NULL);
	ck_assert_int_eq(events_next(other, &event), 0);
	ck_assert_int_eq(events_next(one, &event), 1);
	ck_assert_ptr_null(event.app);
	ck_assert_ptr_null(event.reason);
	events_unfollow(one);
	events_post(events, NULL, 0, "reloaded", NULL);
	ck_assert_int_eq(events_next(other, &event), 1);
	ck_assert_uint_eq(event.number, 2);
	events_unfollow(other);
}
END_TEST

START_TEST(one_that_keeps_up_to_the_limit_misses_nothing)
{
	struct event_follower *follower;
	struct store_event event;

	events_follow(&follower, events, on_event, NULL);
	for (int i = 0; i < EVENTS_KEPT; i++)
		events_post(events, "kv", 1, "up", NULL);
	for (uint64_t i = 1; i <= EVENTS_KEPT; i++) {
		ck_assert_int_eq(events_next(follower, &event), 1);
		ck_assert_uint_eq(event.number, i);
	}
	events_unfollow(follower);
}
END_TEST

START_TEST(one_that_falls_behind_is_told_so)
{
	struct event_follower *follower;
	struct store_event event;

	events_follow(&follower, events, on_event, NULL);
	for (int i = 0; i <= EVENTS_KEPT; i++)
		events_post(events, "kv", 1, "up", NULL);
	ck_assert_int_eq(events_next(follower, &event), -EOVERFLOW);
	ck_assert_int_eq(events_next(follower, &event), -EOVERFLOW);   /* and stays so */
	events_unfollow(follower);
	events_unfollow(NULL);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_follower_gets_what_comes_and_nothing_from_before);
	tcase_add_test(tcase, each_follower_has_its_own_place);
	tcase_add_test(tcase, one_that_keeps_up_to_the_limit_misses_nothing);
	tcase_add_test(tcase, one_that_falls_behind_is_told_so);
}

int main(void)
{
	return unit_run("events", fill);
}
