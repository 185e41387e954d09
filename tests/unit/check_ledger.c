#include <config.h>

#include "supervisor/identity.h"
#include "supervisor/ledger.h"
#include "tests/unit/directory.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define UUID "0b7c51e2-0000-4000-8000-000000000001"
#define BOOT "6f1e51e2-0000-4000-8000-000000000002"
#define OTHER "6f1e51e2-0000-4000-8000-000000000003"

static char path[64], file[80];
static int directory;

static void set_up(void)
{
	directory_new(path);
	snprintf(file, sizeof file, "%s/.ledger", path);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(directory, 0);
}

static void tear_down(void)
{
	close(directory);
	directory_remove(path);
}

static struct ledger *open_ledger(const char *uuid, const char *boot_id, bool expect_fresh,
				  const char *expect_why)
{
	struct ledger *ledger = NULL;
	const char *why = "untouched";
	bool fresh = !expect_fresh;

	ck_assert_int_eq(ledger_open(&ledger, directory, uuid, boot_id, &fresh, &why), 0);
	ck_assert_int_eq(fresh, expect_fresh);
	if (expect_why)
		ck_assert_str_eq(why ? why : "none", expect_why);
	else
		ck_assert_ptr_null(why);
	return ledger;
}

static struct ledger_record *record(struct ledger *ledger, const char *app)
{
	struct ledger_record *out = NULL;

	ck_assert_int_eq(ledger_record_get(&out, ledger, app), 0);
	ck_assert_str_eq(out->app, app);
	return out;
}

static void write_at(off_t at, const void *bytes, size_t size)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(pwrite(fd, bytes, size, at), (ssize_t)size);
	close(fd);
}

static void count_one(struct ledger_record *it, void *user)
{
	ck_assert(it->app[0]);
	++*(unsigned *)user;
}

static unsigned count(struct ledger *ledger)
{
	unsigned n = 0;

	ledger_each(ledger, count_one, &n);
	return n;
}

static const struct {
	uint32_t epoch;
	unsigned attempt;
	enum spawn_word_state state;
	int pid;
} words[] = {
	{ 0, 0, SPAWN_NONE, 0 },
	{ 1, 0, SPAWN_OPEN, 0 },
	{ 7, 3, SPAWN_CLAIMED, 4711 },
	{ EP_EPOCH_MAX, 0xfff, SPAWN_CANCELLED, 4194304 },   /* the kernel's highest pid, and one more */
	{ 0, 0, SPAWN_CLAIMED, 0xffffff },
};
START_TEST(a_spawn_word_comes_back)
{
	uint64_t word = spawn_word(words[_i].epoch, words[_i].attempt, words[_i].state, words[_i].pid);

	ck_assert_uint_eq(spawn_word_epoch(word), words[_i].epoch);
	ck_assert_uint_eq(spawn_word_attempt(word), words[_i].attempt);
	ck_assert_int_eq(spawn_word_state(word), words[_i].state);
	ck_assert_int_eq(spawn_word_pid(word), words[_i].pid);
}
END_TEST

START_TEST(records_are_found_by_the_next_supervisor)
{
	struct ledger *ledger = open_ledger(UUID, BOOT, true, NULL);
	struct ledger_record *kv = record(ledger, "kv");
	struct stat st;

	atomic_store(&kv->spawn, spawn_word(7, 1, SPAWN_OPEN, 0));
	strcpy(kv->token, "secret");
	record(ledger, "k");   /* one name begins as the other */
	ledger_set_cgroup(ledger, "/sys/fs/cgroup/epochd");
	ck_assert_ptr_eq(record(ledger, "kv"), kv);
	ledger_close(ledger);

	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ledger = open_ledger(UUID, BOOT, false, NULL);
	kv = record(ledger, "kv");
	ck_assert_uint_eq(atomic_load(&kv->spawn), spawn_word(7, 1, SPAWN_OPEN, 0));
	ck_assert_str_eq(kv->token, "secret");
	ck_assert_str_eq(ledger_cgroup(ledger), "/sys/fs/cgroup/epochd");
	ck_assert_uint_eq(count(ledger), 2);
	ledger_record_free(ledger, kv);
	ck_assert_uint_eq(count(ledger), 1);
	ck_assert_uint_eq(atomic_load(&record(ledger, "new")->spawn), 0);   /* takes its place, clean */
	ledger_set_cgroup(ledger, NULL);
	ck_assert_str_eq(ledger_cgroup(ledger), "");
	ledger_close(ledger);
	ledger_close(NULL);
}
END_TEST

