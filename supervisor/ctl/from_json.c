#include <config.h>

#include "supervisor/ctl/from_json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apilib/epochd.h"
#include "apilib/layout.h"
#include "supervisor/ctl/text.h"

struct reason {
	const char *field;
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct reason *reason, const char *format, ...)
{
	char what[200];
	va_list values;

	va_start(values, format);
	vsnprintf(what, sizeof what, format, values);
	va_end(values);
	snprintf(reason->text, reason->size, "%s: %s", reason->field, what);
	return -EINVAL;
}

/* ---- numbers ---- */

static const struct { int64_t least; uint64_t most; } ranges[EPOCHD_KINDS] = {
	[EPOCHD_u8] = { 0, UINT8_MAX }, [EPOCHD_u16] = { 0, UINT16_MAX },
	[EPOCHD_u32] = { 0, UINT32_MAX }, [EPOCHD_u64] = { 0, UINT64_MAX },
	[EPOCHD_i8] = { INT8_MIN, INT8_MAX }, [EPOCHD_i16] = { INT16_MIN, INT16_MAX },
	[EPOCHD_i32] = { INT32_MIN, INT32_MAX }, [EPOCHD_i64] = { INT64_MIN, INT64_MAX },
};

static bool is_float(uint32_t kind) { return kind == EPOCHD_f32 || kind == EPOCHD_f64; }

/* An integer, or its digits as text, where it is beyond what JSON's readers agree on. */
static bool take_integer(const json_t *json, bool *negative, uint64_t *magnitude)
{
	const char *digits = json_string_value(json);
	char *end;

	if (json_is_integer(json)) {
		json_int_t value = json_integer_value(json);

		*negative = value < 0;
		*magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
		return true;
	}
	if (!digits)
		return false;
	*negative = *digits == '-';
	digits += *negative;
	if (*digits < '0' || *digits > '9')
		return false;
	errno = 0;
	*magnitude = strtoull(digits, &end, 0);
	return !errno && !*end;
}

static int take_float(unsigned char *at, uint32_t kind, const json_t *json, const struct reason *reason)
{
	const char *word = json_string_value(json);
	double value = json_number_value(json);
	float narrow;

	if (word && strcmp(word, "inf") == 0)
		value = INFINITY;
	else if (word && strcmp(word, "-inf") == 0)
		value = -INFINITY;
	else if (word && (strcmp(word, "nan") == 0 || strcmp(word, "-nan") == 0))
		value = NAN;
	else if (!json_is_number(json))
		return refuse(reason, "expected a number");
	narrow = (float)value;
	if (kind == EPOCHD_f32)
		memcpy(at, &narrow, sizeof narrow);
	else
		memcpy(at, &value, sizeof value);
	return 0;
}

static int take_number(unsigned char *at, uint32_t kind, const json_t *json, const struct reason *reason)
{
	bool negative;
	uint64_t magnitude, bits;

	if (is_float(kind))
		return take_float(at, kind, json, reason);
	if (!take_integer(json, &negative, &magnitude))
		return refuse(reason, "expected a whole number");
	if (negative ? magnitude > -(uint64_t)ranges[kind].least : magnitude > ranges[kind].most)
		return refuse(reason, "%" PRId64 " to %" PRIu64 " fit there", ranges[kind].least, ranges[kind].most);
	bits = negative ? -magnitude : magnitude;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(at, &bits, ep_kind_size(kind));
#else
	memcpy(at, (const unsigned char *)&bits + sizeof bits - ep_kind_size(kind), ep_kind_size(kind));
#endif
	return 0;
}

/* ---- bytes ---- */

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int take_hex(unsigned char *at, size_t size, const json_t *json, const struct reason *reason)
{
	const char *text = json_string_value(json);
	size_t length = json_string_length(json);

	if (!text || length % 2)
		return refuse(reason, "expected hexadecimal digits, two a byte, as a string");
	if (length / 2 > size)
		return refuse(reason, "%zu bytes fit there, not %zu", size, length / 2);
	for (size_t i = 0; i < length; i += 2) {
		if (digit(text[i]) < 0 || digit(text[i + 1]) < 0)
			return refuse(reason, "expected hexadecimal digits, two a byte, as a string");
		at[i / 2] = (unsigned char)(digit(text[i]) << 4 | digit(text[i + 1]));
	}
	return 0;
}

