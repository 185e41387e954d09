#include <config.h>

#include "apilib/barrier.h"
#include "apilib/channel.h"
#include "apilib/fence.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EPOCH = 7 };

static const struct ep_geometry small = { .ring = 4, .classes = 2, .class = { { 64, 2 }, { 256, 3 } } };

/* Shared, so that a forked peer sees it move. */
static _Atomic uint64_t *fence;
static struct ep_channel channel;
static struct ep_producer producer;
static struct ep_consumer consumer;
static bool light;   /* both ends leave fences to those who call ep_barrier() */

static void move_fence(enum ep_state state)
{
	atomic_store_explicit(fence, ep_fence_pack(EPOCH, state, (struct ep_end){ 0 }),
			      memory_order_release);
}

static struct ep_fencing fencing(void)
{
	return (struct ep_fencing){ .word = fence, .epoch = EPOCH, .light = light };
}

static void open_channel(const struct ep_geometry *geometry)
{
	const char *why;
	int fd = ep_channel_create(geometry);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ep_channel_map(&channel, fd, &why), 0);
	close(fd);
	ck_assert_int_eq(ep_producer_init(&producer, &channel, EP_TO_APPLICATION, fencing()), 0);
	ep_consumer_init(&consumer, &channel, EP_TO_APPLICATION, fencing());
	if (light)
		consumer.polls_at = 0;   /* from the first message on */
}

static void close_channel(void)
{
	ep_producer_deinit(&producer);
	ep_channel_unmap(&channel);
}

