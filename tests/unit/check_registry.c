#include <config.h>

#include "apilib/registry.h"
#include "tests/unit/directory.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define UUID "0b7c51e2-0000-4000-8000-000000000001"
#define BOOT "6f1e51e2-0000-4000-8000-000000000002"

static char path[64];
static int directory;
static const struct ep_registry_id id = { UUID, BOOT, "kv", 0 };

static void set_up(void)
{
	directory_new(path);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(directory, 0);
}

static void tear_down(void)
{
	close(directory);
	directory_remove(path);
}

static struct ep_page *create(void)
{
	struct ep_page *page = NULL;

	ck_assert_int_eq(ep_registry_create(&page, directory, &id), 0);
	return page;
}

static void fence(struct ep_page *page, uint64_t word)
{
	atomic_store_explicit(&page->fence, word, memory_order_relaxed);
}

static uint64_t fence_of(const struct ep_page *page)
{
	return atomic_load_explicit(&page->fence, memory_order_relaxed);
}

/* What opening says; *out only on success. */
static void expect_open(const struct ep_registry_id *whose, int expected, const char *reason)
{
	struct ep_page *page = NULL;
	const char *why = "untouched";
	int r = ep_registry_open(&page, directory, whose, &why);

	ck_assert_int_eq(r, expected);
	ck_assert_ptr_null(r < 0 ? page : NULL);
	if (reason)
		ck_assert_str_eq(why ? why : "none", reason);
	else
		ck_assert_ptr_null(why);
	ep_registry_unmap(page);
}

