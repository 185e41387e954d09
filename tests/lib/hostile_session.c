/* Hostile on api.sock: packets that are none, come out of turn, or bring what nobody asked for. */
#include <config.h>

#include "tests/lib/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apilib/fd.h"

enum { TIMES = 50, MANY_FDS = 253, LINGER_SECONDS = 3600 };

static struct ep_wire_hello some_hello(void)
{
	return (struct ep_wire_hello){ .head = ep_wire_make(EP_WIRE_HELLO, sizeof(struct ep_wire_hello)),
				       .app = "api", .name = "foe" };
}

/* ---- packets ---- */

static void other_version(struct foe_run *run, struct foe *foe)
{
	struct ep_wire_hello hello = some_hello();

	hello.head.version = (uint16_t)(2 + foe_random(run, 65534));
	foe_say(foe, &hello, sizeof hello, NULL, 0);
}

static void no_such_packet(struct foe_run *run, struct foe *foe)
{
	struct ep_wire_hello hello = some_hello();

	hello.head.kind = (uint16_t)(EP_WIRE_KINDS + foe_random(run, 65536 - EP_WIRE_KINDS));
	foe_say(foe, &hello, sizeof hello, NULL, 0);
}

static void truncated(struct foe_run *run, struct foe *foe)
{
	struct ep_wire_hello hello = some_hello();

	foe_say(foe, &hello, 1 + foe_random(run, sizeof hello - 1), NULL, 0);
}

static void truncated_and_says_so(struct foe_run *run, struct foe *foe)
{
	struct ep_wire_hello hello = some_hello();

	hello.head.size = (uint32_t)(sizeof hello.head + foe_random(run, sizeof hello - sizeof hello.head));
	foe_say(foe, &hello, hello.head.size, NULL, 0);
}

static void oversized(struct foe_run *run, struct foe *foe)
{
	static unsigned char bytes[EP_WIRE_PACKET_MAX * 2];
	struct ep_wire_head head = ep_wire_make(EP_WIRE_TABLE, EP_WIRE_PACKET_MAX + 1 +
						foe_random(run, EP_WIRE_PACKET_MAX));

	memcpy(bytes, &head, sizeof head);
	foe_say(foe, bytes, head.size, NULL, 0);
}

static void text_without_end(struct foe_run *run, struct foe *foe)
{
	struct ep_wire_hello hello = some_hello();

	if (foe_random(run, 2))
		memset(hello.app, 'a', sizeof hello.app);
	else
		memset(hello.name, 'a', sizeof hello.name);
	foe_say(foe, &hello, sizeof hello, NULL, 0);
}

static void name_of_junk(struct foe_run *run, struct foe *foe)
{
	struct ep_wire_hello hello = some_hello();

	foe_fill(run, hello.app, sizeof hello.app - 1);
	foe_say(foe, &hello, sizeof hello, NULL, 0);
}

/* Its own name is shown to people. */
static void shown_name_of_junk(struct foe_run *run, struct foe *foe)
{
	struct ep_wire_hello hello = some_hello();
	union ep_wire_packet packet;

	foe_fill(run, hello.name, sizeof hello.name - 1);
	foe_say(foe, &hello, sizeof hello, NULL, 0);
	foe_await_offer(run, foe);
	foe_say_join(foe, foe->epoch, NULL);
	foe_expect(foe_hear(run, foe, &packet) == EP_WIRE_WELCOME, "not welcome");
}

static void random_packets(struct foe_run *run, struct foe *foe)
{
	union ep_wire_packet packet;

	for (int i = 0; i < TIMES; i++) {
		uint32_t size = (uint32_t)(sizeof packet.head + foe_random(run, 600));

		foe_fill(run, packet.bytes, size);
		packet.head = ep_wire_make((enum ep_wire_kind)foe_random(run, EP_WIRE_KINDS), size);
		foe_say(foe, &packet, size, NULL, 0);
	}
}

/* ---- out of turn ---- */

static void say_kind(struct foe_run *run, struct foe *foe, enum ep_wire_kind kind, size_t size)
{
	union ep_wire_packet packet;

	foe_fill(run, packet.bytes, size);
	packet.head = ep_wire_make(kind, size);
	/* So that texts have their ends. */
	for (size_t i = sizeof packet.head; i < size; i++)
		packet.bytes[i] = i % 4 ? packet.bytes[i] : 0;
	foe_say(foe, &packet, size, NULL, 0);
}

