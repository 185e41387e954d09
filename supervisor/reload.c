#include <config.h>

#include "supervisor/reload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <ev.h>

#include "store/store.h"
#include "supervisor/app_private.h"
#include "supervisor/configuration.h"
#include "supervisor/control.h"
#include "supervisor/epochd.h"
#include "supervisor/events.h"
#include "supervisor/health.h"
#include "supervisor/ledger.h"
#include "supervisor/log.h"
#include "supervisor/service.h"
#include "supervisor/output.h"
#include "supervisor/recovery.h"
#include "supervisor/upward.h"

struct reload {
	struct epochd *epochd;
	pthread_t thread;
	bool running;
	bool once_more;             /* asked for while one was under way: that may have read too early */
	ev_async read;              /* the thread has an answer */
	struct config *config;      /* the thread's, until `read` */
	int r;
};

static void log_mistake(const char *text, void *user)
{
	(void)user;
	log_error(0, "%s", text);
}

static void *read_file(void *user)
{
	struct reload *reload = user;
	struct epochd *epochd = reload->epochd;

	reload->r = config_load(&reload->config, epochd->config_file, epochd->config_conf_d,
				log_mistake, NULL);
	ev_async_send(epochd->loop, &reload->read);
	return NULL;
}

/* ---- putting it in force ---- */

static bool texts_differ(const char *a, const char *b)
{
	return (a == NULL) != (b == NULL) || (a && strcmp(a, b) != 0);
}

static const char *fixed_word(const struct epochd *epochd, const struct config *is)
{
	const struct config *was = epochd->config;

	if (!epochd->instance_option && texts_differ(was->instance, is->instance))
		return "instance";
	if (texts_differ(was->segment_directory, is->segment_directory))
		return "segment-directory";
	if (texts_differ(was->runtime_directory, is->runtime_directory))
		return "runtime-directory";
	if (texts_differ(was->state_directory, is->state_directory))
		return "state-directory";
	return texts_differ(was->cgroup, is->cgroup) ? "cgroup" : NULL;
}

static void change_output(struct app *app, const struct app_config *was)
{
	const struct app_config *is = app->config;

	if (!app->output || !is->output.file)
		return;
	if (texts_differ(was->output.file, is->output.file) ||
	    was->output.max_size != is->output.max_size || was->output.keep != is->output.keep)
		output_change(app->output, is->output.file, is->output.max_size, is->output.keep);
}

static void change_health(struct app *app)
{
	health_free(app->health);
	app->health = NULL;
	if (app->config->health.command && app->state == APP_UP &&
	    health_new(&app->health, app) < 0)
		log_error(-ENOMEM, "app %s: its health is not watched", app->config->name);
}

static void change_service(const struct app *app)
{
	if (!app->service)
		return;
	reaper_reconfigured(&app->service->reaper);
}

static void change_app(struct app *app, const struct app_config *is)
{
	const struct app_config *was = app->config;
	enum config_change change = config_app_compare(was, is);
	bool was_removed = app->removed;

	app->config = is;
	app->removed = false;
	if (was_removed) {   /* configured again before it was gone */
		app->wanted = true;
		app->again = app->active;
		app->waiting = !app->active;
	}
	if (change == CONFIG_SAME)
		return;
	if (!was_removed)
		app_post(app, "reconfigured", change == CONFIG_RESPAWN ? "restarts" : "goes on");
	store_app_keep_for(app->stored, is->intensity.within);
	change_output(app, was);
	change_health(app);
	change_service(app);
	if (change == CONFIG_RESPAWN && (app->state == APP_STARTING || app->state == APP_UP)) {
		app->again = true;
		app->ledger->again = 1;
		app_end(app, EP_RECONFIGURED);
	}
}

static void remove_app(struct app *app)
{
	app->removed = true;
	app->wanted = false;
	app->again = false;
	app->waiting = false;
	app->awaits_epochs = false;
	if (!app->active)
		app_clear_deadline(app);   /* of a backoff */
	app_end(app, EP_ASKED);   /* nothing if it does not run; before_sleep takes it out */
}

static struct app *add_app(struct epochd *epochd, const struct app_config *config)
{
	struct found_at_start nothing = { .directory = epochd->segments, .clean = true,
					  .same_boot = true, .running = true,
					  .store_lost = epochd->highest_lost > 0,
					  .highest = epochd->highest_lost };
	struct app *app;
	int r = app_new(&app, epochd, config);

	if (r == 0) {
		r = app_recover(app, &nothing);
		if (r < 0)
			app_free(app);
	}
	if (r < 0) {
		log_error(r, "app %s: not supervised", config->name);
		return NULL;
	}
	app->wanted = true;
	app->waiting = true;
	app_post(app, "added", NULL);
	return app;
}

