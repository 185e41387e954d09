/* `drive FOLDER REGISTRY SUPERVISOR-PID PEER`: kills clients and the application, at every step of the library and at any
 * moment, for EPOCHD_TEST_SECONDS, and after each time holds what the supervisor counted against the truth. `drive FOLDER
 * REGISTRY 0 PEER SUPERVISOR...`: kills that supervisor as well, which it starts, and the next one within its recovery. */
#include "tests/torture/torture.h"
#include "tests/torture/rule.h"
#include "tests/torture/truth.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "apilib/registry_view.h"

enum { WHO_EITHER, WHO_CLIENT, WHO_APP };
enum { WHEN_WORK, WHEN_ATTACH, WHEN_JOIN, WHEN_GONE, WHEN_RESUME };
static const struct point { const char *name; int who, when; } points[] = {
#define POINT(name, who, when) { #name, WHO_##who, WHEN_##when },
	EP_FAULT_POINTS(POINT)
#undef POINT
};

/* A client in one epoch. */
struct known {
	uint64_t handle;
	int32_t pid;
	bool counted;
	struct ep_channel channel;
};

static struct control *control;
static struct ep_view view;
static const char *folder, *program;
static int reports, supervisor;
static pid_t client[CLIENTS];
static struct known *known;
static size_t known_count, known_room;
static struct ep_reclaimed expected;
static struct ep_collected collected, either;   /* all of them; those of the one or the other cause */
static uint64_t sent, received, kills, compared, supervisor_kills, lost;
static char *const *ruler;        /* argv of the supervisor that is killed too; NULL: it is not */
static uint32_t killed_epoch;     /* of the application that was killed last while the supervisor was away */
static bool may_be_lost;          /* both ends of a channel may have died while no supervisor was there */
static unsigned seed;

static unsigned any(unsigned below)
{
	return (unsigned)rand_r(&seed) % below;   /* NOLINT(concurrency-mt-unsafe): one thread */
}

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("drive: FAILED: ", stderr);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " (after %llu kills, %zu channels)\n", (unsigned long long)kills, known_count);
	for (int i = 0; i < CLIENTS; i++)
		if (client[i])
			kill(client[i], SIGKILL);
	exit(1);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- what is known ---- */

static void learn(const struct report *report, int fd)
{
	const char *why = "";
	int r;

	for (size_t i = known_count; i-- > 0 && i + 64 > known_count;)
		if (known[i].handle == report->handle)
			return;
	if (known_count == known_room) {
		known_room = known_room ? 2 * known_room : 1024;
		known = realloc(known, known_room * sizeof *known);
		if (!known)
			fail("memory");
	}
	known[known_count] = (struct known){ .handle = report->handle, .pid = report->pid };
	r = ep_channel_map(&known[known_count].channel, fd, &why);
	if (r < 0)
		fail("channel of %#llx: %s %s", (unsigned long long)report->handle, strerrorname_np(-r), why);
	known_count++;
}

/* All that was said until now. */
static void drain(void)
{
	struct report report;
	struct iovec bytes = { &report, sizeof report };
	union { struct cmsghdr head; char space[CMSG_SPACE(sizeof(int))]; } rights;
	int fd;

	for (;;) {
		struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &rights,
					  .msg_controllen = sizeof rights };

		if (recvmsg(reports, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof report)
			break;
		if (!CMSG_FIRSTHDR(&message))
			fail("a report without a channel");
		memcpy(&fd, CMSG_DATA(&rights.head), sizeof fd);
		learn(&report, fd);
		close(fd);
	}
	if (atomic_load(&control->wrong) == 2)
		fail("%s", control->what);
}

static void rest(void)
{
	struct pollfd some = { .fd = reports, .events = POLLIN };

	poll(&some, 1, 1);
	drain();
}

static uint64_t fence_now(void) { return atomic_load(&view.page->fence); }

static bool is_running(int32_t pid)
{
	for (int i = 0; i < CLIENTS; i++)
		if (client[i] == pid)
			return true;
	return false;
}

static bool is_live(const struct known *one)
{
	return ep_handle_epoch(one->handle) == ep_fence_epoch(fence_now()) && is_running(one->pid);
}

