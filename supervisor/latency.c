#include <config.h>

#include "supervisor/latency.h"

#include "apilib/meter.h"
#include "supervisor/app_private.h"
#include "supervisor/configuration.h"
#include "supervisor/messages.h"
#include "supervisor/service.h"

enum { BOUND_FIRST = 10 };   /* octave */

static const uint64_t count_most = (1ull << 48) - 1;

uint64_t latency_bound_ns(uint32_t bound) { return 1ull << (BOUND_FIRST + 2 * bound); }

/* Where that many of all, from below, are in: as large as it can be. */
static uint64_t at(const uint64_t count[static EP_BUCKETS], uint64_t rank)
{
	uint64_t sum = 0;
	uint32_t i = 0;

	while (i < EP_BUCKETS - 1 && (sum += count[i]) < rank)
		i++;
	return i < EP_BUCKETS - 1 ? ep_bucket_end(i) - 1 : ep_bucket_end(i - 1);
}

/* From the copy's count: then the parts are of the whole, whatever is counted meanwhile. */
void latency_read(struct latency *out, const struct ep_histogram *histogram)
{
	uint64_t count[EP_BUCKETS];
	struct latency latency = { .sum_ns = ep_meter_read(&histogram->sum) };

	for (uint32_t i = 0; i < EP_BUCKETS; i++) {
		count[i] = ep_meter_read(&histogram->bucket[i]) & count_most;   /* I6: no sum wraps */
		latency.count += count[i];
		for (uint32_t j = 0; j < LATENCY_BOUNDS; j++)
			if (ep_bucket_end(i) <= latency_bound_ns(j))
				latency.up_to[j] += count[i];
	}
	if (latency.count) {
		latency.p50_ns = at(count, latency.count - latency.count / 2);
		latency.p90_ns = at(count, latency.count - latency.count / 10);
		latency.p99_ns = at(count, latency.count - latency.count / 100);
		latency.p999_ns = at(count, latency.count - latency.count / 1000);
		latency.most_ns = at(count, latency.count);
	}
	*out = latency;
}

const struct ep_meter *latency_meter(const struct app *app, uint32_t id)
{
	const struct service *service = app->service;

	return service && service->meter && id > 0 && id <= service->meter_types ? &service->meter->type[id - 1] : NULL;
}

static json_t *one_json(const struct ep_histogram *histogram)
{
	struct latency latency;

	latency_read(&latency, histogram);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			 "count", (json_int_t)latency.count, "sum_ns", (json_int_t)(latency.sum_ns & INT64_MAX),
			 "p50_ns", (json_int_t)latency.p50_ns, "p90_ns", (json_int_t)latency.p90_ns,
			 "p99_ns", (json_int_t)latency.p99_ns, "p999_ns", (json_int_t)latency.p999_ns,
			 "max_ns", (json_int_t)latency.most_ns);
}

struct listing { const struct app *app; json_t *array; };

static void add(uint32_t id, const char *name, void *user)
{
	struct listing *listing = user;
	const struct ep_meter *meter = latency_meter(listing->app, id);

	if (meter)
		json_array_append_new(listing->array, json_pack("{s:I, s:s, s:o, s:o}", "id", (json_int_t)id,
			"name", name, "wait", one_json(&meter->wait), "handling", one_json(&meter->handling)));
}

json_t *latency_json(const struct app *app)
{
	struct listing listing = { app, json_array() };

	messages_each(app, add, &listing);
	return json_pack("{s:s, s:I, s:o}", "app", app->config->name, "epoch", (json_int_t)app->epoch,
			 "messages", listing.array);
}
