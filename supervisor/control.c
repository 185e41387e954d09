#include <config.h>

#include "supervisor/control.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "supervisor/app.h"
#include "supervisor/configuration.h"
#include "supervisor/control_request.h"
#include "supervisor/epochd.h"
#include "supervisor/log.h"
#include "supervisor/problem.h"
#include "supervisor/report.h"

/* libmicrohttpd changed their names with RFC 9110. */
enum { HTTP_TOO_LARGE = 413, HTTP_UNPROCESSABLE = 422 };

/* ---- answers ---- */

void answer_response(struct request *request, unsigned status, struct MHD_Response *response)
{
	if (request->response || !response) {
		if (response)
			MHD_destroy_response(response);
		return;   /* memory is out: on_request() closes the connection */
	}
	request->response = response;
	request->status = status;
	answer_header(request, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
}

void answer_header(struct request *request, const char *name, const char *value)
{
	if (request->response)
		(void)MHD_add_response_header(request->response, name, value);
}

void answer_text(struct request *request, unsigned status, const char *content_type, char *text,
		 size_t size)
{
	struct MHD_Response *response = NULL;

	if (text && !request->response)
		response = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return;
	}
	answer_response(request, status, response);
	answer_header(request, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
}

static void answer_document(struct request *request, unsigned status, const char *content_type,
			    json_t *json)
{
	char *text = json ? json_dumps(json, REPORT_JSON_FLAGS) : NULL;
	size_t size = text ? strlen(text) : 0;

	json_decref(json);
	if (text)
		text[size++] = '\n';   /* in the place of the NUL */
	answer_text(request, status, content_type, text, size);
}

void answer_json(struct request *request, unsigned status, json_t *json)
{
	answer_document(request, status, "application/json", json);
}

void answer_problem(struct request *request, unsigned status, const char *format, ...)
{
	char detail[1024];
	va_list values;

	va_start(values, format);
	(void)vsnprintf(detail, sizeof detail, format, values);
	va_end(values);
	answer_document(request, status, PROBLEM_CONTENT_TYPE,
			problem_json(status, detail, request->path));
}

/* ---- parked connections ---- */

/* In the next turn of the loop, since whoever calls may be in the middle of a change, or of MHD. */
static void take_a_turn(struct control *control)
{
	if (!ev_is_active(&control->turn)) {
		ev_timer_set(&control->turn, 0., 0.);
		ev_timer_start(control->epochd->loop, &control->turn);
	}
}

static void on_hangup(EV_P_ ev_io *w, int revents)
{
	struct parked *parked = container_of(w, struct parked, hangup);
	struct pollfd fd = { .fd = w->fd };

	(void)revents;
	if (poll(&fd, 1, 0) == 1 && fd.revents & (POLLHUP | POLLERR)) {
		parked->gone = true;
		unpark(parked);
	} else {
		/* It has sent its next request ahead, or will send no more: it still reads. */
		ev_io_stop(EV_A_ w);
	}
}

void park(struct parked *parked)
{
	struct control *control = parked->listener->control;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(parked->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	assert(!parked->link && !control->ending);
	connection_may_stay(parked->connection);
	MHD_suspend_connection(parked->connection);
	parked->next = control->parked;
	parked->link = &control->parked;
	if (parked->next)
		parked->next->link = &parked->next;
	control->parked = parked;
	ev_io_init(&parked->hangup, on_hangup, info->connect_fd, EV_READ);
	ev_io_start(control->epochd->loop, &parked->hangup);
}

void unpark(struct parked *parked)
{
	struct control *control = parked->listener->control;

	if (!parked->link)
		return;
	ev_io_stop(control->epochd->loop, &parked->hangup);
	*parked->link = parked->next;
	if (parked->next)
		parked->next->link = parked->link;
	parked->link = NULL;
	MHD_resume_connection(parked->connection);
	take_a_turn(control);
}

bool long_lived_take(struct control *control)
{
	if (control->ending || control->long_lived >= LONG_LIVED_MAX)
		return false;
	control->long_lived++;
	return true;
}

void long_lived_put(struct control *control)
{
	control->long_lived--;
}

/* ---- requests ---- */

static void on_deadline(EV_P_ ev_timer *w, int revents)
{
	struct request *request = container_of(w, struct request, deadline);

	(void)revents;
	(void)loop;
	answer_problem(request, MHD_HTTP_GATEWAY_TIMEOUT,
		       "it is under way (event %llu), and has not happened in the time given",
		       (unsigned long long)request->event);
	unpark(&request->parked);
}

/* Once it is answered, or its client is gone. */
static void stop_waiting(struct request *request)
{
	struct control *control = request->parked.listener->control;

	if (request->waiting == FOR_STORE)
		store_read_cancel(control->epochd->store, request);
	if (request->waiting_link) {
		*request->waiting_link = request->next_waiting;
		if (request->next_waiting)
			request->next_waiting->waiting_link = request->waiting_link;
		request->waiting_link = NULL;
	}
	request->waiting = FOR_NOTHING;
	ev_timer_stop(control->epochd->loop, &request->deadline);
	if (request->is_long)
		long_lived_put(control);
	request->is_long = false;
}

void request_wait(struct request *request, enum waiting_for what)
{
	struct control *control = request->parked.listener->control;

	request->waiting = what;
	if (what != FOR_STORE)
		request->is_long = long_lived_take(control);
	if (control->ending || (what != FOR_STORE && !request->is_long)) {
		answer_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE, "%s",
			       control->ending ? "epochd is ending" :
			       "too many requests follow or wait already: it is under way, look for "
			       "it in /v1/events");
		return;
	}
	request->next_waiting = control->waiting;
	request->waiting_link = &control->waiting;
	if (request->next_waiting)
		request->next_waiting->waiting_link = &request->next_waiting;
	control->waiting = request;
	if (request->query.given & QUERY_TIMEOUT) {
		ev_timer_set(&request->deadline, (double)request->query.timeout / 1e9, 0.);
		ev_timer_start(control->epochd->loop, &request->deadline);
	}
	park(&request->parked);
}

static struct request *request_new(struct listener *listener, struct MHD_Connection *connection,
				   const char *path, const char *method)
{
	struct request *request = calloc(1, sizeof *request);

	if (!request)
		return NULL;
	request->parked.listener = listener;
	request->parked.connection = connection;
	request->method = method;   /* MHD's, for as long as the request */
	request->path = strdup(path);
	ev_timer_init(&request->deadline, on_deadline, 0., 0.);
	if (!request->path) {
		free(request);
		return NULL;
	}
	return request;
}

static void request_free(struct request *request)
{
	stop_waiting(request);
	unpark(&request->parked);
	if (request->response)
		MHD_destroy_response(request->response);
	free(request->path);
	free(request);
}

static enum MHD_Result finish(struct request *request)
{
	enum MHD_Result result;

	if (request->parked.link)
		return MHD_YES;
	stop_waiting(request);
	if (request->parked.gone || !request->response)
		return MHD_NO;   /* closes the connection */
	if (request->streams)
		connection_may_stay(request->parked.connection);
	else
		connection_is_awaited(request->parked.connection);
	result = MHD_queue_response(request->parked.connection, request->status,
				    request->response);
	MHD_destroy_response(request->response);   /* MHD has its own reference */
	request->response = NULL;
	return result;
}

static bool body_is_too_large(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_CONTENT_LENGTH);

	return length && strtoull(length, NULL, 10) > BODY_MAX;
}

