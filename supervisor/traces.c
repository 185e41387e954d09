#include <config.h>

#include "supervisor/traces.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ev.h>

#include "apilib/fd.h"
#include "apilib/trace.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/events.h"
#include "supervisor/fault.h"
#include "supervisor/log.h"

enum { NAME_SIZE = 128 };

/* One to be saved, then what became of it. */
struct job {
	struct job *next;
	char app[EP_NAME_SIZE];
	uint32_t epoch;
	unsigned keep;
	int r;
	uint32_t *gone;            /* epochs that were removed for it; free() */
	size_t gone_count;
};

struct saved { char app[EP_NAME_SIZE]; uint32_t epoch; };

struct traces {
	struct epochd *epochd;
	ev_async news;
	char *folder;              /* STATE/traces */

	pthread_mutex_t lock;      /* of what follows */
	pthread_cond_t some;
	struct job *first, **end;
	struct job *done, **done_end;
	bool over;

	pthread_t thread;
	bool started;

	/* The loop's: what is saved, as far as it was told. */
	struct saved *saved;
	size_t count;
};

void traces_name(char *name, size_t size, const char *app, uint32_t epoch)
{
	snprintf(name, size, ".traced.%u.%s", epoch, app);
}

const char *traces_parse(const char *name, uint32_t *epoch)
{
	unsigned long value;
	char *end;

	if (strncmp(name, ".traced.", 8) != 0 || name[8] < '1' || name[8] > '9')
		return NULL;
	errno = 0;
	value = strtoul(name + 8, &end, 10);
	if (errno || value > UINT32_MAX || *end != '.' || !config_name_is_good(end + 1))
		return NULL;
	*epoch = (uint32_t)value;
	return end + 1;
}

/* "APP-EPOCH.trace" */
static bool parse_saved(const char *name, char app[static EP_NAME_SIZE], uint32_t *epoch)
{
	const char *dash = strrchr(name, '-');
	unsigned long value;
	char *end;

	if (!dash || dash == name || dash - name >= EP_NAME_SIZE || dash[1] < '1' || dash[1] > '9')
		return false;
	errno = 0;
	value = strtoul(dash + 1, &end, 10);
	if (errno || value > UINT32_MAX || strcmp(end, ".trace") != 0)
		return false;
	snprintf(app, EP_NAME_SIZE, "%.*s", (int)(dash - name), name);
	*epoch = (uint32_t)value;
	return config_name_is_good(app);
}

/* ---- the thread: copying ---- */

static int copy_part(int to, int from, off_t at, uint64_t size)
{
	if (lseek(to, at, SEEK_SET) < 0)
		return -errno;
	while (size > 0) {
		ssize_t n = sendfile(to, from, &at, size);

		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;   /* truncated meanwhile (I6) */
		size -= (uint64_t)n;
	}
	return 0;
}

static uint64_t word(const _Atomic uint64_t *of) { return atomic_load_explicit(of, memory_order_relaxed); }

/* Somebody who was fenced may write there still: what was written over while it was copied is not in it. */
static int copy_trace(int to, int from)
{
	struct ep_trace_header header, after;
	uint64_t ring_at, used;
	int r = ep_trace_read_header(from, &header);

	if (r < 0)
		return r;
	ring_at = ep_trace_ring_at(header.table);
	used = word(&header.head) < header.ring ? word(&header.head) : header.ring;
	r = copy_part(to, from, EP_TRACE_HEADER, header.table);
	if (r == 0)
		r = copy_part(to, from, (off_t)ring_at, used);
	/* With the fence in forget_until(): of what the old tail says, all was there. */
	atomic_thread_fence(memory_order_seq_cst);
	if (r == 0)
		r = ep_trace_read_header(from, &after);
	if (r < 0)
		return r;
	after.head = word(&header.head);
	after.messages = word(&header.messages);
	if (word(&after.tail) > word(&after.head))
		after.tail = word(&after.head);
	if (pwrite(to, &after, sizeof after, 0) != (ssize_t)sizeof after ||
	    ftruncate(to, (off_t)(ring_at + header.ring)) < 0)
		return -errno;
	return fsync(to) < 0 ? -errno : 0;
}

