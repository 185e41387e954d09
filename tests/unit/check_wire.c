#include <config.h>

#include "apilib/wire.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int peer[2];
static union ep_wire_packet packet;
static int fds[EP_WIRE_FDS_MAX];
static unsigned fd_count;

static void set_up(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, peer), 0);
}

static void tear_down(void)
{
	close(peer[0]);
	close(peer[1]);
}

static int receive(unsigned allowed)
{
	return ep_wire_receive(peer[1], &packet, fds, &fd_count, allowed);
}

static struct ep_wire_hello hello(void)
{
	return (struct ep_wire_hello){ ep_wire_make(EP_WIRE_HELLO, sizeof(struct ep_wire_hello)),
				       "kv", "reader" };
}

/* How many descriptors this process has, from 3 to 63. */
static int count_fds(void)
{
	int count = 0;

	for (int fd = 3; fd < 64; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

START_TEST(a_packet_comes_as_it_was_sent_with_its_descriptors)
{
	struct ep_wire_hello sent = hello();
	int ends[2];
	char byte;

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(ep_wire_send(peer[0], &sent, ends, 2), 0);
	ck_assert_int_eq(receive(4), 1);
	ck_assert_uint_eq(fd_count, 2);
	ck_assert_str_eq(packet.hello.app, "kv");
	ck_assert_str_eq(packet.hello.name, "reader");
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	ck_assert_int_eq(read(fds[0], &byte, 1), 1);
	for (int i = 0; i < 2; i++) {
		close(ends[i]);
		close(fds[i]);
	}
	ck_assert_int_eq(receive(4), -EAGAIN);
	close(peer[0]);
	ck_assert_int_eq(receive(4), 0);
	peer[0] = -1;
}
END_TEST

/* Nothing is leaked, whatever came with what. */
START_TEST(descriptors_that_nobody_asked_for_are_closed)
{
	struct ep_wire_hello sent = hello();
	int three[4] = { 0, 1, 2, 0 }, before = count_fds();

	ck_assert_int_eq(ep_wire_send(peer[0], &sent, three, 3), 0);
	ck_assert_int_eq(receive(2), -EPROTO);
	ck_assert_int_eq(count_fds(), before);
	ck_assert_int_eq(ep_wire_send(peer[0], &sent, three, 5), -EINVAL);
	sent.head.kind = 77;
	ck_assert_int_eq(ep_wire_send(peer[0], &sent, three, 4), 0);
	ck_assert_int_eq(receive(4), -EPROTO);
	ck_assert_int_eq(count_fds(), before);
}
END_TEST

static const struct { size_t at; unsigned char value; size_t size; } spoiled[] = {
	{ 0, EP_WIRE_VERSION + 1, 0 }, { 0, EP_WIRE_VERSION - 1, 0 },   /* another version */
	{ 2, 0, 0 }, { 2, EP_WIRE_KINDS, 0 }, { 3, 1, 0 },     /* no kind */
	{ 2, EP_WIRE_JOIN, 0 },                                /* another's size */
	{ 4, 0, 0 }, { 6, 1, 0 },                              /* its size is said wrong */
	{ 0, EP_WIRE_VERSION, 4 }, { 0, EP_WIRE_VERSION, 7 },                             /* less than a head */
	{ 0, EP_WIRE_VERSION, sizeof(struct ep_wire_hello) - 1 },
};
START_TEST(what_is_no_packet_is_refused)
{
	struct ep_wire_hello sent = hello();
	size_t size = spoiled[_i].size ? spoiled[_i].size : sizeof sent;

	((unsigned char *)&sent)[spoiled[_i].at] = spoiled[_i].value;
	ck_assert_int_eq(send(peer[0], &sent, size, 0), (ssize_t)size);
	ck_assert_int_eq(receive(0), -EPROTO);
}
END_TEST

START_TEST(a_text_without_end_is_refused)
{
	struct ep_wire_hello sent = hello();

	memset(sent.name, 'x', sizeof sent.name);
	ck_assert_int_eq(send(peer[0], &sent, sizeof sent, 0), (ssize_t)sizeof sent);
	ck_assert_int_eq(receive(0), -EPROTO);
	sent = hello();
	memset(sent.app, 'x', sizeof sent.app);
	sent.name[0] = 0;
	ck_assert_int_eq(send(peer[0], &sent, sizeof sent, 0), (ssize_t)sizeof sent);
	ck_assert_int_eq(receive(0), -EPROTO);
}
END_TEST

START_TEST(a_packet_too_large_is_refused)
{
	static char large[EP_WIRE_PACKET_MAX + 1];
	struct ep_wire_head head = ep_wire_make(EP_WIRE_TABLE, EP_WIRE_PACKET_MAX);

	memcpy(large, &head, sizeof head);
	ck_assert_int_eq(ep_wire_send(peer[0], large, NULL, 0), 0);
	ck_assert_int_eq(receive(0), 1);
	ck_assert_uint_eq(packet.head.size, EP_WIRE_PACKET_MAX);
	ck_assert_int_eq(send(peer[0], large, sizeof large, 0), (ssize_t)sizeof large);
	ck_assert_int_eq(receive(0), -EPROTO);
}
END_TEST

/* I9: whoever does not read holds nobody up, and whoever is gone raises no signal. */
/* Its last words are there still. */
START_TEST(who_closes_with_something_unread_is_heard)
{
	struct ep_wire_goodbye goodbye = { ep_wire_make(EP_WIRE_GOODBYE, sizeof goodbye) };
	struct ep_wire_ping ping = { ep_wire_make(EP_WIRE_PING, sizeof ping), 1 };

	ck_assert_int_eq(ep_wire_send(peer[1], &ping, NULL, 0), 0);
	ck_assert_int_eq(ep_wire_send(peer[0], &goodbye, NULL, 0), 0);
	close(peer[0]);
	ck_assert_int_eq(receive(0), 1);
	ck_assert_uint_eq(packet.head.kind, EP_WIRE_GOODBYE);
	ck_assert_int_eq(receive(0), 0);
	peer[0] = dup(peer[1]);   /* for tear_down() */
}
END_TEST

START_TEST(sending_never_waits)
{
	struct ep_wire_hello sent = hello();
	int r;

	do
		r = ep_wire_send(peer[0], &sent, NULL, 0);
	while (r == 0);
	ck_assert_int_eq(r, -EAGAIN);
	close(peer[1]);
	r = ep_wire_send(peer[0], &sent, NULL, 0);
	ck_assert(r == -EPIPE || r == -ECONNRESET);
	peer[1] = -1;
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_packet_comes_as_it_was_sent_with_its_descriptors);
	tcase_add_test(tcase, descriptors_that_nobody_asked_for_are_closed);
	tcase_add_loop_test(tcase, what_is_no_packet_is_refused, 0, ARRAY_SIZE(spoiled));
	tcase_add_test(tcase, a_text_without_end_is_refused);
	tcase_add_test(tcase, a_packet_too_large_is_refused);
	tcase_add_test(tcase, who_closes_with_something_unread_is_heard);
	tcase_add_test(tcase, sending_never_waits);
}

int main(void)
{
	return unit_run("wire", fill);
}
