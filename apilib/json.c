/* A message as JSON, by its declaration alone. */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "apilib/epochd.h"
#include "apilib/layout.h"

struct text {
	char *bytes;
	size_t size, used;   /* used: more than size once it was too small */
};

__attribute__((format(printf, 2, 3))) static void say(struct text *text, const char *format, ...)
{
	size_t room = text->used < text->size ? text->size - text->used : 0;
	va_list values;

	va_start(values, format);
	text->used += (size_t)vsnprintf(text->bytes + (text->size - room), room, format, values);
	va_end(values);
}

static void say_hex(struct text *text, const unsigned char *bytes, size_t size)
{
	say(text, "\"");
	for (size_t i = 0; i < size; i++)
		say(text, "%02x", bytes[i]);
	say(text, "\"");
}

/* Numbers that a reader with doubles would change are said as text. */
static void say_unsigned(struct text *text, uint64_t value)
{
	say(text, value > 1ull << 53 ? "\"%" PRIu64 "\"" : "%" PRIu64, value);
}

static void say_signed(struct text *text, int64_t value)
{
	bool fits = value >= -(1ll << 53) && value <= 1ll << 53;

	say(text, fits ? "%" PRId64 : "\"%" PRId64 "\"", value);
}

static void say_float(struct text *text, double value, int digits)
{
	char number[40];

	snprintf(number, sizeof number, "%.*g", digits, value);
	for (char *at = number; *at; at++)
		if (*at == ',')   /* a locale's */
			*at = '.';
	say(text, isfinite(value) ? "%s" : "\"%s\"", number);
}

#define GET(type) ({ type value_; memcpy(&value_, at, sizeof value_); value_; })

/* One element; its size. */
static size_t say_element(struct text *text, uint32_t kind, const unsigned char *at)
{
	switch ((enum epochd_kind)kind) {
	case EPOCHD_u8:
		say_unsigned(text, *at);
		return 1;
	case EPOCHD_u16:
		say_unsigned(text, GET(uint16_t));
		return 2;
	case EPOCHD_u32:
		say_unsigned(text, GET(uint32_t));
		return 4;
	case EPOCHD_u64:
		say_unsigned(text, GET(uint64_t));
		return 8;
	case EPOCHD_i8:
		say_signed(text, GET(int8_t));
		return 1;
	case EPOCHD_i16:
		say_signed(text, GET(int16_t));
		return 2;
	case EPOCHD_i32:
		say_signed(text, GET(int32_t));
		return 4;
	case EPOCHD_i64:
		say_signed(text, GET(int64_t));
		return 8;
	case EPOCHD_f32:
		say_float(text, (double)GET(float), 9);
		return 4;
	case EPOCHD_f64:
		say_float(text, GET(double), 17);
		return 8;
	default:
		return 1;
	}
}

/* Of what begins there: bytes of one character of UTF-8; 0: it is none. */
static size_t is_character(const unsigned char *at, size_t size)
{
	size_t length = *at < 0x80 ? 1 : *at >= 0xc2 && *at < 0xe0 ? 2 : *at >= 0xe0 && *at < 0xf0 ? 3 :
			*at >= 0xf0 && *at < 0xf5 ? 4 : 0;

	if (length == 0 || length > size)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] >= 0xa0) ||   /* overlong; a surrogate */
	    (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] >= 0x90))
		return 0;
	return length;
}

/* A text up to its NUL, behind which nothing stands: then JSON can say it, and be read back. */
static bool is_text(const unsigned char *bytes, size_t size, size_t *length)
{
	size_t at = 0, one;

	while (at < size && bytes[at]) {
		one = is_character(bytes + at, size - at);
		if (!one)
			return false;
		at += one;
	}
	*length = at;
	while (at < size && !bytes[at])
		at++;
	return at == size;
}

static void say_text(struct text *text, const unsigned char *bytes, size_t size)
{
	size_t length;

	if (!is_text(bytes, size, &length)) {
		say(text, "{\"hex\": ");
		say_hex(text, bytes, size);
		say(text, "}");
		return;
	}
	say(text, "\"");
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == '"' || bytes[i] == '\\')
			say(text, "\\%c", bytes[i]);
		else if (bytes[i] < 0x20 || bytes[i] == 0x7f)
			say(text, "\\u%04x", bytes[i]);
		else
			say(text, "%c", bytes[i]);
	}
	say(text, "\"");
}

static const unsigned char *say_field(struct text *text, const struct epochd_field *field, const unsigned char *at)
{
	if (field->kind == EPOCHD_text) {
		say_text(text, at, field->count);
		return at + field->count;
	}
	if (field->kind == EPOCHD_bytes) {
		say_hex(text, at, field->count);
		return at + field->count;
	}
	if (!field->count)
		return at + say_element(text, field->kind, at);
	for (uint32_t i = 0; i < field->count; i++) {
		say(text, i ? ", " : "[");
		at += say_element(text, field->kind, at);
	}
	say(text, "]");
	return at;
}

int epochd_json(const struct epochd_type *type, const void *payload, size_t size, char *json, size_t json_size)
{
	struct text text = { json, json_size, 0 };
	const unsigned char *begin = payload, *at = begin;
	const char *why;

	if (ep_type_check(type, &why) < 0 || size < type->size || (size > type->size && !(type->flags & EPOCHD_TAIL)))
		return -EINVAL;
	for (uint32_t i = 0; i < type->field_count; i++) {
		size_t align = ep_kind_size(type->fields[i].kind);

		at += (align - (size_t)(at - begin) % align) % align;
		say(&text, "%s\"%s\": ", i ? ", " : "{", type->fields[i].name);
		at = say_field(&text, &type->fields[i], at);
	}
	if (type->flags & EPOCHD_TAIL) {
		say(&text, ", \"...\": ");
		say_hex(&text, begin + type->size, size - type->size);
	}
	say(&text, "}");
	return text.used < json_size ? (int)text.used : -ENOSPC;
}
