#include <config.h>

#include "apilib/epochd.h"
#include "apilib/layout.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL(FIELD, ARRAY) \
	FIELD(u8, a) FIELD(u64, b) FIELD(i8, c) FIELD(u16, d) FIELD(i32, e) ARRAY(text, f, 5) FIELD(f64, g) \
	ARRAY(u16, h, 3) FIELD(f32, i) ARRAY(bytes, j, 7) FIELD(i16, k) FIELD(u32, l) FIELD(i64, m)
#define ONE(FIELD, ARRAY) FIELD(u8, only)
#define LIST(MESSAGE) \
	MESSAGE(all, "test.all", ALL, 0) \
	MESSAGE(one, "test.one", ONE, EPOCHD_TAIL) \
	MESSAGE(again, "test.again", ONE, EPOCHD_IN_PLACE)
EPOCHD_MESSAGES(test, LIST)

/* The struct is laid out as its fields say, whatever padding there is. */
START_TEST(types_are_as_large_as_the_compiler_says)
{
	const char *reason = "";

	for (uint32_t i = 0; i < test_count; i++)
		ck_assert_msg(ep_type_check(&test_messages[i], &reason) == 0, "%s", reason);
}
END_TEST

START_TEST(a_layout_is_a_line_of_text)
{
	char text[512];

	ck_assert_int_gt(ep_type_layout(&test_messages[all_id], text, sizeof text), 0);
	ck_assert_str_eq(text, "test.all(u8 a, u64 b, i8 c, u16 d, i32 e, text f[5], f64 g, u16 h[3], f32 i, "
			       "bytes j[7], i16 k, u32 l, i64 m)");
	ep_type_layout(&test_messages[one_id], text, sizeof text);
	ck_assert_str_eq(text, "test.one(u8 only, ...)");
	ck_assert_int_eq(ep_type_layout(&test_messages[one_id], text, 10), -ENAMETOOLONG);
}
END_TEST

/* The check value of CRC-32/ISO-HDLC. */
START_TEST(the_crc_is_the_usual_one)
{
	ck_assert_uint_eq(ep_layout_crc("123456789"), 0xcbf43926);
	ck_assert_uint_eq(ep_layout_crc(""), 0);
}
END_TEST

static const struct epochd_field good[] = { { "a", EPOCHD_u32, 0 } };
static const struct epochd_field no_name[] = { { "a b", EPOCHD_u32, 0 } };
static const struct epochd_field no_kind[] = { { "a", EPOCHD_KINDS, 0 } };
static const struct epochd_field no_array[] = { { "a", EPOCHD_text, 0 } };
static const struct epochd_field huge[] = { { "a", EPOCHD_u64, UINT32_MAX } };
static const struct { struct epochd_type type; const char *why; } bad[] = {
	{ { NULL, 4, 0, good, 1, 0 }, "its name is not of letters, digits, _ and dots, 63 at most" },
	{ { "a(b", 4, 0, good, 1, 0 }, "its name is not of letters, digits, _ and dots, 63 at most" },
	{ { "a", 4, 0, NULL, 1, 0 }, "it has no fields" },
	{ { "a", 4, 0, good, 0, 0 }, "it has no fields" },
	{ { "a", 4, 8, good, 1, 0 }, "it has flags that are not known" },
	{ { "a", 8, 0, good, 1, 0 }, "its size is not that of its fields" },
	{ { "a", 4, 0, no_name, 1, 0 }, "a field has no name of letters, digits and _" },
	{ { "a", 4, 0, no_kind, 1, 0 }, "a field is of no known kind" },
	{ { "a", 1, 0, no_array, 1, 0 }, "a field is of no known kind" },
	{ { "a", 4, 0, huge, 1, 0 }, "it is too large" },
};
START_TEST(what_is_no_type_is_refused)
{
	const char *reason = NULL;

	ck_assert_int_eq(ep_type_check(&bad[_i].type, &reason), -EINVAL);
	ck_assert_str_eq(reason, bad[_i].why);
}
END_TEST


/* ---- and back ---- */

START_TEST(a_layout_is_parsed_to_what_it_came_from)
{
	for (uint32_t i = 0; i < test_count; i++) {
		const struct epochd_type *type = &test_messages[i];
		struct epochd_type *parsed = NULL;
		char text[512];

		ck_assert_int_gt(ep_type_layout(type, text, sizeof text), 0);
		ck_assert_int_eq(ep_layout_parse(&parsed, text, type->flags), 0);
		ck_assert_str_eq(parsed->name, type->name);
		ck_assert_uint_eq(parsed->size, type->size);
		ck_assert_uint_eq(parsed->flags, type->flags);
		ck_assert_uint_eq(parsed->field_count, type->field_count);
		for (uint32_t j = 0; j < type->field_count; j++) {
			ck_assert_str_eq(parsed->fields[j].name, type->fields[j].name);
			ck_assert_uint_eq(parsed->fields[j].kind, type->fields[j].kind);
			ck_assert_uint_eq(parsed->fields[j].count, type->fields[j].count);
		}
		free(parsed);
	}
}
END_TEST

static const char *const no_layouts[] = {
	"", "a", "a(", "a()", "a(...)", "(u8 b)", "a(u8 b", "a(u8 b))", "a(u8 b) ", "a(u9 b)", "a(u8)", "a(u8 )", "a(u8 b,)",
	"a(u8 b, )", "a(u8 b,u8 c)", "a(u8 b, u8 c", "a(u8 b[0])", "a(u8 b[01])", "a(u8 b[4294967296])", "a(u8 b[-1])",
	"a(u8 b[1)", "a(u8 b[ 1])", "a(u8 b[1]u8 c)", "a(text b)", "a(bytes b)", "a(u64 b[4294967295])", "a(u8 b, ...",
	"a(u8 b, ...) ", "a(u8 b, ..., u8 c)", "a b(u8 c)", "a(u8 b c)", "a(u8  b)",
};
START_TEST(what_is_no_layout_is_refused)
{
	struct epochd_type *parsed = NULL;

	ck_assert_int_eq(ep_layout_parse(&parsed, no_layouts[_i], 0), -EINVAL);
	ck_assert_ptr_null(parsed);
}
END_TEST

