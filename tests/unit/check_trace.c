#include <config.h>

#include "apilib/epochd.h"
#include "apilib/fd.h"
#include "apilib/layout.h"
#include "apilib/message.h"
#include "apilib/trace.h"
#include "supervisor/ctl/trace_file.h"
#include "tests/unit/directory.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NUMBERED(FIELD, ARRAY) FIELD(u64, number)
#define LIST(MESSAGE) MESSAGE(numbered, "trace.numbered", NUMBERED, EPOCHD_TAIL)
EPOCHD_MESSAGES(traced, LIST)

enum { RING = EP_TRACE_RING_MIN };

static char directory[64], path[128];
static struct ep_trace trace;

/* As the supervisor makes it. */
static void make(enum ep_trace_mode mode, uint64_t messages_max)
{
	struct ep_trace_header header = {
		.magic = EP_TRACE_MAGIC, .layout = EP_TRACE_LAYOUT, .mode = mode, .ring = RING, .messages_max = messages_max,
		.epoch = 7, .on = 1, .app = "traced", .uuid = "0",
	};
	unsigned char table[1000];
	size_t used = 0;
	int fd;

	ck_assert_int_eq(ep_table_put_module(table, sizeof table, &used, "trace", "1"), 0);
	ck_assert_int_eq(ep_table_put(table, sizeof table, &used, &traced_messages[0]), 0);
	header.table = (uint32_t)used;
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)ep_trace_ring_at(header.table) + RING), 0);
	ck_assert_int_eq(pwrite(fd, &header, sizeof header, 0), sizeof header);
	ck_assert_int_eq(pwrite(fd, table, used, EP_TRACE_HEADER), (ssize_t)used);
	ck_assert_int_eq(ep_trace_map(&trace, fd), 0);
	close(fd);
}

static void set_up(void)
{
	directory_new(directory);
	snprintf(path, sizeof path, "%s/trace", directory);
}

static void tear_down(void)
{
	ep_trace_unmap(&trace);
	directory_remove(directory);
}

/* Of number, with a tail of so many bytes of it. */
static void put(uint64_t number, size_t tail)
{
	static unsigned char payload[8 + (1 << 17)];

	memcpy(payload, &number, sizeof number);
	memset(payload + 8, (int)(number & 0xff), tail);
	ep_trace_write(&trace, &(struct ep_traced){
		.kind = number % 2 ? EP_TRACE_RECEIVED : EP_TRACE_SENT, .type = 1, .handle = number * 3,
		.context = number * 5, .payload = payload, .size = (uint32_t)(8 + tail) });
}

static size_t tail_of(uint64_t number) { return number * 7919 % 700; }

/* One assertion for them all: each one costs a write, which is much under valgrind. */
static bool all_are(const unsigned char *bytes, size_t count, unsigned char byte)
{
	return count == 0 || (bytes[0] == byte && memcmp(bytes, bytes + 1, count - 1) == 0);
}

static void is_as_put(const struct trace_entry *entry)
{
	uint64_t number;

	ck_assert_uint_eq(entry->kept, entry->size);
	memcpy(&number, entry->payload, sizeof number);
	ck_assert_uint_eq(number, entry->number);
	ck_assert_uint_eq(entry->kind, number % 2 ? EP_TRACE_RECEIVED : EP_TRACE_SENT);
	ck_assert_uint_eq(entry->handle, number * 3);
	ck_assert_uint_eq(entry->context, number * 5);
	ck_assert_uint_eq(entry->size, 8 + tail_of(number));
	ck_assert(all_are(entry->payload + 8, entry->size - 8, number & 0xff));
}

/* Each is as it was put; the first and the last of them. */
static void read_all(uint64_t *first, uint64_t *last)
{
	struct trace_cursor cursor = { 0 };
	struct trace_file *file;
	struct trace_entry entry;
	char why[100];
	int r;

	*first = *last = 0;
	ck_assert_int_eq(trace_file_open(&file, path, why, sizeof why), 0);
	ck_assert_uint_eq(file->type_count, 1);
	ck_assert_str_eq(file->types[0]->name, "trace.numbered");
	while ((r = trace_file_next(file, &cursor, &entry)) > 0) {
		if (*first == 0)
			*first = entry.number;
		else
			ck_assert_uint_eq(entry.number, *last + 1);
		*last = entry.number;
		is_as_put(&entry);
	}
	ck_assert_int_eq(r, 0);
	trace_file_close(file);
}

START_TEST(what_was_written_is_read_in_order_and_the_last_is_kept)
{
	uint64_t first, last;

	make(EP_TRACE_LAST, 0);
	read_all(&first, &last);
	ck_assert_uint_eq(last, 0);
	for (uint64_t i = 1; i <= 3000; i++) {
		put(i, tail_of(i));
		if (i % 37 == 0 || i < 100) {
			read_all(&first, &last);
			ck_assert_uint_eq(last, i);
		}
	}
	/* The ring holds a known share of them: it is nearly full. */
	ck_assert_uint_gt(first, 1);
	ck_assert_uint_gt((last - first + 1) * (40 + 350), RING * 9 / 10);
}
END_TEST