/* The application holds on to its record: growing must not move it. */
START_TEST(records_stay_where_they_are)
{
	enum { APPS = 200 };
	struct ledger *ledger = open_ledger(UUID, BOOT, true, NULL);
	struct ledger_record *records[APPS];
	char name[16];

	for (int i = 0; i < APPS; i++) {
		snprintf(name, sizeof name, "app%d", i);
		records[i] = record(ledger, name);
		atomic_store(&records[i]->reserved, (uint64_t)i + 1);
		for (int j = 0; j < i; j++)
			ck_assert_ptr_ne(records[j], records[i]);
	}
	for (int i = 0; i < APPS; i++) {
		snprintf(name, sizeof name, "app%d", i);
		ck_assert_ptr_eq(record(ledger, name), records[i]);
	}
	ledger_close(ledger);
	ledger = open_ledger(UUID, BOOT, false, NULL);
	for (int i = 0; i < APPS; i++) {
		snprintf(name, sizeof name, "app%d", i);
		ck_assert_uint_eq(atomic_load(&record(ledger, name)->reserved), (uint64_t)i + 1);
	}
	ck_assert_uint_eq(count(ledger), APPS);
	ledger_close(ledger);
}
END_TEST

START_TEST(one_of_another_boot_or_instance_is_made_anew)
{
	struct ledger *ledger = open_ledger(UUID, BOOT, true, NULL);
	char uuid[40] = "";

	record(ledger, "kv");
	ledger_close(ledger);
	ck_assert_int_eq(ledger_peek(directory, uuid), 1);
	ck_assert_str_eq(uuid, UUID);
	ledger = open_ledger(UUID, OTHER, true, NULL);
	ck_assert_uint_eq(count(ledger), 0);
	record(ledger, "kv");
	ledger_close(ledger);
	ledger = open_ledger(OTHER, OTHER, true, NULL);
	ck_assert_uint_eq(count(ledger), 0);
	ledger_close(ledger);
	ledger_unlink(directory);
	ck_assert_int_eq(ledger_peek(directory, uuid), 0);
	ledger_close(open_ledger(OTHER, OTHER, true, NULL));
}
END_TEST

static const struct {
	off_t at;
	size_t size;
	const char *why;
} damages[] = {
	{ 0, 1, "it has no ledger's magic" },
	{ 8, 4, "its layout is of another version" },
	{ 12, 4, "its layout is of another version" },
	{ 16, 40, "its texts have no end" },
	{ 56, 40, "its texts have no end" },
	{ 96, 512, "its texts have no end" },
};
START_TEST(a_damaged_one_is_made_anew)
{
	struct ledger *ledger = open_ledger(UUID, BOOT, true, NULL);
	char bytes[512], uuid[40];

	record(ledger, "kv");
	ledger_close(ledger);
	memset(bytes, 'x', sizeof bytes);
	write_at(damages[_i].at, bytes, damages[_i].size);
	ck_assert_int_eq(ledger_peek(directory, uuid), 0);
	ledger = open_ledger(UUID, BOOT, true, damages[_i].why);
	ck_assert_uint_eq(count(ledger), 0);
	ledger_close(ledger);
}
END_TEST

/* Records that the file does not have, or that are not allocated, are never touched. */
static const struct { off_t size; bool good; } sizes[] = {
	{ 0, false }, { 100, false }, { 4095, false }, { 4096, true }, { 4097, true },
	{ 4096 + 17 * (off_t)sizeof(struct ledger_record), true },
	{ 4096 + 65536 * (off_t)sizeof(struct ledger_record) + 1, false }, { 1ll << 40, false },
};
START_TEST(another_size_is_no_fault)
{
	struct ledger *ledger = open_ledger(UUID, BOOT, true, NULL);
	const char *why;
	char name[16];
	bool fresh;

	record(ledger, "kv");
	ledger_close(ledger);
	ck_assert_int_eq(truncate(file, sizes[_i].size), 0);
	ck_assert_int_eq(ledger_open(&ledger, directory, UUID, BOOT, &fresh, &why), 0);
	ck_assert_int_eq(fresh, !sizes[_i].good);
	ck_assert_uint_le(count(ledger), 1);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "app%d", i);
		atomic_store(&record(ledger, name)->spawn, 1);
	}
	ledger_close(ledger);
}
END_TEST

