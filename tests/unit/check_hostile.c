#include <config.h>

#include "apilib/channel.h"
#include "apilib/fence.h"
#include "tests/fuzz/guarded.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Whatever a peer wrote into a channel (I6): who works with it says an error or a message that is within bounds, never
 * leaves the mapping (a touch beyond it ends the test), and counts no more than there is. */

enum { EPOCH = 7, SEEDS = 50, STEPS = 40 };

static const struct ep_geometry geometry = { .ring = 16, .classes = 2, .class = { { 64, 4 }, { 1024, 2 } } };

static struct guarded guarded;
static struct ep_producer producer;
static struct ep_consumer consumer;
static struct ep_lane lane;
static uint64_t random_state;

static void set_fence(enum ep_state state)
{
	atomic_store(&guarded.fence, ep_fence_pack(EPOCH, state, (struct ep_end){ 0 }));
}

static void set_up(void)
{
	const struct ep_fencing fencing = { .word = &guarded.fence, .epoch = EPOCH };

	guarded_open(&guarded, &geometry);
	set_fence(EP_UP);
	ck_assert_int_eq(ep_producer_init(&producer, &guarded.channel, EP_TO_APPLICATION, fencing), 0);
	ep_consumer_init(&consumer, &guarded.channel, EP_TO_APPLICATION, fencing);
	lane = ep_channel_lane(&guarded.channel, EP_TO_APPLICATION);
}

static void tear_down(void)
{
	ep_producer_deinit(&producer);
	guarded_close(&guarded);
}

