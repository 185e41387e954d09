/* All SQL of the store in one table, and what binds, steps and rewinds it. A rule that must hold for
 * ever (never backwards, never twice) is a constraint or an expression in a statement, not a duty of
 * its callers. A connection belongs to one thread at a time. */
#ifndef EPOCHD_STORE_SQL_H
#define EPOCHD_STORE_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "store/store.h"

enum sql_stmt {
	/* writer's */
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_META_GET,
	SQL_META_SET,
	SQL_RAISE_CEILING,
	SQL_LAST_RUN,
	SQL_INSERT_RUN,
	SQL_END_RUN,
	SQL_PRUNE_RUNS,
	SQL_PUT_APPLICATION,
	SQL_RESCUE_APPLICATIONS,
	SQL_PUT_INCARNATION,
	SQL_PUT_EVENT,
	SQL_HIGHEST_EVENT,
	SQL_RESTARTS_SINCE,
	SQL_PRUNE_EVENTS,
	SQL_PRUNE_INCARNATIONS,
	SQL_WRITER_STMTS,
	/* readers', some of them of both */
	SQL_APPLICATIONS = SQL_WRITER_STMTS,
	SQL_INCARNATIONS,
	SQL_EVENTS,
	SQL_EVENTS_OF_APP,
	SQL_NEWEST_RUN,
	SQL_META_READ,
	SQL_STMTS
};

struct sql {
	sqlite3 *db;
	sqlite3_stmt *stmt[SQL_STMTS];
};

enum sql_use { SQL_FOR_WRITING, SQL_FOR_READING };

enum { SQL_SCHEMA_VERSION = 4 };

/* Of SQLite's result, by what a caller can do about it; -EUCLEAN: the database is corrupt. */
int sql_errno(sqlite3 *db, int rc);

/* Opens and sets up a connection; nothing is prepared. An `sql` of zeros is closed. */
int sql_open(struct sql *sql, const char *path, enum sql_use use);
int sql_prepare(struct sql *sql, enum sql_use use);
/* With its statements. Closing one that was opened for writing folds the WAL into the file; forget:
 * leaves all files as they are, because they are another's, or broken. */
void sql_close(struct sql *sql);
void sql_forget(struct sql *sql);

/* Brings the schema to this version, forward only. 1 if there was none before, 0, -EINVAL if it is
 * newer than we are. */
int sql_migrate(sqlite3 *db);
int sql_version(sqlite3 *db, int64_t *out);

/* Binds and hands out a statement ready to be stepped; NULL if that failed: *r then says why.
 *   i  int64_t          n  int64_t, 0 is NULL      m  int64_t, -1 is NULL
 *   s  string or NULL   t  uint64_t[STORE_TOTALS_COUNT], a column each
 * Declare it CLEANUP(sql_rewind): one left in the middle keeps its transaction open. */
sqlite3_stmt *sql_query(struct sql *sql, enum sql_stmt which, int *r, const char *types, ...);
void sql_rewind(sqlite3_stmt **stmt);
/* 1: a row, 0: no more, or negative errno. */
int sql_step(struct sql *sql, sqlite3_stmt *stmt);

/* Runs a statement that gives no rows. Rows changed, or negative errno. */
int sql_run(struct sql *sql, enum sql_stmt which, const char *types, ...);
void sql_rollback(struct sql *sql);

/* Copies at most size - 1 bytes, of a whole column; "" if it is NULL. */
void sql_text(char *out, size_t size, sqlite3_stmt *stmt, int column);

/* Rows of reports; strings are malloc'ed, freed by sql_page_free(). An error leaves an empty page. */
struct page {
	struct store_incarnation *incarnations;   /* one of these two */
	struct store_event *events;
	size_t count;
};
int sql_page_incarnations(struct sql *sql, const char *app, uint32_t before, unsigned limit,
			  struct page *out);
int sql_page_events(struct sql *sql, const char *app, uint64_t before, unsigned limit,
		    struct page *out);
void sql_page_free(struct page *page);

/* Calls fn with each application, by name. */
typedef int sql_application_fn(const char *name, const struct store_state *state, void *user);
int sql_each_application(struct sql *sql, sql_application_fn *fn, void *user);
int sql_put_application(struct sql *sql, const char *name, const struct store_state *state);
int sql_put_incarnation(struct sql *sql, const char *app, const struct store_incarnation *row);
int sql_put_event(struct sql *sql, const struct store_event *event);
#endif
