#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ev.h>

#include "supervisor/notify.h"
#include "tests/unit/unit.h"

static struct ev_loop *loop;
static struct notify *notify;
static char directory[] = "/tmp/epochd-notify-XXXXXX";
static char path[80];

/* What arrived. */
static unsigned heard;
static struct notify_message last;
static char status[2048];
static pid_t welcome;      /* 0: everybody */
static bool close_in_callback;

static bool is_welcome(pid_t pid, uid_t uid, void *user)
{
	ck_assert_ptr_eq(user, &heard);
	ck_assert_uint_eq(uid, getuid());
	return welcome == 0 || pid == welcome;
}

static void hear(const struct notify_message *message, void *user)
{
	ck_assert_ptr_eq(user, &heard);
	heard++;
	last = *message;
	snprintf(status, sizeof status, "%s", message->status ? message->status : "(none)");
	if (close_in_callback)
		notify_close(STEAL(notify));
}

static void set_up(void)
{
	loop = ev_loop_new(EVFLAG_AUTO);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/notify", directory);
	ck_assert_int_eq(notify_open(&notify, loop, path, is_welcome, hear, &heard), 0);
}

static void tear_down(void)
{
	notify_close(notify);
	ck_assert_int_eq(access(path, F_OK), -1);   /* the path went with it */
	ck_assert_int_eq(rmdir(directory), 0);      /* and nothing else was left */
	ev_loop_destroy(loop);
}

static int connected(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void send_bytes(const void *bytes, size_t size)
{
	int fd = connected();
	int room = 1 << 20;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	ck_assert_int_eq(send(fd, bytes, size, 0), (ssize_t)size);
	close(fd);
}

static void say(const char *text)
{
	send_bytes(text, strlen(text));
	notify_drain(notify);
}

static void send_with_fd(const char *text, int passed)
{
	union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = { { 0 } };
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
				 .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&header);
	int fd = connected();

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof passed);
	memcpy(CMSG_DATA(c), &passed, sizeof passed);
	ck_assert_int_ge(sendmsg(fd, &header, 0), 0);
	close(fd);
}

START_TEST(one_datagram_may_say_several_things)
{
	say("READY=1\nSTATUS=at work\nMAINPID=4711\nWATCHDOG_USEC=2000000\n"
	    "EXTEND_TIMEOUT_USEC=500\nX_FOO=bar\n");
	ck_assert_uint_eq(heard, 1);
	ck_assert(last.ready && !last.stopping && !last.reloading);
	ck_assert(!last.watchdog && !last.watchdog_trigger);
	ck_assert_str_eq(status, "at work");
	ck_assert_int_eq(last.main_pid, 4711);
	ck_assert_int_eq(last.watchdog_ns, 2000000000);
	ck_assert_int_eq(last.extend_ns, 500000);
	ck_assert_int_eq(last.sender, getpid());
	ck_assert_uint_eq(last.uid, getuid());
	say("STOPPING=1");
	ck_assert(last.stopping && !last.ready);
	ck_assert_str_eq(status, "(none)");
	ck_assert_int_eq(last.watchdog_ns, -1);
	ck_assert_int_eq(last.extend_ns, -1);
	ck_assert_int_eq(last.main_pid, 0);
	say("RELOADING=1\nMONOTONIC_USEC=12");
	ck_assert(last.reloading);
	say("WATCHDOG=1");
	ck_assert(last.watchdog && !last.watchdog_trigger);
	say("WATCHDOG=trigger");
	ck_assert(last.watchdog_trigger && !last.watchdog);
	say("WATCHDOG_USEC=0");
	ck_assert_int_eq(last.watchdog_ns, 0);
	say("STATUS=first\nSTATUS=second");
	ck_assert_str_eq(status, "first");
	say("STATUS=");
	ck_assert_str_eq(status, "");
	ck_assert_uint_eq(heard, 8);
}
END_TEST

/* Nothing of it may be believed; a line that is good beside it counts. */
static const char *const hostile[] = {
	"READY=10", "READY=", "READY", " READY=1", "READY =1", "ready=1", "READY=1 ", "", "\n\n\n", "=",
	"MAINPID=0", "MAINPID=-1", "MAINPID= 1", "MAINPID=1x", "MAINPID=", "MAINPID=2147483648",
	"MAINPID=99999999999999999999999", "MAINPID=+1", "MAINPID=0x1", "MAINPID=1.0",
	"WATCHDOG_USEC=", "WATCHDOG_USEC=-1", "WATCHDOG_USEC=18446744073709551615",
	"WATCHDOG_USEC=18446744073709551617", "WATCHDOG_USEC=1s", "WATCHDOG_USEC= 1",
	"EXTEND_TIMEOUT_USEC=9223372036854775807", "EXTEND_TIMEOUT_USEC=\t1", "WATCHDOG=", "WATCHDOG=2",
	"WATCHDOG=trigger1", "BARRIER=1", "FDSTORE=1\nFDNAME=x", "\xff\xfe\xfd", "%n%s%s%n",
};