/* The new order: the configuration's, then what is being removed. */
static int rebuild(struct epochd *epochd, struct config *config, struct app ***out, size_t *count)
{
	struct app **apps = calloc(config->app_count + epochd->app_count + 1, sizeof(struct app *));
	size_t n = 0;

	if (!apps)
		return -ENOMEM;
	for (size_t i = 0; i < config->app_count; i++) {
		struct app *app = epochd_app(epochd, config->apps[i]->name);

		if (app)
			change_app(app, config->apps[i]);
		else
			app = add_app(epochd, config->apps[i]);
		if (app)
			apps[n++] = app;
	}
	for (size_t i = 0; i < epochd->app_count; i++)
		if (!config_app(config, epochd->apps[i]->config->name)) {
			remove_app(epochd->apps[i]);
			apps[n++] = epochd->apps[i];
		}
	*out = apps;
	*count = n;
	return 0;
}

static int apply(struct epochd *epochd, struct config *config)
{
	struct config *was = epochd->config;
	const char *word = fixed_word(epochd, config);
	struct app **apps;
	size_t count;

	if (word)
		return log_error(-EINVAL, "%s: %s cannot change while epochd runs: restart it",
				 epochd->config_file, word);
	if (epochd->instance_option) {   /* the name in force stays */
		char *copy = strdup(was->instance);

		if (!copy)
			return log_error(-ENOMEM, "%s: not put in force", epochd->config_file);
		free(config->instance);
		config->instance = copy;
	}
	epochd->config = config;
	if (rebuild(epochd, config, &apps, &count) < 0) {
		epochd->config = was;
		return log_error(-ENOMEM, "%s: not put in force", epochd->config_file);
	}
	free(epochd->apps);
	epochd->apps = apps;
	epochd->app_count = count;
	epochd->had_several |= count > 1;
	epochd_retire(epochd, was);
	store_set_keep(epochd->store, config->keep_events, config->keep_incarnations);
	group_reconfigured(epochd);
	for (size_t i = 0; i < count; i++) {
		app_save(apps[i]);
		/* What is new, and what waits, for its `after` may be another. One that ended for good
		 * stays so. */
		if (apps[i]->waiting)
			app_try_start(apps[i]);
	}
	return epochd->control ? control_reconfigure(epochd->control) : 0;
}

/* What was read, put in force unless it is bad. */
static int finish(struct reload *reload)
{
	struct epochd *epochd = reload->epochd;
	struct config *config = STEAL(reload->config);
	int r = reload->r;

	if (r == 0 && epochd->shutting_down)
		r = -ECANCELED;
	if (r == 0) {
		r = apply(epochd, config);
		if (epochd->config == config)
			config = NULL;
	}
	config_free(config);
	if (r < 0)
		log_error(0, "%s: nothing was changed", epochd->config_file);
	else
		log_notice(0, "%s: in force", epochd->config_file);
	events_post(epochd->events, NULL, 0, r < 0 ? "reload_failed" : "reloaded", NULL);
	upward_ready(epochd->upward);
	return r;
}

static void on_read(EV_P_ ev_async *w, int revents)
{
	struct reload *reload = container_of(w, struct reload, read);
	struct epochd *epochd = reload->epochd;
	int r;

	(void)revents;
	(void)loop;
	pthread_join(reload->thread, NULL);   /* first: what it wrote is ours only then */
	reload->running = false;
	r = finish(reload);
	if (reload->once_more && !epochd->shutting_down) {
		r = reload_start(reload);
		if (r == 0)
			return;   /* whoever waits wants to see the outcome of that one */
		log_error(r, "%s: cannot be read again", epochd->config_file);
	}
	if (epochd->control)
		control_reloaded(epochd->control, r);
}

int reload_new(struct reload **out, struct epochd *epochd)
{
	struct reload *reload = calloc(1, sizeof *reload);

	if (!reload)
		return -ENOMEM;
	reload->epochd = epochd;
	ev_async_init(&reload->read, on_read);
	ev_async_start(epochd->loop, &reload->read);
	*out = reload;
	return 0;
}

void reload_free(struct reload *reload)
{
	if (!reload)
		return;
	if (reload->running)
		pthread_join(reload->thread, NULL);
	config_free(reload->config);
	ev_async_stop(reload->epochd->loop, &reload->read);
	free(reload);
}

int reload_start(struct reload *reload)
{
	sigset_t all, old;
	int r;

	reload->once_more = reload->running;
	if (reload->running)
		return 0;
	sigfillset(&all);   /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&reload->thread, NULL, read_file, reload);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		return -r;
	reload->running = true;
	upward_reloading(reload->epochd->upward);
	return 0;
}