/* ---- the truth ---- */

static void compare_journal(const struct journal *journal, uint64_t handle, const char *whose, uint64_t truly_sent,
			    uint64_t truly_received)
{
	uint64_t said_sent = atomic_load(&journal->sent), said_received = atomic_load(&journal->received);

	if (atomic_load(&journal->handle) != handle)
		return;
	compared++;
	/* It may have died before it wrote down the last one. */
	if (truly_sent - said_sent > 1 || truly_received - said_received > 1)
		fail("%s of %#llx sent %llu, received %llu, the channel says %llu, %llu", whose,
		     (unsigned long long)handle, (unsigned long long)said_sent, (unsigned long long)said_received,
		     (unsigned long long)truly_sent, (unsigned long long)truly_received);
}

static void add_collected(struct ep_collected *to, const struct ep_collected *more)
{
	to->buffers += more->buffers;
	to->bytes += more->bytes;
}

static void add_truth(const struct truth *truth, uint64_t handle, const char *direction)
{
	if (truth->sent != truth->received + truth->reclaimed || !truth->in_order)
		fail("%#llx %s: sent %llu, received %llu, reclaimed %llu%s", (unsigned long long)handle, direction,
		     (unsigned long long)truth->sent, (unsigned long long)truth->received,
		     (unsigned long long)truth->reclaimed, truth->in_order ? "" : ", and not in order");
	uint64_t buffers = truth->abandoned.buffers + truth->held.buffers + truth->either.buffers;

	if (truth->allocated != truth->released + truth->in_reclaimed + buffers)
		fail("%#llx %s: buffers: allocated %llu, released %llu, reclaimed %llu, collected %llu",
		     (unsigned long long)handle, direction, (unsigned long long)truth->allocated,
		     (unsigned long long)truth->released, (unsigned long long)truth->in_reclaimed,
		     (unsigned long long)buffers);
	sent += truth->sent;
	received += truth->received;
	expected.messages += truth->reclaimed;
	expected.bytes += truth->reclaimed_bytes;
	add_collected(&expected.abandoned, &truth->abandoned);
	add_collected(&expected.held, &truth->held);
	add_collected(&either, &truth->either);
	add_collected(&collected, &truth->abandoned);
	add_collected(&collected, &truth->held);
	add_collected(&collected, &truth->either);
}

static void count(struct known *one)
{
	bool outlived = is_running(one->pid);
	struct truth up = truth_of(&one->channel, EP_TO_APPLICATION, outlived);
	struct truth down = truth_of(&one->channel, EP_TO_CLIENT, outlived);

	add_truth(&up, one->handle, "to the application");
	add_truth(&down, one->handle, "to the client");
	for (int i = 0; i < CLIENTS; i++)
		compare_journal(&control->client[i], one->handle, "the client", up.sent, down.received);
	compare_journal(&control->app[ep_handle_index(one->handle) % SLOTS], one->handle, "the application", down.sent,
			up.received);
	one->counted = true;
	ep_channel_unmap(&one->channel);
}

static uint64_t total(enum ep_total_id id) { return atomic_load(&view.page->total[id]); }

/* The supervisor clears `owed` when the counts are in the totals. */
static bool is_counted(const struct known *one)
{
	return atomic_load(&ep_view_slot(&view, ep_handle_index(one->handle))->owed) != one->handle;
}

/* Of its handle. Where the supervisor died before it said so, only the application has the channel, and then it is lost with
 * that. */
static bool has_heard(const struct known *one)
{
	for (int i = 0; i < CLIENTS; i++)
		if (client[i] == one->pid)
			return atomic_load(&control->client[i].handle) == one->handle;
	return false;
}

/* Each client is joined in the epoch that serves, and every channel of the dead is counted. */
static bool is_settled(void)
{
	uint64_t fence = fence_now();
	int joined = 0;

	if (ep_fence_state(fence) != EP_UP)
		return false;
	drain();
	for (size_t i = 0; i < known_count; i++) {
		if (known[i].counted)
			continue;
		if (is_live(&known[i])) {
			/* It may never have heard of that one, where the supervisor died, and join anew. */
			if (ep_handle_check(&view, known[i].handle) != EP_HANDLE_GOOD && !is_counted(&known[i]))
				return false;
			if (ep_handle_check(&view, known[i].handle) == EP_HANDLE_GOOD) {
				joined += has_heard(&known[i]);
				continue;
			}
		}
		if (!is_counted(&known[i]))
			return false;
		count(&known[i]);
	}
	for (int i = 0; i < CLIENTS; i++)
		joined -= client[i] != 0;
	return joined == 0 && fence == fence_now();
}

