/* Those who are tortured: `peer app FOLDER`, started by the supervisor, and `peer client FOLDER NUMBER`. Each does
 * at random whatever the library lets it do, and checks every message that it gets. */
#include "tests/torture/torture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PAYLOAD_MAX = 1024, HELD = 3, ABANDONED = 2 };

static struct control *control;
static struct plan *plan;
static int to_driver = -1, mapped = -1;
static unsigned seed;

static unsigned any(unsigned below)
{
	return (unsigned)rand_r(&seed) % below;   /* NOLINT(concurrency-mt-unsafe): one thread */
}

__attribute__((format(printf, 1, 2), noreturn)) static void wrong(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (!atomic_exchange(&control->wrong, 1))
		vsnprintf(control->what, sizeof control->what, format, arguments);
	va_end(arguments);
	atomic_store(&control->wrong, 2);
	_exit(3);
}

/* ---- asked by the library ---- */

void ep_fault_passed(enum ep_fault fault)
{
	uint32_t armed = 1;

	if (atomic_load(&plan->armed) != 1 || atomic_load(&plan->fault) != fault ||
	    atomic_fetch_sub(&plan->left, 1) != 1)
		return;
	if (!atomic_compare_exchange_strong(&plan->armed, &armed, (uint32_t)getpid()))
		return;   /* the driver gave up */
	atomic_fetch_add(&control->killed[plan == &control->plan[APP]][fault], 1);
	kill(getpid(), atomic_load(&plan->stops) ? SIGSTOP : SIGKILL);
}

void ep_fault_mapped(int fd)
{
	if (mapped >= 0)
		close(mapped);
	mapped = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* ---- the driver ---- */

static void open_control(const char *folder)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/control", folder);
	fd = open(path, O_RDWR | O_CLOEXEC);
	control = fd < 0 ? MAP_FAILED :
			   mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (control == MAP_FAILED)
		exit(4);
	close(fd);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/reports", folder);
	to_driver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (connect(to_driver, (struct sockaddr *)&address, sizeof address) < 0)
		exit(5);
}

/* Before anything is sent on it. */
static void report(uint64_t handle, int32_t pid)
{
	struct report report = { handle, pid };
	struct iovec bytes = { &report, sizeof report };
	union { struct cmsghdr head; char space[CMSG_SPACE(sizeof(int))]; } rights = { 0 };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &rights,
				  .msg_controllen = sizeof rights };

	rights.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
					.cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&rights.head), &mapped, sizeof mapped);
	if (sendmsg(to_driver, &message, 0) < 0)
		wrong("sendmsg: %s", strerrorname_np(errno));
	close(mapped);
	mapped = -1;
}

static void begin_journal(struct journal *journal, uint64_t handle)
{
	atomic_store(&journal->handle, 0);
	atomic_store(&journal->sent, 0);
	atomic_store(&journal->received, 0);
	atomic_store(&journal->handle, handle);
}

/* ---- messages ---- */

static unsigned char byte_of(uint64_t number, uint32_t from, uint32_t at)
{
	return (unsigned char)(number * 31 + from * 7 + at);
}

static uint32_t any_size(void)
{
	static const uint32_t most[] = { 24, 64 - 16, 256 - 16, PAYLOAD_MAX - 16 };

	return (uint32_t)sizeof(struct work) + any(most[any(4)] + 1);
}

static void fill(void *memory, uint64_t number, uint32_t from, uint32_t size)
{
	struct work head = { .number = number, .size = size, .from = from };
	unsigned char *byte = memory;

	memcpy(memory, &head, sizeof head);
	for (uint32_t i = sizeof head; i < size; i++)
		byte[i] = byte_of(number, from, i);
}

