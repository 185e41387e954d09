#include <config.h>

#include "apilib/handle.h"
#include "tests/unit/unit.h"

static const struct { uint32_t epoch, generation, index; uint64_t handle; } cases[] = {
	{ 7, 1, 3, 0x0000070000100003 },
	{ 0, 0, 0, 0 },
	{ 0xffffff, EP_GENERATION_MAX, EP_INDEX_MAX, UINT64_MAX },
	{ 1, 0, 0, 0x0000010000000000 },
	{ 0, EP_GENERATION_MAX, 0, 0x000000fffff00000 },
	{ 0, 0, EP_INDEX_MAX, 0x00000000000fffff },
};

START_TEST(what_is_packed_comes_back)
{
	uint64_t handle = ep_handle_pack(cases[_i].epoch, cases[_i].generation, cases[_i].index);

	ck_assert_uint_eq(handle, cases[_i].handle);
	ck_assert_uint_eq(ep_handle_epoch(handle), cases[_i].epoch);
	ck_assert_uint_eq(ep_handle_generation(handle), cases[_i].generation);
	ck_assert_uint_eq(ep_handle_index(handle), cases[_i].index);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_loop_test(tcase, what_is_packed_comes_back, 0, ARRAY_SIZE(cases));
}

int main(void)
{
	return unit_run("handle", fill);
}