START_TEST(no_more_messages_are_kept_than_asked_for)
{
	uint64_t first, last;

	make(EP_TRACE_LAST, 10);
	for (uint64_t i = 1; i <= 1000; i++) {
		put(i, tail_of(i));
		read_all(&first, &last);
		ck_assert_uint_eq(last, i);
		ck_assert_uint_eq(first, i > 10 ? i - 9 : 1);
	}
}
END_TEST

START_TEST(the_first_are_kept_and_the_others_counted)
{
	uint64_t first, last, many;

	make(EP_TRACE_FIRST, 0);
	for (uint64_t i = 1; i <= 3000; i++)
		put(i, tail_of(i));
	read_all(&first, &many);
	ck_assert_uint_eq(first, 1);
	ck_assert_uint_lt(many, 3000);
	ck_assert_uint_eq(trace.header->missed, 3000 - many);
	ep_trace_unmap(&trace);
	make(EP_TRACE_FIRST, 10);
	for (uint64_t i = 1; i <= 30; i++)
		put(i, tail_of(i));
	read_all(&first, &last);
	ck_assert_uint_eq(first, 1);
	ck_assert_uint_eq(last, 10);
	ck_assert_uint_eq(trace.header->missed, 20);
}
END_TEST

START_TEST(of_what_is_large_the_begin_is_kept)
{
	struct trace_cursor cursor = { 0 };
	struct trace_file *file;
	struct trace_entry entry;
	char why[100];

	make(EP_TRACE_LAST, 0);
	put(1, 1 << 17);
	ck_assert_int_eq(trace_file_open(&file, path, why, sizeof why), 0);
	ck_assert_int_eq(trace_file_next(file, &cursor, &entry), 1);
	ck_assert_uint_eq(entry.size, 8 + (1 << 17));
	ck_assert_uint_eq(entry.kept, RING / 8);
	ck_assert_uint_eq(entry.payload[RING / 8 - 1], 1);
	ck_assert_int_eq(trace_file_next(file, &cursor, &entry), 0);
	trace_file_close(file);
}
END_TEST

static void must_refuse(const char *words)
{
	struct trace_file *file;
	char why[200] = "";

	ck_assert_int_eq(trace_file_open(&file, path, why, sizeof why), -EPROTO);
	ck_assert_msg(strstr(why, words) != NULL, "%s", why);
}

START_TEST(what_is_no_trace_is_refused)
{
	const uint64_t swapped = __builtin_bswap64(EP_TRACE_MAGIC);
	int fd;

	make(EP_TRACE_LAST, 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	trace.header->layout = 9;
	must_refuse("of layout 9");
	trace.header->layout = EP_TRACE_LAYOUT;
	trace.header->magic = swapped;
	must_refuse("other byte order");
	trace.header->magic = EP_TRACE_MAGIC;
	trace.header->tail = 8;
	must_refuse("no trace");
	trace.header->tail = 0;
	ep_trace_unmap(&trace);
	ck_assert_int_eq(ftruncate(fd, 5000), 0);
	must_refuse("no trace");
	ck_assert_int_eq(ep_trace_map(&trace, fd), -EBADMSG);
	close(fd);
}
END_TEST

/* Bytes that nobody vouches for: nothing is read beyond them, which the sanitizers see; and no writer hangs on them. */
START_TEST(spoiled_ones_do_no_harm)
{
	for (unsigned round = 0; round < 2000; round++) {
		struct trace_cursor cursor = { 0 };
		struct trace_entry entry;
		struct trace_file *file;
		uint64_t sum = 0;
		char why[200];

		srandom(round);
		make(EP_TRACE_LAST, 0);
		for (uint64_t i = 1; i <= 40 + round % 200; i++)
			put(i, tail_of(i));
		for (int i = 0; i < 1 + (int)(round % 4); i++) {
			bool head = random() % 2;
			size_t at = (size_t)random() % (head ? 400 : trace.size);

			((unsigned char *)trace.header)[at] = (unsigned char)random();
		}
		if (trace_file_open(&file, path, why, sizeof why) == 0) {
			while (trace_file_next(file, &cursor, &entry) > 0)
				for (uint32_t i = 0; i < entry.kept; i++)
					sum += entry.payload[i];
			trace_file_close(file);
		}
		ck_assert_uint_ne(sum, UINT64_MAX);
		ep_trace_unmap(&trace);
	}
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, what_was_written_is_read_in_order_and_the_last_is_kept);
	tcase_add_test(tcase, no_more_messages_are_kept_than_asked_for);
	tcase_add_test(tcase, the_first_are_kept_and_the_others_counted);
	tcase_add_test(tcase, of_what_is_large_the_begin_is_kept);
	tcase_add_test(tcase, what_is_no_trace_is_refused);
	tcase_add_test(tcase, spoiled_ones_do_no_harm);
}

int main(void)
{
	return unit_run("trace", fill);
}
