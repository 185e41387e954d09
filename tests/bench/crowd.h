/* Many quiet clients of the benches' applications, in a few processes, each of which answers whatever its supervisor asks,
 * and comes back to the next one, as a program with an event loop does. */
#ifndef EPOCHD_TESTS_BENCH_CROWD_H
#define EPOCHD_TESTS_BENCH_CROWD_H

#include <stdint.h>

struct crowd {
	unsigned apps;        /* "echo0" and so on */
	unsigned clients;     /* of each */
	unsigned processes;
};

void crowd_begin(const struct crowd *crowd);   /* until all of them have joined */
/* Each of them makes one call; how many had the right answer. */
unsigned crowd_call(void);
void crowd_end(void);

/* The registries of all applications, mapped until the process ends. */
struct ep_page;
const struct ep_page *crowd_registry(unsigned app);
const struct ep_page *crowd_registry_of(unsigned app, unsigned slots);   /* with as many */
/* Of those that are there: how many were heard since then (CLOCK_MONOTONIC, ns). */
unsigned crowd_heard(int64_t since);
#endif
