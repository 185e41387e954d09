#include <config.h>

#include "store/sql.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMN(name) ", " #name
#define MARK(name) ", ?"
#define KEEP_LARGER(name) ", " #name " = max(" #name ", excluded." #name ")"
#define KEEP_KNOWN(name) #name " = coalesce(excluded." #name ", " #name ")"

#define APPLICATION_COLUMNS \
	"name, used, reserved, wanted, fatal, forgiven_at, since" STORE_TOTALS(COLUMN)
#define INCARNATION_COLUMNS \
	"epoch, pid, start_ticks, pidfd_inode, started_at, up_at, ended_at, restart, cause, code," \
	" signal, oom, detail, reclaimed_messages, reclaimed_bytes, reclaimed_channels_lost," \
	" collected_buffers, collected_bytes, shm"
#define EVENT_COLUMNS "number, at, app, epoch, event, reason"

/* The guards stand here, not with the callers: never backwards (I2), never twice (I8). */
static const char *const sql[SQL_STMTS] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_META_GET] = "SELECT value FROM meta WHERE key = ?",
	[SQL_META_SET] = "INSERT INTO meta (key, value) VALUES (?, ?)"
		" ON CONFLICT (key) DO UPDATE SET value = excluded.value",
	[SQL_RAISE_CEILING] = "INSERT INTO meta (key, value) VALUES ('event_ceiling', ?)"
		" ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)",
	[SQL_LAST_RUN] = "SELECT id, boot_id, unclean, clean FROM run ORDER BY id DESC LIMIT 1",
	[SQL_INSERT_RUN] = "INSERT OR REPLACE INTO run (id, boot_id, started_at, unclean)"
		" VALUES (?, ?, ?, ?)",
	[SQL_END_RUN] = "UPDATE run SET clean = ? WHERE id = ?",
	[SQL_PRUNE_RUNS] = "DELETE FROM run WHERE id <= ? - 1000",
	[SQL_PUT_APPLICATION] = "INSERT INTO application (" APPLICATION_COLUMNS ")"
		" VALUES (?, ?, ?, ?, ?, ?, ?" STORE_TOTALS(MARK) ")"
		" ON CONFLICT (name) DO UPDATE SET"
		" used = max(used, excluded.used), reserved = max(reserved, excluded.reserved),"
		" wanted = excluded.wanted, fatal = excluded.fatal,"
		" forgiven_at = excluded.forgiven_at,"
		" since = CASE since WHEN 0 THEN excluded.since ELSE since END"
		STORE_TOTALS(KEEP_LARGER),
	/* Of an application whose own row is lost only the incarnations say how far it had come. They
	 * lag behind what was reserved, so the next epoch is to be well above them (I2). */
	[SQL_RESCUE_APPLICATIONS] = "INSERT OR IGNORE INTO application"
		" (name, used, reserved, wanted, fatal, forgiven_at, since)"
		" SELECT app, min(max(epoch) + 64, 16777215), min(max(epoch) + 64, 16777215), 1, 0, 0,"
		" ifnull(min(started_at), 0) FROM incarnation GROUP BY app",
	[SQL_PUT_INCARNATION] = "INSERT INTO incarnation (app, " INCARNATION_COLUMNS ")"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
		" ON CONFLICT (app, epoch) DO UPDATE SET "
		KEEP_KNOWN(pid) "," KEEP_KNOWN(start_ticks) "," KEEP_KNOWN(pidfd_inode) ","
		KEEP_KNOWN(started_at) "," KEEP_KNOWN(up_at) "," KEEP_KNOWN(ended_at) ","
		KEEP_KNOWN(restart) "," KEEP_KNOWN(cause) "," KEEP_KNOWN(code) ","
		KEEP_KNOWN(signal) "," KEEP_KNOWN(oom) "," KEEP_KNOWN(detail) ","
		KEEP_KNOWN(reclaimed_messages) "," KEEP_KNOWN(reclaimed_bytes) ","
		KEEP_KNOWN(reclaimed_channels_lost) "," KEEP_KNOWN(collected_buffers) ","
		KEEP_KNOWN(collected_bytes) "," KEEP_KNOWN(shm),
	[SQL_PUT_EVENT] = "INSERT OR IGNORE INTO event (" EVENT_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?)",
	[SQL_HIGHEST_EVENT] = "SELECT max(number) FROM event",
	[SQL_RESTARTS_SINCE] = "SELECT app, epoch, started_at, restart FROM incarnation"
		" WHERE restart IS NOT NULL AND started_at >= ? ORDER BY started_at, app, epoch",
	[SQL_PRUNE_EVENTS] = "DELETE FROM event WHERE number IN (SELECT number FROM event"
		" WHERE number <= (SELECT number FROM event ORDER BY number DESC LIMIT 1 OFFSET ?)"
		" ORDER BY number LIMIT ?)",
	[SQL_PRUNE_INCARNATIONS] = "DELETE FROM incarnation WHERE app = ?1 AND epoch IN"
		" (SELECT epoch FROM incarnation WHERE app = ?1 AND epoch <="
		" (SELECT epoch FROM incarnation WHERE app = ?1 ORDER BY epoch DESC LIMIT 1 OFFSET ?2)"
		" AND ifnull(started_at, 0) < ?4 ORDER BY epoch LIMIT ?3)",
	[SQL_APPLICATIONS] = "SELECT " APPLICATION_COLUMNS " FROM application ORDER BY name",
	[SQL_INCARNATIONS] = "SELECT " INCARNATION_COLUMNS " FROM incarnation"
		" WHERE app = ? AND epoch < ? ORDER BY epoch DESC LIMIT ?",
	[SQL_EVENTS] = "SELECT " EVENT_COLUMNS " FROM event"
		" WHERE number < ? ORDER BY number DESC LIMIT ?",
	[SQL_EVENTS_OF_APP] = "SELECT " EVENT_COLUMNS " FROM event"
		" WHERE app = ? AND number < ? ORDER BY number DESC LIMIT ?",
	[SQL_NEWEST_RUN] = "SELECT id, boot_id, started_at, unclean + NOT clean FROM run"
		" ORDER BY id DESC LIMIT 1",
	[SQL_META_READ] = "SELECT value FROM meta WHERE key = ?",
};

