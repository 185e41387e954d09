/* bench-many: 1,000 applications under epochd, beside a bare loop that spawns, waits and spawns again:
 * until all run, until all run again after all were killed at once; and what each costs while nothing
 * happens.
 *
 *   many EPOCHD BEACON */
#include <config.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"

enum { COUNT = 1000, ROUNDS = 5, SETTLE_MS = 1000, QUIET_MS = 2000, IDLE_MS = 5000 };

static pid_t pids[COUNT];
static struct {
	int64_t started[ROUNDS], again[ROUNDS];
} epochd, bare;

/* No supervisor can do less. */
static void bare_supervisor(pid_t parent)
{
	static pid_t children[COUNT];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	for (unsigned i = 0; i < COUNT; i++)
		children[i] = bench_bare_spawn(i);
	for (;;) {
		pid_t pid = waitpid(-1, NULL, 0);

		for (unsigned i = 0; pid > 0 && i < COUNT; i++)
			if (children[i] == pid) {
				children[i] = bench_bare_spawn(i);
				break;
			}
	}
}

static void bare_start(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (pid == 0)
		bare_supervisor(parent);
	bench_helper(pid);
}

static void kill_all(void)
{
	for (unsigned i = 0; i < COUNT; i++)
		if (kill(pids[i], SIGKILL) < 0)
			bench_die("kill %d: %s", (int)pids[i], strerror(errno));
}

static void bare_stop(void)
{
	bench_helper_stop();
	kill_all();
}

static int64_t all_again(void)
{
	int64_t from;

	bench_nap(SETTLE_MS);
	from = bench_now();
	kill_all();
	return bench_all_beacons(pids, COUNT) - from;
}

/* The value after KEY in a file of /proc, summed over its lines; of smaps without mappings of the
 * instance's registries. Its ledger, whose name begins with a dot, is counted. */
static long sum_of(const char *path, const char *key, bool without_registries)
{
	char line[4096];
	const char *segments = bench_segments();
	bool skip = false;
	long sum = 0;
	FILE *in = fopen(path, "re");

	while (in && fgets(line, sizeof line, in)) {
		const char *file = strstr(line, segments);

		if (islower((unsigned char)line[0]) || isdigit((unsigned char)line[0]))
			skip = without_registries && file && file[strlen(segments)] == '/' &&
			       file[strlen(segments) + 1] != '.';
		if (!skip && strncmp(line, key, strlen(key)) == 0)
			sum += atol(line + strlen(key));
	}
	if (in)
		fclose(in);
	return sum;
}

static long private_kib(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/smaps", (int)pid);
	return sum_of(path, "Private_Clean:", true) + sum_of(path, "Private_Dirty:", true);
}

/* Context switches of all its threads. */
static long switches(pid_t pid)
{
	char path[300];
	struct dirent *entry;
	DIR *tasks;
	long sum = 0;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)pid, entry->d_name);
		sum += sum_of(path, "voluntary_ctxt_switches:", false) +
		       sum_of(path, "nonvoluntary_ctxt_switches:", false);
	}
	if (tasks)
		closedir(tasks);
	return sum;
}

static void time_line(const char *what, int64_t *ns, int64_t *beside_ns)
{
	double p50 = (double)bench_quantile(ns, ROUNDS, 0.5) / 1e6;
	double beside = (double)bench_quantile(beside_ns, ROUNDS, 0.5) / 1e6;

	printf("{\"bench\": \"many\", \"case\": \"%d %s\", \"unit\": \"ms\", \"p50\": %.1f, "
	       "\"beside\": \"bare spawn loop\", \"beside_p50\": %.1f, \"ratio\": %.2f, "
	       "\"aim\": 1.15}\n", COUNT, what, p50, beside, p50 / beside);
}

static void cost_lines(double kib, double wake_ups)
{
	printf("{\"bench\": \"many\", \"case\": \"private memory for each, beside its registry\", "
	       "\"unit\": \"KiB\", \"value\": %.2f, \"aim\": 3}\n", kib);
	printf("{\"bench\": \"many\", \"case\": \"wake-ups when idle, %d up\", \"unit\": \"1/s\", "
	       "\"value\": %.2f, \"aim\": 0}\n", COUNT, wake_ups);
}

static long memory_of_one(void)
{
	pid_t pid = bench_epochd_start(1);
	long kib;

	bench_all_beacons(pids, 1);
	bench_nap(QUIET_MS);
	kib = private_kib(pid);
	bench_epochd_stop();
	return kib;
}

static void costs(pid_t pid, long one_kib)
{
	double kib;
	long before;

	bench_nap(QUIET_MS);
	kib = (double)(private_kib(pid) - one_kib) / (COUNT - 1);
	before = switches(pid);
	bench_nap(IDLE_MS);
	cost_lines(kib, (double)(switches(pid) - before) / (IDLE_MS / 1e3));
}

int main(int argc, char **argv)
{
	long one_kib;

	if (argc != 3) {
		fputs("usage: many EPOCHD BEACON\n", stderr);
		return 2;
	}
	bench_init(argv[1], argv[2]);
	one_kib = memory_of_one();
	for (int i = 0; i < ROUNDS; i++) {
		int64_t from = bench_now();
		pid_t pid = bench_epochd_start(COUNT);

		epochd.started[i] = bench_all_beacons(pids, COUNT) - from;
		if (i == 0)
			costs(pid, one_kib);
		epochd.again[i] = all_again();
		bench_epochd_stop();
		from = bench_now();
		bare_start();
		bare.started[i] = bench_all_beacons(pids, COUNT) - from;
		bare.again[i] = all_again();
		bare_stop();
	}
	time_line("started", epochd.started, bare.started);
	time_line("killed at once, all up again", epochd.again, bare.again);
	return EXIT_SUCCESS;
}
