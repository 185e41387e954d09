#include <config.h>

#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/policy.h"
#include "tests/unit/unit.h"

#include <signal.h>

#define CODE(code) { .cause = EP_EXITED, .kind = EP_END_CODE, .value = (code) }
#define SIGNAL(number) { .cause = EP_CRASHED, .kind = EP_END_SIGNAL, .value = (number) }

/* always restarts each of them, never none; on-failure those that are failures. */
static const struct {
	struct ep_end end;
	bool failure;
} ends[] = {
	{ CODE(0), false },
	{ CODE(1), true },
	{ CODE(255), true },
	{ SIGNAL(SIGHUP), false },
	{ SIGNAL(SIGINT), false },
	{ SIGNAL(SIGTERM), false },
	{ SIGNAL(SIGPIPE), false },
	{ SIGNAL(SIGKILL), true },
	{ SIGNAL(SIGSEGV), true },
	{ SIGNAL(SIGABRT), true },
	{ SIGNAL(SIGQUIT), true },
	{ { .cause = EP_EXITED, .kind = EP_END_CODE, .value = SIGTERM }, true },   /* a code, no signal */
	{ { .cause = EP_CRASHED }, true },   /* how is not known */
	{ { .cause = EP_UNSEEN }, true },
	{ { .cause = EP_WATCHDOG, .kind = EP_END_CODE, .value = 0 }, true },
	{ { .cause = EP_HEALTH, .kind = EP_END_SIGNAL, .value = SIGTERM }, true },
	{ { .cause = EP_START_FAILED, .kind = EP_END_CODE, .value = 0 }, true },
	{ { .cause = EP_START_TIMEOUT, .kind = EP_END_SIGNAL, .value = SIGTERM }, true },
	{ { .cause = EP_BOOT }, true },
};
START_TEST(each_end_has_its_answer)
{
	struct app_config config = { .restart = RESTART_ALWAYS };

	ck_assert_int_eq(policy_is_failure(&ends[_i].end), ends[_i].failure);
	ck_assert(policy_restarts(&config, &ends[_i].end));
	config.restart = RESTART_NEVER;
	ck_assert(!policy_restarts(&config, &ends[_i].end));
	config.restart = RESTART_ON_FAILURE;
	ck_assert_int_eq(policy_restarts(&config, &ends[_i].end), ends[_i].failure);
}
END_TEST

START_TEST(only_what_nobody_asked_for_counts_towards_intensity)
{
	static const bool counts[EP_CAUSES] = {
		[EP_CRASHED] = true, [EP_EXITED] = true, [EP_WATCHDOG] = true, [EP_HEALTH] = true,
		[EP_START_FAILED] = true, [EP_START_TIMEOUT] = true, [EP_UNSEEN] = true,
	};

	for (int cause = 0; cause < EP_CAUSES; cause++)
		ck_assert_msg(policy_counts((enum ep_cause)cause) == counts[cause], "%s",
			      ep_cause_name((enum ep_cause)cause));
}
END_TEST

static struct app_config with_backoff(int64_t initial, double factor, int64_t max, double jitter)
{
	return (struct app_config){ .backoff = { .initial = initial, .max = max, .factor = factor,
						 .jitter = jitter } };
}

START_TEST(the_delay_grows_up_to_its_cap)
{
	struct app_config config = with_backoff(100, 2, 1000, 0);
	static const int64_t delays[] = { 100, 200, 400, 800, 1000, 1000, 1000 };

	for (unsigned i = 0; i < ARRAY_SIZE(delays); i++)
		ck_assert_int_eq(policy_delay(&config, i + 1, 0.5), delays[i]);
	ck_assert_int_eq(policy_delay(&config, 0, 0.5), 100);
	ck_assert_int_eq(policy_delay(&config, EP_EPOCH_MAX, 0.5), 1000);
	config = with_backoff(5000, 2, 1000, 0);   /* the cap is below the first */
	ck_assert_int_eq(policy_delay(&config, 1, 0.5), 1000);
	config = with_backoff(100, 1, 1000, 0);
	ck_assert_int_eq(policy_delay(&config, 50, 0.5), 100);
}
END_TEST

START_TEST(the_jitter_stays_within_its_share)
{
	struct app_config config = with_backoff(1000, 2, 100000, 0.1);

	for (unsigned failures = 1; failures < 20; failures++) {
		int64_t delay = policy_delay(&config, failures, 0.5);

		ck_assert_int_eq(policy_delay(&config, failures, 0), delay - delay / 10);
		ck_assert_int_eq(policy_delay(&config, failures, 1), delay + delay / 10);
		for (int percent = 0; percent <= 100; percent++) {
			int64_t jittered = policy_delay(&config, failures, percent / 100.);

			ck_assert_int_ge(jittered, delay - delay / 10);
			ck_assert_int_le(jittered, delay + delay / 10);
		}
	}
	config = with_backoff(1000, 2, 100000, 1);   /* all of it */
	ck_assert_int_eq(policy_delay(&config, 1, 0), 0);
	ck_assert_int_eq(policy_delay(&config, 1, 1), 2000);
}
END_TEST

/* With as many failures as there are epochs, and with the longest times that a configuration may have. */
START_TEST(extremes_are_no_trouble)
{
	struct app_config config = with_backoff(0, 2, 1000, 0.1);
	int64_t most = 36500ll * 24 * 3600 * NS_PER_S;

	ck_assert_int_eq(policy_delay(&config, EP_EPOCH_MAX, 1), 0);
	config = with_backoff(most, 1e300, most, 1);
	ck_assert_int_eq(policy_delay(&config, EP_EPOCH_MAX, 1), 2 * most);
	ck_assert_int_eq(policy_delay(&config, EP_EPOCH_MAX, 0), 0);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_set_timeout(tcase, 20);
	tcase_add_loop_test(tcase, each_end_has_its_answer, 0, ARRAY_SIZE(ends));
	tcase_add_test(tcase, only_what_nobody_asked_for_counts_towards_intensity);
	tcase_add_test(tcase, the_delay_grows_up_to_its_cap);
	tcase_add_test(tcase, the_jitter_stays_within_its_share);
	tcase_add_test(tcase, extremes_are_no_trouble);
}

int main(void)
{
	return unit_run("policy", fill);
}
