#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <curl/curl.h>
#include <ev.h>

#include "supervisor/control.h"
#include "supervisor/control_access.h"
#include "supervisor/control_request.h"
#include "supervisor/events.h"
#include "supervisor/log.h"
#include "tests/unit/fake.h"
#include "tests/unit/unit.h"

/* Supervisor and clients live in one thread: whatever waits, turns the loop meanwhile. */
static struct fake fake;
static struct ev_loop *loop;
static struct control *control;
static CURLM *multi;
static char directory[64], path[96];
static char address_text[2][64];   /* of http listeners */
static int fds_before;

static int count_fds(void)
{
	DIR *fds = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(fds))
		count++;
	closedir(fds);
	return count;
}

static void setup(void)
{
	log_setup((struct log_options){ .level = 0 });   /* mistakes are made on purpose here */
	curl_global_init(CURL_GLOBAL_DEFAULT);
	fds_before = count_fds();
	multi = curl_multi_init();
	snprintf(directory, sizeof directory, "/tmp/check_control.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chmod(directory, 0755), 0);
	snprintf(path, sizeof path, "%s/control.sock", directory);
	loop = ev_loop_new(EVFLAG_AUTO);
	fake_init(&fake, loop);
	ck_assert_int_eq(control_new(&control, &fake.epochd, path), 0);
}

/* What every test leaves behind: nothing. */
static void teardown(void)
{
	control_free(control);
	fake_deinit(&fake);
	curl_multi_cleanup(multi);
	ck_assert_ptr_null(fake.store.reader);
	ev_loop_destroy(loop);
	ck_assert_int_eq(rmdir(directory), 0);
	ck_assert_int_eq(count_fds(), fds_before);
	curl_global_cleanup();
}

/* ---- requests by libcurl ---- */

struct call {
	CURL *easy;
	bool done;
	CURLcode result;
	long status;
	char type[128], allow[64], cache[64], url[256];
	char body[1 << 16];
	size_t size;
};

static size_t on_body(char *data, size_t one, size_t count, void *user)
{
	struct call *call = user;

	ck_assert_uint_lt(call->size + one * count, sizeof call->body);
	memcpy(call->body + call->size, data, one * count);
	call->size += one * count;
	call->body[call->size] = '\0';
	return one * count;
}

static void copy_header(const char *line, const char *name, char *out, size_t size)
{
	if (strncasecmp(line, name, strlen(name)) == 0)
		snprintf(out, size, "%.*s", (int)strcspn(line + strlen(name), "\r\n"),
			 line + strlen(name));
}

static size_t on_header(char *data, size_t one, size_t count, void *user)
{
	struct call *call = user;
	char line[256];

	snprintf(line, sizeof line, "%.*s", (int)(one * count), data);
	copy_header(line, "Content-Type: ", call->type, sizeof call->type);
	copy_header(line, "Allow: ", call->allow, sizeof call->allow);
	copy_header(line, "Cache-Control: ", call->cache, sizeof call->cache);
	return one * count;
}

/* port: 0 for control.sock. */
static struct call *begin_at(int port, const char *method, const char *target)
{
	struct call *call = calloc(1, sizeof *call);

	call->easy = curl_easy_init();
	if (!port)
		curl_easy_setopt(call->easy, CURLOPT_UNIX_SOCKET_PATH, path);
	snprintf(call->url, sizeof call->url, port ? "http://127.0.0.1:%2$d%1$s" : "http://x%1$s",
		 target, port);
	curl_easy_setopt(call->easy, CURLOPT_URL, call->url);
	curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, method);
	if (strcmp(method, "HEAD") == 0)
		curl_easy_setopt(call->easy, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(call->easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(call->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(call->easy, CURLOPT_HEADERDATA, call);
	curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
	curl_multi_add_handle(multi, call->easy);
	return call;
}

static struct call *begin(const char *method, const char *target)
{
	return begin_at(0, method, target);
}

/* The loop and the clients each get a turn. */
static void turn(void)
{
	int running, left;
	CURLMsg *message;
	struct call *call;

	ev_run(loop, EVRUN_NOWAIT);
	curl_multi_perform(multi, &running);
	while ((message = curl_multi_info_read(multi, &left))) {
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		call->done = true;
		call->result = message->data.result;
		curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &call->status);
	}
	curl_multi_poll(multi, NULL, 0, 1, NULL);
}

static void drive(struct call *call)
{
	while (!call->done)
		turn();
}

static void end(struct call *call)
{
	curl_multi_remove_handle(multi, call->easy);
	curl_easy_cleanup(call->easy);
	free(call);
}

static struct call *ask(const char *method, const char *target)
{
	struct call *call = begin(method, target);

	drive(call);
	ck_assert_int_eq(call->result, CURLE_OK);
	return call;
}

static void expect(const char *method, const char *target, long status, const char *part)
{
	struct call *call = ask(method, target);

	if (call->status != status || !strstr(call->body, part))
		ck_abort_msg("%s %s: %ld %s", method, target, call->status, call->body);
	ck_assert_str_eq(call->cache, "no-store");
	if (status >= 400 && strncmp(target, "/healthz", 8) != 0)
		ck_assert_str_eq(call->type, "application/problem+json");
	end(call);
}

/* ---- requests by hand, for what a proper client does not do ---- */

static int raw(const char *text)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	return fd;
}

/* Reads on until `needle` has come; what came is in `seen`. */
static char seen[8 << 20];
static size_t seen_size;

static void await_text(int fd, const char *needle)
{
	ssize_t size;

	for (;;) {
		char *from = seen + (seen_size > 256 ? seen_size - 256 : 0);

		size = recv(fd, seen + seen_size, sizeof seen - seen_size - 1, MSG_DONTWAIT);
		if (size > 0)
			seen_size += (size_t)size;
		seen[seen_size] = '\0';
		if (strstr(from, needle))
			return;
		if (size == 0)
			ck_abort_msg("the stream ended before \"%s\": %s", needle, from);
		if (size < 0)
			turn();
	}
}

#define FOLLOW(query) "GET /v1/events?follow" query " HTTP/1.1\r\nHost: x\r\n\r\n"

static int follow(const char *request)
{
	int fd = raw(request);

	seen_size = 0;
	await_text(fd, "\r\n\r\n");   /* the headers come before there is any event */
	return fd;
}

/* ---- answers ---- */

START_TEST(stats_have_every_application)
{
	struct call *call = ask("GET", "/v1/stats");

	ck_assert_int_eq(call->status, 200);
	ck_assert_str_eq(call->type, "application/json");
	ck_assert_str_eq(call->cache, "no-store");
	ck_assert_ptr_nonnull(strstr(call->body, "\"name\":\"kv\",\"state\":\"up\""));
	ck_assert_ptr_nonnull(strstr(call->body, "\"name\":\"db\",\"state\":\"up\""));
	ck_assert_ptr_nonnull(strstr(call->body, "\"started_at\":\"2025-11-22T20:12:00.123Z\""));
	ck_assert_int_eq(call->body[call->size - 1], '\n');
	ck_assert_ptr_null(memchr(call->body, '\n', call->size - 1));
	end(call);
}
END_TEST

START_TEST(stats_of_nothing_are_stats)
{
	fake.epochd.app_count = 0;
	expect("GET", "/v1/stats", 200, "\"apps\":[]}\n");
	expect("GET", "/v1/apps/kv", 404, "no application kv; none is configured");
	expect("GET", "/healthz", 200, "{\"status\":\"ok\",\"apps\":[]}\n");
}
END_TEST

static const struct { const char *method, *target; long status; const char *part; } plain[] = {
	{ "GET", "/v1/apps/kv", 200, "\"config\":{\"origin\":null,\"command\":[\"/usr/bin/kv-se" },
	{ "GET", "/v1/apps/nope", 404, "no application nope; there are: kv, db\"" },
	{ "GET", "/v1/apps/", 404, "no such path" },
	{ "GET", "/v1/apps/kv/", 404, "no such path" },
	{ "GET", "/v1/apps/kv/stop", 405, "GET does not go here: POST" },
	{ "POST", "/v1/stats", 405, "POST does not go here: GET, HEAD" },
	{ "DELETE", "/v1/apps/kv", 405, "Not Allowed" },
	{ "PUT", "/v1/apps/kv/stop", 405, "Not Allowed" },
	{ "GET", "/", 404, "\"instance\":\"/\"" },
	{ "GET", "/v1/stats?x=1", 400, "x: no such parameter" },
	{ "GET", "/v1/stats?limit=1", 400, "limit: no such parameter" },
	{ "GET", "/v1/events?limit=0", 400, "limit: expected a number from 1 to 1000, not 0" },
	{ "GET", "/v1/events?limit=1001", 400, "limit: expected" },
	{ "GET", "/v1/events?limit", 400, "limit: expected" },
	{ "GET", "/v1/events?limit=-1", 400, "limit: expected" },
	{ "GET", "/v1/events?limit=5x", 400, "limit: expected" },
	{ "GET", "/v1/events?limit=5&limit=6", 400, "limit: given twice" },
	{ "GET", "/v1/events?before=0", 400, "before: expected a number above 0" },
	{ "GET", "/v1/events?before=99999999999999999999", 400, "before: expected" },
	{ "GET", "/v1/apps/k%76", 200, "\"name\":\"kv\"" },
	{ "GET", "/v1/apps/kv%00x", 404, "no application kv%00x" },
	{ "GET", "/v1/apps%2fkv", 404, "no such path" },
	{ "GET", "/v1/apps/kv%2Fincarnations", 404, "no application kv%2F" },
	{ "GET", "/v1/events?app=a/b", 400, "app: expected the name" },
	{ "GET", "/v1/events?follow=yes", 400, "follow: expected no value" },
	{ "GET", "/v1/events?follow&limit=4", 400, "follow: begins with what happens" },
	{ "GET", "/v1/apps/kv/incarnations?before=5000000000", 400, "before: expected an epoch" },
	{ "GET", "/v1/apps/nope/incarnations", 404, "no application nope" },
	{ "POST", "/v1/apps/nope/stop", 404, "no application nope" },
	{ "POST", "/v1/apps/kv/dance", 404, "no such path" },
	{ "POST", "/v1/apps/kv/stop?signal=TERM", 400, "signal: no such parameter" },
	{ "POST", "/v1/apps/kv/signal?signal=NOPE", 400, "signal: expected a signal" },
	{ "POST", "/v1/apps/kv/stop?timeout=1s", 400, "timeout: means nothing without wait" },
	{ "POST", "/v1/apps/kv/stop?wait&timeout=soon", 400, "timeout: expected a time" },
	{ "POST", "/v1/apps/kv/stop?wait&timeout=0s", 400, "timeout: expected a time" },
	{ "GET", "/healthz", 200, "{\"status\":\"ok\",\"apps\":[]}\n" },
	{ "GET", "/healthz/kv", 200, "{\"status\":\"ok\",\"apps\":[]}\n" },
	{ "GET", "/healthz/nope", 404, "no application nope" },
	{ "HEAD", "/v1/stats", 200, "" },
	{ "HEAD", "/v1/events?follow", 200, "" },
};

START_TEST(each_path_has_its_answer)
{
	expect(plain[_i].method, plain[_i].target, plain[_i].status, plain[_i].part);
	ck_assert_int_eq(fake.app[0].asked, 0);
}
END_TEST

START_TEST(a_wrong_method_is_told_the_right_ones)
{
	struct call *call = ask("POST", "/healthz");

	ck_assert_int_eq(call->status, 405);
	ck_assert_str_eq(call->allow, "GET, HEAD");
	end(call);
	call = ask("GET", "/v1/reload");
	ck_assert_str_eq(call->allow, "POST");
	end(call);
	ck_assert_uint_eq(fake.reloads, 0);
}
END_TEST

static const struct { enum app_state state; long status; } health[] = {
	{ APP_STOPPED, 200 }, { APP_STARTING, 200 }, { APP_UP, 200 }, { APP_STOPPING, 200 },
	{ APP_BACKOFF, 200 }, { APP_FATAL, 503 }, { APP_HELD, 503 },
};

START_TEST(health_fails_with_what_is_fatal_or_held)
{
	fake.app[1].state = health[_i].state;
	expect("GET", "/healthz", health[_i].status,
	       health[_i].status == 200 ? "{\"status\":\"ok\",\"apps\":[]}" :
	       "{\"status\":\"failing\",\"apps\":[\"db\"]}");
	expect("GET", "/healthz/db", health[_i].status,
	       health[_i].status == 200 ? "\"ok\"" : "\"failing\"");
	expect("GET", "/healthz/kv", 200, "\"ok\"");
}
END_TEST

START_TEST(a_large_body_is_refused_and_a_small_one_ignored)
{
	struct call *call = begin("POST", "/v1/apps/kv/stop");
	static char large[BODY_MAX + 1];

	memset(large, 'x', sizeof large);
	curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, large);
	curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE, (long)sizeof large);
	drive(call);
	ck_assert_int_eq(call->status, 413);
	end(call);
	ck_assert_int_eq(fake.app[0].asked, 0);
	call = begin("POST", "/v1/apps/kv/stop");
	curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, "{}");
	drive(call);
	ck_assert_int_eq(call->status, 202);
	end(call);
}
END_TEST

