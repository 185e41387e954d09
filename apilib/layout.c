#include <config.h>

#include "apilib/layout.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
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

uint32_t ep_kind_size(uint32_t kind) { return kinds[kind].size; }

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
	if (type->flags & ~(uint32_t)(EPOCHD_TAIL | EPOCHD_IN_PLACE | EPOCHD_CALLABLE))
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
	/* Of each four bits: a whole table of messages is checked in the supervisor's loop (I9). */
	static const uint32_t step[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	uint32_t crc = UINT32_MAX;

	for (; *layout; layout++) {
		crc ^= (unsigned char)*layout;
		crc = crc >> 4 ^ step[crc & 15];
		crc = crc >> 4 ^ step[crc & 15];
	}
	return ~crc;
}

/* ---- and back ---- */

/* One malloc(): the type, its fields, and all names. */
struct parsed {
	struct epochd_type type;
	struct epochd_field fields[];
};

/* The word up to one of `ends`, which is written over. NULL: it does not end. */
static char *take_word(char **at, const char *ends, char *end)
{
	char *word = *at, *stop = strpbrk(word, ends);

	if (!stop)
		return NULL;
	*end = *stop;
	*stop = '\0';
	*at = stop + 1;
	return word;
}

static uint32_t kind_named(const char *name)
{
	uint32_t kind = 0;

	while (kind < EPOCHD_KINDS && strcmp(kinds[kind].name, name) != 0)
		kind++;
	return kind;
}

/* "[32]" or nothing, then ", " or ")". False: neither. */
static bool take_count(struct epochd_field *field, char **at, char *end)
{
	unsigned long count;
	char *stop;

	if (*end == '[') {
		count = strtoul(*at, &stop, 10);   /* how it is written is looked at by whoever writes it again */
		if (*stop != ']' || count == 0 || count > UINT32_MAX)
			return false;
		field->count = (uint32_t)count;
		*end = stop[1];
		*at = stop + 1 + (*end != '\0');
	}
	if (*end == ',' && **at == ' ')
		(*at)++;
	else if (*end != ')')
		return false;
	return true;
}

static int parse(struct parsed *parsed, char *text, size_t room)
{
	struct epochd_type *type = &parsed->type;
	char end = '\0', *kind;

	type->name = take_word(&text, "(", &end);
	while (type->name && end != ')' && strcmp(text, "...)") != 0) {
		struct epochd_field *field = &parsed->fields[type->field_count];

		kind = take_word(&text, " ", &end);
		if (!kind || type->field_count == room)
			return -EINVAL;
		field->kind = kind_named(kind);
		field->name = take_word(&text, "[,)", &end);
		if (!field->name || !take_count(field, &text, &end))
			return -EINVAL;
		type->field_count++;
	}
	if (end != ')')
		type->flags |= EPOCHD_TAIL;
	return type->name ? 0 : -EINVAL;
}

static size_t count_of(const char *text, char c)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == c;
	return n;
}

int ep_layout_parse(struct epochd_type **out, const char *layout, uint32_t flags)
{
	size_t room = count_of(layout, ',') + 1, length = strnlen(layout, EP_TYPE_LAYOUT_MAX + 1);
	size_t bytes = sizeof(struct parsed) + room * sizeof(struct epochd_field);
	char again[EP_TYPE_LAYOUT_MAX + 1];
	struct parsed *parsed;
	const char *why;
	char *text;
	int r;

	if (length > EP_TYPE_LAYOUT_MAX)
		return -EINVAL;
	parsed = calloc(1, bytes + length + 1);
	if (!parsed)
		return -ENOMEM;
	text = (char *)parsed + bytes;
	memcpy(text, layout, length + 1);
	parsed->type.fields = parsed->fields;
	r = parse(parsed, text, room);
	if (r == 0) {
		parsed->type.size = (uint32_t)size_of(&parsed->type, &why);   /* 0 is no size: refused next */
		r = ep_type_check(&parsed->type, &why);
	}
	/* One layout has one text, or its CRC would mean nothing. */
	if (r == 0 && (ep_type_layout(&parsed->type, again, sizeof again) < 0 || strcmp(again, layout) != 0))
		r = -EINVAL;
	if (r < 0) {
		free(parsed);
		return r;
	}
	parsed->type.flags |= flags & ~(uint32_t)EPOCHD_TAIL;
	*out = &parsed->type;
	return 0;
}
