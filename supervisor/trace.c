#include <config.h>

#include "supervisor/trace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apilib/fd.h"
#include "apilib/trace.h"
#include "apilib/wire.h"
#include "supervisor/app_private.h"
#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/fault.h"
#include "supervisor/log.h"
#include "supervisor/report.h"
#include "supervisor/service.h"
#include "supervisor/session_private.h"
#include "supervisor/traces.h"

enum { FILE_NAME_SIZE = 128 };

static void file_name(char name[static FILE_NAME_SIZE], const char *app)
{
	snprintf(name, FILE_NAME_SIZE, ".trace.%s", app);
}

static const struct service *attached_service(const struct app *app)
{
	return app->service && app->service->attached ? app->service : NULL;
}

/* ---- what is asked for ---- */

static struct trace_options options_of(const struct app *app)
{
	const struct app_config *config = app->config;

	if (app->trace.asked == TRACE_ON)
		return app->trace.options;
	return (struct trace_options){ config->trace.size, config->trace.messages, config->trace.first };
}

static bool is_wanted(const struct app *app)
{
	return app->trace.asked == TRACE_AS_CONFIGURED ? app->config->trace.on : app->trace.asked == TRACE_ON;
}

static uint64_t ring_of(uint64_t size)
{
	uint64_t ring = EP_TRACE_RING_MIN;

	while (ring < size && ring < EP_TRACE_RING_MAX)
		ring *= 2;
	return ring;
}

/* ---- the file ---- */