/* MHD_AccessHandlerCallback. Called with the headers, then with each piece of a body, then without
 * one, which is when it is answered, and again when the connection was parked and is not any more. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **context)
{
	struct listener *listener = cls;
	struct request *request = *context;

	(void)version;
	(void)data;
	if (!request) {
		request = *context = request_new(listener, connection, url, method);
		if (!request)
			return MHD_NO;
		if (!body_is_too_large(connection))
			return MHD_YES;
		answer_problem(request, HTTP_TOO_LARGE,
			       "bodies are not looked at, and at most %d bytes long", BODY_MAX);
		return finish(request);
	}
	if (*size) {
		request->body += *size;
		*size = 0;
		return request->body > BODY_MAX ? MHD_NO : MHD_YES;   /* in chunks: no answer yet */
	}
	if (!request->routed) {
		request->routed = true;
		route_request(request);
	}
	return finish(request);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode code)
{
	(void)cls;
	(void)code;
	if (*context)
		request_free(*context);
	*context = NULL;
	connection_is_awaited(connection);
}

__attribute__((format(printf, 2, 0)))
static void on_log(void *cls, const char *format, va_list values)
{
	const struct listener *listener = cls;
	char text[512];

	vsnprintf(text, sizeof text, format, values);
	log_debug(0, "%s: %.*s", listener->tcp ? "http" : "control", (int)strcspn(text, "\n"),
		  text);
}