/* splitmix64 */
static uint64_t next_random(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void fill(void *memory, size_t size)
{
	uint64_t *at = memory;

	for (size_t i = 0; i < size / sizeof *at; i++)
		at[i] = next_random();
}

/* As if the producer had: a line whose turn it is. */
static void put(uint64_t position, const struct ep_content *content)
{
	struct ep_line *line = &lane.lines[position & lane.mask];

	line->content = *content;
	atomic_store(&line->word, ep_line_word(position, EP_LINE_SENT));
}

static int send_one(void)
{
	const struct ep_send send = { .id = 1, .size = 1, .bytes = "x" };

	return ep_send(&producer, &send);
}

static struct ep_reclaimed counted(void)
{
	struct ep_reclaimed counts = { 0 };

	ep_channel_count(&guarded.channel, EP_TO_APPLICATION, &counts);
	return counts;
}

static struct ep_reclaimed reclaimed(void)
{
	struct ep_reclaimed counts = { 0 };

	set_fence(EP_DOWN);
	ep_channel_reclaim(&guarded.channel, EP_TO_APPLICATION, &counts);
	return counts;
}

/* ---- lines ---- */

static const struct {
	struct ep_content content;
	uint64_t position;
	uint64_t released;   /* of the buffer, as far as there is one */
	const char *why;     /* NULL: it is a message */
} lines[] = {
	{ { .kind = EP_KIND_INLINE, .size = EP_INLINE }, 0, 0, NULL },
	{ { .kind = EP_KIND_INLINE, .size = 1 }, 1, 0, "a line holds a number that is not its own" },
	{ { .kind = EP_KIND_INLINE, .size = 1 }, 16, 0, "a line holds a number that is not its own" },
	{ { .kind = EP_KIND_INLINE, .size = 1 }, 1ull << 61, 0, "a line holds a number that is not its own" },
	{ { .kind = EP_KIND_INLINE, .size = EP_INLINE + 1 }, 0, 0, "a message is larger than its line" },
	{ { .kind = EP_KIND_INLINE, .size = UINT32_MAX }, 0, 0, "a message is larger than its line" },
	{ { .kind = 2 }, 0, 0, "a line is of no known kind" },
	{ { .kind = UINT8_MAX }, 0, 0, "a line is of no known kind" },
	{ { .kind = EP_KIND_INLINE, .flags = EP_STAMPED, .size = EP_STAMP_AT }, 0, 0, NULL },
	{ { .kind = EP_KIND_INLINE, .flags = EP_STAMPED, .size = EP_STAMP_AT + 1 }, 0, 0,
	  "a message is larger than its line" },
	{ { .kind = EP_KIND_INLINE, .flags = 2, .size = 1 }, 0, 0, "a line has flags that are not known" },
	{ { .kind = EP_KIND_BUFFER, .flags = EP_STAMPED, .size = 1024, .buffer = { 1, 1, 1 } }, 0, 0, NULL },
	{ { .kind = EP_KIND_BUFFER, .size = 1024, .buffer = { 1, 1, 1 } }, 0, 0, NULL },
	{ { .kind = EP_KIND_BUFFER, .size = 1025, .buffer = { 1, 1, 1 } }, 0, 0,
	  "a message is larger than its buffer" },
	{ { .kind = EP_KIND_BUFFER, .size = UINT32_MAX, .buffer = { 0, 0, 1 } }, 0, 0,
	  "a message is larger than its buffer" },
	{ { .kind = EP_KIND_BUFFER, .buffer = { 2, 0, 1 } }, 0, 0, "a line names a buffer that does not exist" },
	{ { .kind = EP_KIND_BUFFER, .buffer = { UINT32_MAX, 0, 1 } }, 0, 0,
	  "a line names a buffer that does not exist" },
	{ { .kind = EP_KIND_BUFFER, .buffer = { 1, 2, 1 } }, 0, 0, "a line names a buffer that does not exist" },
	{ { .kind = EP_KIND_BUFFER, .buffer = { 0, UINT32_MAX, 1 } }, 0, 0,
	  "a line names a buffer that does not exist" },
	{ { .kind = EP_KIND_BUFFER, .buffer = { 0, 1, 1 } }, 0, 1, "a line names a buffer that was released" },
	{ { .kind = EP_KIND_BUFFER, .buffer = { 0, 1, 0 } }, 0, 0, "a line names a buffer that was released" },
	{ { .kind = EP_KIND_BUFFER, .buffer = { 0, 1, UINT64_MAX } }, 0, 0,
	  "a line names a buffer that was released" },
};
START_TEST(each_line_is_a_message_or_ends_the_channel_with_the_reason)
{
	struct ep_received received;
	struct ep_line *first = lane.lines;

	atomic_store(&lane.released[0][1], lines[_i].released);
	put(0, &lines[_i].content);
	atomic_store(&first->word, ep_line_word(lines[_i].position, EP_LINE_SENT));
	if (!lines[_i].why) {
		ck_assert_int_eq(ep_receive(&consumer, &received), 1);
		ck_assert(guarded_is_message(&guarded, &received));
		return;
	}
	ck_assert_int_eq(ep_receive(&consumer, &received), -EPROTO);
	ck_assert_str_eq(consumer.why, lines[_i].why);
	/* For ever. */
	put(0, &lines[0].content);
	ck_assert_int_eq(ep_receive(&consumer, &received), -EPROTO);
	ck_assert(!ep_arm(&consumer));
}
END_TEST

/* ---- counters ---- */

static const uint64_t forged[] = { 17, 18, 1ull << 32, INT64_MAX, UINT64_MAX, UINT64_MAX - 20 };
START_TEST(a_forged_consumed_ends_the_channel)
{
	for (uint64_t i = 0; i <= lane.mask; i++)
		ck_assert_int_ge(send_one(), 0);
	ck_assert_int_eq(send_one(), -EAGAIN);
	atomic_store(&lane.head->consumed, forged[_i]);
	ck_assert_int_eq(send_one(), -EPROTO);
	ck_assert(!ep_can_send(&producer));
	atomic_store(&lane.head->consumed, 1);
	ck_assert_int_eq(send_one(), -EPROTO);
}
END_TEST

START_TEST(a_forged_taken_makes_nothing_be_counted_twice)
{
	for (uint64_t i = 0; i <= lane.mask; i++)
		ck_assert_int_ge(send_one(), 0);
	atomic_store(&lane.head->taken, forged[_i]);
	ck_assert(counted().messages <= lane.mask + 1);
	atomic_store(&lane.head->taken, 0);
	ck_assert_uint_eq(reclaimed().messages, lane.mask + 1);
	atomic_store(&lane.head->taken, forged[_i]);
	ck_assert_uint_eq(reclaimed().messages, 0);
}
END_TEST

/* What was released says so of what was never sent, or more often than it was allocated. */
START_TEST(a_buffer_is_not_given_out_twice_whatever_is_said_of_it)
{
	struct ep_buffer first[4], again;
	void *memory;

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(ep_allocate(&producer, 64, &first[i], &memory), 0);
	for (int i = 0; i < 4; i++)
		atomic_store(&lane.released[0][i], forged[_i]);
	/* Of the next class. */
	ck_assert_int_eq(ep_allocate(&producer, 64, &again, &memory), 0);
	ck_assert_uint_eq(again.class, 1);
	ck_assert(guarded_has(&guarded, memory, 1024));
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(ep_free(&producer, &first[i]), -ESTALE);
}
END_TEST

START_TEST(no_more_is_counted_than_there_is)
{
	struct ep_reclaimed counts;
	struct ep_content content = { .kind = EP_KIND_BUFFER, .size = UINT32_MAX };

	/* Each line says that it holds the same large buffer, and each buffer that it is in use. */
	content.buffer = (struct ep_buffer){ 1, 1, 1 };
	for (uint64_t i = 0; i <= lane.mask; i++)
		put(i, &content);
	for (uint32_t class = 0; class < geometry.classes; class++)
		for (uint32_t i = 0; i < geometry.class[class].count; i++)
			atomic_store(&lane.allocated[class][i], ep_allocated_word(1, true));
	counts = counted();
	ck_assert(guarded_holds(&guarded, &counts));
	counts = reclaimed();
	ck_assert(guarded_holds(&guarded, &counts));
	ck_assert_uint_eq(counts.messages, lane.mask + 1);
	ck_assert_uint_eq(counts.buffers + counts.held.buffers, 6);
	counts = reclaimed();
	ck_assert_uint_eq(counts.messages + counts.buffers + counts.held.buffers + counts.bytes, 0);
}
END_TEST

/* ---- where a payload lies ---- */

START_TEST(an_address_is_a_buffer_or_refused)
{
	struct ep_buffer buffer;
	ssize_t most = (ssize_t)guarded.channel.size * 2;
	void *memory;

	fill(lane.allocated[0], 64);
	for (ssize_t at = -most; at < most; at += 8) {
		int r = ep_buffer_at(&producer, guarded.channel.base + at, &buffer);

		ck_assert(r == -ENOENT || r == -EINVAL || (r == 0 && guarded_is_buffer(&guarded, &buffer)));
	}
	ck_assert_int_eq(ep_allocate(&producer, 1000, &buffer, &memory), 0);
	ck_assert_int_eq(ep_buffer_at(&producer, memory, &buffer), 0);
	atomic_store(&lane.allocated[1][0], UINT64_MAX);
	ck_assert_int_eq(ep_buffer_at(&producer, memory, &buffer), -EINVAL);
}
END_TEST

/* ---- anything ---- */

static void try_all(void)
{
	struct ep_received received;
	struct ep_buffer buffer;
	struct ep_reclaimed counts = counted();
	void *memory;
	int r = ep_receive(&consumer, &received);

	if (r == -ENXIO)   /* and the supervisor never told of it */
		r = ep_refuse_next(&consumer);
	ck_assert(guarded_holds(&guarded, &counts));
	ck_assert(r == 0 || r == -EPROTO || (r == 1 && guarded_is_message(&guarded, &received)));
	if (r == 1 && received.is_buffer)
		ep_release(&consumer, &received.content.buffer);
	r = ep_allocate(&producer, next_random() % 1024, &buffer, &memory);
	ck_assert(r == -EAGAIN || r == -EPROTO || (r == 0 && guarded_is_buffer(&guarded, &buffer)));
	r = send_one();
	ck_assert(r == 0 || r == 1 || r == -EAGAIN || r == -EPROTO);
	ep_arm(&consumer);
}

static void reclaim_all(void)
{
	struct ep_reclaimed counts = reclaimed();

	ck_assert(guarded_holds(&guarded, &counts));
}

START_TEST(random_bytes_do_no_harm)
{
	random_state = (uint64_t)_i + 1;
	for (int step = 0; step < STEPS; step++) {
		size_t at = next_random() % ((guarded.channel.places.backed - EP_LANES_AT) / 8) * 8;
		size_t size = step % 8 ? 8 : guarded.channel.places.backed - EP_LANES_AT - at;

		fill(guarded.channel.base + EP_LANES_AT + at, size);
		try_all();
	}
	reclaim_all();
}
END_TEST

/* Small numbers are what most words expect. */
START_TEST(random_small_numbers_do_no_harm)
{
	random_state = (uint64_t)_i + 1;
	for (int step = 0; step < STEPS * 10; step++) {
		size_t at = next_random() % ((guarded.channel.places.backed - EP_LANES_AT) / 8) * 8;
		uint64_t value = next_random() % 80;

		memcpy(guarded.channel.base + EP_LANES_AT + at, &value, sizeof value);
		if (step % 4 == 0)
			put(consumer.next, &(struct ep_content){
				.kind = next_random() & 1, .size = next_random() % 70,
				.buffer = { next_random() % 3, next_random() % 5, next_random() % 4 } });
		try_all();
	}
	reclaim_all();
}
END_TEST

START_TEST(holes_do_no_harm)
{
	random_state = (uint64_t)_i + 1;
	for (int step = 0; step < STEPS; step++) {
		off_t page = (off_t)(next_random() % (guarded.channel.size / EP_PAGE)) * EP_PAGE;

		ck_assert_int_eq(fallocate(guarded.memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page,
					   EP_PAGE), 0);
		try_all();
	}
	reclaim_all();
}
END_TEST

static void fill_case(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, each_line_is_a_message_or_ends_the_channel_with_the_reason, 0,
			    ARRAY_SIZE(lines));
	tcase_add_loop_test(tcase, a_forged_consumed_ends_the_channel, 0, ARRAY_SIZE(forged));
	tcase_add_loop_test(tcase, a_forged_taken_makes_nothing_be_counted_twice, 0, ARRAY_SIZE(forged));
	tcase_add_loop_test(tcase, a_buffer_is_not_given_out_twice_whatever_is_said_of_it, 0,
			    ARRAY_SIZE(forged));
	tcase_add_test(tcase, no_more_is_counted_than_there_is);
	tcase_add_test(tcase, an_address_is_a_buffer_or_refused);
	tcase_add_loop_test(tcase, random_bytes_do_no_harm, 0, SEEDS);
	tcase_add_loop_test(tcase, random_small_numbers_do_no_harm, 0, SEEDS);
	tcase_add_loop_test(tcase, holes_do_no_harm, 0, 5);
}

int main(void)
{
	return unit_run("hostile", fill_case);
}
