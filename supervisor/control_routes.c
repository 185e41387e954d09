/* What each path does. */
#include <config.h>

#include "supervisor/control_request.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apilib/trace.h"
#include "store/store.h"
#include "supervisor/app.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/freep.h"
#include "supervisor/latency.h"
#include "supervisor/messages.h"
#include "supervisor/metrics.h"
#include "supervisor/report.h"
#include "supervisor/traces.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 1000 };

struct route {
	const char *path;          /* "*" stands for an application's name, a second one for a handle */
	void (*answer)(struct request *request);
	unsigned queries;          /* that make sense here */
	bool post;                 /* otherwise GET and HEAD */
	bool on_tcp;
	bool acts;                 /* for those who may act, though it is a GET */
};

static struct epochd *epochd_of(const struct request *request)
{
	return request->parked.listener->control->epochd;
}

/* ---- documents ---- */

static json_t *app_json(const struct app *app)
{
	struct report_app report = { 0 };

	app_report(app, &report);
	return report_app_json(&report);
}

/* A text that grows. */
struct text {
	char *bytes;
	size_t size, room;
};

/* json_dump_callback_t. */
static int append(const char *bytes, size_t size, void *user)
{
	struct text *text = user;

	if (text->room - text->size < size) {
		size_t room = 2 * text->room + size + 4096;
		char *larger = realloc(text->bytes, room);

		if (!larger)
			return -1;
		text->bytes = larger;
		text->room = room;
	}
	memcpy(text->bytes + text->size, bytes, size);
	text->size += size;
	return 0;
}

