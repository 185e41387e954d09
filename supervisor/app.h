/* One application: its state machine. app.c's table names the states, what may follow each, and the
 * fence state of each; app_move() is the one place that changes it. */
#ifndef EPOCHD_APP_H
#define EPOCHD_APP_H

#include <stdbool.h>
#include <stdint.h>

struct app;
struct app_config;
struct epochd;
struct report_app;

enum app_state {
	APP_STOPPED,
	APP_STARTING,
	APP_UP,
	APP_STOPPING,
	APP_SWEEPING,   /* shown as stopping: the process is gone, what it left behind is not (I7) */
	APP_BACKOFF,
	APP_FATAL,
	APP_HELD,
	APP_STATES
};

enum app_verb { VERB_START, VERB_STOP, VERB_RESTART, VERB_SIGNAL, VERB_RESET };

const char *app_state_name(enum app_state state);   /* "stopped" ... "held"; static */
const char *app_name(const struct app *app);
enum app_state app_state(const struct app *app);
const struct app_config *app_config(const struct app *app);
uint32_t app_epoch(const struct app *app);          /* current or last used; 0: none yet */

/* What a person asks for. signal: of VERB_SIGNAL. 0 and the event's number: it is under way (or
 * already so); otherwise *why is one static or app-owned line that says what to do next:
 *   -EALREADY  nothing to do: it is so already (start of one that runs, stop of one that is stopped)
 *   -EINVAL    makes no sense in this state (signal with no process, start of a fatal one: reset)
 *   -EPERM     the supervisor is shutting down
 *   -ESRCH     its process has just ended */
int app_ask(struct app *app, enum app_verb verb, int signal, uint64_t *event, const char **why);

/* Nothing that was asked is still under way: it is up, stopped, fatal, held or in backoff and stays so
 * until something happens. control_app_changed() is called at every change. */
bool app_is_settled(const struct app *app);

/* For the views; strings borrowed until the loop turns. */
void app_report(const struct app *app, struct report_app *out);
#endif
