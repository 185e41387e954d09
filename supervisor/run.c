#include <config.h>

#include "supervisor/run.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/app_private.h"
#include "supervisor/clock.h"
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

	if (asks_to_end(signal))
		epochd->told_to_end_at = clock_now();
	if (app && app->pidfd >= 0)
		pidfd_signal(app->pidfd, signal);
	else if (asks_to_end(signal)) {   /* between two incarnations: there will be no next */
		epochd->exit_status = app && app->end_epoch ? status_of(app) : 128 + signal;
		epochd_shutdown(epochd, NULL);
	}
}

bool run_has_terminal(void)
{
	return isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

void run_leave_terminal(void)
{
	signal(SIGTTOU, SIG_IGN);   /* we are in its background by now */
	tcsetpgrp(STDIN_FILENO, getpgrp());
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
	void (*before)(int);

	if (!epochd->terminal || !app || app->pidfd < 0 ||
	    waitid(P_PID, (id_t)app->identity.pid, &info, WSTOPPED | WNOHANG) < 0 || !info.si_pid)
		return;
	before = signal(SIGTTOU, SIG_IGN);   /* we are in its background */
	tcsetpgrp(STDIN_FILENO, getpgrp());
	stop_as_well();
	if (run_has_terminal())   /* `fg`, not `bg` */
		tcsetpgrp(STDIN_FILENO, app->identity.pid);
	signal(SIGTTOU, before);
	killpg(app->identity.pid, SIGCONT);
}
