#include <config.h>

#include "supervisor/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "apilib/layout.h"
#include "apilib/message.h"
#include "apilib/meter.h"
#include "apilib/wire.h"
#include "supervisor/app_private.h"
#include "supervisor/awaited.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/ledger.h"
#include "supervisor/session_private.h"

static const char module_bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+- ";

struct clients_place service_place(const struct app *app)
{
	struct epochd *epochd = app->epochd;

	return (struct clients_place){
		.registry = app->registry, .count = ledger_count(epochd->ledger),
		.record = ledger_index(epochd->ledger, app->ledger), .directory = epochd->segments,
		.name = app->config->name, .largest = app->config->channel,
	};
}

static void take_from_reaper(struct client *client, void *user)
{
	struct service *service = user;

	reaper_remove(&service->reaper, client);
}

int service_of(struct service **out, struct sessions *sessions, struct app *app)
{
	struct clients_place place = service_place(app);
	struct service *service;
	int r;

	if (app->service) {
		*out = app->service;
		return 0;
	}
	service = calloc(1, sizeof *service);
	if (!service)
		return -ENOMEM;
	place.ended = take_from_reaper;
	place.forget = awaited_forget;
	place.user = service;
	r = clients_new(&service->clients, &place);
	if (r < 0) {
		free(service);
		return r;
	}
	service->sessions = sessions;
	service->app = app;
	service->bell = -1;
	service->joining_end = &service->joining;
	session_init_slice(service);
	awaited_init(service);
	reaper_init(&service->reaper, service);
	pulse_init(&service->pulse, service);
	app->service = *out = service;
	return 0;
}

static void forget_meter(struct service *service)
{
	ep_meter_unmap(service->meter, service->meter_types);
	service->meter = NULL;
}

void service_abandon(struct service *service)
{
	if (!service)
		return;
	clients_abandon(service->clients);
	service_free(service);
}

void service_free(struct service *service)
{
	if (!service)
		return;
	ev_timer_stop(service->app->epochd->loop, &service->slice);
	ev_timer_stop(service->app->epochd->loop, &service->grace);
	clients_free(service->clients);
	reaper_deinit(&service->reaper);
	pulse_stop(&service->pulse);
	service_forget_tables(service);
	forget_meter(service);
	if (service->bell >= 0)
		close(service->bell);
	service->app->service = NULL;
	free(service);
}

/* ---- the table ---- */

void service_forget_tables(struct service *service)
{
	for (size_t i = 0; i < service->table_count; i++)
		free(service->tables[i]);
	free(service->tables);
	service->tables = NULL;
	service->table_count = service->table_size = 0;
	service->types = 0;
}

static bool is_module(const char *text)
{
	size_t name = strcspn(text, " ");

	return name > 0 && name <= EP_TYPE_NAME_MAX && text[name] && strspn(text, module_bytes) == strlen(text) &&
	       strlen(text + name + 1) <= EP_MODULE_VERSION_MAX;
}

static bool is_layout(const char *text)
{
	struct epochd_type *type;
	bool good = ep_layout_parse(&type, text, 0) == 0;

	if (good)
		free(type);
	return good;
}

/* Here, once: whoever reads it afterwards finds nothing but layouts and modules (I6). */
static int check_table(const unsigned char *packet, size_t size, uint32_t *types)
{
	const size_t head = sizeof(struct ep_wire_table);
	struct ep_record record;
	size_t at = 0;
	int r;

	while ((r = ep_table_next(packet + head, size - head, &at, &record)) > 0) {
		if (!ep_record_is_whole(&record) ||
		    (record.is_module ? !is_module(record.text) : !is_layout(record.text)))
			return -EPROTO;
		*types += !record.is_module;
	}
	return r < 0 || *types > EP_TYPES_MAX ? -EPROTO : 0;
}

int service_add_table(struct service *service, const void *packet, size_t size)
{
	struct service_table **grown, *table;
	uint32_t types = service->types;

	if (check_table(packet, size, &types) < 0)
		return -EPROTO;
	if (size > EP_WIRE_TABLE_MAX - service->table_size)
		return -E2BIG;
	grown = realloc(service->tables, (service->table_count + 1) * sizeof *grown);
	if (!grown)
		return -ENOMEM;
	service->tables = grown;
	table = malloc(sizeof *table + size);
	if (!table)
		return -ENOMEM;
	table->size = size;
	memcpy(table->bytes, packet, size);
	grown[service->table_count++] = table;
	service->table_size += size;
	service->types = types;
	return 0;
}

/* ---- the meter ---- */

int service_take_meter(struct service *service, int fd)
{
	struct ep_meter_page *meter;
	uint32_t types;
	int r = ep_meter_map(&meter, fd, PROT_READ, &types);

	if (r < 0)
		return r;
	forget_meter(service);
	service->meter = meter;
	service->meter_types = types;
	return 0;
}

int service_make_meter(struct service *service, int *fd)
{
	int made = ep_meter_create(service->types);
	int r = made < 0 ? made : service_take_meter(service, made);

	if (r == 0)
		*fd = made;
	else if (made >= 0)
		close(made);
	return r;
}

/* ---- the bell ---- */

/* Through /proc: the same pipe, with flags that nobody else can change. */
int reopen_pipe(int fd, int flags)
{
	char path[40];
	int again;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	again = open(path, flags | O_NONBLOCK | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

int service_make_bell(struct service *service)
{
	int ends[2], fd;

	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
		return -errno;
	fd = reopen_pipe(ends[0], O_RDWR);
	close(ends[0]);
	close(ends[1]);
	if (fd < 0)
		return fd;
	if (service->bell >= 0)
		close(service->bell);
	service->bell = fd;
	return 0;
}

int service_open_bell(const struct service *service, int flags)
{
	return service->bell < 0 ? -ENOTCONN : reopen_pipe(service->bell, flags);
}