static void set_up(void)
{
	fence = mmap(NULL, sizeof *fence, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne((void *)fence, MAP_FAILED);
	move_fence(EP_UP);
	open_channel(&small);
}

static void set_up_light(void)
{
	light = ep_barrier_join();
	set_up();
}

static void tear_down(void)
{
	light = false;
	close_channel();
	munmap((void *)fence, sizeof *fence);
}

static int send_number(uint32_t number)
{
	struct ep_send send = { .id = 3, .context = number, .size = sizeof number, .bytes = &number };

	return ep_send(&producer, &send);
}

/* Fills a buffer of `size` with the number's last byte. */
static int send_filled(uint32_t number, uint32_t size)
{
	struct ep_buffer buffer;
	struct ep_send send = { .id = 4, .context = number, .size = size, .buffer = &buffer };
	void *memory;
	int r = ep_allocate(&producer, size, &buffer, &memory);

	if (r < 0)
		return r;
	memset(memory, (int)(number & 0xff), size);
	r = ep_send(&producer, &send);
	if (r < 0)
		ep_free(&producer, &buffer);
	return r;
}

/* Whole: every byte is what its sender put there. */
static bool is_whole(const struct ep_received *received)
{
	const unsigned char *byte = received->is_buffer ? received->in_place : received->content.bytes;
	uint32_t number;
	uint32_t i;

	if (!received->is_buffer) {
		memcpy(&number, byte, sizeof number);
		return received->content.id == 3 && received->content.size == sizeof number &&
		       received->content.context == number;
	}
	for (i = 0; i < received->content.size; i++)
		if (byte[i] != (received->content.context & 0xff))
			return false;
	return received->content.id == 4;
}

static struct ep_received receive(void)
{
	struct ep_received received;

	ck_assert_int_eq(ep_receive(&consumer, &received), 1);
	ck_assert(is_whole(&received));
	return received;
}

static struct ep_reclaimed reclaim(void)
{
	struct ep_reclaimed counts = { 0 };

	ep_channel_reclaim(&channel, EP_TO_APPLICATION, &counts);
	return counts;
}

static uint64_t collected(const struct ep_reclaimed *counts)
{
	return counts->abandoned.buffers + counts->held.buffers;
}

/* ---- geometry ---- */

static const struct {
	struct ep_geometry geometry;
	const char *why;
} geometries[] = {
	{ { .ring = 2 }, NULL },
	{ { .ring = 128, .classes = 1, .class = { { 64, 1 } } }, NULL },
	{ { .ring = 0 }, "a ring has 2 to 32,768 lines, a power of two" },
	{ { .ring = 1 }, "a ring has 2 to 32,768 lines, a power of two" },
	{ { .ring = 96 }, "a ring has 2 to 32,768 lines, a power of two" },
	{ { .ring = 65536 }, "a ring has 2 to 32,768 lines, a power of two" },
	{ { .ring = 8, .classes = 7 }, "there are 6 classes at most" },
	{ { .ring = 8, .classes = 1, .class = { { 32, 1 } } },
	  "a buffer has 64 bytes to 16 MiB, in steps of 64" },
	{ { .ring = 8, .classes = 1, .class = { { 100, 1 } } },
	  "a buffer has 64 bytes to 16 MiB, in steps of 64" },
	{ { .ring = 8, .classes = 1, .class = { { (16 << 20) + 64, 1 } } },
	  "a buffer has 64 bytes to 16 MiB, in steps of 64" },
	{ { .ring = 8, .classes = 1, .class = { { 64, 0 } } }, "a class has 1 to 65,536 buffers" },
	{ { .ring = 8, .classes = 1, .class = { { 64, 65537 } } }, "a class has 1 to 65,536 buffers" },
	{ { .ring = 8, .classes = 2, .class = { { 64, 1 }, { 64, 1 } } },
	  "the sizes of the classes must grow" },
	{ { .ring = 8, .classes = 1, .class = { { 16 << 20, 65536 } } },
	  "a channel has 4 GiB at most" },
};

START_TEST(each_geometry_is_good_or_says_why_not)
{
	const char *why = NULL;
	int r = ep_geometry_check(&geometries[_i].geometry, &why);

	ck_assert_int_eq(r, geometries[_i].why ? -EINVAL : 0);
	if (geometries[_i].why)
		ck_assert_str_eq(why ? why : "none", geometries[_i].why);
}
END_TEST

START_TEST(what_is_not_configured_is_as_designed)
{
	const char *why;

	ck_assert_int_eq(ep_geometry_check(&ep_geometry_default, &why), 0);
	ck_assert_uint_eq(ep_geometry_default.ring, 128);
	ck_assert_uint_eq(ep_geometry_default.classes, 3);
	ck_assert_uint_eq(ep_geometry_default.class[1].size, 2048);
	ck_assert_uint_eq(ep_geometry_default.class[1].count, 32);
}
END_TEST

START_TEST(a_client_may_ask_for_less_and_not_for_more)
{
	struct ep_geometry out, wanted = { .ring = 0 };
	const char *why;

	ck_assert_int_eq(ep_geometry_within(&out, &small, &wanted, &why), 0);
	ck_assert_int_eq(memcmp(&out, &small, sizeof out), 0);
	wanted = (struct ep_geometry){ .ring = 2, .classes = 1, .class = { { 256, 1 } } };
	ck_assert_int_eq(ep_geometry_within(&out, &small, &wanted, &why), 0);
	ck_assert_uint_eq(out.class[0].size, 256);
	wanted.class[0].count = 4;
	ck_assert_int_eq(ep_geometry_within(&out, &small, &wanted, &why), -EINVAL);
	wanted.class[0] = (struct ep_class){ 128, 1 };
	ck_assert_int_eq(ep_geometry_within(&out, &small, &wanted, &why), -EINVAL);
	wanted = (struct ep_geometry){ .ring = 8 };
	ck_assert_int_eq(ep_geometry_within(&out, &small, &wanted, &why), -EINVAL);
	wanted.ring = 3;
	ck_assert_int_eq(ep_geometry_within(&out, &small, &wanted, &why), -EINVAL);
}
END_TEST

/* ---- sending and receiving ---- */

START_TEST(messages_arrive_whole_and_in_order_round_after_round)
{
	struct ep_received received;
	uint32_t i;

	for (i = 0; i < 1000; i++) {
		ck_assert_int_eq(i % 3 ? send_number(i) : send_filled(i, i % 250), 0);
		received = receive();
		ck_assert_uint_eq(received.content.context, i);
		if (received.is_buffer)
			ck_assert_int_eq(ep_release(&consumer, &received.content.buffer), 0);
	}
	ck_assert_int_eq(ep_receive(&consumer, &received), 0);
}
END_TEST

START_TEST(a_full_ring_refuses_until_a_line_was_read)
{
	uint32_t i;

	for (i = 0; i < small.ring; i++)
		ck_assert_int_eq(send_number(i), 0);
	ck_assert(!ep_can_send(&producer));
	ck_assert_int_eq(send_number(i), -EAGAIN);
	ck_assert_uint_eq(receive().content.context, 0);
	ck_assert(ep_can_send(&producer));
	ck_assert_int_eq(send_number(i), 0);
	ck_assert_int_eq(send_number(i), -EAGAIN);
	for (i = 1; i <= small.ring; i++)
		ck_assert_uint_eq(receive().content.context, i);
}
END_TEST

START_TEST(a_class_that_is_used_up_is_missed_and_the_next_one_tried)
{
	struct ep_buffer buffer[5], one_more;
	void *memory;
	int i;

	for (i = 0; i < 5; i++) {
		ck_assert_int_eq(ep_allocate(&producer, 60, &buffer[i], &memory), 0);
		ck_assert_uint_eq(buffer[i].class, i >= 2);
	}
	ck_assert_int_eq(ep_allocate(&producer, 60, &one_more, &memory), -EAGAIN);
	ck_assert_int_eq(ep_allocate(&producer, 257, &one_more, &memory), -EMSGSIZE);
	ck_assert_uint_eq(producer.lane.head->misses[0], 4);
	ck_assert_uint_eq(producer.lane.head->misses[1], 1);
	ck_assert_uint_eq(producer.lane.head->hits[1], 3);
	ep_free(&producer, &buffer[1]);
	ck_assert_int_eq(ep_allocate(&producer, 60, &one_more, &memory), 0);
	ck_assert_uint_eq(one_more.index, buffer[1].index);
	ck_assert_uint_eq(one_more.generation, buffer[1].generation + 1);
}
END_TEST

START_TEST(what_is_released_in_any_order_comes_back_and_only_once)
{
	struct ep_received received[3];
	int i;

	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(send_filled((uint32_t)i, 200), 0);
		received[i] = receive();
	}
	ck_assert_int_eq(send_filled(9, 200), -EAGAIN);
	ck_assert_int_eq(ep_release(&consumer, &received[1].content.buffer), 0);
	ck_assert_int_eq(ep_release(&consumer, &received[1].content.buffer), -ESTALE);
	ck_assert(is_whole(&received[0]) && is_whole(&received[2]));
	ck_assert_int_eq(send_filled(9, 200), 0);
	ck_assert_int_eq(ep_release(&consumer, &received[1].content.buffer), -ESTALE);
	ck_assert_uint_eq(receive().content.buffer.index, received[1].content.buffer.index);
	ck_assert(is_whole(&received[0]) && is_whole(&received[2]));
}
END_TEST