/* ---- pages ---- */

START_TEST(incarnations_come_a_page_at_a_time)
{
	const struct store_incarnation rows[] = { { .epoch = 9, .code = -1, .oom = -1 },
						  { .epoch = 7, .code = 0, .oom = 1 } };
	struct call *call = begin("GET", "/v1/apps/kv/incarnations?before=10&limit=2");

	while (!fake.store.reader)
		turn();
	ck_assert_str_eq(fake.store.app, "kv");
	ck_assert_uint_eq(fake.store.before, 10);
	ck_assert_uint_eq(fake.store.limit, 2);
	fake.store.on_incarnations(0, rows, 2, STEAL(fake.store.reader));
	drive(call);
	ck_assert_int_eq(call->status, 200);
	ck_assert_ptr_nonnull(strstr(call->body, "{\"app\":\"kv\",\"incarnations\":[{\"epoch\":9,"));
	ck_assert_ptr_nonnull(strstr(call->body, "],\"next\":7}\n"));
	end(call);
}
END_TEST

START_TEST(the_last_page_has_no_next)
{
	const struct store_event rows[] = { { .number = 3, .at = 1, .event = "up" } };
	struct call *call = begin("GET", "/v1/events?app=old");

	while (!fake.store.reader)
		turn();
	ck_assert_str_eq(fake.store.app, "old");   /* need not be configured any more */
	ck_assert_uint_eq(fake.store.before, 0);
	ck_assert_uint_eq(fake.store.limit, 100);
	fake.store.on_events(0, rows, 1, STEAL(fake.store.reader));
	drive(call);
	ck_assert_ptr_nonnull(strstr(call->body, "{\"events\":[{\"number\":3,"));
	ck_assert_ptr_nonnull(strstr(call->body, "],\"next\":null}\n"));
	end(call);
}
END_TEST

