#include <config.h>

#include "supervisor/messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apilib/epochd.h"
#include "apilib/layout.h"
#include "apilib/message.h"
#include "apilib/wire.h"
#include "supervisor/app_private.h"
#include "supervisor/configuration.h"
#include "supervisor/service.h"

static void free_type(struct epochd_type **type)
{
	free(*type);
}

/* Of what makes no sense (I6): a null, so that the numbers of the others stay what they are. */
static json_t *message_json(uint32_t id, const struct ep_record *record)
{
	CLEANUP(free_type) struct epochd_type *type = NULL;

	if (ep_layout_parse(&type, record->text, record->flags) < 0)
		return json_null();
	return json_pack("{s:I, s:s, s:o, s:I, s:s, s:b, s:b, s:b}",
			 "id", (json_int_t)id, "name", type->name, "crc", json_sprintf("0x%08x", record->crc),
			 "size", (json_int_t)type->size, "layout", record->text,
			 "tail", !!(type->flags & EPOCHD_TAIL), "in_place", !!(type->flags & EPOCHD_IN_PLACE),
			 "callable", !!(type->flags & EPOCHD_CALLABLE));
}

/* "kv 1.2" */
static json_t *module_json(const char *text)
{
	const char *version = strchr(text, ' ');

	return version ? json_pack("{s:s%, s:s}", "name", text, (size_t)(version - text), "version", version + 1) :
			 json_null();
}

static int add_table(const struct service_table *table, json_t *modules, json_t *messages)
{
	const unsigned char *bytes = table->bytes + sizeof(struct ep_wire_table);
	size_t size = table->size - sizeof(struct ep_wire_table), at = 0;
	struct ep_record record;
	int r;

	while ((r = ep_table_next(bytes, size, &at, &record)) > 0) {
		json_t *item = record.is_module ? module_json(record.text) :
						  message_json((uint32_t)json_array_size(messages) + 1, &record);

		if (json_array_append_new(record.is_module ? modules : messages, item) < 0)
			return -ENOMEM;
	}
	return 0;
}

json_t *messages_json(const struct app *app)
{
	json_auto_t *modules = json_array(), *messages = json_array();

	for (size_t i = 0; app->service && i < app->service->table_count; i++)
		if (!modules || !messages || add_table(app->service->tables[i], modules, messages) < 0)
			return NULL;
	return json_pack("{s:s, s:I, s:b, s:O, s:O}",
			 "app", app->config->name, "epoch", (json_int_t)app->epoch,
			 "attached", app->service && app->service->attached,
			 "modules", modules, "messages", messages);
}
