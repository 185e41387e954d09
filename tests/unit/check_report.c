#include <config.h>

#include <signal.h>
#include <string.h>

#include "supervisor/configuration.h"
#include "supervisor/report.h"
#include "tests/unit/unit.h"

#define AT 1763842442511999999   /* 2025-11-22T20:14:02.511999999Z */

static void assert_json(json_t *json, const char *expected)
{
	char *text = json_dumps(json, REPORT_JSON_FLAGS);

	ck_assert_ptr_nonnull(text);
	ck_assert_str_eq(text, expected);
	free(text);
	json_decref(json);
}

static const struct { int64_t ns; const char *text; } times[] = {
	{ 0, "null" },
	{ 1, "\"1970-01-01T00:00:00.000Z\"" },
	{ AT, "\"2025-11-22T20:14:02.511Z\"" },
	{ 1709164800000000000, "\"2024-02-29T00:00:00.000Z\"" },
	{ -1000000, "\"1969-12-31T23:59:59.999Z\"" },
	{ INT64_MAX, "\"2262-04-11T23:47:16.854Z\"" },
};

START_TEST(times_are_utc_with_milliseconds)
{
	assert_json(report_time(times[_i].ns), times[_i].text);
}
END_TEST

static const struct { const char *bytes, *text; } texts[] = {
	{ NULL, "null" },
	{ "", "\"\"" },
	{ "plain \"text\"\n", "\"plain \\\"text\\\"\\n\"" },
	{ "gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"" },
	{ "latin \xfc!", "\"latin \xef\xbf\xbd!\"" },
	{ "cut \xe2\x82", "\"cut \xef\xbf\xbd\xef\xbf\xbd\"" },
	{ "\xed\xa0\x80 \xf0\x9f\x98\x80",   /* a surrogate; one beyond 16 bits */
	  "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xf0\x9f\x98\x80\"" },
};

START_TEST(text_that_is_not_utf8_is_mended)
{
	assert_json(report_text(texts[_i].bytes), texts[_i].text);
}
END_TEST

static struct report_app full_app(void)
{
	struct report_app app = {
		.name = "kv", .state = "up", .epoch = 6, .pid = 4720, .up_seconds = 12.3456,
		.reason = "why", .status_text = "serving", .retry_at = AT, .since = AT,
		.last_hour = 5, .last_day = 6, .clients_connected = 3, .clients_lazy = 7,
		.has_ended = true,
		.last_exit = { .epoch = 5, .ended_at = AT, .cause = "crashed", .code = -1,
			       .signal = SIGKILL, .oom = -1 },
	};

	for (size_t i = 0; i < STORE_TOTALS_COUNT; i++)
		app.totals[i] = 100 + i;
	return app;
}

START_TEST(an_application_is_in_the_order_of_the_contract)
{
	struct report_app app = full_app();

	assert_json(report_app_json(&app),
		    "{\"name\":\"kv\",\"state\":\"up\",\"reason\":\"why\","
		    "\"status_text\":\"serving\",\"epoch\":6,\"pid\":4720,\"up_seconds\":12.345,"
		    "\"retry_at\":\"2025-11-22T20:14:02.511Z\","
		    "\"restarts\":{\"since\":\"2025-11-22T20:14:02.511Z\",\"total\":1155,"
		    "\"crashed\":100,\"exited\":101,\"watchdog\":102,\"health\":103,"
		    "\"start_failed\":104,\"start_timeout\":105,\"asked\":106,"
		    "\"reconfigured\":107,\"group\":108,\"boot\":109,\"unseen\":110,"
		    "\"last_hour\":5,\"last_day\":6},"
		    "\"last_exit\":{\"epoch\":5,\"at\":\"2025-11-22T20:14:02.511Z\","
		    "\"cause\":\"crashed\",\"code\":null,\"signal\":\"SIGKILL\",\"oom\":null},"
		    "\"reclaimed\":{\"messages\":111,\"bytes\":112,\"channels_lost\":113},"
		    "\"garbage_collected\":{\"buffers\":368,\"bytes\":371,"
		    "\"abandoned\":{\"buffers\":114,\"bytes\":115},"
		    "\"held\":{\"buffers\":126,\"bytes\":127},"
		    "\"overdue\":{\"buffers\":128,\"bytes\":129}},"
		    "\"clients\":{\"connected\":3,\"registered\":116,\"reaped\":117,\"lazy\":7,"
		    "\"confused\":118},"
		    "\"refused\":{\"stale_epoch\":119,\"stale_generation\":120,\"free_slot\":121,"
		    "\"down\":122,\"not_a_handle\":123},"
		    "\"shm_cleaned\":{\"files\":124,\"bytes\":125}}");
}
END_TEST

START_TEST(what_is_not_known_of_an_application_is_null)
{
	struct report_app app = { .name = "kv", .state = "stopped", .up_seconds = -1,
				  .last_hour = UINT64_MAX, .last_day = UINT64_MAX };

	assert_json(report_app_json(&app),
		    "{\"name\":\"kv\",\"state\":\"stopped\",\"reason\":null,\"status_text\":null,"
		    "\"epoch\":0,\"pid\":null,\"up_seconds\":null,\"retry_at\":null,"
		    "\"restarts\":{\"since\":null,\"total\":0,\"crashed\":0,\"exited\":0,"
		    "\"watchdog\":0,\"health\":0,\"start_failed\":0,\"start_timeout\":0,"
		    "\"asked\":0,\"reconfigured\":0,\"group\":0,\"boot\":0,\"unseen\":0,"
		    "\"last_hour\":null,\"last_day\":null},\"last_exit\":null,"
		    "\"reclaimed\":{\"messages\":0,\"bytes\":0,\"channels_lost\":0},"
		    "\"garbage_collected\":{\"buffers\":0,\"bytes\":0,"
		    "\"abandoned\":{\"buffers\":0,\"bytes\":0},"
		    "\"held\":{\"buffers\":0,\"bytes\":0},"
		    "\"overdue\":{\"buffers\":0,\"bytes\":0}},"
		    "\"clients\":{\"connected\":0,\"registered\":0,\"reaped\":0,\"lazy\":0,"
		    "\"confused\":0},"
		    "\"refused\":{\"stale_epoch\":0,\"stale_generation\":0,\"free_slot\":0,"
		    "\"down\":0,\"not_a_handle\":0},"
		    "\"shm_cleaned\":{\"files\":0,\"bytes\":0}}");
}
END_TEST

START_TEST(stats_are_in_the_order_of_the_contract)
{
	const struct report_warning warning = { "store_unwritable", AT, "no space" };
	struct report_supervisor supervisor = {
		.instance = "default", .uuid = "0b7c", .boot_id = "6f1e", .pid = 4711,
		.version = "0.1.0", .started_at = AT, .runs = 7, .unclean_runs = 2,
		.segments_cleaned = 1, .warnings = &warning, .warning_count = 1,
	};

	assert_json(report_stats_json(&supervisor, json_array()),
		    "{\"instance\":{\"name\":\"default\",\"uuid\":\"0b7c\",\"boot_id\":\"6f1e\"},"
		    "\"supervisor\":{\"pid\":4711,\"version\":\"0.1.0\","
		    "\"started_at\":\"2025-11-22T20:14:02.511Z\",\"runs\":7,\"unclean_runs\":2,"
		    "\"segments_cleaned\":1,\"warnings\":[{\"code\":\"store_unwritable\","
		    "\"since\":\"2025-11-22T20:14:02.511Z\",\"text\":\"no space\"}],\"refused\":null},"
		    "\"apps\":[]}");
}
END_TEST

START_TEST(stats_without_a_supervisor_have_nulls)
{
	struct report_supervisor supervisor = { .instance = "default", .uuid = "u", .boot_id = "b" };

	assert_json(report_stats_json(&supervisor, json_array()),
		    "{\"instance\":{\"name\":\"default\",\"uuid\":\"u\",\"boot_id\":\"b\"},"
		    "\"supervisor\":{\"pid\":null,\"version\":null,\"started_at\":null,\"runs\":0,"
		    "\"unclean_runs\":0,\"segments_cleaned\":0,\"warnings\":[],\"refused\":null},\"apps\":[]}");
	ck_assert_ptr_null(report_stats_json(&supervisor, NULL));
}
END_TEST

START_TEST(an_incarnation_tells_its_whole_life)
{
	struct store_incarnation row = {
		.epoch = 5, .pid = 99, .started_at = AT, .up_at = AT, .ended_at = AT,
		.restart = "crashed", .cause = "exited", .code = 0, .signal = 0, .oom = 0,
		.detail = "it said goodbye",
	};
	struct store_incarnation young = { .epoch = 1, .code = -1, .signal = 61, .oom = -1,
					   .reclaimed = { true, 1, 2, 3, 4, 5 },
					   .shm = "{\"files\":1,\"bytes\":2,\"names\":[\"/kv-1\"]}" };

	assert_json(report_incarnation_json(&row, "/var/kv-5.trace"),
		    "{\"epoch\":5,\"pid\":99,\"started_at\":\"2025-11-22T20:14:02.511Z\","
		    "\"up_at\":\"2025-11-22T20:14:02.511Z\","
		    "\"ended_at\":\"2025-11-22T20:14:02.511Z\",\"restart\":\"crashed\","
		    "\"cause\":\"exited\",\"code\":0,\"signal\":null,\"oom\":false,"
		    "\"detail\":\"it said goodbye\",\"reclaimed\":null,"
		    "\"garbage_collected\":null,\"shm_cleaned\":null,\"trace\":\"/var/kv-5.trace\"}");
	assert_json(report_incarnation_json(&young, NULL),
		    "{\"epoch\":1,\"pid\":null,\"started_at\":null,\"up_at\":null,"
		    "\"ended_at\":null,\"restart\":null,\"cause\":null,\"code\":null,"
		    "\"signal\":\"61\",\"oom\":null,\"detail\":null,"
		    "\"reclaimed\":{\"messages\":1,\"bytes\":2,\"channels_lost\":3},"
		    "\"garbage_collected\":{\"buffers\":4,\"bytes\":5},"
		    "\"shm_cleaned\":{\"files\":1,\"bytes\":2,\"names\":[\"/kv-1\"]},\"trace\":null}");
}
END_TEST

START_TEST(an_event_has_its_six_fields)
{
	struct store_event event = { .number = 12, .at = AT, .app = "kv", .epoch = 6,
				     .event = "up", .reason = "READY=1" };
	struct store_event own = { .number = 13, .at = AT, .event = "reloaded" };

	assert_json(report_event_json(&event),
		    "{\"number\":12,\"at\":\"2025-11-22T20:14:02.511Z\",\"app\":\"kv\",\"epoch\":6,"
		    "\"event\":\"up\",\"reason\":\"READY=1\"}");
	assert_json(report_event_json(&own),
		    "{\"number\":13,\"at\":\"2025-11-22T20:14:02.511Z\",\"app\":null,"
		    "\"epoch\":null,\"event\":\"reloaded\",\"reason\":null}");
}
END_TEST

#define LIST(...) ((char *[]){ __VA_ARGS__, NULL })
#define STR(text) ((char *)(text))

START_TEST(the_configuration_is_shown_in_its_own_words)
{
	struct limit_config limits[] = {
		{ RLIMIT_NOFILE, { 1024, 65536 } },
		{ RLIMIT_CORE, { RLIM_INFINITY, RLIM_INFINITY } },
		{ RLIMIT_STACK, { 8388608, 8388608 } },
	};
	struct principal allow[] = { { .id = 7, .text = STR("uid:7") }, { .anyone = true, .text = STR("*") } };
	struct app_config config = {
		.name = STR("kv"), .command = LIST(STR("/usr/bin/kv"), STR("-x")),
		.directory = STR("/var/lib/kv"),
		.environment = LIST(STR("KV_MODE=fast"), STR("KEY=se=cret")),
		.clear_environment = true, .user = STR("kv"), .group = STR("kv"),
		.group_names = LIST(STR("video")), .umask = 027, .no_new_privileges = true,
		.limits = limits, .limit_count = ARRAY_SIZE(limits), .restart = RESTART_ON_FAILURE,
		.backoff = { .initial = 100000000, .factor = 2.5, .max = 30000000000,
			     .reset_after = 60000000000, .jitter = 0.1 },
		.intensity = { 5, 60000000000 }, .readiness = READINESS_NOTIFY,
		.start_timeout = 1500000000, .stop_signal = SIGTERM, .stop_timeout = 10000000000,
		.watchdog = 250000,
		.health = { .command = LIST(STR("curl")), .interval = 10000000000,
			    .timeout = 5000000000, .failures = 3 },
		.after = LIST(STR("db")), .group_of = STR("storage"),
		.output = { .file = STR("/var/log/kv.log"), .max_size = 10 << 20, .keep = 5 },
		.clients = { .max = 9, .max_per_user = 8, .allow = allow, .allow_count = ARRAY_SIZE(allow) },
		.channel = { 4, 2, { { 64, 2 }, { 4096, 1 } } },
		.keepalive = { 10000000000, 3, -1 }, .shm = LIST(STR("/kv-*")),
		.origin = "/etc/epochd/epochd.conf", .line = 12,
	};

	assert_json(report_config_json(&config),
		    "{\"origin\":{\"file\":\"/etc/epochd/epochd.conf\",\"line\":12},"
		    "\"command\":[\"/usr/bin/kv\",\"-x\"],\"external\":false,\"directory\":\"/var/lib/kv\","
		    "\"environment\":[\"KV_MODE\",\"KEY\"],\"clear-environment\":true,"
		    "\"user\":\"kv\",\"group\":\"kv\",\"groups\":[\"video\"],\"umask\":\"0027\","
		    "\"no-new-privileges\":true,\"limits\":{\"nofile\":\"1024:65536\","
		    "\"core\":\"unlimited\",\"stack\":\"8388608\"},\"restart\":\"on-failure\","
		    "\"backoff\":{\"initial\":\"100ms\",\"factor\":2.5,\"max\":\"30s\","
		    "\"jitter\":0.1,\"reset-after\":\"60s\"},"
		    "\"intensity\":{\"restarts\":5,\"within\":\"60s\"},\"readiness\":\"notify\","
		    "\"start-timeout\":\"1500ms\",\"stop-signal\":\"SIGTERM\","
		    "\"stop-timeout\":\"10s\",\"watchdog\":\"250us\","
		    "\"health\":{\"command\":[\"curl\"],\"interval\":\"10s\",\"timeout\":\"5s\","
		    "\"failures\":3,\"after\":\"0s\"},\"after\":[\"db\"],"
		    "\"group-of\":\"storage\",\"output\":{\"file\":\"/var/log/kv.log\","
		    "\"max-size\":\"10M\",\"keep\":5},"
		    "\"clients\":{\"max\":9,\"max-per-user\":8,\"large\":\"0\",\"large-per-user\":\"0\",\"allow\":[\"uid:7\",\"*\"]},"
		    "\"channel\":{\"ring\":4,\"buffers\":[\"2x64\",\"1x4096\"]},"
		    "\"gc-timeout\":\"0s\",\"gc\":\"report\","
		    "\"keepalive\":{\"interval\":\"10s\",\"misses\":3,\"reap-lazy\":\"never\"},"
		    "\"trace\":{\"on\":false,\"size\":\"0\",\"messages\":0,\"first\":false,\"saved\":0},"
		    "\"shm\":[\"/kv-*\"]}");
}
END_TEST

START_TEST(what_is_not_configured_is_null_or_empty)
{
	struct app_config config = { .name = STR("a"), .umask = 022,
				     .backoff = { .factor = 1 }, .stop_signal = SIGTERM };

	assert_json(report_config_json(&config),
		    "{\"origin\":null,\"command\":[],\"external\":false,\"directory\":null,\"environment\":[],"
		    "\"clear-environment\":false,\"user\":null,\"group\":null,\"groups\":[],"
		    "\"umask\":\"0022\",\"no-new-privileges\":false,\"limits\":{},"
		    "\"restart\":\"always\",\"backoff\":{\"initial\":\"0s\",\"factor\":1.0,"
		    "\"max\":\"0s\",\"jitter\":0.0,\"reset-after\":\"0s\"},"
		    "\"intensity\":{\"restarts\":0,\"within\":\"0s\"},\"readiness\":\"none\","
		    "\"start-timeout\":\"0s\",\"stop-signal\":\"SIGTERM\",\"stop-timeout\":\"0s\","
		    "\"watchdog\":\"0s\",\"health\":null,\"after\":[],\"group-of\":null,"
		    "\"output\":null,\"clients\":{\"max\":0,\"max-per-user\":0,\"large\":\"0\",\"large-per-user\":\"0\",\"allow\":[]},"
		    "\"channel\":{\"ring\":0,\"buffers\":[]},"
		    "\"gc-timeout\":\"0s\",\"gc\":\"report\","
		    "\"keepalive\":{\"interval\":\"0s\",\"misses\":0,\"reap-lazy\":\"0s\"},"
		    "\"trace\":{\"on\":false,\"size\":\"0\",\"messages\":0,\"first\":false,\"saved\":0},"
		    "\"shm\":[]}");
}
END_TEST

/* Each allocation fails once: the whole is NULL, never half, and nothing leaks (sanitizers tell). */
static long allocations_left;

static void *failing_malloc(size_t size)
{
	return allocations_left-- > 0 ? malloc(size) : NULL;
}

START_TEST(without_memory_there_is_no_half_an_answer)
{
	struct report_app app = full_app();
	long n = 0;
	json_t *json;

	json_set_alloc_funcs(failing_malloc, free);
	do {
		allocations_left = n++;
		json = report_app_json(&app);
	} while (!json && n < 10000);
	allocations_left = 1000;
	ck_assert_ptr_nonnull(json);
	ck_assert_int_gt(n, 50);
	ck_assert_uint_eq(json_object_size(json), 15);
	json_decref(json);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_loop_test(tcase, times_are_utc_with_milliseconds, 0, ARRAY_SIZE(times));
	tcase_add_loop_test(tcase, text_that_is_not_utf8_is_mended, 0, ARRAY_SIZE(texts));
	tcase_add_test(tcase, an_application_is_in_the_order_of_the_contract);
	tcase_add_test(tcase, what_is_not_known_of_an_application_is_null);
	tcase_add_test(tcase, stats_are_in_the_order_of_the_contract);
	tcase_add_test(tcase, stats_without_a_supervisor_have_nulls);
	tcase_add_test(tcase, an_incarnation_tells_its_whole_life);
	tcase_add_test(tcase, an_event_has_its_six_fields);
	tcase_add_test(tcase, the_configuration_is_shown_in_its_own_words);
	tcase_add_test(tcase, what_is_not_configured_is_null_or_empty);
	tcase_add_test(tcase, without_memory_there_is_no_half_an_answer);
}

int main(void)
{
	return unit_run("report", fill);
}