START_TEST(a_store_that_cannot_answer_is_a_problem)
{
	struct call *call;

	fake.store.read_result = -EBUSY;
	expect("GET", "/v1/events", 503, "too many reads");
	fake.store.read_result = 0;
	call = begin("GET", "/v1/events");
	while (!fake.store.reader)
		turn();
	fake.store.on_events(-EIO, NULL, 0, STEAL(fake.store.reader));
	drive(call);
	ck_assert_int_eq(call->status, 500);
	ck_assert_ptr_nonnull(strstr(call->body, "Input/output error"));
	end(call);
}
END_TEST

START_TEST(a_client_that_leaves_takes_its_read_along)
{
	int fd = raw("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n");

	while (!fake.store.reader)
		turn();
	close(fd);
	while (!fake.store.cancelled)
		turn();
	ck_assert_ptr_null(fake.store.reader);
}
END_TEST

/* ---- verbs ---- */

static const struct { const char *target; enum app_verb verb; int signal; } verbs[] = {
	{ "/v1/apps/kv/start", VERB_START, SIGTERM },
	{ "/v1/apps/kv/stop", VERB_STOP, SIGTERM },
	{ "/v1/apps/kv/restart", VERB_RESTART, SIGTERM },
	{ "/v1/apps/kv/reset", VERB_RESET, SIGTERM },
	{ "/v1/apps/kv/signal", VERB_SIGNAL, SIGTERM },
	{ "/v1/apps/kv/signal?signal=HUP", VERB_SIGNAL, SIGHUP },
};

START_TEST(a_verb_is_passed_on)
{
	expect("POST", verbs[_i].target, 202, "{\"event\":41}\n");
	ck_assert_int_eq(fake.app[0].asked, 1);
	ck_assert_int_eq(fake.app[0].verb, verbs[_i].verb);
	ck_assert_int_eq(fake.app[0].signal, verbs[_i].signal);
	ck_assert_int_eq(fake.app[1].asked, 0);
}
END_TEST

static const struct { int r; long status; } refusals[] = {
	{ -EALREADY, 409 }, { -EINVAL, 409 }, { -ESRCH, 409 }, { -EPERM, 503 }, { -ENOMEM, 500 },
};

START_TEST(a_verb_that_is_refused_says_why)
{
	fake.app[0].ask_result = refusals[_i].r;
	fake.app[0].why = "it is so already";
	expect("POST", "/v1/apps/kv/start", refusals[_i].status, "\"detail\":\"it is so already\"");
	expect("POST", "/v1/apps/kv/start?wait", refusals[_i].status, "it is so already");
}
END_TEST

static void run_turns(int count)
{
	while (count--)
		turn();
}

START_TEST(a_wait_ends_when_it_has_happened)
{
	struct call *call = begin("POST", "/v1/apps/kv/restart?wait");

	fake.app[0].busy = true;
	while (!fake.app[0].asked)
		turn();
	control_app_changed(control, &fake.app[0]);   /* a change, but not the end of it */
	control_app_changed(control, &fake.app[1]);
	run_turns(5);
	ck_assert(!call->done);
	fake.app[0].busy = false;
	fake.app[0].report.epoch = 7;
	control_app_changed(control, &fake.app[0]);
	drive(call);
	ck_assert_int_eq(call->status, 200);
	ck_assert_ptr_nonnull(strstr(call->body, "{\"name\":\"kv\",\"state\":\"up\""));
	ck_assert_ptr_nonnull(strstr(call->body, "\"epoch\":7,"));
	end(call);
	expect("POST", "/v1/apps/kv/reset?wait", 200, "{\"name\":\"kv\"");   /* settled at once */
}
END_TEST

START_TEST(a_wait_has_an_end)
{
	fake.app[0].busy = true;
	expect("POST", "/v1/apps/kv/stop?wait&timeout=1ms", 504, "it is under way (event 41)");
}
END_TEST

START_TEST(a_client_that_leaves_ends_its_wait)
{
	int fd = raw("POST /v1/apps/kv/stop?wait HTTP/1.1\r\nHost: x\r\n\r\n");

	fake.app[0].busy = true;
	while (!fake.app[0].asked)
		turn();
	ck_assert_uint_eq(control->long_lived, 1);
	close(fd);
	while (control->waiting)
		turn();
	ck_assert_uint_eq(control->long_lived, 0);
	fake.app[0].busy = false;
	control_app_changed(control, &fake.app[0]);
	run_turns(3);
}
END_TEST

START_TEST(a_client_that_sent_all_it_will_is_answered)
{
	int fd = raw("POST /v1/apps/kv/stop?wait HTTP/1.1\r\nHost: x\r\n\r\n");

	shutdown(fd, SHUT_WR);
	fake.app[0].busy = true;
	while (!fake.app[0].asked)
		turn();
	run_turns(5);
	fake.app[0].busy = false;
	control_app_changed(control, &fake.app[0]);
	seen_size = 0;
	await_text(fd, "\"name\":\"kv\"");
	close(fd);
}
END_TEST

START_TEST(an_application_that_is_gone_ends_the_wait_for_it)
{
	struct call *call = begin("POST", "/v1/apps/db/stop?wait");

	fake.app[1].busy = true;
	while (!fake.app[1].asked)
		turn();
	fake.epochd.app_count = 1;
	control_reloaded(control, 0);
	drive(call);
	ck_assert_int_eq(call->status, 404);
	end(call);
}
END_TEST