START_TEST(what_is_malformed_is_ignored)
{
	char both[256];

	say(hostile[_i]);
	ck_assert_uint_eq(heard, 0);
	snprintf(both, sizeof both, "%s\nSTOPPING=1", hostile[_i]);
	say(both);
	ck_assert_uint_eq(heard, 1);
	ck_assert(last.stopping && !last.ready && !last.watchdog && !last.watchdog_trigger);
	ck_assert_int_eq(last.watchdog_ns, -1);
	ck_assert_int_eq(last.extend_ns, -1);
	ck_assert_int_eq(last.main_pid, 0);
}
END_TEST

START_TEST(a_nul_inside_spoils_all_and_one_at_the_end_nothing)
{
	send_bytes("READY=1\0STOPPING=1", 18);
	send_bytes("\0", 2);
	notify_drain(notify);
	ck_assert_uint_eq(heard, 0);
	send_bytes("READY=1", 8);
	notify_drain(notify);
	ck_assert_uint_eq(heard, 1);
	ck_assert(last.ready);
}
END_TEST

START_TEST(the_longest_datagram_is_heard_and_a_longer_one_is_not)
{
	size_t most = 64 * 1024;
	char *text = malloc(most + 1);

	memset(text, 'x', most + 1);
	memcpy(text, "READY=1\nSTATUS=", 15);
	send_bytes(text, most);
	notify_drain(notify);
	ck_assert_uint_eq(heard, 1);
	ck_assert_uint_eq(strlen(status), 512);
	send_bytes(text, most + 1);
	notify_drain(notify);
	ck_assert_uint_eq(heard, 1);
	free(text);
}
END_TEST