static void check_handles(void)
{
	for (size_t i = 0; i < known_count; i++) {
		enum ep_verdict verdict = ep_handle_check(&view, known[i].handle);

		if ((verdict == EP_HANDLE_GOOD) == known[i].counted)
			fail("%#llx, of a client that is %s: %s", (unsigned long long)known[i].handle,
			     known[i].counted ? "dead" : "there", ep_verdict_name(verdict));
	}
}

static const uint64_t none;
static const struct {
	const char *name;
	enum ep_total_id id;
	const uint64_t *should, *or_more;   /* or_more: up to that many; NULL: not one */
} totals[] = {
	{ "reclaimed messages", EP_TOTAL_RECLAIMED_MESSAGES, &expected.messages, NULL },
	{ "reclaimed bytes", EP_TOTAL_RECLAIMED_BYTES, &expected.bytes, NULL },
	{ "abandoned buffers", EP_TOTAL_ABANDONED_BUFFERS, &expected.abandoned.buffers, &either.buffers },
	{ "abandoned bytes", EP_TOTAL_ABANDONED_BYTES, &expected.abandoned.bytes, &either.bytes },
	{ "held buffers", EP_TOTAL_HELD_BUFFERS, &expected.held.buffers, &either.buffers },
	{ "held bytes", EP_TOTAL_HELD_BYTES, &expected.held.bytes, &either.bytes },
	{ "overdue buffers", EP_TOTAL_OVERDUE_BUFFERS, &none, NULL },
	{ "lost channels", EP_TOTAL_RECLAIMED_CHANNELS_LOST, &lost, NULL },
	{ "confused slots", EP_TOTAL_CLIENTS_CONFUSED, &none, NULL },
};
enum { TOTALS = sizeof totals / sizeof totals[0], LOST = TOTALS - 2 };

/* What was in a channel that nobody held any more is not known to the supervisor: of those rounds only that it counted no
 * more than there was. From there on it is exact again. */
static void forgive_lost(const uint64_t is[static TOTALS])
{
	uint64_t *const should[] = { &expected.messages, &expected.bytes, &expected.abandoned.buffers,
				     &expected.abandoned.bytes, &expected.held.buffers, &expected.held.bytes };

	if (is[LOST] == lost)
		return;
	if (is[LOST] < lost || !may_be_lost)
		fail("%llu channels were lost, before %llu", (unsigned long long)is[LOST], (unsigned long long)lost);
	for (size_t i = 0; i < sizeof should / sizeof should[0]; i++) {
		if (is[i] > *should[i] + (totals[i].or_more ? *totals[i].or_more : 0))
			fail("%s: %llu counted, in truth no more than %llu", totals[i].name, (unsigned long long)is[i],
			     (unsigned long long)*should[i]);
		*should[i] = is[i];
	}
	either = (struct ep_collected){ 0 };
	collected.buffers = is[2] + is[4];
	collected.bytes = is[3] + is[5];
	lost = is[LOST];
}

static void check_totals(const uint64_t is[static TOTALS])
{
	uint64_t buffers = 0, bytes = 0;

	for (size_t i = 0; i < TOTALS; i++) {
		uint64_t more = totals[i].or_more ? *totals[i].or_more : 0;

		if (is[i] < *totals[i].should || is[i] - *totals[i].should > more)
			fail("%s: %llu counted, in truth %llu, or up to %llu more", totals[i].name,
			     (unsigned long long)is[i], (unsigned long long)*totals[i].should,
			     (unsigned long long)more);
		buffers += totals[i].or_more == &either.buffers ? is[i] : 0;
		bytes += totals[i].or_more == &either.bytes ? is[i] : 0;
	}
	if (buffers != collected.buffers || bytes != collected.bytes)
		fail("%llu buffers, %llu bytes collected, in truth %llu, %llu", (unsigned long long)buffers,
		     (unsigned long long)bytes, (unsigned long long)collected.buffers,
		     (unsigned long long)collected.bytes);
}

