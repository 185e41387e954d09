/* How long an application's messages wait and are handled, by type: of the epoch that was attached last. From its meter
 * (apilib/meter.h), which it goes on writing meanwhile. */
#ifndef EPOCHD_LATENCY_H
#define EPOCHD_LATENCY_H

#include <stdint.h>

#include <jansson.h>

struct app;
struct ep_histogram;
struct ep_meter;

/* Of the message of that number (from 1 on); NULL: it is not known. */
const struct ep_meter *latency_meter(const struct app *app, uint32_t id);

/* /v1/apps/APP/latency. New reference, or NULL. */
json_t *latency_json(const struct app *app);

/* A copy that stands still, and what it says. */
enum { LATENCY_BOUNDS = 14 };
struct latency {
	uint64_t count, sum_ns;
	uint64_t up_to[LATENCY_BOUNDS];   /* how many took no longer than latency_bound_ns() */
	uint64_t p50_ns, p90_ns, p99_ns, p999_ns, most_ns;   /* each up to a quarter more than it was; 0 of none */
};
void latency_read(struct latency *out, const struct ep_histogram *histogram);
uint64_t latency_bound_ns(uint32_t bound);   /* 1 us to 69 s, each four times the one before */
#endif