static const struct { enum ep_wire_kind kind; size_t size; } not_a_clients[] = {
	{ EP_WIRE_TABLE, sizeof(struct ep_wire_table) + 100 },
	{ EP_WIRE_READY, sizeof(struct ep_wire_ready) },
	{ EP_WIRE_DRAINED, sizeof(struct ep_wire_drained) },
	{ EP_WIRE_REFUSALS, sizeof(struct ep_wire_refusals) },
	{ EP_WIRE_BROKEN, sizeof(struct ep_wire_broken) },
	{ EP_WIRE_WAIT, sizeof(struct ep_wire_wait) },
	{ EP_WIRE_OFFER, sizeof(struct ep_wire_offer) },
	{ EP_WIRE_WELCOME, sizeof(struct ep_wire_welcome) },
	{ EP_WIRE_FENCED, sizeof(struct ep_wire_fenced) },
	{ EP_WIRE_REFUSED, sizeof(struct ep_wire_refused) },
	{ EP_WIRE_PING, sizeof(struct ep_wire_ping) },
	{ EP_WIRE_ATTACHED, sizeof(struct ep_wire_attached) },
	{ EP_WIRE_JOINED, sizeof(struct ep_wire_joined) },
	{ EP_WIRE_GONE, sizeof(struct ep_wire_gone) },
};

static void at_first(struct foe_run *run, struct foe *foe)
{
	uint64_t i = foe_random(run, ARRAY_SIZE(not_a_clients));

	say_kind(run, foe, not_a_clients[i].kind, not_a_clients[i].size);
}

static void after_hello(struct foe_run *run, struct foe *foe)
{
	foe_hello(foe);
	at_first(run, foe);
}

static void attaches(struct foe_run *run, struct foe *foe)
{
	struct ep_wire_attach attach = { .head = ep_wire_make(EP_WIRE_ATTACH, sizeof attach), .app = "api" };

	foe_fill(run, attach.token, foe_random(run, sizeof attach.token - 1));
	foe_say(foe, &attach, sizeof attach, NULL, 0);
	say_kind(run, foe, EP_WIRE_TABLE, 100);
	say_kind(run, foe, EP_WIRE_READY, sizeof(struct ep_wire_ready));
}

static void hello_twice(struct foe_run *run, struct foe *foe)
{
	(void)run;
	foe_hello(foe);
	foe_hello(foe);
}

static void join_first(struct foe_run *run, struct foe *foe)
{
	foe_say_join(foe, (uint32_t)foe_random(run, 3), NULL);
}

static void join_twice(struct foe_run *run, struct foe *foe)
{
	foe_hello(foe);
	foe_await_offer(run, foe);
	foe_say_join(foe, foe->epoch, NULL);
	foe_say_join(foe, foe->epoch, NULL);
}

/* Each is answered by what there is. */
static void wrong_epochs(struct foe_run *run, struct foe *foe)
{
	foe_hello(foe);
	foe_await_offer(run, foe);
	for (int i = 0; i < TIMES; i++) {
		foe_say_join(foe, foe->epoch + 1 + (uint32_t)foe_random(run, UINT32_MAX - 1), NULL);
		foe_await_offer(run, foe);
	}
}

/* Asks and asks, and never reads. */
static void flood_of_joins(struct foe_run *run, struct foe *foe)
{
	foe_hello(foe);
	foe_await_offer(run, foe);
	for (int i = 0; i < 100 * TIMES; i++)
		foe_say_join(foe, 0, NULL);
}

static void wants(struct foe_run *run, struct foe *foe, const struct ep_geometry *wanted)
{
	foe_hello(foe);
	foe_await_offer(run, foe);
	foe_say_join(foe, foe->epoch, wanted);
}

static void wants_nonsense(struct foe_run *run, struct foe *foe)
{
	static const struct ep_geometry nonsense[] = {
		{ .ring = 3 }, { .ring = 1 }, { .ring = UINT32_MAX }, { .ring = 1u << 31 }, { .ring = 256 },
		{ .ring = 64, .classes = UINT32_MAX }, { .ring = 64, .classes = EP_CLASSES_MAX + 1 },
		{ .ring = 64, .classes = 1, .class = { { 0, 0 } } },
		{ .ring = 64, .classes = 1, .class = { { 256, UINT32_MAX } } },
		{ .ring = 64, .classes = 1, .class = { { UINT32_MAX, 1 } } },
		{ .ring = 64, .classes = 2, .class = { { 2048, 1 }, { 256, 1 } } },
		{ .ring = 64, .classes = 2, .class = { { 256, 1 }, { 256, 1 } } },
		{ .ring = 64, .classes = 1, .class = { { 256, 65 } } },
	};

	wants(run, foe, &nonsense[foe_random(run, ARRAY_SIZE(nonsense))]);
}