/* ---- sleeping ---- */

START_TEST(only_a_sleeper_is_rung_and_once)
{
	ck_assert(ep_arm(&consumer));
	ck_assert_int_eq(send_number(0), 1);
	ck_assert_int_eq(send_number(1), 0);
	ck_assert(!ep_arm(&consumer));   /* there is something */
	ck_assert_int_eq(send_number(2), 0);
	receive();
	receive();
	receive();
	ck_assert(ep_arm(&consumer));
	ep_disarm(&consumer);
	ck_assert_int_eq(send_number(3), 0);
	receive();
	move_fence(EP_DOWN);
	ck_assert(!ep_arm(&consumer));
}
END_TEST

static int doorbells[2][2];   /* pipes */
static uint32_t rounds;

/* Sleeps until there is one. */
static void await_number(struct ep_consumer *from, int doorbell, uint32_t number)
{
	struct ep_received received;
	char byte;

	from->polls_at = number % 8 ? EP_POLLS_AFTER : 0;   /* if it is light */
	while (ep_receive(from, &received) == 0)
		if (ep_arm(from))
			ck_assert_int_eq(read(doorbell, &byte, 1), 1);
	ck_assert_uint_eq(received.content.context, number);
}

static void ring_if(int r, int doorbell)
{
	ck_assert_int_ge(r, 0);
	if (r == 1)
		ck_assert_int_eq(write(doorbell, "", 1), 1);
}

static void *answer_all(void *user)
{
	struct ep_producer *back = user;
	uint32_t i;

	for (i = 0; i < rounds; i++) {
		await_number(&consumer, doorbells[0][0], i);
		ring_if(ep_send(back, &(struct ep_send){ .context = i, .size = 1, .bytes = "" }),
			doorbells[1][1]);
	}
	return NULL;
}

