#include <config.h>

#include "apilib/registry_view.h"
#include "tests/unit/directory.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

static char path[64];
static int directory;
static const struct ep_registry_id id = { "uuid", "boot", "kv", 0 };
static struct ep_page *page;
static struct ep_view view;

static void map_view(void)
{
	const char *why;
	int fd = openat(directory, "kv", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(ep_view_map(&view, fd, &why), 0);
	close(fd);
}

static void set_up(void)
{
	directory_new(path);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(ep_registry_create(&page, directory, &id), 0);
	map_view();
}

static void tear_down(void)
{
	ep_view_unmap(&view);
	ep_registry_unmap(page);
	close(directory);
	directory_remove(path);
}

static void put_fence(uint32_t epoch, enum ep_state state)
{
	struct ep_end end = { .cause = state == EP_DOWN ? EP_CRASHED : EP_NO_CAUSE };

	atomic_store(&page->fence, ep_fence_pack(epoch, state, end));
}

static void put_handle(uint32_t epoch, uint32_t generation, uint32_t index)
{
	struct ep_slot *slot = (struct ep_slot *)(void *)((char *)page + EP_SLOTS_AT) + index;

	ck_assert_int_eq(ep_registry_back_slots(page, directory, "kv", index + 1), 0);
	atomic_store(&slot->handle, epoch ? ep_handle_pack(epoch, generation, index) : 0);
}

static void expect(uint32_t epoch, uint32_t generation, uint32_t index, const char *verdict)
{
	uint64_t handle = ep_handle_pack(epoch, generation, index);

	ck_assert_str_eq(ep_verdict_name(ep_handle_check(&view, handle)), verdict);
}

/* I3 */
START_TEST(the_fence_and_the_slot_decide)
{
	put_handle(7, 3, 5);
	put_fence(7, EP_UP);
	expect(7, 3, 5, "good");
	expect(7, 2, 5, "stale_generation");
	expect(7, 4, 5, "not_a_handle");
	expect(7, 3, 4, "free_slot");
	expect(7, 0, 6, "not_a_handle");   /* never allocated */
	expect(7, 0, EP_SLOTS_MIN, "not_a_handle");
	expect(7, 0, EP_INDEX_MAX, "not_a_handle");
	expect(6, 3, 5, "stale_epoch");
	expect(6, 9, EP_SLOTS_MIN - 1, "stale_epoch");
	expect(8, 3, 5, "not_a_handle");
	expect(0, 0, 0, "not_a_handle");
	expect(0, 3, 5, "not_a_handle");
	put_fence(7, EP_STOPPING);
	expect(7, 3, 5, "good");
	put_handle(0, 0, 5);
	expect(7, 3, 5, "free_slot");
}
END_TEST

/* Whatever its slot still says. */
START_TEST(a_moved_fence_refuses_all)
{
	static const enum ep_state closed[] = { EP_DOWN, EP_STARTING, EP_FATAL };

	put_handle(7, 3, 5);
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++) {
		put_fence(7, closed[i]);
		expect(7, 3, 5, "down");
		put_fence(8, closed[i]);
		expect(7, 3, 5, "stale_epoch");
		expect(8, 3, 5, "down");
	}
	put_fence(8, EP_UP);
	expect(7, 3, 5, "stale_epoch");
	expect(8, 3, 5, "free_slot");   /* what stands there is of epoch 7, and yet to be cleared */
}
END_TEST

START_TEST(what_is_never_written_is_never_touched)
{
	put_fence(7, EP_UP);
	for (uint32_t index = 0; index < EP_SLOTS_MIN; index += 31)
		expect(7, 0, index, "not_a_handle");
	/* More than there are, as only a broken writer says. */
	atomic_store(&page->slots_backed, UINT32_MAX);
	expect(7, 0, EP_SLOTS_MIN, "not_a_handle");
	ck_assert_uint_eq(view.backed, 0);
}
END_TEST

START_TEST(what_is_no_registry_is_refused)
{
	struct ep_view none = { 0 };
	const char *why;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(ep_view_map(&none, fd, &why), -EBADMSG);
	ck_assert_str_eq(why, "it is not a regular file");
	close(fd);
	fd = openat(directory, "kv", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, "x", 1, offsetof(struct ep_page, name)), 1);
	ck_assert_int_eq(ep_view_map(&none, fd, &why), -EBADMSG);
	ck_assert_str_eq(why, "its checksum is wrong");
	ck_assert_int_eq(ftruncate(fd, 10), 0);
	ck_assert_int_eq(ep_view_map(&none, fd, &why), -EBADMSG);
	ck_assert_str_eq(why, "its size is not that of a registry");
	close(fd);
	ck_assert_ptr_null(none.page);
	ep_view_unmap(&none);
	view = (struct ep_view){ 0 };   /* its file is cut: not to be touched any more */
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, the_fence_and_the_slot_decide);
	tcase_add_test(tcase, a_moved_fence_refuses_all);
	tcase_add_test(tcase, what_is_never_written_is_never_touched);
	tcase_add_test(tcase, what_is_no_registry_is_refused);
}

int main(void)
{
	return unit_run("registry_view", fill);
}