static const struct { const char *said, *shown; } texts[] = {
	{ "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
	{ "\x1b[31mred\x07\t\r\x7f", "?[31mred????" },
	{ "\xc3", "?" },                          /* cut off */
	{ "\xe2\x82", "??" },
	{ "\xe2\x82x", "??x" },
	{ "\xc0\xaf", "??" },                     /* a '/' in too long a form */
	{ "\xed\xa0\x80", "???" },                /* a surrogate */
	{ "\xf4\x90\x80\x80", "????" },           /* beyond Unicode */
	{ "\xf8\x88\x80\x80\x80", "?????" },
	{ "\xc2\x9b" "31m", "?31m" },             /* a control of eight bits */
	{ "a\xe2\x80\xae" "b", "a?b" },           /* turns the line around */
	{ "\xef\xbf\xbf", "?" },
	{ "100% %s", "100% %s" },
};

START_TEST(a_status_is_made_printable)
{
	char text[128];

	snprintf(text, sizeof text, "STATUS=%s", texts[_i].said);
	say(text);
	ck_assert_str_eq(status, texts[_i].shown);
}
END_TEST

START_TEST(a_status_is_cut_between_characters)
{
	char text[600] = "STATUS=x";

	for (size_t i = 8; i + 2 < sizeof text; i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	say(text);
	ck_assert_uint_eq(strlen(status), 511);
	ck_assert_str_eq(status + 509, "\xc3\xa9");
}
END_TEST

START_TEST(strangers_are_not_heard)
{
	pid_t child;

	welcome = getpid();
	child = fork();
	if (child == 0) {
		send_bytes("READY=1", 7);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	notify_drain(notify);
	ck_assert_uint_eq(heard, 0);
	child = fork();
	if (child == 0) {
		send_bytes("READY=1", 7);
		_exit(0);
	}
	welcome = child;
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	notify_drain(notify);
	ck_assert_uint_eq(heard, 1);
	ck_assert_int_eq(last.sender, child);
}
END_TEST

static unsigned open_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

START_TEST(a_barrier_is_answered)
{
	unsigned before = open_fds();
	struct pollfd end;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	send_with_fd("BARRIER=1", fds[1]);
	close(fds[1]);
	end = (struct pollfd){ fds[0], POLLIN, 0 };
	ck_assert_int_eq(poll(&end, 1, 0), 0);
	notify_drain(notify);
	ck_assert_int_eq(poll(&end, 1, 0), 1);
	ck_assert(end.revents & POLLHUP);
	close(fds[0]);
	ck_assert_uint_eq(open_fds(), before);
	ck_assert_uint_eq(heard, 0);
}
END_TEST

/* The closing end of a socket pair tells when a thread has closed the other. */
START_TEST(other_fds_are_closed_too_also_those_of_strangers)
{
	unsigned before = open_fds();

	for (int i = 0; i < 40; i++) {
		struct pollfd end;
		int fds[2];

		welcome = i % 2 ? 1 : 0;
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		send_with_fd("FDSTORE=1\nREADY=1", fds[1]);
		close(fds[1]);
		end = (struct pollfd){ fds[0], POLLIN, 0 };
		while (poll(&end, 1, 1) == 0)
			ev_run(loop, EVRUN_NOWAIT);
		ck_assert(end.revents & POLLHUP);
		close(fds[0]);
	}
	ck_assert_uint_eq(open_fds(), before);
	ck_assert_uint_eq(heard, 20);
}
END_TEST

START_TEST(the_loop_reads_all_of_a_flood)
{
	unsigned sent = 0;
	int fd = connected();

	while (heard < 1000) {
		while (sent < 1000 && send(fd, "WATCHDOG=1", 10, MSG_DONTWAIT) == 10)
			sent++;
		ev_run(loop, EVRUN_ONCE);
	}
	ck_assert_uint_eq(heard, 1000);
	close(fd);
}
END_TEST

START_TEST(the_callback_may_close_it)
{
	close_in_callback = true;
	send_bytes("READY=1", 7);
	send_bytes("STOPPING=1", 10);
	ev_run(loop, EVRUN_ONCE);
	ck_assert_uint_eq(heard, 1);
	ck_assert_ptr_null(notify);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(the_next_supervisor_takes_the_path_over)
{
	struct notify *next;
	struct stat st;

	ck_assert_int_eq(notify_open(&next, loop, path, is_welcome, hear, &heard), 0);
	ck_assert_str_eq(notify_path(next), path);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_int_eq(st.st_mode & 0777, 0666);
	send_bytes("READY=1", 7);
	notify_drain(notify);
	ck_assert_uint_eq(heard, 0);
	notify_drain(next);
	ck_assert_uint_eq(heard, 1);
	notify_close(next);
}
END_TEST

START_TEST(a_file_in_the_way_is_replaced_and_a_directory_is_not)
{
	struct notify *other;
	char there[128];
	FILE *file;

	snprintf(there, sizeof there, "%s/there", directory);
	file = fopen(there, "w");
	ck_assert_ptr_nonnull(file);
	fclose(file);
	ck_assert_int_eq(notify_open(&other, loop, there, is_welcome, hear, &heard), 0);
	notify_close(other);
	ck_assert_int_eq(mkdir(there, 0700), 0);
	ck_assert_int_lt(notify_open(&other, loop, there, is_welcome, hear, &heard), 0);
	ck_assert_int_eq(rmdir(there), 0);
}
END_TEST

START_TEST(a_path_that_is_too_long_is_refused)
{
	struct notify *other;
	char there[160];

	memset(there, 'x', sizeof there - 1);
	there[sizeof there - 1] = '\0';
	memcpy(there, directory, strlen(directory));
	there[strlen(directory)] = '/';
	ck_assert_int_eq(notify_open(&other, loop, there, is_welcome, hear, &heard), -ENAMETOOLONG);
}
END_TEST

START_TEST(closing_nothing_is_fine)
{
	notify_close(NULL);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, one_datagram_may_say_several_things);
	tcase_add_loop_test(tcase, what_is_malformed_is_ignored, 0, ARRAY_SIZE(hostile));
	tcase_add_test(tcase, a_nul_inside_spoils_all_and_one_at_the_end_nothing);
	tcase_add_test(tcase, the_longest_datagram_is_heard_and_a_longer_one_is_not);
	tcase_add_loop_test(tcase, a_status_is_made_printable, 0, ARRAY_SIZE(texts));
	tcase_add_test(tcase, a_status_is_cut_between_characters);
	tcase_add_test(tcase, strangers_are_not_heard);
	tcase_add_test(tcase, a_barrier_is_answered);
	tcase_add_test(tcase, other_fds_are_closed_too_also_those_of_strangers);
	tcase_add_test(tcase, the_loop_reads_all_of_a_flood);
	tcase_add_test(tcase, the_callback_may_close_it);
	tcase_add_test(tcase, the_next_supervisor_takes_the_path_over);
	tcase_add_test(tcase, a_file_in_the_way_is_replaced_and_a_directory_is_not);
	tcase_add_test(tcase, a_path_that_is_too_long_is_refused);
	tcase_add_test(tcase, closing_nothing_is_fine);
}

int main(void)
{
	return unit_run("notify", fill);
}