int trace_open(const struct app *app)
{
	char name[FILE_NAME_SIZE];
	int fd;

	file_name(name, app_name(app));
	fd = openat(app->epochd->segments, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const void *bytes, size_t size, uint64_t at)
{
	ssize_t n = pwrite(fd, bytes, size, (off_t)at);

	return n == (ssize_t)size ? 0 : n < 0 ? -errno : -EIO;
}

static int write_tables(int fd, const struct service *service)
{
	const size_t head = sizeof(struct ep_wire_table);
	uint64_t at = EP_TRACE_HEADER;
	int r = 0;

	for (size_t i = 0; r == 0 && i < service->table_count; i++) {
		r = write_all(fd, service->tables[i]->bytes + head, service->tables[i]->size - head, at);
		at += service->tables[i]->size - head;
	}
	return r;
}

static uint32_t size_of_tables(const struct service *service)
{
	return (uint32_t)(service->table_size - service->table_count * sizeof(struct ep_wire_table));
}

static struct ep_trace_header header_of(const struct app *app)
{
	const struct trace_options options = options_of(app);
	struct ep_trace_header header = {
		.magic = EP_TRACE_MAGIC, .layout = EP_TRACE_LAYOUT, .ring = ring_of(options.size),
		.mode = options.first ? EP_TRACE_FIRST : EP_TRACE_LAST, .messages_max = options.messages,
		.table = size_of_tables(app->service), .epoch = app->epoch, .on = 1, .began_at = clock_real(),
	};

	snprintf(header.app, sizeof header.app, "%s", app_name(app));
	snprintf(header.uuid, sizeof header.uuid, "%s", app->epochd->uuid);
	return header;
}

/* Whole, before it has its name. The descriptor. */
static int make_file(struct app *app)
{
	const struct ep_trace_header header = header_of(app);
	CLEANUP(ep_close_fd) int fd = -1;
	char name[FILE_NAME_SIZE], fresh[FILE_NAME_SIZE + 1];
	int directory = app->epochd->segments, r;

	file_name(name, app_name(app));
	snprintf(fresh, sizeof fresh, "%s~", name);
	unlinkat(directory, fresh, 0);
	fd = openat(directory, fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = -posix_fallocate(fd, 0, (off_t)(ep_trace_ring_at(header.table) + header.ring));
	if (r == 0)
		r = write_all(fd, &header, sizeof header, 0);
	if (r == 0)
		r = write_tables(fd, app->service);
	if (r == 0 && renameat(directory, fresh, directory, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(directory, fresh, 0);
		return r;
	}
	app->trace.there = true;
	return ep_steal_fd(&fd);
}

/* ---- the application ---- */

/* It could not be told before: -EAGAIN, and it is when there is room. */
static int tell(struct app *app, int fd)
{
	struct ep_wire_trace trace = { ep_wire_make(EP_WIRE_TRACE, sizeof trace) };
	struct session *session = app->service->attached;
	int r = session_send(session, &trace, fd >= 0 ? &fd : NULL, fd >= 0);

	app->trace.untold = r == -EAGAIN;
	if (app->trace.untold)
		session_await_room(session, true);
	return r == -EAGAIN ? 0 : r;
}

void trace_tell(struct app *app)
{
	CLEANUP(ep_close_fd) int fd = -1;

	if (!app->trace.untold || !attached_service(app))
		return;
	fd = is_wanted(app) ? trace_open(app) : -1;
	tell(app, fd);
}

static int begin(struct app *app)
{
	CLEANUP(ep_close_fd) int fd = -1;

	if (!attached_service(app))
		return 0;
	fd = make_file(app);
	return fd < 0 ? fd : tell(app, fd);
}

int trace_on(struct app *app, const struct trace_options *options)
{
	const struct trace before = app->trace;
	int r;

	app->trace.asked = TRACE_ON;
	app->trace.options = *options;
	r = begin(app);
	if (r < 0) {
		app->trace.asked = before.asked;
		app->trace.options = before.options;
	}
	return r;
}

static void mark_off(const struct app *app)
{
	CLEANUP(ep_close_fd) int fd = app->trace.there ? trace_open(app) : -1;
	const uint32_t off = 0;

	if (fd >= 0 && pwrite(fd, &off, sizeof off, offsetof(struct ep_trace_header, on)) < 0)
		log_error(-errno, "app %s: its trace", app_name(app));
}

int trace_off(struct app *app)
{
	app->trace.asked = TRACE_OFF;
	mark_off(app);
	return attached_service(app) ? tell(app, -1) : 0;
}

static bool has_same_tables(int fd, const struct service *service)
{
	const size_t head = sizeof(struct ep_wire_table);
	unsigned char bytes[EP_WIRE_PACKET_MAX];
	uint64_t at = EP_TRACE_HEADER;

	for (size_t i = 0; i < service->table_count; i++) {
		size_t size = service->tables[i]->size - head;

		if (pread(fd, bytes, size, (off_t)at) != (ssize_t)size ||
		    memcmp(bytes, service->tables[i]->bytes + head, size) != 0)
			return false;
		at += size;
	}
	return true;
}

/* The epoch has one already, of the same messages: it goes on. */
static bool goes_on(const struct app *app, int fd)
{
	struct ep_trace_header header;

	return ep_trace_read_header(fd, &header) == 0 && header.epoch == app->epoch && header.on &&
	       header.table == size_of_tables(app->service) && has_same_tables(fd, app->service);
}

void trace_attached(struct app *app, bool is_back)
{
	CLEANUP(ep_close_fd) int fd = app->trace.there ? trace_open(app) : -1;
	int r = 0;

	if (!is_wanted(app)) {
		if (is_back && fd >= 0)   /* it may not have heard that it is off */
			tell(app, -1);
		return;
	}
	r = fd >= 0 && goes_on(app, fd) ? tell(app, fd) : begin(app);
	if (r < 0)
		log_error(r, "app %s epoch %u: is not traced", app_name(app), app->epoch);
}

/* ---- the end of the epoch ---- */

/* From ".trace.APP" to what is saved. */
static void hand_over(struct epochd *epochd, const char *app, uint32_t epoch, unsigned keep)
{
	char name[FILE_NAME_SIZE], ended[FILE_NAME_SIZE];

	file_name(name, app);
	traces_name(ended, sizeof ended, app, epoch);
	if (renameat(epochd->segments, name, epochd->segments, ended) < 0) {
		if (errno != ENOENT)
			log_error(-errno, "app %s epoch %u: its trace", app, epoch);
		return;
	}
	FAULT(trace_renamed);
	traces_save(epochd->traces, app, epoch, keep);
}

void trace_epoch_ended(struct app *app)
{
	if (!app->trace.there)
		return;
	app->trace.there = app->trace.untold = false;
	hand_over(app->epochd, app_name(app), app->epoch, app->config->trace.saved);
}

/* ---- what was left ---- */

static bool is_as_configured(const struct app *app, const struct ep_trace_header *header)
{
	const struct app_config *config = app->config;

	return header->on == config->trace.on &&
	       (!header->on || (header->ring == ring_of(config->trace.size) &&
				header->messages_max == config->trace.messages &&
				(header->mode == EP_TRACE_FIRST) == config->trace.first));
}

/* What was asked for by hand only its file tells. */
static void take_up(struct app *app)
{
	CLEANUP(ep_close_fd) int fd = trace_open(app);
	struct ep_trace_header header;
	char name[FILE_NAME_SIZE];

	if (fd < 0)
		return;
	if (ep_trace_read_header(fd, &header) < 0) {
		file_name(name, app_name(app));
		unlinkat(app->epochd->segments, name, 0);
		return;
	}
	if (!is_as_configured(app, &header))
		app->trace.asked = header.on ? TRACE_ON : TRACE_OFF;
	app->trace.options = (struct trace_options){ header.ring, header.messages_max, header.mode == EP_TRACE_FIRST };
	app->trace.there = app->found == FOUND_ALIVE && header.epoch == app->epoch;
	if (!app->trace.there)
		hand_over(app->epochd, app_name(app), header.epoch, app->config->trace.saved);
}

static void take_up_left(struct epochd *epochd, const char *name)
{
	uint32_t epoch;
	const char *app = traces_parse(name, &epoch);
	const struct app *of = app ? epochd_app(epochd, app) : NULL;

	if (app)
		traces_save(epochd->traces, app, epoch, of ? of->config->trace.saved : TRACES_SAVED);
	else if (strncmp(name, ".trace.", 7) == 0 && !epochd_app(epochd, name + 7))
		unlinkat(epochd->segments, name, 0);   /* half made, or of one that is not configured any more */
}

void trace_recover(struct epochd *epochd)
{
	int copy = openat(epochd->segments, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		take_up_left(epochd, entry->d_name);
	if (dir)
		closedir(dir);
	else if (copy >= 0)
		close(copy);
	for (size_t i = 0; i < epochd->app_count; i++)
		take_up(epochd->apps[i]);
}

/* ---- what is shown ---- */

static json_t *count(const _Atomic uint64_t *word)
{
	/* Relaxed: of a copy. And what an application says is shown, and no more (I6). */
	return json_integer((json_int_t)(atomic_load_explicit(word, memory_order_relaxed) & INT64_MAX));
}

static json_t *file_json(const struct ep_trace_header *header)
{
	return json_pack("{s:I, s:I, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "epoch", (json_int_t)header->epoch, "size", (json_int_t)header->ring,
			 "keeps", header->mode == EP_TRACE_FIRST ? "first" : "last",
			 "messages_max", (json_int_t)(header->messages_max & INT64_MAX),
			 "began_at", report_time(header->began_at),
			 "messages", count(&header->messages), "first", count(&header->first),
			 "missed", count(&header->missed), "head", count(&header->head), "tail", count(&header->tail));
}

json_t *trace_json(const struct app *app)
{
	CLEANUP(ep_close_fd) int fd = app->trace.there ? trace_open(app) : -1;
	const struct trace_options options = options_of(app);
	struct ep_trace_header header;
	json_t *file = fd >= 0 && ep_trace_read_header(fd, &header) == 0 ? file_json(&header) : json_null();

	return json_pack("{s:s, s:b, s:b, s:I, s:s, s:I, s:o, s:o}",
			 "app", app_name(app), "on", is_wanted(app), "attached", attached_service(app) != NULL,
			 "size", (json_int_t)ring_of(options.size), "keeps", options.first ? "first" : "last",
			 "messages_max", (json_int_t)options.messages, "trace", file,
			 "saved", traces_json(app->epochd->traces, app_name(app)));
}