/* Any byte changed: refused, or a type with just that layout. */
START_TEST(no_damaged_layout_is_believed)
{
	static const char layout[] = "test.all(u8 a, u64 b, text f[5], u16 h[3], ...)";
	unsigned seed = 20261128;

	for (int round = 0; round < 50000; round++) {
		char copy[sizeof layout], again[EP_TYPE_LAYOUT_MAX + 1];
		struct epochd_type *parsed = NULL;

		memcpy(copy, layout, sizeof layout);
		for (int i = 0; i < 1 + round % 3; i++)
			copy[(size_t)rand_r(&seed) % strlen(layout)] = round % 2 ? "(), []0189abtuf."[rand_r(&seed) % 16] :
									    (char)rand_r(&seed);
		if (ep_layout_parse(&parsed, copy, 0) < 0)
			continue;
		ep_type_layout(parsed, again, sizeof again);
		ck_assert_str_eq(again, copy);
		free(parsed);
	}
}
END_TEST

/* ---- JSON ---- */

static char json[2048];

START_TEST(a_message_is_json)
{
	const struct all message = {
		.a = 255, .b = 1ull << 63, .c = -128, .d = 65535, .e = -5, .f = "a\"\\\n", .g = -.1,
		.h = { 1, 2, 3 }, .i = 1.5f, .j = { 0, 0xff, 7 }, .k = -1, .l = 7, .m = -(1ll << 53) - 1,
	};
	int length = epochd_json(&test_messages[all_id], &message, sizeof message, json, sizeof json);

	ck_assert_int_eq(length, (int)strlen(json));
	ck_assert_str_eq(json, "{\"a\": 255, \"b\": \"9223372036854775808\", \"c\": -128, \"d\": 65535, \"e\": -5, "
			       "\"f\": \"a\\\"\\\\\\u000a\", \"g\": -0.10000000000000001, \"h\": [1, 2, 3], \"i\": 1.5, "
			       "\"j\": \"00ff0700000000\", \"k\": -1, \"l\": 7, \"m\": \"-9007199254740993\"}");
	ck_assert_int_eq(epochd_json(&test_messages[all_id], &message, sizeof message, json, (size_t)length), -ENOSPC);
	ck_assert_int_eq(epochd_json(&test_messages[all_id], &message, sizeof message + 1, json, sizeof json), -EINVAL);
	ck_assert_int_eq(epochd_json(&test_messages[all_id], &message, sizeof message - 1, json, sizeof json), -EINVAL);
}
END_TEST

START_TEST(a_tail_is_json)
{
	ck_assert_int_gt(epochd_json(&test_messages[one_id], "\x07\x01\xab", 3, json, sizeof json), 0);
	ck_assert_str_eq(json, "{\"only\": 7, \"...\": \"01ab\"}");
}
END_TEST

static const struct { char f[5]; const char *json; } texts[] = {
	{ "", "\"\"" }, { "abc", "\"abc\"" }, { "abcde", "\"abcde\"" }, { "\303\244b", "\"\303\244b\"" },
	{ "\342\202\254\001", "\"\342\202\254\\u0001\"" }, { "\360\237\230\200", "\"\360\237\230\200\"" },
	{ "\177", "\"\\u007f\"" },
	{ "a\0b", "{\"hex\": \"6100620000\"}" }, { "\377", "{\"hex\": \"ff00000000\"}" },
	{ "\303", "{\"hex\": \"c300000000\"}" }, { "abcd\303", "{\"hex\": \"61626364c3\"}" },
	{ "\300\200", "{\"hex\": \"c080000000\"}" }, { "\355\240\200", "{\"hex\": \"eda0800000\"}" },
	{ "\364\220\200\200", "{\"hex\": \"f490808000\"}" }, { "\340\200\200", "{\"hex\": \"e080800000\"}" },
};
START_TEST(any_text_can_be_read_back)
{
	struct all message = { 0 };
	char expected[100], *at, *end;

	memcpy(message.f, texts[_i].f, sizeof message.f);
	ck_assert_int_gt(epochd_json(&test_messages[all_id], &message, sizeof message, json, sizeof json), 0);
	at = strstr(json, "\"f\": ") + 5;
	end = strstr(at, ", \"g\"");
	snprintf(expected, sizeof expected, "%.*s", (int)(end - at), at);
	ck_assert_str_eq(expected, texts[_i].json);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, types_are_as_large_as_the_compiler_says);
	tcase_add_test(tcase, a_layout_is_a_line_of_text);
	tcase_add_test(tcase, the_crc_is_the_usual_one);
	tcase_add_loop_test(tcase, what_is_no_type_is_refused, 0, ARRAY_SIZE(bad));
	tcase_add_test(tcase, a_layout_is_parsed_to_what_it_came_from);
	tcase_add_loop_test(tcase, what_is_no_layout_is_refused, 0, ARRAY_SIZE(no_layouts));
	tcase_add_test(tcase, no_damaged_layout_is_believed);
	tcase_add_test(tcase, a_message_is_json);
	tcase_add_test(tcase, a_tail_is_json);
	tcase_add_loop_test(tcase, any_text_can_be_read_back, 0, ARRAY_SIZE(texts));
}

int main(void)
{
	return unit_run("layout", fill);
}
