#include <config.h>

#include "store/private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

struct store_view {
	struct sql sql;
};

static int look_up(struct sql *sql, const char *key, char *out, size_t size)
{
	int r;
	CLEANUP(sql_rewind) sqlite3_stmt *stmt = sql_query(sql, SQL_META_READ, &r, "s", key);

	if (!stmt)
		return r;
	r = sql_step(sql, stmt);
	if (r == 1)
		sql_text(out, size, stmt, 0);
	return r < 0 ? r : 0;
}

static int look_at_run(struct sql *sql, struct store_view_info *info)
{
	int r;
	CLEANUP(sql_rewind) sqlite3_stmt *stmt = sql_query(sql, SQL_NEWEST_RUN, &r, "");

	if (!stmt)
		return r;
	r = sql_step(sql, stmt);
	if (r == 1) {
		info->runs = (uint64_t)sqlite3_column_int64(stmt, 0);
		sql_text(info->boot_id, sizeof info->boot_id, stmt, 1);
		info->started_at = sqlite3_column_int64(stmt, 2);
		info->unclean_runs = (uint64_t)sqlite3_column_int64(stmt, 3);
	}
	return r < 0 ? r : 0;
}

static int look(struct sql *sql, struct store_view_info *info)
{
	int r = sql_prepare(sql, SQL_FOR_READING);

	if (r == 0)
		r = look_up(sql, "uuid", info->uuid, sizeof info->uuid);
	if (r == 0)
		r = look_up(sql, "instance", info->instance, sizeof info->instance);
	return r < 0 ? r : look_at_run(sql, info);
}

void store_view_close(struct store_view *view)
{
	if (!view)
		return;
	sql_forget(&view->sql);
	free(view);
}

int store_view_open(struct store_view **out, const char *path, struct store_view_info *info)
{
	struct store_view_info what = { 0 };
	struct store_view *view;
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return -errno;
	view = calloc(1, sizeof *view);
	if (!view)
		return -ENOMEM;
	r = store_open_to_read(&view->sql, path, NULL);
	what.copied = r == 1;
	if (r >= 0)
		r = look(&view->sql, &what);
	if (r == -ENODATA)
		r = -EINVAL;
	if (r < 0) {
		store_view_close(view);
		return r;
	}
	*info = what;
	*out = view;
	return 0;
}

struct each {
	struct store_view *view;
	store_view_app_fn *fn;
	void *user;
};

static int one_app(const char *name, const struct store_state *state, void *user)
{
	const struct each *each = user;
	CLEANUP(sql_page_free) struct page page = { 0 };
	int r = sql_page_incarnations(&each->view->sql, name, 0, 1, &page);

	if (r == 0)
		each->fn(name, state, page.count ? page.incarnations : NULL, each->user);
	return r;
}

int store_view_apps(struct store_view *view, store_view_app_fn *fn, void *user)
{
	struct each each = { .view = view, .fn = fn, .user = user };

	return sql_each_application(&view->sql, one_app, &each);
}

int store_view_incarnations(struct store_view *view, const char *app, uint32_t before,
			    unsigned limit, store_incarnations_fn *fn, void *user)
{
	CLEANUP(sql_page_free) struct page page = { 0 };
	int r = sql_page_incarnations(&view->sql, app, before, limit, &page);

	if (r == 0)
		fn(0, page.incarnations, page.count, user);
	return r;
}

int store_view_events(struct store_view *view, const char *app, uint64_t before, unsigned limit,
		      store_events_fn *fn, void *user)
{
	CLEANUP(sql_page_free) struct page page = { 0 };
	int r = sql_page_events(&view->sql, app, before, limit, &page);

	if (r == 0)
		fn(0, page.events, page.count, user);
	return r;
}
