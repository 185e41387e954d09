#include <config.h>

#include "apilib/agreed.h"
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
	const struct epochd_type types[] = { test_messages[again_id], test_messages[all_id] };
	const struct ep_types own = { types, 2 };
	struct ep_agreed agreed;
	size_t used = 0;

	ck_assert_int_eq(ep_agreed_init(&agreed, &own, false), 0);
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < test_count; i++) {
			used = 0;
			ck_assert_int_eq(ep_table_put(packet, sizeof packet, &used, &test_messages[i]), 0);
			ck_assert_int_eq(ep_agreed_take(&agreed, packet, used, why, sizeof why), 0);
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
	const struct ep_types own = { others_messages, others_count };
	struct ep_agreed agreed;

	ck_assert_int_eq(ep_agreed_init(&agreed, &own, false), 0);
	ck_assert_int_eq(ep_agreed_take(&agreed, packet, make_table(), why, sizeof why),
			 -ENOMSG);
	ck_assert_str_eq(why, "the application declares test.one(u8 only, ...), this client test.one(u16 only)");
	ep_agreed_deinit(&agreed);
}
END_TEST

/* A client without types of its own has the application's, also when they are others in the next epoch. */
START_TEST(a_table_can_be_adopted)
{
	const struct ep_types none = { NULL, 0 };
	struct ep_agreed agreed;
	size_t used = 0;

	ck_assert_int_eq(ep_agreed_init(&agreed, &none, true), 0);
	ck_assert_int_eq(ep_table_put_module(packet, sizeof packet, &used, "test", "1.2"), 0);
	for (uint32_t i = 0; i < test_count; i++)
		ck_assert_int_eq(ep_table_put(packet, sizeof packet, &used, &test_messages[i]), 0);
	ck_assert_int_eq(ep_agreed_take(&agreed, packet, used, why, sizeof why), 0);
	ck_assert_uint_eq(agreed.types.count, test_count);
	for (uint32_t i = 0; i < test_count; i++) {
		ck_assert_str_eq(agreed.types.type[i].name, test_messages[i].name);
		ck_assert_uint_eq(agreed.types.type[i].size, test_messages[i].size);
		ck_assert_uint_eq(agreed.types.type[i].flags, test_messages[i].flags);
		ck_assert_uint_eq(agreed.wire_of[i], i + 1);
		ck_assert_uint_eq(agreed.type_of[i + 1], i);
	}
	ep_agreed_forget(&agreed);
	ck_assert_uint_eq(agreed.types.count, 0);
	used = 0;
	ck_assert_int_eq(ep_table_put(packet, sizeof packet, &used, &others_messages[0]), 0);
	ck_assert_int_eq(ep_agreed_take(&agreed, packet, used, why, sizeof why), 0);
	ck_assert_uint_eq(agreed.types.count, 1);
	ck_assert_uint_eq(agreed.types.type[0].size, 2);
	packet[used - 4] ^= 1;   /* another layout than its CRC says */
	ck_assert_int_eq(ep_agreed_take(&agreed, packet, used, why, sizeof why), -EPROTO);
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
	const struct ep_types own = { test_messages, test_count }, none = { NULL, 0 };
	size_t size = make_table();
	unsigned seed = 20261126;

	for (int round = 0; round < 20000; round++) {
		size_t cut = round % 4 ? size : (size_t)rand_r(&seed) % size;
		unsigned char *copy = malloc(cut ? cut : 1);
		struct ep_agreed agreed;

		memcpy(copy, packet, cut);
		for (int i = 0; cut && i < round % 3; i++)
			copy[(size_t)rand_r(&seed) % cut] = (unsigned char)rand_r(&seed);
		ck_assert_int_eq(ep_agreed_init(&agreed, round % 2 ? &own : &none, round % 2 == 0), 0);
		ep_agreed_take(&agreed, copy, cut, why, sizeof why);
		for (uint32_t i = 0; i < agreed.types.count; i++)
			ck_assert_uint_lt(agreed.wire_of[i], agreed.wire_count);
		ep_agreed_deinit(&agreed);
		free(copy);
	}
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, a_table_says_what_the_numbers_mean);
	tcase_add_test(tcase, a_mismatch_names_both_layouts);
	tcase_add_test(tcase, a_table_can_be_adopted);
	tcase_add_test(tcase, a_full_packet_takes_no_more);
	tcase_add_test(tcase, no_damaged_table_is_believed);
}

int main(void)
{
	return unit_run("message", fill);
}
