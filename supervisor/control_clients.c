/* What is asked of an application's clients: who they are, their rings, what became of a handle. */
#include <config.h>

#include "supervisor/control_request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "apilib/registry_view.h"
#include "store/store.h"
#include "supervisor/app_private.h"
#include "supervisor/clients.h"
#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/overdue.h"
#include "supervisor/report.h"
#include "supervisor/service.h"
#include "supervisor/sessions.h"

static struct epochd *epochd_of(const struct request *request)
{
	return request->parked.listener->control->epochd;
}

static json_t *handle_json(uint64_t handle)
{
	return json_sprintf("0x%016" PRIx64, handle);
}

/* Of one client, an array that grows. */
struct listing {
	const struct app *app;
	uint64_t only;      /* 0: all */
	json_t *array;      /* NULL: memory is out */
};

static void add(struct listing *listing, json_t *item /* stolen */)
{
	if (listing->array && json_array_append_new(listing->array, item) < 0) {
		json_decref(listing->array);
		listing->array = NULL;
	}
}

/* Relaxed, all: a peer's counters, shown for that client and never added to anything (I6). */
static uint64_t shown(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static json_int_t sent(const struct client *client, enum ep_direction direction)
{
	if (!client->channel.base)   /* of a supervisor before us, and not brought yet */
		return 0;
	return (json_int_t)(shown(&ep_channel_lane(&client->channel, direction).head->sent) & INT64_MAX);
}

static void add_client(struct client *client, void *user)
{
	struct listing *listing = user;
	const struct ep_slot *slot = &ep_registry_slots(listing->app->registry)[ep_handle_index(client->handle)];

	add(listing, json_pack("{s:o, s:s, s:s, s:i, s:I, s:o, s:f, s:I, s:I, s:I}",
			       "handle", handle_json(client->handle), "name", slot->name,
			       "state", client->reaped_as.lazy_since ? "lazy" : client->session ? "connected" : "awaited",
			       "pid", (int)slot->pid, "uid", (json_int_t)slot->uid,
			       "since", report_time((int64_t)slot->registered_at),
			       "quiet_seconds", clock_seconds(clock_now() - client->reaped_as.heard_at),
			       "unanswered", (json_int_t)client->reaped_as.unanswered,
			       "sent", sent(client, EP_TO_APPLICATION),
			       "received", sent(client, EP_TO_CLIENT)));
}

static json_t *class_json(const struct ep_lane *lane, uint32_t class, const struct overdue_class *of)
{
	uint64_t used = 0;

	for (uint32_t i = 0; i < lane->geometry->class[class].count; i++)
		used += ep_allocated_generation(shown(&lane->allocated[class][i])) !=
			shown(&lane->released[class][i]);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			 "size", (json_int_t)lane->geometry->class[class].size,
			 "count", (json_int_t)lane->geometry->class[class].count,
			 "in_use", (json_int_t)used,
			 "hits", (json_int_t)(shown(&lane->head->hits[class]) & INT64_MAX),
			 "misses", (json_int_t)(shown(&lane->head->misses[class]) & INT64_MAX),
			 "overdue", (json_int_t)(of ? of[class].overdue : 0),
			 "collected", (json_int_t)(of ? of[class].collected : 0));
}

static json_t *classes_json(const struct ep_lane *lane, const struct overdue_class *of)
{
	json_t *array = json_array();

	for (uint32_t i = 0; array && i < lane->geometry->classes; i++)
		json_array_append_new(array, class_json(lane, i, of));
	return array;
}

/* Those beside the classes. */
static json_t *large_json(const struct ep_lane *lane)
{
	json_t *sizes = json_array();
	uint64_t used = 0;

	for (uint32_t i = 0; sizes && i < EP_LARGE_SLOTS; i++) {
		if (!lane->large[i].size)
			continue;
		json_array_append_new(sizes, json_integer((json_int_t)lane->large[i].size));
		used += ep_allocated_generation(shown(&lane->allocated[EP_CLASS_LARGE][i])) !=
			(shown(&lane->released[EP_CLASS_LARGE][i]) & ~EP_ENDED_BY_SUPERVISOR);
	}
	return json_pack("{s:o, s:I, s:I}", "sizes", sizes, "in_use", (json_int_t)used,
			 "fallbacks", (json_int_t)(shown(&lane->head->fallbacks) & INT64_MAX));
}

/* Collects what is overdue, where that is wanted, and counts it. NULL: nothing is. */
static const struct overdue_class *look_for_overdue(const struct app *app, struct client *client,
						    enum ep_direction direction)
{
	const struct overdue_options options = { .timeout = app->config->gc_timeout,
						 .collect = app->config->gc == GC_COLLECT, .now = clock_now() };
	const struct ep_geometry *geometry = &client->channel.geometry;
	const struct overdue_class *of = overdue_look(&client->overdue, &client->channel, direction, &options);

	for (uint32_t i = 0; of && i < geometry->classes; i++)
		if (of[i].fresh)
			clients_collected(app->service->clients, client, of[i].fresh, geometry->class[i].size);
	return of;
}