START_TEST(no_wake_up_is_lost)
{
	struct ep_producer back;
	struct ep_consumer answers;
	pthread_t thread;
	uint32_t i;

	ck_assert_int_eq(ep_producer_init(&back, &channel, EP_TO_CLIENT, fencing()), 0);
	ep_consumer_init(&answers, &channel, EP_TO_CLIENT, fencing());
	ck_assert_int_eq(pipe2(doorbells[0], O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(doorbells[1], O_CLOEXEC), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, answer_all, &back), 0);
	for (i = 0; i < rounds; i++) {
		ring_if(send_number(i), doorbells[0][1]);
		await_number(&answers, doorbells[1][0], i);
	}
	pthread_join(thread, NULL);
	ep_producer_deinit(&back);
	for (i = 0; i < 4; i++)
		close(doorbells[i / 2][i % 2]);
}
END_TEST

/* ---- the fence ---- */

START_TEST(nothing_is_sent_or_received_after_the_fence_moved)
{
	struct ep_received received;
	struct ep_reclaimed counts;

	ck_assert_int_eq(send_number(0), 0);
	ck_assert_int_eq(send_filled(1, 50), 0);
	move_fence(EP_STOPPING);   /* still serving: calls in flight may finish */
	ck_assert_int_eq(send_number(2), 0);
	receive();
	move_fence(EP_DOWN);
	ck_assert_int_eq(send_number(3), -ESTALE);
	counts = reclaim();
	ck_assert_uint_eq(counts.messages, 2);
	ck_assert_uint_eq(counts.bytes, 50 + sizeof(uint32_t));
	ck_assert_uint_eq(counts.buffers, 1);
	ck_assert_uint_eq(collected(&counts), 0);
	ck_assert_int_eq(ep_receive(&consumer, &received), -ESTALE);
	counts = reclaim();
	ck_assert_uint_eq(counts.messages + counts.buffers + collected(&counts), 0);
	move_fence(EP_UP);   /* whatever comes: this end stays closed */
	ck_assert_int_eq(ep_receive(&consumer, &received), -ESTALE);
	ck_assert_int_eq(send_number(3), -ESTALE);
}
END_TEST

/* Somebody takes back all of it or a part, and dies before he says so; the next one counts what he would have. */
START_TEST(what_was_taken_back_and_not_counted_is_counted_by_the_next)
{
	struct ep_reclaimed whole = { 0 }, again = { 0 };
	struct ep_buffer buffer;
	void *memory;

	ck_assert_int_eq(send_number(0), 0);
	ck_assert_int_eq(send_filled(1, 50), 0);
	ck_assert_int_eq(send_filled(2, 50), 0);
	receive();   /* the number; held is none */
	receive();   /* a buffer: held */
	ck_assert_int_eq(ep_allocate(&producer, 60, &buffer, &memory), 0);   /* and one abandoned */
	move_fence(EP_DOWN);
	ep_channel_count(&channel, EP_TO_APPLICATION, &whole);
	ck_assert_uint_eq(whole.messages, 1);
	ck_assert_uint_eq(whole.held.buffers, 1);
	ck_assert_uint_eq(whole.abandoned.buffers, 1);
	if (_i)
		reclaim();   /* by the one who dies */
	ep_channel_finish(&channel, EP_TO_APPLICATION, &again);
	ck_assert_mem_eq(&again, &whole, sizeof again);
	ck_assert_int_eq(send_number(3), -ESTALE);
}
END_TEST

/* Its receiver may still be reading there. */
START_TEST(what_was_collected_is_not_given_out_again)
{
	struct ep_received received;
	struct ep_buffer buffer;
	void *memory;
	int i;

	for (i = 0; i < 3; i++)
		ck_assert_int_eq(send_filled((uint32_t)i, 200), 0);
	received = receive();
	move_fence(EP_DOWN);
	reclaim();
	ck_assert_int_eq(ep_allocate(&producer, 200, &buffer, &memory), -ESTALE);
	ck_assert(is_whole(&received));
}
END_TEST

START_TEST(no_message_counts_more_bytes_than_it_has_room_for)
{
	ck_assert_int_eq(send_number(0), 0);
	ck_assert_int_eq(send_filled(1, 50), 0);
	ck_assert_int_eq(send_filled(2, 50), 0);
	consumer.lane.lines[0].content.size = UINT32_MAX;
	consumer.lane.lines[1].content.size = UINT32_MAX;
	consumer.lane.lines[2].content.buffer.class = 9;
	move_fence(EP_DOWN);
	ck_assert_uint_eq(reclaim().bytes, EP_INLINE + 64);
}
END_TEST

