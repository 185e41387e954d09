#include <config.h>

#include "apilib/epochd.h"
#include "apilib/message.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdbool.h>
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

#define OTHER(FIELD, ARRAY) FIELD(u16, only)
#define OTHER_LIST(MESSAGE) MESSAGE(other, "test.one", OTHER, 0)
EPOCHD_MESSAGES(others, OTHER_LIST)

static char why[1024];
static unsigned char packet[4096];

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
	{ { "a", 4, 4, good, 1, 0 }, "it has flags that are not known" },
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

static size_t make_table(void)
{
	size_t used = 0;

	for (uint32_t i = 0; i < test_count; i++)
		ck_assert_int_eq(ep_table_put(packet, sizeof packet, &used, &test_messages[i]), 0);
	return used;
}

/* Numbers are the application's; in several packets as in one. */
START_TEST(a_table_says_what_the_numbers_mean)
{
	const struct epochd_type own[] = { test_messages[again_id], test_messages[all_id] };
	struct ep_agreed agreed;
	size_t used = 0;

	ck_assert_int_eq(ep_agreed_init(&agreed, 2), 0);
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < test_count; i++) {
			used = 0;
			ck_assert_int_eq(ep_table_put(packet, sizeof packet, &used, &test_messages[i]), 0);
			ck_assert_int_eq(ep_agreed_take(&agreed, own, packet, used, why, sizeof why), 0);
		}
		ck_assert_uint_eq(agreed.wire_count, test_count + 1);
		ck_assert_uint_eq(agreed.wire_of[0], again_id + 1);
		ck_assert_uint_eq(agreed.wire_of[1], all_id + 1);
		ck_assert_uint_eq(agreed.type_of[one_id + 1], UINT32_MAX);
		ck_assert_uint_eq(agreed.type_of[again_id + 1], 0);
		ck_assert_uint_eq(agreed.type_of[all_id + 1], 1);
		ep_agreed_forget(&agreed);
		ck_assert_uint_eq(agreed.wire_of[0], 0);
	}
	ep_agreed_deinit(&agreed);
}
END_TEST

START_TEST(a_mismatch_names_both_layouts)
{
	struct ep_agreed agreed;

	ck_assert_int_eq(ep_agreed_init(&agreed, others_count), 0);
	ck_assert_int_eq(ep_agreed_take(&agreed, others_messages, packet, make_table(), why, sizeof why),
			 -ENOMSG);
	ck_assert_str_eq(why, "the application declares test.one(u8 only, ...), this client test.one(u16 only)");
	ep_agreed_deinit(&agreed);
}
END_TEST

START_TEST(a_full_packet_takes_no_more)
{
	size_t used = 0, before;
	int r;

	do {
		before = used;
		r = ep_table_put(packet, 200, &used, &test_messages[one_id]);
	} while (r == 0);
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert_uint_eq(used, before);
	ck_assert_uint_gt(used, 0);
}
END_TEST

/* Cut anywhere, any byte changed: an error or a table, and never a byte read beyond (in a block of its own, for
 * the address sanitizer). */
START_TEST(no_damaged_table_is_believed)
{
	size_t size = make_table();
	unsigned seed = 20261126;

	for (int round = 0; round < 20000; round++) {
		size_t cut = round % 4 ? size : (size_t)rand_r(&seed) % size;
		unsigned char *copy = malloc(cut ? cut : 1);
		struct ep_agreed agreed;

		memcpy(copy, packet, cut);
		for (int i = 0; cut && i < round % 3; i++)
			copy[(size_t)rand_r(&seed) % cut] = (unsigned char)rand_r(&seed);
		ck_assert_int_eq(ep_agreed_init(&agreed, test_count), 0);
		ep_agreed_take(&agreed, test_messages, copy, cut, why, sizeof why);
		for (uint32_t i = 0; i < test_count; i++)
			ck_assert_uint_lt(agreed.wire_of[i], agreed.wire_count);
		ep_agreed_deinit(&agreed);
		free(copy);
	}
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, types_are_as_large_as_the_compiler_says);
	tcase_add_test(tcase, a_layout_is_a_line_of_text);
	tcase_add_test(tcase, the_crc_is_the_usual_one);
	tcase_add_loop_test(tcase, what_is_no_type_is_refused, 0, ARRAY_SIZE(bad));
	tcase_add_test(tcase, a_table_says_what_the_numbers_mean);
	tcase_add_test(tcase, a_mismatch_names_both_layouts);
	tcase_add_test(tcase, a_full_packet_takes_no_more);
	tcase_add_test(tcase, no_damaged_table_is_believed);
}

int main(void)
{
	return unit_run("message", fill);
}