static int take_text(unsigned char *at, size_t size, const json_t *json, const struct reason *reason)
{
	if (json_is_object(json) && json_object_size(json) == 1 && json_object_get(json, "hex"))
		return take_hex(at, size, json_object_get(json, "hex"), reason);
	if (!json_is_string(json))
		return refuse(reason, "expected a string");
	if (json_string_length(json) > size)
		return refuse(reason, "%zu bytes fit there, not %zu", size, json_string_length(json));
	memcpy(at, json_string_value(json), json_string_length(json));
	return 0;
}

/* ---- fields ---- */

static int take_field(unsigned char *at, const struct epochd_field *field, const json_t *json,
		      const struct reason *reason)
{
	const json_t *element;
	size_t i;
	int r = 0;

	if (field->kind == EPOCHD_text)
		return take_text(at, field->count, json, reason);
	if (field->kind == EPOCHD_bytes)
		return take_hex(at, field->count, json, reason);
	if (!field->count)
		return take_number(at, field->kind, json, reason);
	if (!json_is_array(json) || json_array_size(json) > field->count)
		return refuse(reason, "expected an array of %u numbers at most", field->count);
	json_array_foreach(json, i, element)
		if (r == 0)
			r = take_number(at + i * ep_kind_size(field->kind), field->kind, element, reason);
	return r;
}

static int check_keys(const struct epochd_type *type, const json_t *object, const struct reason *reason)
{
	const char **names = calloc(type->field_count + 2, sizeof *names), *key, *nearest;
	const json_t *value;
	bool known = true;
	uint32_t i;

	if (!names)
		return -ENOMEM;
	for (i = 0; i < type->field_count; i++)
		names[i] = type->fields[i].name;
	if (type->flags & EPOCHD_TAIL)
		names[i] = "...";
	json_object_foreach((json_t *)object, key, value) {
		known = false;
		for (i = 0; names[i] && !known; i++)
			known = strcmp(names[i], key) == 0;
		if (!known) {
			nearest = text_nearest(key, names);
			snprintf(reason->text, reason->size, "there is no field %.60s%s%s%s", key,
				 nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
			break;
		}
	}
	free(names);
	return known ? 0 : -EINVAL;
}

static int take_fields(unsigned char *payload, const struct epochd_type *type, const json_t *object,
		       struct reason *reason)
{
	size_t at = 0;
	int r = check_keys(type, object, reason);

	for (uint32_t i = 0; r == 0 && i < type->field_count; i++) {
		const struct epochd_field *field = &type->fields[i];
		const json_t *value = json_object_get(object, field->name);
		size_t size = ep_kind_size(field->kind);

		reason->field = field->name;
		at = (at + size - 1) / size * size;
		if (value)
			r = take_field(payload + at, field, value, reason);
		at += size * (field->count ? field->count : 1);
	}
	return r;
}

int message_from_json(unsigned char **payload, size_t *size, const struct epochd_type *type, const json_t *object,
		      char *why, size_t why_size)
{
	const json_t *tail = type->flags & EPOCHD_TAIL ? json_object_get(object, "...") : NULL;
	struct reason reason = { .field = "...", .text = why, .size = why_size };
	size_t more = json_string_length(tail) / 2;
	unsigned char *bytes;
	int r = 0;

	if (!json_is_object(object)) {
		snprintf(why, why_size, "expected a JSON object of the fields of %s", type->name);
		return -EINVAL;
	}
	bytes = calloc(1, type->size + more + 1);
	if (!bytes)
		return -ENOMEM;
	if (tail)
		r = take_hex(bytes + type->size, more, tail, &reason);
	if (r == 0)
		r = take_fields(bytes, type, object, &reason);
	if (r < 0) {
		free(bytes);
		return r;
	}
	*payload = bytes;
	*size = type->size + more;
	return 0;
}

char *message_to_json(const struct epochd_type *type, const void *payload, size_t size)
{
	size_t room = 4096 + 8 * size;
	char *text = malloc(room);
	int r;

	while (text && (r = epochd_json(type, payload, size, text, room)) == -ENOSPC) {
		free(text);
		room *= 4;
		text = malloc(room);
	}
	if (text && r < 0) {
		free(text);
		return NULL;
	}
	return text;
}