START_TEST(a_buffer_is_collected_from_whoever_has_it)
{
	struct ep_buffer mine;
	struct ep_received received;
	struct ep_reclaimed counts;
	void *memory;

	ck_assert_int_eq(ep_allocate(&producer, 256, &mine, &memory), 0);
	ck_assert_int_eq(send_filled(5, 64), 0);
	received = receive();
	move_fence(EP_DOWN);
	counts = reclaim();
	ck_assert_uint_eq(counts.messages, 0);
	ck_assert_uint_eq(counts.buffers, 0);
	ck_assert_uint_eq(counts.abandoned.buffers, 1);
	ck_assert_uint_eq(counts.abandoned.bytes, 256);
	ck_assert_uint_eq(counts.held.buffers, 1);
	ck_assert_uint_eq(counts.held.bytes, 64);
	ck_assert(is_whole(&received));   /* still readable */
	ck_assert_int_eq(ep_release(&consumer, &received.content.buffer), -ESTALE);
	ck_assert_int_eq(ep_buffer_at(&producer, memory, &mine), -ESTALE);
	counts = reclaim();
	ck_assert_uint_eq(collected(&counts), 0);
}
END_TEST

/* ---- three at once ---- */

struct tally {
	uint64_t sent, received, failed;                  /* messages */
	uint64_t allocated, released, freed, refused;     /* buffers */
};

static pthread_barrier_t start_line;

static void *produce(void *user)
{
	struct tally *tally = user;
	struct ep_buffer buffer;
	struct ep_send send;
	uint32_t i = 0;
	void *memory;
	int r = 0;

	pthread_barrier_wait(&start_line);
	for (; r >= 0 || r == -EAGAIN; i++) {
		send = (struct ep_send){ .id = 3, .context = i, .size = sizeof i, .bytes = &i };
		if (i % 2) {
			r = ep_allocate(&producer, 100, &buffer, &memory);
			if (r < 0) {
				i -= r == -EAGAIN;
				continue;
			}
			tally->allocated++;
			memset(memory, (int)(i & 0xff), 100);
			send = (struct ep_send){ .id = 4, .context = i, .size = 100,
						 .buffer = &buffer };
		}
		r = ep_send(&producer, &send);
		tally->sent += r >= 0;
		if (r < 0 && send.buffer)
			tally->freed += ep_free(&producer, &buffer) == 0;
		i -= r == -EAGAIN;
	}
	tally->failed = (uint64_t)-r;
	return NULL;
}

static void *consume(void *user)
{
	struct tally *tally = user;
	struct ep_received received;
	uint64_t last = UINT64_MAX;
	int r;

	pthread_barrier_wait(&start_line);
	for (;;) {
		r = ep_receive(&consumer, &received);
		if (r < 0)
			break;
		if (r == 0)
			continue;
		tally->received++;
		tally->failed += !is_whole(&received) || received.content.context != last + 1;
		last = received.content.context;
		if (!received.is_buffer)
			continue;
		r = ep_release(&consumer, &received.content.buffer);
		tally->released += r == 0;
		tally->refused += r < 0;
	}
	if (r != -ESTALE)
		tally->failed++;
	return NULL;
}

/* The design's two equations, with a fence that moves at any instant and a supervisor that reclaims while
 * both ends still run. */
START_TEST(a_line_is_counted_once_whenever_the_fence_moves)
{
	struct tally out = { 0 }, in = { 0 };
	struct ep_reclaimed counts = { 0 };
	pthread_t threads[2];
	unsigned spin;

	srand((unsigned)_i);
	ck_assert_int_eq(pthread_barrier_init(&start_line, NULL, 3), 0);
	ck_assert_int_eq(pthread_create(&threads[0], NULL, produce, &out), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, consume, &in), 0);
	pthread_barrier_wait(&start_line);
	for (spin = (unsigned)rand() % 100000; spin; spin--)
		atomic_signal_fence(memory_order_seq_cst);
	move_fence(EP_DOWN);
	ep_barrier();
	ep_channel_reclaim(&channel, EP_TO_APPLICATION, &counts);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	pthread_barrier_destroy(&start_line);
	ck_assert_uint_eq(out.failed, ESTALE);
	ck_assert_uint_eq(in.failed, 0);
	/* What was sent after the look of the first pass is found by the second. */
	ep_channel_reclaim(&channel, EP_TO_APPLICATION, &counts);
	ck_assert_uint_eq(out.sent, in.received + counts.messages);
	ck_assert_uint_eq(out.allocated,
			  in.released + out.freed + counts.buffers + collected(&counts));
	ck_assert_uint_ge(counts.held.buffers, in.refused);
}
END_TEST

