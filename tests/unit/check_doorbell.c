#include <config.h>

#include "apilib/doorbell.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

static int bell[2];
static uint32_t found[EP_BELL_BATCH];
static size_t count;
static bool odd;

static void set_up(void)
{
	ck_assert_int_eq(pipe2(bell, O_NONBLOCK | O_CLOEXEC), 0);
	odd = false;
}

static void tear_down(void)
{
	close(bell[0]);
	close(bell[1]);
}

START_TEST(indices_come_as_they_were_rung)
{
	static const uint32_t rung[] = { 0, 1, 127, 128, 16383, 16384, 0xabcde, 0xfffff };

	for (size_t i = 0; i < ARRAY_SIZE(rung); i++)
		ck_assert(ep_bell_ring_index(bell[1], rung[i]));
	ck_assert(!ep_bell_drain_indices(bell[0], found, &count, &odd));
	ck_assert_uint_eq(count, ARRAY_SIZE(rung));
	for (size_t i = 0; i < count; i++)
		ck_assert_uint_eq(found[i], rung[i]);
	ck_assert(!odd);
	ck_assert(!ep_bell_drain_indices(bell[0], found, &count, &odd));
	ck_assert_uint_eq(count, 0);
}
END_TEST

static const struct { const char *bytes; size_t size; } foreign[] = {
	{ "\x00", 1 }, { "\x80", 1 }, { "\xff\xff", 2 }, { "\x80\x01", 2 }, { "\x01\x02\x80\x05", 4 },
};
/* Whatever stands before it, an honest one is whole. */
START_TEST(foreign_bytes_are_noticed_and_change_no_index)
{
	ck_assert_int_eq(write(bell[1], foreign[_i].bytes, foreign[_i].size), (ssize_t)foreign[_i].size);
	ck_assert(ep_bell_ring_index(bell[1], 0x12345));
	ep_bell_drain_indices(bell[0], found, &count, &odd);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(found[0], 0x12345);
	ck_assert(odd);
}
END_TEST

START_TEST(a_full_bell_says_so_and_never_waits)
{
	size_t rung = 0, sum = 0;
	bool more;

	while (ep_bell_ring_index(bell[1], 7))
		rung++;
	ck_assert_uint_ge(rung, EP_BELL_FULL_PERHAPS);
	do {
		more = ep_bell_drain_indices(bell[0], found, &count, &odd);
		sum += count;
	} while (more);
	ck_assert_uint_eq(sum, rung);
	ck_assert(!odd);
	ck_assert(ep_bell_ring_index(bell[1], 7));
}
END_TEST

START_TEST(an_application_that_is_gone_raises_no_signal)
{
	sigset_t mask;

	close(bell[0]);
	ck_assert(ep_bell_ring_index(bell[1], 7));   /* SIGPIPE would have ended us */
	bell[0] = -1;
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
	ck_assert(!sigismember(&mask, SIGPIPE));
}
END_TEST

/* A host that had blocked it keeps what is pending, and its mask. */
START_TEST(the_hosts_own_signals_are_left_alone)
{
	sigset_t mask, pending;

	sigemptyset(&mask);
	sigaddset(&mask, SIGPIPE);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
	raise(SIGPIPE);
	close(bell[0]);
	bell[0] = -1;
	ep_bell_ring_index(bell[1], 7);
	ck_assert_int_eq(sigpending(&pending), 0);
	ck_assert(sigismember(&pending, SIGPIPE));
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
	ck_assert(sigismember(&mask, SIGPIPE));
}
END_TEST

START_TEST(a_clients_bell_is_drained_whole)
{
	for (int i = 0; i < 1000; i++)
		ep_bell_ring(bell[1]);
	ep_bell_drain(bell[0]);
	ck_assert_int_eq(read(bell[0], found, 1), -1);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, indices_come_as_they_were_rung);
	tcase_add_loop_test(tcase, foreign_bytes_are_noticed_and_change_no_index, 0, ARRAY_SIZE(foreign));
	tcase_add_test(tcase, a_full_bell_says_so_and_never_waits);
	tcase_add_test(tcase, an_application_that_is_gone_raises_no_signal);
	tcase_add_test(tcase, the_hosts_own_signals_are_left_alone);
	tcase_add_test(tcase, a_clients_bell_is_drained_whole);
}

int main(void)
{
	return unit_run("doorbell", fill);
}
