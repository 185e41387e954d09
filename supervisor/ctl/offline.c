#include <config.h>

#include "supervisor/ctl/offline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/store.h"
#include "supervisor/report.h"

enum { PAGE = 1000 };
static const int64_t ns_per_s = 1000000000;

struct offline {
	struct store_view *view;
	struct store_view_info info;
	char *path;
};

int offline_open(struct offline **out, const char *path)
{
	struct offline *offline = calloc(1, sizeof *offline);
	int r;

	if (!offline)
		return -ENOMEM;
	offline->path = strdup(path);
	r = offline->path ? store_view_open(&offline->view, path, &offline->info) : -ENOMEM;
	if (r < 0) {
		free(offline->path);
		free(offline);
		return r;
	}
	*out = offline;
	return 0;
}

void offline_close(struct offline *offline)
{
	if (!offline)
		return;
	store_view_close(offline->view);
	free(offline->path);
	free(offline);
}

/* ---- stats ---- */

struct one_app {
	char *name;
	struct store_state state;
	struct store_incarnation last;   /* its strings are ours */
	bool has_last;
};

struct all_apps {
	struct one_app *apps;
	size_t count;
	int r;
};

static char *copy_of(const char *text)
{
	return text ? strdup(text) : NULL;
}

static void keep_strings(struct store_incarnation *row)
{
	row->restart = copy_of(row->restart);
	row->cause = copy_of(row->cause);
	row->detail = copy_of(row->detail);
	row->shm = copy_of(row->shm);
}

static void drop_strings(struct store_incarnation *row)
{
	free((char *)row->restart);
	free((char *)row->cause);
	free((char *)row->detail);
	free((char *)row->shm);
}

static void on_app(const char *name, const struct store_state *state,
		   const struct store_incarnation *last, void *user)
{
	struct all_apps *all = user;
	struct one_app *grown = reallocarray(all->apps, all->count + 1, sizeof *grown), *app;

	if (!grown) {
		all->r = -ENOMEM;
		return;
	}
	all->apps = grown;
	app = &grown[all->count];
	*app = (struct one_app){ .name = strdup(name), .state = *state, .has_last = last != NULL };
	if (!app->name) {
		all->r = -ENOMEM;
		return;
	}
	if (last) {
		app->last = *last;
		keep_strings(&app->last);
	}
	all->count++;
}

static void drop_apps(struct all_apps *all)
{
	size_t i;

	for (i = 0; i < all->count; i++) {
		free(all->apps[i].name);
		drop_strings(&all->apps[i].last);
	}
	free(all->apps);
}

struct lately {
	int64_t now;
	uint64_t hour, day;
	struct store_incarnation ended;   /* the newest that has; its strings are ours */
	bool has_ended;
	uint32_t oldest;                  /* epoch on this page */
	bool more;                        /* older ones may still be of today */
	int r;
};

static void on_incarnations(int r, const struct store_incarnation *rows, size_t count, void *user)
{
	struct lately *lately = user;
	size_t i;

	lately->r = r;
	lately->more = r == 0 && count == PAGE;
	for (i = 0; r == 0 && i < count; i++) {
		int64_t age = lately->now - rows[i].started_at;

		lately->oldest = rows[i].epoch;
		if (rows[i].restart && age < 3600 * ns_per_s)
			lately->hour++;
		if (rows[i].restart && age < 86400 * ns_per_s)
			lately->day++;
		if (age >= 86400 * ns_per_s && lately->has_ended)
			lately->more = false;
		if (rows[i].cause && !lately->has_ended) {
			lately->has_ended = true;
			lately->ended = rows[i];
			keep_strings(&lately->ended);
		}
	}
}

static int look_lately(struct offline *offline, const char *app, struct lately *out)
{
	struct timespec now;
	int r;

	clock_gettime(CLOCK_REALTIME, &now);
	*out = (struct lately){ .now = now.tv_sec * ns_per_s + now.tv_nsec };
	do {
		r = store_view_incarnations(offline->view, app, out->oldest, PAGE, on_incarnations,
					    out);
		if (r < 0 || out->r < 0)
			return r < 0 ? r : out->r;
	} while (out->more);
	return 0;
}

/* As the last supervisor left it: what has not ended may run still, or have ended unseen. */
static const char *state_of(const struct one_app *app)
{
	if (app->state.fatal)
		return "fatal";
	if (app->has_last && !app->last.cause)
		return app->last.up_at ? "up" : "starting";
	return "stopped";
}

static const char *reason_of(const struct one_app *app)
{
	if (app->has_last && !app->last.cause)
		return "so the database has it: no supervisor was asked";
	return app->state.wanted && !app->state.fatal ? "it is wanted: a supervisor would start it"
						      : NULL;
}

static json_t *app_json(struct offline *offline, const struct one_app *app)
{
	struct lately lately;
	json_t *json = NULL;
	struct report_app report;
	bool runs = app->has_last && !app->last.cause;

	if (look_lately(offline, app->name, &lately) == 0) {
		report = (struct report_app){
			.name = app->name,
			.state = state_of(app),
			.reason = reason_of(app),
			.epoch = app->state.used,
			.pid = runs ? app->last.pid : 0,
			.up_seconds = -1,
			.since = app->state.since,
			.last_hour = lately.hour,
			.last_day = lately.day,
			.has_ended = lately.has_ended,
			.last_exit = lately.ended,
		};
		memcpy(report.totals, app->state.totals, sizeof report.totals);
		json = report_app_json(&report);
	}
	drop_strings(&lately.ended);
	return json;
}