/* What is_settled() waits for. */
static void say_what_is_missing(void)
{
	int joined = 0;

	fprintf(stderr, "fence %#llx, application %d\n", (unsigned long long)fence_now(),
		(int)atomic_load(&control->app_pid));
	for (size_t i = 0; i < known_count; i++) {
		joined += !known[i].counted && is_live(&known[i]);
		if (!known[i].counted && !is_live(&known[i]))
			fprintf(stderr, "%#llx, of process %d, is not counted\n",
				(unsigned long long)known[i].handle, (int)known[i].pid);
	}
	for (int i = 0; i < CLIENTS; i++)
		fprintf(stderr, "client %d is process %d\n", i, (int)client[i]);
	fprintf(stderr, "%d are joined\n", joined);
}

static void await_settled(void)
{
	double end = now() + 120;

	while (!is_settled()) {
		if (now() > end) {
			say_what_is_missing();
			fail("it does not settle");
		}
		rest();
	}
}

static void settle(void)
{
	uint64_t is[TOTALS];
	size_t before;

	do {
		await_settled();
		for (size_t i = 0; i < TOTALS; i++)
			is[i] = total(totals[i].id);
		/* A channel with something in it was reported before that was sent, and so before it was counted:
		 * perhaps a moment ago, by an application that had yet to hear of a client that is dead by now. */
		before = known_count;
		drain();
	} while (known_count != before);
	check_handles();
	forgive_lost(is);
	check_totals(is);
	may_be_lost = false;
}

/* ---- living and dying ---- */

static void begin_client(int number)
{
	char text[12];

	snprintf(text, sizeof text, "%d", number);
	atomic_store(&control->quit[number], 0);
	client[number] = fork();
	if (client[number] == 0) {
		execl(program, program, "client", folder, text, (char *)NULL);
		_exit(127);
	}
}

static void bury(int number)
{
	waitpid(client[number], NULL, 0);
	client[number] = 0;
	kills++;
}

static void end_client(int number)
{
	int status;

	atomic_store(&control->quit[number], 1);
	while (waitpid(client[number], &status, WNOHANG) == 0)
		rest();   /* it may have something to report */
	client[number] = 0;
	if (status != 0)
		fail("client %d ended with %#x: %s", number, (unsigned)status, control->what);
}

static void arm(int peer, unsigned fault, int left, bool stops)
{
	atomic_store(&control->plan[peer].stops, stops);
	atomic_store(&control->plan[peer].fault, fault);
	atomic_store(&control->plan[peer].left, left);
	atomic_store(&control->plan[peer].armed, 1);
}

static void disarm(int peer) { atomic_store(&control->plan[peer].armed, 0); }

/* Until the step was passed, or it seems that it is not: then any other moment is as good. */
static void await_step(int peer, double patience)
{
	double end = now() + patience;

	while (atomic_load(&control->plan[peer].armed) == 1 && now() < end)
		rest();
}

/* A step was passed a little before its process is dead, and known to be. */
static void await_next_app(uint32_t passed)
{
	while (atomic_load(&control->app_pid) == (pid_t)passed)
		rest();
}

static void torture_client(int number, unsigned fault)
{
	if (points[fault].when == WHEN_ATTACH) {
		end_client(number);
		arm(number, fault, 1, false);
		begin_client(number);
		await_step(number, 10);
	} else {
		arm(number, fault, 1 + (int)any(40), false);
		await_step(number, 2);
	}
	disarm(number);
	kill(client[number], SIGKILL);
	bury(number);
	begin_client(number);
}

static int open_app(void)
{
	pid_t pid = atomic_load(&control->app_pid);
	int fd = pidfd_open(pid, 0);

	if (fd < 0)
		fail("the application %d: %s", (int)pid, strerrorname_np(errno));
	return fd;
}

static void kill_app(int fd)
{
	pidfd_send_signal(fd, SIGKILL, NULL, 0);
	struct pollfd gone = { .fd = fd, .events = POLLIN };

	poll(&gone, 1, -1);
	close(fd);
	kills++;
}

