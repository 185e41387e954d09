#include <config.h>

#include "tests/unit/fake.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/control_request.h"
#include "supervisor/events.h"
#include "supervisor/traces.h"

/* ---- clients: tests/integration/clients.sh asks the real ones ---- */

void get_clients(struct request *request) { answer_problem(request, 501, "a fake"); }
void get_rings(struct request *request) { answer_problem(request, 501, "a fake"); }
void get_handle(struct request *request) { answer_problem(request, 501, "a fake"); }
void post_kick(struct request *request) { answer_problem(request, 501, "a fake"); }

/* ---- the configuration: tests/integration/config.sh ---- */

void get_config(struct request *request) { answer_problem(request, 501, "a fake"); }
void get_app_config(struct request *request) { answer_problem(request, 501, "a fake"); }

/* ---- traces: tests/integration/trace.sh ---- */

void get_trace(struct request *request) { answer_problem(request, 501, "a fake"); }
void get_trace_file(struct request *request) { answer_problem(request, 501, "a fake"); }
void post_trace_on(struct request *request) { answer_problem(request, 501, "a fake"); }
void post_trace_off(struct request *request) { answer_problem(request, 501, "a fake"); }

char *traces_path(const struct traces *traces, const char *app, uint32_t epoch)
{
	(void)traces;
	(void)app;
	(void)epoch;
	return NULL;
}

/* ---- store ---- */

static struct fake_store *store_of(struct store *store)
{
	return (struct fake_store *)(void *)store;
}

void store_event(struct store *store, struct store_event *event)
{
	event->number = ++store_of(store)->events;
}

void store_health(struct store *store, struct store_health *out)
{
	*out = store_of(store)->health;
}

static int read_begins(struct fake_store *store, const char *app, uint64_t before, unsigned limit,
		       void *user)
{
	snprintf(store->app, sizeof store->app, "%s", app ? app : "");
	store->before = before;
	store->limit = limit;
	store->reader = store->read_result < 0 ? NULL : user;
	return store->read_result;
}

int store_read_incarnations(struct store *store, const char *app, uint32_t before, unsigned limit,
			    store_incarnations_fn *fn, void *user)
{
	store_of(store)->on_incarnations = fn;
	return read_begins(store_of(store), app, before, limit, user);
}

int store_read_events(struct store *store, const char *app, uint64_t before, unsigned limit,
		      store_events_fn *fn, void *user)
{
	store_of(store)->on_events = fn;
	return read_begins(store_of(store), app, before, limit, user);
}

void store_read_cancel(struct store *store, void *user)
{
	if (store_of(store)->reader != user)
		return;
	store_of(store)->reader = NULL;
	store_of(store)->cancelled++;
}

/* ---- applications ---- */

const char *app_state_name(enum app_state state)
{
	static const char *const names[APP_STATES] = {
		[APP_STOPPED] = "stopped", [APP_STARTING] = "starting", [APP_UP] = "up",
		[APP_STOPPING] = "stopping", [APP_SWEEPING] = "stopping",
		[APP_BACKOFF] = "backoff", [APP_FATAL] = "fatal", [APP_HELD] = "held",
	};

	return names[state];
}

const char *app_name(const struct app *app) { return app->config.name; }
enum app_state app_state(const struct app *app) { return app->state; }
const struct app_config *app_config(const struct app *app) { return &app->config; }
bool app_is_settled(const struct app *app) { return !app->busy; }

int app_ask(struct app *app, enum app_verb verb, int signal, uint64_t *event, const char **why)
{
	app->asked++;
	app->verb = verb;
	app->signal = signal;
	if (app->ask_result < 0) {
		*why = app->why;
		return app->ask_result;
	}
	*event = 41;
	return 0;
}

void app_report(const struct app *app, struct report_app *out)
{
	*out = app->report;
	out->name = app->config.name;
	out->state = app_state_name(app->state);
}

/* ---- the supervisor ---- */

static struct fake *fake_of(struct epochd *epochd)
{
	return container_of(epochd, struct fake, epochd);
}

struct app *epochd_app(const struct epochd *epochd, const char *name)
{
	for (size_t i = 0; i < epochd->app_count; i++)
		if (strcmp(app_name(epochd->apps[i]), name) == 0)
			return epochd->apps[i];
	return NULL;
}

int epochd_reload(struct epochd *epochd, uint64_t *event)
{
	fake_of(epochd)->reloads++;
	if (event)
		*event = 42;
	return fake_of(epochd)->reload_result;
}

int epochd_keep(struct epochd *epochd, uint64_t *event)
{
	if (event)
		*event = 44;
	return fake_of(epochd)->keep_result;
}

void epochd_shutdown(struct epochd *epochd, uint64_t *event)
{
	fake_of(epochd)->shutdowns++;
	if (event)
		*event = 43;
}

static char *command[] = { (char *)"/usr/bin/kv-server", (char *)"--port", (char *)"7000", NULL };

static void app_init(struct app *app, char *name, uint32_t epoch)
{
	app->state = APP_UP;
	app->config.name = name;
	app->config.command = command;
	app->config.uid = (uid_t)-1;
	app->config.gid = (gid_t)-1;
	app->config.umask = 022;
	app->config.backoff.factor = 2;
	app->config.stop_signal = SIGTERM;
	app->report.epoch = epoch;
	app->report.pid = 4720;
	app->report.up_seconds = 12.5;
	app->report.since = 1;
	app->report.totals[STORE_TOTAL_restarts_crashed] = epoch - 1;
}

void fake_init(struct fake *fake, struct ev_loop *loop)
{
	static char kv[] = "kv", db[] = "db", instance[] = "default";

	memset(fake, 0, sizeof *fake);
	fake->config.instance = instance;
	fake->config.control.gid = (gid_t)-1;
	app_init(&fake->app[0], kv, 6);
	app_init(&fake->app[1], db, 1);
	for (size_t i = 0; i < ARRAY_SIZE(fake->apps); i++)
		fake->apps[i] = &fake->app[i];
	fake->store.health.writable = true;
	fake->epochd.loop = loop;
	fake->epochd.config = &fake->config;
	fake->epochd.apps = fake->apps;
	fake->epochd.app_count = 2;
	fake->epochd.started_at = 1763842320123000000;
	fake->epochd.store = (struct store *)(void *)&fake->store;
	if (events_new(&fake->epochd.events, fake->epochd.store) < 0)
		abort();
}

void fake_deinit(struct fake *fake)
{
	events_free(fake->epochd.events);
}
