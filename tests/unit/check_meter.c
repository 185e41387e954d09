#include <config.h>

#include "apilib/meter.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static void each_is_in_its_bucket(uint64_t ns)
{
	uint32_t bucket = ep_bucket_of(ns);

	ck_assert_uint_lt(bucket, EP_BUCKETS);
	ck_assert_uint_lt(ns, ep_bucket_end(bucket));
	if (bucket)
		ck_assert_uint_ge(ns, ep_bucket_end(bucket - 1));
}

START_TEST(a_time_is_in_its_bucket_and_no_other)
{
	for (uint64_t ns = 0; ns < 100000; ns++)
		each_is_in_its_bucket(ns);
	for (int octave = 16; octave < 63; octave++)
		for (int more = -2; more <= 2; more++)
			for (uint64_t quarter = 4; quarter < 8; quarter++)
				each_is_in_its_bucket((quarter << (octave - 2)) + (uint64_t)more);
	ck_assert_uint_eq(ep_bucket_of(UINT64_MAX), EP_BUCKETS - 1);
	ck_assert_uint_eq(ep_bucket_end(EP_BUCKETS - 1), UINT64_MAX);
}
END_TEST

START_TEST(no_bucket_is_wider_than_a_quarter)
{
	for (uint32_t i = 1; i < EP_BUCKETS - 1; i++) {
		uint64_t begin = ep_bucket_end(i - 1), end = ep_bucket_end(i);

		ck_assert_uint_gt(end, begin);
		ck_assert_uint_le((end - begin) * 4, begin);
	}
}
END_TEST

START_TEST(what_was_made_can_be_mapped)
{
	struct ep_meter_page *page;
	uint32_t types = 0;
	int fd = ep_meter_create(3);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ep_meter_map(&page, fd, PROT_READ | PROT_WRITE, &types), 0);
	ck_assert_uint_eq(types, 3);
	ck_assert_uint_eq(ep_meter_count(&page->type[2].received, 2), 0);
	ck_assert_uint_eq(ep_meter_count(&page->type[2].received, 1), 2);
	ck_assert_uint_eq(ep_meter_read(&page->type[2].received), 3);
	ep_meter_unmap(page, types);
	close(fd);
}
END_TEST

/* I6: an application brings it to the next supervisor. */
static const struct { uint64_t magic; uint32_t layout, types; size_t size; int seals; int result; } brought[] = {
	{ EP_METER_MAGIC, EP_METER_LAYOUT, 1, 64 + 2048, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 0 },
	{ EP_METER_MAGIC, EP_METER_LAYOUT, 1, 64 + 2048, F_SEAL_GROW | F_SEAL_SEAL, -EBADMSG },
	{ EP_METER_MAGIC, EP_METER_LAYOUT, 1, 64 + 2047, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, -EBADMSG },
	{ EP_METER_MAGIC, EP_METER_LAYOUT, 2, 64 + 2048, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, -EBADMSG },
	{ EP_METER_MAGIC, EP_METER_LAYOUT, 4097, 64 + 4097 * 2048, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, -EBADMSG },
	{ EP_METER_MAGIC, EP_METER_LAYOUT, UINT32_MAX, 64 + 2048, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, -EBADMSG },
	{ EP_METER_MAGIC, EP_METER_LAYOUT + 1, 1, 64 + 2048, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, -EBADMSG },
	{ EP_METER_MAGIC + 1, EP_METER_LAYOUT, 1, 64 + 2048, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, -EBADMSG },
	{ EP_METER_MAGIC, EP_METER_LAYOUT, 0, 63, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, -EBADMSG },
	{ EP_METER_MAGIC, EP_METER_LAYOUT, 0, 0, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, -EBADMSG },
};
START_TEST(what_is_no_meter_is_not_mapped)
{
	const struct ep_meter_page header = { .magic = brought[_i].magic, .layout = brought[_i].layout,
					      .types = brought[_i].types };
	struct ep_meter_page *page = NULL;
	uint32_t types = 0;
	int fd = memfd_create("meter", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, &header, sizeof header, 0), (ssize_t)sizeof header);
	ck_assert_int_eq(ftruncate(fd, (off_t)brought[_i].size), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, brought[_i].seals), 0);
	ck_assert_int_eq(ep_meter_map(&page, fd, PROT_READ, &types), brought[_i].result);
	ep_meter_unmap(page, types);
	close(fd);
}
END_TEST

START_TEST(a_file_is_no_meter)
{
	struct ep_meter_page *page = NULL;
	uint32_t types;
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(ep_meter_map(&page, fd, PROT_READ, &types), -EBADMSG);
	close(fd);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, a_time_is_in_its_bucket_and_no_other);
	tcase_add_test(tcase, no_bucket_is_wider_than_a_quarter);
	tcase_add_test(tcase, what_was_made_can_be_mapped);
	tcase_add_loop_test(tcase, what_is_no_meter_is_not_mapped, 0, ARRAY_SIZE(brought));
	tcase_add_test(tcase, a_file_is_no_meter);
}

int main(void)
{
	return unit_run("meter", fill);
}
