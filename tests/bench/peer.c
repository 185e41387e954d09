#include <config.h>

#include "tests/bench/peer.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void peer_fork(struct peer *peer, void (*serve)(struct peer *peer))
{
	pid_t pid = fork();

	if (pid < 0)
		bench_die("fork failed");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setsid();   /* as an application is in one, which the scheduler may treat as a group */
		bench_pin(peer->cpu[1]);
		serve(peer);
		_exit(0);
	}
	bench_helper(pid);
}

void peer_end(void) { bench_helper_stop(); }

double peer_ns_of_tick(void)
{
	static double ns;
	int64_t ticks, time;

	if (ns > 0)
		return ns;
	ticks = peer_ticks();
	time = bench_now();
	bench_nap(50);
	ticks = peer_ticks() - ticks;
	ns = (double)(bench_now() - time) / (double)ticks;
	return ns;
}
