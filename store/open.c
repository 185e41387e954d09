/* Opening, what is loaded then, the threads, and closing. */
#include <config.h>

#include "store/private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { STACK_SIZE = 256 * 1024 };

/* ---- opening ---- */

/* WAL needs shared memory and locks that a network file system does not have. */
static int refuse_network(const char *path)
{
	static const uint32_t network[] = {
		0x6969,       /* NFS */
		0x517b,       /* SMB */
		0xff534d42,   /* CIFS */
		0xfe534d42,   /* SMB2 */
		0x01021997,   /* 9p */
		0x73757245,   /* Coda */
		0x5346414f,   /* OpenAFS */
		0x6b414653,   /* kAFS */
		0x564c,       /* NCP */
		0x00c36400,   /* Ceph */
		0x0bd00bd0,   /* Lustre */
		0x47504653,   /* GPFS */
		0x19830326,   /* BeeGFS */
		0xaad7aaea,   /* PanFS */
	};
	char directory[PATH_MAX], *slash;
	struct statfs fs;
	size_t i;

	if (snprintf(directory, sizeof directory, "%s", path) >= (int)sizeof directory)
		return -ENAMETOOLONG;
	slash = strrchr(directory, '/');
	if (slash)
		slash[slash == directory] = '\0';
	if (statfs(slash ? directory : ".", &fs) < 0)
		return -errno;
	for (i = 0; i < ARRAY_SIZE(network); i++)
		if ((uint32_t)fs.f_type == network[i])
			return -EREMOTEIO;
	return 0;
}