static void torture_app(unsigned fault)
{
	uint32_t epoch = ep_fence_epoch(fence_now());
	int fd = open_app(), number = 1 + (int)any(CLIENTS - 1);
	uint32_t passed;

	arm(APP, fault, points[fault].when == WHEN_WORK ? 1 + (int)any(40) : 1, false);
	if (points[fault].when == WHEN_ATTACH)
		kill_app(fd);   /* the next one passes it */
	if (points[fault].when == WHEN_JOIN || points[fault].when == WHEN_GONE) {
		kill(client[number], SIGKILL);
		bury(number);
		begin_client(number);
	}
	await_step(APP, 10);
	passed = atomic_exchange(&control->plan[APP].armed, 0);
	if (points[fault].when != WHEN_ATTACH)
		kill_app(fd);
	if (passed > 1)
		await_next_app(passed);
	while (ep_fence_epoch(fence_now()) == epoch)
		rest();
}

/* The application dies, and the channel is counted, while a client stands at a step; then it goes on. */
static void outlive(int number, unsigned fault)
{
	uint32_t epoch = ep_fence_epoch(fence_now());
	siginfo_t info = { 0 };

	arm(number, fault, 1 + (int)any(20), true);
	await_step(number, 10);
	if (atomic_exchange(&control->plan[number].armed, 0) <= 1)
		return;
	waitid(P_PID, (id_t)client[number], &info, WSTOPPED);
	kill_app(open_app());
	while (ep_fence_epoch(fence_now()) == epoch)
		rest();
	for (size_t i = 0; i < known_count; i++)
		while (!known[i].counted && known[i].pid == client[number] && !is_counted(&known[i]))
			rest();
	kill(client[number], SIGCONT);
}

static void at_any_moment(void)
{
	uint32_t epoch = ep_fence_epoch(fence_now());
	struct timespec some = { 0, any(3000) * 1000 };
	int number = 1 + (int)any(CLIENTS - 1);

	nanosleep(&some, NULL);
	if (any(3) == 0) {
		kill_app(open_app());
		while (ep_fence_epoch(fence_now()) == epoch)
			rest();
		return;
	}
	if (any(4) == 0) {
		end_client(number);
	} else {
		kill(client[number], SIGKILL);
		bury(number);
	}
	begin_client(number);
}

/* Each step once, on each side that passes it. */
static void at_every_step(void)
{
	for (unsigned fault = 0; fault < EP_FAULTS_COUNT; fault++)
		for (int side = 0; side < 2; side++) {
			if (points[fault].who == (side ? WHO_CLIENT : WHO_APP) || points[fault].when == WHEN_RESUME)
				continue;
			for (int tries = 0; tries < 20 && !atomic_load(&control->killed[side][fault]); tries++) {
				if (side)
					torture_app(fault);
				else
					torture_client(1 + (int)any(CLIENTS - 1), fault);
				settle();
			}
			if (!atomic_load(&control->killed[side][fault]))
				fail("the %s never came to %s", side ? "application" : "client",
				     points[fault].name);
			if (!side && points[fault].when == WHEN_WORK) {
				outlive(1 + (int)any(CLIENTS - 1), fault);
				settle();
			}
		}
}

/* ---- the supervisor ---- */

/* I10: with nobody there messages go on. */
static void await_traffic(const char *when)
{
	uint64_t before = atomic_load(&control->client[0].received);
	double end = now() + 60;

	while (atomic_load(&control->client[0].received) == before) {
		if (now() > end)
			fail("no message is received while the supervisor is %s", when);
		rest();
	}
}

/* Killed within its recovery, or whatever it does then. */
static void start_and_kill(void)
{
	const char *fault = any(4) ? rule_any_fault(ruler, any(1000), 1 + any(3)) : NULL;
	double end = now() + (fault ? .3 : (double)any(100) / 1000);

	supervisor = rule_start(ruler, fault);
	while (now() < end) {
		if (rule_is_over(supervisor)) {
			supervisor_kills++;
			return;
		}
		rest();
	}
	rule_kill(supervisor);
	supervisor_kills++;
}