static json_t *apps_json(struct offline *offline, const struct all_apps *all)
{
	json_t *apps = json_array();
	size_t i;

	for (i = 0; apps && i < all->count; i++)
		if (json_array_append_new(apps, app_json(offline, &all->apps[i])) < 0) {
			json_decref(apps);
			apps = NULL;
		}
	return apps;
}

int offline_stats(struct offline *offline, json_t **out)
{
	const struct report_supervisor supervisor = {
		.instance = offline->info.instance,
		.uuid = offline->info.uuid,
		.boot_id = offline->info.boot_id,
		.started_at = offline->info.started_at,
		.runs = offline->info.runs,
		.unclean_runs = offline->info.unclean_runs,
	};
	struct all_apps all = { 0 };
	json_t *apps, *stats = NULL;
	int r = store_view_apps(offline->view, on_app, &all);

	if (r == 0)
		r = all.r;
	apps = r == 0 ? apps_json(offline, &all) : NULL;
	drop_apps(&all);
	if (r < 0)
		return r;
	stats = apps ? report_stats_json(&supervisor, apps) : NULL;
	if (!stats)
		return -EIO;
	*out = stats;
	return 0;
}

/* ---- pages ---- */

struct page {
	json_t *rows;
	uint64_t oldest;
	unsigned limit;
	int r;
	const char *database, *app;   /* of incarnations */
	int folder_size;              /* of the database's path, with the slash */
};

static int add_row(struct page *page, json_t *row)
{
	return json_array_append_new(page->rows, row) < 0 ? -ENOMEM : 0;
}

/* Beside the database, as the supervisor saves it. */
static json_t *incarnation_json(const struct page *page, const struct store_incarnation *row)
{
	char *path = NULL;
	json_t *json;

	if (asprintf(&path, "%.*straces/%s-%u.trace", page->folder_size, page->database, page->app, row->epoch) < 0)
		return NULL;
	json = report_incarnation_json(row, access(path, F_OK) == 0 ? path : NULL);
	free(path);
	return json;
}

static void on_incarnation_page(int r, const struct store_incarnation *rows, size_t count,
				void *user)
{
	struct page *page = user;
	size_t i;

	page->r = r;
	for (i = 0; page->r == 0 && i < count; i++) {
		page->r = add_row(page, incarnation_json(page, &rows[i]));
		page->oldest = rows[i].epoch;
	}
}

static void on_event_page(int r, const struct store_event *rows, size_t count, void *user)
{
	struct page *page = user;
	size_t i;

	page->r = r;
	for (i = 0; page->r == 0 && i < count; i++) {
		page->r = add_row(page, report_event_json(&rows[i]));
		page->oldest = rows[i].number;
	}
}

/* A page that is full may have another behind it. */
static json_t *next_of(const struct page *page)
{
	return json_array_size(page->rows) == page->limit && page->oldest > 1
		? json_integer((json_int_t)page->oldest) : json_null();
}

struct search {
	const char *name;
	bool found;
};

static void on_name(const char *name, const struct store_state *state,
		    const struct store_incarnation *last, void *user)
{
	struct search *search = user;

	(void)state;
	(void)last;
	search->found |= strcmp(name, search->name) == 0;
}

static int must_know(struct offline *offline, const char *app)
{
	struct search search = { .name = app };
	int r = store_view_apps(offline->view, on_name, &search);

	return r < 0 ? r : search.found ? 0 : -ENOENT;
}

int offline_incarnations(struct offline *offline, const char *app, uint32_t before, unsigned limit,
			 json_t **out)
{
	const char *slash = strrchr(offline->path, '/');
	struct page page = { .rows = json_array(), .limit = limit, .database = offline->path, .app = app,
			     .folder_size = slash ? (int)(slash + 1 - offline->path) : 0 };
	int r = page.rows ? must_know(offline, app) : -ENOMEM;

	if (r == 0)
		r = store_view_incarnations(offline->view, app, before, limit, on_incarnation_page,
					    &page);
	if (r == 0)
		r = page.r;
	if (r < 0) {
		json_decref(page.rows);
		return r;
	}
	*out = json_pack("{s:s, s:o, s:o}", "app", app, "incarnations", page.rows, "next",
			 next_of(&page));
	return *out ? 0 : -ENOMEM;
}

int offline_events(struct offline *offline, const char *app, uint64_t before, unsigned limit,
		   json_t **out)
{
	struct page page = { .rows = json_array(), .limit = limit };
	int r = page.rows ? 0 : -ENOMEM;

	if (r == 0 && app)
		r = must_know(offline, app);
	if (r == 0)
		r = store_view_events(offline->view, app, before, limit, on_event_page, &page);
	if (r == 0)
		r = page.r;
	if (r < 0) {
		json_decref(page.rows);
		return r;
	}
	*out = json_pack("{s:o, s:o}", "events", page.rows, "next", next_of(&page));
	return *out ? 0 : -ENOMEM;
}
