#include <config.h>

#include "supervisor/reaper.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "apilib/wire.h"
#include "supervisor/app_private.h"
#include "supervisor/awaited.h"
#include "supervisor/clients.h"
#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/identity.h"
#include "supervisor/log.h"
#include "supervisor/service.h"
#include "supervisor/session_private.h"

enum {
	SLICE = 128,      /* in a turn of the loop */
	EARLY = 4,        /* of the interval, one part: who is due within that is asked now */
	PARTS = 64,       /* of that, at least so many slices: thousands do not answer all at the same time */
};
static const int64_t loop_was_away = NS_PER_S, between_slices = 5000000;   /* ns */

/* ---- the list ---- */

static void link_last(struct reaper_link *head, struct reaper_link *link)
{
	link->next = head;
	link->before = head->before;
	head->before->next = link;
	head->before = link;
}

static void unlink_it(struct reaper_link *link)
{
	link->next->before = link->before;
	link->before->next = link->next;
	link->next = link->before = NULL;
}

static struct client *client_of(struct reaper_link *link)
{
	return container_of(link, struct client, reaped_as);
}

static int64_t interval_of(const struct reaper *reaper)
{
	return reaper->service->app->config->keepalive.interval;
}

static bool is_empty(const struct reaper *reaper)
{
	return reaper->quiet.next == &reaper->quiet;
}

/* For the first in the list; not before `soonest` from now on. */
static void set_timer(struct reaper *reaper, int64_t soonest)
{
	struct ev_loop *loop = reaper->service->app->epochd->loop;
	int64_t now, at;

	ev_timer_stop(loop, &reaper->due);
	reaper->due_at = 0;
	if (is_empty(reaper) || !interval_of(reaper))
		return;
	now = clock_now();
	at = reaper->quiet.next->asked_at + interval_of(reaper);
	if (at < now + soonest)
		at = now + soonest;
	reaper->due_at = at;
	ev_timer_set(&reaper->due, clock_seconds(at - now), 0.);
	ev_timer_start(loop, &reaper->due);
}

static void to_the_end(struct reaper *reaper, struct reaper_link *link, int64_t now)
{
	unlink_it(link);
	link->asked_at = now;
	link_last(&reaper->quiet, link);
}

void reaper_add(struct reaper *reaper, struct client *client)
{
	struct reaper_link *link = &client->reaped_as;

	link->asked_at = link->heard_at = clock_now();
	link->unanswered = 0;
	link_last(&reaper->quiet, link);
	if (!reaper->due_at)
		set_timer(reaper, 0);
}

static void is_lazy_no_more(struct reaper *reaper, struct reaper_link *link)
{
	if (!link->lazy_since)
		return;
	link->lazy_since = 0;
	reaper->lazy--;
}

void reaper_remove(struct reaper *reaper, struct client *client)
{
	struct reaper_link *link = &client->reaped_as;

	if (!link->next)
		return;
	is_lazy_no_more(reaper, link);
	unlink_it(link);   /* the timer finds that when it is due */
}

void reaper_heard(struct reaper *reaper, struct client *client)
{
	struct reaper_link *link = &client->reaped_as;

	if (!link->next)
		return;
	if (link->lazy_since)
		log_notice(0, "app %s epoch %u: client %#018llx answers again", app_name(reaper->service->app),
			   reaper->service->app->epoch, (unsigned long long)client->handle);
	is_lazy_no_more(reaper, link);
	link->unanswered = 0;
	to_the_end(reaper, link, clock_now());
	link->heard_at = link->asked_at;
	clients_heard(reaper->service->clients, client, link->heard_at, 0);
}

/* They are still taken out one by one, as each is told. */
void reaper_remove_all(struct reaper *reaper)
{
	struct reaper_link *first = reaper->quiet.next, *last = reaper->quiet.before;

	reaper->lazy = 0;
	if (is_empty(reaper))
		return;
	first->before = reaper->over.before;
	reaper->over.before->next = first;
	last->next = &reaper->over;
	reaper->over.before = last;
	reaper->quiet.next = reaper->quiet.before = &reaper->quiet;
	set_timer(reaper, 0);
}

void reaper_reconfigured(struct reaper *reaper)
{
	set_timer(reaper, 0);
}

/* ---- one that is due ---- */

/* What only the client writes, of both directions. Only for telling if it changes (I6). */
static bool has_moved(struct client *client)
{
	const struct ep_channel *channel = &client->channel;
	uint64_t sum;

	if (!channel->base)
		return false;
	/* Relaxed, both: whichever value. */
	sum = atomic_load_explicit(&ep_channel_lane(channel, EP_TO_APPLICATION).head->sent, memory_order_relaxed) +
	      atomic_load_explicit(&ep_channel_lane(channel, EP_TO_CLIENT).head->taken, memory_order_relaxed);
	if (sum == client->reaped_as.moved)
		return false;
	client->reaped_as.moved = sum;
	return true;
}

static bool has_something_unread(const struct client *client)
{
	const struct session *session = client->session;
	struct pollfd look = { .fd = session ? session->io.fd : -1, .events = POLLIN };

	return session && poll(&look, 1, 0) > 0 && look.revents;
}

static void ping(struct reaper *reaper, struct client *client)
{
	struct ep_wire_ping ping = { ep_wire_make(EP_WIRE_PING, sizeof ping), ++reaper->pings };
	struct reaper_link *link = &client->reaped_as;

	/* One that has no room for it does not read; one that is at its end is heard of at once. */
	if (client->session)
		session_send(client->session, &ping, NULL, 0);
	link->unanswered++;
	clients_heard(reaper->service->clients, client, link->heard_at, link->unanswered);
}