/* SQLite keeps it with the connection, but not when it was a COMMIT that failed: then with the file. */
static int system_errno(sqlite3 *db)
{
	sqlite3_file *file = NULL;
	int error = db ? sqlite3_system_errno(db) : 0;

	if (db && !error)
		sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
	if (file && file->pMethods)
		file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error);
	if (db && !error)
		sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
	return error > 0 ? error : EIO;
}

/* SQLite opens what may not be written for reading, and no more says why. */
static int read_only_errno(sqlite3 *db)
{
	const char *path = db ? sqlite3_db_filename(db, "main") : NULL;

	return path && *path && access(path, W_OK) < 0 ? errno : EROFS;
}

int sql_errno(sqlite3 *db, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -read_only_errno(db);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_INTERRUPT:
		return -ECANCELED;
	default:
		return -system_errno(db);
	}
}

static int configure(sqlite3 *db, enum sql_use use)
{
	/* cache_size in KiB; mmap would turn an I/O error into SIGBUS. */
	static const char *const pragmas[] = {
		[SQL_FOR_WRITING] = "PRAGMA synchronous = FULL; PRAGMA cache_size = -192;"
			"PRAGMA mmap_size = 0; PRAGMA journal_size_limit = 4194304",
		[SQL_FOR_READING] = "PRAGMA cache_size = -512; PRAGMA mmap_size = 0",
	};

	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, 1000);   /* a person may look with a tool of their own */
	if (use == SQL_FOR_READING)
		sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return sqlite3_exec(db, pragmas[use], NULL, NULL, NULL);
}

/* Where WAL cannot be had, SQLite says so by naming the mode that it kept. */
static int want_wal(sqlite3 *db)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &stmt, NULL), r;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc != SQLITE_ROW)
		r = sql_errno(db, rc);
	else
		r = !strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") ? 0 : -ENOTSUP;
	sqlite3_finalize(stmt);
	return r;
}