/* Whole, and the next in order. */
static void check(const struct epochd_message *message, uint64_t number, uint32_t from)
{
	const unsigned char *byte = message->payload;
	struct work head;

	memcpy(&head, message->payload, sizeof head);
	if (head.number != number || head.from != from || head.size != message->size)
		wrong("message %llu of %u bytes from %u instead of %llu from %u, handle %#llx",
		      (unsigned long long)head.number, message->size, head.from, (unsigned long long)number, from,
		      (unsigned long long)message->handle);
	for (uint32_t i = sizeof head; i < message->size; i++)
		if (byte[i] != byte_of(number, from, i))
			wrong("byte %u of message %llu from %u is wrong", i, (unsigned long long)number, from);
}

/* ---- the client ---- */

static struct journal *own;
static struct epochd_message held[HELD];
static int held_count, abandoned;

static void on_new_handle(struct epochd_client *client, uint64_t old_handle, uint64_t new_handle, void *user)
{
	(void)client;
	(void)old_handle;
	(void)user;
	report(new_handle, getpid());
	begin_journal(own, new_handle);
	abandoned = 0;
}

static int try_to_send(struct epochd_client *client)
{
	unsigned char bytes[PAYLOAD_MAX];
	uint32_t size = any_size();
	uint64_t number;
	void *memory = bytes;
	int r;

	if (any(2)) {
		r = epochd_allocate(client, size, &memory);
		if (r < 0)
			return r;
		if (any(8) == 0)
			return epochd_free(client, memory);
		if (any(16) == 0 && abandoned < ABANDONED) {
			abandoned++;
			return 0;
		}
	}
	/* Only now: whatever call came last may have joined the next epoch. */
	number = atomic_load(&own->sent);
	fill(memory, number, (uint32_t)(epochd_client_handle(client) >> 20), size);
	r = epochd_send(client, any(2) ? work_id : hold_id, number, memory, size);
	if (r == 0)
		atomic_store(&own->sent, number + 1);
	else if (memory != bytes && r == -EAGAIN && epochd_free(client, memory) == -ESTALE)
		r = -ESTALE;   /* not to be overheard: the next call would join, and be it a send */
	return r;
}

static int release_one(struct epochd_client *client)
{
	unsigned which = any((unsigned)held_count);
	bool of_now = held[which].handle == epochd_client_handle(client);
	int r = epochd_release(client, &held[which]);

	if (r < 0 && r != -ESTALE)
		wrong("release: %s", strerrorname_np(-r));
	held[which] = held[--held_count];   /* what it points to is not looked at any more */
	return of_now ? r : 0;
}

static int try_to_receive(struct epochd_client *client, int64_t timeout)
{
	int r = held_count == HELD ? release_one(client) : 0;

	if (r < 0)
		return r;
	r = epochd_receive(client, &held[held_count], timeout);
	if (r < 0)
		return r;
	check(&held[held_count++], atomic_load(&own->received), APP);
	atomic_fetch_add(&own->received, 1);
	return 0;
}

static int step(struct epochd_client *client)
{
	switch (any(10)) {
	case 0: case 1: case 2: case 3:
		return try_to_send(client);
	case 4: case 5: case 6: case 7: case 8:
		return try_to_receive(client, 0);
	default:
		return try_to_receive(client, 1000000);
	}
}

/* By hand, or with EPOCHD_RECONNECT in the next calls; those are no sends, whose messages would begin a new epoch with
 * a number of the old one. It has joined when there is a message, or none: a wait may have ended before. */
static int join_next(struct epochd_client *client, unsigned number, bool by_hand)
{
	int r;

	if (by_hand)
		return epochd_reconnect(client, 60000000000);
	do
		r = try_to_receive(client, any(2) ? 10000000 : 0);
	while ((r == -ESTALE || r == -ETIMEDOUT) && !atomic_load(&control->quit[number]));
	return r;
}