static int save_as(const struct traces *traces, int from, const char *name)
{
	CLEANUP(ep_close_fd) int folder = -1;
	CLEANUP(ep_close_fd) int to = -1;
	char fresh[NAME_SIZE + 8];
	int r;

	if (mkdir(traces->folder, 0700) < 0 && errno != EEXIST)
		return -errno;
	folder = open(traces->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0)
		return -errno;
	snprintf(fresh, sizeof fresh, ".%.120s~", name);
	unlinkat(folder, fresh, 0);
	to = openat(folder, fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	r = copy_trace(to, from);
	if (r == 0 && renameat(folder, fresh, folder, name) < 0)
		r = -errno;
	if (r == 0 && fsync(folder) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(folder, fresh, 0);
	return r;
}

static int compare_epochs(const void *a, const void *b)
{
	const struct saved *x = a, *y = b;

	return (x->epoch > y->epoch) - (x->epoch < y->epoch);
}

typedef void saved_fn(const char *app, uint32_t epoch, void *user);

static void each_saved(const char *folder, saved_fn *fn, void *user)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	char app[EP_NAME_SIZE];
	uint32_t epoch;

	while (dir && (entry = readdir(dir)))
		if (parse_saved(entry->d_name, app, &epoch))
			fn(app, epoch, user);
	if (dir)
		closedir(dir);
}

struct list { const char *only; struct saved *saved; size_t count; };

static void add(const char *app, uint32_t epoch, void *user)
{
	struct list *list = user;
	struct saved *grown;

	if (list->only && strcmp(list->only, app) != 0)
		return;
	grown = realloc(list->saved, (list->count + 1) * sizeof *grown);
	if (!grown)
		return;
	list->saved = grown;
	snprintf(grown[list->count].app, EP_NAME_SIZE, "%s", app);
	grown[list->count++].epoch = epoch;
}

static void prune(const struct traces *traces, struct job *job)
{
	struct list list = { .only = job->app };
	char path[4300];

	each_saved(traces->folder, add, &list);
	if (list.count > job->keep) {
		qsort(list.saved, list.count, sizeof *list.saved, compare_epochs);
		job->gone = calloc(list.count - job->keep, sizeof *job->gone);
	}
	for (size_t i = 0; job->gone && i < list.count - job->keep; i++) {
		snprintf(path, sizeof path, "%s/%s-%u.trace", traces->folder, job->app, list.saved[i].epoch);
		unlink(path);
		job->gone[job->gone_count++] = list.saved[i].epoch;
	}
	free(list.saved);
}

static void save(const struct traces *traces, struct job *job)
{
	CLEANUP(ep_close_fd) int from = -1;
	char name[NAME_SIZE], ended[NAME_SIZE];

	traces_name(ended, sizeof ended, job->app, job->epoch);
	snprintf(name, sizeof name, "%s-%u.trace", job->app, job->epoch);
	from = openat(traces->epochd->segments, ended, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	job->r = from < 0 ? -errno : save_as(traces, from, name);
	FAULT(trace_saved);
	unlinkat(traces->epochd->segments, ended, 0);
	if (job->r == 0)
		prune(traces, job);
}

/* NULL: it is over, and all is done. */
static struct job *await_job(struct traces *traces)
{
	struct job *job;

	while (!traces->first && !traces->over)
		pthread_cond_wait(&traces->some, &traces->lock);
	job = traces->first;
	if (job)
		traces->first = job->next;
	if (!traces->first)
		traces->end = &traces->first;
	return job;
}

static void *run(void *user)
{
	struct traces *traces = user;
	struct job *job;

	pthread_mutex_lock(&traces->lock);
	while ((job = await_job(traces))) {
		pthread_mutex_unlock(&traces->lock);
		save(traces, job);
		pthread_mutex_lock(&traces->lock);
		job->next = NULL;
		*traces->done_end = job;
		traces->done_end = &job->next;
		ev_async_send(traces->epochd->loop, &traces->news);
	}
	pthread_mutex_unlock(&traces->lock);
	return NULL;
}

/* ---- the loop ---- */

static size_t find(const struct traces *traces, const char *app, uint32_t epoch)
{
	size_t i = 0;

	while (i < traces->count && (traces->saved[i].epoch != epoch || strcmp(traces->saved[i].app, app) != 0))
		i++;
	return i;
}

static void remember(struct traces *traces, const struct job *job)
{
	struct list list = { .saved = traces->saved, .count = traces->count };

	if (find(traces, job->app, job->epoch) == traces->count)
		add(job->app, job->epoch, &list);
	traces->saved = list.saved;
	traces->count = list.count;
	for (size_t i = 0; i < job->gone_count; i++) {
		size_t at = find(traces, job->app, job->gone[i]);

		if (at < traces->count)
			traces->saved[at] = traces->saved[--traces->count];
	}
}

static void tell(struct traces *traces, const struct job *job)
{
	struct epochd *epochd = traces->epochd;
	char path[4300];

	if (job->r == 0) {
		remember(traces, job);
		snprintf(path, sizeof path, "%s/%s-%u.trace", traces->folder, job->app, job->epoch);
		log_notice(0, "app %s epoch %u: its trace is saved as %s", job->app, job->epoch, path);
		events_post(epochd->events, job->app, job->epoch, "trace_saved", path);
		return;
	}
	log_error(job->r, "app %s epoch %u: its trace is lost: %s", job->app, job->epoch, traces->folder);
	events_post(epochd->events, job->app, job->epoch, "trace_lost", strerror(-job->r));
}

static void tell_all(struct traces *traces)
{
	struct job *job, *next;

	pthread_mutex_lock(&traces->lock);
	job = traces->done;
	traces->done = NULL;
	traces->done_end = &traces->done;
	pthread_mutex_unlock(&traces->lock);
	for (; job; job = next) {
		next = job->next;
		tell(traces, job);
		free(job->gone);
		free(job);
	}
}

static void on_news(EV_P_ ev_async *w, int revents)
{
	(void)loop;
	(void)revents;
	tell_all(container_of(w, struct traces, news));
}

int traces_new(struct traces **out, struct epochd *epochd)
{
	struct traces *traces = calloc(1, sizeof *traces);
	struct list list = { 0 };

	if (!traces || asprintf(&traces->folder, "%s/traces", epochd->state_dir) < 0) {
		free(traces);
		return -ENOMEM;
	}
	traces->epochd = epochd;
	traces->end = &traces->first;
	traces->done_end = &traces->done;
	pthread_mutex_init(&traces->lock, NULL);
	pthread_cond_init(&traces->some, NULL);
	ev_async_init(&traces->news, on_news);
	ev_async_start(epochd->loop, &traces->news);
	each_saved(traces->folder, add, &list);   /* before the loop turns, as the database is read */
	traces->saved = list.saved;
	traces->count = list.count;
	*out = traces;
	return 0;
}

void traces_free(struct traces *traces)
{
	if (!traces)
		return;
	if (traces->started) {
		pthread_mutex_lock(&traces->lock);
		traces->over = true;
		pthread_cond_signal(&traces->some);
		pthread_mutex_unlock(&traces->lock);
		pthread_join(traces->thread, NULL);
	}
	tell_all(traces);
	ev_async_stop(traces->epochd->loop, &traces->news);
	pthread_mutex_destroy(&traces->lock);
	pthread_cond_destroy(&traces->some);
	free(traces->saved);
	free(traces->folder);
	free(traces);
}

/* Signals are the loop's. */
static bool start(struct traces *traces)
{
	sigset_t all, before;

	if (traces->started)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	traces->started = pthread_create(&traces->thread, NULL, run, traces) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return traces->started;
}

/* With the lock. */
static unsigned waiting_of(const struct traces *traces, const char *app)
{
	unsigned count = 0;

	for (const struct job *job = traces->first; job; job = job->next)
		count += strcmp(job->app, app) == 0;
	return count;
}

/* The disk does not keep up with an application that crashes and crashes: memory is not filled with what waits for it. */
static void drop(struct traces *traces, struct job *job)
{
	char ended[NAME_SIZE];

	traces_name(ended, sizeof ended, job->app, job->epoch);
	unlinkat(traces->epochd->segments, ended, 0);
	job->r = -EBUSY;
	tell(traces, job);
	free(job);
}

void traces_save(struct traces *traces, const char *app, uint32_t epoch, unsigned keep)
{
	struct job *job = calloc(1, sizeof *job);
	bool drops;

	if (!job || !start(traces)) {   /* the next supervisor finds it */
		log_error(-ENOMEM, "app %s epoch %u: its trace is not saved now", app, epoch);
		free(job);
		return;
	}
	snprintf(job->app, sizeof job->app, "%s", app);
	job->epoch = epoch;
	job->keep = keep;
	pthread_mutex_lock(&traces->lock);
	drops = waiting_of(traces, app) >= keep;
	if (!drops) {
		*traces->end = job;
		traces->end = &job->next;
		pthread_cond_signal(&traces->some);
	}
	pthread_mutex_unlock(&traces->lock);
	if (drops)
		drop(traces, job);
}

char *traces_path(const struct traces *traces, const char *app, uint32_t epoch)
{
	char *path;

	if (find(traces, app, epoch) == traces->count ||
	    asprintf(&path, "%s/%s-%u.trace", traces->folder, app, epoch) < 0)
		return NULL;
	return path;
}

json_t *traces_json(const struct traces *traces, const char *app)
{
	struct list list = { .only = app };
	json_t *array = json_array();

	for (size_t i = 0; i < traces->count; i++)
		add(traces->saved[i].app, traces->saved[i].epoch, &list);
	if (list.count)
		qsort(list.saved, list.count, sizeof *list.saved, compare_epochs);
	for (size_t i = 0; i < list.count; i++)
		json_array_append_new(array, json_integer((json_int_t)list.saved[i].epoch));
	free(list.saved);
	return array;
}