static int make_uuid(char out[40])
{
	unsigned char bytes[16];
	char hex[33];
	size_t i;

	if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
		return -EIO;
	bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);   /* version 4 */
	bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
	for (i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	snprintf(out, 40, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
	return 0;
}

static bool is_uuid(const char *text)
{
	size_t i;

	if (!text || strlen(text) != 36)
		return false;
	for (i = 0; i < 36; i++)
		if ((i == 8 || i == 13 || i == 18 || i == 23) ?
			    text[i] != '-' :
			    !strchr("0123456789abcdefABCDEF", text[i]))
			return false;
	return true;
}

static int load_app(const char *name, const struct store_state *state, void *user)
{
	struct store *store = user;
	struct store_app *app;
	int r = store_app_get(&app, store, name);

	if (r < 0)
		return r;
	app->state = *state;
	app->asked = state->reserved;
	return 0;
}

/* 1 if it is there. */
static int read_meta(struct sql *sql, enum sql_stmt which, const char *key, char *text, size_t size,
		     uint64_t *number)
{
	int r;
	CLEANUP(sql_rewind) sqlite3_stmt *stmt = sql_query(sql, which, &r, "s", key);

	if (!stmt)
		return r;
	r = sql_step(sql, stmt);
	if (r == 1 && text)
		sql_text(text, size, stmt, 0);
	if (r == 1 && number)
		*number = (uint64_t)sqlite3_column_int64(stmt, 0);
	return r;
}

static int load_uuid(struct store *store, const char *adopted)
{
	char *uuid = store->identity.uuid;
	int r = read_meta(&store->sql, SQL_META_GET, "uuid", uuid, sizeof store->identity.uuid,
			  NULL);

	if (r < 0 || (r > 0 && is_uuid(uuid)))
		return r < 0 ? r : 0;
	if (!is_uuid(adopted))
		return make_uuid(uuid);
	snprintf(uuid, sizeof store->identity.uuid, "%s", adopted);
	return 0;
}

static int load_last_run(struct store *store, struct store_found *found)
{
	struct identity *identity = &store->identity;
	int r;
	CLEANUP(sql_rewind) sqlite3_stmt *stmt = sql_query(&store->sql, SQL_LAST_RUN, &r, "");

	if (!stmt)
		return r;
	r = sql_step(&store->sql, stmt);
	identity->run = 1;
	identity->unclean = 0;
	if (r == 1) {
		int how = sqlite3_column_int(stmt, 3);   /* enum store_ending */

		identity->run += (uint64_t)sqlite3_column_int64(stmt, 0);
		identity->unclean = (uint64_t)sqlite3_column_int64(stmt, 2) + (how == STORE_UNCLEAN);
		sql_text(store->last_boot_id, sizeof store->last_boot_id, stmt, 1);
		found->last_clean = found->last_clean && how == STORE_CLEAN;
	}
	return r < 0 ? r : 0;
}

/* lost: there was a database whose numbers are not known. */
static int load_event_number(struct store *store, bool lost)
{
	uint64_t ceiling = 0, highest = 0;
	int known = read_meta(&store->sql, SQL_META_GET, "event_ceiling", NULL, 0, &ceiling), r;
	CLEANUP(sql_rewind) sqlite3_stmt *stmt = sql_query(&store->sql, SQL_HIGHEST_EVENT, &r, "");

	if (known < 0 || !stmt)
		return known < 0 ? known : r;
	r = sql_step(&store->sql, stmt);
	if (r < 0)
		return r;
	highest = (uint64_t)sqlite3_column_int64(stmt, 0);
	store->event_number = highest > ceiling ? highest : ceiling;
	if (!known && lost)
		store->event_number = store_untold_number(store->event_number);
	store->event_ceiling = store->event_number + EVENT_STRETCH;
	return 0;
}

int store_write_identity(struct sql *into, const struct store *store)
{
	const struct identity *identity = &store->identity;
	int r = sql_run(into, SQL_META_SET, "ss", "uuid", identity->uuid);

	if (r >= 0)
		r = sql_run(into, SQL_META_SET, "ss", "instance", store->instance);
	if (r >= 0)
		r = sql_run(into, SQL_INSERT_RUN, "isii", (int64_t)identity->run, identity->boot_id,
			    identity->started_at, (int64_t)identity->unclean);
	if (r >= 0)
		r = sql_run(into, SQL_PRUNE_RUNS, "i", (int64_t)identity->run);
	return r;
}

static int write_begin(struct store *store)
{
	int r = sql_run(&store->sql, SQL_BEGIN, "");

	if (r >= 0)
		r = store_write_identity(&store->sql, store);
	if (r >= 0)
		r = sql_run(&store->sql, SQL_RAISE_CEILING, "i", (int64_t)store->event_ceiling);
	if (r >= 0)
		r = sql_run(&store->sql, SQL_COMMIT, "");
	sql_rollback(&store->sql);
	return r < 0 ? r : 0;
}

int store_open_to_write(struct store *store)
{
	struct stat st;
	int r = sql_open(&store->sql, store->path, SQL_FOR_WRITING), made = 0;

	if (r == 0)
		r = made = sql_migrate(store->sql.db);
	if (r >= 0)
		r = sql_prepare(&store->sql, SQL_FOR_WRITING);
	if (r >= 0 && stat(store->path, &st) < 0)
		r = -errno;
	if (r < 0)
		return r;
	store->inode = st.st_ino;
	return made;
}

int store_begin(struct store *store)
{
	int r;

	sql_forget(&store->sql);
	r = store_open_to_write(store);
	if (r >= 0)
		r = write_begin(store);
	store->begun = r == 0;
	return r;
}

static void free_apps(struct store *store)
{
	struct store_app *app, *next;
	struct pending *pending;

	for (app = store->all; app; app = next) {
		next = app->next_of_all;
		while ((pending = app->pending)) {
			app->pending = pending->next;
			store_free_pending(pending);
		}
		free(app);
	}
	free(STEAL(store->bucket));
	store->all = NULL;
	store->bucket_count = store->app_count = 0;
}

/* What no disk that has room again would change. */
static bool is_for_good(int r)
{
	return r == -EINVAL || r == -EUCLEAN || r == -ENOMEM || r == -ENOTSUP;
}

/* Where nothing can be made, an empty one in memory says what a new one would. */
static int open_nothing(struct sql *out)
{
	int rc = sqlite3_open_v2(":memory:", &out->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
				 NULL);

	return rc == SQLITE_OK ? sql_migrate(out->db) : sql_errno(out->db, rc);
}

/* why: it cannot be written. 1: it is new. */
static int open_unwritable(struct store *store, int why)
{
	struct stat st;
	int r, prepared;

	sql_forget(&store->sql);
	r = stat(store->path, &st) < 0 ? -errno :
		store_open_to_read(&store->sql, store->path, store->scratch);
	if (r == 1)
		r = 0;   /* a copy is as good */
	else if (r == -ENOENT || r == -ENODATA)
		r = open_nothing(&store->sql);
	prepared = r < 0 ? r : sql_prepare(&store->sql, SQL_FOR_WRITING);
	if (prepared < 0)
		return is_for_good(prepared) ? prepared : why;
	return r;
}

/* I2: what a run that ended clean had reserved it did not use, and nothing durable would tell that we do. */
static void use_none_reserved(struct store *store)
{
	struct store_app *app;

	for (app = store->all; app; app = app->next_of_all)
		app->state.reserved = app->asked = app->state.used;
}

/* -EUCLEAN: it is to be set aside. */
static int load(struct store *store, const struct store_options *options, struct store_found *found)
{
	bool lost, writable;
	int r = store_open_to_write(store);

	writable = r >= 0;
	if (!writable && !is_for_good(r))
		r = open_unwritable(store, r);
	if (r < 0)
		return r;
	found->created = r == 1 || store->set_aside;
	lost = store->set_aside || (found->created && is_uuid(options->uuid));
	found->last_clean = !lost;
	r = load_uuid(store, options->uuid);
	if (r == 0)
		r = load_last_run(store, found);
	if (r == 0)
		r = load_event_number(store, lost);
	if (r == 0)
		r = sql_each_application(&store->sql, load_app, store);
	if (r == 0 && writable)
		r = write_begin(store);
	store->begun = r == 0 && writable;
	if (store->begun || is_for_good(r))
		return r;
	store->event_ceiling = store->event_number;
	if (found->last_clean)
		use_none_reserved(store);
	return 0;
}

static int replace(struct store *store)
{
	struct sql old = { 0 }, fresh = { 0 };
	char aside[PATH_MAX];
	int r;

	store->why = strdup(store->sql.db && sqlite3_errcode(store->sql.db) != SQLITE_OK ?
				    sqlite3_errmsg(store->sql.db) :
				    "file is not a database of epochd's");
	sql_forget(&store->sql);
	free_apps(store);
	/* Not sql_open(): what it asks for may be just what cannot be had any more. */
	sqlite3_open_v2(store->path, &old.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	r = store_rebuild_begin(&fresh, store->path, old.db);
	sql_forget(&old);
	if (r == 0)
		r = store_rebuild_finish(&fresh, store->path, aside, sizeof aside);
	if (r == 0) {
		store->set_aside = strdup(aside);
		r = store->set_aside && store->why ? 0 : -ENOMEM;
	}
	return r;
}

static int open_database(struct store *store, const struct store_options *options,
			 struct store_found *found)
{
	char aside[PATH_MAX];
	int r = store_rebuild_resume(store->path, aside, sizeof aside);

	if (r > 0) {
		store->set_aside = strdup(aside);
		store->why = strdup("a rebuild of it was under way when the supervisor ended");
		if (!store->set_aside || !store->why)
			r = -ENOMEM;
	}
	if (r >= 0)
		r = load(store, options, found);
	if (r == -EUCLEAN) {
		free(STEAL(store->set_aside));
		free(STEAL(store->why));
		r = replace(store);
		if (r == 0)
			r = load(store, options, found);
	}
	return r;
}

static void destroy(struct store **of)
{
	struct store *store = *of;
	struct waiting_event *waiting;
	struct word *word;

	if (!store)
		return;
	sql_forget(&store->sql);
	free_apps(store);
	store_forget_reads(store);
	sql_page_free(&store->last_page);
	while ((waiting = store->events.head)) {
		store->events.head = waiting->next;
		free(waiting);
	}
	while ((word = store->words)) {
		store->words = word->next;
		free(word);
	}
	pthread_cond_destroy(&store->work);
	pthread_cond_destroy(&store->reading);
	pthread_mutex_destroy(&store->lock);
	free(store->path);
	free(store->instance);
	free(store->scratch);
	free(store->set_aside);
	free(store->why);
	free(store);
}

static void set_keep(struct store *store, unsigned events, unsigned incarnations)
{
	store->keep_events = events ? events : 1;
	store->keep_incarnations = incarnations ? incarnations : 1;
}

static struct store *create(const struct store_options *options)
{
	struct store *store = calloc(1, sizeof *store);
	pthread_condattr_t monotonic;

	if (!store)
		return NULL;
	pthread_mutex_init(&store->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&store->work, &monotonic);
	pthread_cond_init(&store->reading, &monotonic);
	pthread_condattr_destroy(&monotonic);
	store->dirty_tail = &store->dirty;
	store->done_tail = &store->done;
	store->events.tail = &store->events.head;
	store->questions.tail = &store->questions.head;
	store->answers.tail = &store->answers.head;
	store->health.writable = true;
	set_keep(store, options->keep_events, options->keep_incarnations);
	store->events_since_prune = UINT16_MAX;   /* how many there are is not known */
	store->wake = options->wake;
	store->committed = options->committed;
	store->user = options->user;
	store->path = strdup(options->path);
	store->instance = strdup(options->instance);
	store->scratch = strdup(options->scratch);
	snprintf(store->identity.boot_id, sizeof store->identity.boot_id, "%s", options->boot_id);
	store->identity.started_at = store_now();
	if (store->path && store->instance && store->scratch)
		return store;
	destroy(&store);
	return NULL;
}

int store_open(struct store **out, const struct store_options *options, struct store_found *found)
{
	struct store_found what = { 0 };
	int r = refuse_network(options->path);
	CLEANUP(destroy) struct store *store = NULL;

	if (r < 0)
		return r;
	store = create(options);
	if (!store)
		return -ENOMEM;
	r = open_database(store, options, &what);
	if (r < 0)
		return r;
	store->generation = 1;
	what.uuid = store->identity.uuid;
	what.last_boot_id = store->last_boot_id[0] ? store->last_boot_id : NULL;
	what.set_aside = store->set_aside;
	what.why = store->why;
	what.unwritable = !store->begun;
	what.runs = store->identity.run;
	what.unclean_runs = store->identity.unclean;
	*found = what;
	*out = STEAL(store);
	return 0;
}

/* ---- threads ---- */

static int start_thread(pthread_t *out, void *(*function)(void *), struct store *store)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &before);   /* inherited: there is no moment without */
	error = pthread_create(out, &attributes, function, store);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -error;
}