static void wants_random(struct foe_run *run, struct foe *foe)
{
	struct ep_geometry wanted;

	foe_fill(run, &wanted, sizeof wanted);
	wanted.ring |= 3;
	wants(run, foe, &wanted);
}

/* ---- descriptors ---- */

static void with_fd(struct foe *foe, int fd)
{
	struct ep_wire_hello hello = some_hello();

	foe_expect(fd >= 0, "no descriptor to send: %s", strerrordesc_np(errno));
	foe_say(foe, &hello, sizeof hello, &fd, 1);
}

static void some_pipe(struct foe_run *run, struct foe *foe)
{
	int ends[2] = { -1, -1 };

	(void)run;
	foe_expect(pipe2(ends, O_CLOEXEC) == 0, "pipe: %s", strerrordesc_np(errno));
	with_fd(foe, ends[1]);
	close(ends[0]);
	close(ends[1]);
}

static void some_memfd(struct foe_run *run, struct foe *foe)
{
	CLEANUP(ep_close_fd) int fd = memfd_create("epochd-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)run;
	with_fd(foe, fd);
}

static void some_folder(struct foe_run *run, struct foe *foe)
{
	CLEANUP(ep_close_fd) int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC |
					   (foe_random(run, 2) ? O_PATH : 0));

	with_fd(foe, fd);
}

static void some_epoll(struct foe_run *run, struct foe *foe)
{
	CLEANUP(ep_close_fd) int fd = epoll_create1(EPOLL_CLOEXEC);

	(void)run;
	with_fd(foe, fd);
}

static void its_own_session(struct foe_run *run, struct foe *foe)
{
	(void)run;
	with_fd(foe, foe->session);
}

static void many_fds(struct foe_run *run, struct foe *foe)
{
	struct ep_wire_hello hello = some_hello();
	int fds[MANY_FDS];

	for (int i = 0; i < MANY_FDS; i++)
		fds[i] = foe->session;
	foe_say(foe, &hello, sizeof hello, fds, 2 + (unsigned)foe_random(run, MANY_FDS - 2));
}

/* A connection with something unread, whose last close waits until that is acknowledged: which is never. */
static int lingering_socket(int *other)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const struct linger linger = { .l_onoff = 1, .l_linger = LINGER_SECONDS };
	CLEANUP(ep_close_fd) int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof address;
	static char bytes[1 << 16];

	if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
	    connect(fd, (struct sockaddr *)&address, size) < 0)
		return -1;
	*other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
		;
	return fd;
}

static void on_alarm(int signal_number) { (void)signal_number; }

/* Ours is the last one only if it was never sent, or is closed already: then we do not wait either. */
static void close_in_time(int fd)
{
	const struct sigaction once = { .sa_handler = on_alarm }, usual = { .sa_handler = SIG_DFL };

	sigaction(SIGALRM, &once, NULL);
	alarm(1);
	close(fd);
	alarm(0);
	sigaction(SIGALRM, &usual, NULL);
}

/* Whoever closes it waits; nobody else may be kept waiting by that. */
static void slow_to_close(struct foe_run *run, struct foe *foe)
{
	CLEANUP(ep_close_fd) int other = -1;
	struct foe next = { .fds = { -1, -1, -1, -1 } };
	int fd = lingering_socket(&other);

	with_fd(foe, fd);
	close_in_time(fd);
	foe_connect(run, &next);
	foe_hello(&next);
	foe_await_offer(run, &next);
	close(next.session);
}

/* It comes behind what ends the session, so that nobody reads it. */
static void slow_to_close_unread(struct foe_run *run, struct foe *foe)
{
	struct ep_wire_hello hello = some_hello();

	hello.head.version = 77;
	foe_say(foe, &hello, sizeof hello, NULL, 0);
	slow_to_close(run, foe);
}

/* ---- who claims to come back ---- */

