#include <config.h>

#include "supervisor/pulse.h"

#include "apilib/wire.h"
#include "supervisor/app_private.h"
#include "supervisor/clients.h"
#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/service.h"
#include "supervisor/session_private.h"

static bool is_watched(const struct pulse *pulse)
{
	const struct app *app = pulse->service->app;

	return app->config->readiness == READINESS_ATTACH && app->watchdog && app->state == APP_UP &&
	       pulse->service->attached;
}

static void on_ask(EV_P_ ev_timer *w, int revents)
{
	struct pulse *pulse = container_of(w, struct pulse, ask);
	struct ep_wire_ping ping = { ep_wire_make(EP_WIRE_PING, sizeof ping), ++pulse->asked };

	(void)revents;
	if (!is_watched(pulse)) {
		ev_timer_stop(EV_A_ w);
		return;
	}
	session_send(pulse->service->attached, &ping, NULL, 0);   /* no room: it has not read what we asked before */
}

void pulse_init(struct pulse *pulse, struct service *service)
{
	*pulse = (struct pulse){ .service = service };
	ev_timer_init(&pulse->ask, on_ask, 0., 0.);
}

void pulse_start(struct pulse *pulse)
{
	struct ev_loop *loop = pulse->service->app->epochd->loop;

	ev_timer_stop(loop, &pulse->ask);
	if (!is_watched(pulse))
		return;
	ev_timer_set(&pulse->ask, 0., clock_seconds(pulse->service->app->watchdog) / 2);
	ev_timer_start(loop, &pulse->ask);
}

void pulse_stop(struct pulse *pulse)
{
	ev_timer_stop(pulse->service->app->epochd->loop, &pulse->ask);
}

/* Only for telling if it changes (I6). */
static void add_taken(struct client *client, void *user)
{
	uint64_t *sum = user;

	if (client->channel.base)
		/* Relaxed: whichever value. */
		*sum += atomic_load_explicit(&ep_channel_lane(&client->channel, EP_TO_APPLICATION).head->taken,
					     memory_order_relaxed);
}

bool pulse_has_moved(struct pulse *pulse)
{
	uint64_t sum = 0, before = pulse->taken;

	clients_each(pulse->service->clients, add_taken, &sum);
	pulse->taken = sum;
	return sum != before;
}
