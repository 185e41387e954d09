/* What must not be reordered, with full fences of both ends, and where they leave them to a third (barrier.h): tried many
 * times with the lines of both in motion, so that a store takes its time to be seen. Here one thread is the producer, or
 * whoever moves the fence, and the other one the consumer. */
#include <config.h>

#define EP_FAULTS

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "apilib/barrier.h"
#include "apilib/channel.h"
#include "apilib/fault.h"
#include "apilib/fence.h"
#include "apilib/wait.h"
#include "tests/unit/unit.h"

#define EPOCH 7

enum { LINES = 32, DELAY = 64 };

static const struct ep_geometry geometry = { .ring = LINES, .classes = 1, .class = { { 64, 1 } } };
static struct ep_channel channel;
static struct ep_producer producer;
static struct ep_consumer consumer;
static _Alignas(64) _Atomic uint64_t fence;
static _Alignas(64) _Atomic unsigned began, done;   /* rounds */
static _Alignas(64) struct { uint64_t received; bool sleeps; int end; } theirs;
static unsigned seed = 1, their_seed = 2;
static bool light;
static void (*published)(void);   /* in the middle of a send; or NULL */

void ep_fault_passed(enum ep_fault fault)
{
	if (fault == EP_AT_send_published && published)
		published();
}

void ep_fault_mapped(int fd) { (void)fd; }

static void move_fence(enum ep_state state)
{
	atomic_store_explicit(&fence, ep_fence_pack(EPOCH, state, (struct ep_end){ 0 }), memory_order_release);
}

/* Keeps the line in motion meanwhile. */
static void dally(unsigned *with, const _Atomic uint64_t *line)
{
	for (unsigned n = (unsigned)rand_r(with) % DELAY; n; n--) {   /* NOLINT(concurrency-mt-unsafe) */
		(void)atomic_load_explicit(line, memory_order_relaxed);
		ep_relax();
	}
}

static void await_count(const _Atomic unsigned *count, unsigned number)
{
	for (unsigned n = 1; atomic_load_explicit(count, memory_order_acquire) != number; n++) {
		ep_relax();
		if (n % 1024 == 0)   /* the other one may need this processor */
			sched_yield();
	}
}

/* ---- rounds ---- */

static void begin_round(void)
{
	const struct ep_fencing fencing = { &fence, EPOCH, light };

	memset((char *)channel.base + EP_LANES_AT, 0, channel.size - EP_LANES_AT);
	move_fence(EP_UP);
	ep_producer_deinit(&producer);
	ck_assert_int_eq(ep_producer_init(&producer, &channel, EP_TO_APPLICATION, fencing), 0);
	ep_consumer_init(&consumer, &channel, EP_TO_APPLICATION, fencing);
	memset(&theirs, 0, sizeof theirs);
	consumer.polls = light;
	atomic_store_explicit(&consumer.lane.head->armed, light ? EP_POLLING : EP_AWAKE, memory_order_relaxed);
}

static int send_one(void)
{
	return ep_send_small(&producer, 1, 0, "", 1);
}

static void receive_all(void)
{
	struct ep_received received;
	int r;

	while ((r = ep_receive(&consumer, &received)) >= 0)
		theirs.received += (uint64_t)r;
	theirs.end = r;
}

static void go_to_sleep(void)
{
	dally(&their_seed, &producer.lane.lines[0].word);
	theirs.sleeps = ep_arm(&consumer);
}

struct play {
	unsigned rounds;
	void (*prepare)(void), (*mine)(void), (*theirs)(void), (*check)(void);
};

static void *be_the_other(void *user)
{
	const struct play *play = user;

	for (unsigned i = 1; i <= play->rounds; i++) {
		await_count(&began, i);
		play->theirs();
		atomic_store_explicit(&done, i, memory_order_release);
	}
	return NULL;
}

static void nothing(void) { }

static void run(int is_light, struct play *play)
{
	const char *seconds = getenv("EPOCHD_TEST_SECONDS");
	pthread_t other;

	light = is_light;
	if (light && (!ep_barrier_works() || !ep_barrier_join()))
		return;   /* then nobody leaves out a fence */
	play->rounds = (seconds ? (unsigned)atoi(seconds) : 60) * 1000;
	ck_assert_int_eq(pthread_create(&other, NULL, be_the_other, play), 0);
	for (unsigned i = 1; i <= play->rounds; i++) {
		begin_round();
		play->prepare();
		atomic_store_explicit(&began, i, memory_order_release);
		play->mine();
		await_count(&done, i);
		play->check();
	}
	pthread_join(other, NULL);
}

static void set_up(void)
{
	const char *why;
	int fd = ep_channel_create(&geometry);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ep_channel_map(&channel, fd, &why), 0);
	close(fd);
}

static void tear_down(void)
{
	published = NULL;
	ep_producer_deinit(&producer);
	ep_channel_unmap(&channel);
}

/* ---- what must not be reordered ---- */

static int rang;

static void send_late(void)
{
	dally(&seed, (const _Atomic uint64_t *)(const void *)&consumer.lane.head->armed);
	rang = send_one();
}

static void check_rung(void)
{
	ck_assert_int_ge(rang, 0);
	ck_assert_msg(rang || !theirs.sleeps, "the consumer sleeps, and nobody rings");
}

START_TEST(whoever_goes_to_sleep_is_rung_for)
{
	struct play play = { 0, nothing, send_late, go_to_sleep, check_rung };

	run(_i, &play);
}
END_TEST

static struct ep_reclaimed counts;

static void fill_ring(void)
{
	for (int i = 0; i < LINES; i++)
		ck_assert_int_eq(send_one(), 0);
	counts = (struct ep_reclaimed){ 0 };
}

static void end_epoch(void)
{
	dally(&seed, &consumer.lane.head->taken);
	move_fence(EP_DOWN);
	if (light)
		ep_barrier();
	ep_channel_reclaim(&channel, EP_TO_APPLICATION, &counts);
}

static void check_reclaimed(void)
{
	ck_assert_int_eq(theirs.end, -ESTALE);
	ck_assert_uint_eq(theirs.received + counts.messages, LINES);
}

START_TEST(what_is_received_is_not_reclaimed)
{
	struct play play = { 0, fill_ring, end_epoch, receive_all, check_reclaimed };

	run(_i, &play);
}
END_TEST

static void end_amid(void)
{
	dally(&seed, &consumer.lane.head->taken);
	move_fence(EP_DOWN);
}

static void send_as_it_ends(void)
{
	published = end_amid;
	rang = send_one();
	published = NULL;
}

static void check_sent(void)
{
	ck_assert_int_eq(theirs.end, -ESTALE);
	ck_assert_uint_eq(theirs.received, rang >= 0);
}

START_TEST(what_is_received_is_not_taken_back)
{
	struct play play = { 0, nothing, send_as_it_ends, receive_all, check_sent };

	run(_i, &play);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, whoever_goes_to_sleep_is_rung_for, 0, 2);
	tcase_add_loop_test(tcase, what_is_received_is_not_reclaimed, 0, 2);
	tcase_add_loop_test(tcase, what_is_received_is_not_taken_back, 0, 2);
}

int main(void)
{
	return unit_run("barrier", fill);
}
