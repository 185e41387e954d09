/* bench-clients: what 10,000 quiet clients cost, and whether a busy one among them is as fast as alone. As many of them
 * are processes of their own as the machine holds; the rest are several connections of one.
 *
 *   clients EPOCHD ECHO */
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
#include <unistd.h>

#include "apilib/registry.h"
#include "tests/bench/bench.h"
#include "tests/bench/echo_client.h"
#include "tests/bench/peer.h"

enum { QUIET = 10000, ROUNDS = 9, CALLS = 20000, PROCESS_KIB = 1024, EACH_MOST = 200 };

static struct peer peer = { .size = 32, .cpu = { 0, 1 } };
static const struct ep_page *page;
static pid_t supervisor, application, *process;
static int processes;

/* ---- the busy one ---- */

/* ns: the median of a round; of the same between bare lines, while the application stands still. */
struct phase { int64_t calls[ROUNDS], bare[ROUNDS]; };

static int64_t round_of(const struct way *way)
{
	static int64_t each[CALLS];

	way->open(&peer);
	way->run(&peer, CALLS / 10, each);   /* warm */
	way->run(&peer, CALLS, each);
	way->close(&peer);
	return (int64_t)(peer_ns_of_tick() * (double)bench_quantile(each, CALLS, 0.5));
}

static void measure(struct phase *phase)
{
	for (int i = 0; i < ROUNDS; i++) {
		phase->calls[i] = round_of(&way_epochd);
		phase->bare[i] = round_of(&way_lines);
	}
}

/* ---- all of them ---- */

static long kib_of(const char *path, const char *key)
{
	FILE *in = fopen(path, "re");
	char line[256];
	long kib = 0;

	while (in && fgets(line, sizeof line, in))
		if (strncmp(line, key, strlen(key)) == 0)
			kib += atol(line + strlen(key));
	if (in)
		fclose(in);
	return kib;
}

static long status_kib(pid_t pid, const char *key)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	return kib_of(path, key);
}

struct cost { long shared, supervisor, application, tables; };

static struct cost cost_now(void)
{
	return (struct cost){
		.shared = kib_of("/proc/meminfo", "Shmem:"),
		.supervisor = status_kib(supervisor, "RssAnon:"),
		.application = status_kib(application, "RssAnon:"),
		.tables = status_kib(supervisor, "VmPTE:") + status_kib(application, "VmPTE:"),
	};
}

/* Those whose handle stands in a slot, or whose channel is still to be counted. */
static int clients_there(void)
{
	uint32_t backed = atomic_load(&page->slots_backed);
	int count = 0;

	for (uint32_t i = 0; i < backed; i++)
		count += atomic_load(&ep_registry_slots(page)[i].handle) ||
			 atomic_load(&ep_registry_slots(page)[i].owed);
	return count;
}

static void await_clients(int count)
{
	int64_t end = bench_now() + echo_patience;

	while (clients_there() != count) {
		if (bench_now() > end)
			bench_die("%d clients are there instead of %d", clients_there(), count);
		bench_nap(5);
	}
}

static void be_clients(int count)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench_pin(-1);
	for (int i = 0; i < count; i++)
		echo_connect(EPOCHD_ADAPTIVE);
	for (;;)
		pause();
}

static void begin_quiet(void)
{
	int most = (int)(kib_of("/proc/meminfo", "MemAvailable:") / 2 / PROCESS_KIB);

	processes = most < QUIET ? most : QUIET;
	if (processes < QUIET / EACH_MOST)
		bench_die("there is not memory enough for %d processes", QUIET / EACH_MOST);
	process = calloc((size_t)processes, sizeof *process);
	for (int i = 0; process && i < processes; i++) {
		process[i] = fork();
		if (process[i] == 0)
			be_clients((int)((int64_t)QUIET * (i + 1) / processes - (int64_t)QUIET * i / processes));
		if (process[i] < 0)
			bench_die("process %d of %d: %s", i, processes, strerror(errno));
	}
	await_clients(QUIET + 1);
}

static void end_quiet(void)
{
	for (int i = 0; i < processes; i++)
		kill(process[i], SIGKILL);
	for (int i = 0; i < processes; i++)
		waitpid(process[i], NULL, 0);
	processes = 0;
}

/* ---- what comes out ---- */

static void print_cost(const struct cost *before, const struct cost *after, double seconds)
{
	double shared = (double)(after->shared - before->shared) / QUIET;
	double in_supervisor = (double)(after->supervisor - before->supervisor) / QUIET;
	double in_application = (double)(after->application - before->application) / QUIET;

	printf("{\"bench\": \"clients\", \"case\": \"memory of each of %d quiet clients in %d processes: its pages, and "
	       "what supervisor and application grow by\", \"unit\": \"KiB\", \"value\": %.2f, \"pages\": %.2f, "
	       "\"supervisor\": %.2f, \"application\": %.2f, \"page_tables_beside\": %.2f, \"aim\": 24}\n", QUIET,
	       processes, shared + in_supervisor + in_application, shared, in_supervisor, in_application,
	       (double)(after->tables - before->tables) / QUIET);
	printf("{\"bench\": \"clients\", \"case\": \"fork, connect and join, each of them\", \"unit\": \"us\", "
	       "\"value\": %.1f}\n", seconds * 1e6 / QUIET);
}

static double middle(int64_t *values) { return (double)bench_quantile(values, ROUNDS, 0.5); }

/* They cannot take turns, and the two processors may be moved nearer or farther between the phases: what that makes of
 * bare lines is added to what it is compared with. */
static void print_speed(struct phase *among, struct phase *alone)
{
	double beside = middle(alone->calls) + middle(among->bare) - middle(alone->bare);

	printf("{\"bench\": \"clients\", \"case\": \"32 B there and back, polling, among %d quiet clients\", "
	       "\"unit\": \"ns\", \"p50\": %.0f, \"beside\": \"alone before, and what bare lines differ by\", "
	       "\"beside_p50\": %.0f, \"alone\": %.0f, \"bare\": %.0f, \"bare_alone\": %.0f, \"ratio\": %.2f, "
	       "\"aim\": 1.1}\n", QUIET, middle(among->calls), beside, middle(alone->calls), middle(among->bare),
	       middle(alone->bare), middle(among->calls) / beside);
}

int main(int argc, char **argv)
{
	static struct phase among, alone;
	struct rlimit files;
	struct cost before, after;
	char config[1024];
	int64_t began;

	if (argc != 3) {
		fputs("usage: clients EPOCHD ECHO\n", stderr);
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_max < QUIET + 1000)
		bench_die("a process may have %llu files, and the supervisor needs one for each client",
			  (unsigned long long)files.rlim_max);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);   /* the application inherits it */
	bench_init(argv[1], argv[2]);
	snprintf(config, sizeof config,
		 "application \"echo\" {\n"
		 "  command = { \"%s\", \"%d\", \"1\" }  readiness = attach\n"
		 "  clients { max = %d  max-per-user = %d }\n"
		 "}\n", argv[2], EPOCHD_BUSY, 2 * QUIET, 2 * QUIET);
	supervisor = bench_epochd_run(config);
	bench_pin(0);
	way_epochd.open(&peer);
	application = way_epochd_other();
	page = echo_registry(2 * QUIET);
	measure(&alone);
	way_epochd.open(&peer);   /* it goes on, to serve those who come */
	before = cost_now();
	began = bench_now();
	begin_quiet();
	after = cost_now();
	print_cost(&before, &after, (double)(bench_now() - began) / 1e9);
	measure(&among);
	print_speed(&among, &alone);
	way_epochd_end();
	end_quiet();
	return EXIT_SUCCESS;
}