static void say_resume(struct foe_run *run, struct foe *foe, uint64_t handle)
{
	struct ep_wire_resume resume = { .head = ep_wire_make(EP_WIRE_RESUME, sizeof resume), .app = "api", .name = "foe",
					 .nonce = foe_random(run, UINT64_MAX), .handle = handle };
	CLEANUP(ep_close_fd) int fd = memfd_create("epochd-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	foe_say(foe, &resume, sizeof resume, &fd, 1);
}

/* Of those that may be somebody's. */
static void resumes_as_others(struct foe_run *run, struct foe *foe)
{
	say_resume(run, foe, ep_handle_pack(1 + (uint32_t)foe_random(run, 2), 1 + (uint32_t)foe_random(run, 4),
					    (uint32_t)foe_random(run, 4)));
}

static void resumes_nonsense(struct foe_run *run, struct foe *foe)
{
	say_resume(run, foe, foe_random(run, 2) ? foe_random(run, UINT64_MAX) : 0);
}

static void resumes_twice(struct foe_run *run, struct foe *foe)
{
	resumes_nonsense(run, foe);
	resumes_as_others(run, foe);
}

static void resumes_without_channel(struct foe_run *run, struct foe *foe)
{
	struct ep_wire_resume resume = { .head = ep_wire_make(EP_WIRE_RESUME, sizeof resume), .app = "api",
					 .handle = foe_random(run, UINT64_MAX) };

	foe_say(foe, &resume, sizeof resume, NULL, 0);
}

static void say_resume_app(struct foe_run *run, struct foe *foe, int fd)
{
	struct ep_wire_resume_app resume = { .head = ep_wire_make(EP_WIRE_RESUME_APP, sizeof resume), .app = "api",
					     .token = "00000000000000000000000000000000",
					     .epoch = (uint32_t)foe_random(run, 3) };

	const int fds[EP_RESUME_APP_FDS] = { fd, fd };

	foe_say(foe, &resume, sizeof resume, fds, EP_RESUME_APP_FDS);
}

static void resumes_as_application(struct foe_run *run, struct foe *foe)
{
	int ends[2];

	foe_expect(pipe2(ends, O_CLOEXEC) == 0, "pipe: %s", strerrordesc_np(errno));
	say_resume_app(run, foe, ends[0]);
	close(ends[0]);
	close(ends[1]);
}

static void resumes_as_application_with_junk(struct foe_run *run, struct foe *foe)
{
	say_resume_app(run, foe, foe->session);
}

static void says_handles(struct foe_run *run, struct foe *foe)
{
	struct ep_wire_handles handles = { .count = 1 };

	handles.head = ep_wire_make(EP_WIRE_HANDLES, ep_wire_handles_size(1));
	handles.handle[0] = foe_random(run, UINT64_MAX);
	foe_say(foe, &handles, handles.head.size, NULL, 0);
}

const struct foe_act foe_session_acts[] = {
	{ "other_version", other_version, FOE_ENDED, false },
	{ "no_such_packet", no_such_packet, FOE_ENDED, false },
	{ "truncated", truncated, FOE_ENDED, false },
	{ "truncated_and_says_so", truncated_and_says_so, FOE_ENDED, false },
	{ "oversized", oversized, FOE_ENDED, false },
	{ "text_without_end", text_without_end, FOE_ENDED, false },
	{ "name_of_junk", name_of_junk, FOE_ANY, false },
	{ "shown_name_of_junk", shown_name_of_junk, FOE_STAYS, false },
	{ "random_packets", random_packets, FOE_ANY, false },
	{ "at_first", at_first, FOE_ENDED, false },
	{ "after_hello", after_hello, FOE_ENDED, false },
	{ "attaches", attaches, FOE_REFUSED, false },
	{ "hello_twice", hello_twice, FOE_ENDED, false },
	{ "join_first", join_first, FOE_ENDED, false },
	{ "join_twice", join_twice, FOE_STAYS, false },
	{ "wrong_epochs", wrong_epochs, FOE_STAYS, false },
	{ "flood_of_joins", flood_of_joins, FOE_STAYS, false },
	{ "wants_nonsense", wants_nonsense, FOE_REFUSED, false },
	{ "wants_random", wants_random, FOE_REFUSED, false },
	{ "some_pipe", some_pipe, FOE_ENDED, false },
	{ "some_memfd", some_memfd, FOE_ENDED, false },
	{ "some_folder", some_folder, FOE_ENDED, false },
	{ "some_epoll", some_epoll, FOE_ENDED, false },
	{ "its_own_session", its_own_session, FOE_ENDED, false },
	{ "many_fds", many_fds, FOE_ENDED, false },
	{ "resumes_as_others", resumes_as_others, FOE_STAYS, false },
	{ "resumes_nonsense", resumes_nonsense, FOE_STAYS, false },
	{ "resumes_twice", resumes_twice, FOE_ENDED, false },
	{ "resumes_without_channel", resumes_without_channel, FOE_ENDED, false },
	{ "resumes_as_application", resumes_as_application, FOE_REFUSED, false },
	{ "resumes_as_application_with_junk", resumes_as_application_with_junk, FOE_REFUSED, false },
	{ "says_handles", says_handles, FOE_ENDED, false },
	{ "slow_to_close", slow_to_close, FOE_ENDED, false },
	{ "slow_to_close_unread", slow_to_close_unread, FOE_ENDED, false },
};
const size_t foe_session_act_count = ARRAY_SIZE(foe_session_acts);
