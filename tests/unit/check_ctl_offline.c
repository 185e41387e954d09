#include <config.h>

#include "supervisor/ctl/offline.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/store.h"

static char directory[64], database[96];
static const int64_t s = 1000000000;

static void nothing(void *user)
{
	(void)user;
}

static void no_commit(struct store_app *app, void *user)
{
	(void)app;
	(void)user;
}

static void put(struct store *store, const char *name, const struct store_state *state,
		const struct store_incarnation *rows, size_t count)
{
	struct store_app *app;
	size_t i;

	ck_assert_int_eq(store_app_get(&app, store, name), 0);
	for (i = 0; i < count; i++)
		ck_assert_int_eq(store_app_incarnation(app, &rows[i]), 0);
	store_app_put(app, state);
}

/* What a supervisor leaves behind: kv ran twice and runs still, as far as it knew; db is fatal, old is
 * stopped, new has never run. */
static void write_database(void)
{
	const struct store_options options = {
		.path = database, .scratch = directory, .instance = "here", .boot_id = "6f1e", .uuid = "0b7c",
		.keep_events = 1000, .keep_incarnations = 1000, .wake = nothing,
		.committed = no_commit,
	};
	int64_t now = time(NULL) * s;
	const struct store_incarnation kv[] = {
		{ .epoch = 1, .pid = 41, .started_at = now - 90000 * s, .up_at = now - 90000 * s,
		  .ended_at = now - 7000 * s, .cause = "crashed", .code = -1, .signal = SIGKILL,
		  .oom = -1 },
		{ .epoch = 2, .pid = 42, .started_at = now - 7000 * s, .up_at = now - 7000 * s,
		  .ended_at = now - 60 * s, .restart = "crashed", .cause = "exited", .code = 3,
		  .oom = -1, .detail = "why" },
		{ .epoch = 3, .pid = 43, .started_at = now - 60 * s, .up_at = now - 59 * s,
		  .restart = "exited", .code = -1, .oom = -1 },
	};
	struct store_state state = { .used = 3, .reserved = 16, .wanted = true, .since = 1000 * s };
	struct store_event event = { .app = "kv", .epoch = 3, .event = "up", .at = 1000 * s };
	struct store_found found;
	struct store *store;

	ck_assert_int_eq(store_open(&store, &options, &found), 0);
	ck_assert_int_eq(store_start(store), 0);
	state.totals[STORE_TOTAL_restarts_crashed] = 1;
	state.totals[STORE_TOTAL_restarts_exited] = 1;
	put(store, "kv", &state, kv, ARRAY_SIZE(kv));
	put(store, "db", &(struct store_state){ .used = 9, .fatal = true, .wanted = true }, NULL, 0);
	put(store, "old", &(struct store_state){ .used = 2 }, NULL, 0);
	put(store, "new", &(struct store_state){ .wanted = true }, NULL, 0);
	store_event(store, &event);
	event.app = NULL;
	event.epoch = 0;
	event.event = "shutdown";
	store_event(store, &event);
	ck_assert_int_eq(store_close(store, true), 0);
}

static void make(void)
{
	strcpy(directory, "/tmp/check_ctl_offline-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(database, sizeof database, "%s/epochd.db", directory);
	write_database();
}

static void clean(void)
{
	static const char *const tails[] = { "", "-wal", "-shm" };
	char path[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tails); i++) {
		snprintf(path, sizeof path, "%s%s", database, tails[i]);
		unlink(path);
	}
	rmdir(directory);
}