static void write_at(off_t at, const void *bytes, size_t size)
{
	int fd = openat(directory, "kv", O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(pwrite(fd, bytes, size, at), (ssize_t)size);
	close(fd);
}

static struct ep_page read_page(void)
{
	struct ep_page page;
	int fd = openat(directory, "kv", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(pread(fd, &page, sizeof page, 0), (ssize_t)sizeof page);
	close(fd);
	return page;
}

/* As apilib/registry.c does it: a change of the sum's rule is a change of the layout. */
static uint64_t checksum_of(const struct ep_page *page)
{
	const unsigned char *byte = (const unsigned char *)page;
	uint64_t sum = 0xcbf29ce484222325ull;

	for (size_t i = 8; i < 168; i++)
		sum = (sum ^ byte[i]) * 0x100000001b3ull;
	return sum;
}

START_TEST(what_was_made_is_found_again)
{
	struct ep_page *page = create(), *again = NULL;
	uint64_t up = ep_fence_pack(7, EP_UP, (struct ep_end){ 0 });
	const char *why;
	struct stat st;

	ck_assert_uint_eq(atomic_load(&page->magic), EP_REGISTRY_MAGIC);
	ck_assert_uint_eq(fence_of(page), 0);   /* epoch 0, down */
	fence(page, up);
	atomic_store(&page->total[EP_TOTALS - 1], 42);
	ck_assert_int_eq(ep_registry_open(&again, directory, &id, &why), 0);
	ck_assert_uint_eq(fence_of(again), up);
	ck_assert_uint_eq(atomic_load(&again->total[EP_TOTALS - 1]), 42);
	ck_assert_str_eq(again->name, "kv");
	fence(again, 0);
	ck_assert_uint_eq(fence_of(page), 0);   /* one file, mapped twice */
	ck_assert_int_eq(fstatat(directory, "kv", &st, 0), 0);
	ck_assert_int_eq(st.st_size, ep_registry_size(EP_SLOTS_MIN));
	ck_assert_int_eq(st.st_blocks * 512, EP_SLOTS_AT);   /* the slots come with their first use */
	ck_assert_uint_eq(page->slot_count, EP_SLOTS_MIN);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(faccessat(directory, ".kv.new", F_OK, 0), -1);
	ep_registry_unmap(page);
	ep_registry_unmap(again);
	ep_registry_unmap(NULL);
}
END_TEST

/* The one before it stays mapped where it is, and the half-made one of a supervisor that died is no
 * obstacle. */
START_TEST(a_new_one_replaces_the_old_one)
{
	struct ep_page *old = create(), *new;
	int fd;

	fence(old, ep_fence_pack(7, EP_UP, (struct ep_end){ 0 }));
	fd = openat(directory, ".kv.new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(fd, "half", 4), 4);
	close(fd);
	new = create();
	ck_assert_uint_eq(fence_of(new), 0);
	ck_assert_uint_eq(ep_fence_epoch(fence_of(old)), 7);
	expect_open(&id, 0, NULL);
	ep_registry_unmap(old);
	ep_registry_unmap(new);
}
END_TEST

START_TEST(where_none_can_be_made_nothing_stays)
{
	struct ep_page *page = NULL;

	ck_assert_int_eq(mkdirat(directory, "kv", 0700), 0);
	ck_assert_int_lt(ep_registry_create(&page, directory, &id), 0);
	ck_assert_ptr_null(page);
	ck_assert_int_eq(faccessat(directory, ".kv.new", F_OK, 0), -1);
}
END_TEST

START_TEST(there_is_none)
{
	expect_open(&id, -ENOENT, NULL);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
	struct ep_page *page;

	ck_assert_int_eq(mkfifoat(directory, "kv", 0600), 0);
	expect_open(&id, -EBADMSG, "it is not a regular file");
	ep_registry_close_fence(directory, "kv");
	unlinkat(directory, "kv", 0);

	ck_assert_int_eq(mkdirat(directory, "kv", 0700), 0);
	expect_open(&id, -EBADMSG, "it cannot be opened");
	ep_registry_close_fence(directory, "kv");
	unlinkat(directory, "kv", AT_REMOVEDIR);

	page = create();
	fence(page, ep_fence_pack(7, EP_UP, (struct ep_end){ 0 }));
	ck_assert_int_eq(renameat(directory, "kv", directory, "real"), 0);
	ck_assert_int_eq(symlinkat("real", directory, "kv"), 0);
	expect_open(&id, -EBADMSG, "it cannot be opened");
	ep_registry_close_fence(directory, "kv");
	ck_assert(ep_fence_serves(fence_of(page), 7));   /* nothing was done through the link */
	ep_registry_unmap(page);
}
END_TEST

START_TEST(another_users_is_refused)
{
	struct ep_page *page;

	if (geteuid() != 0)
		return;
	page = create();
	fence(page, ep_fence_pack(7, EP_UP, (struct ep_end){ 0 }));
	ck_assert_int_eq(fchownat(directory, "kv", 54321, (gid_t)-1, 0), 0);
	expect_open(&id, -EBADMSG, "it belongs to another user");
	ep_registry_close_fence(directory, "kv");
	ck_assert(ep_fence_serves(fence_of(page), 7));
	ep_registry_unmap(page);
}
END_TEST

START_TEST(one_with_two_names_is_refused)
{
	ep_registry_unmap(create());
	ck_assert_int_eq(linkat(directory, "kv", directory, "other", 0), 0);
	expect_open(&id, -EBADMSG, "it has more than one name");
	unlinkat(directory, "other", 0);
	expect_open(&id, 0, NULL);
}
END_TEST

static const struct { off_t size; const char *why; } sizes[] = {
#define NO_SIZE "its size is not that of a registry"
	{ 0, NO_SIZE }, { 1, NO_SIZE }, { 8, NO_SIZE }, { 192, NO_SIZE }, { EP_SLOTS_AT, NO_SIZE },
	{ EP_SLOTS_AT + 4096 * 128 - 1, NO_SIZE },
	{ EP_SLOTS_AT + 4096 * 128 + 1, "its sizes are not those of this layout" },
	{ EP_SLOTS_AT + 4097 * 128, "its sizes are not those of this layout" },
	{ 1 << 30, NO_SIZE },
};
START_TEST(another_size_is_refused)
{
	char file[80];

	ep_registry_unmap(create());
	snprintf(file, sizeof file, "%s/kv", path);
	ck_assert_int_eq(truncate(file, sizes[_i].size), 0);
	expect_open(&id, -EBADMSG, sizes[_i].why);
	ep_registry_close_fence(directory, "kv");   /* does not fault */
}
END_TEST

/* Each field of the header, with a checksum that agrees with it: then it is the field that is refused. */
static const struct {
	size_t at, size;
	int r;
	const char *why;
} fields[] = {
#define FIELD(field) offsetof(struct ep_page, field), sizeof ((struct ep_page *)NULL)->field
	{ FIELD(magic), -EBADMSG, "it has no registry's magic" },
	{ FIELD(layout), -EBADMSG, "its layout is of another version" },
	{ FIELD(header_size), -EBADMSG, "its sizes are not those of this layout" },
	{ FIELD(slot_size), -EBADMSG, "its sizes are not those of this layout" },
	{ FIELD(slot_count), -EBADMSG, "its sizes are not those of this layout" },
	{ FIELD(uuid), -ESTALE, NULL },
	{ FIELD(boot_id), -ESTALE, NULL },
	{ FIELD(name), -EBADMSG, "it names another application" },
};
START_TEST(a_changed_field_is_refused)
{
	size_t at = fields[_i].at;
	struct ep_page page;
	unsigned char byte;

	ep_registry_unmap(create());
	page = read_page();
	byte = ((unsigned char *)&page)[at] ^ 1;
	write_at((off_t)at, &byte, 1);
	/* Before anything else is believed, but for what says how the sum is made. */
	expect_open(&id, -EBADMSG,
		    at < offsetof(struct ep_page, uuid) ? fields[_i].why : "its checksum is wrong");
	page = read_page();
	page.checksum = checksum_of(&page);
	write_at(offsetof(struct ep_page, checksum), &page.checksum, sizeof page.checksum);
	expect_open(&id, fields[_i].r, fields[_i].why);
}
END_TEST

START_TEST(a_text_without_end_is_refused)
{
	struct ep_page page;

	if (fields[_i].size < EP_UUID_SIZE)
		return;
	ep_registry_unmap(create());
	page = read_page();
	memset((char *)&page + fields[_i].at, 'x', fields[_i].size);
	page.checksum = checksum_of(&page);
	write_at(0, &page, sizeof page);
	expect_open(&id, fields[_i].r, fields[_i].why);
}
END_TEST

START_TEST(a_fence_that_contradicts_itself_is_refused)
{
	struct ep_page *page = create();

	fence(page, 1ull << 39);   /* down, yet serving */
	expect_open(&id, -EBADMSG, "its fence word contradicts itself");
	ep_registry_unmap(page);
}
END_TEST

START_TEST(one_of_another_boot_or_instance_is_stale)
{
	struct ep_registry_id other = id;

	ep_registry_unmap(create());
	other.boot_id = "6f1e51e2-0000-4000-8000-000000000003";
	expect_open(&other, -ESTALE, NULL);
	other = id;
	other.uuid = "";
	expect_open(&other, -ESTALE, NULL);
	other = id;
	other.name = "k";
	ck_assert_int_eq(renameat(directory, "kv", directory, "k"), 0);
	expect_open(&other, -EBADMSG, "it names another application");
}
END_TEST

/* I3: whoever has it mapped sees it closed, with its epoch kept, as that is the highest one used. */
START_TEST(a_closed_fence_serves_nobody)
{
	struct ep_page *page = create();
	uint64_t magic = 0;

	fence(page, ep_fence_pack(7, EP_STOPPING, (struct ep_end){ 0 }));
	ep_registry_close_fence(directory, "kv");
	ck_assert(!ep_fence_is_serving(fence_of(page)));
	ck_assert(ep_fence_is_sane(fence_of(page)));
	ck_assert_uint_eq(ep_fence_epoch(fence_of(page)), 7);
	ck_assert_int_eq(ep_fence_end(fence_of(page)).cause, EP_UNSEEN);
	expect_open(&id, 0, NULL);

	fence(page, ep_fence_pack(7, EP_UP, (struct ep_end){ 0 }));
	write_at(0, &magic, sizeof magic);
	ep_registry_close_fence(directory, "kv");   /* not a registry: not touched */
	ck_assert(ep_fence_serves(fence_of(page), 7));
	ep_registry_close_fence(directory, "nobody");
	ep_registry_unmap(page);
}
END_TEST

/* The file is allocated before it is touched: a full tmpfs says so, and is no SIGBUS. */
START_TEST(a_full_directory_is_an_error)
{
	struct ep_registry_id other = id;
	struct ep_page *page[2] = { NULL, NULL };

	if (!directory_make_tiny(path, 8192))
		return;
	close(directory);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(ep_registry_create(&page[0], directory, &id), 0);
	ck_assert_int_eq(ep_registry_back_slots(page[0], directory, "kv", 32), 0);
	ck_assert_int_eq(ep_registry_back_slots(page[0], directory, "kv", 33), -ENOSPC);
	ck_assert_uint_eq(atomic_load(&page[0]->slots_backed), 32);
	other.name = "other";
	ck_assert_int_eq(ep_registry_create(&page[1], directory, &other), -ENOSPC);
	ck_assert_ptr_null(page[1]);
	ck_assert_int_eq(faccessat(directory, ".other.new", F_OK, 0), -1);
	ck_assert_int_eq(faccessat(directory, "other", F_OK, 0), -1);
	atomic_store(&page[0]->total[EP_TOTALS - 1], 1);
	ep_registry_unmap(page[0]);
	unlinkat(directory, "kv", 0);
	ck_assert_int_eq(umount2(path, MNT_DETACH), 0);
}
END_TEST

static off_t blocks_of(const char *name)
{
	struct stat st;

	ck_assert_int_eq(fstatat(directory, name, &st, 0), 0);
	return st.st_blocks * 512;
}

START_TEST(slots_are_allocated_as_asked_and_then_said)
{
	struct ep_registry_id many = { UUID, BOOT, "kv", 10000 };
	struct ep_page *page = NULL, *again = NULL;
	const char *why;

	ck_assert_int_eq(ep_registry_create(&page, directory, &many), 0);
	ck_assert_uint_eq(page->slot_count, 10000);
	ck_assert_int_eq(ep_registry_back_slots(page, directory, "kv", 33), 0);
	ck_assert_uint_eq(atomic_load(&page->slots_backed), 33);
	ck_assert_int_eq(blocks_of("kv"), EP_SLOTS_AT + 8192);
	ck_assert_int_eq(ep_registry_back_slots(page, directory, "kv", 1), 0);
	ck_assert_uint_eq(atomic_load(&page->slots_backed), 33);
	ck_assert_int_eq(ep_registry_back_slots(page, directory, "kv", 10001), -EINVAL);
	ck_assert_int_eq(ep_registry_back_slots(page, directory, "kv", 10000), 0);
	ck_assert_int_eq(ep_registry_open(&again, directory, &many, &why), 0);
	ck_assert_uint_eq(again->slot_count, 10000);
	ep_registry_unmap(again);
	ep_registry_unmap(page);
}
END_TEST

START_TEST(slots_of_a_replaced_file_are_not_grown)
{
	struct ep_registry_id other = { UUID, BOOT, "kv", 5000 };
	struct ep_page *page = create(), *new = NULL;

	ck_assert_int_eq(ep_registry_create(&new, directory, &other), 0);
	ck_assert_int_eq(ep_registry_back_slots(page, directory, "kv", 1), -ESTALE);
	unlinkat(directory, "kv", 0);
	ck_assert_int_eq(ep_registry_back_slots(page, directory, "kv", 1), -ESTALE);
	ck_assert_uint_eq(atomic_load(&page->slots_backed), 0);
	ep_registry_unmap(page);
	ep_registry_unmap(new);
}
END_TEST

static uint32_t seed = 20261123;

static uint32_t chance(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;   /* the same in every run */
	return (uint32_t)((uint64_t)(seed >> 8) * below >> 24);
}

/* Bytes overwritten anywhere, sizes changed: never a fault, and what is accepted has the header it was
 * made with and a fence that makes sense. */
START_TEST(no_damage_is_believed)
{
	struct ep_page good, page, *opened;
	off_t whole = (off_t)ep_registry_size(EP_SLOTS_MIN);
	unsigned accepted = 0;
	const char *why;
	int fd;

	ep_registry_unmap(create());
	good = read_page();
	fd = openat(directory, "kv", O_RDWR | O_CLOEXEC);
	for (int round = 0; round < 10000; round++) {
		page = good;
		for (uint32_t i = 0, n = 1 + chance(4); i < n; i++)
			((unsigned char *)&page)[chance(sizeof page)] = (unsigned char)chance(256);
		ck_assert_int_eq(ftruncate(fd, chance(20) ? whole : chance(2 * (uint32_t)whole)), 0);
		ck_assert_int_eq(pwrite(fd, &page, sizeof page, 0), (ssize_t)sizeof page);
		opened = NULL;
		if (ep_registry_open(&opened, directory, &id, &why) == 0) {
			accepted++;
			ck_assert_int_eq(memcmp(opened, &good, offsetof(struct ep_page, slots_backed)), 0);
			ck_assert(ep_fence_is_sane(fence_of(opened)));
		} else {
			ck_assert_ptr_null(opened);
		}
		ep_registry_unmap(opened);
		ep_registry_close_fence(directory, "kv");
	}
	close(fd);
	ck_assert_uint_gt(accepted, 0);      /* damage of the totals alone is not seen */
	ck_assert_uint_lt(accepted, 9000);
}
END_TEST

/* An intact one of another version is told from one that is damaged; and what is not wanted is fenced, with the reason. */
START_TEST(another_layout_is_told_from_damage)
{
	struct ep_page *page = create(), copy;
	const char *why;

	fence(page, ep_fence_pack(7, EP_UP, (struct ep_end){ 0 }));
	copy = *page;
	ck_assert_uint_eq(ep_registry_other_layout(&copy), 0);
	copy.layout = EP_LAYOUT + 1;
	ck_assert_uint_eq(ep_registry_other_layout(&copy), 0);
	copy.checksum = checksum_of(&copy);
	ck_assert_uint_eq(ep_registry_other_layout(&copy), EP_LAYOUT + 1);
	atomic_store(&copy.magic, 1);
	ck_assert_uint_eq(ep_registry_other_layout(&copy), 0);

	ck_assert_int_eq(ep_registry_retire(directory, "nobody", &why), -ENOENT);
	ck_assert_int_eq(ep_registry_retire(directory, "kv", &why), 0);
	ck_assert_ptr_null(why);
	ck_assert_uint_eq(fence_of(page), ep_fence_pack(7, EP_DOWN, (struct ep_end){ .cause = EP_UNSEEN }));
	page->checksum++;
	fence(page, ep_fence_pack(8, EP_STOPPING, (struct ep_end){ 0 }));
	ck_assert_int_eq(ep_registry_retire(directory, "kv", &why), 0);
	ck_assert_str_eq(why, "its checksum is wrong");
	ck_assert_uint_eq(fence_of(page), ep_fence_pack(8, EP_DOWN, (struct ep_end){ .cause = EP_UNSEEN }));
	ep_registry_unmap(page);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, what_was_made_is_found_again);
	tcase_add_test(tcase, a_new_one_replaces_the_old_one);
	tcase_add_test(tcase, where_none_can_be_made_nothing_stays);
	tcase_add_test(tcase, there_is_none);
	tcase_add_test(tcase, what_is_no_file_is_refused);
	tcase_add_test(tcase, another_users_is_refused);
	tcase_add_test(tcase, one_with_two_names_is_refused);
	tcase_add_loop_test(tcase, another_size_is_refused, 0, ARRAY_SIZE(sizes));
	tcase_add_loop_test(tcase, a_changed_field_is_refused, 0, ARRAY_SIZE(fields));
	tcase_add_loop_test(tcase, a_text_without_end_is_refused, 0, ARRAY_SIZE(fields));
	tcase_add_test(tcase, a_fence_that_contradicts_itself_is_refused);
	tcase_add_test(tcase, one_of_another_boot_or_instance_is_stale);
	tcase_add_test(tcase, a_closed_fence_serves_nobody);
	tcase_add_test(tcase, a_full_directory_is_an_error);
	tcase_add_test(tcase, slots_are_allocated_as_asked_and_then_said);
	tcase_add_test(tcase, slots_of_a_replaced_file_are_not_grown);
	tcase_add_test(tcase, another_layout_is_told_from_damage);
	tcase_add_test(tcase, no_damage_is_believed);
}

int main(void)
{
	return unit_run("registry", fill);
}