static int append_apps(struct text *text, const struct epochd *epochd)
{
	for (size_t i = 0; i < epochd->app_count; i++) {
		json_auto_t *app = app_json(epochd->apps[i]);

		if (!app || (i && append(",", 1, text) < 0) ||
		    json_dump_callback(app, append, text, REPORT_JSON_FLAGS) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Each application is written and dropped before the next is made: with a thousand of them, one tree
 * of all takes twice as long (memory is touched three times), and the loop stands still meanwhile. */
static int append_stats(struct text *text, const struct report_supervisor *supervisor,
			const struct epochd *epochd)
{
	json_auto_t *stats = report_stats_json(supervisor, json_array());
	static const char empty[] = "[]}";

	if (!stats || json_dump_callback(stats, append, text, REPORT_JSON_FLAGS) < 0)
		return -ENOMEM;
	text->size -= strlen(empty);   /* "apps" is the last of the contract */
	assert(memcmp(text->bytes + text->size, empty, strlen(empty)) == 0);
	text->size++;
	if (append_apps(text, epochd) < 0 || append("]}\n", 3, text) < 0)
		return -ENOMEM;
	return 0;
}

static void get_stats(struct request *request)
{
	const struct epochd *epochd = epochd_of(request);
	struct report_supervisor supervisor = {
		.instance = epochd->config->instance, .uuid = epochd->uuid,
		.boot_id = epochd->boot_id, .pid = getpid(), .version = PACKAGE_VERSION,
		.started_at = epochd->started_at, .runs = epochd->runs,
		.unclean_runs = epochd->unclean_runs,
		.segments_cleaned = epochd->segments_cleaned,
		.warnings = epochd->warnings, .warning_count = epochd->warning_count,
		.refusals = &epochd->refusals,
	};
	struct text text = { 0 };

	if (append_stats(&text, &supervisor, epochd) < 0)
		free(STEAL(text.bytes));
	answer_text(request, MHD_HTTP_OK, "application/json", text.bytes, text.size);
}

static void unknown_app(struct request *request)
{
	const struct epochd *epochd = epochd_of(request);
	char some[512] = "";
	size_t used = 0, i;

	/* A name has 63 bytes at most. */
	for (i = 0; i < epochd->app_count && used + 80 < sizeof some; i++)
		used += (size_t)snprintf(some + used, sizeof some - used, "%s%s", i ? ", " : "",
					 app_name(epochd->apps[i]));
	answer_problem(request, MHD_HTTP_NOT_FOUND, "there is no application %s; %s%s%s",
		       request->name, i ? "there are: " : "none is configured", some,
		       i < epochd->app_count ? ", and more" : "");
}

/* The application in the path, or NULL and the request is answered. */
struct app *app_of(struct request *request)
{
	struct app *app = epochd_app(epochd_of(request), request->name);

	if (!app)
		unknown_app(request);
	return app;
}

static void get_app(struct request *request)
{
	const struct app *app = app_of(request);
	json_t *json;

	if (!app)
		return;
	json = app_json(app);
	if (json && json_object_set_new(json, "config", report_config_json(app_config(app))) < 0) {
		json_decref(json);
		json = NULL;
	}
	answer_json(request, MHD_HTTP_OK, json);
}

static void get_messages(struct request *request)
{
	const struct app *app = app_of(request);

	if (app)
		answer_json(request, MHD_HTTP_OK, messages_json(app));
}

static void get_latency(struct request *request)
{
	const struct app *app = app_of(request);

	if (app)
		answer_json(request, MHD_HTTP_OK, latency_json(app));
}

/* ---- pages, read by the store's own thread ---- */

static void store_failed(struct request *request, int r)
{
	if (r == -EBUSY)
		answer_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "too many reads wait for the disk already: try again later");
	else if (r == -EUCLEAN)
		answer_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "the database is corrupt and is being rebuilt: try again later");
	else
		answer_problem(request, MHD_HTTP_INTERNAL_SERVER_ERROR,
			       "the database cannot be read: %s", strerror(-r));
}

static unsigned limit_of(const struct request *request)
{
	return request->query.given & QUERY_LIMIT ? request->query.limit : LIMIT_DEFAULT;
}

/* What to ask for as ?before= to get the page after this one; null at the end. */
static json_t *next_json(const struct request *request, uint64_t last, size_t count)
{
	return count == limit_of(request) && last > 1 ? json_integer((json_int_t)last) : json_null();
}

static json_t *incarnations_json(const struct request *request, const struct store_incarnation *rows, size_t count)
{
	json_auto_t *array = json_array();

	for (size_t i = 0; array && i < count; i++) {
		CLEANUP(freep) char *trace = traces_path(epochd_of(request)->traces, request->name, rows[i].epoch);

		if (json_array_append_new(array, report_incarnation_json(&rows[i], trace)) < 0)
			return NULL;
	}
	return json_incref(array);
}

static void on_incarnations(int r, const struct store_incarnation *rows, size_t count, void *user)
{
	struct request *request = user;

	if (r < 0)
		store_failed(request, r);
	else
		answer_json(request, MHD_HTTP_OK,
			    json_pack("{s:s, s:o, s:o}",
				      "app", request->name,
				      "incarnations", incarnations_json(request, rows, count),
				      "next", next_json(request, count ? rows[count - 1].epoch : 0,
							count)));
	unpark(&request->parked);
}

static json_t *events_json(const struct store_event *rows, size_t count)
{
	json_auto_t *array = json_array();

	for (size_t i = 0; array && i < count; i++)
		if (json_array_append_new(array, report_event_json(&rows[i])) < 0)
			return NULL;
	return json_incref(array);
}

static void on_events(int r, const struct store_event *rows, size_t count, void *user)
{
	struct request *request = user;

	if (r < 0)
		store_failed(request, r);
	else
		answer_json(request, MHD_HTTP_OK,
			    json_pack("{s:o, s:o}",
				      "events", events_json(rows, count),
				      "next", next_json(request, count ? rows[count - 1].number : 0,
							count)));
	unpark(&request->parked);
}

static void await_store(struct request *request, int r)
{
	if (r < 0)
		store_failed(request, r);
	else if (!request->response)
		request_wait(request, FOR_STORE);
}

static void get_incarnations(struct request *request)
{
	const struct query *query = &request->query;

	if (!app_of(request))
		return;
	if (query->given & QUERY_BEFORE && query->before > UINT32_MAX) {
		answer_problem(request, MHD_HTTP_BAD_REQUEST,
			       "before: expected an epoch, not %" PRIu64, query->before);
		return;
	}
	await_store(request, store_read_incarnations(epochd_of(request)->store, request->name,
						     (uint32_t)query->before, limit_of(request),
						     on_incarnations, request));
}

static void get_events(struct request *request)
{
	const struct query *query = &request->query;

	if (!(query->given & QUERY_FOLLOW))
		await_store(request, store_read_events(epochd_of(request)->store, query->app,
						       query->before, limit_of(request),
						       on_events, request));
	else if (query->given & (QUERY_BEFORE | QUERY_LIMIT))
		answer_problem(request, MHD_HTTP_BAD_REQUEST,
			       "follow: begins with what happens from now on, and takes neither "
			       "before nor limit");
	else
		follow_events(request);
}

/* ---- for machines that watch ---- */

static void get_metrics(struct request *request)
{
	const char *accept = MHD_lookup_connection_value(request->parked.connection,
							 MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	enum metrics_format format = metrics_negotiate(accept);
	size_t size = 0;
	char *text = metrics_text(epochd_of(request), format, &size);

	answer_text(request, MHD_HTTP_OK, metrics_content_type(format), text, size);
}

static bool is_well(const struct app *app)
{
	return app_state(app) != APP_FATAL && app_state(app) != APP_HELD;
}

static void answer_health(struct request *request, json_t *failing /* stolen */)
{
	bool well = failing && json_array_size(failing) == 0;

	answer_json(request, well ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
		    json_pack("{s:s, s:o}", "status", well ? "ok" : "failing", "apps", failing));
}

static void get_health(struct request *request)
{
	const struct epochd *epochd = epochd_of(request);
	json_t *failing = json_array();

	for (size_t i = 0; failing && i < epochd->app_count; i++)
		if (!is_well(epochd->apps[i]))
			json_array_append_new(failing, json_string(app_name(epochd->apps[i])));
	answer_health(request, failing);
}

static void get_app_health(struct request *request)
{
	const struct app *app = app_of(request);
	json_t *failing;

	if (!app)
		return;
	failing = json_array();
	if (failing && !is_well(app))
		json_array_append_new(failing, json_string(app_name(app)));
	answer_health(request, failing);
}

/* ---- verbs ---- */

static void answer_event(struct request *request, unsigned status)
{
	answer_json(request, status, json_pack("{s:I}", "event", (json_int_t)request->event));
}

void route_settled(struct request *request)
{
	const struct app *app = epochd_app(epochd_of(request), request->name);

	if (!app) {
		answer_problem(request, MHD_HTTP_NOT_FOUND,
			       "application %s is not configured any more", request->name);
		unpark(&request->parked);
	} else if (app_is_settled(app)) {
		answer_json(request, MHD_HTTP_OK, app_json(app));
		unpark(&request->parked);
	}
}

static void refuse(struct request *request, int r, const char *why)
{
	unsigned status = r == -EALREADY || r == -EINVAL || r == -ESRCH || r == -ENOTSUP ||
					  r == -ECANCELED ? MHD_HTTP_CONFLICT :
			  r == -EPERM ? MHD_HTTP_SERVICE_UNAVAILABLE :
			  MHD_HTTP_INTERNAL_SERVER_ERROR;

	answer_problem(request, status, "%s", why ? why : strerror(-r));
}

static void ask(struct request *request, enum app_verb verb)
{
	struct app *app = app_of(request);
	int sig = request->query.given & QUERY_SIGNAL ? request->query.signal : SIGTERM;
	const char *why = NULL;
	int r;

	if (!app)
		return;
	r = app_ask(app, verb, sig, &request->event, &why);
	if (r < 0)
		refuse(request, r, why);
	else if (!(request->query.given & QUERY_WAIT))
		answer_event(request, MHD_HTTP_ACCEPTED);
	else if (app_is_settled(app))
		answer_json(request, MHD_HTTP_OK, app_json(app));
	else
		request_wait(request, FOR_APP);
}

static void post_start(struct request *request) { ask(request, VERB_START); }
static void post_stop(struct request *request) { ask(request, VERB_STOP); }
static void post_restart(struct request *request) { ask(request, VERB_RESTART); }
static void post_reset(struct request *request) { ask(request, VERB_RESET); }
static void post_signal(struct request *request) { ask(request, VERB_SIGNAL); }

static void post_reload(struct request *request)
{
	int r = epochd_reload(epochd_of(request), &request->event);

	if (r < 0)
		refuse(request, r,
		       r == -ENOTSUP ? "epochd run has no configuration file to read again" : NULL);
	else if (request->query.given & QUERY_WAIT)
		request_wait(request, FOR_RELOAD);
	else
		answer_event(request, MHD_HTTP_ACCEPTED);
}

static void post_shutdown(struct request *request)
{
	int r = 0;

	if (request->query.given & QUERY_KEEP)
		r = epochd_keep(epochd_of(request), &request->event);
	else
		epochd_shutdown(epochd_of(request), &request->event);
	if (r == -ENOTSUP)
		refuse(request, r, "the program of epochd run ends with it: nothing can be kept");
	else if (r < 0)
		refuse(request, r, "a shutdown is under way, and everything is being stopped");
	else if (request->query.given & QUERY_WAIT)
		request_wait(request, FOR_SHUTDOWN);
	else
		answer_event(request, MHD_HTTP_ACCEPTED);
}

/* ---- the table ---- */

#define WAITS (QUERY_WAIT | QUERY_TIMEOUT)

static const struct route routes[] = {
	{ "/v1/stats", get_stats, 0, .on_tcp = true },
	{ "/v1/apps/*", get_app, 0 },
	{ "/v1/apps/*/incarnations", get_incarnations, QUERY_BEFORE | QUERY_LIMIT },
	{ "/v1/apps/*/clients", get_clients, 0 },
	{ "/v1/apps/*/rings", get_rings, 0 },
	{ "/v1/apps/*/messages", get_messages, 0 },
	{ "/v1/apps/*/latency", get_latency, 0 },
	{ "/v1/config", get_config, 0 },
	{ "/v1/apps/*/config", get_app_config, 0 },
	{ "/v1/apps/*/trace", get_trace, 0 },
	{ "/v1/apps/*/trace/file", get_trace_file, 0, .acts = true },
	{ "/v1/apps/*/trace/on", post_trace_on, QUERY_SIZE | QUERY_MESSAGES | QUERY_FIRST, .post = true },
	{ "/v1/apps/*/trace/off", post_trace_off, 0, .post = true },
	{ "/v1/apps/*/handles/*", get_handle, 0 },
	{ "/v1/apps/*/handles/*/kick", post_kick, 0, .post = true },
	{ "/v1/events", get_events, QUERY_BEFORE | QUERY_LIMIT | QUERY_APP | QUERY_FOLLOW },
	{ "/metrics", get_metrics, 0, .on_tcp = true },
	{ "/healthz", get_health, 0, .on_tcp = true },
	{ "/healthz/*", get_app_health, 0, .on_tcp = true },
	{ "/v1/apps/*/start", post_start, WAITS, .post = true },
	{ "/v1/apps/*/stop", post_stop, WAITS, .post = true },
	{ "/v1/apps/*/restart", post_restart, WAITS, .post = true },
	{ "/v1/apps/*/reset", post_reset, WAITS, .post = true },
	{ "/v1/apps/*/signal", post_signal, WAITS | QUERY_SIGNAL, .post = true },
	{ "/v1/reload", post_reload, WAITS, .post = true },
	{ "/v1/shutdown", post_shutdown, WAITS | QUERY_KEEP, .post = true },
};

/* Whether the path is this pattern's, and if so what stands for each "*". */
static bool matches(const char *pattern, const char *path, char *const word[static 2], size_t size)
{
	size_t before = strcspn(pattern, "*"), length;

	if (!pattern[before])
		return strcmp(pattern, path) == 0;
	if (strncmp(pattern, path, before) != 0)
		return false;
	length = strcspn(path + before, "/");
	if (length == 0 || !matches(pattern + before + 1, path + before + length,
				    (char *const[]){ word[1], word[1] }, size))
		return false;
	snprintf(word[0], size, "%.*s", (int)(length < size ? length : size - 1), path + before);
	return true;
}

/* ---- what stands behind the question mark ---- */

static bool parse_count(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
	unsigned long long value;
	char *end;

	if (!text || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	*out = value;
	return !errno && !*end && value >= least && value <= most;
}

static bool parse_before(struct query *query, const char *text)
{
	return parse_count(text, 1, INT64_MAX, &query->before);
}

static bool parse_limit(struct query *query, const char *text)
{
	uint64_t limit;

	if (!parse_count(text, 1, LIMIT_MAX, &limit))
		return false;
	query->limit = (unsigned)limit;
	return true;
}

static bool parse_app(struct query *query, const char *text)
{
	query->app = text;
	return text && config_name_is_good(text);
}

static bool parse_flag(struct query *query, const char *text)
{
	(void)query;
	return !text || !*text;
}

static bool parse_timeout(struct query *query, const char *text)
{
	return text && config_parse_time(text, &query->timeout) == 0 && query->timeout > 0;
}

static bool parse_signal(struct query *query, const char *text)
{
	return text && config_parse_signal(text, &query->signal) == 0;
}

static bool parse_bytes(struct query *query, const char *text)
{
	return text && config_parse_size(text, &query->size) == 0 && query->size >= EP_TRACE_RING_MIN &&
	       query->size <= EP_TRACE_RING_MAX;
}

static bool parse_messages(struct query *query, const char *text)
{
	return parse_count(text, 1, 1000000000, &query->messages);
}

static const struct {
	const char *name;
	enum query_key key;
	bool (*parse)(struct query *query, const char *text);
	const char *expected;
} keys[] = {
	{ "before", QUERY_BEFORE, parse_before, "a number above 0" },
	{ "limit", QUERY_LIMIT, parse_limit, "a number from 1 to 1000" },
	{ "app", QUERY_APP, parse_app, "the name of an application" },
	{ "follow", QUERY_FOLLOW, parse_flag, "no value" },
	{ "wait", QUERY_WAIT, parse_flag, "no value" },
	{ "timeout", QUERY_TIMEOUT, parse_timeout, "a time such as 250ms or 10s" },
	{ "keep", QUERY_KEEP, parse_flag, "no value" },
	{ "size", QUERY_SIZE, parse_bytes, "a size from 64K to 64M" },
	{ "messages", QUERY_MESSAGES, parse_messages, "a number from 1 to 1000000000" },
	{ "first", QUERY_FIRST, parse_flag, "no value" },
	{ "signal", QUERY_SIGNAL, parse_signal, "a signal such as TERM" },
};

struct query_check {
	struct request *request;
	const struct route *route;
	bool bad;
};

/* MHD_KeyValueIterator. A mistyped word must not be taken for its absence: it is refused. */
static enum MHD_Result check_key(void *cls, enum MHD_ValueKind kind, const char *key,
				 const char *value)
{
	struct query_check *check = cls;
	struct query *query = &check->request->query;

	(void)kind;
	check->bad = true;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].name, key) != 0 || !(check->route->queries & keys[i].key))
			continue;
		if (query->given & keys[i].key) {
			answer_problem(check->request, MHD_HTTP_BAD_REQUEST, "%s: given twice", key);
			return MHD_NO;
		}
		if (!keys[i].parse(query, value)) {
			answer_problem(check->request, MHD_HTTP_BAD_REQUEST, "%s: expected %s%s%s",
				       key, keys[i].expected, value ? ", not " : "",
				       value ? value : "");
			return MHD_NO;
		}
		query->given |= keys[i].key;
		check->bad = false;
		return MHD_YES;
	}
	answer_problem(check->request, MHD_HTTP_BAD_REQUEST,
		       "%s: no such parameter of this path; see epochd-api(7)", key);
	return MHD_NO;
}

