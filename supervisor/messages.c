#include <config.h>

#include "supervisor/messages.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apilib/epochd.h"
#include "apilib/layout.h"
#include "apilib/message.h"
#include "apilib/meter.h"
#include "apilib/wire.h"
#include "supervisor/app_private.h"
#include "supervisor/configuration.h"
#include "supervisor/latency.h"
#include "supervisor/service.h"

static void free_type(struct epochd_type **type)
{
	free(*type);
}

/* In order, with its number; a module has none. False: it is the last. */
typedef bool record_fn(const struct ep_record *record, uint32_t id, void *user);

static void each_record(const struct app *app, record_fn *fn, void *user)
{
	const size_t head = sizeof(struct ep_wire_table);
	struct ep_record record;
	uint32_t id = 0;

	for (size_t i = 0; app->service && i < app->service->table_count; i++) {
		const struct service_table *table = app->service->tables[i];

		for (size_t at = 0; ep_table_next(table->bytes + head, table->size - head, &at, &record) > 0;)
			if (!fn(&record, record.is_module ? 0 : ++id, user))
				return;
	}
}

/* ---- a person's view ---- */

struct listing {
	const struct app *app;
	json_t *modules, *messages;
	bool failed;
};

static json_t *counts_json(const struct ep_meter *meter)
{
	/* I6: what an application counts is shown, and no more. */
	return json_pack("{s:I, s:I, s:{s:I, s:I, s:I}}",
			 "received", (json_int_t)(ep_meter_read(&meter->received) & INT64_MAX),
			 "sent", (json_int_t)(ep_meter_read(&meter->sent) & INT64_MAX),
			 "errors", "unhandled", (json_int_t)(ep_meter_read(&meter->unhandled) & INT64_MAX),
			 "misfit", (json_int_t)(ep_meter_read(&meter->misfit) & INT64_MAX),
			 "would_block", (json_int_t)(ep_meter_read(&meter->would_block) & INT64_MAX));
}

static json_t *message_json(const struct app *app, uint32_t id, const struct ep_record *record)
{
	CLEANUP(free_type) struct epochd_type *type = NULL;
	const struct ep_meter *meter = latency_meter(app, id);

	if (ep_layout_parse(&type, record->text, record->flags) < 0)   /* out of memory */
		return NULL;
	return json_pack("{s:I, s:s, s:o, s:I, s:s, s:b, s:b, s:b, s:o}",
			 "id", (json_int_t)id, "name", type->name, "crc", json_sprintf("0x%08x", record->crc),
			 "size", (json_int_t)type->size, "layout", record->text,
			 "tail", !!(type->flags & EPOCHD_TAIL), "in_place", !!(type->flags & EPOCHD_IN_PLACE),
			 "callable", !!(type->flags & EPOCHD_CALLABLE),
			 "counts", meter ? counts_json(meter) : json_null());
}

/* "kv 1.2" */
static json_t *module_json(const char *text)
{
	const char *version = strchr(text, ' ');

	return json_pack("{s:s%, s:s}", "name", text, (size_t)(version - text), "version", version + 1);
}

static bool add(const struct ep_record *record, uint32_t id, void *user)
{
	struct listing *listing = user;

	listing->failed = id ? json_array_append_new(listing->messages, message_json(listing->app, id, record)) < 0 :
			       json_array_append_new(listing->modules, module_json(record->text)) < 0;
	return !listing->failed;
}

json_t *messages_json(const struct app *app)
{
	json_auto_t *modules = json_array(), *messages = json_array();
	struct listing listing = { .app = app, .modules = modules, .messages = messages };

	each_record(app, add, &listing);
	if (listing.failed)
		return NULL;
	return json_pack("{s:s, s:I, s:b, s:O, s:O}",
			 "app", app->config->name, "epoch", (json_int_t)app->epoch,
			 "attached", app->service && app->service->attached,
			 "modules", modules, "messages", messages);
}

/* ---- for others ---- */

struct each { message_fn *fn; void *user; };

static bool tell(const struct ep_record *record, uint32_t id, void *user)
{
	const struct each *each = user;
	char name[EP_TYPE_NAME_MAX + 1];

	snprintf(name, sizeof name, "%.*s", (int)strcspn(record->text, "("), record->text);
	if (id)
		each->fn(id, name, each->user);
	return true;
}

void messages_each(const struct app *app, message_fn *fn, void *user)
{
	struct each each = { fn, user };

	each_record(app, tell, &each);
}
