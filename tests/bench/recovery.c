/* bench-recovery: 1,000 applications and 10,000 clients; the supervisor is killed and the next one started, while two
 * processes exchange messages as fast as they can. Until all are adopted, until all have come back, messages lost, and the
 * longest pause of the two, beside that of two that exchange bare cache lines meanwhile.
 *
 *   recovery EPOCHD ECHO */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "apilib/epochd.h"
#include "apilib/registry.h"
#include "tests/bench/bench.h"
#include "tests/bench/crowd.h"
#include "tests/bench/peer.h"

enum { APPS = 1000, CLIENTS = 10, PROCESSES = 20, ROUNDS = 7, CALLS = 10000 };

static struct peer peer = { .size = 32, .cpu = { 0, 1 } };
static struct { int64_t adopted[ROUNDS], back[ROUNDS], pause[ROUNDS], bare[ROUNDS]; } found;

struct kill {
	int64_t adopted, back;   /* ns, since the next one was started */
	_Atomic bool done;
};

static void *kill_and_start(void *user)
{
	struct kill *kill = user;
	int64_t from;

	bench_nap(300);
	bench_epochd_kill();
	bench_nap(100);
	from = bench_now();
	bench_epochd_again();
	bench_epochd_await();
	kill->adopted = bench_now() - from;
	while (crowd_heard(from) < APPS * CLIENTS)
		bench_nap(2);
	kill->back = bench_now() - from;
	bench_nap(300);
	atomic_store(&kill->done, true);
	return NULL;
}

/* The longest time that a message there and back took, ns, while all that happens. */
static int64_t longest_pause(const struct way *way, struct kill *kill)
{
	static int64_t each[CALLS];
	int64_t longest = 0;
	pthread_t thread;

	atomic_store(&kill->done, false);
	way->run(&peer, CALLS, each);   /* warm */
	if (pthread_create(&thread, NULL, kill_and_start, kill) != 0)
		bench_die("no thread");
	while (!atomic_load(&kill->done)) {
		way->run(&peer, CALLS, each);
		for (int i = 0; i < CALLS; i++)
			longest = each[i] > longest ? each[i] : longest;
	}
	pthread_join(thread, NULL);
	return (int64_t)(peer_ns_of_tick() * (double)longest);
}

static char *configuration(const char *echo)
{
	char *config;
	size_t size;
	FILE *text = open_memstream(&config, &size);

	if (!text)
		bench_die("no memory");
	fprintf(text, "application \"echo\" { command = { \"%s\", \"%d\", \"1\" }  readiness = attach }\n", echo, EPOCHD_BUSY);
	for (int i = 0; i < APPS; i++)
		fprintf(text, "application \"echo%d\" { command = { \"%s\", \"%d\" }  readiness = attach\n"
			"  clients { max-per-user = 4096 }  channel { ring = 16  buffers = { \"4x64\" } } }\n",
			i, echo, EPOCHD_SLEEP);
	fclose(text);
	return config;
}

static uint64_t total_of_all(enum ep_total_id id)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < APPS; i++)
		sum += atomic_load(&crowd_registry(i)->total[id]);
	return sum;
}

static double ms(int64_t *values) { return (double)bench_quantile(values, ROUNDS, 0.5) / 1e6; }
static double worst(int64_t *values) { return (double)bench_quantile(values, ROUNDS, 1) / 1e6; }

static void print_lines(unsigned good)
{
	uint64_t restarts = 0;

	for (int i = EP_TOTAL_RESTARTS; i < EP_TOTAL_RECLAIMED_MESSAGES; i++)
		restarts += total_of_all((enum ep_total_id)i);
	printf("{\"bench\": \"recovery\", \"case\": \"supervisor started, %d applications adopted\", \"unit\": \"ms\", "
	       "\"value\": %.1f, \"worst\": %.1f, \"aim\": 1000}\n", APPS + 1, ms(found.adopted), worst(found.adopted));
	printf("{\"bench\": \"recovery\", \"case\": \"supervisor started, %d clients back\", \"unit\": \"ms\", "
	       "\"value\": %.1f, \"worst\": %.1f, \"aim\": 5000}\n", APPS * CLIENTS, ms(found.back), worst(found.back));
	printf("{\"bench\": \"recovery\", \"case\": \"lost in %d kills: calls, messages reclaimed, clients, restarts\", "
	       "\"unit\": \"1\", \"value\": %llu, \"aim\": 0}\n", 2 * ROUNDS,
	       (unsigned long long)(2ull * APPS * CLIENTS - good + total_of_all(EP_TOTAL_RECLAIMED_MESSAGES) +
				    total_of_all(EP_TOTAL_CLIENTS_REAPED) + restarts));
	printf("{\"bench\": \"recovery\", \"case\": \"longest pause of a busy client through kill and recovery\", "
	       "\"unit\": \"ms\", \"p50\": %.2f, \"beside\": \"bare lines through the same\", \"beside_p50\": %.2f, "
	       "\"ratio\": %.2f, \"aim\": 1.5}\n", ms(found.pause), ms(found.bare), ms(found.pause) / ms(found.bare));
}

int main(int argc, char **argv)
{
	const struct crowd crowd = { APPS, CLIENTS, PROCESSES };
	struct rlimit files;
	unsigned good;
	char *config;

	if (argc != 3) {
		fputs("usage: recovery EPOCHD ECHO\n", stderr);
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_max < APPS * CLIENTS + 6 * APPS)
		bench_die("a process may have %llu files: too few", (unsigned long long)files.rlim_max);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	bench_init(argv[1], argv[2]);
	config = configuration(argv[2]);
	bench_epochd_run(config);
	free(config);
	crowd_begin(&crowd);
	good = crowd_call();
	for (int i = 0; i < ROUNDS; i++) {
		struct kill kill = { 0 };

		way_epochd.open(&peer);
		found.pause[i] = longest_pause(&way_epochd, &kill);
		found.adopted[i] = kill.adopted;
		found.back[i] = kill.back;
		way_epochd.close(&peer);
		way_lines.open(&peer);
		found.bare[i] = longest_pause(&way_lines, &kill);
		way_lines.close(&peer);
	}
	good += crowd_call();
	print_lines(good);
	way_epochd_end();
	crowd_end();
	return EXIT_SUCCESS;
}