static bool query_is_good(struct request *request, const struct route *route)
{
	struct query_check check = { .request = request, .route = route };

	MHD_get_connection_values(request->parked.connection, MHD_GET_ARGUMENT_KIND, check_key,
				  &check);
	if (!check.bad && request->query.given & QUERY_TIMEOUT &&
	    !(request->query.given & QUERY_WAIT)) {
		answer_problem(request, MHD_HTTP_BAD_REQUEST, "timeout: means nothing without wait");
		return false;
	}
	return !check.bad;
}

/* ---- from a request to its route ---- */

static bool is_get(const char *method)
{
	return strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
	       strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

static void wrong_method(struct request *request, const char *allow)
{
	answer_problem(request, MHD_HTTP_METHOD_NOT_ALLOWED, "%s does not go here: %s",
		       request->method, allow);
	answer_header(request, MHD_HTTP_HEADER_ALLOW, allow);
}

/* true: may go on. */
static bool is_permitted(struct request *request, bool post)
{
	const struct epochd *epochd = epochd_of(request);
	enum control_right right = post ? MAY_ACT : MAY_READ;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->parked.connection,
					MHD_CONNECTION_INFO_CONNECTION_FD);
	struct peer peer = { 0 };
	char *who;
	bool may;
	int r = info ? peer_of(&peer, info->connect_fd) : -EBADF;

	may = r == 0 && control_may(epochd->config, &peer, geteuid(), right);
	if (may) {
		peer_deinit(&peer);
		return true;
	}
	who = control_who(epochd->config, geteuid(), right);
	if (r < 0)
		answer_problem(request, MHD_HTTP_FORBIDDEN, "who asks cannot be seen: %s",
			       strerror(-r));
	else
		answer_problem(request, MHD_HTTP_FORBIDDEN, "uid %u may not %s here; may: %s",
			       (unsigned)peer.uid, right == MAY_ACT ? "act" : "read",
			       who ? who : "?");
	answer_header(request, MHD_HTTP_HEADER_CONNECTION, "close");
	free(who);
	peer_deinit(&peer);
	return false;
}

void route_request(struct request *request)
{
	bool get = is_get(request->method), tcp = request->parked.listener->tcp;
	bool post = strcmp(request->method, MHD_HTTP_METHOD_POST) == 0;
	char *const words[2] = { request->name, request->second };
	const struct route *route = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(routes) && !route; i++)
		if (matches(routes[i].path, request->path, words, sizeof request->name))
			route = &routes[i];
	if (!tcp && !is_permitted(request, !get || (route && route->acts)))
		return;
	if (tcp && !(route && route->on_tcp))
		answer_problem(request, MHD_HTTP_FORBIDDEN,
			       "only /metrics, /healthz and /v1/stats are answered here; all else "
			       "is asked on control.sock");
	else if (!route)
		answer_problem(request, MHD_HTTP_NOT_FOUND,
			       "there is no such path; see epochd-api(7)");
	else if (route->post ? !post : !get)
		wrong_method(request, route->post ? "POST" : "GET, HEAD");
	else if (query_is_good(request, route))
		route->answer(request);
}