START_TEST(a_reload_is_answered_when_it_is_done)
{
	struct call *call;

	expect("POST", "/v1/reload", 202, "{\"event\":42}\n");
	control_reloaded(control, 0);   /* nobody waits */
	call = begin("POST", "/v1/reload?wait");
	while (fake.reloads < 2)
		turn();
	control_app_changed(control, &fake.app[0]);
	run_turns(5);
	ck_assert(!call->done);
	control_reloaded(control, 0);
	drive(call);
	ck_assert_int_eq(call->status, 200);
	ck_assert_str_eq(call->body, "{\"event\":42}\n");
	end(call);
	call = begin("POST", "/v1/reload?wait");
	while (fake.reloads < 3)
		turn();
	control_reloaded(control, -EINVAL);
	drive(call);
	ck_assert_int_eq(call->status, 422);
	ck_assert_ptr_nonnull(strstr(call->body, "nothing was changed"));
	end(call);
	fake.reload_result = -ENOTSUP;
	expect("POST", "/v1/reload?wait", 409, "epochd run has no configuration file");
}
END_TEST

/* Its last answers: turn() would touch what is freed, so only the client is driven after that. */
static void free_and_drive(struct call *call)
{
	control_free(STEAL(control));
	drive(call);
}

START_TEST(who_keeps_is_told_why_not)
{
	expect("POST", "/v1/shutdown?keep", 202, "{\"event\":44}\n");
	ck_assert_uint_eq(fake.shutdowns, 0);
	fake.keep_result = -ENOTSUP;
	expect("POST", "/v1/shutdown?keep", 409, "the program of epochd run ends with it: nothing can be kept");
	fake.keep_result = -ECANCELED;
	expect("POST", "/v1/shutdown?keep", 409, "a shutdown is under way, and everything is being stopped");
}
END_TEST

START_TEST(a_shutdown_is_answered_at_the_end)
{
	struct call *call;

	expect("POST", "/v1/shutdown", 202, "{\"event\":43}\n");
	call = begin("POST", "/v1/shutdown?wait");
	while (fake.shutdowns < 2)
		turn();
	run_turns(5);
	ck_assert(!call->done);
	free_and_drive(call);
	ck_assert_int_eq(call->status, 200);
	ck_assert_str_eq(call->body, "{\"event\":43}\n");
	end(call);
}
END_TEST

START_TEST(at_the_end_everybody_is_told)
{
	struct call *waits = begin("POST", "/v1/apps/kv/stop?wait");
	struct call *reads = begin("GET", "/v1/events");
	struct call *follows = begin("GET", "/v1/events?follow");

	fake.app[0].busy = true;
	while (!fake.app[0].asked || !fake.store.reader || !control->followers)
		turn();
	events_post(fake.epochd.events, NULL, 0, "ending", NULL);
	control_free(STEAL(control));
	drive(waits);
	drive(reads);
	drive(follows);
	ck_assert_int_eq(waits->status, 503);
	ck_assert_int_eq(reads->status, 503);
	ck_assert_int_eq(follows->status, 200);
	ck_assert_int_eq(follows->result, CURLE_OK);   /* the last chunk has come */
	ck_assert_ptr_nonnull(strstr(follows->body, "\"event\":\"ending\""));
	end(waits);
	end(reads);
	end(follows);
}
END_TEST

/* ---- followers ---- */

START_TEST(a_follower_hears_of_events_as_they_happen)
{
	int fd = follow(FOLLOW(""));

	ck_assert_ptr_nonnull(strstr(seen, "200 OK"));
	ck_assert_ptr_nonnull(strstr(seen, "Content-Type: application/x-ndjson\r\n"));
	events_post(fake.epochd.events, "kv", 6, "down", "SIGKILL");
	await_text(fd, "\"app\":\"kv\",\"epoch\":6,\"event\":\"down\",\"reason\":\"SIGKILL\"}\n");
	events_post(fake.epochd.events, NULL, 0, "reloaded", NULL);
	await_text(fd, "\"app\":null,\"epoch\":null,\"event\":\"reloaded\",\"reason\":null}\n");
	close(fd);
	while (control->followers)
		turn();
	ck_assert_uint_eq(control->long_lived, 0);
}
END_TEST

START_TEST(a_follower_of_one_application_hears_of_no_other)
{
	int fd = follow(FOLLOW("&app=db"));

	events_post(fake.epochd.events, "kv", 6, "first", NULL);
	events_post(fake.epochd.events, NULL, 0, "second", NULL);
	events_post(fake.epochd.events, "db", 1, "third", NULL);
	await_text(fd, "third");
	ck_assert_ptr_null(strstr(seen, "first"));
	ck_assert_ptr_null(strstr(seen, "second"));
	close(fd);
}
END_TEST

START_TEST(a_slow_follower_is_cut_off_and_told)
{
	int slow = follow(FOLLOW("")), i;
	const char *last;

	for (i = 0; i < 20000; i++) {
		events_post(fake.epochd.events, "kv", 6, "up", "with a reason to take up room");
		if (i % 256 == 0)
			ev_run(loop, EVRUN_NOWAIT);
	}
	await_text(slow, "\r\n0\r\n\r\n");
	last = strstr(seen + seen_size - 512, "{\"type\":\"about:blank\"");
	ck_assert_ptr_nonnull(last);
	ck_assert_ptr_nonnull(strstr(last, "\"status\":410"));
	ck_assert_ptr_nonnull(strstr(last, "\"error\":\"this reader was too slow"));
	while (control->followers)
		turn();
	close(slow);
}
END_TEST

START_TEST(a_follower_that_keeps_up_gets_every_event)
{
	int fd = follow(FOLLOW("")), i;
	char needle[32];

	for (i = 1; i <= 5000; i++) {
		events_post(fake.epochd.events, "kv", 6, "up", NULL);
		if (i % 500 == 0) {
			snprintf(needle, sizeof needle, "\"number\":%d,", i);
			await_text(fd, needle);
		}
	}
	close(fd);
}
END_TEST

static void on_enough(EV_P_ ev_timer *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(EV_A_ EVBREAK_ALL);
}

START_TEST(whoever_waits_in_silence_wakes_nobody)
{
	int follower = follow(FOLLOW("")), waiter;
	ev_timer enough;
	unsigned before;

	fake.app[0].busy = true;
	waiter = raw("POST /v1/apps/kv/stop?wait HTTP/1.1\r\nHost: x\r\n\r\n");
	while (!fake.app[0].asked)
		turn();
	ck_assert_int_eq(send(follower, "GET", 3, 0), 3);   /* not even with this to be read */
	run_turns(5);
	ev_timer_init(&enough, on_enough, 0.2, 0.);
	ev_timer_start(loop, &enough);
	before = ev_iteration(loop);
	ev_run(loop, 0);
	ck_assert_uint_le(ev_iteration(loop) - before, 2);
	close(follower);
	close(waiter);
}
END_TEST

