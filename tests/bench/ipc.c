/* bench-ipc: round trips and throughput through libepochd, beside what the cores, a pipe and a Unix socket can do, in
 * turns.
 *
 *   ipc EPOCHD ECHO */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/echo.h"
#include "tests/bench/peer.h"

enum { ROUNDS = 9, MESSAGES_MAX = 200000 };

struct measured {
	const char *name;
	size_t size;
	bool sleeps, many, traced;
	int other;             /* the processor of the other side; ours is 0 */
	size_t count;          /* messages a round */
	struct { const struct way *way; double aim; } beside[3];   /* aim 0: none */
};

static const struct measured each[] = {
	{ "32 B, polling", 32, false, false, false, 1, 100000, { { &way_lines, 1.15 } } },
	{ "1 KiB, polling", 1024, false, false, false, 1, 50000, { { &way_lines, 1.15 } } },
	{ "16 KiB, polling", 16384, false, false, false, 1, 10000, { { &way_lines, 1.15 } } },
	{ "32 B, polling, 128 under way", 32, false, true, false, 1, 200000, { { &way_lines, 1.25 } } },
	{ .name = "32 B, polling, traced", .size = 32, .traced = true, .other = 1, .count = 100000, .beside = { { &way_lines, 0 } } },
	{ "32 B, sleeping, one processor", 32, true, false, false, 0, 5000, { { &way_pipe, 1.1 }, { &way_unix, 0 } } },
	{ "32 B, sleeping, two processors", 32, true, false, false, 1, 3000, { { &way_pipe, 1.3 }, { &way_unix, 0 } } },
	{ "1 KiB, sleeping, one processor", 1024, true, false, false, 0, 5000, { { &way_pipe, 0 }, { &way_unix, 0 } } },
	{ "16 KiB, sleeping, one processor", 16384, true, false, false, 0, 3000, { { &way_pipe, 0 }, { &way_unix, 0 } } },
	{ "32 B, sleeping, 128 under way", 32, true, true, false, 1, 50000, { { &way_pipe, 0 }, { &way_unix, 0 } } },
};

struct result { int64_t p50[ROUNDS], p99[ROUNDS], p999[ROUNDS], rate[ROUNDS]; };

static struct peer peer;

static void start(const struct measured *measured, const char *echo)
{
	char config[1024];

	snprintf(config, sizeof config,
		 "application \"echo\" {\n"
		 "  command = { \"%s\", \"%d\", \"%d\" }  readiness = attach\n"
		 "  channel { ring = 256  buffers = { \"64x1024\", \"64x16384\" } }  trace { on = %s }\n"
		 "}\n", echo, measured->sleeps ? EPOCHD_SLEEP : EPOCHD_BUSY, measured->other,
		 measured->traced ? "true" : "false");
	bench_epochd_run(config);
	peer.size = measured->size;
	peer.sleeps = measured->sleeps;
	peer.cpu[0] = 0;
	peer.cpu[1] = measured->other;
	peer.many = measured->many;
}

static void round_of(const struct way *way, const struct measured *measured, struct result *result, int round)
{
	static int64_t ticks[MESSAGES_MAX];
	double ns = peer_ns_of_tick();
	size_t n = measured->count;

	way->open(&peer);
	if (measured->many) {
		way->run(&peer, n / 10, NULL);   /* warm */
		result->rate[round] = (int64_t)((double)n * 1e9 / ((double)way->run(&peer, n, NULL) * ns));
	} else {
		way->run(&peer, n / 10, ticks);
		way->run(&peer, n, ticks);
		result->p50[round] = (int64_t)(1000 * ns * (double)bench_quantile(ticks, n, 0.5));
		result->p99[round] = (int64_t)(1000 * ns * (double)bench_quantile(ticks, n, 0.99));
		result->p999[round] = (int64_t)(1000 * ns * (double)bench_quantile(ticks, n, 0.999));
	}
	way->close(&peer);
}

static double middle(int64_t *values) { return (double)bench_quantile(values, ROUNDS, 0.5); }

static void print_aim(double ratio, double aim)
{
	printf("\"ratio\": %.2f", ratio);
	if (aim > 0)
		printf(", \"aim\": %.2f", aim);
	puts("}");
}

static void print(const struct measured *measured, struct result *ours, const struct way *way, struct result *theirs,
		  double aim)
{
	if (measured->many) {
		double value = middle(ours->rate) / 1e6, beside = middle(theirs->rate) / 1e6;

		printf("{\"bench\": \"ipc\", \"case\": \"%s\", \"unit\": \"M/s\", \"value\": %.3f, "
		       "\"beside\": \"%s\", \"beside_value\": %.3f, ", measured->name, value, way->name, beside);
		print_aim(beside / value, aim);
		return;
	}
	printf("{\"bench\": \"ipc\", \"case\": \"%s\", \"unit\": \"ns\", \"p50\": %.0f, \"p99\": %.0f, "
	       "\"p999\": %.0f, \"beside\": \"%s\", \"beside_p50\": %.0f, \"beside_p99\": %.0f, "
	       "\"beside_p999\": %.0f, ", measured->name, middle(ours->p50) / 1e3, middle(ours->p99) / 1e3,
	       middle(ours->p999) / 1e3, way->name, middle(theirs->p50) / 1e3, middle(theirs->p99) / 1e3,
	       middle(theirs->p999) / 1e3);
	print_aim(middle(ours->p50) / middle(theirs->p50), aim);
}

static void measure(const struct measured *measured, const char *echo)
{
	static struct result ours, theirs[ARRAY_SIZE(measured->beside)];

	start(measured, echo);
	for (int round = 0; round < ROUNDS; round++) {
		round_of(&way_epochd, measured, &ours, round);
		for (size_t i = 0; i < ARRAY_SIZE(measured->beside) && measured->beside[i].way; i++)
			round_of(measured->beside[i].way, measured, &theirs[i], round);
	}
	for (size_t i = 0; i < ARRAY_SIZE(measured->beside) && measured->beside[i].way; i++)
		print(measured, &ours, measured->beside[i].way, &theirs[i], measured->beside[i].aim);
	way_epochd_end();
	bench_epochd_stop();
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fputs("usage: ipc EPOCHD ECHO [NUMBER]\n", stderr);
		return 2;
	}
	bench_init(argv[1], argv[2]);
	bench_pin(0);
	for (size_t i = 0; i < ARRAY_SIZE(each); i++)
		if (argc == 3 || (size_t)atoi(argv[3]) == i)
			measure(&each[i], argv[2]);
	return EXIT_SUCCESS;
}