static void send_for_ever(void)
{
	uint32_t i;

	for (i = 0;; i++)
		while ((i % 3 ? send_number(i) : send_filled(i, 200)) == -EAGAIN)
			;
}

/* Forked peers share the pages, but a private mapping of its own is not theirs: MADV_DONTFORK. */
static void map_again(int fd)
{
	const char *why;

	if (ep_channel_map(&channel, fd, &why) < 0 ||
	    ep_producer_init(&producer, &channel, EP_TO_APPLICATION, fencing()) < 0)
		_exit(1);
}

START_TEST(a_sender_killed_at_any_instant_leaves_a_clean_cut)
{
	struct ep_received received;
	struct ep_reclaimed counts;
	uint64_t next = 0;
	unsigned until = 100 + (unsigned)_i * 37;
	int fd = ep_channel_create(&small), status;
	const char *why;
	pid_t child;

	ck_assert_int_ge(fd, 0);
	ep_channel_unmap(&channel);
	ck_assert_int_eq(ep_channel_map(&channel, fd, &why), 0);
	ep_consumer_init(&consumer, &channel, EP_TO_APPLICATION, fencing());
	child = fork();
	if (!child) {
		map_again(fd);
		send_for_ever();
	}
	ck_assert_int_gt(child, 0);
	while (next < until) {
		if (ep_receive(&consumer, &received) != 1)
			continue;
		ck_assert(is_whole(&received));
		ck_assert_uint_eq(received.content.context, next++);
		if (received.is_buffer)
			ck_assert_int_eq(ep_release(&consumer, &received.content.buffer), 0);
	}
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	while (ep_receive(&consumer, &received) == 1) {
		ck_assert(is_whole(&received));
		ck_assert_uint_eq(received.content.context, next++);
		if (received.is_buffer)
			ck_assert_int_eq(ep_release(&consumer, &received.content.buffer), 0);
	}
	ck_assert_int_eq(consumer.closed, 0);
	counts = reclaim();   /* drained: at most the one that it was filling is left */
	ck_assert_uint_eq(counts.messages, 0);
	ck_assert_uint_le(collected(&counts), 1);
	close(fd);
}
END_TEST

START_TEST(a_child_has_no_mapping)
{
	int status;
	pid_t child = fork();

	if (!child) {
		signal(SIGSEGV, SIG_DFL);
		producer.lane.head->armed = 1;
		_exit(0);
	}
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}
END_TEST

/* ---- hostile peers ---- */

static struct ep_line *line(unsigned index)
{
	return &consumer.lane.lines[index];
}

static void bad_kind(void) { line(0)->content.kind = 2; }
static void too_long(void) { line(0)->content.size = EP_INLINE + 1; }
static void class_unknown(void) { line(1)->content.buffer.class = 2; }
static void index_unknown(void) { line(1)->content.buffer.index = 3; }
static void generation_unknown(void) { line(1)->content.buffer.generation++; }
static void larger_than_buffer(void) { line(1)->content.size = 65; }
static void other_number(void) { line(0)->word = ep_line_word(5, EP_LINE_SENT); }
static void punched(void)
{
	receive();
	receive();
	send_number(2);
	send_number(3);
	receive();
	receive();
	memset(line(0), 0, sizeof(struct ep_line));
}

static const struct {
	void (*spoil)(void);
	int skip;   /* messages before the one that is spoilt */
	const char *why;
} attacks[] = {
	{ bad_kind, 0, "a line is of no known kind" },
	{ too_long, 0, "a message is larger than its line" },
	{ class_unknown, 1, "a line names a buffer that does not exist" },
	{ index_unknown, 1, "a line names a buffer that does not exist" },
	{ generation_unknown, 1, "a line names a buffer that was released" },
	{ larger_than_buffer, 1, "a message is larger than its buffer" },
	{ other_number, 0, "a line holds a number that is not its own" },
	{ punched, 0, "a line holds a number that is not its own" },
};