static int run_client(unsigned number)
{
	char why[300] = "";
	const struct epochd_options options = { .timeout = 60000000000, .why = why, .why_size = sizeof why,
						.reconnected = on_new_handle,
						.flags = number % 2 ? EPOCHD_RECONNECT : 0 };
	struct epochd_client *client;
	int r;

	plan = &control->plan[number];
	own = &control->client[number];
	r = epochd_connect(&client, "torture", torture_messages, torture_count, &options);
	if (r < 0)
		wrong("connect: %s", why);
	if (mapped >= 0)   /* otherwise the first epoch had gone by then, and it was told of the next */
		on_new_handle(client, 0, epochd_client_handle(client), NULL);
	while (!atomic_load(&control->quit[number])) {
		r = step(client);
		if (r == -ESTALE)
			r = join_next(client, number, !options.flags);
		if (r < 0 && r != -EAGAIN && r != -ETIMEDOUT && r != -ESTALE)
			wrong("client %u: %s: %s", number, strerrorname_np(-r), epochd_client_why(client));
	}
	epochd_close(client);
	return 0;
}

/* ---- the application ---- */

static uint32_t index_of(uint64_t handle) { return handle & 0xfffff; }

static void answer(struct epochd_app *app, uint64_t handle)
{
	struct journal *journal = &control->app[index_of(handle)];
	uint64_t number = atomic_load(&journal->sent);
	unsigned char bytes[PAYLOAD_MAX];
	uint32_t size = any_size();
	void *memory = bytes;
	int r;

	if (any(2)) {
		r = epochd_app_allocate(app, handle, size, &memory);
		if (r < 0)
			return;
		if (any(8) == 0) {
			epochd_app_free(app, handle, memory);
			return;
		}
	}
	fill(memory, number, APP, size);
	r = epochd_app_send(app, handle, any(2) ? work_id : hold_id, number, memory, size);
	if (r == 0)
		atomic_store(&journal->sent, number + 1);
	else if (memory != bytes && r == -EAGAIN)
		epochd_app_free(app, handle, memory);
}

static void on_work(struct epochd_app *app, const struct epochd_message *message, void *user)
{
	struct journal *journal = &control->app[index_of(message->handle)];

	(void)user;
	if (atomic_load(&journal->handle) != message->handle)
		wrong("a message of %#llx, whose slot is %#llx's", (unsigned long long)message->handle,
		      (unsigned long long)atomic_load(&journal->handle));
	check(message, atomic_load(&journal->received), (uint32_t)(message->handle >> 20));
	atomic_fetch_add(&journal->received, 1);
	for (unsigned i = any(3); i > 0; i--)
		answer(app, message->handle);
}

static void on_joined(struct epochd_app *app, const struct epochd_peer *peer, void *user)
{
	(void)user;
	report(peer->handle, peer->pid);
	begin_journal(&control->app[index_of(peer->handle)], peer->handle);
	answer(app, peer->handle);
}

static struct epochd_app *served;

static void on_signal(int signal)
{
	(void)signal;
	epochd_stop(served);   /* NOLINT(bugprone-signal-handler): it may */
}

static int run_app(void)
{
	char why[300] = "";
	const struct epochd_options options = { .timeout = 60000000000, .why = why, .why_size = sizeof why };
	const char *epoch = getenv("EPOCHD_EPOCH");   /* NOLINT(concurrency-mt-unsafe): one thread */
	int r;

	plan = &control->plan[APP];
	atomic_store(&control->app_newest, (epoch ? strtoull(epoch, NULL, 10) : 0) << 32 | (uint32_t)getpid());
	atomic_store(&control->app_pid, getpid());
	r = epochd_attach(&served, torture_messages, torture_count, &options);
	if (r < 0)
		wrong("attach: %s", why);
	epochd_handle(served, work_id, on_work, NULL);
	epochd_handle(served, hold_id, on_work, NULL);
	epochd_on_joined(served, on_joined, NULL);
	signal(SIGTERM, on_signal);
	r = epochd_run(served);
	if (r < 0 && r != -ESTALE)
		wrong("run: %s", strerrorname_np(-r));
	epochd_detach(served);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	seed = (unsigned)getpid();
	open_control(argv[2]);
	return argc == 4 ? run_client((unsigned)strtoul(argv[3], NULL, 10)) : run_app();
}
