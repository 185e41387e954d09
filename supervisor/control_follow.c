/* GET /v1/events?follow: one JSON object a line, as events happen. */
#include <config.h>

#include "supervisor/control_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"
#include "supervisor/epochd.h"
#include "supervisor/events.h"
#include "supervisor/problem.h"
#include "supervisor/report.h"

struct follower {
	struct parked parked;
	struct follower *next, **link;   /* list of the control's */
	struct event_follower *events;
	char *app;                       /* only its events; NULL: all */
	char *path;                      /* of the request, for the problem */
	char *line;                      /* what is being sent; NULL: nothing */
	size_t size, sent;               /* of the line */
	bool last;                       /* nothing comes after the line */
};

static void on_event(void *user)
{
	struct follower *follower = user;

	unpark(&follower->parked);
}

/* Takes the object. */
static int set_line(struct follower *follower, json_t *object)
{
	char *text = object ? json_dumps(object, REPORT_JSON_FLAGS) : NULL;

	json_decref(object);
	if (!text)
		return -ENOMEM;
	follower->line = text;
	follower->size = strlen(text) + 1;
	text[follower->size - 1] = '\n';   /* in the place of the NUL: the line knows its size */
	follower->sent = 0;
	return 0;
}

/* A problem object that also has what no event has: "error". */
static json_t *cut_off_json(const struct follower *follower)
{
	static const char text[] = "this reader was too slow: some events are missing from here on; "
				   "read the page of /v1/events, then follow again";
	json_t *problem = problem_json(MHD_HTTP_GONE, text, follower->path);

	if (problem && json_object_set_new(problem, "error", json_string(text)) < 0) {
		json_decref(problem);
		return NULL;
	}
	return problem;
}

/* 1: there is a line to send, 0: not now, negative errno: the stream must end. */
static int next_line(struct follower *follower)
{
	struct store_event event;
	int r;

	do {
		r = events_next(follower->events, &event);
	} while (r == 1 && follower->app && (!event.app || strcmp(event.app, follower->app) != 0));
	if (r == 0)
		return 0;
	if (r == 1) {
		r = set_line(follower, report_event_json(&event));
		return r < 0 ? r : 1;
	}
	follower->last = true;
	r = set_line(follower, cut_off_json(follower));
	return r < 0 ? r : 1;
}

static size_t copy_line(struct follower *follower, char *buffer, size_t room)
{
	size_t size = follower->size - follower->sent;

	if (size > room)
		size = room;
	memcpy(buffer, follower->line + follower->sent, size);
	follower->sent += size;
	if (follower->sent == follower->size) {
		free(follower->line);
		follower->line = NULL;
	}
	return size;
}

/* MHD asks for the next bytes when those before are on their way: a slow reader is one for whom it
 * does not ask, until the events it has not had are more than are kept. */
static ssize_t on_read(void *cls, uint64_t position, char *buffer, size_t room)
{
	struct follower *follower = cls;
	size_t filled = 0;
	int r = 1;

	(void)position;
	if (follower->parked.gone)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	while (filled < room) {
		if (!follower->line) {
			r = follower->last ? 0 : next_line(follower);
			if (r <= 0)
				break;
		}
		filled += copy_line(follower, buffer + filled, room - filled);
	}
	if (filled)
		return (ssize_t)filled;
	if (r < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (follower->last || follower->parked.listener->control->ending)
		return MHD_CONTENT_READER_END_OF_STREAM;
	park(&follower->parked);
	return 0;
}

static void follower_free(void *cls)
{
	struct follower *follower = cls;

	unpark(&follower->parked);
	if (follower->link) {
		*follower->link = follower->next;
		if (follower->next)
			follower->next->link = follower->link;
		long_lived_put(follower->parked.listener->control);
	}
	events_unfollow(follower->events);
	free(follower->app);
	free(follower->path);
	free(follower->line);
	free(follower);
}

static void enlist(struct follower *follower, struct control *control)
{
	follower->next = control->followers;
	follower->link = &control->followers;
	if (follower->next)
		follower->next->link = &follower->next;
	control->followers = follower;
}

static struct follower *follower_new(struct request *request)
{
	struct listener *listener = request->parked.listener;
	struct follower *follower = calloc(1, sizeof *follower);

	if (!follower)
		return NULL;
	follower->parked.listener = listener;
	follower->parked.connection = request->parked.connection;
	follower->path = strdup(request->path);
	if (request->query.app)
		follower->app = strdup(request->query.app);
	if (!follower->path || (request->query.app && !follower->app) ||
	    events_follow(&follower->events, listener->control->epochd->events, on_event,
			  follower) < 0) {
		follower_free(follower);
		return NULL;
	}
	return follower;
}

void follow_events(struct request *request)
{
	static const char type[] = "application/x-ndjson";
	struct control *control = request->parked.listener->control;
	struct MHD_Response *response;
	struct follower *follower;

	if (strcmp(request->method, MHD_HTTP_METHOD_HEAD) == 0) {
		answer_text(request, MHD_HTTP_OK, type, strdup(""), 0);
		return;
	}
	if (!long_lived_take(control)) {
		answer_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "too many requests follow or wait already: try again later");
		return;
	}
	follower = follower_new(request);
	if (follower)
		enlist(follower, control);
	else
		long_lived_put(control);
	response = follower ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, on_read,
								follower, follower_free) : NULL;
	if (follower && !response)
		follower_free(follower);
	/* A stream that is silent for a while is not idle. (So nothing may come after it on the same
	 * connection, which would then never time out.) */
	MHD_set_connection_option(request->parked.connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
	request->streams = true;
	answer_response(request, MHD_HTTP_OK, response);
	answer_header(request, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	answer_header(request, MHD_HTTP_HEADER_CONNECTION, "close");
}

void followers_end(struct control *control)
{
	for (struct follower *f = control->followers; f; f = f->next)
		unpark(&f->parked);   /* on_read() sees that control is ending */
}
