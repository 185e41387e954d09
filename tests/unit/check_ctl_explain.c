#include <config.h>

#include "supervisor/ctl/explain.h"
#include "supervisor/ctl/text.h"
#include "tests/unit/unit.h"

#include <string.h>

/* Now is 2026-11-22T20:00:00Z. */
static const double now = 1795377600;

#define UP(seconds) "\"name\": \"kv\", \"state\": \"up\", \"epoch\": 6, \"pid\": 47, " \
		    "\"up_seconds\": " seconds ", \"retry_at\": null, "
#define STATE(state) "\"name\": \"kv\", \"state\": \"" state "\", \"epoch\": 6, \"pid\": null, " \
		     "\"up_seconds\": null, "
#define POLICY(backoff, intensity) "\"config\": {\"restart\": \"always\", \"backoff\": {" backoff \
				   "}, \"intensity\": {" intensity "}}"
#define NO_JITTER "\"initial\": \"100ms\", \"factor\": 2.0, \"max\": \"30s\", \"jitter\": 0, " \
		  "\"reset-after\": \"60s\""

/* An incarnation that started, was up at once and ended at these seconds before 20:00. */
#define RUN(restart, cause, started, ended) \
	"{\"restart\": \"" restart "\", \"cause\": \"" cause "\", \"started_at\": " \
	"\"2026-11-22T19:" started "Z\", \"up_at\": \"2026-11-22T19:" started "Z\", " \
	"\"ended_at\": \"2026-11-22T19:" ended "Z\"}"
#define RUNS(restart, started) \
	"{\"restart\": \"" restart "\", \"cause\": null, \"started_at\": \"2026-11-22T19:" started \
	"Z\", \"up_at\": \"2026-11-22T19:" started "Z\", \"ended_at\": null}"

