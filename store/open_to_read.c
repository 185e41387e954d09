/* A database that cannot be written is read all the same. */
#include <config.h>

#include "store/private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

struct copy {
	char db[PATH_MAX], wal[PATH_MAX];
};

static int name_copy(struct copy *out, const char *scratch)
{
	if (snprintf(out->db, sizeof out->db, "%s/.store.copy", scratch) >= (int)sizeof out->db ||
	    snprintf(out->wal, sizeof out->wal, "%s-wal", out->db) >= (int)sizeof out->wal)
		return -ENAMETOOLONG;
	return 0;
}

static void remove_copy(const struct copy *copy)
{
	unlink(copy->db);
	unlink(copy->wal);
}

static int copy_both(const char *path, const struct copy *copy)
{
	char wal[PATH_MAX];
	int r = copy_file(path, copy->db);

	if (r < 0)
		return r;
	if (snprintf(wal, sizeof wal, "%s-wal", path) >= (int)sizeof wal)
		return -ENAMETOOLONG;
	r = copy_file(wal, copy->wal);
	return r == -ENOENT ? 0 : r;
}

static int look_at_version(sqlite3 *db)
{
	int64_t version = 0;
	int r = sql_version(db, &version);

	if (r < 0)
		return r;
	return version == SQL_SCHEMA_VERSION ? 0 : version == 0 ? -ENODATA : -EINVAL;
}

static int open_copy(struct sql *out, const char *path)
{
	int rc = sqlite3_open_v2(path, &out->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	/* Exclusive: no shared memory beside it, so all names can go as soon as it is open. */
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(out->db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL);
	return rc != SQLITE_OK ? sql_errno(out->db, rc) : look_at_version(out->db);
}

static int open_private_copy(struct sql *out, const char *path, const char *scratch)
{
	struct copy copy = { .db = "" };
	int r = name_copy(&copy, scratch);

	if (r < 0)
		return r;
	remove_copy(&copy);   /* of one that was killed here */
	r = copy_both(path, &copy);
	if (r == 0)
		r = open_copy(out, copy.db);
	remove_copy(&copy);
	return r < 0 ? r : 1;
}

static int open_own_copy(struct sql *out, const char *path)
{
	const char *parent = getenv("TMPDIR");
	char scratch[PATH_MAX];
	int r;

	if (snprintf(scratch, sizeof scratch, "%s/epochd-view-XXXXXX",
		     parent && *parent ? parent : "/tmp") >= (int)sizeof scratch)
		return -ENAMETOOLONG;
	if (!mkdtemp(scratch))
		return -errno;
	r = open_private_copy(out, path, scratch);
	rmdir(scratch);
	return r;
}

int store_open_to_read(struct sql *out, const char *path, const char *scratch)
{
	int r = sql_open(out, path, SQL_FOR_READING);

	if (r == 0)
		r = look_at_version(out->db);
	/* Otherwise a WAL wants to be recovered and shared memory to be made, which a reader may not. */
	if (r < 0 && r != -ENODATA && r != -EINVAL && r != -EUCLEAN && r != -ENOMEM) {
		sql_forget(out);
		r = scratch ? open_private_copy(out, path, scratch) : open_own_copy(out, path);
	}
	if (r < 0)
		sql_forget(out);
	return r;
}