int sql_open(struct sql *out, const char *path, enum sql_use use)
{
	int flags = use == SQL_FOR_READING ? SQLITE_OPEN_READONLY :
					     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	int rc, r;

	rc = sqlite3_open_v2(path, &out->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK)
		rc = configure(out->db, use);
	r = rc == SQLITE_OK ? 0 : sql_errno(out->db, rc);
	if (r == 0 && use == SQL_FOR_WRITING)
		r = want_wal(out->db);
	if (r < 0)
		sql_forget(out);
	return r;
}

int sql_prepare(struct sql *out, enum sql_use use)
{
	int which = use == SQL_FOR_READING ? SQL_WRITER_STMTS : 0;
	int rc;

	for (; which < SQL_STMTS; which++) {
		rc = sqlite3_prepare_v3(out->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT,
					&out->stmt[which], NULL);
		if (rc != SQLITE_OK)   /* no such table or column: not a schema of ours */
			return rc == SQLITE_ERROR ? -EUCLEAN : sql_errno(out->db, rc);
	}
	return 0;
}

void sql_close(struct sql *closing)
{
	int which;

	for (which = 0; which < SQL_STMTS; which++)
		sqlite3_finalize(STEAL(closing->stmt[which]));
	sqlite3_close(STEAL(closing->db));
}