START_TEST(followers_leave_room_for_others)
{
	int fd[LONG_LIVED_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = follow(FOLLOW(""));
	expect("GET", "/v1/events?follow", 503, "too many requests follow or wait");
	fake.app[0].busy = true;
	expect("POST", "/v1/apps/kv/stop?wait", 503, "it is under way");
	expect("GET", "/healthz", 200, "ok");
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	while (control->long_lived)
		turn();
}
END_TEST

/* ---- who may ---- */

static char everybody[] = "*", uid33[] = "uid:33", adm[] = "group:adm";
static const struct {
	struct principal read, act;   /* text NULL: none */
	gid_t gid;
	struct peer peer;
	bool may_read, may_act;
	mode_t mode;
} access_cases[] = {
	{ .gid = -1, .peer = { 0, 0 }, .may_read = true, .may_act = true, .mode = 0600 },
	{ .gid = -1, .peer = { 1000, 1000 }, .may_read = true, .may_act = true, .mode = 0600 },
	{ .gid = -1, .peer = { 33, 33 }, .mode = 0600 },
	{ .read = { .id = 33, .text = uid33 }, .gid = -1, .peer = { 33, 33 }, .may_read = true,
	  .mode = 0666 },
	{ .read = { .id = 33, .text = uid33 }, .gid = -1, .peer = { 34, 33 }, .mode = 0666 },
	{ .read = { .is_group = true, .id = 4, .text = adm }, .gid = -1, .peer = { 34, 4 },
	  .may_read = true, .mode = 0666 },
	{ .read = { .is_group = true, .id = 4, .text = adm }, .gid = -1, .peer = { 4, 34 },
	  .mode = 0666 },
	{ .read = { .is_group = true, .id = 4, .text = adm }, .gid = -1,
	  .peer = { 34, 34, (gid_t[]){ 7, 4 }, 2 },
	  .may_read = true, .mode = 0666 },
	{ .act = { .is_group = true, .id = 4, .text = adm }, .gid = -1,
	  .peer = { 34, 34, (gid_t[]){ 7, 4 }, 2 },
	  .may_read = true, .may_act = true, .mode = 0666 },
	{ .act = { .id = 33, .text = uid33 }, .gid = -1, .peer = { 33, 33 }, .may_read = true,
	  .may_act = true, .mode = 0666 },
	{ .act = { .id = 33, .text = uid33 }, .gid = -1, .peer = { 34, 34 }, .mode = 0666 },
	{ .read = { .anyone = true, .text = everybody }, .gid = -1, .peer = { 34, 34 }, .may_read = true,
	  .mode = 0666 },
	{ .gid = 4, .peer = { 34, 4 }, .may_read = true, .mode = 0660 },
	{ .gid = 4, .peer = { 34, 34, (gid_t[]){ 4 }, 1 }, .may_read = true, .mode = 0660 },
	{ .gid = 4, .peer = { 34, 34 }, .mode = 0660 },
};

START_TEST(who_may_is_who_is_named)
{
	struct principal read = access_cases[_i].read, act = access_cases[_i].act;
	struct config config = { .control = {
		.gid = access_cases[_i].gid, .read = &read, .read_count = read.text != NULL,
		.act = &act, .act_count = act.text != NULL } };
	const struct peer *peer = &access_cases[_i].peer;

	ck_assert_int_eq(control_may(&config, peer, 1000, MAY_READ), access_cases[_i].may_read);
	ck_assert_int_eq(control_may(&config, peer, 1000, MAY_ACT), access_cases[_i].may_act);
	ck_assert_uint_eq(control_mode(&config), access_cases[_i].mode);
}
END_TEST

START_TEST(a_peer_is_known_with_all_its_groups)
{
	gid_t mine[256];
	int count = getgroups(ARRAY_SIZE(mine), mine), fd[2];
	struct peer peer;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	ck_assert_int_eq(peer_of(&peer, fd[0]), 0);
	ck_assert_uint_eq(peer.uid, getuid());
	ck_assert_uint_eq(peer.gid, getgid());
	ck_assert_int_eq((int)peer.group_count, count);
	ck_assert(count == 0 || memcmp(peer.groups, mine, (size_t)count * sizeof *mine) == 0);
	peer_deinit(&peer);
	close(fd[0]);
	close(fd[1]);
	ck_assert_int_lt(peer_of(&peer, -1), 0);
}
END_TEST

/* A stranger's request, in a process of his own. */
static long ask_as(uid_t uid, const char *request)
{
	char text[4096] = "";
	size_t used = 0;
	ssize_t size;
	pid_t pid;
	int out[2];

	ck_assert_int_eq(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
			_exit(1);
		int fd = raw(request);

		while ((size = recv(fd, text, sizeof text, 0)) > 0)
			if (write(out[1], text, (size_t)size) != size)
				_exit(2);
		_exit(0);
	}
	close(out[1]);
	while ((size = read(out[0], text + used, sizeof text - used - 1)) != 0) {
		if (size > 0)
			used += (size_t)size;
		else
			turn();
	}
	text[used] = '\0';
	close(out[0]);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	if (used < 12)
		return -1;   /* it did not get as far as an answer */
	ck_assert(strstr(text, " 403 ") == NULL || strstr(text, "may: root") != NULL);
	return strtol(text + strlen("HTTP/1.1 "), NULL, 10);
}

#define GET_HEALTH "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
#define POST_STOP "POST /v1/apps/kv/stop HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

START_TEST(a_stranger_is_told_who_may)
{
	struct principal who = { .id = 65534, .text = uid33 };

	if (getuid() != 0)
		return;   /* nobody else to ask as */
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(ask_as(65534, GET_HEALTH), 403);
	fake.config.control.read = &who;
	fake.config.control.read_count = 1;
	ck_assert_int_eq(control_reconfigure(control), 0);
	ck_assert_int_eq(ask_as(65534, GET_HEALTH), 200);
	ck_assert_int_eq(ask_as(65533, GET_HEALTH), 403);
	ck_assert_int_eq(ask_as(65534, POST_STOP), 403);
	ck_assert_int_eq(fake.app[0].asked, 0);
	fake.config.control.act = &who;
	fake.config.control.act_count = 1;
	ck_assert_int_eq(ask_as(65534, POST_STOP), 202);
	ck_assert_int_eq(fake.app[0].asked, 1);
	fake.config.control.act_count = fake.config.control.read_count = 0;
	fake.config.control.gid = 65534;
	ck_assert_int_eq(control_reconfigure(control), 0);
	ck_assert_int_eq(ask_as(65534, GET_HEALTH), 200);
	ck_assert_int_eq(ask_as(65534, POST_STOP), 403);
	ck_assert_int_eq(ask_as(65533, GET_HEALTH), -1);   /* the file's mode */
}
END_TEST

/* ---- the socket's file ---- */

START_TEST(the_file_is_private_unless_somebody_is_named)
{
	struct principal who = { .id = 1, .text = uid33 };
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	fake.config.control.read = &who;
	fake.config.control.read_count = 1;
	ck_assert_int_eq(control_reconfigure(control), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0666);
}
END_TEST

START_TEST(an_old_socket_is_replaced_and_not_unlinked_by_the_old)
{
	struct control *newer;
	struct stat st;

	ck_assert_int_eq(control_new(&newer, &fake.epochd, path), 0);
	control_free(STEAL(control));
	ck_assert_int_eq(stat(path, &st), 0);
	control = newer;
	expect("GET", "/healthz", 200, "ok");
}
END_TEST

START_TEST(a_path_that_is_too_long_is_refused)
{
	struct control *other;
	char longer[256];

	snprintf(longer, sizeof longer, "%s/%0100d", directory, 1);
	ck_assert_int_eq(control_new(&other, &fake.epochd, longer), -ENAMETOOLONG);
	snprintf(longer, sizeof longer, "%s/missing/control.sock", directory);
	ck_assert_int_eq(control_new(&other, &fake.epochd, longer), -ENOENT);
}
END_TEST

START_TEST(no_descriptor_goes_to_a_child)
{
	int follower, checked = 0;
	struct control *other;
	bool before[256];

	for (int fd = 0; fd < (int)ARRAY_SIZE(before); fd++)
		before[fd] = fcntl(fd, F_GETFD) >= 0;   /* Check's, libev's, libcurl's */
	fake.config.http_listen = address_text[0];
	snprintf(address_text[0], sizeof address_text[0], "127.0.0.1:0");
	ck_assert_int_eq(control_new(&other, &fake.epochd, path), 0);
	follower = follow(FOLLOW(""));
	for (int fd = 0; fd < (int)ARRAY_SIZE(before); fd++) {
		int flags = before[fd] ? -1 : fcntl(fd, F_GETFD);

		ck_assert_msg(flags < 0 || flags & FD_CLOEXEC, "fd %d", fd);
		checked += flags >= 0;
	}
	ck_assert_int_ge(checked, 2 * 2 + 2);   /* listeners and their epolls; a connection */
	close(follower);
	control_free(other);
}
END_TEST

/* ---- the TCP listener ---- */

static int free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static int open_http(int which)
{
	int port = free_port();

	snprintf(address_text[which], sizeof address_text[which], "127.0.0.1:%d", port);
	fake.config.http_listen = address_text[which];
	ck_assert_int_eq(control_reconfigure(control), 0);
	return port;
}

static long ask_http(int port, const char *method, const char *target)
{
	struct call *call = begin_at(port, method, target);
	long status;

	drive(call);
	status = call->result == CURLE_OK ? call->status : -1;
	end(call);
	return status;
}

static const struct { const char *method, *target; long status; } over_tcp[] = {
	{ "GET", "/metrics", 200 },
	{ "GET", "/healthz", 200 },
	{ "GET", "/healthz/kv", 200 },
	{ "GET", "/v1/stats", 200 },
	{ "HEAD", "/v1/stats", 200 },
	{ "GET", "/v1/apps/kv", 403 },
	{ "GET", "/v1/apps/kv/incarnations", 403 },
	{ "GET", "/v1/events", 403 },
	{ "GET", "/v1/events?follow", 403 },
	{ "GET", "/nothing", 403 },
	{ "POST", "/v1/apps/kv/stop", 403 },
	{ "POST", "/v1/reload", 403 },
	{ "POST", "/v1/shutdown", 403 },
	{ "POST", "/healthz", 405 },
	{ "DELETE", "/v1/stats", 405 },
};

START_TEST(over_tcp_there_is_health_metrics_and_stats_and_nothing_else)
{
	int port = open_http(0);

	ck_assert_int_eq(ask_http(port, over_tcp[_i].method, over_tcp[_i].target),
			 over_tcp[_i].status);
	ck_assert_int_eq(fake.app[0].asked, 0);
	ck_assert_uint_eq(fake.reloads + fake.shutdowns, 0);
}
END_TEST

START_TEST(the_listener_follows_the_configuration)
{
	int one = open_http(0), other;

	ck_assert_int_eq(ask_http(one, "GET", "/healthz"), 200);
	ck_assert_int_eq(control_reconfigure(control), 0);   /* the same: untouched */
	ck_assert_int_eq(ask_http(one, "GET", "/healthz"), 200);
	other = open_http(1);
	ck_assert_int_eq(ask_http(one, "GET", "/healthz"), -1);
	ck_assert_int_eq(ask_http(other, "GET", "/healthz"), 200);
	fake.config.http_listen = NULL;
	ck_assert_int_eq(control_reconfigure(control), 0);
	ck_assert_int_eq(ask_http(other, "GET", "/healthz"), -1);
	expect("GET", "/healthz", 200, "ok");
}
END_TEST

START_TEST(a_listener_that_cannot_be_had_leaves_the_old_one)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	int port = open_http(0), taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[64];

	ck_assert_int_eq(bind(taken, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(taken, 1), 0);
	ck_assert_int_eq(getsockname(taken, (struct sockaddr *)&address, &size), 0);
	snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(address.sin_port));
	fake.config.http_listen = text;
	ck_assert_int_eq(control_reconfigure(control), -EADDRINUSE);
	ck_assert_int_eq(ask_http(port, "GET", "/healthz"), 200);
	snprintf(text, sizeof text, "192.0.2.1:%d", port);   /* nobody's, on our own port */
	ck_assert_int_eq(control_reconfigure(control), -EADDRNOTAVAIL);
	ck_assert_int_eq(ask_http(port, "GET", "/healthz"), 200);
	snprintf(text, sizeof text, "0.0.0.0:%d", port);     /* in the way of itself */
	ck_assert_int_eq(control_reconfigure(control), 0);
	ck_assert_int_eq(ask_http(port, "GET", "/healthz"), 200);
	fake.config.http_listen = NULL;
	close(taken);
}
END_TEST

