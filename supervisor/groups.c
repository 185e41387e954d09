/* Which application waits for which: `after`, and the strategies of groups, as in Erlang/OTP. */
#include <config.h>

#include "supervisor/app_private.h"

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
	static const char waits[] = "waits for ";
	bool new = !app->waiting || !app->reason ||
		   strncmp(app->reason, waits, sizeof waits - 1) != 0;

	app->waiting = true;
	if (new)
		app_move(app, app->active ? app->state : APP_STOPPED, "%s%s, which is %s",
			 waits, other->config->name, app_state_name(other->state));
}

/* Those that it took down must be gone before it starts; then all start, in order, it among them. */
static struct app *member_still_ending(const struct app *app)
{
	for (size_t i = 0; i < app->epochd->app_count; i++) {
		struct app *other = app->epochd->apps[i];

		if (other->held_by == app && other->active)
			return other;
	}
	return NULL;
}

static void release_members(struct app *app)
{
	struct epochd *epochd = app->epochd;

	for (size_t i = 0; i < epochd->app_count; i++) {
		struct app *other = epochd->apps[i];

		if (other->held_by != app)
			continue;
		other->held_by = NULL;
		app_try_start(other);
	}
}

static bool is_in_group(const struct app *app)
{
	return app->config->group_of != NULL;
}

bool group_lets(struct app *app)
{
	struct app *other;

	if (is_in_group(app)) {
		other = member_still_ending(app);
		if (!other && app->held_by)
			other = app->held_by;
		if (other) {
			wait_for(app, other);
			return false;
		}
	}
	for (char **name = app->config->after; name && *name; name++) {
		other = epochd_app(app->epochd, *name);
		if (other && (other->state != APP_UP || !other->active)) {
			wait_for(app, other);
			if (is_in_group(app))
				release_members(app);
			return false;
		}
	}
	if (is_in_group(app))
		release_members(app);
	/* What it released may have started something that it waits for: look no further. */
	return !app->active;
}

void group_failed(struct app *app)
{
	struct epochd *epochd = app->epochd;
	const struct group_config *group = is_in_group(app) ?
		config_group(epochd->config, app->config->group_of) : NULL;
	bool behind = false;

	if (!group || group->strategy == ONE_FOR_ONE)
		return;
	for (size_t i = 0; i < epochd->app_count; i++) {
		struct app *other = epochd->apps[i];

		if (other == app) {
			behind = true;
			continue;
		}
		if (!is_in_group(other) || strcmp(other->config->group_of, group->name) != 0 ||
		    (group->strategy == REST_FOR_ONE && !behind) || other->held_by)
			continue;
		if (other->state != APP_STARTING && other->state != APP_UP)
			continue;
		other->held_by = app;
		other->again = true;
		other->ledger->again = 1;
		app_end(other, EP_GROUP);
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
		other->held_by = NULL;
		other->waiting = other->wanted && !other->active && other->state == APP_STOPPED;
	}
}

/* One that went down and stays so holds nobody of its group back any more. */
void group_is_down(struct app *app)
{
	if (is_in_group(app)) {
		if (app->state == APP_STOPPED || app->state == APP_FATAL)
			release_members(app);
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

/* In reverse order of start: one that another was started after waits for that one's end. */
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
