/* bench-reaper: with 10,000 clients connected, from SIGKILL of another one to its slot being free, for which the
 * application was told and has answered; and what the supervisor spends on 10,000 idle ones, which it pings.
 *
 *   reaper EPOCHD ECHO */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "apilib/registry.h"
#include "tests/bench/bench.h"
#include "tests/bench/crowd.h"
#include "tests/bench/echo.h"

enum { CLIENTS = 10000, PROCESSES = 20, KILLS = 300, IDLE_MS = 30000 };

static const int64_t patience = 60000000000;
static const struct ep_page *page;

static const struct ep_slot *slot_of(pid_t pid)
{
	uint32_t backed = atomic_load(&page->slots_backed);

	for (uint32_t i = backed; i-- > 0;) {
		const struct ep_slot *slot = &ep_registry_slots(page)[i];

		if (slot->pid == pid && atomic_load(&slot->handle))
			return slot;
	}
	return NULL;
}

static void be_victim(void)
{
	char why[300] = "";
	const struct epochd_options options = {
		.size = sizeof options, .instance = bench_instance(), .runtime_dir = bench_runtime(),
		.timeout = patience, .why = why, .why_size = sizeof why,
	};
	const struct echo_work work = { 1 };
	struct epochd_client *client;
	struct epochd_message reply;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (epochd_connect(&client, "echo0", echo_messages, echo_count, &options) < 0 ||
	    epochd_call(client, echo_work_id, &work, sizeof work, &reply, patience) < 0)
		_exit(1);
	for (;;)
		pause();
}

/* ns until its slot is free: its application has said by then what was left in the channel. */
static int64_t kill_one(void)
{
	const struct timespec soon = { .tv_nsec = 10000 };
	const struct ep_slot *slot = NULL;
	int64_t from, end = bench_now() + patience;
	pid_t pid = fork();

	if (pid == 0)
		be_victim();
	while (!(slot = slot_of(pid)) || !atomic_load(&slot->heard_at)) {
		if (bench_now() > end)
			bench_die("a client did not join");
		bench_nap(1);
	}
	bench_nap(20);
	from = bench_now();
	kill(pid, SIGKILL);
	while (atomic_load(&slot->handle) || atomic_load(&slot->owed)) {   /* a processor is not taken from the others */
		if (bench_now() > end)
			bench_die("a client that was killed is still there");
		nanosleep(&soon, NULL);
	}
	from = bench_now() - from;
	waitpid(pid, NULL, 0);
	return from;
}

/* CPU time of a process, all of its threads: seconds. */
static double cpu_of(pid_t pid)
{
	struct timespec time;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) < 0)
		bench_die("the CPU time of epochd is not known");
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static int64_t ns[KILLS];
	const struct crowd crowd = { 1, CLIENTS, PROCESSES };
	struct rlimit files;
	char config[1024];
	double cpu;
	pid_t pid;

	if (argc != 3) {
		fputs("usage: reaper EPOCHD ECHO\n", stderr);
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_max < CLIENTS + 1000)
		bench_die("a process may have %llu files: too few", (unsigned long long)files.rlim_max);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	bench_init(argv[1], argv[2]);
	prctl(PR_SET_TIMERSLACK, 1);
	snprintf(config, sizeof config,
		 "application \"echo0\" {\n"
		 "  command = { \"%s\", \"%d\" }  readiness = attach\n"
		 "  clients { max = %d  max-per-user = %d }  channel { ring = 16  buffers = { \"4x64\" } }\n"
		 "  keepalive { interval = 10s }\n"
		 "}\n", argv[2], EPOCHD_SLEEP, 2 * CLIENTS, 2 * CLIENTS);
	pid = bench_epochd_run(config);
	crowd_begin(&crowd);
	page = crowd_registry_of(0, 2 * CLIENTS);
	for (int i = 0; i < KILLS; i++)
		ns[i] = kill_one();
	printf("{\"bench\": \"reaper\", \"case\": \"client killed to slot free and application told, %d connected: p99\", "
	       "\"unit\": \"ms\", \"p50\": %.3f, \"value\": %.3f, \"aim\": 2}\n", CLIENTS,
	       (double)bench_quantile(ns, KILLS, 0.5) / 1e6, (double)bench_quantile(ns, KILLS, 0.99) / 1e6);
	cpu = cpu_of(pid);
	bench_nap(IDLE_MS);
	printf("{\"bench\": \"reaper\", \"case\": \"supervisor with %d idle clients, pinged every 10 s\", "
	       "\"unit\": \"%% of a core\", \"value\": %.2f, \"aim\": 1}\n", CLIENTS,
	       (cpu_of(pid) - cpu) / (IDLE_MS / 1e3) * 100);
	crowd_end();
	return EXIT_SUCCESS;
}
