/* bench-handle: a check of a handle through the library, beside the same two loads bare, in turns; each check needs
 * what the one before it found.
 *
 *   handle EPOCHD ECHO */
#include <config.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "apilib/handle.h"
#include "apilib/registry.h"
#include "tests/bench/bench.h"
#include "tests/bench/echo_client.h"

enum { CLIENTS = 16, CHECKS = 2000000, ROUNDS = 15 };

static uint64_t handles[CLIENTS];
static struct epochd_registry *registry;
static const struct ep_page *page;

static int64_t through_the_library(void)
{
	int64_t began = bench_now();
	uint64_t verdict = 0;

	for (unsigned i = 0; i < CHECKS; i++)
		verdict |= (uint64_t)epochd_handle_check(registry, handles[i % CLIENTS] | verdict);
	if (verdict)
		bench_die("a handle is %s", epochd_verdict_name((int)verdict));
	return bench_now() - began;
}

/* 0, if it is good. */
static inline uint64_t bare_check(uint64_t handle)
{
	/* Acquire, both, as in the library. */
	uint64_t fence = atomic_load_explicit(&page->fence, memory_order_acquire);
	const struct ep_slot *slot = &ep_registry_slots(page)[ep_handle_index(handle)];

	return (fence >> 40 ^ ep_handle_epoch(handle)) |
	       (atomic_load_explicit(&slot->handle, memory_order_acquire) ^ handle);
}

static int64_t bare(void)
{
	int64_t began = bench_now();
	uint64_t verdict = 0;

	for (unsigned i = 0; i < CHECKS; i++)
		verdict |= bare_check(handles[i % CLIENTS] | verdict);
	if (verdict)
		bench_die("a handle is not good");
	return bench_now() - began;
}

static double ns(int64_t *values) { return (double)bench_quantile(values, ROUNDS, 0.5) / CHECKS; }

int main(int argc, char **argv)
{
	static int64_t case_ns[ROUNDS], beside_ns[ROUNDS];
	char config[512];

	if (argc != 3) {
		fputs("usage: handle EPOCHD ECHO\n", stderr);
		return 2;
	}
	bench_init(argv[1], argv[2]);
	snprintf(config, sizeof config,
		 "application \"echo\" { command = { \"%s\", \"%d\" }  readiness = attach }\n", argv[2],
		 EPOCHD_SLEEP);
	bench_epochd_run(config);

	const struct epochd_options options = { .size = sizeof options, .instance = bench_instance(),
						.runtime_dir = bench_runtime() };

	for (int i = 0; i < CLIENTS; i++)   /* kept until the process ends */
		handles[i] = epochd_client_handle(echo_connect(EPOCHD_ADAPTIVE));
	page = echo_registry(CLIENTS);
	if (epochd_registry_open(&registry, "echo", &options) < 0)
		bench_die("cannot open the registry");
	through_the_library();   /* warm */
	bare();
	for (int i = 0; i < ROUNDS; i++) {
		case_ns[i] = through_the_library();
		beside_ns[i] = bare();
	}
	printf("{\"bench\": \"handle\", \"case\": \"a check, each needs the one before\", \"unit\": \"ns\", "
	       "\"p50\": %.2f, \"beside\": \"the same loads bare\", \"beside_p50\": %.2f, \"ratio\": %.2f, "
	       "\"aim\": 2}\n", ns(case_ns), ns(beside_ns), ns(case_ns) / ns(beside_ns));
	epochd_registry_close(registry);
	return EXIT_SUCCESS;
}
