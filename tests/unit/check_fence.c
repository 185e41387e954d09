#include <config.h>

#include "apilib/fence.h"
#include "tests/unit/unit.h"

static const struct {
	uint32_t epoch;
	enum ep_state state;
	struct ep_end end;
	bool serving;
} cases[] = {
	{ 0, EP_DOWN, { 0 }, false },
	{ 1, EP_STARTING, { 0 }, false },
	{ 7, EP_UP, { 0 }, true },
	{ 8, EP_STOPPING, { 0 }, true },
	{ EP_EPOCH_MAX, EP_DOWN, { EP_CRASHED, EP_END_SIGNAL, 9, true, EP_OOM_YES }, false },
	{ 42, EP_FATAL, { EP_UNSEEN, EP_END_CODE, 255, false, EP_OOM_NO }, false },
};

START_TEST(what_is_packed_comes_back)
{
	uint64_t fence = ep_fence_pack(cases[_i].epoch, cases[_i].state, cases[_i].end);
	struct ep_end end = ep_fence_end(fence);

	ck_assert_uint_eq(ep_fence_epoch(fence), cases[_i].epoch);
	ck_assert_int_eq(ep_fence_state(fence), cases[_i].state);
	ck_assert_int_eq(ep_fence_is_serving(fence), cases[_i].serving);
	ck_assert_int_eq(end.cause, cases[_i].end.cause);
	ck_assert_int_eq(end.kind, cases[_i].end.kind);
	ck_assert_uint_eq(end.value, cases[_i].end.value);
	ck_assert_int_eq(end.core, cases[_i].end.core);
	ck_assert_int_eq(end.oom, cases[_i].end.oom);
	ck_assert(ep_fence_is_sane(fence));
}
END_TEST

START_TEST(only_its_own_epoch_is_served)
{
	uint64_t up = ep_fence_pack(7, EP_UP, (struct ep_end){ 0 });
	uint64_t down = ep_fence_pack(7, EP_DOWN, (struct ep_end){ EP_CRASHED });

	ck_assert(ep_fence_serves(up, 7));
	ck_assert(!ep_fence_serves(up, 6));
	ck_assert(!ep_fence_serves(up, 8));
	ck_assert(!ep_fence_serves(down, 7));
}
END_TEST

START_TEST(a_word_that_contradicts_itself_is_not_sane)
{
	uint64_t up = ep_fence_pack(7, EP_UP, (struct ep_end){ 0 });

	ck_assert(!ep_fence_is_sane(up & ~(1ull << 39)));       /* up, yet not serving */
	ck_assert(!ep_fence_is_sane(1ull << 39));               /* down, yet serving */
	ck_assert(!ep_fence_is_sane(up | 7ull << 36));          /* no such state */
	ck_assert(!ep_fence_is_sane(up | 15ull << 32));         /* no such cause */
	ck_assert(!ep_fence_is_sane(UINT64_MAX));
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_loop_test(tcase, what_is_packed_comes_back, 0, ARRAY_SIZE(cases));
	tcase_add_test(tcase, only_its_own_epoch_is_served);
	tcase_add_test(tcase, a_word_that_contradicts_itself_is_not_sane);
}

int main(void)
{
	return unit_run("fence", fill);
}
