#include <config.h>

#include "apilib/inside.h"

#include <errno.h>
#include <poll.h>

#include "apilib/application_private.h"
#include "apilib/client_private.h"
#include "apilib/now.h"

static bool is_serving(const struct epochd_app *app) { return app->serving; }

/* ---- whose it is ---- */

void inside_leave(struct epochd_client *client)
{
	struct epochd_client **at;

	for (at = client->inside ? &client->inside->inside : NULL; at && *at; at = &(*at)->next_inside)
		if (*at == client) {
			*at = client->next_inside;
			break;
		}
	client->inside = NULL;
}

void inside_detached(struct epochd_app *app)
{
	while (app->inside)
		inside_leave(app->inside);
}

static void closep(struct epochd_client **client)
{
	epochd_close(*client);
}

int epochd_connect_inside(struct epochd_client **out, struct epochd_app *app, const struct epochd_type *types,
			  size_t count, const struct epochd_options *options)
{
	static const struct epochd_options usual;
	CLEANUP(closep) struct epochd_client *client = NULL;
	int r = app_check(app);

	if (!options)
		options = &usual;
	if (r < 0)
		return r;
	if (is_serving(app))
		return -EDEADLK;
	/* In the next epoch nobody would serve it but this thread, which waits. */
	if (options->flags & EPOCHD_RECONNECT)
		return -EINVAL;
	r = client_connect(&client, app->name, app->folder, types, count, options);
	if (r < 0)
		return r;
	/* JOINED was said before WELCOME: it is in the session, or that is gone. */
	r = app_hear_session(app);
	if (r < 0)
		return r;
	if (!app_member(app, client->link.handle))
		return -EAGAIN;
	client->inside = app;
	client->next_inside = app->inside;
	app->inside = client;
	*out = STEAL(client);
	return 0;
}

/* ---- waiting ---- */

/* Nothing of it is left to be handled: what is awaited comes of something else. */
static int rest(struct epochd_client *client, struct waiting *waiting)
{
	struct epochd_app *app = client->inside;
	struct pollfd awaited[2] = { { .fd = app->poll, .events = POLLIN }, { .fd = client->poll, .events = POLLIN } };
	struct timespec left;
	int r = 0;

	/* While a handler runs no other does, but those of workers. */
	if (is_serving(app) && !app->pool)
		return -EDEADLK;
	if (!is_serving(app))
		r = epochd_dispatch(app);
	else
		awaited[0].fd = -1;
	if (r != 0 || !client_arm(client))
		return r < 0 ? r : 0;
	if (ppoll(awaited, ARRAY_SIZE(awaited), ep_until(client_deadline(waiting), &left), NULL) == 0)
		return -ETIMEDOUT;
	return client_read_session(client);
}

int inside_wait(struct epochd_client *client, struct waiting *waiting)
{
	int r, handled;

	while ((r = client_take_wanted(client, waiting)) == 0) {
		handled = client->inside ? app_serve_inside(client->inside, client->link.handle) : -ESTALE;
		if (handled == 0)
			handled = rest(client, waiting);
		if (handled < 0) {   /* with what came all the same */
			r = client_take_wanted(client, waiting);
			r = r ? r : handled;
			break;
		}
	}
	ep_disarm(&client->link.consumer);
	return r;
}

/* ---- in the application's turns ---- */

void inside_look(struct epochd_app *app)
{
	for (struct epochd_client *client = app->inside; client; client = client->next_inside)
		client_look_after_session(client);
}

int inside_tell(struct epochd_app *app)
{
	struct epochd_client *client = app->inside, *next;
	int told = 0;

	for (; client; client = next) {
		next = client->next_inside;
		if (client->readable)
			told += client_tell_readable(client);
	}
	return told;
}