static void stop_threads(struct store *store)
{
	pthread_mutex_lock(&store->lock);
	store->stopping = true;
	if (store->interruptible_read)
		sqlite3_interrupt(store->interruptible_read);
	if (store->interruptible_check)
		sqlite3_interrupt(store->interruptible_check);
	pthread_cond_broadcast(&store->work);
	pthread_cond_broadcast(&store->reading);
	pthread_mutex_unlock(&store->lock);
	if (store->started) {
		pthread_join(store->writer, NULL);
		pthread_join(store->reader, NULL);
	}
	if (store->check_started)
		pthread_join(store->checker, NULL);
	store->started = store->check_started = false;
}

int store_start(struct store *store)
{
	int r = start_thread(&store->writer, store_writer_main, store);

	if (r < 0)
		return r;
	r = start_thread(&store->reader, store_reader_main, store);
	if (r == 0) {
		store->started = true;
		return 0;
	}
	pthread_mutex_lock(&store->lock);
	store->stopping = true;
	pthread_cond_broadcast(&store->work);
	pthread_mutex_unlock(&store->lock);
	pthread_join(store->writer, NULL);
	store->stopping = false;   /* alone again: closing still commits */
	return r;
}

void store_check(struct store *store)
{
	/* Without memory for a thread it is not checked: what is broken is still found when it is met. */
	if (!store->check_started)
		store->check_started = start_thread(&store->checker, store_check_main, store) == 0;
}

void store_set_keep(struct store *store, unsigned events, unsigned incarnations)
{
	pthread_mutex_lock(&store->lock);
	set_keep(store, events, incarnations);
	store->keep_changed = true;
	pthread_mutex_unlock(&store->lock);
}

int store_close(struct store *closing, enum store_ending how)
{
	CLEANUP(destroy) struct store *store = closing;
	struct ending ending = { .how = how };
	int r;

	if (!store)
		return 0;
	stop_threads(store);
	r = store_commit(store, &ending);
	if (r == 0)
		sql_close(&store->sql);   /* folds the WAL in; that it could not changes nothing */
	return r;
}
