#include <config.h>

#include "supervisor/awaited.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "apilib/wire.h"
#include "supervisor/app_private.h"
#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/events.h"
#include "supervisor/fault.h"
#include "supervisor/log.h"
#include "supervisor/service.h"
#include "supervisor/session_private.h"

struct watch {
	ev_io io;             /* the pidfd */
	struct client *client;
	struct service *service;
};

/* ---- their processes ---- */

void awaited_forget(struct client *client, void *user)
{
	struct service *service = user;
	struct watch *watch = client->watch;

	if (!watch)
		return;
	ev_io_stop(service->app->epochd->loop, &watch->io);
	close(watch->io.fd);
	free(watch);
	client->watch = NULL;
}

static void on_died(EV_P_ ev_io *w, int revents)
{
	struct watch *watch = container_of(w, struct watch, io);

	(void)loop;
	(void)revents;
	awaited_died(watch->service, watch->client);
}

/* Without a descriptor, nobody is watched: then it is asked when it is due. */
static void watch(struct service *service, struct client *client, int pidfd)
{
	struct watch *watch = calloc(1, sizeof *watch);

	if (!watch) {
		close(pidfd);
		return;
	}
	*watch = (struct watch){ .client = client, .service = service };
	ev_io_init(&watch->io, on_died, pidfd, EV_READ);
	ev_io_start(service->app->epochd->loop, &watch->io);
	client->watch = watch;
}

/* Of a process in another pid namespace nothing is known: pid 0. */
static void look_at_process(struct client *client, void *user)
{
	struct service *service = user;
	struct identity identity = clients_identity(service->clients, client);
	int pidfd;

	if (!identity.pid || client->watch || (!client->there && !client->late))
		return;
	pidfd = identity_open(&identity, service->app->epochd->kernel);
	if (pidfd >= 0)
		watch(service, client, pidfd);
	else if (pidfd == -ESRCH)
		awaited_died(service, client);
}

void awaited_died(struct service *service, struct client *client)
{
	awaited_forget(client, service);
	if (client->late) {
		clients_lose(service->clients, client);
		service_save_counts(service);
	} else if (client->there) {
		log_notice(0, "app %s epoch %u: client %#018llx has died while no supervisor looked",
			   app_name(service->app), service->app->epoch, (unsigned long long)client->handle);
		clients_end(service->clients, client, EP_GONE_DEAD);
		if (clients_has_ended(service->clients, client))
			return;
		clients_leave(service->clients, client);
		service_tell_gone(service);
	}
}

int awaited_check(const struct service *service, const struct client *client, const struct session *session)
{
	struct identity identity = clients_identity(service->clients, client);
	const struct watch *watch = client->watch;
	int pidfd;

	if (session->uid != client->uid || session->pid != identity.pid)
		return -EPERM;
	if (!identity.pid)
		return 0;
	/* While it lives, nobody else has its pid. */
	if (watch)
		return pidfd_is_dead(watch->io.fd) ? -EPERM : 0;
	pidfd = identity_open(&identity, service->app->epochd->kernel);
	if (pidfd < 0)
		return pidfd == -ESRCH ? -EPERM : pidfd;
	close(pidfd);
	return 0;
}

/* ---- their channels ---- */

static void on_grace(EV_P_ ev_timer *w, int revents)
{
	struct service *service = container_of(w, struct service, grace);

	(void)revents;
	(void)loop;
	if (!clients_have_late(service->clients))
		return;
	log_notice(0, "app %s: channels of an epoch that has ended were not brought in time: counted as lost",
		   app_name(service->app));
	clients_lose_late(service->clients);
	service_save_counts(service);
}

void awaited_init(struct service *service)
{
	ev_timer_init(&service->grace, on_grace, 0., 0.);
}

void awaited_begin_grace(struct service *service)
{
	const struct app_config *config = service->app->config;
	int64_t grace = config->keepalive.interval * config->keepalive.misses;

	/* Of one who is dead, nobody has it. */
	clients_each_late(service->clients, look_at_process, service);
	if (!clients_have_late(service->clients) || ev_is_active(&service->grace))
		return;
	ev_timer_set(&service->grace, grace > 0 ? clock_seconds(grace) : 30., 0.);
	ev_timer_start(service->app->epochd->loop, &service->grace);
}

/* ---- at start ---- */

/* Its deadlines begin anew: who does not come back in time is lazy, if it lives. */
static void await(struct client *client, void *user)
{
	struct service *service = user;

	reaper_add(&service->reaper, client);
}

void awaited_load(struct app *app, uint32_t lives)
{
	struct service *service;
	int r;

	if (!clients_are_recorded(app->registry))
		return;
	r = service_of(&service, app->epochd->sessions, app);
	if (r == 0)
		r = clients_load(service->clients, app->epoch, lives);
	if (r < 0) {
		log_error(r, "app %s: its clients of before are not known", app_name(app));
		return;
	}
	if (r > 0) {
		log_error(0, "app %s: %d slots of clients contradicted themselves: cleared", app_name(app), r);
		app_post(app, "confused", "slots of clients contradicted themselves: cleared");
	}
	clients_each(service->clients, await, service);
	clients_each(service->clients, look_at_process, service);
	FAULT(clients_loaded);
	awaited_begin_grace(service);
}