START_TEST(nonsense_closes_the_channel_with_its_reason)
{
	struct ep_received received;
	int i;

	ck_assert_int_eq(send_number(0), 0);
	ck_assert_int_eq(send_filled(1, 50), 0);
	attacks[_i].spoil();
	for (i = 0; i < attacks[_i].skip; i++)
		receive();
	ck_assert_int_eq(ep_receive(&consumer, &received), -EPROTO);
	ck_assert_str_eq(consumer.why, attacks[_i].why);
	ck_assert_int_eq(ep_receive(&consumer, &received), -EPROTO);
	ck_assert(!ep_arm(&consumer));
}
END_TEST

START_TEST(a_consumer_that_claims_what_was_not_sent_closes_the_channel)
{
	uint32_t i;

	for (i = 0; i < small.ring; i++)
		ck_assert_int_eq(send_number(i), 0);
	producer.lane.head->consumed = _i ? small.ring + 1 : UINT64_MAX;
	ck_assert_int_eq(send_number(i), -EPROTO);
	producer.lane.head->consumed = 1;
	ck_assert_int_eq(send_number(i), -EPROTO);
}
END_TEST

START_TEST(a_buffer_in_use_is_not_given_out_again_whatever_is_forged)
{
	struct ep_buffer buffer[3], one_more;
	void *memory;
	int i;

	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(ep_allocate(&producer, 256, &buffer[i], &memory), 0);
		producer.lane.released[1][buffer[i].index] = _i ? 77 : 0;
	}
	ck_assert_int_eq(ep_allocate(&producer, 256, &one_more, &memory), -EAGAIN);
}
END_TEST

START_TEST(no_more_is_counted_than_a_channel_holds)
{
	struct ep_reclaimed counts = { 0 };
	unsigned i;

	srand((unsigned)_i);
	for (i = 0; i < (channel.places.backed - EP_LANES_AT) / sizeof(uint64_t); i++)
		((uint64_t *)(void *)(channel.base + EP_LANES_AT))[i] =
			_i ? (uint64_t)rand() << 32 | (unsigned)rand() : ~UINT64_C(0);
	for (i = 0; i < small.ring; i++) {
		line(i)->word = ep_line_word(consumer.lane.head->taken + i, EP_LINE_SENT);
		line(i)->content.size = UINT32_MAX;
	}
	move_fence(EP_DOWN);
	ep_channel_reclaim(&channel, EP_TO_APPLICATION, &counts);
	ck_assert_uint_le(counts.messages, small.ring);
	ck_assert_uint_le(counts.bytes, small.ring * 256);
	ck_assert_uint_le(counts.buffers + collected(&counts), 5);
}
END_TEST

static int unsealed(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, (off_t)ep_geometry_size(&small)), 0);
	return fd;
}

static int no_memfd(void)
{
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

/* A good one with `size` bytes at `at` set to 0xee. */
static int spoilt(off_t at, size_t size)
{
	unsigned char bytes[64];
	int fd = ep_channel_create(&small);

	memset(bytes, 0xee, sizeof bytes);
	ck_assert_int_eq(pwrite(fd, bytes, size, at), (ssize_t)size);
	return fd;
}

static int no_magic(void) { return spoilt(0, 8); }
static int other_layout(void) { return spoilt(offsetof(struct ep_channel_header, layout), 4); }
static int odd_ring(void) { return spoilt(offsetof(struct ep_channel_header, geometry), 4); }

static int other_size(void)
{
	uint32_t ring = 1024;
	int fd = ep_channel_create(&small);

	ck_assert_int_eq(pwrite(fd, &ring, sizeof ring, offsetof(struct ep_channel_header, geometry)),
			 (ssize_t)sizeof ring);
	return fd;
}

static const struct {
	int (*make)(void);
	const char *why;
} files[] = {
	{ unsealed, "it is not sealed as a channel is" },
	{ no_memfd, "it is not sealed as a channel is" },
	{ no_magic, "it has no channel's magic" },
	{ other_layout, "its layout is of another version" },
	{ odd_ring, "a ring has 2 to 32,768 lines, a power of two" },
	{ other_size, "its size is not that of its geometry" },
};

START_TEST(what_is_no_channel_is_refused_with_its_reason)
{
	struct ep_channel out = { 0 };
	const char *why = NULL;
	int fd = files[_i].make();

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ep_channel_map(&out, fd, &why), -EBADMSG);
	ck_assert_str_eq(why ? why : "none", files[_i].why);
	ck_assert_ptr_null(out.base);
	close(fd);
}
END_TEST

