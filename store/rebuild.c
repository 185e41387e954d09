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

/* What makes up a database, in the order in which it goes aside: the WAL first, since a new file that
 * finds an old WAL beside it would take it for its own. */
static const char *const parts[] = { "-wal", "-shm", "" };

/* path.rebuilt is complete and durable from the moment it has that name. */
static int name_of(char *out, const char *path, const char *suffix)
{
	return snprintf(out, PATH_MAX, "%s%s", path, suffix) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int sync_directory_of(const char *path)
{
	char directory[PATH_MAX], *slash;
	int fd, r;

	r = name_of(directory, path, "");
	if (r < 0)
		return r;
	slash = strrchr(directory, '/');
	if (slash)
		slash[slash == directory] = '\0';
	fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
	close(fd);
	return r;
}

/* A dated name that is free, for all three parts. */
static int dated_name(char *out, const char *path)
{
	char stamp[32], suffix[64];
	time_t now = time(NULL);
	struct stat st;
	struct tm tm;
	int i, r;

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
	for (i = 1; i < 1000; i++) {
		if (i == 1)
			snprintf(suffix, sizeof suffix, ".corrupt-%s", stamp);
		else
			snprintf(suffix, sizeof suffix, ".corrupt-%s.%d", stamp, i);
		r = name_of(out, path, suffix);
		if (r < 0)
			return r;
		if (lstat(out, &st) < 0)
			return errno == ENOENT ? 0 : -errno;
	}
	return -EEXIST;
}

/* aside: "" if there was nothing to move. */
static int move_aside(const char *path, char *aside, size_t size)
{
	char name[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
	size_t i;
	int r = dated_name(name, path);

	aside[0] = '\0';
	if (r < 0)
		return r;
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		r = name_of(from, path, parts[i]);
		if (r == 0)
			r = name_of(to, name, parts[i]);
		if (r < 0)
			return r;
		if (rename(from, to) == 0)
			snprintf(aside, size, "%s", name);
		else if (errno != ENOENT)
			return -errno;
	}
	return sync_directory_of(path);
}

static int put_in_place(const char *path, char *aside, size_t size)
{
	char rebuilt[PATH_MAX];
	int r = name_of(rebuilt, path, ".rebuilt");

	if (r == 0)
		r = move_aside(path, aside, size);
	if (r < 0)
		return r;
	if (rename(rebuilt, path) < 0)
		return -errno;
	return sync_directory_of(path);
}

int store_rebuild_resume(const char *path, char *aside, size_t size)
{
	char rebuilt[PATH_MAX];
	struct stat st;
	int r = name_of(rebuilt, path, ".rebuilt");

	aside[0] = '\0';
	if (r < 0)
		return r;
	if (lstat(rebuilt, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	r = put_in_place(path, aside, size);
	return r < 0 ? r : 1;
}

/* ---- salvage ---- */

/* Each table is read from both ends, so that one page in the middle that cannot be read costs that
 * page only. `into` never replaces a row that is there. */
static const struct {
	const char *read, *other_way, *write;
} salvage[] = {
	{ "SELECT key, value FROM meta ORDER BY key", "DESC",
	  "INSERT OR IGNORE INTO meta VALUES (?, ?)" },
	{ "SELECT id, boot_id, started_at, unclean, clean FROM run ORDER BY id", "DESC",
	  "INSERT OR IGNORE INTO run VALUES (?, ?, ?, ?, ?)" },
#define COLUMN(name) ", " #name
#define MARK(name) ", ?"
	{ "SELECT name, used, reserved, wanted, fatal, forgiven_at, since" STORE_TOTALS(COLUMN)
	  " FROM application ORDER BY rowid", "DESC",
	  "INSERT OR IGNORE INTO application"
	  " (name, used, reserved, wanted, fatal, forgiven_at, since" STORE_TOTALS(COLUMN) ")"
	  " VALUES (?, ?, ?, ?, ?, ?, ?" STORE_TOTALS(MARK) ")" },
#undef COLUMN
#undef MARK
	{ "SELECT app, epoch, pid, start_ticks, pidfd_inode, started_at, up_at, ended_at, restart,"
	  " cause, code, signal, oom, detail FROM incarnation ORDER BY app", "DESC, epoch DESC",
	  /* Not what was reclaimed, which older versions do not have. */
	  "INSERT OR IGNORE INTO incarnation (app, epoch, pid, start_ticks, pidfd_inode, started_at, up_at,"
	  " ended_at, restart, cause, code, signal, oom, detail)"
	  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" },
	{ "SELECT number, at, app, epoch, event, reason FROM event ORDER BY number", "DESC",
	  "INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?)" },
};

/* A row that the new schema does not take (a broken one) is left out. Negative: `into` itself fails. */
static int copy_row(sqlite3 *into, sqlite3_stmt *to, sqlite3_stmt *from)
{
	int i, rc;

	for (i = 0; i < sqlite3_column_count(from); i++)
		sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
	rc = sqlite3_step(to);
	sqlite3_reset(to);
	if (rc == SQLITE_DONE || (rc & 0xff) == SQLITE_CONSTRAINT || (rc & 0xff) == SQLITE_MISMATCH)
		return 0;
	return sql_errno(into, rc);
}

/* 1: all rows were read, 0: some were not, negative: `into` fails. */
static int copy_rows(sqlite3 *into, const char *write, sqlite3 *from, const char *read,
		     const char *direction)
{
	sqlite3_stmt *source = NULL, *target = NULL;
	char query[1600];
	int rc, r = 0;

	snprintf(query, sizeof query, "%s %s", read, direction);
	rc = sqlite3_prepare_v2(into, write, -1, &target, NULL);
	if (rc != SQLITE_OK)
		return sql_errno(into, rc);
	rc = sqlite3_prepare_v2(from, query, -1, &source, NULL);
	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(source);
		if (rc == SQLITE_ROW && (r = copy_row(into, target, source)) < 0)
			break;
	}
	sqlite3_finalize(source);
	sqlite3_finalize(target);
	return r < 0 ? r : rc == SQLITE_DONE;
}

static int salvage_all(sqlite3 *into, sqlite3 *from)
{
	size_t i;
	int r;

	for (i = 0; i < ARRAY_SIZE(salvage); i++) {
		r = copy_rows(into, salvage[i].write, from, salvage[i].read, "");
		if (r == 0)
			r = copy_rows(into, salvage[i].write, from, salvage[i].read,
				      salvage[i].other_way);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the new file ---- */

static int remove_parts(const char *path)
{
	char name[PATH_MAX];
	size_t i;
	int r;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		r = name_of(name, path, parts[i]);
		if (r < 0)
			return r;
		if (unlink(name) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

int store_rebuild_begin(struct sql *out, const char *path, sqlite3 *from)
{
	char name[PATH_MAX];
	int r = name_of(name, path, ".new");

	if (r == 0)
		r = remove_parts(name);
	if (r == 0)
		r = sql_open(out, name, SQL_FOR_WRITING);
	if (r < 0)
		return r;
	/* Otherwise not a row is read of a file that is shorter than its header says. */
	if (from)
		sqlite3_exec(from, "PRAGMA writable_schema = ON", NULL, NULL, NULL);
	r = sql_migrate(out->db);
	if (r >= 0)
		r = sql_prepare(out, SQL_FOR_WRITING);
	if (r >= 0)
		r = sql_run(out, SQL_BEGIN, "");
	if (r >= 0 && from)
		r = salvage_all(out->db, from);
	if (r >= 0)
		r = sql_run(out, SQL_RESCUE_APPLICATIONS, "");
	if (r < 0)
		sql_forget(out);
	return r < 0 ? r : 0;
}

int store_rebuild_finish(struct sql *fresh, const char *path, char *aside, size_t size)
{
	char name[PATH_MAX], rebuilt[PATH_MAX];
	int rc, r;

	r = sql_run(fresh, SQL_COMMIT, "");
	if (r >= 0) {   /* all of it in the one file: that is renamed alone */
		rc = sqlite3_wal_checkpoint_v2(fresh->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
					       NULL);
		r = rc == SQLITE_OK ? 0 : sql_errno(fresh->db, rc);
	}
	if (r < 0) {
		sql_forget(fresh);
		return r;
	}
	sql_close(fresh);
	r = name_of(name, path, ".new");
	if (r == 0)
		r = name_of(rebuilt, path, ".rebuilt");
	if (r == 0 && rename(name, rebuilt) < 0)
		r = -errno;
	if (r == 0)
		r = sync_directory_of(path);
	return r < 0 ? r : put_in_place(path, aside, size);
}
