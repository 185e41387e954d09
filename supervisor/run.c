#include <config.h>

#include "supervisor/run.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/app_private.h"
#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"

static int status_of(const struct app *app)
{
	if (app->end.kind == EP_END_SIGNAL)
		return 128 + (int)app->end.value;
	if (app->exec_error == -ENOENT)   /* as a shell has it */
		return 127;
	if (app->exec_error < 0)
		return 126;
	return app->end.kind == EP_END_CODE ? (int)app->end.value : 1;
}

void run_ended(struct app *app)
{
	struct epochd *epochd = app->epochd;

	if (!epochd->run_mode)
		return;
	epochd->exit_status = status_of(app);
	if (!epochd->shutting_down)
		epochd_shutdown(epochd, NULL);
}

static bool asks_to_end(int signal)
{
	return signal == SIGTERM || signal == SIGINT || signal == SIGQUIT;
}

void run_forward(struct epochd *epochd, int signal)
{
	struct app *app = epochd->app_count ? epochd->apps[0] : NULL;
	bool runs = app && app->pidfd >= 0;

	if (!runs && asks_to_end(signal)) {   /* between two incarnations: there will be no next */
		epochd->exit_status = app && app->end_epoch ? status_of(app) : 128 + signal;
		epochd_shutdown(epochd, NULL);
	} else if (runs && signal == SIGTERM && !epochd->shutting_down) {
		epochd_shutdown(epochd, NULL);
	} else if (runs) {
		if (asks_to_end(signal))
			epochd->told_to_end_at = clock_now();
		pidfd_signal(app->pidfd, signal);
	}
}

/* ^C and ^\ go from the terminal to the program, past us: only its end tells of them. */
static bool was_ended_by_key(const struct ep_end *end)
{
	unsigned signal = end->kind == EP_END_SIGNAL ? end->value :
			  end->kind == EP_END_CODE && end->value > 128 ? end->value - 128 : 0;

	return signal == SIGINT || signal == SIGQUIT;
}

bool run_was_told_to_end(const struct app *app)
{
	const struct epochd *epochd = app->epochd;
	int64_t at = epochd->told_to_end_at;

	return (epochd->terminal && was_ended_by_key(&app->end)) ||
	       (at && clock_now() - at <= app->config->stop_timeout);
}

/* ---- the terminal ---- */

bool run_has_terminal(void)
{
	return isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static void give_terminal(pid_t group)
{
	void (*before)(int) = signal(SIGTTOU, SIG_IGN);   /* we may be in its background */

	tcsetpgrp(STDIN_FILENO, group);
	signal(SIGTTOU, before);
}

void run_leave_terminal(const struct app *app)
{
	pid_t group = app->epochd->terminal ? tcgetpgrp(STDIN_FILENO) : -1;

	if (group > 0 && (group == app->identity.pid || (killpg(group, 0) < 0 && errno == ESRCH)))
		give_terminal(getpgrp());
}

/* Stops as ^Z would have stopped us, had we been in the foreground. Where nobody could let us go on (no
 * shell, or the first process of a container) the kernel does nothing, and nobody is stopped. */
static void stop_as_well(void)
{
	struct sigaction stop = { .sa_handler = SIG_DFL }, before;

	sigaction(SIGTSTP, &stop, &before);
	raise(SIGTSTP);   /* until SIGCONT */
	sigaction(SIGTSTP, &before, NULL);
}

void run_follow_stop(struct epochd *epochd)
{
	struct app *app = epochd->app_count ? epochd->apps[0] : NULL;
	siginfo_t info = { .si_pid = 0 };

	if (!epochd->terminal || !app || app->pidfd < 0 ||
	    waitid(P_PID, (id_t)app->identity.pid, &info, WSTOPPED | WNOHANG) < 0 || !info.si_pid)
		return;
	give_terminal(getpgrp());
	stop_as_well();
	if (run_has_terminal())   /* `fg`, not `bg` */
		give_terminal(app->identity.pid);
	killpg(app->identity.pid, SIGCONT);
}
