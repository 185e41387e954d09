#include <config.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <ev.h>

#include "supervisor/upward.h"
#include "tests/unit/unit.h"

static struct ev_loop *loop;
static struct upward *upward;
static char directory[] = "/tmp/epochd-upward-XXXXXX";
static char path[80];
static int manager;
static char heard[1024];

static void set_up(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	loop = ev_loop_new(EVFLAG_AUTO);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/manager", directory);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(manager, (const struct sockaddr *)&address, sizeof address), 0);
	setenv("NOTIFY_SOCKET", path, 1);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

static void tear_down(void)
{
	upward_close(upward);
	close(manager);
	unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
	ev_loop_destroy(loop);
}

/* What the manager was told next, or "" for nothing. */
static const char *hear(void)
{
	ssize_t n = recv(manager, heard, sizeof heard - 1, MSG_DONTWAIT);

	heard[n > 0 ? n : 0] = '\0';
	return heard;
}

static bool anything_is_left_in_the_environment(void)
{
	return getenv("NOTIFY_SOCKET") || getenv("WATCHDOG_USEC") || getenv("WATCHDOG_PID");
}

START_TEST(each_word_arrives)
{
	ck_assert_int_eq(upward_open(&upward, loop), 0);
	ck_assert_ptr_nonnull(upward);
	ck_assert(!anything_is_left_in_the_environment());
	upward_ready(upward);
	ck_assert_str_eq(hear(), "READY=1");
	upward_status(upward, "3 of 3 up");
	ck_assert_str_eq(hear(), "STATUS=3 of 3 up");
	upward_stopping(upward);
	ck_assert_str_eq(hear(), "STOPPING=1");
	upward_extend(upward, 12345678);
	ck_assert_str_eq(hear(), "EXTEND_TIMEOUT_USEC=12345");
	ck_assert_str_eq(hear(), "");
}
END_TEST

START_TEST(reloading_comes_with_the_time)
{
	struct timespec before, after;
	int64_t usec;

	ck_assert_int_eq(upward_open(&upward, loop), 0);
	clock_gettime(CLOCK_MONOTONIC, &before);
	upward_reloading(upward);
	clock_gettime(CLOCK_MONOTONIC, &after);
	ck_assert_int_eq(sscanf(hear(), "RELOADING=1\nMONOTONIC_USEC=%" SCNd64, &usec), 1);
	ck_assert_int_ge(usec, before.tv_sec * 1000000 + before.tv_nsec / 1000);
	ck_assert_int_le(usec, after.tv_sec * 1000000 + after.tv_nsec / 1000);
}
END_TEST

START_TEST(a_status_stays_one_line_and_is_cut)
{
	char text[2000];

	ck_assert_int_eq(upward_open(&upward, loop), 0);
	upward_status(upward, "a\nREADY=1\r\tb");
	ck_assert_str_eq(hear(), "STATUS=a READY=1  b");
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	upward_status(upward, text);
	ck_assert_uint_eq(strlen(hear()), 511);
}
END_TEST

START_TEST(nobody_to_be_told_is_fine)
{
	if (_i == 0)
		unsetenv("NOTIFY_SOCKET");
	else
		setenv("NOTIFY_SOCKET", _i == 1 ? "" : "vsock:2:1234", 1);
	setenv("WATCHDOG_USEC", "1000", 1);
	upward = (struct upward *)1;
	ck_assert_int_eq(upward_open(&upward, loop), 0);
	ck_assert_ptr_null(upward);
	ck_assert(!anything_is_left_in_the_environment());
	upward_ready(upward);
	upward_status(upward, "x");
	upward_reloading(upward);
	upward_stopping(upward);
	upward_extend(upward, 1);
	upward_close(upward);
	ck_assert_int_eq(ev_run(loop, 0), 0);   /* no timer is left */
}
END_TEST

START_TEST(an_abstract_socket_is_reached)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[80];

	snprintf(name, sizeof name, "@epochd-check-%d", (int)getpid());
	memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
	close(manager);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(manager, (const struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	ck_assert_int_eq(upward_open(&upward, loop), 0);
	upward_ready(upward);
	ck_assert_str_eq(hear(), "READY=1");
}
END_TEST

static const struct { const char *usec, *pid; bool fed; } watchdogs[] = {
	{ "20000", NULL, true },
	{ "20000", "self", true },
	{ "20000", "1", false },
	{ "20000", "x", false },
	{ "0", NULL, false },
	{ "-1", NULL, false },
	{ " 20000", NULL, false },
	{ "20000s", NULL, false },
	{ NULL, NULL, false },
};

START_TEST(the_watchdog_is_fed_if_it_is_ours)
{
	char self[16];

	snprintf(self, sizeof self, "%d", (int)getpid());
	if (watchdogs[_i].usec)
		setenv("WATCHDOG_USEC", watchdogs[_i].usec, 1);
	if (watchdogs[_i].pid)
		setenv("WATCHDOG_PID", strcmp(watchdogs[_i].pid, "self") ? watchdogs[_i].pid : self, 1);
	ck_assert_int_eq(upward_open(&upward, loop), 0);
	ck_assert(!anything_is_left_in_the_environment());
	if (!watchdogs[_i].fed) {
		ck_assert_int_eq(ev_run(loop, 0), 0);   /* ends at once: nothing is armed */
		return;
	}
	for (int i = 0; i < 3; i++) {
		ev_now_update(loop);
		ev_run(loop, EVRUN_ONCE);
		ck_assert_str_eq(hear(), "WATCHDOG=1");
	}
}
END_TEST

START_TEST(a_full_queue_delays_and_loses_nothing)
{
	char text[32];
	int said;

	ck_assert_int_eq(upward_open(&upward, loop), 0);
	for (said = 0; said < 1000; said++) {   /* until the queue is full: then a timer is armed */
		snprintf(text, sizeof text, "%d", said);
		upward_status(upward, text);
		if (ev_pending_count(loop) || ev_run(loop, EVRUN_NOWAIT))
			break;
	}
	ck_assert_int_lt(said, 1000);
	upward_ready(upward);
	for (int i = 0; i <= said; i++) {
		snprintf(text, sizeof text, "STATUS=%d", i);
		while (!*hear())
			ev_run(loop, EVRUN_ONCE);
		ck_assert_str_eq(heard, text);
	}
	while (!*hear())
		ev_run(loop, EVRUN_ONCE);
	ck_assert_str_eq(heard, "READY=1");
	ck_assert_int_eq(ev_run(loop, EVRUN_NOWAIT), 0);   /* and idle again */
}
END_TEST

START_TEST(a_manager_that_is_gone_does_no_harm)
{
	ck_assert_int_eq(upward_open(&upward, loop), 0);
	close(manager);
	upward_ready(upward);
	upward_stopping(upward);
	ck_assert_int_eq(ev_run(loop, 0), 0);
	manager = -1;
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, each_word_arrives);
	tcase_add_test(tcase, reloading_comes_with_the_time);
	tcase_add_test(tcase, a_status_stays_one_line_and_is_cut);
	tcase_add_loop_test(tcase, nobody_to_be_told_is_fine, 0, 3);
	tcase_add_test(tcase, an_abstract_socket_is_reached);
	tcase_add_loop_test(tcase, the_watchdog_is_fed_if_it_is_ours, 0, ARRAY_SIZE(watchdogs));
	tcase_add_test(tcase, a_full_queue_delays_and_loses_nothing);
	tcase_add_test(tcase, a_manager_that_is_gone_does_no_harm);
}

int main(void)
{
	return unit_run("upward", fill);
}