START_TEST(a_channel_can_neither_shrink_nor_grow)
{
	int fd = ep_channel_create(&small);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_lt(ftruncate(fd, 0), 0);
	ck_assert_int_lt(ftruncate(fd, 1 << 20), 0);
	ck_assert_int_lt(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	close(fd);
}
END_TEST

/* Whoever polls is not fenced for, and is awake: it is rung for once it has armed itself, and only then. */
START_TEST(who_polls_is_rung_for_when_it_sleeps)
{
	const _Atomic uint32_t *armed = &consumer.lane.head->armed;

	if (!light)
		return;
	ck_assert_int_eq(send_number(1), 0);
	receive();
	ck_assert_uint_eq(atomic_load(armed), EP_POLLING);
	ck_assert_int_eq(send_number(2), 0);
	receive();
	ck_assert(ep_arm(&consumer));
	ck_assert_uint_eq(atomic_load(armed), EP_ARMED);
	ck_assert(!consumer.polls);
	ck_assert_int_eq(send_number(3), 1);
	receive();
	ck_assert_uint_eq(atomic_load(armed), EP_AWAKE);
	for (uint32_t i = 0; i < EP_POLLS_AFTER; i++) {
		ck_assert_int_eq(send_number(4), 0);
		receive();
	}
	ck_assert_uint_eq(atomic_load(armed), EP_POLLING);
}
END_TEST

static int length_of_test(void)
{
	const char *seconds = getenv("EPOCHD_TEST_SECONDS");

	return seconds ? atoi(seconds) : 60;
}

/* What depends on the fences. */
static void fill_fenced(TCase *tcase)
{
	int length = length_of_test();

	rounds = (uint32_t)length * 300;
	tcase_add_test(tcase, only_a_sleeper_is_rung_and_once);
	tcase_add_test(tcase, no_wake_up_is_lost);
	tcase_add_test(tcase, nothing_is_sent_or_received_after_the_fence_moved);
	tcase_add_loop_test(tcase, what_was_taken_back_and_not_counted_is_counted_by_the_next, 0, 2);
	tcase_add_test(tcase, what_was_collected_is_not_given_out_again);
	tcase_add_loop_test(tcase, a_line_is_counted_once_whenever_the_fence_moves, 0, length * 3);
	tcase_add_loop_test(tcase, a_sender_killed_at_any_instant_leaves_a_clean_cut, 0, length);
}

static void fill_light(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up_light, tear_down);
	tcase_add_test(tcase, who_polls_is_rung_for_when_it_sleeps);
	fill_fenced(tcase);
}

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	fill_fenced(tcase);
	tcase_add_loop_test(tcase, each_geometry_is_good_or_says_why_not, 0, ARRAY_SIZE(geometries));
	tcase_add_test(tcase, what_is_not_configured_is_as_designed);
	tcase_add_test(tcase, a_client_may_ask_for_less_and_not_for_more);
	tcase_add_test(tcase, messages_arrive_whole_and_in_order_round_after_round);
	tcase_add_test(tcase, a_full_ring_refuses_until_a_line_was_read);
	tcase_add_test(tcase, a_class_that_is_used_up_is_missed_and_the_next_one_tried);
	tcase_add_test(tcase, what_is_released_in_any_order_comes_back_and_only_once);
	tcase_add_test(tcase, no_message_counts_more_bytes_than_it_has_room_for);
	tcase_add_test(tcase, a_buffer_is_collected_from_whoever_has_it);
	tcase_add_test(tcase, a_child_has_no_mapping);
	tcase_add_loop_test(tcase, nonsense_closes_the_channel_with_its_reason, 0,
			    ARRAY_SIZE(attacks));
	tcase_add_loop_test(tcase, a_consumer_that_claims_what_was_not_sent_closes_the_channel, 0, 2);
	tcase_add_loop_test(tcase, a_buffer_in_use_is_not_given_out_again_whatever_is_forged, 0, 2);
	tcase_add_loop_test(tcase, no_more_is_counted_than_a_channel_holds, 0, 20);
	tcase_add_loop_test(tcase, what_is_no_channel_is_refused_with_its_reason, 0,
			    ARRAY_SIZE(files));
	tcase_add_test(tcase, a_channel_can_neither_shrink_nor_grow);
}

int main(void)
{
	int status = unit_run("channel", fill);

	return unit_run("channel_light", fill_light) == EXIT_SUCCESS ? status : EXIT_FAILURE;
}
