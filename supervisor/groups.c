/* Which application waits for which: `after`, and the strategies of groups, as in Erlang/OTP. */
#include <config.h>

#include "supervisor/app_private.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/ledger.h"

static bool is_after(const struct app *app, const struct app *first)
{
	for (char **name = app->config->after; name && *name; name++)
		if (strcmp(*name, first->config->name) == 0)
			return true;
	return false;
}

static void wait_for(struct app *app, const struct app *other)
{
	char reason[160];

	snprintf(reason, sizeof reason, "waits for %s, which is %s", other->config->name,
		 app_state_name(other->state));
	if (app->waiting && app->reason && strcmp(app->reason, reason) == 0)
		return;
	app->waiting = true;
	app_move(app, APP_STOPPED, "%s", reason);
}

static bool is_in_group(const struct app *app)
{
	return app->config->group_of != NULL;
}

/* Its group, if a failure in it is anybody else's matter; otherwise NULL. */
static const struct group_config *group_of(const struct app *app)
{
	const struct group_config *group = is_in_group(app) ?
		config_group(app->epochd->config, app->config->group_of) : NULL;

	return group && group->strategy != ONE_FOR_ONE ? group : NULL;
}

static bool is_member(const struct app *app, const struct group_config *group)
{
	return is_in_group(app) && strcmp(app->config->group_of, group->name) == 0;
}

/* Also for a supervisor after us, which goes on with what we do not live to finish. */
static void set_holder(struct app *app, struct app *holder)
{
	app->held_by = holder;
	app->ledger->held_by = holder ? ledger_index(app->epochd->ledger, holder->ledger) : 0;
}

/* Last its own: until that is there nobody is held, and once it is gone nobody is any more. */
static void hold(struct app *app, struct app *holder)
{
	set_holder(app, holder);
	set_holder(holder, holder);
}

/* All in the order of the text, the one that held them among them. */
static void release(struct app *holder)
{
	struct epochd *epochd = holder->epochd;

	for (size_t i = 0; i < epochd->app_count; i++) {
		struct app *app = epochd->apps[i];

		if (app->held_by != holder)
			continue;
		set_holder(app, NULL);
		app_try_start(app);
	}
}

/* Those that it took down must be gone before it starts. */
static const struct app *member_still_ending(const struct app *app)
{
	for (size_t i = 0; i < app->epochd->app_count; i++) {
		const struct app *other = app->epochd->apps[i];

		if (other->held_by == app && other->active)
			return other;
	}
	return NULL;
}

/* One that would take it down, and stays down until a person resets it. */
static struct app *fatal_one(const struct app *app)
{
	const struct group_config *group = group_of(app);

	for (size_t i = 0; group && i < app->epochd->app_count; i++) {
		struct app *other = app->epochd->apps[i];

		if (other == app && group->strategy == REST_FOR_ONE)
			break;
		if (other != app && other->fatal && !other->removed && is_member(other, group))
			return other;
	}
	return NULL;
}

static const struct app *obstacle(const struct app *app)
{
	if (app->held_by == app)
		return member_still_ending(app);
	if (app->held_by)
		return app->held_by;
	for (char **name = app->config->after; name && *name; name++) {
		const struct app *other = epochd_app(app->epochd, *name);

		if (other && (other->state != APP_UP || !other->active))
			return other;
	}
	return NULL;
}

bool group_lets(struct app *app)
{
	struct app *fatal = app->held_by ? NULL : fatal_one(app);
	const struct app *other;

	if (fatal)
		hold(app, fatal);
	other = obstacle(app);
	if (other)
		wait_for(app, other);
	else if (app->held_by)
		release(app);   /* it is started in its turn */
	else
		return true;
	return false;
}

/* It runs, or would again without anybody's asking. */
static bool is_going(const struct app *app)
{
	return app->active || app->waiting || app->state == APP_BACKOFF || app->state == APP_HELD;
}

static void take_down(struct app *app, struct app *holder)
{
	struct epochd *epochd = app->epochd;

	/* With those that it holds, since it does not go first any more. */
	if (app->held_by == app)
		for (size_t i = 0; i < epochd->app_count; i++)
			if (epochd->apps[i]->held_by == app && epochd->apps[i] != app)
				set_holder(epochd->apps[i], holder);
	set_holder(app, holder);
	if (app->state != APP_STARTING && app->state != APP_UP)
		return;   /* down, or on its way */
	/* A temporary child, as OTP has it, does not come back with the others. */
	app->again = app->config->restart != RESTART_NEVER;
	app->ledger->again = app->again;
	app_end(app, EP_GROUP);
}