static void say_lazy(struct reaper *reaper, const struct client *client, int64_t now)
{
	struct app *app = reaper->service->app;
	char text[160];

	snprintf(text, sizeof text, "client 0x%016llx lives, and has not been heard for %.1f s",
		 (unsigned long long)client->handle, clock_seconds(now - client->reaped_as.heard_at));
	log_notice(0, "app %s epoch %u: %s", app_name(app), app->epoch, text);
	app_post(app, "lazy", text);
}

/* It wakes up one day, and may join anew. */
static void reap(struct reaper *reaper, struct client *client)
{
	struct service *service = reaper->service;
	struct session *session = client->session;
	char text[EP_WIRE_TEXT];

	snprintf(text, sizeof text, "it was lazy, and reaped: see keepalive { reap-lazy } of %s", app_name(service->app));
	log_notice(0, "app %s epoch %u: client %#018llx: %s", app_name(service->app), service->app->epoch,
		   (unsigned long long)client->handle, text);
	awaited_forget(client, service);
	clients_end(service->clients, client, EP_GONE_DEAD);
	if (session)
		client_fenced(session, -ESTALE, text);
	clients_leave(service->clients, client);
	service_tell_gone(service);
}

static void is_lazy(struct reaper *reaper, struct client *client, int64_t now)
{
	struct reaper_link *link = &client->reaped_as;
	int64_t limit = reaper->service->app->config->keepalive.reap_lazy;

	if (!link->lazy_since) {
		link->lazy_since = now;
		reaper->lazy++;
		say_lazy(reaper, client, now);
	}
	if (limit >= 0 && now - link->lazy_since >= limit)
		reap(reaper, client);
}

/* Of a process in another pid namespace only its session tells. */
static bool lives(const struct reaper *reaper, const struct client *client)
{
	struct identity identity = clients_identity(reaper->service->clients, client);
	int pidfd = identity.pid ? identity_open(&identity, reaper->service->app->epochd->kernel) : -1;
	bool dead = pidfd >= 0 ? pidfd_is_dead(pidfd) : identity.pid && pidfd == -ESRCH;

	if (pidfd >= 0)
		close(pidfd);
	return !dead;
}

/* A session can outlive its process: somebody else has it. */
static void is_dead(struct reaper *reaper, struct client *client)
{
	if (client->session)
		session_end(client->session);
	else
		awaited_died(reaper->service, client);
}

static void is_confused(struct reaper *reaper, struct client *client)
{
	struct service *service = reaper->service;
	struct session *session = client->session;

	log_error(0, "app %s epoch %u: the slot of client %#018llx contradicts itself: cleared", app_name(service->app),
		  service->app->epoch, (unsigned long long)client->handle);
	app_post(service->app, "confused", "the slot of a client contradicts itself: cleared");
	awaited_forget(client, service);
	clients_confused(service->clients, client);
	if (session)
		client_fenced(session, -ESTALE, "its slot was written by somebody else");
	clients_leave(service->clients, client);
	service_tell_gone(service);
	app_save(service->app);
}

/* In its application's own process, which is watched as a whole: it answers only where it waits. */
static bool is_inside(const struct reaper *reaper, const struct client *client)
{
	const struct session *session = client->session, *attached = reaper->service->attached;

	return session && attached && session->pid && session->pid == attached->pid;
}

static void look(struct reaper *reaper, struct client *client, int64_t now)
{
	struct reaper_link *link = &client->reaped_as;

	if (clients_contradict(reaper->service->clients, client)) {
		is_confused(reaper, client);
		return;
	}
	if (has_moved(client) || is_inside(reaper, client)) {
		reaper_heard(reaper, client);
		return;
	}
	to_the_end(reaper, link, now);
	if (link->unanswered < reaper->service->app->config->keepalive.misses)
		ping(reaper, client);
	else if (has_something_unread(client))
		return;   /* it did answer: heard in this turn of the loop */
	else if (lives(reaper, client))
		is_lazy(reaper, client, now);
	else
		is_dead(reaper, client);
}

/* Nobody is to blame for what was not read while we did not run. */
static void forgive(struct reaper *reaper, int64_t late)
{
	struct reaper_link *link = reaper->quiet.next;

	for (; link != &reaper->quiet; link = link->next)
		link->asked_at += late;
}

static void on_due(EV_P_ ev_timer *w, int revents)
{
	struct reaper *reaper = container_of(w, struct reaper, due);
	int64_t now = clock_now(), late = now - reaper->due_at, early = interval_of(reaper) / EARLY;
	int looks = 0;

	(void)loop;
	(void)revents;
	if (late > loop_was_away)
		forgive(reaper, late);
	while (!is_empty(reaper) && reaper->quiet.next->asked_at + interval_of(reaper) - early <= now && looks++ < SLICE)
		look(reaper, client_of(reaper->quiet.next), now);
	set_timer(reaper, looks <= SLICE ? early : early / PARTS < between_slices ? early / PARTS : between_slices);
}

void reaper_init(struct reaper *reaper, struct service *service)
{
	*reaper = (struct reaper){ .service = service };
	reaper->quiet.next = reaper->quiet.before = &reaper->quiet;
	reaper->over.next = reaper->over.before = &reaper->over;
	ev_timer_init(&reaper->due, on_due, 0., 0.);
}

void reaper_deinit(struct reaper *reaper)
{
	ev_timer_stop(reaper->service->app->epochd->loop, &reaper->due);
}
