#include <config.h>

#include "supervisor/configuration.h"
#include "supervisor/environment.h"
#include "tests/unit/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char **made;
static char name_text[] = "kv";

/* Whatever this process was started with is not its business. */
static void set_up(void)
{
	static char path[] = "PATH=/bin", home[] = "HOME=/root", mode[] = "KV_MODE=slow";
	static char *inherited[] = { path, home, mode, NULL };

	environ = inherited;
}

static void tear_down(void)
{
	free(STEAL(made));
}

static struct environment_values values(void)
{
	return (struct environment_values){ .instance = "default", .socket = "/run/epochd/default/api.sock",
					    .token = "0123456789abcdef0123456789abcdef", .epoch = 7 };
}

static void make(const struct app_config *config, const struct environment_values *with)
{
	ck_assert_int_eq(environment_make(&made, config, with), 0);
	/* No name stands in it twice: which one counts would be the program's choice. */
	for (char **one = made; *one; one++) {
		ck_assert_ptr_nonnull(strchr(*one, '='));
		for (char **other = one + 1; *other; other++)
			ck_assert_msg(strncmp(*one, *other, strcspn(*one, "=") + 1) != 0, "%s and %s",
				      *one, *other);
	}
}

static void expect(const char *name, const char *value)
{
	const char *got = environment_get(made, name);

	if (value)
		ck_assert_str_eq(got ? got : "(not there)", value);
	else
		ck_assert_msg(!got, "%s=%s", name, got);
}

static unsigned count(void)
{
	unsigned n = 0;

	while (made[n])
		n++;
	return n;
}

START_TEST(each_incarnation_is_told_who_it_is)
{
	struct app_config config = { .name = name_text };
	struct environment_values with = values();

	make(&config, &with);
	expect("EPOCHD_APP", "kv");
	expect("EPOCHD_EPOCH", "7");
	expect("EPOCHD_INSTANCE", "default");
	expect("EPOCHD_SOCKET", "/run/epochd/default/api.sock");
	expect("EPOCHD_TOKEN", "0123456789abcdef0123456789abcdef");
	expect("PATH", "/bin");
	expect("HOME", "/root");
	expect("NOTIFY_SOCKET", NULL);
	expect("WATCHDOG_USEC", NULL);
	expect("USER", NULL);
	ck_assert_uint_eq(count(), 8);
}
END_TEST

START_TEST(what_was_meant_for_us_is_not_handed_on)
{
	static char text[][32] = {
		"EPOCHD_APP=outer", "EPOCHD_TOKEN=outer", "EPOCHD_STATE_DIR=/x", "NOTIFY_SOCKET=/outer",
		"WATCHDOG_USEC=1", "WATCHDOG_PID=1", "LISTEN_FDS=1", "LISTEN_PID=1", "MAINPID=1",
		"NOTIFY_SOCKETS=kept", "EPOCH=kept", "MAINPIDS=kept",
	};
	static char *inherited[ARRAY_SIZE(text) + 1];   /* environ outlives us */
	struct app_config config = { .name = name_text };
	struct environment_values with = values();

	for (size_t i = 0; i < ARRAY_SIZE(text); i++)
		inherited[i] = text[i];
	environ = inherited;
	make(&config, &with);
	expect("EPOCHD_APP", "kv");
	expect("EPOCHD_STATE_DIR", NULL);
	expect("NOTIFY_SOCKET", NULL);
	expect("WATCHDOG_USEC", NULL);
	expect("WATCHDOG_PID", NULL);
	expect("LISTEN_FDS", NULL);
	expect("MAINPID", NULL);
	expect("NOTIFY_SOCKETS", "kept");
	expect("EPOCH", "kept");
	expect("MAINPIDS", "kept");
	ck_assert_uint_eq(count(), 8);
}
END_TEST

START_TEST(the_configured_one_goes_over_what_is_inherited)
{
	char mode[] = "KV_MODE=fast", mod[] = "KV_MOD=shorter", empty[] = "EMPTY=", two[] = "TWO=a=b";
	char *configured[] = { mode, mod, empty, two, NULL };
	struct app_config config = { .name = name_text, .environment = configured };
	struct environment_values with = values();

	make(&config, &with);
	expect("KV_MODE", "fast");
	expect("KV_MOD", "shorter");
	expect("EMPTY", "");
	expect("TWO", "a=b");
	expect("PATH", "/bin");
	expect("KV", NULL);
}
END_TEST