/* ---- against the schema, and promtool ---- */

static void save(const char *kind, const struct call *call, char *command, size_t room)
{
	static int number;
	char name[128];
	FILE *file;

	snprintf(name, sizeof name, "%s/%d.json", directory, number++);
	file = fopen(name, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(call->body, 1, call->size, file), call->size);
	ck_assert_int_eq(fclose(file), 0);
	snprintf(command + strlen(command), room - strlen(command), " %s %s", kind, name);
}

static void save_answer(const char *kind, const char *method, const char *target, char *command,
			size_t room)
{
	struct call *call = ask(method, target);

	save(kind, call, command, room);
	end(call);
}

static void remove_saved(void)
{
	char command[256];

	snprintf(command, sizeof command, "rm -f %s/*.json %s/*.txt", directory, directory);
	ck_assert_int_eq(system(command), 0);
}

static void save_page(const char *kind, const char *target, char *command, size_t room)
{
	const struct store_incarnation incarnations[] = {
		{ .epoch = 9, .pid = 5, .started_at = 1, .code = -1, .oom = -1 },
		{ .epoch = 8, .ended_at = 2, .restart = "asked", .cause = "crashed", .code = -1,
		  .signal = SIGKILL, .oom = 1, .detail = "text" },
	};
	const struct store_event events[] = {
		{ .number = 2, .at = 1, .app = "kv", .epoch = 1, .event = "up" },
		{ .number = 1, .at = 1, .event = "started", .reason = "text" },
	};
	struct call *call = begin("GET", target);

	while (!fake.store.reader)
		turn();
	if (strstr(target, "incarnations"))
		fake.store.on_incarnations(0, incarnations, 2, STEAL(fake.store.reader));
	else
		fake.store.on_events(0, events, 2, STEAL(fake.store.reader));
	drive(call);
	save(kind, call, command, room);
	end(call);
}