void group_failed(struct app *app)
{
	struct epochd *epochd = app->epochd;
	const struct group_config *group = group_of(app);
	bool behind = false;

	/* Whoever holds it has done so, be it itself, under the supervisor before us. */
	if (!group || app->held_by)
		return;
	for (size_t i = 0; i < epochd->app_count; i++) {
		struct app *other = epochd->apps[i];

		behind = behind || other == app;
		if (other != app && is_member(other, group) && is_going(other) &&
		    (group->strategy == ONE_FOR_ALL || behind))
			take_down(other, app);
	}
	set_holder(app, app);
}

/* Those whose holder has started, or is no more, go on by themselves. */
void group_recover(struct epochd *epochd)
{
	for (size_t i = 0; i < epochd->app_count; i++) {
		struct app *app = epochd->apps[i];
		const struct ledger_record *holder = ledger_record_of(epochd->ledger,
								      app->ledger->held_by);

		app->held_by = holder ? epochd_app(epochd, holder->app) : NULL;
	}
	for (size_t i = 0; i < epochd->app_count; i++) {
		struct app *app = epochd->apps[i];

		if (!app->held_by || app->held_by->held_by != app->held_by)
			set_holder(app, NULL);
	}
}

void group_reconfigured(struct epochd *epochd)
{
	for (size_t i = 0; i < epochd->app_count; i++) {
		struct app *app = epochd->apps[i];
		const struct group_config *group = group_of(app);

		if (app->held_by && app->held_by != app && !(group && is_member(app->held_by, group)))
			set_holder(app, NULL);
	}
}

void group_retry(struct epochd *epochd)
{
	for (size_t i = 0; i < epochd->app_count; i++)
		if (epochd->apps[i]->waiting && !epochd->apps[i]->active)
			app_try_start(epochd->apps[i]);
}

void group_is_up(struct app *app)
{
	struct epochd *epochd = app->epochd;

	for (size_t i = 0; i < epochd->app_count; i++)
		if (epochd->apps[i]->waiting && is_after(epochd->apps[i], app))
			app_try_start(epochd->apps[i]);
}

void group_forget(struct app *app)
{
	for (size_t i = 0; i < app->epochd->app_count; i++) {
		struct app *other = app->epochd->apps[i];

		if (other->held_by != app)
			continue;
		set_holder(other, NULL);
		other->waiting = other->wanted && !other->active && other->state == APP_STOPPED;
	}
}

void group_tell_waits(const struct epochd *epochd)
{
	for (size_t i = 0; i < epochd->app_count; i++) {
		struct app *app = epochd->apps[i];
		const struct app *other = app->waiting && !app->active ? obstacle(app) : NULL;

		if (other)
			wait_for(app, other);
	}
}

/* One that went down and stays so holds nobody of its group back any more, unless it failed for good:
 * then they stay down with it. */
void group_is_down(struct app *app)
{
	if (is_in_group(app) || app->held_by) {
		if (app->state == APP_STOPPED && !app->waiting) {
			set_holder(app, NULL);   /* first: it is not to be started with them */
			release(app);
		}
		group_retry(app->epochd);
	}
	if (app->epochd->shutting_down)
		shutdown_step(app->epochd);
}

static bool is_needed(const struct app *app)
{
	const struct epochd *epochd = app->epochd;

	for (size_t i = 0; i < epochd->app_count; i++)
		if (epochd->apps[i]->active && is_after(epochd->apps[i], app))
			return true;
	return false;
}

/* At once, but for one that another was started after: it waits for that one's end. */
void shutdown_step(struct epochd *epochd)
{
	bool running = false;

	for (size_t i = epochd->app_count; i-- > 0;) {
		struct app *app = epochd->apps[i];

		if (app->active && (app->state == APP_STARTING || app->state == APP_UP) &&
		    !is_needed(app))
			app_end(app, EP_ASKED);
	}
	for (size_t i = 0; i < epochd->app_count; i++)
		running = running || epochd->apps[i]->active;
	if (running)
		return;
	epochd->done = true;
	ev_break(epochd->loop, EVBREAK_ALL);
}