/* The newest that came as far as its first line: the fence may tell of one after it, which was not started yet. */
static void kill_app_if_there(void)
{
	uint64_t newest = atomic_load(&control->app_newest);
	int fd = pidfd_open((pid_t)(newest & UINT32_MAX), 0);

	killed_epoch = (uint32_t)(newest >> 32);
	if (fd >= 0)
		kill_app(fd);
}

static void kill_somebody(void)
{
	int number = 1 + (int)any(CLIENTS - 1);
	unsigned fault = any(EP_FAULTS_COUNT);

	switch (any(5)) {
	case 0:
		kill_app_if_there();
		may_be_lost = true;
		break;
	case 1:
		kill(client[number], SIGKILL);
		bury(number);
		begin_client(number);
		break;
	case 2:   /* as it comes back to the next one, say; unless it passed before */
		if (!atomic_load(&control->plan[number].armed))
			arm(number, fault, 1, false);
		break;
	default:
		break;
	}
}

static void bury_armed(void)
{
	for (int i = 1; i < CLIENTS; i++) {
		bool passed = (pid_t)atomic_exchange(&control->plan[i].armed, 0) == client[i];

		/* One that passed is as good as dead, and waited for. */
		if (waitpid(client[i], NULL, passed ? 0 : WNOHANG) == client[i]) {
			client[i] = 0;
			kills++;
			begin_client(i);
		}
	}
}

static void torture_supervisor(void)
{
	struct timespec some = { 0, any(3000) * 1000 };
	bool traffic = any(3) == 0;

	if (traffic)   /* its handle is good a little before application and client hear of each other */
		await_traffic("there");
	nanosleep(&some, NULL);
	rule_kill(supervisor);
	supervisor_kills++;
	if (traffic)
		await_traffic("away");
	kill_somebody();
	for (unsigned i = any(3); i > 0; i--) {
		start_and_kill();
		/* Also one that was started and killed again: its application may have died with a client. */
		may_be_lost = true;
		kill_somebody();
	}
	supervisor = rule_start(ruler, NULL);
	/* What is dead and not known to be looks as if it were settled. */
	while (ep_fence_epoch(fence_now()) <= killed_epoch)
		rest();
	bury_armed();
}

static void torture_all(double seconds)
{
	double end = now() + seconds;

	for (int i = 0; i < CLIENTS; i++)
		begin_client(i);
	settle();
	while (now() < end) {
		torture_supervisor();
		settle();
		if (any(2)) {
			at_any_moment();
			settle();
		}
	}
	for (int i = 0; i < CLIENTS; i++)
		end_client(i);
	settle();
	kill(supervisor, SIGTERM);
	while (!rule_is_over(supervisor))
		rest();
}

/* ---- what is left ---- */

static int descriptors_of(pid_t pid)
{
	char path[40];
	DIR *listing;
	int n = 0;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	listing = opendir(path);
	if (!listing)
		fail("%s: %s", path, strerrorname_np(errno));
	while (readdir(listing))
		n++;
	closedir(listing);
	return n;
}

static int channels_of(pid_t pid)
{
	char path[40], line[512];
	FILE *maps;
	int n = 0;

	snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	if (!maps)
		fail("%s: %s", path, strerrorname_np(errno));
	while (fgets(line, sizeof line, maps))
		n += strstr(line, "memfd:epochd-channel") != NULL;
	fclose(maps);
	return n;
}

struct held { int descriptors[3], channels[3]; };

/* By supervisor, application and the client that survives all; nobody else is there. */
static struct held held_now(void)
{
	const pid_t pid[3] = { supervisor, atomic_load(&control->app_pid), client[0] };
	struct held held;

	for (int i = 0; i < 3; i++) {
		held.descriptors[i] = descriptors_of(pid[i]);
		held.channels[i] = channels_of(pid[i]);
	}
	return held;
}

static void await_same(const struct held *before)
{
	static const char *const who[3] = { "supervisor", "application", "client" };
	double end = now() + 60;
	struct held held;

	do {
		rest();
		held = held_now();
		if (memcmp(&held, before, sizeof held) == 0)
			return;
	} while (now() < end);
	for (int i = 0; i < 3; i++)
		fprintf(stderr, "%s: %d descriptors, before %d; %d channels, before %d\n", who[i],
			held.descriptors[i], before->descriptors[i], held.channels[i], before->channels[i]);
	fail("something was left open");
}