/* A line of a stream, made into a call's answer. */
static void save_line(const char *kind, const char *line, char *command, size_t room)
{
	struct call *call = calloc(1, sizeof *call);

	call->size = strcspn(line, "\n");
	memcpy(call->body, line, call->size);
	save(kind, call, command, room);
	free(call);
}

START_TEST(every_answer_holds_against_the_schema)
{
	const char *source = getenv("EPOCHD_SOURCE");
	char command[4096];
	int fd, status;

	if (!source || access("/usr/bin/python3", X_OK) < 0)
		return;
	snprintf(command, sizeof command, "/usr/bin/python3 '%s/tests/unit/hold_answers.py' "
		 "'%s/contrib/schema/epochd-v1.schema.json'", source, source);
#define SAVE(kind, method, target) save_answer(kind, method, target, command, sizeof command)
	fake.epochd.warnings[0] = (struct report_warning){ "store_unwritable", 1, "text" };
	fake.epochd.warning_count = 1;
	fake.app[0].report.has_ended = true;
	fake.app[0].report.last_exit = (struct store_incarnation){
		.epoch = 5, .ended_at = 1, .cause = "exited", .code = 3, .oom = 0 };
	SAVE("stats", "GET", "/v1/stats");
	SAVE("app", "GET", "/v1/apps/kv");
	SAVE("app", "GET", "/v1/apps/db");
	SAVE("app", "POST", "/v1/apps/db/restart?wait");
	SAVE("accepted", "POST", "/v1/apps/db/restart");
	SAVE("accepted", "POST", "/v1/reload");
	SAVE("health", "GET", "/healthz");
	SAVE("problem", "GET", "/v1/apps/nope");
	SAVE("problem", "GET", "/v1/events?limit=x");
	save_page("incarnations", "/v1/apps/kv/incarnations?limit=2", command, sizeof command);
	save_page("incarnations", "/v1/apps/kv/incarnations", command, sizeof command);
	save_page("events", "/v1/events?limit=2", command, sizeof command);
	fd = follow(FOLLOW(""));
	events_post(fake.epochd.events, "kv", 6, "down", "why");
	await_text(fd, "}\n");
	save_line("event", strstr(seen, "{\"number\""), command, sizeof command);
	for (int i = 0; i <= EVENTS_KEPT; i++)
		events_post(fake.epochd.events, "kv", 6, "down", "why");
	await_text(fd, "\"error\"");
	await_text(fd, "0\r\n\r\n");
	save_line("problem", strstr(seen, "{\"type\""), command, sizeof command);
	close(fd);
	status = system(command);
	remove_saved();
	ck_assert(WIFEXITED(status));
	ck_assert_msg(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77, "see above");
}
END_TEST

static char *metrics_as(const char *accept)
{
	struct call *call = begin("GET", "/metrics");
	struct curl_slist *headers = accept ? curl_slist_append(NULL, accept) : NULL;
	char *text;

	curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, headers);
	drive(call);
	ck_assert_int_eq(call->status, 200);
	ck_assert_str_eq(call->type, accept ?
			 "application/openmetrics-text; version=1.0.0; charset=utf-8" :
			 "text/plain; version=0.0.4; charset=utf-8");
	text = strdup(call->body);
	curl_slist_free_all(headers);
	end(call);
	return text;
}

static const char *const in_text[] = {
	"# TYPE epochd_build_info gauge\nepochd_build_info{version=\"",
	"# TYPE epochd_start_time_seconds gauge\nepochd_start_time_seconds 1763842320.123\n",
	"# TYPE epochd_app_up gauge\nepochd_app_up{app=\"kv\"} 1\nepochd_app_up{app=\"db\"} 0\n",
	"# HELP epochd_app_restarts_total ",
	"# TYPE epochd_app_restarts_total counter\nepochd_app_restarts_total{app=\"kv\",",
	"\nepochd_app_restarts_total{app=\"kv\",cause=\"crashed\"} 5\n",
	"\nepochd_app_restarts_total{app=\"kv\",cause=\"exited\"} 0\n",
	"\nepochd_app_epoch{app=\"kv\"} 6\n",
	"\nepochd_app_reclaimed_messages_total{app=\"kv\"} 17\n",
	"\nepochd_app_clients{app=\"kv\"} 3\n",
	"\nepochd_app_state{app=\"db\",state=\"fatal\"} 1\n",
	"\nepochd_app_state{app=\"db\",state=\"up\"} 0\n",
	"\nepochd_store_writable 0\n",
	"{app=\"odd\\\"\\\\\\n\"}",
};
static const char *const in_openmetrics[] = {
	"# TYPE epochd_build info\nepochd_build_info{version=\"",
	"# TYPE epochd_app_restarts counter\nepochd_app_restarts_total{app=\"kv\",cause=\"crashed\"} 5",
	"# TYPE epochd_app_reclaimed_messages counter\nepochd_app_reclaimed_messages_total{",
};

static void expect_parts(const char *text, const char *const *parts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(strstr(text, parts[i]), "no %s in %s", parts[i], text);
	ck_assert_str_eq(text + strlen(text) - strlen("\n# EOF\n"), "\n# EOF\n");
}

START_TEST(metrics_tell_the_numbers_in_both_formats)
{
	static char odd[] = "odd\"\\\n";
	char *text;

	fake.epochd.app_count = 3;
	fake.app[2] = fake.app[1];
	fake.app[2].config.name = odd;
	fake.app[1].state = APP_FATAL;
	fake.app[0].report.totals[STORE_TOTAL_reclaimed_messages] = 17;
	fake.app[0].report.clients_connected = 3;
	fake.store.health.writable = false;
	text = metrics_as(NULL);
	expect_parts(text, in_text, ARRAY_SIZE(in_text));
	free(text);
	text = metrics_as("Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
	expect_parts(text, in_openmetrics, ARRAY_SIZE(in_openmetrics));
	free(text);
}
END_TEST

START_TEST(promtool_is_content)
{
	char command[256], *text;
	FILE *file;
	int status;

	if (system("command -v promtool >/dev/null 2>&1") != 0)
		return;
	text = metrics_as(NULL);
	snprintf(command, sizeof command, "%s/metrics.txt", directory);
	file = fopen(command, "we");
	fputs(text, file);
	fclose(file);
	free(text);
	snprintf(command, sizeof command, "promtool check metrics <%s/metrics.txt", directory);
	status = system(command);
	remove_saved();
	ck_assert_int_eq(status, 0);
}
END_TEST

/* What came while it was full is looked at, and whoever comes afterwards: no run of its makes it deaf. */
START_TEST(a_full_house_that_leaves_is_followed_by_others)
{
	int fd[2 * CONNECTIONS_MAX];

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
			fd[i] = raw("GET /v1/st");
			if (i % 16 == 0)
				turn();
		}
		for (int i = 0; i < 100; i++)
			turn();
		for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
			close(fd[i]);
		expect("GET", "/v1/stats", 200, "\"kv\"");
	}
}
END_TEST