static json_t *ring_json(const struct app *app, struct client *client, const char *name, enum ep_direction direction)
{
	/* First: what it collects is not in use any more. */
	const struct overdue_class *overdue = look_for_overdue(app, client, direction);
	struct ep_lane lane = ep_channel_lane(&client->channel, direction);
	uint64_t were_sent = shown(&lane.head->sent), consumed = shown(&lane.head->consumed);
	uint64_t used = were_sent - consumed <= lane.mask + 1 ? were_sent - consumed : 0;

	return json_pack("{s:o, s:s, s:s, s:I, s:I, s:I, s:o, s:o}",
			 "handle", handle_json(client->handle), "name", name,
			 "owner", direction == EP_TO_APPLICATION ? "client" : "application",
			 "lines", (json_int_t)lane.mask + 1, "in_use", (json_int_t)used,
			 "sent", (json_int_t)(were_sent & INT64_MAX), "buffers", classes_json(&lane, overdue),
			 "large", large_json(&lane));
}

static void add_rings(struct client *client, void *user)
{
	struct listing *listing = user;
	const struct ep_slot *slot = &ep_registry_slots(listing->app->registry)[ep_handle_index(client->handle)];

	if ((listing->only && listing->only != client->handle) || !client->channel.base)
		return;
	add(listing, ring_json(listing->app, client, slot->name, EP_TO_APPLICATION));
	add(listing, ring_json(listing->app, client, slot->name, EP_TO_CLIENT));
}

static void answer_listing(struct request *request, const char *key, client_fn *fn)
{
	struct app *app = app_of(request);
	struct listing listing = { .app = app, .array = json_array() };

	if (!app) {
		json_decref(listing.array);
		return;
	}
	if (app->service)
		clients_each(app->service->clients, fn, &listing);
	answer_json(request, MHD_HTTP_OK, json_pack("{s:s, s:I, s:o}", "app", app_name(app),
						    "epoch", (json_int_t)app->epoch, key, listing.array));
}

void get_clients(struct request *request) { answer_listing(request, "clients", add_client); }
void get_rings(struct request *request) { answer_listing(request, "rings", add_rings); }

/* ---- one handle ---- */

static bool parse_handle(struct request *request, uint64_t *out)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(request->second, &end, 0);
	*out = value;
	if (request->second[0] >= '0' && request->second[0] <= '9' && !*end && !errno)
		return true;
	answer_problem(request, MHD_HTTP_BAD_REQUEST, "%s: expected a handle such as 0x0000070000100003",
		       request->second);
	return false;
}

/* As everybody does who may read the registry, but of ours. Not counted: nobody used it. */
static enum ep_verdict verdict_of(const struct app *app, uint64_t handle)
{
	struct ep_view view = { .page = app->registry, .slot_count = app->registry->slot_count };

	return ep_handle_check(&view, handle);
}

static void answer_handle(struct request *request, const struct app *app, uint64_t handle,
			  json_t *ended /* stolen */)
{
	enum ep_verdict verdict = verdict_of(app, handle);

	answer_json(request, MHD_HTTP_OK,
		    json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:o}", "app", app_name(app),
			      "handle", handle_json(handle), "verdict", ep_verdict_name(verdict),
			      "handle_epoch", (json_int_t)ep_handle_epoch(handle),
			      "generation", (json_int_t)ep_handle_generation(handle),
			      "index", (json_int_t)ep_handle_index(handle),
			      "epoch", (json_int_t)app->epoch, "ended", ended));
}

/* When and why the handle's epoch ended. */
static void on_incarnation(int r, const struct store_incarnation *rows, size_t count, void *user)
{
	struct request *request = user;
	struct app *app = epochd_app(epochd_of(request), request->name);
	bool found = r == 0 && count && rows[0].epoch == ep_handle_epoch(request->handle);

	if (app)
		answer_handle(request, app, request->handle,
			      found ? report_incarnation_json(&rows[0], NULL) : json_null());
	else
		answer_problem(request, MHD_HTTP_NOT_FOUND, "application %s is not configured any more",
			       request->name);
	unpark(&request->parked);
}

void get_handle(struct request *request)
{
	struct app *app = app_of(request);
	int r;

	if (!app || !parse_handle(request, &request->handle))
		return;
	if (verdict_of(app, request->handle) != EP_HANDLE_STALE_EPOCH) {
		answer_handle(request, app, request->handle, json_null());
		return;
	}
	r = store_read_incarnations(epochd_of(request)->store, request->name,
				    ep_handle_epoch(request->handle) + 1, 1, on_incarnation, request);
	if (r < 0)
		answer_handle(request, app, request->handle, json_null());
	else if (!request->response)
		request_wait(request, FOR_STORE);
}

void post_kick(struct request *request)
{
	struct app *app = app_of(request);
	struct client *client;

	if (!app || !parse_handle(request, &request->handle))
		return;
	client = app->service ? clients_find(app->service->clients, request->handle) : NULL;
	if (!client || !client->there) {
		answer_problem(request, MHD_HTTP_CONFLICT, "%s has no client 0x%016" PRIx64 ": %s", app_name(app),
			       request->handle, ep_verdict_name(verdict_of(app, request->handle)));
		return;
	}
	sessions_kick(app, client, "sent away by an operator");
	answer_json(request, MHD_HTTP_OK, json_pack("{s:s, s:o}", "app", app_name(app),
						    "kicked", handle_json(request->handle)));
}
