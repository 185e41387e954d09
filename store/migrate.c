#include <config.h>

#include "store/sql.h"

#include <errno.h>
#include <stdio.h>

/* From version i to i + 1. Never edited once released: a database somewhere has been through it. */
static const char *const steps[SQL_SCHEMA_VERSION] = {
	"CREATE TABLE meta ("
	"  key TEXT PRIMARY KEY,"
	"  value NOT NULL"
	") WITHOUT ROWID;"

	/* id is the number of this run; unclean counts the runs before it that did not end clean, so
	 * that the newest row tells all and old ones can go. */
	"CREATE TABLE run ("
	"  id INTEGER PRIMARY KEY,"
	"  boot_id TEXT NOT NULL,"
	"  started_at INTEGER NOT NULL,"
	"  unclean INTEGER NOT NULL,"
	"  clean INTEGER NOT NULL DEFAULT 0"
	");"

	"CREATE TABLE application ("
	"  name TEXT NOT NULL UNIQUE,"
	"  used INTEGER NOT NULL,"
	"  reserved INTEGER NOT NULL,"
	"  wanted INTEGER NOT NULL,"
	"  fatal INTEGER NOT NULL,"
	"  forgiven_at INTEGER NOT NULL,"
	"  since INTEGER NOT NULL,"
	"  restarts_crashed INTEGER NOT NULL DEFAULT 0,"
	"  restarts_exited INTEGER NOT NULL DEFAULT 0,"
	"  restarts_watchdog INTEGER NOT NULL DEFAULT 0,"
	"  restarts_health INTEGER NOT NULL DEFAULT 0,"
	"  restarts_start_failed INTEGER NOT NULL DEFAULT 0,"
	"  restarts_start_timeout INTEGER NOT NULL DEFAULT 0,"
	"  restarts_asked INTEGER NOT NULL DEFAULT 0,"
	"  restarts_reconfigured INTEGER NOT NULL DEFAULT 0,"
	"  restarts_group INTEGER NOT NULL DEFAULT 0,"
	"  restarts_boot INTEGER NOT NULL DEFAULT 0,"
	"  restarts_unseen INTEGER NOT NULL DEFAULT 0,"
	"  reclaimed_messages INTEGER NOT NULL DEFAULT 0,"
	"  reclaimed_bytes INTEGER NOT NULL DEFAULT 0,"
	"  reclaimed_channels_lost INTEGER NOT NULL DEFAULT 0,"
	"  collected_buffers INTEGER NOT NULL DEFAULT 0,"
	"  collected_bytes INTEGER NOT NULL DEFAULT 0,"
	"  clients_registered INTEGER NOT NULL DEFAULT 0,"
	"  clients_reaped INTEGER NOT NULL DEFAULT 0,"
	"  clients_confused INTEGER NOT NULL DEFAULT 0,"
	"  refused_stale_epoch INTEGER NOT NULL DEFAULT 0,"
	"  refused_stale_generation INTEGER NOT NULL DEFAULT 0,"
	"  refused_free_slot INTEGER NOT NULL DEFAULT 0,"
	"  refused_down INTEGER NOT NULL DEFAULT 0,"
	"  refused_not_a_handle INTEGER NOT NULL DEFAULT 0,"
	"  shm_cleaned_files INTEGER NOT NULL DEFAULT 0,"
	"  shm_cleaned_bytes INTEGER NOT NULL DEFAULT 0"
	");"

	/* The name and not a number: rows that outlive the application's own in a broken file still
	 * say whose they are. NULL: not known. */
	"CREATE TABLE incarnation ("
	"  app TEXT NOT NULL,"
	"  epoch INTEGER NOT NULL,"
	"  pid INTEGER, start_ticks INTEGER, pidfd_inode INTEGER,"
	"  started_at INTEGER, up_at INTEGER, ended_at INTEGER,"
	"  restart TEXT, cause TEXT, code INTEGER, signal INTEGER, oom INTEGER, detail TEXT,"
	"  PRIMARY KEY (app, epoch)"
	") WITHOUT ROWID;"
	"CREATE INDEX incarnation_restart ON incarnation (started_at) WHERE restart IS NOT NULL;"

	"CREATE TABLE event ("
	"  number INTEGER PRIMARY KEY,"
	"  at INTEGER NOT NULL,"
	"  app TEXT,"
	"  epoch INTEGER,"
	"  event TEXT NOT NULL,"
	"  reason TEXT"
	");"
	"CREATE INDEX event_app ON event (app) WHERE app IS NOT NULL;",

	/* What was taken back of the channels of its clients. NULL: not known, or it had none. */
	"ALTER TABLE incarnation ADD COLUMN reclaimed_messages INTEGER;"
	"ALTER TABLE incarnation ADD COLUMN reclaimed_bytes INTEGER;"
	"ALTER TABLE incarnation ADD COLUMN reclaimed_channels_lost INTEGER;"
	"ALTER TABLE incarnation ADD COLUMN collected_buffers INTEGER;"
	"ALTER TABLE incarnation ADD COLUMN collected_bytes INTEGER;",

	/* Collected buffers by cause. Those of before have none on record: they stay with the first one. */
	"ALTER TABLE application RENAME COLUMN collected_buffers TO abandoned_buffers;"
	"ALTER TABLE application RENAME COLUMN collected_bytes TO abandoned_bytes;"
	"ALTER TABLE application ADD COLUMN held_buffers INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE application ADD COLUMN held_bytes INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE application ADD COLUMN overdue_buffers INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE application ADD COLUMN overdue_bytes INTEGER NOT NULL DEFAULT 0;",

	/* Stale files in shared memory that were removed: JSON. */
	"ALTER TABLE incarnation ADD COLUMN shm TEXT;",
};

int sql_version(sqlite3 *db, int64_t *out)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? 0 : sql_errno(db, rc);
}

static int take_step(sqlite3 *db, int64_t from)
{
	char version[48];
	int rc;

	snprintf(version, sizeof version, "PRAGMA user_version = %d", (int)from + 1);
	rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, steps[from], NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, version, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	if (rc != SQLITE_OK) {
		int r = sql_errno(db, rc);

		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
		return r;
	}
	return 0;
}

int sql_migrate(sqlite3 *db)
{
	int64_t version = 0, first;
	int r = sql_version(db, &version);

	if (r < 0)
		return r;
	if (version < 0 || version > SQL_SCHEMA_VERSION)
		return -EINVAL;
	for (first = version; version < SQL_SCHEMA_VERSION; version++) {
		r = take_step(db, version);
		if (r < 0)
			return r;
	}
	return first == 0;
}