/* A byte now and then holds no connection for ever, neither before the end of a request nor after an answer. */
START_TEST(who_trickles_is_cut_off)
{
	static const char *const begin_with[] = {
		"GET /v1/st", "GET /v1/stats HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/st",
		"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n"
	};
	int fd[CONNECTIONS_MAX];
	struct call *call;

	control->local->patience = NS_PER_S / 5;
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = raw(begin_with[_i]);
		turn();
	}
	for (long status = 0; status != 200;) {   /* where all is slow, it can be cut off itself */
		call = begin("GET", "/v1/stats");
		while (!call->done) {
			turn();
			for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
				(void)!send(fd[i], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		}
		status = call->status;
		end(call);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
}
END_TEST

START_TEST(who_waits_or_follows_is_not_cut_off)
{
	struct call *follower = begin("GET", "/v1/events?follow"), *wait = begin("POST", "/v1/reload?wait");
	const struct connection *connection;

	while (!control->followers || !fake.reloads)
		turn();
	connection = control->local->connections;
	ck_assert(connection && connection->next && !connection->next->next);
	for (; connection; connection = connection->next)
		ck_assert_int_eq(connection->due_at, 0);   /* there is no such time */
	control_reloaded(control, 0);
	drive(wait);
	ck_assert_int_eq((int)wait->status, 200);
	end(wait);
	ck_assert(!follower->done);
	end(follower);
}
END_TEST

static void as_guests(int out)
{
	int fd[CONNECTIONS_MAX];

	if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
		_exit(1);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = raw("GET /v1/st");
	(void)!write(out, "x", 1);
	pause();
	_exit((int)fd[0]);
}

START_TEST(guests_leave_room_for_those_who_may_act)
{
	struct principal who = { .id = 65534, .text = uid33 };
	int out[2];
	char byte;
	pid_t pid;

	if (getuid() != 0)
		return;   /* nobody else to ask as */
	fake.config.control.read = &who;
	fake.config.control.read_count = 1;
	ck_assert_int_eq(control_reconfigure(control), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	pid = fork();
	if (pid == 0)
		as_guests(out[1]);
	while (read(out[0], &byte, 1) != 1)
		turn();
	expect("GET", "/v1/stats", 200, "\"kv\"");
	ck_assert_uint_eq(control->local->guests, GUESTS_MAX);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	while (control->local->guests)
		turn();
	close(out[0]);
	close(out[1]);
	fake.config.control.read_count = 0;
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, who_trickles_is_cut_off, 0, 3);
	tcase_add_test(tcase, who_waits_or_follows_is_not_cut_off);
	tcase_add_test(tcase, guests_leave_room_for_those_who_may_act);
	tcase_add_test(tcase, stats_have_every_application);
	tcase_add_test(tcase, stats_of_nothing_are_stats);
	tcase_add_loop_test(tcase, each_path_has_its_answer, 0, ARRAY_SIZE(plain));
	tcase_add_test(tcase, a_wrong_method_is_told_the_right_ones);
	tcase_add_loop_test(tcase, health_fails_with_what_is_fatal_or_held, 0, ARRAY_SIZE(health));
	tcase_add_test(tcase, a_large_body_is_refused_and_a_small_one_ignored);
	tcase_add_test(tcase, incarnations_come_a_page_at_a_time);
	tcase_add_test(tcase, the_last_page_has_no_next);
	tcase_add_test(tcase, a_store_that_cannot_answer_is_a_problem);
	tcase_add_test(tcase, a_client_that_leaves_takes_its_read_along);
	tcase_add_loop_test(tcase, a_verb_is_passed_on, 0, ARRAY_SIZE(verbs));
	tcase_add_loop_test(tcase, a_verb_that_is_refused_says_why, 0, ARRAY_SIZE(refusals));
	tcase_add_test(tcase, a_wait_ends_when_it_has_happened);
	tcase_add_test(tcase, a_wait_has_an_end);
	tcase_add_test(tcase, a_client_that_leaves_ends_its_wait);
	tcase_add_test(tcase, a_client_that_sent_all_it_will_is_answered);
	tcase_add_test(tcase, an_application_that_is_gone_ends_the_wait_for_it);
	tcase_add_test(tcase, a_reload_is_answered_when_it_is_done);
	tcase_add_test(tcase, who_keeps_is_told_why_not);
	tcase_add_test(tcase, a_shutdown_is_answered_at_the_end);
	tcase_add_test(tcase, at_the_end_everybody_is_told);
	tcase_add_test(tcase, a_follower_hears_of_events_as_they_happen);
	tcase_add_test(tcase, a_follower_of_one_application_hears_of_no_other);
	tcase_add_test(tcase, a_slow_follower_is_cut_off_and_told);
	tcase_add_test(tcase, a_follower_that_keeps_up_gets_every_event);
	tcase_add_test(tcase, whoever_waits_in_silence_wakes_nobody);
	tcase_add_test(tcase, followers_leave_room_for_others);
	tcase_add_test(tcase, a_full_house_that_leaves_is_followed_by_others);
	tcase_add_loop_test(tcase, who_may_is_who_is_named, 0, ARRAY_SIZE(access_cases));
	tcase_add_test(tcase, a_peer_is_known_with_all_its_groups);
	tcase_add_test(tcase, a_stranger_is_told_who_may);
	tcase_add_test(tcase, the_file_is_private_unless_somebody_is_named);
	tcase_add_test(tcase, an_old_socket_is_replaced_and_not_unlinked_by_the_old);
	tcase_add_test(tcase, a_path_that_is_too_long_is_refused);
	tcase_add_test(tcase, no_descriptor_goes_to_a_child);
	tcase_add_loop_test(tcase, over_tcp_there_is_health_metrics_and_stats_and_nothing_else, 0,
			    ARRAY_SIZE(over_tcp));
	tcase_add_test(tcase, the_listener_follows_the_configuration);
	tcase_add_test(tcase, a_listener_that_cannot_be_had_leaves_the_old_one);
	tcase_add_test(tcase, every_answer_holds_against_the_schema);
	tcase_add_test(tcase, metrics_tell_the_numbers_in_both_formats);
	tcase_add_test(tcase, promtool_is_content);
}

int main(void)
{
	return unit_run("control", fill);
}