static const json_t *app_of(const json_t *stats, const char *name)
{
	const json_t *app;
	size_t i;

	json_array_foreach(json_object_get(stats, "apps"), i, app)
		if (strcmp(json_string_value(json_object_get(app, "name")), name) == 0)
			return app;
	ck_abort_msg("there is no %s", name);
	return NULL;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "(null)";
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

START_TEST(stats_come_from_the_database)
{
	struct offline *offline;
	const json_t *kv, *part;
	json_t *stats;

	ck_assert_int_eq(offline_open(&offline, database), 0);
	ck_assert_int_eq(offline_stats(offline, &stats), 0);
	part = json_object_get(stats, "instance");
	ck_assert_str_eq(text_of(part, "name"), "here");
	part = json_object_get(stats, "supervisor");
	ck_assert(json_is_null(json_object_get(part, "pid")));
	ck_assert_int_eq(number_of(part, "runs"), 1);
	ck_assert_uint_eq(json_array_size(json_object_get(stats, "apps")), 4);

	kv = app_of(stats, "kv");
	ck_assert_str_eq(text_of(kv, "state"), "up");
	ck_assert_int_eq(number_of(kv, "epoch"), 3);
	ck_assert_int_eq(number_of(kv, "pid"), 43);
	part = json_object_get(kv, "restarts");
	ck_assert_int_eq(number_of(part, "total"), 2);
	ck_assert_int_eq(number_of(part, "last_hour"), 1);
	ck_assert_int_eq(number_of(part, "last_day"), 2);
	part = json_object_get(kv, "last_exit");
	ck_assert_int_eq(number_of(part, "epoch"), 2);
	ck_assert_int_eq(number_of(part, "code"), 3);

	ck_assert_str_eq(text_of(app_of(stats, "db"), "state"), "fatal");
	ck_assert_str_eq(text_of(app_of(stats, "old"), "state"), "stopped");
	ck_assert_str_eq(text_of(app_of(stats, "new"), "state"), "stopped");
	ck_assert(json_is_null(json_object_get(app_of(stats, "new"), "last_exit")));
	json_decref(stats);
	offline_close(offline);
}
END_TEST

START_TEST(pages_go_from_the_newest_to_the_oldest)
{
	struct offline *offline;
	const json_t *rows;
	json_t *page;

	ck_assert_int_eq(offline_open(&offline, database), 0);
	ck_assert_int_eq(offline_incarnations(offline, "kv", 0, 2, &page), 0);
	rows = json_object_get(page, "incarnations");
	ck_assert_uint_eq(json_array_size(rows), 2);
	ck_assert_int_eq(number_of(json_array_get(rows, 0), "epoch"), 3);
	ck_assert_int_eq(number_of(page, "next"), 2);
	json_decref(page);
	ck_assert_int_eq(offline_incarnations(offline, "kv", 2, 2, &page), 0);
	rows = json_object_get(page, "incarnations");
	ck_assert_uint_eq(json_array_size(rows), 1);
	ck_assert_str_eq(text_of(json_array_get(rows, 0), "signal"), "SIGKILL");
	ck_assert(json_is_null(json_object_get(page, "next")));
	json_decref(page);

	ck_assert_int_eq(offline_events(offline, NULL, 0, 10, &page), 0);
	rows = json_object_get(page, "events");
	ck_assert_uint_eq(json_array_size(rows), 2);
	ck_assert_str_eq(text_of(json_array_get(rows, 0), "event"), "shutdown");
	json_decref(page);
	ck_assert_int_eq(offline_events(offline, "kv", 0, 10, &page), 0);
	ck_assert_uint_eq(json_array_size(json_object_get(page, "events")), 1);
	json_decref(page);
	ck_assert_int_eq(offline_incarnations(offline, "nobody", 0, 2, &page), -ENOENT);
	ck_assert_int_eq(offline_events(offline, "nobody", 0, 2, &page), -ENOENT);
	offline_close(offline);
}
END_TEST

/* What the program prints, and its exit status. */
static int run(const char *arguments, char *out, size_t size)
{
	const char *build = getenv("EPOCHD_BUILD");
	char command[512];
	FILE *pipe;

	snprintf(command, sizeof command, "TZ=UTC '%s/epochctl' --db '%s' %s 2>&1",
		 build ? build : ".", database, arguments);
	pipe = popen(command, "r");   /* NOLINT(bugprone-command-processor): paths of our own */
	ck_assert_ptr_nonnull(pipe);
	out[fread(out, 1, size - 1, pipe)] = '\0';
	return WEXITSTATUS(pclose(pipe));
}

static const struct {
	const char *arguments, *part;
	int status;
} runs[] = {
	{ "stats", "  restarts           2 since 1970-01-01 00:16:40\n"
		   "    of these         1 crashed, 1 exited\n", 0 },
	{ "stats --json", "{\"instance\"", 0 },
	{ "status kv old", "kv    up           3   43       -         2  exit 3, 1m ago", 0 },
	{ "status", "fatal", 1 },
	{ "incarnations kv --all --json", "\"next\":null", 0 },
	{ "incarnations nobody", "epochctl: the database knows no application nobody\n", 4 },
	{ "events", "1970-01-01 00:16:40  kv                     3  up\n", 0 },
	{ "events -f", "epochctl: --follow needs a supervisor", 2 },
	{ "status -w", "epochctl: --watch needs a supervisor", 2 },
	{ "start kv", "epochctl: start does not take --db\n", 2 },
	{ "--db /nowhere/epochd.db stats", "epochctl: --db /nowhere/epochd.db: No such file", 3 },
	{ "--db /etc/passwd stats", "epochctl: --db /etc/passwd: it is no database", 3 },
};

START_TEST(the_program_answers_without_a_supervisor)
{
	char out[8192];

	ck_assert_int_eq(run(runs[_i].arguments, out, sizeof out), runs[_i].status);
	if (!strstr(out, runs[_i].part))
		ck_abort_msg("%s: printed\n%s\nwithout\n%s", runs[_i].arguments, out, runs[_i].part);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_unchecked_fixture(tcase, make, clean);
	tcase_add_test(tcase, stats_come_from_the_database);
	tcase_add_test(tcase, pages_go_from_the_newest_to_the_oldest);
	tcase_add_loop_test(tcase, the_program_answers_without_a_supervisor, 0, ARRAY_SIZE(runs));
}

int main(void)
{
	return unit_run("ctl_offline", fill);
}