/* ---- listeners ---- */

static bool is_full(struct listener *listener)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info && info->num_connections >= CONNECTIONS_MAX;
}

/* Lets MHD do what it can do now, and be called when it wants to be: by its epoll fd, and by a timer
 * only while some connection may time out, so that nothing wakes up while nobody asks. */
static void pump(struct listener *listener)
{
	struct ev_loop *loop = listener->control->epochd->loop;
	MHD_UNSIGNED_LONG_LONG ms;
	bool was_full;

	/* A full one does not listen, and begins to again only in the run after the one that made room:
	 * nothing would call that. */
	do {
		was_full = is_full(listener);
		MHD_run(listener->daemon);
	} while (was_full && !is_full(listener));
	ev_timer_stop(loop, &listener->due);
	if (MHD_get_timeout(listener->daemon, &ms) == MHD_YES) {
		ev_timer_set(&listener->due, (double)ms / 1000., 0.);
		ev_timer_start(loop, &listener->due);
	}
}

static void on_ready(EV_P_ ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	pump(container_of(w, struct listener, ready));
}

static void on_due(EV_P_ ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	pump(container_of(w, struct listener, due));
}

static void listener_free(struct listener *listener)
{
	if (!listener)
		return;
	ev_io_stop(listener->control->epochd->loop, &listener->ready);
	ev_timer_stop(listener->control->epochd->loop, &listener->due);
	if (listener->daemon)
		MHD_stop_daemon(listener->daemon);   /* closes the socket */
	ev_timer_stop(listener->control->epochd->loop, &listener->overdue);
	free(listener);
}

/* Decoded, an end of a text or a slash would make another path of it: it stays as it is, a name of nothing. */
static size_t unescape(void *unused, struct MHD_Connection *connection, char *text)
{
	(void)unused;
	(void)connection;
	if (strstr(text, "%00") || strcasestr(text, "%2f"))
		return strlen(text);
	return MHD_http_unescape(text);
}

/* fd: taken, whatever is returned. */
static int listener_new(struct listener **out, struct control *control, int fd, bool tcp)
{
	struct listener *listener = calloc(1, sizeof *listener);
	const union MHD_DaemonInfo *info;

	if (!listener) {
		close(fd);
		return -ENOMEM;
	}
	listener->control = control;
	listener->tcp = tcp;
	listener->patience = PATIENCE;
	ev_timer_init(&listener->due, on_due, 0., 0.);
	ev_timer_init(&listener->overdue, on_overdue, 0., 0.);
	listener->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
		on_request, listener,
		MHD_OPTION_EXTERNAL_LOGGER, on_log, listener,
		MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_TIMEOUT_S,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, tcp ? (unsigned)PER_ADDRESS_MAX : 0,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener,
		MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
		MHD_OPTION_END);
	info = listener->daemon ?
	       MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info) {
		listener_free(listener);
		return -ENOMEM;
	}
	ev_io_init(&listener->ready, on_ready, info->epoll_fd, EV_READ);
	ev_io_start(control->epochd->loop, &listener->ready);
	*out = listener;
	return 0;
}

/* ---- control ---- */

static void settle(struct control *control)
{
	struct request *next;

	for (struct request *r = control->waiting; r; r = next) {
		next = r->next_waiting;
		if (r->waiting == FOR_APP && !r->response)
			route_settled(r);
	}
}

static void on_turn(EV_P_ ev_timer *w, int revents)
{
	struct control *control = container_of(w, struct control, turn);

	(void)loop;
	(void)revents;
	settle(control);
	pump(control->local);
	if (control->http)
		pump(control->http);
}

static int open_local(struct control *control)
{
	int fd = listen_local(control->path, control->epochd), r;
	struct stat st;

	if (fd < 0)
		return fd;
	if (stat(control->path, &st) == 0)
		control->inode = st.st_ino;
	r = listener_new(&control->local, control, fd, false);
	return r < 0 ? log_error(r, "control %s: cannot serve", control->path) : 0;
}

static int open_http(struct listener **out, struct control *control, const char *address)
{
	int fd = listen_http(address), r;

	if (fd < 0)
		return fd;
	r = listener_new(out, control, fd, true);
	return r < 0 ? log_error(r, "http %s: cannot serve", address) : 0;
}