static const struct {
	const char *app, *incarnations, *text;
} cases[] = {
	/* All defaults, a long healthy run: five restarts, the sixth crash is the last. */
	{ UP("7200") POLICY("", ""), "",
	  "kv is up, in epoch 6 (pid 47), for 2h.\n"
	  "restart = always: however it ends, it is started again. Each end that nobody asked for\n"
	  "is a crash.\n"
	  "\n"
	  "More than 5 restarts within 1m make it fatal; so far there are 0.\n"
	  "If it crashes now, and again each time as soon as it is started:\n"
	  "    1st crash  again after 100ms (\xc2\xb1" "10%), restart 1 of 5\n"
	  "    2nd crash  again after 200ms (\xc2\xb1" "10%), restart 2 of 5\n"
	  "    3rd crash  again after 400ms (\xc2\xb1" "10%), restart 3 of 5\n"
	  "    4th crash  again after 800ms (\xc2\xb1" "10%), restart 4 of 5\n"
	  "    5th crash  again after 1.6s (\xc2\xb1" "10%), restart 5 of 5\n"
	  "    6th crash  fatal, 3.1s after the first: nothing starts it until `epochctl reset kv`\n"
	  "It has been up for 1m, so the delays begin at 100ms again.\n" },
	/* Two crashes just now go on counting, in both the delays and the window; what a person asked
	 * for, and what is older than the window, does not. */
	{ UP("2") POLICY(NO_JITTER, "\"restarts\": 3, \"within\": \"60s\""),
	  RUNS("crashed", "59:58") "," RUN("crashed", "crashed", "59:50", "59:57") ","
	  RUN("asked", "crashed", "59:40", "59:49") "," RUN("crashed", "asked", "58:00", "59:39"),
	  "kv is up, in epoch 6 (pid 47), for 2s.\n"
	  "restart = always: however it ends, it is started again. Each end that nobody asked for\n"
	  "is a crash.\n"
	  "\n"
	  "More than 3 restarts within 1m make it fatal; so far there are 2.\n"
	  "If it crashes now, and again each time as soon as it is started:\n"
	  "    1st crash  again after 400ms, restart 3 of 3\n"
	  "    2nd crash  fatal, 400ms after the first: nothing starts it until `epochctl reset kv`\n"
	  "Once it has been up for 1m, in 58s, the delays begin at 100ms again.\n" },
	/* One crash is one too many. */
	{ UP("2") POLICY(NO_JITTER, "\"restarts\": 0, \"within\": \"60s\""), "",
	  "kv is up, in epoch 6 (pid 47), for 2s.\n"
	  "restart = always: however it ends, it is started again. Each end that nobody asked for\n"
	  "is a crash.\n"
	  "\n"
	  "More than 0 restarts within 1m make it fatal; so far there are 0.\n"
	  "If it crashes now, and again each time as soon as it is started:\n"
	  "    1st crash  fatal: nothing starts it until `epochctl reset kv`\n"
	  "Once it has been up for 1m, the delays begin at 100ms again.\n" },
	/* Delays so long that the window never fills. */
	{ UP("2") POLICY("\"initial\": \"10s\", \"factor\": 2.0, \"max\": \"30s\", \"jitter\": 0, "
			 "\"reset-after\": \"60s\"", "\"restarts\": 5, \"within\": \"60s\""), "",
	  "kv is up, in epoch 6 (pid 47), for 2s.\n"
	  "restart = always: however it ends, it is started again. Each end that nobody asked for\n"
	  "is a crash.\n"
	  "\n"
	  "More than 5 restarts within 1m make it fatal; so far there are 0.\n"
	  "If it crashes now, and again each time as soon as it is started:\n"
	  "    1st crash  again after 10s, restart 1 of 5\n"
	  "    2nd crash  again after 20s, restart 2 of 5\n"
	  "    3rd crash  again after 30s, restart 3 of 5\n"
	  "    4th crash  again after 30s, restart 4 of 5\n"
	  "    5th crash  again after 30s, restart 3 of 5\n"
	  "    6th crash  again after 30s, restart 3 of 5\n"
	  "    7th crash  again after 30s, restart 3 of 5\n"
	  "    8th crash  again after 30s, restart 3 of 5\n"
	  "       ... and so on.\n"
	  "So it is never given up: with such delays there are never more than 5 restarts within "
	  "1m.\n"
	  "Once it has been up for 1m, the delays begin at 10s again.\n" },
	/* No delay, no limit. */
	{ UP("2") POLICY("\"initial\": \"0s\", \"jitter\": 0", "\"within\": \"0s\""), "",
	  "kv is up, in epoch 6 (pid 47), for 2s.\n"
	  "restart = always: however it ends, it is started again. Each end that nobody asked for\n"
	  "is a crash.\n"
	  "\n"
	  "However often it crashes, it is never given up (intensity is off).\n"
	  "If it crashes now, and again each time as soon as it is started:\n"
	  "    1st crash  again at once\n"
	  "    2nd crash  again at once\n"
	  "    3rd crash  again at once\n"
	  "    4th crash  again at once\n"
	  "    5th crash  again at once\n"
	  "    6th crash  again at once\n"
	  "    7th crash  again at once\n"
	  "    8th crash  again at once\n"
	  "       ... and so on.\n" },
	/* Many to come: the middle is left out. */
	{ UP("2") POLICY("\"initial\": \"0s\", \"jitter\": 0",
			 "\"restarts\": 20, \"within\": \"1h\""), "",
	  "kv is up, in epoch 6 (pid 47), for 2s.\n"
	  "restart = always: however it ends, it is started again. Each end that nobody asked for\n"
	  "is a crash.\n"
	  "\n"
	  "More than 20 restarts within 1h make it fatal; so far there are 0.\n"
	  "If it crashes now, and again each time as soon as it is started:\n"
	  "    1st crash  again at once, restart 1 of 20\n"
	  "    2nd crash  again at once, restart 2 of 20\n"
	  "    3rd crash  again at once, restart 3 of 20\n"
	  "    4th crash  again at once, restart 4 of 20\n"
	  "    5th crash  again at once, restart 5 of 20\n"
	  "    6th crash  again at once, restart 6 of 20\n"
	  "    7th crash  again at once, restart 7 of 20\n"
	  "    8th crash  again at once, restart 8 of 20\n"
	  "    9th crash  again at once, restart 9 of 20\n"
	  "       ...\n"
	  "   20th crash  again at once, restart 20 of 20\n"
	  "   21st crash  fatal: nothing starts it until `epochctl reset kv`\n" },
	/* In backoff the restart that is awaited counts already. */
	{ STATE("backoff") "\"reason\": \"exit 1\", \"retry_at\": \"2026-11-22T20:00:00.400Z\", "
	  POLICY(NO_JITTER, "\"restarts\": 2, \"within\": \"60s\""),
	  RUN("asked", "exited", "59:50", "59:59"),
	  "kv is in backoff, in epoch 6: exit 1.\n"
	  "It is started again in 400ms.\n"
	  "restart = always: however it ends, it is started again. Each end that nobody asked for\n"
	  "is a crash.\n"
	  "\n"
	  "More than 2 restarts within 1m make it fatal; so far there are 0.\n"
	  "If it then crashes each time as soon as it is started:\n"
	  "    1st crash  again after 200ms, restart 2 of 2\n"
	  "    2nd crash  fatal, 200ms after the first: nothing starts it until `epochctl reset kv`\n"
	  "Once it has been up for 1m, the delays begin at 100ms again.\n" },
	/* A person forgives all there was. */
	{ STATE("fatal") POLICY(NO_JITTER, "\"restarts\": 1, \"within\": \"60s\""),
	  RUN("crashed", "crashed", "59:58", "59:59"),
	  "kv is fatal, in epoch 6.\n"
	  "Nothing starts it again until a person says so: `epochctl reset kv`.\n"
	  "restart = always: however it ends, it is started again. Each end that nobody asked for\n"
	  "is a crash.\n"
	  "\n"
	  "More than 1 restart within 1m makes it fatal; after a reset there are 0.\n"
	  "If it then crashes each time as soon as it is started:\n"
	  "    1st crash  again after 100ms, restart 1 of 1\n"
	  "    2nd crash  fatal, 100ms after the first: nothing starts it until `epochctl reset kv`\n"
	  "Once it has been up for 1m, the delays begin at 100ms again.\n" },
	{ STATE("stopping") POLICY("", ""), "",
	  "kv is stopping, in epoch 6.\n"
	  "Its end is awaited, so it is no crash.\n" },
	{ UP("2") "\"config\": {\"restart\": \"never\"}", "",
	  "kv is up, in epoch 6 (pid 47), for 2s.\n"
	  "restart = never: however it ends, it is not started again.\n" },
	/* What else ends it. */
	{ UP("2") "\"config\": {\"restart\": \"on-failure\", \"watchdog\": \"5s\", "
	  "\"health\": {\"command\": [\"true\"], \"failures\": 3}, \"readiness\": \"notify\", "
	  "\"start-timeout\": \"30s\", \"group-of\": \"storage\", \"intensity\": {\"restarts\": 0}}", "",
	  "kv is up, in epoch 6 (pid 47), for 2s.\n"
	  "restart = on-failure: if it exits with code 0, or ends by HUP, INT, TERM or PIPE, it "
	  "stays\nstopped; any other end is a crash, and it is started again.\n"
	  "Silence of its watchdog for 5s ends it, as a crash.\n"
	  "3 failures in a row of its health command end it, as a crash.\n"
	  "Not being ready 30s after its start ends it, as a crash.\n"
	  "It belongs to the group storage: by its strategy a crash of one may restart others.\n"
	  "\n"
	  "More than 0 restarts within 1m make it fatal; so far there are 0.\n"
	  "If it crashes now, and again each time as soon as it is started:\n"
	  "    1st crash  fatal: nothing starts it until `epochctl reset kv`\n"
	  "Once it has been up for 1m, the delays begin at 100ms again.\n" },
};

