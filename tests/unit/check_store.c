#include <config.h>

#include "store/store.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#define BOOT_1 "11111111-1111-4111-8111-111111111111"
#define BOOT_2 "22222222-2222-4222-8222-222222222222"
#define UUID_1 "0f0e0d0c-0b0a-4988-8776-655443322110"

/* ---- a directory and a loop of its own for each test ---- */

static char directory[PATH_MAX / 4], database[PATH_MAX / 2], fault[PATH_MAX / 2], gate[PATH_MAX / 2];
static int wake_pipe[2];
static unsigned commits_seen;
static struct store_options options;
static struct store_found found;

static void on_wake(void *user)
{
	(void)user;
	(void)!write(wake_pipe[1], "w", 1);
}

static void on_committed(struct store_app *app, void *user)
{
	(void)app;
	(void)user;
	commits_seen++;
}

static void setup(void)
{
	const char *parent = getenv("TMPDIR");

	snprintf(directory, sizeof directory, "%s/check_store.XXXXXX", parent ? parent : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(database, sizeof database, "%s/epochd.db", directory);
	snprintf(fault, sizeof fault, "%s/fault", directory);
	snprintf(gate, sizeof gate, "%s/gate", directory);
	ck_assert_int_eq(pipe2(wake_pipe, O_NONBLOCK | O_CLOEXEC), 0);
	options = (struct store_options){ .path = database, .scratch = directory, .instance = "test", .boot_id = BOOT_1,
					  .keep_events = 1000, .keep_incarnations = 1000,
					  .wake = on_wake, .committed = on_committed };
	commits_seen = 0;
	setenv("EPOCHD_WRITE_ERRNO", "28", 1);
	setenv("EPOCHD_FAULT_FILE", fault, 1);
	setenv("EPOCHD_FSYNC_GATE", gate, 1);
}

static void teardown(void)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(directory);

	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
			ck_assert_int_eq(unlink(path), 0);
		}
	if (dir)
		closedir(dir);
	ck_assert_int_eq(rmdir(directory), 0);
	close(wake_pipe[0]);
	close(wake_pipe[1]);
}

static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	close(fd);
}

/* Until the store asks for it, then dispatches. For a child that is killed amid its work: an assertion
 * there is a message to the runner, half of which would be left. */
static int quiet_turn(struct store *store)
{
	struct pollfd woken = { .fd = wake_pipe[0], .events = POLLIN };
	char bytes[64];
	int r = poll(&woken, 1, 60000);   /* only stops a hang */

	if (r == 1)
		(void)!read(wake_pipe[0], bytes, sizeof bytes);
	store_dispatch(store);
	return r;
}

static void turn(struct store *store)
{
	ck_assert_int_eq(quiet_turn(store), 1);
}

static struct store *open_store(void)
{
	struct store *store;

	ck_assert_int_eq(store_open(&store, &options, &found), 0);
	return store;
}

static struct store *start(void)
{
	struct store *store = open_store();

	ck_assert_int_eq(store_start(store), 0);
	return store;
}

static struct store_app *get(struct store *store, const char *name)
{
	struct store_app *app;

	ck_assert_int_eq(store_app_get(&app, store, name), 0);
	return app;
}

static struct store_state state_of(const struct store_app *app)
{
	struct store_state state;

	store_app_state(app, &state);
	return state;
}

static struct store_health health(struct store *store)
{
	struct store_health out;

	store_health(store, &out);
	return out;
}

static void reserve(struct store_app *app, uint32_t used, uint32_t reserved)
{
	struct store_state state = state_of(app);

	state.used = used;
	state.reserved = reserved;
	store_app_put(app, &state);
}

static void await_reserved(struct store *store, struct store_app *app, uint32_t reserved)
{
	while (state_of(app).reserved < reserved)
		turn(store);
}

static void incarnation(struct store_app *app, uint32_t epoch)
{
	struct store_incarnation row = { .epoch = epoch, .pid = 100 + (int)epoch, .code = -1,
					 .oom = -1, .started_at = 1000 + epoch,
					 .restart = epoch > 1 ? "crashed" : NULL };

	ck_assert_int_eq(store_app_incarnation(app, &row), 0);
}

static uint64_t event(struct store *store, const char *app, const char *reason)
{
	struct store_event event = { .at = 5, .app = app, .epoch = 3, .event = "up",
				     .reason = reason };

	store_event(store, &event);
	return event.number;
}

/* Until the writer is in the midst of a commit, which stays there. */
static void await_gate(void)
{
	char reached[PATH_MAX];

	snprintf(reached, sizeof reached, "%s.reached", gate);
	while (access(reached, F_OK) < 0)
		usleep(500);
	unlink(reached);
}

/* ---- reads, answered ---- */

static struct {
	bool answered;
	int r;
	size_t count;
	uint64_t first, last;   /* epoch or number */
	struct store_incarnation row;
	char cause[32], restart[32], detail[1024], reason[64];
} answer;

static void keep(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text ? text : "(null)");
}

static void on_incarnations(int r, const struct store_incarnation *rows, size_t count, void *user)
{
	(void)user;
	memset(&answer, 0, sizeof answer);
	answer.answered = true;
	answer.r = r;
	answer.count = count;
	if (!count)
		return;
	answer.first = rows[0].epoch;
	answer.last = rows[count - 1].epoch;
	answer.row = rows[0];
	keep(answer.cause, sizeof answer.cause, rows[0].cause);
	keep(answer.restart, sizeof answer.restart, rows[0].restart);
	keep(answer.detail, sizeof answer.detail, rows[0].detail);
}

static void on_events(int r, const struct store_event *rows, size_t count, void *user)
{
	(void)user;
	memset(&answer, 0, sizeof answer);
	answer.answered = true;
	answer.r = r;
	answer.count = count;
	if (!count)
		return;
	answer.first = rows[0].number;
	answer.last = rows[count - 1].number;
	keep(answer.reason, sizeof answer.reason, rows[0].reason);
}

static void read_incarnations(struct store *store, const char *app, uint32_t before, unsigned limit)
{
	answer.answered = false;
	ck_assert_int_eq(store_read_incarnations(store, app, before, limit, on_incarnations, NULL),
			 0);
	while (!answer.answered)
		turn(store);
}

static void read_events(struct store *store, const char *app, uint64_t before, unsigned limit)
{
	answer.answered = false;
	ck_assert_int_eq(store_read_events(store, app, before, limit, on_events, NULL), 0);
	while (!answer.answered)
		turn(store);
}

/* ---- a look from outside ---- */