void sql_forget(struct sql *closing)
{
	if (closing->db)
		sqlite3_db_config(closing->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sql_close(closing);
}

static int bind_totals(sqlite3_stmt *stmt, int *column, const uint64_t *totals)
{
	int i, rc = SQLITE_OK;

	for (i = 0; i < STORE_TOTALS_COUNT && rc == SQLITE_OK; i++)
		rc = sqlite3_bind_int64(stmt, (*column)++, (sqlite3_int64)totals[i]);
	return rc;
}

static int bind_number(sqlite3_stmt *stmt, int column, int64_t value, bool known)
{
	return known ? sqlite3_bind_int64(stmt, column, value) : sqlite3_bind_null(stmt, column);
}

static int bind_values(sqlite3_stmt *stmt, const char *types, va_list values)
{
	int rc = SQLITE_OK, column = 1;
	int64_t number;

	for (; *types && rc == SQLITE_OK; types++) {
		switch (*types) {
		case 'i':
			rc = sqlite3_bind_int64(stmt, column++, va_arg(values, int64_t));
			break;
		case 'n':
			number = va_arg(values, int64_t);
			rc = bind_number(stmt, column++, number, number != 0);
			break;
		case 'm':
			number = va_arg(values, int64_t);
			rc = bind_number(stmt, column++, number, number != -1);
			break;
		case 's':   /* the caller's until the statement is rewound; NULL binds NULL */
			rc = sqlite3_bind_text(stmt, column++, va_arg(values, const char *), -1,
					       SQLITE_STATIC);
			break;
		case 't':
			rc = bind_totals(stmt, &column, va_arg(values, const uint64_t *));
			break;
		default:
			assert(!"a type that bind_values() does not know");
		}
	}
	return rc;
}

sqlite3_stmt *sql_query(struct sql *on, enum sql_stmt which, int *r, const char *types, ...)
{
	sqlite3_stmt *stmt = on->stmt[which];
	va_list values;
	int rc;

	va_start(values, types);
	rc = bind_values(stmt, types, values);
	va_end(values);
	*r = rc == SQLITE_OK ? 0 : sql_errno(on->db, rc);
	if (rc == SQLITE_OK)
		return stmt;
	sql_rewind(&stmt);
	return NULL;
}

void sql_rewind(sqlite3_stmt **stmt)
{
	if (!*stmt)
		return;
	sqlite3_reset(*stmt);
	sqlite3_clear_bindings(*stmt);
}

int sql_step(struct sql *on, sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : sql_errno(on->db, rc);
}

int sql_run(struct sql *on, enum sql_stmt which, const char *types, ...)
{
	CLEANUP(sql_rewind) sqlite3_stmt *stmt = on->stmt[which];
	va_list values;
	int rc;

	va_start(values, types);
	rc = bind_values(stmt, types, values);
	va_end(values);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	return rc == SQLITE_DONE ? sqlite3_changes(on->db) : sql_errno(on->db, rc);
}

void sql_rollback(struct sql *on)
{
	if (on->db && !sqlite3_get_autocommit(on->db))
		sqlite3_exec(on->db, "ROLLBACK", NULL, NULL, NULL);
}

void sql_text(char *out, size_t size, sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	snprintf(out, size, "%s", text ? text : "");
}

/* ---- rows ---- */

static uint32_t column_u32(sqlite3_stmt *stmt, int column)
{
	sqlite3_int64 value = sqlite3_column_int64(stmt, column);

	return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static int column_or(sqlite3_stmt *stmt, int column, int otherwise)
{
	if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
		return otherwise;
	return sqlite3_column_int(stmt, column);
}

/* NULL stays NULL; false: no memory. */
static bool column_copy(const char **out, sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	*out = text ? strdup(text) : NULL;
	return *out || !text;
}

int sql_each_application(struct sql *on, sql_application_fn *fn, void *user)
{
	struct store_state state;
	const char *name;
	int i, r;
	CLEANUP(sql_rewind) sqlite3_stmt *stmt = sql_query(on, SQL_APPLICATIONS, &r, "");

	if (!stmt)
		return r;
	while ((r = sql_step(on, stmt)) > 0) {
		name = (const char *)sqlite3_column_text(stmt, 0);
		if (!name)
			return -ENOMEM;
		state = (struct store_state){ .used = column_u32(stmt, 1),
					      .reserved = column_u32(stmt, 2),
					      .wanted = sqlite3_column_int(stmt, 3),
					      .fatal = sqlite3_column_int(stmt, 4),
					      .forgiven_at = sqlite3_column_int64(stmt, 5),
					      .since = sqlite3_column_int64(stmt, 6) };
		for (i = 0; i < STORE_TOTALS_COUNT; i++)
			state.totals[i] = (uint64_t)sqlite3_column_int64(stmt, 7 + i);
		r = fn(name, &state, user);
		if (r < 0)
			return r;
	}
	return r;
}

int sql_put_application(struct sql *on, const char *name, const struct store_state *state)
{
	return sql_run(on, SQL_PUT_APPLICATION, "siiiiiit", name, (int64_t)state->used,
		       (int64_t)state->reserved, (int64_t)state->wanted, (int64_t)state->fatal,
		       state->forgiven_at, state->since, state->totals);
}

int sql_put_incarnation(struct sql *on, const char *app, const struct store_incarnation *row)
{
	const struct store_reclaimed *of = &row->reclaimed;
	int64_t unknown = of->is_known ? 0 : -1;   /* all the bits: bound as NULL */

	return sql_run(on, SQL_PUT_INCARNATION, "sinnnnnnssmnmsmmmmms", app, (int64_t)row->epoch,
		       (int64_t)row->pid, (int64_t)row->start_ticks, (int64_t)row->pidfd_inode,
		       row->started_at, row->up_at, row->ended_at, row->restart, row->cause,
		       (int64_t)row->code, (int64_t)row->signal, (int64_t)row->oom, row->detail,
		       (int64_t)of->messages | unknown, (int64_t)of->bytes | unknown,
		       (int64_t)of->channels_lost | unknown, (int64_t)of->collected_buffers | unknown,
		       (int64_t)of->collected_bytes | unknown, row->shm);
}

int sql_put_event(struct sql *on, const struct store_event *event)
{
	return sql_run(on, SQL_PUT_EVENT, "iisnss", (int64_t)event->number, event->at, event->app,
		       (int64_t)event->epoch, event->event, event->reason);
}

static bool read_incarnation(struct store_incarnation *row, sqlite3_stmt *stmt)
{
	*row = (struct store_incarnation){
		.epoch = column_u32(stmt, 0),
		.pid = sqlite3_column_int(stmt, 1),
		.start_ticks = (uint64_t)sqlite3_column_int64(stmt, 2),
		.pidfd_inode = (uint64_t)sqlite3_column_int64(stmt, 3),
		.started_at = sqlite3_column_int64(stmt, 4),
		.up_at = sqlite3_column_int64(stmt, 5),
		.ended_at = sqlite3_column_int64(stmt, 6),
		.code = column_or(stmt, 9, -1),
		.signal = sqlite3_column_int(stmt, 10),
		.oom = column_or(stmt, 11, -1),
		.reclaimed = {
			.is_known = sqlite3_column_type(stmt, 13) != SQLITE_NULL,
			.messages = (uint64_t)sqlite3_column_int64(stmt, 13),
			.bytes = (uint64_t)sqlite3_column_int64(stmt, 14),
			.channels_lost = (uint64_t)sqlite3_column_int64(stmt, 15),
			.collected_buffers = (uint64_t)sqlite3_column_int64(stmt, 16),
			.collected_bytes = (uint64_t)sqlite3_column_int64(stmt, 17),
		},
	};
	return column_copy(&row->restart, stmt, 7) && column_copy(&row->cause, stmt, 8) &&
	       column_copy(&row->detail, stmt, 12) && column_copy(&row->shm, stmt, 18);
}

static bool read_event(struct store_event *row, sqlite3_stmt *stmt)
{
	*row = (struct store_event){ .number = (uint64_t)sqlite3_column_int64(stmt, 0),
				     .at = sqlite3_column_int64(stmt, 1),
				     .epoch = column_u32(stmt, 3) };
	return column_copy(&row->app, stmt, 2) && column_copy(&row->event, stmt, 4) &&
	       column_copy(&row->reason, stmt, 5);
}

void sql_page_free(struct page *page)
{
	size_t i;

	for (i = 0; page->incarnations && i < page->count; i++) {
		free((char *)page->incarnations[i].restart);
		free((char *)page->incarnations[i].cause);
		free((char *)page->incarnations[i].detail);
		free((char *)page->incarnations[i].shm);
	}
	for (i = 0; page->events && i < page->count; i++) {
		free((char *)page->events[i].app);
		free((char *)page->events[i].event);
		free((char *)page->events[i].reason);
	}
	free(page->incarnations);
	free(page->events);
	*page = (struct page){ 0 };
}

static int fill_incarnations(struct sql *on, sqlite3_stmt *stmt, unsigned limit, struct page *page)
{
	int r = 0;

	page->incarnations = calloc(limit, sizeof *page->incarnations);
	if (!page->incarnations)
		return -ENOMEM;
	while (page->count < limit && (r = sql_step(on, stmt)) > 0)
		if (!read_incarnation(&page->incarnations[page->count++], stmt))
			return -ENOMEM;
	return r < 0 ? r : 0;
}

int sql_page_incarnations(struct sql *on, const char *app, uint32_t before, unsigned limit,
			  struct page *out)
{
	int64_t below = before ? (int64_t)before : INT64_MAX;
	int r;
	CLEANUP(sql_rewind) sqlite3_stmt *stmt =
		sql_query(on, SQL_INCARNATIONS, &r, "sii", app, below, (int64_t)limit);

	*out = (struct page){ 0 };
	if (stmt)
		r = fill_incarnations(on, stmt, limit, out);
	if (r < 0)
		sql_page_free(out);
	return r;
}

static int fill_events(struct sql *on, sqlite3_stmt *stmt, unsigned limit, struct page *page)
{
	int r = 0;

	page->events = calloc(limit, sizeof *page->events);
	if (!page->events)
		return -ENOMEM;
	while (page->count < limit && (r = sql_step(on, stmt)) > 0)
		if (!read_event(&page->events[page->count++], stmt))
			return -ENOMEM;
	return r < 0 ? r : 0;
}

int sql_page_events(struct sql *on, const char *app, uint64_t before, unsigned limit,
		    struct page *out)
{
	int64_t below = before && before <= INT64_MAX ? (int64_t)before : INT64_MAX;
	int r;
	CLEANUP(sql_rewind) sqlite3_stmt *stmt =
		app ? sql_query(on, SQL_EVENTS_OF_APP, &r, "sii", app, below, (int64_t)limit) :
		      sql_query(on, SQL_EVENTS, &r, "ii", below, (int64_t)limit);

	*out = (struct page){ 0 };
	if (stmt)
		r = fill_events(on, stmt, limit, out);
	if (r < 0)
		sql_page_free(out);
	return r;
}
