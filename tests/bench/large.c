/* bench-large: a message in a buffer beside the classes, from its being sent to the reply of its handler, of 64 MiB and of
 * 64 KiB, in turns: filled before, looked at in place. What took longer for the larger one would be a copy.
 *
 *   large EPOCHD SELF
 *   large serve          the application */
#include <config.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apilib/epochd.h"
#include "tests/bench/bench.h"

#define BLOB(FIELD, ARRAY) FIELD(u64, first)
#define LIST(MESSAGE) \
	MESSAGE(blob, "bench.blob", BLOB, EPOCHD_TAIL | EPOCHD_IN_PLACE) \
	MESSAGE(seen, "bench.seen", BLOB, 0)
EPOCHD_MESSAGES(large, LIST)

enum { ROUNDS = 9, CALLS = 5000 };

static const int64_t patience = 60000000000;
static const struct { const char *name; size_t size; } sides[2] = { { "64 MiB", 64 << 20 }, { "64 KiB", 64 << 10 } };

static struct epochd_app *app;
static struct epochd_client *client;

static void on_blob(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	struct seen seen;

	(void)user;
	memcpy(&seen, message->payload, sizeof seen);
	epochd_reply(of, message, seen_id, &seen, sizeof seen);
}

static void on_signal(int signal)
{
	(void)signal;
	epochd_stop(app);   /* NOLINT(bugprone-signal-handler): it may */
}

static int serve(void)
{
	const struct epochd_options options = { .wait = EPOCHD_BUSY };

	if (epochd_attach(&app, large_messages, large_count, &options) < 0)
		return 1;
	bench_pin(1);
	epochd_handle(app, blob_id, on_blob, NULL);
	signal(SIGTERM, on_signal);
	epochd_run(app);
	epochd_detach(app);
	return 0;
}

static void *filled(size_t size)
{
	void *memory;

	if (epochd_allocate_wait(client, size, &memory, patience) < 0)
		bench_die("no buffer of %zu bytes", size);
	return memory;
}

/* p50, ns */
static int64_t measure(size_t size)
{
	static int64_t took[CALLS];
	struct epochd_message reply;

	for (int i = 0; i < CALLS; i++) {
		void *memory = filled(size);
		int64_t began;

		memset(memory, i, 4096);
		began = bench_now();
		if (epochd_call(client, blob_id, memory, size, &reply, patience) < 0)
			bench_die("a call failed");
		took[i] = bench_now() - began;
		epochd_release(client, &reply);
	}
	return bench_quantile(took, CALLS, 0.5);
}

int main(int argc, char **argv)
{
	static int64_t p50[2][ROUNDS];
	struct epochd_options options = { .wait = EPOCHD_BUSY };
	char config[1024], why[300] = "";

	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		return serve();
	if (argc != 3) {
		fputs("usage: large EPOCHD SELF\n", stderr);
		return 2;
	}
	bench_init(argv[1], argv[2]);
	snprintf(config, sizeof config, "application \"large\" { command = { \"%s\", \"serve\" }  readiness = attach\n"
		 "clients { large = 256M }  channel { buffers = { \"4x1024\" } } }\n", argv[2]);
	bench_epochd_run(config);
	bench_epochd_await();
	options.instance = bench_instance();
	options.runtime_dir = bench_runtime();
	options.why = why;
	options.why_size = sizeof why;
	bench_pin(0);
	if (epochd_connect(&client, "large", large_messages, large_count, &options) < 0)
		bench_die("%s", why);
	/* Small first, so that each has a buffer of its own; and all of both is there. */
	for (int i = 1; i >= 0; i--) {
		void *memory = filled(sides[i].size);

		memset(memory, 1, sides[i].size);
		epochd_free(client, memory);
	}
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < 2; i++)
			p50[i][round] = measure(sides[i].size);
	printf("{\"bench\": \"large\", \"case\": \"%s, in place\", \"unit\": \"ns\", \"p50\": %lld, \"beside\": \"%s\", "
	       "\"beside_p50\": %lld, \"ratio\": %.2f, \"aim\": 1.1}\n", sides[0].name,
	       (long long)bench_quantile(p50[0], ROUNDS, 0.5), sides[1].name,
	       (long long)bench_quantile(p50[1], ROUNDS, 0.5),
	       (double)bench_quantile(p50[0], ROUNDS, 0.5) / (double)bench_quantile(p50[1], ROUNDS, 0.5));
	epochd_close(client);
	return EXIT_SUCCESS;
}
