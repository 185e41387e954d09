/* How long somebody may hold one of the few connections: what is asked must be there whole, and the answer be
 * taken, in a time that no byte now and then extends. Whoever waits or follows has left that list. */
#include <config.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervisor/clock.h"
#include "supervisor/control_request.h"
#include "supervisor/epochd.h"

static struct connection *connection_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* MHD sees the end of it, and closes. */
static void cut_off(struct connection *connection)
{
	connection->due_at = 0;
	shutdown(connection->fd, SHUT_RDWR);
}

static void look_at(struct listener *listener, int64_t ns)
{
	struct ev_loop *loop = listener->control->epochd->loop;

	ev_timer_stop(loop, &listener->overdue);
	ev_timer_set(&listener->overdue, clock_seconds(ns), 0.);
	ev_timer_start(loop, &listener->overdue);
}

/* Not moved when one is done earlier: it looks again then, and is off while there is none. */
void on_overdue(EV_P_ ev_timer *w, int revents)
{
	struct listener *listener = container_of(w, struct listener, overdue);
	int64_t now = clock_now(), next = 0;

	(void)loop;
	(void)revents;
	for (struct connection *c = listener->connections; c; c = c->next) {
		if (c->due_at && c->due_at <= now)
			cut_off(c);
		else if (c->due_at && (!next || c->due_at < next))
			next = c->due_at;
	}
	if (next)
		look_at(listener, next - now);
}

static void is_due_within(struct connection *connection, int64_t ns)
{
	struct listener *listener = connection->listener;
	struct ev_loop *loop = listener->control->epochd->loop;

	connection->due_at = clock_now() + ns;
	if (!ev_is_active(&listener->overdue) ||
	    ev_timer_remaining(loop, &listener->overdue) > clock_seconds(ns))
		look_at(listener, ns);
}

void connection_is_awaited(struct MHD_Connection *of)
{
	struct connection *connection = connection_of(of);

	if (connection && !connection->stranger)
		is_due_within(connection, connection->listener->patience);
}

void connection_may_stay(struct MHD_Connection *of)
{
	struct connection *connection = connection_of(of);

	if (connection && !connection->stranger)
		connection->due_at = 0;
}

/* Who may not even read is told so, but does not hold a connection for long; and some places are kept for those
 * who may act. */
static void judge(struct connection *connection)
{
	struct listener *listener = connection->listener;
	const struct config *config = listener->control->epochd->config;
	struct peer peer = { 0 };
	bool known = peer_of(&peer, connection->fd) == 0;

	connection->stranger = !known || !control_may(config, &peer, geteuid(), MAY_READ);
	connection->guest = !known || !control_may(config, &peer, geteuid(), MAY_ACT);
	listener->guests += connection->guest;
	is_due_within(connection, connection->stranger ? STRANGER_PATIENCE : listener->patience);
	if (connection->guest && listener->guests > GUESTS_MAX)
		cut_off(connection);
	peer_deinit(&peer);
}

static void begin(struct listener *listener, struct MHD_Connection *of, void **context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(of, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct connection *connection = info ? calloc(1, sizeof *connection) : NULL;

	if (!connection)
		return;   /* MHD's own, longer timeout holds */
	connection->listener = listener;
	connection->fd = info->connect_fd;
	connection->next = listener->connections;
	connection->link = &listener->connections;
	if (connection->next)
		connection->next->link = &connection->next;
	listener->connections = connection;
	*context = connection;
	if (listener->tcp)
		is_due_within(connection, listener->patience);
	else
		judge(connection);
}

static void end(struct connection *connection)
{
	if (!connection)
		return;
	connection->listener->guests -= connection->guest;
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	free(connection);
}

void on_connection(void *cls, struct MHD_Connection *connection, void **context,
		   enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		begin(cls, connection, context);
	} else {
		end(*context);
		*context = NULL;
	}
}