START_TEST(what_is_no_file_is_replaced)
{
	ck_assert_int_eq(mkfifo(file, 0600), 0);
	ledger_close(open_ledger(UUID, BOOT, true, "it cannot be read"));
	unlink(file);
	ck_assert_int_eq(symlink("/etc/passwd", file), 0);
	ledger_close(open_ledger(UUID, BOOT, true, NULL));
	ledger_close(open_ledger(UUID, BOOT, false, NULL));
}
END_TEST

START_TEST(a_full_directory_is_an_error)
{
	struct ledger *ledger = NULL;
	struct ledger_record *out = NULL;
	const char *why;
	char name[16];
	bool fresh;
	int r = 0, n = 0;

	if (!directory_make_tiny(path, 16 * 4096))
		return;
	close(directory);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ledger = open_ledger(UUID, BOOT, true, NULL);
	for (; r == 0 && n < 1000; n++) {
		snprintf(name, sizeof name, "app%d", n);
		r = ledger_record_get(&out, ledger, name);
	}
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert_int_gt(n, 16);
	ck_assert_uint_eq(count(ledger), (unsigned)n - 1);
	ledger_close(ledger);
	ck_assert_int_eq(truncate(file, 0), 0);
	ck_assert_int_eq(close(open(file, O_RDONLY)), 0);
	/* And when there is not even a page for its header. */
	ck_assert_int_eq(mount("none", path, "tmpfs", MS_REMOUNT, "size=4096"), 0);
	r = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(r);
	snprintf(name, sizeof name, "filler");
	r = openat(directory, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(posix_fallocate(r, 0, 4096), 0);
	close(r);
	ck_assert_int_eq(ledger_open(&ledger, directory, UUID, BOOT, &fresh, &why), -ENOSPC);
	ck_assert_int_eq(umount2(path, MNT_DETACH), 0);
}
END_TEST

START_TEST(an_incarnation_is_kept_until_it_is_durable)
{
	struct ledger *ledger = open_ledger(UUID, BOOT, true, NULL);
	struct ledger_record *kv = record(ledger, "kv");
	struct ledger_incarnation *one, *two;
	struct ep_end end = { EP_CRASHED, EP_END_SIGNAL, 11, true, EP_OOM_YES }, got;

	ck_assert_ptr_null(ledger_incarnation_find(kv, 1));
	ck_assert_ptr_null(ledger_incarnation_find(kv, 0));   /* free entries are nobody's */
	one = ledger_incarnation_add(kv, 1, 100, EP_NO_CAUSE);
	ck_assert_ptr_nonnull(one);
	ck_assert(!ledger_incarnation_has_ended(one, &got));
	ledger_incarnation_end(one, end, 150);
	two = ledger_incarnation_add(kv, 2, 200, EP_CRASHED);
	ck_assert_ptr_ne(one, two);
	ck_assert_ptr_eq(ledger_incarnation_add(kv, 2, 201, EP_CRASHED), two);
	ck_assert_ptr_eq(ledger_incarnation_find(kv, 1), one);
	ck_assert_ptr_eq(ledger_incarnation_find(kv, 2), two);
	ck_assert_int_eq(two->started_at, 201);
	ck_assert_int_eq(two->restart, EP_CRASHED);
	ck_assert_int_eq(one->ended_at, 150);
	ck_assert(ledger_incarnation_has_ended(one, &got));
	ck_assert_int_eq(got.cause, EP_CRASHED);
	ck_assert_int_eq(got.kind, EP_END_SIGNAL);
	ck_assert_uint_eq(got.value, 11);
	ck_assert(got.core);
	ck_assert_int_eq(got.oom, EP_OOM_YES);

	ledger_incarnations_drop(kv, 0);
	ck_assert_ptr_nonnull(ledger_incarnation_find(kv, 1));
	ledger_incarnations_drop(kv, 2);
	ck_assert_ptr_null(ledger_incarnation_find(kv, 1));
	ck_assert_ptr_eq(ledger_incarnation_find(kv, 2), two);   /* it has not ended */
	/* An entry used again says nothing of the one before it. */
	ck_assert_ptr_eq(ledger_incarnation_add(kv, 3, 300, EP_EXITED), one);
	ck_assert(!ledger_incarnation_has_ended(one, &got));
	ck_assert_int_eq(one->ended_at, 0);
	ledger_close(ledger);
}
END_TEST

START_TEST(a_record_is_named_by_a_number)
{
	struct ledger *ledger = open_ledger(UUID, BOOT, true, NULL);
	struct ledger_record *kv = record(ledger, "kv"), *web = record(ledger, "web");

	ck_assert_uint_ne(ledger_index(ledger, kv), 0);
	ck_assert_uint_ne(ledger_index(ledger, kv), ledger_index(ledger, web));
	ck_assert_ptr_eq(ledger_record_of(ledger, ledger_index(ledger, kv)), kv);
	ck_assert_ptr_eq(ledger_record_of(ledger, ledger_index(ledger, web)), web);
	ck_assert_ptr_null(ledger_record_of(ledger, 0));
	ck_assert_ptr_null(ledger_record_of(ledger, UINT32_MAX));
	ledger_record_free(ledger, web);
	ck_assert_ptr_null(ledger_record_of(ledger, ledger_index(ledger, web)));
	ledger_close(ledger);
}
END_TEST

START_TEST(an_identity_is_of_one_epoch_and_replaced_whole)
{
	struct ledger_record kv = { .app = "kv" };
	struct identity got = { .pid = 1, .start_ticks = 1, .pidfd_inode = 1 };
	uint64_t word;

	ck_assert(!ledger_identity_get(&kv, 0, &got));
	ck_assert_int_eq(got.pid, 0);
	ck_assert_uint_eq(got.start_ticks, 0);
	ck_assert_uint_eq(got.pidfd_inode, 0);
	ledger_identity_set(&kv, 7, &(struct identity){ .pid = 10, .start_ticks = 11,
							.pidfd_inode = 12 });
	word = atomic_load(&kv.identity_word);
	ck_assert(ledger_identity_get(&kv, 7, &got));
	ck_assert_int_eq(got.pid, 10);
	ck_assert_uint_eq(got.start_ticks, 11);
	ck_assert_uint_eq(got.pidfd_inode, 12);
	ck_assert(!ledger_identity_get(&kv, 8, &got));
	ck_assert(!ledger_identity_get(&kv, 0, &got));

	ledger_identity_set(&kv, 7, &(struct identity){ .pid = 20, .start_ticks = 21,
							.pidfd_inode = 22 });
	ck_assert(ledger_identity_get(&kv, 7, &got));
	ck_assert_int_eq(got.pid, 20);
	/* Killed before its last store: the one before stands, untouched. */
	atomic_store(&kv.identity_word, word);
	ck_assert(ledger_identity_get(&kv, 7, &got));
	ck_assert_int_eq(got.pid, 10);
	ck_assert_uint_eq(got.pidfd_inode, 12);

	ledger_identity_set(&kv, 0, &got);
	ck_assert(!ledger_identity_get(&kv, 7, &got));
	ck_assert(!ledger_identity_get(&kv, 0, &got));
}
END_TEST

/* Its main process changes twice, and a kill may come before each last store. */
START_TEST(the_first_identity_outlives_the_next)
{
	struct ledger_record kv = { .app = "kv" };
	struct identity got;
	uint64_t word;

	ledger_identity_set(&kv, 6, &(struct identity){ .pid = 10, .start_ticks = 1 });
	ledger_identity_set(&kv, 7, &(struct identity){ .pid = 10 });
	ck_assert(!ledger_identity_first(&kv, 7, &got));
	ck_assert_int_eq(got.pid, 0);
	ledger_identity_set(&kv, 7, &(struct identity){ .pid = 10, .start_ticks = 11 });
	ck_assert(!ledger_identity_first(&kv, 7, &got));
	for (pid_t pid = 20; pid <= 30; pid += 10) {
		word = atomic_load(&kv.identity_word);
		ledger_identity_set(&kv, 7, &(struct identity){ .pid = pid, .start_ticks = 21 });
		ck_assert(ledger_identity_first(&kv, 7, &got));
		ck_assert_int_eq(got.pid, 10);
		ck_assert_uint_eq(got.start_ticks, 11);
		ck_assert(ledger_identity_get(&kv, 7, &got));
		ck_assert_int_eq(got.pid, pid);
		atomic_store(&kv.identity_word, word);
		ck_assert(ledger_identity_get(&kv, 7, &got));
		ck_assert_int_eq(got.pid, pid - 10);
		ck_assert_int_eq(ledger_identity_first(&kv, 7, &got), pid > 20);
		ck_assert_int_eq(got.pid, pid > 20 ? 10 : 0);
		ledger_identity_set(&kv, 7, &(struct identity){ .pid = pid, .start_ticks = 21 });
	}
	ck_assert(!ledger_identity_first(&kv, 8, &got));
	ledger_identity_set(&kv, 8, &(struct identity){ .pid = 40 });
	ck_assert(!ledger_identity_first(&kv, 8, &got));
	ck_assert(!ledger_identity_first(&kv, 7, &got));
}
END_TEST

/* An end of value 0 is an end, too. */
START_TEST(every_end_comes_back)
{
	struct ledger_record kv = { .app = "kv" };
	struct ep_end got;

	for (int cause = EP_CRASHED; cause < EP_CAUSES; cause++) {
		struct ledger_incarnation *entry = ledger_incarnation_add(&kv, 1, 0, EP_NO_CAUSE);

		ledger_incarnation_end(entry, (struct ep_end){ (enum ep_cause)cause, EP_END_CODE,
							       (unsigned)(cause & 1) * 255, false,
							       EP_OOM_NO }, 0);
		ck_assert(ledger_incarnation_has_ended(entry, &got));
		ck_assert_int_eq(got.cause, cause);
		ck_assert_int_eq(got.kind, EP_END_CODE);
		ck_assert_uint_eq(got.value, (unsigned)(cause & 1) * 255);
		ck_assert_int_eq(got.oom, EP_OOM_NO);
	}
}
END_TEST

/* Then nothing more may be started. */
START_TEST(there_is_room_for_all_that_are_reserved_and_no_more)
{
	struct ledger_record kv = { .app = "kv" };
	struct ledger_incarnation *entry;
	uint32_t epoch = 1;

	for (; epoch <= LEDGER_INCARNATIONS; epoch++) {
		entry = ledger_incarnation_add(&kv, epoch, epoch, EP_CRASHED);
		ck_assert_ptr_nonnull(entry);
		ledger_incarnation_end(entry, (struct ep_end){ .cause = EP_CRASHED }, epoch);
	}
	ck_assert_int_gt(LEDGER_INCARNATIONS, RESERVED_AHEAD);
	ck_assert_ptr_null(ledger_incarnation_add(&kv, epoch, epoch, EP_CRASHED));
	for (epoch = 1; epoch <= LEDGER_INCARNATIONS; epoch++)
		ck_assert_int_eq(ledger_incarnation_find(&kv, epoch)->ended_at, epoch);
	ledger_incarnations_drop(&kv, 1);
	ck_assert_ptr_nonnull(ledger_incarnation_add(&kv, epoch, epoch, EP_CRASHED));
	ck_assert_ptr_null(ledger_incarnation_add(&kv, epoch + 1, epoch, EP_CRASHED));
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, a_spawn_word_comes_back, 0, ARRAY_SIZE(words));
	tcase_add_test(tcase, records_are_found_by_the_next_supervisor);
	tcase_add_test(tcase, records_stay_where_they_are);
	tcase_add_test(tcase, one_of_another_boot_or_instance_is_made_anew);
	tcase_add_loop_test(tcase, a_damaged_one_is_made_anew, 0, ARRAY_SIZE(damages));
	tcase_add_loop_test(tcase, another_size_is_no_fault, 0, ARRAY_SIZE(sizes));
	tcase_add_test(tcase, what_is_no_file_is_replaced);
	tcase_add_test(tcase, a_full_directory_is_an_error);
	tcase_add_test(tcase, an_incarnation_is_kept_until_it_is_durable);
	tcase_add_test(tcase, a_record_is_named_by_a_number);
	tcase_add_test(tcase, an_identity_is_of_one_epoch_and_replaced_whole);
	tcase_add_test(tcase, the_first_identity_outlives_the_next);
	tcase_add_test(tcase, every_end_comes_back);
	tcase_add_test(tcase, there_is_room_for_all_that_are_reserved_and_no_more);
}

int main(void)
{
	return unit_run("ledger", fill);
}