START_TEST(a_cleared_one_has_only_what_is_configured)
{
	char mode[] = "KV_MODE=fast";
	char *configured[] = { mode, NULL };
	struct app_config config = { .name = name_text, .environment = configured,
				     .clear_environment = true };
	struct environment_values with = values();

	make(&config, &with);
	expect("PATH", NULL);
	expect("KV_MODE", "fast");
	expect("EPOCHD_APP", "kv");
	ck_assert_uint_eq(count(), 6);
	free(STEAL(made));
	environ = NULL;   /* as clearenv(3) leaves it */
	config.clear_environment = false;
	make(&config, &with);
	ck_assert_uint_eq(count(), 6);
}
END_TEST

START_TEST(another_user_gets_what_login_would_say)
{
	char user[] = "www-data", home[] = "/var/www", shell[] = "/usr/sbin/nologin", own[] = "HOME=/srv";
	char *configured[] = { own, NULL };
	struct app_config config = { .name = name_text, .user = user, .home = home, .shell = shell };
	struct environment_values with = values();

	setenv("USER", "root", 1);
	setenv("LOGNAME", "root", 1);
	setenv("SHELL", "/bin/bash", 1);
	make(&config, &with);
	expect("USER", "www-data");
	expect("LOGNAME", "www-data");
	expect("HOME", "/var/www");
	expect("SHELL", "/usr/sbin/nologin");
	free(STEAL(made));
	/* What is configured goes over that; and nothing of ours stays where nothing is known. */
	config.environment = configured;
	config.shell = NULL;
	make(&config, &with);
	expect("USER", "www-data");
	expect("HOME", "/srv");
	expect("SHELL", NULL);
}
END_TEST

START_TEST(a_watchdog_is_told_in_microseconds)
{
	struct app_config config = { .name = name_text };
	struct environment_values with = values();

	with.notify_socket = "/run/epochd/default/notify/kv.7";
	make(&config, &with);
	expect("NOTIFY_SOCKET", "/run/epochd/default/notify/kv.7");
	expect("WATCHDOG_USEC", NULL);
	free(STEAL(made));
	with.watchdog = 1500000000;
	make(&config, &with);
	expect("WATCHDOG_USEC", "1500000");
	expect("WATCHDOG_PID", NULL);
	free(STEAL(made));
	with.notify_socket = NULL;   /* nowhere to feed it */
	make(&config, &with);
	expect("WATCHDOG_USEC", NULL);
}
END_TEST

START_TEST(long_values_are_whole)
{
	enum { LONG = 100000 };
	char *text = malloc(LONG + 8), *entry = malloc(LONG + 16), name[64], number[24];
	char *configured[] = { entry, NULL };
	struct app_config config = { .name = name, .environment = configured, .user = text,
				     .home = text, .shell = text };
	struct environment_values with = values();

	memset(text, 'x', LONG);
	text[LONG] = '\0';
	snprintf(entry, LONG + 16, "CONFIGURED=%s", text);
	memset(name, 'n', 63);
	name[63] = '\0';
	with = (struct environment_values){ .instance = text, .socket = text, .notify_socket = text,
					    .token = values().token, .epoch = 0xffffff,
					    .watchdog = INT64_MAX };
	make(&config, &with);
	expect("EPOCHD_APP", name);
	expect("EPOCHD_EPOCH", "16777215");
	expect("EPOCHD_INSTANCE", text);
	expect("EPOCHD_SOCKET", text);
	expect("EPOCHD_TOKEN", values().token);
	expect("NOTIFY_SOCKET", text);
	snprintf(number, sizeof number, "%lld", (long long)(INT64_MAX / 1000));
	expect("WATCHDOG_USEC", number);
	expect("USER", text);
	expect("LOGNAME", text);
	expect("HOME", text);
	expect("SHELL", text);
	expect("CONFIGURED", text);
	free(text);
	free(entry);
}
END_TEST

START_TEST(a_name_is_looked_up_whole)
{
	char one[] = "ABC=1", two[] = "AB=2";
	char *list[] = { one, two, NULL };

	ck_assert_str_eq(environment_get(list, "AB"), "2");
	ck_assert_str_eq(environment_get(list, "ABC"), "1");
	ck_assert_ptr_null(environment_get(list, "A"));
	ck_assert_ptr_null(environment_get(list, "ABCD"));
	ck_assert_ptr_null(environment_get(NULL, "A"));
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, each_incarnation_is_told_who_it_is);
	tcase_add_test(tcase, what_was_meant_for_us_is_not_handed_on);
	tcase_add_test(tcase, the_configured_one_goes_over_what_is_inherited);
	tcase_add_test(tcase, a_cleared_one_has_only_what_is_configured);
	tcase_add_test(tcase, another_user_gets_what_login_would_say);
	tcase_add_test(tcase, a_watchdog_is_told_in_microseconds);
	tcase_add_test(tcase, long_values_are_whole);
	tcase_add_test(tcase, a_name_is_looked_up_whole);
}

int main(void)
{
	return unit_run("environment", fill);
}
