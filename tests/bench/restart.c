/* bench-restart: from SIGKILL to the first statement of the next main(), under epochd and bare, in turns.
 * Bare is all that must happen: seen by pidfd in an epoll loop, reaped, vfork and exec.
 *
 *   restart EPOCHD BEACON */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"

enum { KILLS = 300, WARM_UP = 10 };
/* One right after the other, processors and caches are warm; apart, each was up for a while and what the
 * last one left to do is done. */
static const int apart_ms[] = { 0, 60 };
enum { OF_EPOCHD, BARE };   /* beacons' indices */

static struct beacon await_beacon(unsigned index)
{
	struct beacon beacon = bench_beacon();

	if (beacon.index != index)
		bench_die("a beacon of index %u, expected %u", beacon.index, index);
	return beacon;
}

static int watch(int epoll, pid_t pid)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = pidfd_open(pid, 0);

	if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		bench_die("cannot watch: %s", strerror(errno));
	return fd;
}

/* Kills the supervised one: ns until the next runs. */
static int64_t under_epochd(pid_t *pid)
{
	int64_t from = bench_now();
	struct beacon beacon;

	if (kill(*pid, SIGKILL) < 0)
		bench_die("kill: %s", strerror(errno));
	beacon = await_beacon(OF_EPOCHD);
	if (beacon.pid == *pid)
		bench_die("the beacon is still the old one");
	*pid = beacon.pid;
	return beacon.at - from;
}

static int64_t bare(int epoll, pid_t *pid, int *pidfd)
{
	int64_t from = bench_now();
	struct epoll_event event;
	siginfo_t info;

	if (kill(*pid, SIGKILL) < 0 || epoll_wait(epoll, &event, 1, -1) != 1 ||
	    waitid(P_PIDFD, (id_t)*pidfd, &info, WEXITED) < 0)
		bench_die("bare: %s", strerror(errno));
	*pid = bench_bare_spawn(BARE);
	close(*pidfd);
	*pidfd = watch(epoll, *pid);
	return await_beacon(BARE).at - from;
}

static void print_line(int apart, int64_t *case_ns, int64_t *beside_ns)
{
	double p50 = (double)bench_quantile(case_ns, KILLS, 0.5) / 1e3;
	double beside = (double)bench_quantile(beside_ns, KILLS, 0.5) / 1e3;

	printf("{\"bench\": \"restart\", \"case\": \"SIGKILL to the next main(), %d ms apart\", "
	       "\"unit\": \"us\", \"p50\": %.1f, \"p99\": %.1f, "
	       "\"beside\": \"bare pidfd, waitid, vfork, exec\", \"beside_p50\": %.1f, "
	       "\"beside_p99\": %.1f, \"ratio\": %.2f, \"aim\": 1.3}\n", apart, p50,
	       (double)bench_quantile(case_ns, KILLS, 0.99) / 1e3, beside,
	       (double)bench_quantile(beside_ns, KILLS, 0.99) / 1e3, p50 / beside);
}

int main(int argc, char **argv)
{
	static int64_t case_ns[KILLS], beside_ns[KILLS];
	int epoll = epoll_create1(EPOLL_CLOEXEC), pidfd;
	pid_t supervised, ours;

	if (argc != 3) {
		fputs("usage: restart EPOCHD BEACON\n", stderr);
		return 2;
	}
	bench_init(argv[1], argv[2]);
	bench_epochd_start(1);
	supervised = await_beacon(OF_EPOCHD).pid;
	ours = bench_bare_spawn(BARE);
	pidfd = watch(epoll, ours);
	await_beacon(BARE);
	for (size_t c = 0; c < ARRAY_SIZE(apart_ms); c++) {
		for (int i = -WARM_UP; i < KILLS; i++) {
			bench_nap(apart_ms[c]);
			case_ns[i < 0 ? 0 : i] = under_epochd(&supervised);
			bench_nap(apart_ms[c]);
			beside_ns[i < 0 ? 0 : i] = bare(epoll, &ours, &pidfd);
		}
		print_line(apart_ms[c], case_ns, beside_ns);
	}
	return EXIT_SUCCESS;
}
