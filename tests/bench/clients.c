/* bench-clients: what 10,000 quiet clients cost, and whether a busy one among them is as fast as alone. As many of them
 * are processes of their own as the machine holds; the rest are several connections of one.
 *
 *   clients EPOCHD ECHO */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apilib/registry.h"
#include "tests/bench/bench.h"
#include "tests/bench/echo.h"

enum { QUIET = 10000, ROUNDS = 9, CALLS = 20000, PROCESS_KIB = 1024, EACH_MOST = 200 };

static const int64_t patience = 60000000000;
static struct epochd_client *busy;
static const struct ep_page *page;
static pid_t supervisor, application, *process;
static int processes;

/* ---- one client ---- */

static int connect_one(struct epochd_client **out, enum epochd_wait wait)
{
	const struct epochd_options options = { .size = sizeof options, .instance = bench_instance(),
						.runtime_dir = bench_runtime(), .timeout = patience,
						.wait = wait };
	int64_t end = bench_now() + patience;
	int r;

	do {   /* the supervisor begins */
		r = epochd_connect(out, "echo", echo_messages, echo_count, &options);
		if (r == -ENOENT)
			bench_nap(1);
	} while (r == -ENOENT && bench_now() < end);
	return r;
}

static void connect_busy(void)
{
	const struct echo_pid question = { 0 };
	struct epochd_message reply;
	struct echo_pid answer;

	if (connect_one(&busy, EPOCHD_BUSY) < 0 ||
	    epochd_call(busy, echo_pid_id, &question, sizeof question, &reply, patience) < 0)
		bench_die("the application does not answer");
	memcpy(&answer, reply.payload, sizeof answer);
	epochd_release(busy, &reply);
	application = answer.pid;
}

/* ns: the median of a round. */
static int64_t round_of_calls(void)
{
	static int64_t each[CALLS];
	unsigned char bytes[32] = { 0 };
	struct epochd_message reply;

	for (int i = -CALLS / 10; i < CALLS; i++) {
		int64_t began = bench_now();

		if (epochd_call(busy, echo_work_id, bytes, sizeof bytes, &reply, patience) < 0)
			bench_die("a call failed: %s", epochd_client_why(busy));
		epochd_release(busy, &reply);
		each[i < 0 ? 0 : i] = bench_now() - began;
	}
	return bench_quantile(each, CALLS, 0.5);
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

static void map_registry(void)
{
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/echo", bench_segments());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	page = fd < 0 ? MAP_FAILED : mmap(NULL, ep_registry_size(2 * QUIET), PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		bench_die("%s: %s", path, strerror(errno));
	close(fd);
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
	int64_t end = bench_now() + patience;

	while (clients_there() != count) {
		if (bench_now() > end)
			bench_die("%d clients are there instead of %d", clients_there(), count);
		bench_nap(5);
	}
}

static void pin(int cpu)
{
	cpu_set_t allowed;

	CPU_ZERO(&allowed);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (cpu < 0 || i == cpu)
			CPU_SET(i, &allowed);
	sched_setaffinity(0, sizeof allowed, &allowed);
}

static void be_clients(int count)
{
	struct epochd_client *client;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(-1);
	for (int i = 0; i < count; i++)
		if (connect_one(&client, EPOCHD_ADAPTIVE) < 0)
			_exit(1);
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
	await_clients(1);
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

static void print_speed(int64_t *among, int64_t *alone)
{
	double p50 = (double)bench_quantile(among, ROUNDS, 0.5), beside = (double)bench_quantile(alone, 2 * ROUNDS, 0.5);

	printf("{\"bench\": \"clients\", \"case\": \"32 B call, polling, among %d quiet clients\", \"unit\": \"ns\", "
	       "\"p50\": %.0f, \"beside\": \"alone, before and after\", \"beside_p50\": %.0f, \"ratio\": %.2f, "
	       "\"aim\": 1.1}\n", QUIET, p50, beside, p50 / beside);
}

int main(int argc, char **argv)
{
	static int64_t among[ROUNDS], alone[2 * ROUNDS];
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
	pin(0);
	connect_busy();
	map_registry();
	for (int i = 0; i < ROUNDS; i++)
		alone[i] = round_of_calls();
	before = cost_now();
	began = bench_now();
	begin_quiet();
	after = cost_now();
	print_cost(&before, &after, (double)(bench_now() - began) / 1e9);
	for (int i = 0; i < ROUNDS; i++)
		among[i] = round_of_calls();
	end_quiet();
	for (int i = 0; i < ROUNDS; i++)
		alone[ROUNDS + i] = round_of_calls();
	print_speed(among, alone);
	epochd_close(busy);
	return EXIT_SUCCESS;
}
