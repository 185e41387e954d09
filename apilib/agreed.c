#include <config.h>

#include "apilib/agreed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apilib/epochd.h"
#include "apilib/layout.h"
#include "apilib/message.h"

int ep_agreed_init(struct ep_agreed *out, const struct ep_types *types, bool adopts)
{
	struct ep_agreed agreed = { .types = *types, .adopts = adopts, .wire_count = 1 };

	agreed.wire_of = calloc(adopts ? EP_TYPES_MAX : types->count + 1, sizeof *agreed.wire_of);
	if (!agreed.wire_of)
		return -ENOMEM;
	*out = agreed;
	return 0;
}

static void forget_adopted(struct ep_agreed *agreed)
{
	for (uint32_t i = 0; agreed->adopts && i < agreed->types.count; i++)
		free(agreed->parsed[i]);
	free(agreed->parsed);
	free(agreed->adopted);
	agreed->parsed = NULL;
	agreed->adopted = NULL;
	if (agreed->adopts)
		agreed->types = (struct ep_types){ NULL, 0 };
}

void ep_agreed_deinit(struct ep_agreed *agreed)
{
	forget_adopted(agreed);
	free(agreed->wire_of);
	free(agreed->type_of);
	*agreed = (struct ep_agreed){ 0 };
}

void ep_agreed_forget(struct ep_agreed *agreed)
{
	memset(agreed->wire_of, 0, agreed->types.count * sizeof *agreed->wire_of);
	forget_adopted(agreed);
	agreed->wire_count = 1;
}

static int add(struct ep_agreed *agreed, uint32_t type)
{
	if (agreed->wire_count > EP_TYPES_MAX)
		return -EPROTO;
	if (agreed->wire_count >= agreed->room) {
		uint32_t room = agreed->room ? agreed->room * 2 : 32;
		uint32_t *grown = realloc(agreed->type_of, room * sizeof *grown);

		if (!grown)
			return -ENOMEM;
		agreed->type_of = grown;
		agreed->room = room;
	}
	agreed->type_of[agreed->wire_count] = type;
	if (type != UINT32_MAX)
		agreed->wire_of[type] = (uint16_t)agreed->wire_count;
	agreed->wire_count++;
	return 0;
}

/* Of the name that a layout begins with. UINT32_MAX: none of ours. */
static uint32_t find(const struct ep_agreed *agreed, const char *layout)
{
	size_t length = strcspn(layout, "(");

	for (uint32_t i = 0; i < agreed->types.count; i++)
		if (strncmp(agreed->types.type[i].name, layout, length) == 0 && !agreed->types.type[i].name[length])
			return i;
	return UINT32_MAX;
}

/* One that both declare must be the same to both. */
static int compare(const struct ep_agreed *agreed, const struct ep_record *record, char *why, size_t why_size)
{
	char own[EP_TYPE_LAYOUT_MAX + 1];
	uint32_t type = find(agreed, record->text);

	if (type == UINT32_MAX || (ep_type_layout(&agreed->types.type[type], own, sizeof own) >= 0 &&
				   ep_layout_crc(own) == record->crc))
		return 0;
	snprintf(why, why_size, "the application declares %s, this client %s", record->text, own);
	return -ENOMSG;
}

/* As one of our own from now on. */
static int adopt(struct ep_agreed *agreed, const struct ep_record *record)
{
	uint32_t count = agreed->types.count;
	struct epochd_type *type, *types, **parsed;
	int r;

	if (count == EP_TYPES_MAX)
		return -EPROTO;
	types = realloc(agreed->adopted, (count + 1) * sizeof *types);
	if (!types)
		return -ENOMEM;
	agreed->adopted = types;
	agreed->types.type = types;
	parsed = realloc(agreed->parsed, (count + 1) * sizeof *parsed);
	if (!parsed)
		return -ENOMEM;
	agreed->parsed = parsed;
	r = ep_layout_parse(&type, record->text, record->flags);
	if (r < 0)
		return r == -EINVAL ? -EPROTO : r;
	parsed[count] = type;
	types[count] = *type;
	agreed->types.count++;
	return 0;
}

int ep_agreed_take(struct ep_agreed *agreed, const unsigned char *table, size_t size, char *why, size_t why_size)
{
	struct ep_record record;
	size_t at = 0;
	int r;

	while ((r = ep_table_next(table, size, &at, &record)) > 0) {
		if (!ep_record_is_whole(&record))
			return -EPROTO;
		if (record.is_module)
			continue;
		r = agreed->adopts ? adopt(agreed, &record) : compare(agreed, &record, why, why_size);
		if (r == 0)
			r = add(agreed, agreed->adopts ? agreed->types.count - 1 : find(agreed, record.text));
		if (r < 0)
			break;
	}
	return r;
}
