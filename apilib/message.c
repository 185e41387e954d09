#include <config.h>

#include "apilib/message.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apilib/epochd.h"

static const struct { const char *name; uint32_t size; bool array_only; } kinds[EPOCHD_KINDS] = {
	[EPOCHD_u8] = { "u8", 1, false }, [EPOCHD_u16] = { "u16", 2, false },
	[EPOCHD_u32] = { "u32", 4, false }, [EPOCHD_u64] = { "u64", 8, false },
	[EPOCHD_i8] = { "i8", 1, false }, [EPOCHD_i16] = { "i16", 2, false },
	[EPOCHD_i32] = { "i32", 4, false }, [EPOCHD_i64] = { "i64", 8, false },
	[EPOCHD_f32] = { "f32", 4, false }, [EPOCHD_f64] = { "f64", 8, false },
	[EPOCHD_text] = { "text", 1, true }, [EPOCHD_bytes] = { "bytes", 1, true },
};

static bool is_name(const char *name, bool dots)
{
	size_t length = name ? strnlen(name, EP_TYPE_NAME_MAX + 1) : 0;

	if (length == 0 || length > EP_TYPE_NAME_MAX)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '_' && !(dots && *name == '.'))
			return false;
	return true;
}

/* As a compiler lays the struct out: each field at a multiple of its element's size, the whole a multiple of
 * the largest. 0: what is wrong with a field. */
static uint64_t size_of(const struct epochd_type *type, const char **why)
{
	uint64_t at = 0, largest = 1;

	for (uint32_t i = 0; i < type->field_count; i++) {
		const struct epochd_field *field = &type->fields[i];
		uint64_t size;

		*why = "a field has no name of letters, digits and _";
		if (!is_name(field->name, false))
			return 0;
		*why = "a field is of no known kind";
		if (field->kind >= EPOCHD_KINDS || (kinds[field->kind].array_only && !field->count))
			return 0;
		size = kinds[field->kind].size;
		at = (at + size - 1) / size * size + size * (field->count ? field->count : 1);
		largest = size > largest ? size : largest;
		*why = "it is too large";
		if (at > UINT32_MAX)
			return 0;
	}
	return (at + largest - 1) / largest * largest;
}

int ep_type_check(const struct epochd_type *type, const char **why)
{
	char text[EP_TYPE_LAYOUT_MAX + 1];
	uint64_t size;

	*why = "its name is not of letters, digits, _ and dots, 63 at most";
	if (!is_name(type->name, true))
		return -EINVAL;
	*why = "it has no fields";
	if (!type->fields || !type->field_count)
		return -EINVAL;
	*why = "it has flags that are not known";
	if (type->flags & ~(uint32_t)(EPOCHD_TAIL | EPOCHD_IN_PLACE))
		return -EINVAL;
	size = size_of(type, why);
	if (!size)
		return -EINVAL;
	*why = "its size is not that of its fields";
	if (size != type->size)
		return -EINVAL;
	*why = "it has too many fields";
	return ep_type_layout(type, text, sizeof text) < 0 ? -EINVAL : 0;
}

int ep_type_layout(const struct epochd_type *type, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "%s(", type->name);

	for (uint32_t i = 0; i < type->field_count && used < size; i++) {
		const struct epochd_field *field = &type->fields[i];

		used += (size_t)snprintf(text + used, size - used, "%s%s %s", i ? ", " : "",
					 kinds[field->kind].name, field->name);
		if (field->count && used < size)
			used += (size_t)snprintf(text + used, size - used, "[%u]", field->count);
	}
	if (used < size)
		used += (size_t)snprintf(text + used, size - used, "%s)",
					 type->flags & EPOCHD_TAIL ? ", ..." : "");
	return used < size ? (int)used : -ENAMETOOLONG;
}

uint32_t ep_layout_crc(const char *layout)
{
	uint32_t crc = UINT32_MAX;

	for (; *layout; layout++) {
		crc ^= (unsigned char)*layout;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

/* ---- the table ---- */

/* A record: this, then the layout with its NUL. */
struct record {
	uint32_t crc;
	uint16_t length;   /* of the layout and its NUL */
	uint16_t flags;
};

int ep_table_put(unsigned char *packet, size_t size, size_t *used, const struct epochd_type *type)
{
	char text[EP_TYPE_LAYOUT_MAX + 1];
	int length = ep_type_layout(type, text, sizeof text);
	struct record record;

	if (length < 0)
		return length;
	record = (struct record){ ep_layout_crc(text), (uint16_t)(length + 1), (uint16_t)type->flags };
	if (size - *used < sizeof record + record.length)
		return -ENOSPC;
	memcpy(packet + *used, &record, sizeof record);
	memcpy(packet + *used + sizeof record, text, record.length);
	*used += sizeof record + record.length;
	return 0;
}

int ep_agreed_init(struct ep_agreed *out, size_t count)
{
	struct ep_agreed agreed = { .count = (uint32_t)count, .wire_count = 1 };

	agreed.wire_of = calloc(count + 1, sizeof *agreed.wire_of);
	if (!agreed.wire_of)
		return -ENOMEM;
	*out = agreed;
	return 0;
}

void ep_agreed_deinit(struct ep_agreed *agreed)
{
	free(agreed->wire_of);
	free(agreed->type_of);
	*agreed = (struct ep_agreed){ 0 };
}

void ep_agreed_forget(struct ep_agreed *agreed)
{
	memset(agreed->wire_of, 0, agreed->count * sizeof *agreed->wire_of);
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
static uint32_t find(const struct ep_agreed *agreed, const struct epochd_type *types, const char *layout)
{
	size_t length = strcspn(layout, "(");

	for (uint32_t i = 0; i < agreed->count; i++)
		if (strncmp(types[i].name, layout, length) == 0 && !types[i].name[length])
			return i;
	return UINT32_MAX;
}

int ep_agreed_take(struct ep_agreed *agreed, const struct epochd_type *types, const unsigned char *table,
		   size_t size, char *why, size_t why_size)
{
	char own[EP_TYPE_LAYOUT_MAX + 1];
	struct record record;
	const char *layout;
	uint32_t type;
	int r = 0;

	for (size_t at = 0; r == 0 && at < size; at += sizeof record + record.length) {
		if (size - at < sizeof record)
			return -EPROTO;
		memcpy(&record, table + at, sizeof record);
		if (record.length == 0 || record.length > size - at - sizeof record ||
		    table[at + sizeof record + record.length - 1])
			return -EPROTO;
		layout = (const char *)table + at + sizeof record;
		type = find(agreed, types, layout);
		if (type != UINT32_MAX && (ep_type_layout(&types[type], own, sizeof own) < 0 ||
					   ep_layout_crc(own) != record.crc)) {
			snprintf(why, why_size, "the application declares %s, this client %s", layout, own);
			return -ENOMSG;
		}
		r = add(agreed, type);
	}
	return r;
}
