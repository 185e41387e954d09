#include <config.h>

#include "store/private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
	int64_t version = 0;
	int r = sql_version(sql->db, &version);

	if (r == 0 && version != SQL_SCHEMA_VERSION)
		r = -EINVAL;
	if (r == 0)
		r = sql_prepare(sql, SQL_FOR_READING);
	if (r == 0)
		r = look_up(sql, "uuid", info->uuid, sizeof info->uuid);
	if (r == 0)
		r = look_up(sql, "instance", info->instance, sizeof info->instance);
	return r < 0 ? r : look_at_run(sql, info);
}

/* ---- a private copy ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static int copy_bytes(int from, int to)
{
	char buffer[16384], *at;
	ssize_t got, put;

	while ((got = read(from, buffer, sizeof buffer)) > 0)
		for (at = buffer; got; at += put, got -= put) {
			put = write(to, at, (size_t)got);
			if (put < 0)
				return -errno;
		}
	return got < 0 ? -errno : 0;
}

static int copy_file(const char *from, const char *to)
{
	CLEANUP(close_fd) int source = open(from, O_RDONLY | O_CLOEXEC);
	CLEANUP(close_fd) int target = -1;

	if (source < 0)
		return -errno;
	target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (target < 0)
		return -errno;
	return copy_bytes(source, target);
}

static int copy_both(const char *path, const char *copy)
{
	char wal[PATH_MAX], wal_copy[PATH_MAX];
	int r = copy_file(path, copy);

	if (r < 0)
		return r;
	if (snprintf(wal, sizeof wal, "%s-wal", path) >= (int)sizeof wal ||
	    snprintf(wal_copy, sizeof wal_copy, "%s-wal", copy) >= (int)sizeof wal_copy)
		return -ENAMETOOLONG;
	r = copy_file(wal, wal_copy);
	return r == -ENOENT ? 0 : r;
}

static int open_copy(struct store_view *view, const char *copy, struct store_view_info *info)
{
	int rc = sqlite3_open_v2(copy, &view->sql.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
				 NULL);

	/* Exclusive: no shared memory beside it, so all names can go as soon as it is open. */
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(view->sql.db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return sql_errno(view->sql.db, rc);
	info->copied = true;
	return look(&view->sql, info);
}

static void remove_copy(const char *directory, const char *copy)
{
	char wal[PATH_MAX];

	unlink(copy);
	snprintf(wal, sizeof wal, "%s-wal", copy);
	unlink(wal);
	rmdir(directory);
}

static int view_copy(struct store_view *view, const char *path, struct store_view_info *info)
{
	const char *parent = getenv("TMPDIR");
	char directory[PATH_MAX - 16], copy[PATH_MAX - 8];
	int r;

	if (!parent || !*parent)
		parent = "/tmp";
	if (snprintf(directory, sizeof directory, "%s/epochd-view-XXXXXX", parent) >=
	    (int)sizeof directory)
		return -ENAMETOOLONG;
	if (!mkdtemp(directory))
		return -errno;
	snprintf(copy, sizeof copy, "%s/db", directory);
	r = copy_both(path, copy);
	if (r == 0)
		r = open_copy(view, copy, info);
	remove_copy(directory, copy);
	return r;
}

/* ---- the view ---- */

void store_view_close(struct store_view *view)
{
	if (!view)
		return;
	sql_forget(&view->sql);
	free(view);
}

static void view_closep(struct store_view **view)
{
	store_view_close(*view);
}

int store_view_open(struct store_view **out, const char *path, struct store_view_info *info)
{
	CLEANUP(view_closep) struct store_view *view = calloc(1, sizeof *view);
	struct store_view_info what = { 0 };
	struct stat st;
	int r;

	if (!view)
		return -ENOMEM;
	if (stat(path, &st) < 0)
		return -errno;
	r = sql_open(&view->sql, path, SQL_FOR_READING);
	if (r == 0)
		r = look(&view->sql, &what);
	/* A WAL wants to be recovered and shared memory to be made, which a reader may not. */
	if (r < 0 && r != -EINVAL && r != -EUCLEAN && r != -ENOMEM) {
		sql_forget(&view->sql);
		what = (struct store_view_info){ 0 };
		r = view_copy(view, path, &what);
	}
	if (r < 0)
		return r;
	*info = what;
	*out = STEAL(view);
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