static int64_t ask_number(const char *query)
{
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int64_t number;

	ck_assert_int_eq(sqlite3_open_v2(database, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	sqlite3_busy_timeout(db, 60000);   /* the writer thread may be amid a transaction of its own */
	ck_assert_int_eq(sqlite3_prepare_v2(db, query, -1, &stmt, NULL), SQLITE_OK);
	number = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : -1;
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return number;
}

static void overwrite(const char *path, off_t offset, off_t size)
{
	char junk[512];
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	memset(junk, 0xa5, sizeof junk);
	for (; size > 0; offset += (off_t)sizeof junk, size -= (off_t)sizeof junk)
		ck_assert_int_gt(pwrite(fd, junk, sizeof junk, offset), 0);
	close(fd);
}

static unsigned count_names(const char *prefix)
{
	struct dirent *entry;
	unsigned count = 0;
	DIR *dir = opendir(directory);

	while ((entry = readdir(dir)))
		count += !strncmp(entry->d_name, prefix, strlen(prefix));
	closedir(dir);
	return count;
}

/* ---- durable ---- */

START_TEST(what_was_put_is_there_after_reopening)
{
	struct store *store = start();
	struct store_app *app = get(store, "kv");
	struct store_state state = { .used = 3, .reserved = 16, .wanted = false, .fatal = true,
				     .forgiven_at = 77, .since = 55, .totals = { 1, 2, 3 } };
	struct store_incarnation row;
	char uuid[40];

	ck_assert(found.created);
	ck_assert(found.last_clean);
	ck_assert_ptr_null(found.last_boot_id);
	ck_assert_uint_eq(found.runs, 1);
	snprintf(uuid, sizeof uuid, "%s", found.uuid);
	ck_assert(state_of(app).wanted);
	ck_assert_uint_eq(store_app_durable_through(app), 0);
	store_app_put(app, &state);
	incarnation(app, 2);
	incarnation(app, 3);
	ck_assert_int_eq(store_close(store, true), 0);

	store = open_store();
	ck_assert(!found.created);
	ck_assert(found.last_clean);
	ck_assert_str_eq(found.last_boot_id, BOOT_1);
	ck_assert_str_eq(found.uuid, uuid);
	ck_assert_uint_eq(found.runs, 2);
	ck_assert_uint_eq(found.unclean_runs, 0);
	state = state_of(get(store, "kv"));
	ck_assert_uint_eq(state.used, 3);
	ck_assert_uint_eq(state.reserved, 16);
	ck_assert(!state.wanted && state.fatal);
	ck_assert_int_eq(state.forgiven_at, 77);
	ck_assert_int_eq(state.since, 55);
	ck_assert_uint_eq(state.totals[0], 1);
	ck_assert_uint_eq(state.totals[2], 3);
	ck_assert_int_eq(store_last_incarnation(store, "kv", &row), 1);
	ck_assert_uint_eq(row.epoch, 3);
	ck_assert_int_eq(row.pid, 103);
	ck_assert_str_eq(row.restart, "crashed");
	ck_assert_ptr_null(row.cause);
	ck_assert_int_eq(row.code, -1);
	ck_assert_int_eq(store_last_incarnation(store, "nobody", &row), 0);
	ck_assert_int_eq(store_close(store, false), 0);

	options.boot_id = BOOT_2;
	store = open_store();
	ck_assert(!found.last_clean);
	ck_assert_uint_eq(found.runs, 3);
	ck_assert_uint_eq(found.unclean_runs, 1);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

START_TEST(the_uuid_of_the_segments_is_adopted_by_a_new_database)
{
	struct store *store;

	options.uuid = UUID_1;
	store = open_store();
	ck_assert_str_eq(found.uuid, UUID_1);
	ck_assert(!found.last_clean);   /* somebody made those segments; how it ended is not known */
	ck_assert_uint_gt(event(store, NULL, NULL), 1000000);   /* above all that were before */
	ck_assert_int_eq(store_close(store, true), 0);
	options.uuid = "ffffffff-0b0a-4988-8776-655443322110";
	store = open_store();
	ck_assert_str_eq(found.uuid, UUID_1);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

START_TEST(totals_and_epochs_never_add_and_never_go_down)
{
	struct store *store = start();
	struct store_app *app = get(store, "kv");
	struct store_state state = { .used = 9, .reserved = 20, .since = 5, .totals = { 10, 7 } };

	store_app_put(app, &state);
	await_reserved(store, app, 20);
	store_app_put(app, &state);   /* the same again */
	state = (struct store_state){ .used = 4, .reserved = 8, .since = 6, .totals = { 11, 3 } };
	store_app_put(app, &state);
	state = state_of(app);
	ck_assert_uint_eq(state.used, 9);
	ck_assert_uint_eq(state.totals[0], 11);
	ck_assert_uint_eq(state.totals[1], 7);
	ck_assert_int_eq(store_close(store, true), 0);
	store = open_store();
	state = state_of(get(store, "kv"));
	ck_assert_uint_eq(state.used, 9);
	ck_assert_uint_eq(state.reserved, 20);
	ck_assert_uint_eq(state.totals[0], 11);
	ck_assert_uint_eq(state.totals[1], 7);
	ck_assert_int_eq(state.since, 5);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

/* The guards of the database itself, whatever memory says. */
START_TEST(the_database_keeps_the_larger_of_its_own_and_what_it_is_given)
{
	struct store *store = start();
	struct store_app *app = get(store, "kv");
	struct store_state state = { .used = 2, .reserved = 4, .totals = { 2 } };

	store_app_put(app, &state);
	await_reserved(store, app, 4);
	ck_assert_int_eq(ask_number("UPDATE application SET used = 90, reserved = 99,"
				    " restarts_crashed = 50 RETURNING 1"), 1);
	reserve(app, 3, 5);
	await_reserved(store, app, 5);
	ck_assert_int_eq(ask_number("SELECT used FROM application"), 90);
	ck_assert_int_eq(ask_number("SELECT reserved FROM application"), 99);
	ck_assert_int_eq(ask_number("SELECT restarts_crashed FROM application"), 50);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

START_TEST(what_is_not_known_never_overwrites_what_is)
{
	struct store *store = start();
	struct store_app *app = get(store, "kv");
	char longer[600];

	memset(longer, 'x', sizeof longer);
	longer[sizeof longer - 1] = '\0';
	incarnation(app, 2);
	if (_i)   /* once merged in memory, once in the database */
		read_incarnations(store, "kv", 0, 1);
	ck_assert_int_eq(store_app_incarnation(app, &(struct store_incarnation){
		.epoch = 2, .ended_at = 9, .cause = "exited", .code = 0, .oom = 0,
		.detail = "first" }), 0);
	if (_i)
		read_incarnations(store, "kv", 0, 1);
	ck_assert_int_eq(store_app_incarnation(app, &(struct store_incarnation){
		.epoch = 2, .code = -1, .oom = -1, .reclaimed = { true, 6, 5, 4, 3, 0 } }), 0);
	if (_i)
		read_incarnations(store, "kv", 0, 1);
	ck_assert_int_eq(store_app_incarnation(app, &(struct store_incarnation){
		.epoch = 2, .code = -1, .oom = -1, .detail = longer }), 0);
	read_incarnations(store, "kv", 0, 10);
	ck_assert(answer.row.reclaimed.is_known);
	ck_assert_uint_eq(answer.row.reclaimed.messages, 6);
	ck_assert_uint_eq(answer.row.reclaimed.bytes, 5);
	ck_assert_uint_eq(answer.row.reclaimed.channels_lost, 4);
	ck_assert_uint_eq(answer.row.reclaimed.collected_buffers, 3);
	ck_assert_uint_eq(answer.row.reclaimed.collected_bytes, 0);
	ck_assert_uint_eq(answer.count, 1);
	ck_assert_int_eq(answer.row.pid, 102);
	ck_assert_int_eq(answer.row.started_at, 1002);
	ck_assert_int_eq(answer.row.ended_at, 9);
	ck_assert_int_eq(answer.row.code, 0);
	ck_assert_int_eq(answer.row.oom, 0);
	ck_assert_str_eq(answer.cause, "exited");
	ck_assert_str_eq(answer.restart, "crashed");
	ck_assert_uint_eq(strlen(answer.detail), 511);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

START_TEST(a_row_changed_again_is_not_durable_until_that_is)
{
	struct store *store = start();
	struct store_app *app = get(store, "kv");

	incarnation(app, 1);
	incarnation(app, 2);
	while (store_app_durable_through(app) < 2)
		turn(store);
	touch(gate);
	incarnation(app, 2);
	ck_assert_uint_eq(store_app_durable_through(app), 1);
	await_gate();
	unlink(gate);
	while (store_app_durable_through(app) < 2)
		turn(store);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

START_TEST(what_changes_during_a_commit_is_in_the_next)
{
	struct store *store = start();
	struct store_app *app = get(store, "kv");

	touch(gate);
	incarnation(app, 2);
	await_gate();   /* the row is in it */
	reserve(app, 2, 32);
	ck_assert_int_eq(store_app_incarnation(app, &(struct store_incarnation){
		.epoch = 2, .ended_at = 9, .code = 7, .oom = -1 }), 0);
	unlink(gate);
	await_reserved(store, app, 32);
	read_incarnations(store, "kv", 0, 1);
	ck_assert_int_eq(answer.row.pid, 102);
	ck_assert_int_eq(answer.row.ended_at, 9);
	ck_assert_int_eq(answer.row.code, 7);
	ck_assert_uint_eq(store_app_durable_through(app), 2);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

static unsigned restarts_seen;
static int64_t restart_before;

static void on_restart(struct store_app *app, uint32_t epoch, int64_t started_at,
		       const char *restart, void *user)
{
	ck_assert_ptr_nonnull(restart);
	(void)app;
	(void)epoch;
	(void)user;
	ck_assert_int_le(restart_before, started_at);
	restart_before = started_at;
	restarts_seen++;
}

START_TEST(restarts_since_then_come_oldest_first)
{
	struct store *store = open_store();
	uint32_t epoch;

	for (epoch = 10; epoch; epoch--)
		incarnation(get(store, epoch % 2 ? "odd" : "even"), epoch);
	ck_assert_int_eq(store_close(store, true), 0);
	store = open_store();
	restarts_seen = 0;
	restart_before = 0;
	ck_assert_int_eq(store_restarts_since(store, 1005, on_restart, NULL), 0);
	ck_assert_uint_eq(restarts_seen, 6);
	restarts_seen = 0;
	restart_before = 0;
	ck_assert_int_eq(store_restarts_since(store, 0, on_restart, NULL), 0);
	ck_assert_uint_eq(restarts_seen, 9);   /* epoch 1 was no restart */
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

/* ---- events ---- */

START_TEST(event_numbers_grow_without_gaps_over_a_clean_end)
{
	struct store *store = start();

	ck_assert_uint_eq(event(store, NULL, NULL), 1);
	ck_assert_uint_eq(event(store, "kv", "because"), 2);
	ck_assert_int_eq(store_close(store, true), 0);
	store = start();
	ck_assert_uint_eq(event(store, "kv", "again"), 3);
	read_events(store, NULL, 0, 10);
	ck_assert_uint_eq(answer.count, 3);
	ck_assert_uint_eq(answer.first, 3);
	ck_assert_str_eq(answer.reason, "again");
	read_events(store, NULL, 3, 1);
	ck_assert_uint_eq(answer.count, 1);
	ck_assert_uint_eq(answer.first, 2);
	read_events(store, "kv", 0, 10);
	ck_assert_uint_eq(answer.count, 2);
	ck_assert_uint_eq(answer.last, 2);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

/* Gives a child's word, once it is killed in the midst of its work. */
static uint64_t killed_after(void (*work)(int fd), unsigned microseconds)
{
	uint64_t word = 0, next;
	int words[2], status;
	pid_t child;

	ck_assert_int_eq(pipe2(words, O_CLOEXEC), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child) {
		close(words[0]);
		work(words[1]);
		_exit(1);
	}
	close(words[1]);
	if (read(words[0], &word, sizeof word) != sizeof word)   /* it is at it */
		ck_abort_msg("the child ended by itself");
	usleep(microseconds);   /* nothing depends on when */
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	while (read(words[0], &next, sizeof next) == sizeof next)
		word = next > word ? next : word;
	close(words[0]);
	return word;
}

static void say(int fd, uint64_t word)
{
	if (write(fd, &word, sizeof word) != sizeof word)
		_exit(2);
}

enum { AHEAD = 64 };   /* epochs of the last one that is durable */

/* Says what the store said is durable. */
static void commit_for_ever(int fd)
{
	struct store *store = start();
	struct store_app *app = get(store, "kv");
	struct store_state state = state_of(app);
	uint32_t before = state.used, epoch = before;
	struct store_health health;
	uint64_t commits = 0;   /* when there were enough rows for a page of them */

	for (;;) {
		while (epoch > before + AHEAD && epoch > store_app_durable_through(app) + AHEAD)
			quiet_turn(store);   /* else the writer may get the lock too seldom to end */
		epoch++;
		state.used = epoch;
		state.reserved = epoch + 16;
		state.totals[0] = epoch;
		store_app_put(app, &state);
		incarnation(app, epoch);
		event(store, "kv", "x");
		store_dispatch(store);
		store_health(store, &health);
		if (!commits && store_app_durable_through(app) >= 10)
			commits = health.commits;
		/* One more, so that the events of those rows are durable as well. */
		if (commits && health.commits > commits)
			say(fd, (uint64_t)state_of(app).reserved << 32 |
				store_app_durable_through(app));
	}
}

START_TEST(what_was_said_to_be_durable_is_there_after_a_kill)
{
	struct store_incarnation row;
	struct store_state state;
	struct store *store;
	uint64_t word;
	int i;

	srand(7);
	for (i = 0; i < 20; i++) {
		word = killed_after(commit_for_ever, (unsigned)rand() % 20000);
		store = open_store();
		ck_assert_ptr_null(found.set_aside);
		ck_assert(!found.last_clean);
		state = state_of(get(store, "kv"));
		ck_assert_uint_ge(state.reserved, word >> 32);
		ck_assert_uint_ge(state.used, word & 0xffffffff);
		ck_assert_uint_eq(state.totals[0], state.used);
		ck_assert_int_eq(store_last_incarnation(store, "kv", &row), 1);
		/* A past moment whole: the row was handed over right after the state. */
		ck_assert_uint_le(row.epoch, state.used);
		ck_assert_uint_ge(row.epoch + 1, state.used);
		ck_assert_int_eq(store_close(store, true), 0);
		/* Each kill may have come between a state and its row, and old ones are pruned. */
		ck_assert_int_eq(ask_number("SELECT count(*) + 20 >= max(epoch) OR count(*) >= 980"
					    " FROM incarnation"), 1);
	}
}
END_TEST

static void number_for_ever(int fd)
{
	struct store *store = start();

	for (;;)
		say(fd, event(store, NULL, NULL));
}

START_TEST(no_event_number_is_given_twice_whenever_it_is_killed)
{
	uint64_t before = 0, given;
	struct store *store;
	int i;

	for (i = 0; i < 10; i++) {
		given = killed_after(number_for_ever, (unsigned)rand() % 20000);
		store = open_store();
		before = event(store, NULL, NULL);
		ck_assert_uint_gt(before, given);
		ck_assert_int_eq(store_close(store, true), 0);
	}
}
END_TEST

static int numbered;

static void number_with_no_disk(int fd)
{
	struct store *store = start();
	uint64_t number = 0;
	int i;

	touch(fault);
	for (i = 0; i < numbered; i++)
		number = event(store, NULL, NULL);
	say(fd, number);
	for (;;)
		pause();
}

START_TEST(no_event_number_is_given_twice_if_none_was_committed)
{
	struct store *store;
	uint64_t given;

	numbered = _i ? 10001 : 9000;   /* beyond what is reserved ahead, and within */
	given = killed_after(number_with_no_disk, 0);
	unlink(fault);
	store = open_store();
	if (_i)
		ck_assert_uint_ne(event(store, NULL, NULL), given);
	else
		ck_assert_uint_gt(event(store, NULL, NULL), given);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

START_TEST(events_that_no_disk_takes_are_bounded_and_counted)
{
	struct store *store = open_store();
	uint64_t number = 0, next;
	int i;

	for (i = 0; i < 65536 + 100; i++) {
		next = event(store, NULL, NULL);
		ck_assert_uint_gt(next, number);
		number = next;
	}
	ck_assert_uint_eq(health(store).events_dropped, 100);
	ck_assert_int_eq(store_close(store, true), 0);
	ck_assert_int_eq(ask_number("SELECT count(*) FROM event"), 65536);
	ck_assert_int_eq(ask_number("SELECT max(number) FROM event"), (int64_t)number);
	store = open_store();
	ck_assert_uint_eq(event(store, NULL, NULL), number + 1);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

/* ---- reports ---- */

START_TEST(reads_are_paged_newest_first)
{
	struct store *store = start();
	struct store_app *app = get(store, "kv");
	uint32_t epoch;

	for (epoch = 1; epoch <= 25; epoch++)
		incarnation(app, epoch);
	incarnation(get(store, "other"), 99);
	read_incarnations(store, "kv", 0, 10);
	ck_assert_int_eq(answer.r, 0);
	ck_assert_uint_eq(answer.count, 10);
	ck_assert_uint_eq(answer.first, 25);
	ck_assert_uint_eq(answer.last, 16);
	read_incarnations(store, "kv", 16, 10);
	ck_assert_uint_eq(answer.first, 15);
	read_incarnations(store, "kv", 6, 10);
	ck_assert_uint_eq(answer.count, 5);
	ck_assert_uint_eq(answer.last, 1);
	read_incarnations(store, "kv", 1, 10);
	ck_assert_uint_eq(answer.count, 0);
	ck_assert_int_eq(store_read_events(store, NULL, 0, 0, on_events, NULL), -EINVAL);
	ck_assert_int_eq(store_read_events(store, NULL, 0, 1001, on_events, NULL), -EINVAL);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

START_TEST(a_cancelled_read_is_not_answered_and_too_many_are_refused)
{
	struct store *store = start();
	char us, other;
	int i;

	touch(gate);
	event(store, NULL, NULL);   /* what a read must wait for */
	for (i = 0; i < 63; i++)
		ck_assert_int_eq(store_read_events(store, NULL, 0, 1, on_events, &us), 0);
	ck_assert_int_eq(store_read_incarnations(store, "kv", 0, 1, on_incarnations, &other), 0);
	ck_assert_int_eq(store_read_events(store, NULL, 0, 1, on_events, &us), -EBUSY);
	store_read_cancel(store, &us);
	answer.answered = false;
	answer.count = 7;
	await_gate();
	unlink(gate);
	while (!answer.answered)
		turn(store);
	ck_assert_uint_eq(answer.count, 0);   /* the other one's */
	for (i = 0; i < 63; i++)
		ck_assert_int_eq(store_read_events(store, NULL, 0, 1, on_events, &us), 0);
	ck_assert_int_eq(store_close(store, true), 0);   /* with reads waiting */
}
END_TEST

START_TEST(old_events_and_incarnations_are_pruned)
{
	struct store *store;
	struct store_app *app;
	uint32_t epoch = 0;
	size_t events, rows;

	options.keep_events = 50;
	options.keep_incarnations = 20;
	store = start();
	app = get(store, "kv");
	do {   /* each commit may prune: it comes to rest near the limits */
		epoch++;
		incarnation(app, epoch);
		event(store, "kv", NULL);
		read_events(store, NULL, 0, 1000);
		events = answer.count;
		read_incarnations(store, "kv", 0, 1000);
		rows = answer.count;
		ck_assert_uint_le(events, 50 + 50 / 16 + 3);
		ck_assert_uint_le(rows, 20 + 20 / 16 + 3);
	} while (epoch < 150);
	ck_assert_uint_eq(answer.first, 150);
	ck_assert_uint_ge(events, 50);
	ck_assert_uint_ge(rows, 20);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

START_TEST(other_limits_are_in_force_at_once)
{
	struct store *store = start();
	struct store_app *app = get(store, "kv"), *quiet = get(store, "quiet");
	uint32_t epoch;
	size_t events, rows;

	for (epoch = 1; epoch <= 200; epoch++) {
		incarnation(app, epoch);
		incarnation(quiet, epoch);
		event(store, "kv", NULL);
	}
	read_events(store, NULL, 0, 1000);
	ck_assert_uint_eq(answer.count, 200);
	store_set_keep(store, 50, 20);
	incarnation(app, epoch);
	do {
		reserve(quiet, 200, 216);   /* no row of it is new */
		event(store, NULL, NULL);
		read_events(store, NULL, 0, 1000);
		events = answer.count;
		read_incarnations(store, "kv", 0, 1000);
		rows = answer.count;
		read_incarnations(store, "quiet", 0, 1000);
	} while (events > 50 + 50 / 16 + 3 || rows > 20 + 20 / 16 || answer.count > 20);
	ck_assert_uint_ge(rows, 20);
	ck_assert_uint_eq(answer.count, 20);
	ck_assert_uint_eq(answer.first, 200);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

static void incarnation_of_now(struct store_app *app, uint32_t epoch)
{
	struct timespec now;
	struct store_incarnation row = { .epoch = epoch, .code = -1, .oom = -1 };

	clock_gettime(CLOCK_REALTIME, &now);
	row.started_at = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	ck_assert_int_eq(store_app_incarnation(app, &row), 0);
}

START_TEST(what_is_young_is_not_pruned)
{
	struct store *store;
	struct store_app *app, *other;
	uint32_t epoch;

	options.keep_incarnations = 5;
	store = start();
	app = get(store, "kv");
	other = get(store, "other");
	store_app_keep_for(app, (int64_t)3600 * 1000000000);
	for (epoch = 1; epoch <= 10; epoch++)
		incarnation(app, epoch);   /* of 1970 */
	do {   /* "kv" is looked at first */
		incarnation_of_now(app, epoch);
		incarnation_of_now(other, epoch++);
		read_incarnations(store, "other", 0, 1000);
	} while (epoch < 50 || answer.count > 5 + 1);   /* one came after the last look */
	read_incarnations(store, "kv", 0, 1000);
	ck_assert_uint_eq(answer.count, epoch - 1 - 10);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

/* Each may start an application: between a few of them the loop looks at what else there is. */
START_TEST(a_turn_tells_of_a_few_commits)
{
	enum { APPS = 100, A_FEW = 20 };
	struct store *store = open_store();
	unsigned before, turns = 0;
	char name[16];

	for (int i = 0; i < APPS; i++) {
		snprintf(name, sizeof name, "app%d", i);
		reserve(get(store, name), 0, 16);
	}
	ck_assert_int_eq(store_start(store), 0);
	while (commits_seen < APPS) {
		before = commits_seen;
		turn(store);
		ck_assert_uint_le(commits_seen - before, A_FEW);
		turns++;
	}
	ck_assert_uint_gt(turns, 1);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

/* ---- disks that fail ---- */

START_TEST(a_put_returns_while_the_disk_stands_still)
{
	struct store *store = start();
	struct store_app *app = get(store, "kv");
	unsigned i;

	touch(gate);
	for (i = 1; i <= 100; i++) {
		reserve(app, i, i + 16);
		incarnation(app, i);
		event(store, "kv", NULL);
		store_dispatch(store);
	}
	ck_assert_uint_eq(health(store).commits, 0);
	ck_assert_uint_eq(state_of(app).reserved, 0);
	ck_assert_uint_eq(state_of(app).used, 100);
	ck_assert_uint_eq(commits_seen, 0);
	await_gate();
	unlink(gate);
	await_reserved(store, app, 116);
	while (store_app_durable_through(app) < 100)
		turn(store);
	ck_assert_uint_ge(commits_seen, 1);
	ck_assert_uint_le(health(store).commits, 3);   /* group commit */
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

static const int errors[] = { ENOSPC, EROFS, EIO };

START_TEST(a_disk_that_fails_loses_nothing_and_says_so)
{
	struct store *store = start();
	struct store_app *app = get(store, "kv"), *other = get(store, "other");
	char number[16];

	snprintf(number, sizeof number, "%d", errors[_i]);
	setenv("EPOCHD_WRITE_ERRNO", number, 1);
	reserve(app, 1, 16);
	await_reserved(store, app, 16);
	ck_assert(health(store).writable);
	touch(fault);
	reserve(app, 2, 32);
	incarnation(app, 2);
	incarnation(app, 3);
	event(store, "kv", "while it was away");
	while (health(store).writable)
		turn(store);
	ck_assert_int_eq(health(store).error, errors[_i]);
	ck_assert_str_ne(health(store).text, "");
	ck_assert_int_ne(health(store).unwritable_since, 0);
	reserve(other, 1, 16);
	read_events(store, NULL, 0, 10);   /* what is there can still be read */
	ck_assert_int_eq(answer.r, 0);
	ck_assert_uint_eq(state_of(app).reserved, 16);
	ck_assert_uint_eq(store_app_durable_through(app), 0);
	unlink(fault);
	await_reserved(store, app, 32);   /* by itself */
	await_reserved(store, other, 16);
	ck_assert_uint_eq(store_app_durable_through(app), 3);
	ck_assert(health(store).writable);
	ck_assert_int_eq(health(store).unwritable_since, 0);
	read_events(store, NULL, 0, 10);
	ck_assert_uint_eq(answer.count, 1);
	ck_assert_str_eq(answer.reason, "while it was away");
	ck_assert_int_eq(store_close(store, true), 0);
	ck_assert_int_eq(ask_number("SELECT count(*) FROM incarnation"), 2);
}
END_TEST

START_TEST(closing_on_a_disk_that_fails_says_so_and_what_was_durable_stays)
{
	struct store *store = start();
	struct store_app *app = get(store, "kv");

	reserve(app, 1, 16);
	await_reserved(store, app, 16);
	touch(fault);
	reserve(app, 2, 32);
	ck_assert_int_eq(store_close(store, true), -ENOSPC);
	unlink(fault);
	store = open_store();
	ck_assert(!found.last_clean);
	ck_assert_uint_eq(state_of(get(store, "kv")).reserved, 16);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

/* Nothing is reserved, so nothing may run; that comes with the first commit that goes through. */
START_TEST(a_new_database_on_a_full_disk_is_made_when_there_is_room)
{
	struct store *store;
	struct store_app *app;

	touch(fault);
	store = start();
	ck_assert(found.created && found.unwritable && found.last_clean);
	app = get(store, "kv");
	reserve(app, 0, 16);
	incarnation(app, 1);
	while (health(store).writable)
		turn(store);
	ck_assert_int_eq(health(store).error, ENOSPC);
	read_incarnations(store, "kv", 0, 10);
	ck_assert_int_eq(answer.r, 0);
	ck_assert_uint_eq(answer.count, 0);
	unlink(fault);
	await_reserved(store, app, 16);
	read_incarnations(store, "kv", 0, 10);
	ck_assert_uint_eq(answer.count, 1);
	ck_assert_int_eq(store_close(store, true), 0);
	store = open_store();
	ck_assert(!found.created && !found.unwritable && found.last_clean);
	ck_assert_uint_eq(found.runs, 2);
	ck_assert_int_eq(store_close(store, true), 0);
	ck_assert_uint_eq(count_names(".store.copy"), 0);
}
END_TEST

/* After a clean end nothing would tell the one after us which of them we used (I2). */
START_TEST(a_start_that_cannot_write_uses_what_an_unclean_end_had_reserved)
{
	bool clean = _i;
	struct store *store = start();
	struct store_app *app = get(store, "kv");
	struct store_incarnation last;
	uint64_t number, next;

	reserve(app, 3, 16);
	incarnation(app, 3);
	number = event(store, "kv", NULL);
	await_reserved(store, app, 16);
	ck_assert_int_eq(store_close(store, clean), 0);
	touch(fault);
	store = open_store();
	ck_assert(found.unwritable && !found.created);
	ck_assert_int_eq(found.last_clean, clean);
	ck_assert_uint_eq(found.runs, 2);
	app = get(store, "kv");
	ck_assert_uint_eq(state_of(app).used, 3);
	ck_assert_uint_eq(state_of(app).reserved, clean ? 3 : 16);
	ck_assert_int_eq(store_last_incarnation(store, "kv", &last), 1);
	ck_assert_uint_eq(last.epoch, 3);
	ck_assert_int_eq(store_start(store), 0);
	next = event(store, "kv", NULL);
	ck_assert_uint_gt(next, number);
	while (health(store).writable)
		turn(store);
	read_incarnations(store, "kv", 0, 10);
	ck_assert_int_eq(answer.r, 0);
	ck_assert_uint_eq(answer.count, 1);
	unlink(fault);
	reserve(app, 4, 20);
	await_reserved(store, app, 20);
	read_events(store, NULL, 0, 10);
	ck_assert_uint_eq(answer.first, next);
	ck_assert_int_eq(store_close(store, true), 0);
	store = open_store();
	ck_assert(found.last_clean);
	ck_assert_uint_eq(found.runs, 3);
	ck_assert_uint_eq(found.unclean_runs, !clean);
	ck_assert_uint_eq(state_of(get(store, "kv")).reserved, 20);
	ck_assert_int_eq(store_close(store, true), 0);
	ck_assert_uint_eq(count_names(".store.copy"), 0);
}
END_TEST

START_TEST(what_cannot_be_opened_or_made_is_an_error)
{
	struct store *store;

	options.path = "/proc/nowhere/epochd.db";
	ck_assert_int_eq(store_open(&store, &options, &found), -ENOENT);
	ck_assert_int_eq(store_close(NULL, true), 0);
}
END_TEST

START_TEST(a_network_file_system_is_refused)
{
	struct store *store;

	setenv("EPOCHD_FS_TYPE", "0x6969", 1);
	ck_assert_int_eq(store_open(&store, &options, &found), -EREMOTEIO);
	ck_assert_uint_eq(count_names("epochd.db"), 0);
	setenv("EPOCHD_FS_TYPE", "0x65735546", 1);   /* FUSE may be anything */
	store = open_store();
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

/* One of version 1, which has rows: they stay, and what they do not say is not known. */
START_TEST(an_older_schema_is_migrated)
{
	static const char *const since[] = { "reclaimed_messages", "reclaimed_bytes", "reclaimed_channels_lost",
					     "collected_buffers", "collected_bytes", "shm" };
	static const char *const since_causes[] = { "held_buffers", "held_bytes", "overdue_buffers", "overdue_bytes" };
	struct store *store = start();
	struct store_state state;
	char query[128];

	incarnation(get(store, "kv"), 3);
	ck_assert_int_eq(store_close(store, true), 0);
	for (size_t i = 0; i < ARRAY_SIZE(since); i++) {
		snprintf(query, sizeof query, "ALTER TABLE incarnation DROP COLUMN %s", since[i]);
		ask_number(query);
	}
	for (size_t i = 0; i < ARRAY_SIZE(since_causes); i++) {
		snprintf(query, sizeof query, "ALTER TABLE application DROP COLUMN %s", since_causes[i]);
		ask_number(query);
	}
	ask_number("ALTER TABLE application RENAME COLUMN abandoned_buffers TO collected_buffers");
	ask_number("ALTER TABLE application RENAME COLUMN abandoned_bytes TO collected_bytes");
	ask_number("UPDATE application SET collected_buffers = 5, collected_bytes = 320");
	ask_number("PRAGMA user_version = 1");
	store = start();
	ck_assert_int_eq(ask_number("PRAGMA user_version"), 4);
	store_app_state(get(store, "kv"), &state);
	ck_assert_uint_eq(state.totals[STORE_TOTAL_abandoned_buffers], 5);
	ck_assert_uint_eq(state.totals[STORE_TOTAL_abandoned_bytes], 320);
	ck_assert_uint_eq(state.totals[STORE_TOTAL_held_buffers], 0);
	read_incarnations(store, "kv", 0, 10);
	ck_assert_uint_eq(answer.count, 1);
	ck_assert_int_eq(answer.row.pid, 103);
	ck_assert(!answer.row.reclaimed.is_known);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

START_TEST(a_newer_schema_is_refused_and_left_alone)
{
	struct store *store = open_store();

	ck_assert_int_eq(store_close(store, true), 0);
	ask_number("PRAGMA user_version = 99");
	ck_assert_int_eq(store_open(&store, &options, &found), -EINVAL);
	ck_assert_int_eq(ask_number("PRAGMA user_version"), 99);
	ck_assert_uint_eq(count_names("epochd.db."), 0);
}
END_TEST

/* ---- broken databases ---- */

/* Many rows, so that a broken page is not all there is. */
static void fill_database(void)
{
	struct store *store = open_store();
	struct store_app *app = get(store, "kv");
	uint32_t epoch;

	reserve(app, 300, 316);
	for (epoch = 1; epoch <= 300; epoch++) {
		incarnation(app, epoch);
		event(store, "kv", "a reason that makes it longer than it would be without it");
	}
	ck_assert_int_eq(store_close(store, true), 0);
}

START_TEST(junk_is_set_aside_and_the_uuid_adopted)
{
	struct store *store;
	struct stat st;

	fill_database();
	overwrite(database, 0, 1 << 16);
	options.uuid = UUID_1;
	store = open_store();
	ck_assert(found.created);
	ck_assert(!found.last_clean);
	ck_assert_ptr_nonnull(found.set_aside);
	ck_assert_ptr_nonnull(found.why);
	ck_assert_ptr_nonnull(strstr(found.set_aside, "/epochd.db.corrupt-20"));
	ck_assert_int_eq(stat(found.set_aside, &st), 0);
	ck_assert_int_ge(st.st_size, 1 << 16);
	ck_assert_str_eq(found.uuid, UUID_1);
	reserve(get(store, "kv"), 1, 16);
	ck_assert_int_eq(store_close(store, true), 0);
	store = open_store();
	ck_assert_ptr_null(found.set_aside);
	ck_assert_uint_eq(state_of(get(store, "kv")).reserved, 16);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

static off_t root_page(const char *name)
{
	char query[128];

	snprintf(query, sizeof query, "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", name);
	return (off_t)(ask_number(query) - 1) * 4096;
}

START_TEST(what_a_broken_database_still_gives_is_salvaged)
{
	struct store_incarnation row;
	struct store *store;
	char uuid[40];

	store = open_store();
	snprintf(uuid, sizeof uuid, "%s", found.uuid);
	ck_assert_int_eq(store_close(store, true), 0);
	fill_database();
	overwrite(database, root_page("application"), 4096);
	store = open_store();
	ck_assert_ptr_nonnull(found.set_aside);
	ck_assert_str_eq(found.uuid, uuid);
	ck_assert_uint_eq(found.runs, 3);
	ck_assert_uint_eq(event(store, NULL, NULL), 301);
	/* The row is lost: from its incarnations, and well above what may have been used. */
	ck_assert_uint_ge(state_of(get(store, "kv")).used, 316);
	ck_assert_int_eq(store_last_incarnation(store, "kv", &row), 1);
	ck_assert_uint_eq(row.epoch, 300);
	ck_assert_int_eq(store_close(store, true), 0);
	ck_assert_int_eq(ask_number("SELECT count(*) FROM incarnation"), 300);
	ck_assert_int_eq(ask_number("SELECT count(*) FROM event"), 301);
}
END_TEST

static void break_event_page(void)
{
	int64_t page = ask_number("SELECT pageno FROM dbstat WHERE name = 'event' AND"
				  " pagetype = 'leaf' LIMIT 1 OFFSET 2");

	overwrite(database, (off_t)(page - 1) * 4096, 4096);
}

START_TEST(a_check_while_running_sets_aside_and_rebuilds_from_memory)
{
	struct store *store;
	struct store_app *app;
	uint64_t number;

	fill_database();
	overwrite(database, root_page("event_app"), 4096);
	store = start();
	app = get(store, "kv");
	ck_assert_ptr_null(found.set_aside);   /* opening has not touched that page */
	reserve(app, 301, 350);
	await_reserved(store, app, 350);
	incarnation(get(store, "new"), 1);
	read_events(store, NULL, 0, 1);   /* the reader has the broken one open */
	store_check(store);
	while (!health(store).set_aside[0])
		turn(store);
	ck_assert_uint_eq(count_names("epochd.db.corrupt-"), 3);
	reserve(app, 302, 360);
	await_reserved(store, app, 360);
	number = event(store, "kv", "after");
	ck_assert_uint_gt(number, 300);
	read_events(store, NULL, 0, 1);
	ck_assert_uint_eq(answer.first, number);
	read_incarnations(store, "kv", 0, 1000);
	ck_assert_uint_eq(answer.count, 300);
	ck_assert(health(store).writable);
	ck_assert_int_eq(store_close(store, true), 0);
	store = open_store();
	ck_assert(found.last_clean);
	ck_assert_ptr_null(found.set_aside);
	ck_assert_uint_eq(found.runs, 3);
	ck_assert_uint_eq(state_of(get(store, "kv")).reserved, 360);
	ck_assert_uint_eq(state_of(get(store, "kv")).used, 302);
	ck_assert_int_eq(store_close(store, true), 0);
	ck_assert_int_eq(ask_number("SELECT count(*) FROM incarnation WHERE app = 'new'"), 1);
}
END_TEST

START_TEST(a_sound_database_passes_its_check)
{
	struct store *store;

	fill_database();
	store = start();
	store_check(store);
	reserve(get(store, "kv"), 301, 400);
	await_reserved(store, get(store, "kv"), 400);
	ck_assert_int_eq(store_close(store, true), 0);
	ck_assert_uint_eq(count_names("epochd.db."), 0);
}
END_TEST

START_TEST(a_page_that_breaks_costs_that_page_only)
{
	struct store *store;

	fill_database();
	break_event_page();
	store = start();
	store_check(store);
	while (!health(store).set_aside[0])
		turn(store);
	ck_assert_int_eq(store_close(store, true), 0);
	ck_assert_int_eq(ask_number("SELECT count(*) FROM incarnation"), 300);
	ck_assert_int_eq(ask_number("SELECT max(number) FROM event"), 300);
	ck_assert_int_eq(ask_number("SELECT min(number) FROM event"), 1);
	ck_assert_int_gt(ask_number("SELECT count(*) FROM event"), 200);
	ck_assert_int_lt(ask_number("SELECT count(*) FROM event"), 300);
}
END_TEST

START_TEST(a_report_that_meets_a_broken_page_has_it_rebuilt)
{
	struct store *store;

	fill_database();
	break_event_page();
	store = start();
	read_events(store, NULL, 0, 1000);
	ck_assert_int_eq(answer.r, -EUCLEAN);
	while (!health(store).set_aside[0])
		turn(store);
	ck_assert_str_ne(health(store).set_aside_why, "");
	read_events(store, NULL, 0, 1000);
	ck_assert_int_eq(answer.r, 0);
	ck_assert_uint_gt(answer.count, 200);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

START_TEST(a_start_that_meets_a_broken_page_has_it_rebuilt)
{
	struct store_incarnation last;
	struct store *store;

	fill_database();
	overwrite(database, root_page("incarnation"), 4096);
	store = open_store();
	ck_assert_ptr_null(found.set_aside);
	ck_assert_int_eq(store_last_incarnation(store, "kv", &last), -EUCLEAN);
	ck_assert_int_eq(store_start(store), 0);
	while (!health(store).set_aside[0])
		turn(store);
	ck_assert_int_eq(store_close(store, true), 0);
	ck_assert_int_eq(ask_number("SELECT count(*) FROM event"), 300);
}
END_TEST

START_TEST(a_database_that_is_removed_is_made_again)
{
	char path[PATH_MAX];
	struct store *store;
	struct store_app *app;

	fill_database();
	store = start();
	app = get(store, "kv");
	reserve(app, 301, 400);
	await_reserved(store, app, 400);
	unlink(database);
	snprintf(path, sizeof path, "%s-wal", database);
	unlink(path);
	snprintf(path, sizeof path, "%s-shm", database);
	unlink(path);
	ck_assert(!health(store).rebuilt);
	reserve(app, 302, 410);
	await_reserved(store, app, 410);
	ck_assert(health(store).rebuilt && !health(store).set_aside[0]);
	ck_assert_int_eq(store_close(store, true), 0);
	store = open_store();
	ck_assert(!found.created);
	ck_assert_uint_eq(state_of(get(store, "kv")).reserved, 410);
	ck_assert_int_eq(store_close(store, true), 0);
	ck_assert_int_eq(ask_number("SELECT count(*) FROM incarnation"), 300);
}
END_TEST

START_TEST(a_rebuild_that_was_interrupted_is_finished)
{
	char rebuilt[PATH_MAX];
	struct store *store;

	fill_database();
	snprintf(rebuilt, sizeof rebuilt, "%s.rebuilt", database);
	ck_assert_int_eq(rename(database, rebuilt), 0);
	if (_i)   /* killed before the broken one was moved */
		touch(database);
	store = open_store();
	ck_assert_uint_eq(state_of(get(store, "kv")).reserved, 316);
	ck_assert_ptr_nonnull(found.set_aside);
	ck_assert_uint_eq(count_names("epochd.db.corrupt-"), (unsigned)_i);
	ck_assert_uint_eq(count_names("epochd.db.rebuilt"), 0);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

/* ---- views ---- */

static unsigned apps_seen;

static void on_view_app(const char *name, const struct store_state *state,
			const struct store_incarnation *last, void *user)
{
	(void)user;
	apps_seen++;
	ck_assert_str_eq(name, "kv");
	ck_assert_uint_ge(state->used, 1);
	ck_assert_ptr_nonnull(last);
	ck_assert_uint_le(last->epoch, state->used);
	ck_assert_uint_ge(last->epoch + 1, state->used);
}

static void look(bool copied)
{
	struct store_view_info info;
	struct store_view *view;

	ck_assert_int_eq(store_view_open(&view, database, &info), 0);
	ck_assert_int_eq(info.copied, copied);
	ck_assert_uint_eq(strlen(info.uuid), 36);
	ck_assert_str_eq(info.instance, "test");
	ck_assert_str_eq(info.boot_id, BOOT_1);
	ck_assert_uint_eq(info.runs, 1);
	ck_assert_int_gt(info.started_at, 0);
	apps_seen = 0;
	ck_assert_int_eq(store_view_apps(view, on_view_app, NULL), 0);
	ck_assert_uint_eq(apps_seen, 1);
	ck_assert_int_eq(store_view_incarnations(view, "kv", 0, 5, on_incarnations, NULL), 0);
	ck_assert_uint_eq(answer.count, 5);
	ck_assert_int_eq(store_view_events(view, "kv", 0, 5, on_events, NULL), 0);
	ck_assert_uint_eq(answer.count, 5);
	store_view_close(view);
}

START_TEST(a_view_shows_what_a_dead_supervisor_left)
{
	struct store_view_info info;
	struct store_view *view;

	if (_i)   /* in the WAL */
		(void)killed_after(commit_for_ever, 20000);
	else
		fill_database();
	look(false);
	ck_assert_int_eq(store_view_open(&view, database, &info), 0);
	ck_assert_uint_eq(info.unclean_runs, (uint64_t)_i);
	store_view_close(view);
	store_view_close(NULL);
}
END_TEST

static void look_as_nobody(void)
{
	if (geteuid() == 0 && seteuid(65534) < 0)
		ck_abort_msg("seteuid");
	look(true);
	if (getuid() == 0 && seteuid(0) < 0)
		ck_abort_msg("seteuid");
}

START_TEST(a_view_in_a_directory_that_cannot_be_written_is_of_a_copy)
{
	char path[PATH_MAX];
	static const char *const parts[] = { "", "-wal", "-shm" };
	size_t i;

	setenv("TMPDIR", "/tmp", 1);
	if (_i)
		(void)killed_after(commit_for_ever, 20000);
	else
		fill_database();
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		snprintf(path, sizeof path, "%s%s", database, parts[i]);
		if (i < 2)
			(void)chmod(path, 0444);
		else
			unlink(path);
	}
	ck_assert_int_eq(chmod(directory, 0555), 0);
	look_as_nobody();
	ck_assert_int_eq(chmod(directory, 0755), 0);
}
END_TEST

START_TEST(a_view_of_what_is_no_database_is_refused)
{
	struct store_view_info info;
	struct store_view *view;

	ck_assert_int_eq(store_view_open(&view, database, &info), -ENOENT);
	touch(database);
	ck_assert_int_eq(store_view_open(&view, database, &info), -EINVAL);
	fill_database();
	ask_number("PRAGMA user_version = 99");
	ck_assert_int_eq(store_view_open(&view, database, &info), -EINVAL);
	overwrite(database, 0, 8192);
	ck_assert_int_eq(store_view_open(&view, database, &info), -EUCLEAN);
}
END_TEST

/* ---- many ---- */

static unsigned each_seen;

static void on_each(struct store_app *app, void *user)
{
	(void)user;
	ck_assert_int_eq(strncmp(store_app_name(app), "app-", 4), 0);
	each_seen++;
}

START_TEST(a_thousand_applications_go_in_few_commits)
{
	struct store *store = start();
	char name[32];
	uint32_t i;

	touch(gate);
	event(store, NULL, NULL);
	await_gate();   /* the writer is busy until all of them are handed over */
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "app-%u", i);
		reserve(get(store, name), 1, 16);
		incarnation(get(store, name), 1);
	}
	unlink(gate);
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "app-%u", i);
		await_reserved(store, get(store, name), 16);
	}
	ck_assert_uint_eq(health(store).commits, 2);
	ck_assert_int_eq(store_close(store, true), 0);
	store = open_store();
	each_seen = 0;
	store_each_app(store, on_each, NULL);
	ck_assert_uint_eq(each_seen, 1000);
	ck_assert_uint_eq(state_of(get(store, "app-567")).reserved, 16);
	ck_assert_int_eq(store_close(store, true), 0);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, what_was_put_is_there_after_reopening);
	tcase_add_test(tcase, the_uuid_of_the_segments_is_adopted_by_a_new_database);
	tcase_add_test(tcase, totals_and_epochs_never_add_and_never_go_down);
	tcase_add_test(tcase, the_database_keeps_the_larger_of_its_own_and_what_it_is_given);
	tcase_add_loop_test(tcase, what_is_not_known_never_overwrites_what_is, 0, 2);
	tcase_add_test(tcase, a_row_changed_again_is_not_durable_until_that_is);
	tcase_add_test(tcase, what_changes_during_a_commit_is_in_the_next);
	tcase_add_test(tcase, restarts_since_then_come_oldest_first);
	tcase_add_test(tcase, event_numbers_grow_without_gaps_over_a_clean_end);
	tcase_add_test(tcase, what_was_said_to_be_durable_is_there_after_a_kill);
	tcase_add_test(tcase, no_event_number_is_given_twice_whenever_it_is_killed);
	tcase_add_loop_test(tcase, no_event_number_is_given_twice_if_none_was_committed, 0, 2);
	tcase_add_test(tcase, events_that_no_disk_takes_are_bounded_and_counted);
	tcase_add_test(tcase, reads_are_paged_newest_first);
	tcase_add_test(tcase, a_cancelled_read_is_not_answered_and_too_many_are_refused);
	tcase_add_test(tcase, old_events_and_incarnations_are_pruned);
	tcase_add_test(tcase, other_limits_are_in_force_at_once);
	tcase_add_test(tcase, what_is_young_is_not_pruned);
	tcase_add_test(tcase, a_turn_tells_of_a_few_commits);
	tcase_add_test(tcase, a_put_returns_while_the_disk_stands_still);
	tcase_add_loop_test(tcase, a_disk_that_fails_loses_nothing_and_says_so, 0,
			    ARRAY_SIZE(errors));
	tcase_add_test(tcase, closing_on_a_disk_that_fails_says_so_and_what_was_durable_stays);
	tcase_add_test(tcase, a_new_database_on_a_full_disk_is_made_when_there_is_room);
	tcase_add_loop_test(tcase, a_start_that_cannot_write_uses_what_an_unclean_end_had_reserved, 0, 2);
	tcase_add_test(tcase, what_cannot_be_opened_or_made_is_an_error);
	tcase_add_test(tcase, a_network_file_system_is_refused);
	tcase_add_test(tcase, an_older_schema_is_migrated);
	tcase_add_test(tcase, a_newer_schema_is_refused_and_left_alone);
	tcase_add_test(tcase, junk_is_set_aside_and_the_uuid_adopted);
	tcase_add_test(tcase, what_a_broken_database_still_gives_is_salvaged);
	tcase_add_test(tcase, a_check_while_running_sets_aside_and_rebuilds_from_memory);
	tcase_add_test(tcase, a_sound_database_passes_its_check);
	tcase_add_test(tcase, a_page_that_breaks_costs_that_page_only);
	tcase_add_test(tcase, a_start_that_meets_a_broken_page_has_it_rebuilt);
	tcase_add_test(tcase, a_report_that_meets_a_broken_page_has_it_rebuilt);
	tcase_add_test(tcase, a_database_that_is_removed_is_made_again);
	tcase_add_loop_test(tcase, a_rebuild_that_was_interrupted_is_finished, 0, 2);
	tcase_add_loop_test(tcase, a_view_shows_what_a_dead_supervisor_left, 0, 2);
	tcase_add_loop_test(tcase, a_view_in_a_directory_that_cannot_be_written_is_of_a_copy, 0, 2);
	tcase_add_test(tcase, a_view_of_what_is_no_database_is_refused);
	tcase_add_test(tcase, a_thousand_applications_go_in_few_commits);
}

int main(void)
{
	return unit_run("store", fill);
}