/* No slot was lost: every one can be had. */
static void fill_all_slots(void)
{
	struct epochd_client *all[SLOTS + 1] = { 0 };
	int r = 0, n = 0;

	for (n = 0; n <= SLOTS && r == 0; n++)
		r = epochd_connect(&all[n], "torture", NULL, 0, NULL);
	if (n != SLOTS + 1 || r != -EUSERS)
		fail("%d slots could be had: %s", n - 1, strerrorname_np(-r));
	for (n = 0; n < SLOTS; n++)
		epochd_close(all[n]);
}

/* ---- all of it ---- */

static void open_files(const char *registry)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[128];
	const char *why;
	int fd;

	snprintf(path, sizeof path, "%s/control", folder);
	fd = open(path, O_RDWR | O_CLOEXEC);
	control = fd < 0 ? MAP_FAILED :
			   mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (control == MAP_FAILED)
		fail("%s: %s", path, strerrorname_np(errno));
	close(fd);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/reports", folder);
	reports = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(reports, (struct sockaddr *)&address, sizeof address) < 0)
		fail("%s: %s", address.sun_path, strerrorname_np(errno));
	if (ruler)
		supervisor = rule_start(ruler, NULL);
	while ((fd = open(registry, O_RDONLY | O_CLOEXEC)) < 0 && ruler)
		rest();
	if (fd < 0 || ep_view_map(&view, fd, &why) < 0)
		fail("%s", registry);
	close(fd);
}

static void torture(double seconds)
{
	double end = now() + seconds;
	struct held before;

	for (int i = 0; i < CLIENTS; i++)
		begin_client(i);
	settle();
	for (int i = 1; i < CLIENTS; i++)
		end_client(i);
	settle();
	before = held_now();
	for (int i = 1; i < CLIENTS; i++)
		begin_client(i);
	settle();
	at_every_step();
	while (now() < end) {
		unsigned fault = any(EP_FAULTS_COUNT);

		if (any(2))
			at_any_moment();
		else if (points[fault].when == WHEN_RESUME)
			continue;
		else if (points[fault].when == WHEN_WORK && any(4) == 0)
			outlive(1 + (int)any(CLIENTS - 1), fault);
		else if (points[fault].who == WHO_APP || (points[fault].who == WHO_EITHER && any(3) == 0))
			torture_app(fault);
		else
			torture_client(1 + (int)any(CLIENTS - 1), fault);
		settle();
	}
	for (int i = 1; i < CLIENTS; i++)
		end_client(i);
	settle();
	await_same(&before);
	end_client(0);
	settle();
	fill_all_slots();
}

int main(int argc, char **argv)
{
	const char *seconds = getenv("EPOCHD_TEST_SECONDS");   /* NOLINT(concurrency-mt-unsafe): one thread */

	if (argc < 5)
		return 2;
	ruler = argc > 5 ? argv + 5 : NULL;
	folder = argv[1];
	supervisor = (int)strtol(argv[3], NULL, 10);
	program = argv[4];
	seed = (unsigned)getpid();
	printf("seed %u\n", seed);
	open_files(argv[2]);
	if (ruler)
		torture_all(seconds ? strtod(seconds, NULL) : 60);
	else
		torture(seconds ? strtod(seconds, NULL) : 60);
	if (ruler)
		printf("%llu kills of the supervisor, %llu channels lost; ", (unsigned long long)supervisor_kills,
		       (unsigned long long)lost);
	printf("%llu kills, epoch %u, %zu channels; %llu messages sent, %llu received, %llu reclaimed; "
	       "%llu buffers abandoned, %llu held, %llu one or the other; %llu journals compared\n", (unsigned long long)kills,
	       ep_fence_epoch(fence_now()), known_count, (unsigned long long)sent, (unsigned long long)received,
	       (unsigned long long)expected.messages, (unsigned long long)expected.abandoned.buffers,
	       (unsigned long long)expected.held.buffers, (unsigned long long)either.buffers,
	       (unsigned long long)compared);
	return 0;
}
