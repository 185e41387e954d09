#include <config.h>

#include "supervisor/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include <ev.h>

#include "supervisor/epochd.h"
#include "supervisor/log.h"
#include "supervisor/pids.h"
#include "supervisor/run.h"

/* CHLD last: the others are what people send. */
static const int numbers[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD };

struct watched {
	ev_signal watcher;
	struct epochd *epochd;
};

struct signals {
	struct watched watched[ARRAY_SIZE(numbers)];
	struct ev_loop *loop;
};

static void ours(struct epochd *epochd, int signal)
{
	int r;

	switch (signal) {
	case SIGHUP:
		r = epochd_reload(epochd, NULL);
		if (r < 0)
			log_error(r, "SIGHUP: no reload");
		break;
	case SIGINT:
	case SIGTERM:
		epochd_shutdown(epochd, NULL);
		break;
	case SIGUSR2:
		r = epochd_keep(epochd, NULL);
		if (r < 0)
			log_error(r, "SIGUSR2: not now");
		break;
	default:
		break;   /* they mean nothing to us; caught so that they end nothing */
	}
}

static void on_signal(EV_P_ ev_signal *w, int revents)
{
	struct watched *watched = container_of(w, struct watched, watcher);

	(void)revents;
	(void)loop;
	if (w->signum == SIGCHLD) {
		run_follow_stop(watched->epochd);
		pids_reap(watched->epochd->pids);
	} else if (watched->epochd->run_mode) {
		run_forward(watched->epochd, w->signum);
	} else {
		ours(watched->epochd, w->signum);
	}
}

int signals_new(struct signals **out, struct epochd *epochd)
{
	struct signals *signals = calloc(1, sizeof *signals);

	if (!signals)
		return -ENOMEM;
	signals->loop = epochd->loop;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		signals->watched[i].epochd = epochd;
		ev_signal_init(&signals->watched[i].watcher, on_signal, numbers[i]);
		ev_signal_start(epochd->loop, &signals->watched[i].watcher);
	}
	*out = signals;
	return 0;
}

void signals_free(struct signals *signals)
{
	if (!signals)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		ev_signal_stop(signals->loop, &signals->watched[i].watcher);
	free(signals);
}