static bool is_same_port(const char *one, const char *other)
{
	const char *a = strrchr(one, ':'), *b = strrchr(other, ':');

	return a && b && strcmp(a, b) == 0;
}

/* The old listener is closed when the new one answers. On the same port it may be in the way: then it
 * is closed first, and opened again if that did not help. */
static int change_http(struct control *control, const char *address)
{
	struct listener *listener = NULL;
	char *copy;
	int r;

	if (control->http && control->http_address &&
	    is_same_port(address, control->http_address)) {
		listener_free(STEAL(control->http));
		r = open_http(&listener, control, address);
		if (r < 0) {
			(void)open_http(&control->http, control, control->http_address);
			return r;
		}
	} else {
		r = open_http(&listener, control, address);
		if (r < 0)
			return r;
		listener_free(control->http);
	}
	control->http = listener;
	copy = strdup(address);
	if (!copy)   /* it serves, and will be opened anew at the next reload */
		return log_error(-ENOMEM, "http %s", address);
	free(control->http_address);
	control->http_address = copy;
	return 0;
}

static int apply_http(struct control *control)
{
	const char *wanted = control->epochd->config->http_listen;

	if (!wanted) {
		listener_free(STEAL(control->http));
		free(STEAL(control->http_address));
		return 0;
	}
	if (control->http && control->http_address &&
	    strcmp(wanted, control->http_address) == 0)
		return 0;
	return change_http(control, wanted);
}

int control_reconfigure(struct control *control)
{
	int r = listen_permit(control->path, control->epochd);
	int s = apply_http(control);

	return r < 0 ? r : s;
}

int control_new(struct control **out, struct epochd *epochd, const char *path)
{
	struct control *control = calloc(1, sizeof *control);
	int r;

	if (!control)
		return log_error(-ENOMEM, "control %s", path);
	control->epochd = epochd;
	ev_timer_init(&control->turn, on_turn, 0., 0.);
	control->path = strdup(path);
	r = control->path ? open_local(control) : log_error(-ENOMEM, "control %s", path);
	if (r == 0)
		r = apply_http(control);
	if (r < 0) {
		control_free(control);
		return r;
	}
	*out = control;
	return 0;
}

static void end_waiting(struct control *control)
{
	struct request *next;

	for (struct request *r = control->waiting; r; r = next) {
		next = r->next_waiting;
		if (r->waiting == FOR_SHUTDOWN)
			answer_json(r, MHD_HTTP_OK,
				    json_pack("{s:I}", "event", (json_int_t)r->event));
		else
			answer_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "epochd is ending");
		unpark(&r->parked);
	}
}

/* What was answered goes out: into the sockets' buffers, so nothing here waits for a reader. */
static void flush(struct listener *listener)
{
	MHD_UNSIGNED_LONG_LONG ms;
	int turns = 0, fd = MHD_quiesce_daemon(listener->daemon);

	if (fd != MHD_INVALID_SOCKET)
		close(fd);
	do {
		MHD_run(listener->daemon);
	} while (++turns < 64 && (turns < 8 || (MHD_get_timeout(listener->daemon, &ms) == MHD_YES &&
						ms == 0)));
}

void control_free(struct control *control)
{
	struct stat st;

	if (!control)
		return;
	control->ending = true;
	end_waiting(control);
	followers_end(control);
	if (control->local)
		flush(control->local);
	if (control->http)
		flush(control->http);
	listener_free(control->local);
	listener_free(control->http);
	ev_timer_stop(control->epochd->loop, &control->turn);
	if (control->inode && stat(control->path, &st) == 0 && st.st_ino == control->inode)
		(void)unlink(control->path);
	free(control->http_address);
	free(control->path);
	free(control);
}

void control_app_changed(struct control *control, struct app *app)
{
	(void)app;
	if (control->waiting)
		take_a_turn(control);
}

void control_reloaded(struct control *control, int r)
{
	struct request *next;

	for (struct request *request = control->waiting; request; request = next) {
		next = request->next_waiting;
		if (request->waiting != FOR_RELOAD)
			continue;
		if (r < 0)
			answer_problem(request, HTTP_UNPROCESSABLE,
				       "nothing was changed: %s; the log names each mistake, and so "
				       "does epochd check", strerror(-r));
		else
			answer_json(request, MHD_HTTP_OK,
				    json_pack("{s:I}", "event", (json_int_t)request->event));
		unpark(&request->parked);
	}
	if (control->waiting)
		take_a_turn(control);   /* an application that is gone settles nothing */
}