static json_t *parse(const char *before, const char *text, const char *after)
{
	char whole[2048];
	json_t *json;

	ck_assert_int_lt(snprintf(whole, sizeof whole, "%s%s%s", before, text, after),
			 (int)sizeof whole);
	json = json_loads(whole, 0, NULL);
	ck_assert_ptr_nonnull(json);
	return json;
}

START_TEST(what_comes_is_told_in_words)
{
	json_t *app = parse("{", cases[_i].app, "}");
	json_t *incarnations = parse("[", cases[_i].incarnations, "]");
	char *text = explain_app(app, incarnations, now);

	ck_assert_str_eq(text, cases[_i].text);
	free(text);
	json_decref(app);
	json_decref(incarnations);
}
END_TEST

START_TEST(a_run_that_was_healthy_makes_it_forget)
{
	json_t *app = parse("{", UP("2") POLICY(NO_JITTER, "\"restarts\": 9"), "}");
	json_t *incarnations = parse("[", RUNS("crashed", "59:58") ","
				     RUN("crashed", "crashed", "50:00", "59:57") ","
				     RUN("crashed", "crashed", "49:00", "49:01"), "]");
	char *text = explain_app(app, incarnations, now);

	ck_assert_ptr_nonnull(strstr(text, "1st crash  again after 200ms, restart 2 of 9"));
	free(text);
	json_decref(app);
	json_decref(incarnations);
}
END_TEST

START_TEST(what_is_no_application_is_survived)
{
	json_t *app = json_object();
	char *text = explain_app(app, NULL, now);

	ck_assert_ptr_nonnull(text);
	free(text);
	json_decref(app);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_unchecked_fixture(tcase, text_setup, NULL);
	tcase_add_loop_test(tcase, what_comes_is_told_in_words, 0, ARRAY_SIZE(cases));
	tcase_add_test(tcase, a_run_that_was_healthy_makes_it_forget);
	tcase_add_test(tcase, what_is_no_application_is_survived);
}

int main(void)
{
	return unit_run("ctl_explain", fill);
}
