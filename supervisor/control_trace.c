/* What is asked of traces. */
#include <config.h>

#include "supervisor/control_request.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/app.h"
#include "supervisor/app_private.h"
#include "supervisor/configuration.h"
#include "supervisor/trace.h"

void get_trace(struct request *request)
{
	const struct app *app = app_of(request);

	if (app)
		answer_json(request, MHD_HTTP_OK, trace_json(app));
}

/* As it is: whoever takes it looks afterwards what of it was written over meanwhile (epochd-api(7)). */
void get_trace_file(struct request *request)
{
	const struct app *app = app_of(request);
	struct MHD_Response *response;
	struct stat st;
	int fd;

	if (!app)
		return;
	fd = app->trace.there ? trace_open(app) : -ENOENT;
	if (fd < 0) {
		answer_problem(request, MHD_HTTP_CONFLICT, "%s has no trace of epoch %u: `epochctl trace %s on` begins one",
			       app_name(app), app->epoch, app_name(app));
		return;
	}
	response = fstat(fd, &st) == 0 ? MHD_create_response_from_fd64((uint64_t)st.st_size, fd) : NULL;
	if (!response)
		close(fd);
	answer_response(request, MHD_HTTP_OK, response);
	answer_header(request, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
}

static void answer_done(struct request *request, struct app *app, int r, const char *what)
{
	if (r < 0)
		answer_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE, "%s is not traced: %s", app_name(app),
			       r == -ENOSPC ? "/dev/shm has no room for it: a smaller size=" : strerror(-r));
	else
		answer_json(request, MHD_HTTP_OK, trace_json(app));
	if (r == 0)
		app_post(app, what, NULL);
}

void post_trace_on(struct request *request)
{
	const struct query *query = &request->query;
	struct app *app = app_of(request);
	const struct app_config *config = app ? app_config(app) : NULL;
	struct trace_options options;

	if (!app)
		return;
	options = (struct trace_options){
		.size = query->given & QUERY_SIZE ? query->size : config->trace.size,
		.messages = query->given & QUERY_MESSAGES ? query->messages : config->trace.messages,
		.first = query->given & QUERY_FIRST || config->trace.first,
	};
	answer_done(request, app, trace_on(app, &options), "trace_on");
}

void post_trace_off(struct request *request)
{
	struct app *app = app_of(request);

	if (app)
		answer_done(request, app, trace_off(app), "trace_off");
}
