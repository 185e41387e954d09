/* The application of the benches: sends back what it is sent, from memory of its own.
 *
 *   echo WAIT [CPU]     WAIT: a number of enum epochd_wait */
#include <config.h>

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/bench/echo.h"

static void on_work(struct epochd_app *app, const struct epochd_message *message, void *user)
{
	(void)user;
	epochd_reply(app, message, echo_work_id, message->payload, message->size);
}

static void on_pid(struct epochd_app *app, const struct epochd_message *message, void *user)
{
	const struct echo_pid reply = { .pid = getpid() };

	(void)user;
	epochd_reply(app, message, echo_pid_id, &reply, sizeof reply);
}

int main(int argc, char **argv)
{
	struct epochd_options options = { .size = sizeof options };
	struct epochd_app *app;
	cpu_set_t cpu;
	int r;

	if (argc < 2)
		return 2;
	options.wait = (uint32_t)atoi(argv[1]);
	CPU_ZERO(&cpu);
	if (argc > 2) {
		CPU_SET(atoi(argv[2]), &cpu);
		sched_setaffinity(0, sizeof cpu, &cpu);
	}
	if (epochd_attach(&app, echo_messages, echo_count, &options) < 0)
		return 1;
	epochd_handle(app, echo_work_id, on_work, NULL);
	epochd_handle(app, echo_pid_id, on_pid, NULL);
	r = epochd_run(app);
	epochd_detach(app);
	return r < 0;
}
