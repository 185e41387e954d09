/* bench-workers: messages whose handler sleeps 1 ms, on four workers and on one, in turns; each of eight clients has some
 * under way all the time.
 *
 *   workers EPOCHD POOLED-SERVER */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/bench.h"
#include "tests/lib/pooled.h"

enum { CLIENTS = 8, UNDER_WAY = 4, MESSAGES = 800, ROUNDS = 5 };

static const int64_t patience = 60000000000;

struct side {
	const char *name;
	struct epochd_client *client[CLIENTS];
	int64_t took_ns[ROUNDS];
};

static void join(struct side *side)
{
	char why[300] = "";
	const struct epochd_options options = { .instance = bench_instance(), .runtime_dir = bench_runtime(),
						.why = why, .why_size = sizeof why };

	for (int i = 0; i < CLIENTS; i++)
		if (epochd_connect(&side->client[i], side->name, pooled_messages, pooled_count, &options) < 0)
			bench_die("%s: %s", side->name, why);
}

static void send_one(struct epochd_client *client)
{
	const struct work_1ms work = { 0 };

	if (epochd_send(client, work_1ms_id, 0, &work, sizeof work) < 0)
		bench_die("cannot send");
}

/* A client is asked in its turn; nobody waits for long, since each has several. */
static int64_t run(const struct side *side)
{
	int64_t began = bench_now();
	struct epochd_message reply;

	for (int i = 0; i < CLIENTS * UNDER_WAY; i++)
		send_one(side->client[i % CLIENTS]);
	for (int i = 0; i < MESSAGES; i++) {
		struct epochd_client *client = side->client[i % CLIENTS];

		if (epochd_receive(client, &reply, patience) < 0)
			bench_die("cannot receive");
		epochd_release(client, &reply);
		if (i < MESSAGES - CLIENTS * UNDER_WAY)
			send_one(client);
	}
	return bench_now() - began;
}

static double per_second(int64_t *took)
{
	return MESSAGES / ((double)bench_quantile(took, ROUNDS, 0.5) / 1e9);
}

int main(int argc, char **argv)
{
	static struct side four = { .name = "four" }, one = { .name = "one" };
	char config[1024];

	if (argc != 3) {
		fputs("usage: workers EPOCHD POOLED-SERVER\n", stderr);
		return 2;
	}
	bench_init(argv[1], argv[2]);
	snprintf(config, sizeof config,
		 "application \"four\" { command = { \"%s\", \"4\" }  readiness = attach }\n"
		 "application \"one\" { command = { \"%s\", \"1\" }  readiness = attach }\n", argv[2], argv[2]);
	bench_epochd_run(config);
	bench_epochd_await();
	join(&four);
	join(&one);
	for (int i = 0; i < ROUNDS; i++) {
		four.took_ns[i] = run(&four);
		one.took_ns[i] = run(&one);
	}
	printf("{\"bench\": \"workers\", \"case\": \"handlers of 1 ms, 4 workers\", \"unit\": \"messages/s\", "
	       "\"value\": %.0f, \"beside\": \"1 worker\", \"beside_value\": %.0f, \"ratio\": %.3f, \"aim\": 0.27}\n",
	       per_second(four.took_ns), per_second(one.took_ns), per_second(one.took_ns) / per_second(four.took_ns));
	for (int i = 0; i < CLIENTS; i++) {
		epochd_close(four.client[i]);
		epochd_close(one.client[i]);
	}
	return EXIT_SUCCESS;
}
