#include <config.h>

#include "apilib/fence.h"
#include "supervisor/overdue.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What a living receiver holds for too long, and what only looks so. */

enum { EPOCH = 7, TIMEOUT = 100 };

static const struct ep_geometry geometry = { .ring = 4, .classes = 2, .class = { { 64, 3 }, { 256, 2 } } };

static _Atomic uint64_t fence;
static struct ep_channel channel;
static struct ep_producer producer;
static struct ep_consumer consumer;
static struct overdue *overdue;
static struct overdue_options options;

static void set_up(void)
{
	const struct ep_fencing fencing = { .word = &fence, .epoch = EPOCH };
	const char *why;
	int fd = ep_channel_create(&geometry);

	atomic_store(&fence, ep_fence_pack(EPOCH, EP_UP, (struct ep_end){ 0 }));
	ck_assert_int_eq(ep_channel_map(&channel, fd, &why), 0);
	close(fd);
	ck_assert_int_eq(ep_producer_init(&producer, &channel, EP_TO_CLIENT, fencing), 0);
	ep_consumer_init(&consumer, &channel, EP_TO_CLIENT, fencing);
	options = (struct overdue_options){ .timeout = TIMEOUT, .now = 1000 };
}

static void tear_down(void)
{
	overdue_free(STEAL(overdue));
	ep_producer_deinit(&producer);
	ep_channel_unmap(&channel);
}

static struct ep_buffer allocate(uint32_t size)
{
	struct ep_buffer buffer = { 0 };
	void *memory;

	ck_assert_int_eq(ep_allocate(&producer, size, &buffer, &memory), 0);
	return buffer;
}

static void send_buffer(const struct ep_buffer *buffer)
{
	struct ep_send send = { .id = 1, .size = 10, .buffer = buffer };

	ck_assert_int_ge(ep_send(&producer, &send), 0);
}

static struct ep_received receive(void)
{
	struct ep_received received;

	ck_assert_int_eq(ep_receive(&consumer, &received), 1);
	return received;
}

/* Another one there, received and given back. */
static void pass_one(void)
{
	struct ep_buffer buffer = allocate(200);
	struct ep_received received;

	send_buffer(&buffer);
	received = receive();
	ck_assert_int_eq(ep_release(&consumer, &received.content.buffer), 0);
}

/* `later` ns after the look before. */
static struct overdue_class look(int64_t later)
{
	const struct overdue_class *found;

	options.now += later;
	found = overdue_look(&overdue, &channel, EP_TO_CLIENT, &options);
	return found ? found[0] : (struct overdue_class){ 0 };
}

START_TEST(a_quiet_channel_costs_nothing)
{
	look(0);
	look(TIMEOUT);
	ck_assert_ptr_null(overdue);
}
END_TEST

START_TEST(what_is_held_is_overdue_after_its_time)
{
	struct ep_buffer buffer = allocate(10);
	struct ep_received received;

	send_buffer(&buffer);
	received = receive();
	ck_assert_uint_eq(look(0).overdue, 0);
	ck_assert_uint_eq(look(TIMEOUT - 1).overdue, 0);
	ck_assert_uint_eq(look(1).overdue, 1);
	ck_assert_uint_eq(look(0).collected, 0);
	ck_assert_int_eq(ep_release(&consumer, &received.content.buffer), 0);
	ck_assert_uint_eq(look(TIMEOUT).overdue, 0);
}
END_TEST

START_TEST(it_is_collected_once_and_given_out_again)
{
	struct ep_buffer buffer = allocate(10);
	struct ep_received received;

	options.collect = true;
	send_buffer(&buffer);
	received = receive();
	look(0);
	ck_assert_uint_eq(look(TIMEOUT).fresh, 1);
	ck_assert_uint_eq(look(TIMEOUT).fresh, 0);
	ck_assert_uint_eq(look(TIMEOUT).collected, 1);
	ck_assert_int_eq(ep_release(&consumer, &received.content.buffer), -ESTALE);
	for (int i = 0; i < 3; i++) {
		buffer = allocate(10);
		ck_assert_uint_eq(buffer.class, 0);   /* one of them is that one */
		send_buffer(&buffer);
		receive();
	}
}
END_TEST

START_TEST(what_nobody_received_is_not_held)
{
	struct ep_buffer buffer = allocate(10), next = allocate(200);

	options.collect = true;
	send_buffer(&buffer);
	look(0);
	send_buffer(&next);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(look(TIMEOUT).fresh, 0);
	ck_assert_uint_eq(receive().content.buffer.index, buffer.index);
	ck_assert_uint_eq(look(TIMEOUT).fresh, 0);   /* from now on */
	ck_assert_uint_eq(look(TIMEOUT).fresh, 1);
}
END_TEST

START_TEST(what_its_sender_holds_is_not_its_receivers)
{
	allocate(10);
	options.collect = true;
	look(0);
	ck_assert_uint_eq(look(TIMEOUT).fresh, 0);
}
END_TEST

/* A sender that stands still between marking and publishing, in whatever round of the ring: its message arrives. */
START_TEST(what_is_about_to_be_sent_is_not_taken_away)
{
	struct ep_buffer buffer;

	options.collect = true;
	for (int i = 0; i < _i; i++)
		pass_one();
	buffer = allocate(10);
	/* As in the middle of ep_send(): the line is filled, the buffer marked, the line not published. */
	producer.lane.lines[producer.next & producer.lane.mask].content =
		(struct ep_content){ .id = 1, .kind = EP_KIND_BUFFER, .size = 10, .buffer = buffer };
	atomic_store(&producer.lane.allocated[0][buffer.index], ep_allocated_word(buffer.generation, true));
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(look(TIMEOUT).fresh, 0);
	send_buffer(&buffer);
	ck_assert_uint_eq(receive().content.buffer.generation, buffer.generation);
}
END_TEST

/* Its line was used for others since, and nothing says any more that it was received but that others were sent. */
START_TEST(what_was_received_long_ago_is_held)
{
	struct ep_buffer buffer = allocate(10);

	send_buffer(&buffer);
	receive();
	for (uint32_t i = 0; i < geometry.ring; i++)
		pass_one();
	look(0);
	ck_assert_uint_eq(look(TIMEOUT).overdue, 0);
	pass_one();
	ck_assert_uint_eq(look(0).overdue, 0);
	ck_assert_uint_eq(look(TIMEOUT).overdue, 1);
}
END_TEST

static void fill_case(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_quiet_channel_costs_nothing);
	tcase_add_test(tcase, what_is_held_is_overdue_after_its_time);
	tcase_add_test(tcase, it_is_collected_once_and_given_out_again);
	tcase_add_test(tcase, what_nobody_received_is_not_held);
	tcase_add_test(tcase, what_its_sender_holds_is_not_its_receivers);
	tcase_add_loop_test(tcase, what_is_about_to_be_sent_is_not_taken_away, 0, 10);
	tcase_add_test(tcase, what_was_received_long_ago_is_held);
}

int main(void)
{
	return unit_run("overdue", fill_case);
}
