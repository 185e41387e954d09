/* Each case of tests/integration/api.sh is one run of this: `api_client CASE`. It says what the script is to do on
 * stdout, a line each, and awaits a line on stdin where that is needed. Status 0: all was as it should be. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/api_messages.h"

static const int64_t long_enough = 60000000000;

#define EXPECT(what, wanted) expect(__LINE__, #what, (long long)(what), (long long)(wanted))

static void expect(int line, const char *what, long long got, long long wanted)
{
	if (got == wanted)
		return;
	fprintf(stderr, "api_client.c:%d: %s is %lld, expected %lld (%s)\n", line, what, got, wanted,
		got < 0 ? strerror((int)-got) : "");
	exit(1);
}

static struct epochd_client *connect_as(const struct epochd_options *options)
{
	struct epochd_client *client = NULL;

	EXPECT(epochd_connect(&client, "api", api_messages, api_count, options), 0);
	return client;
}

static void say(const char *line)
{
	puts(line);
	fflush(stdout);
}

static void await_line(void)
{
	char line[64];

	if (!fgets(line, sizeof line, stdin))
		exit(1);
}

static uint64_t number_of(const struct epochd_message *message)
{
	const struct tally *tally = message->payload;

	return tally->number;
}

static void fill(unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(i * 7 + size);
}

static void call_echo(struct epochd_client *client, const void *payload, size_t size)
{
	struct epochd_message reply;

	EXPECT(epochd_call(client, echo_id, payload, size, &reply, long_enough), 0);
	EXPECT(reply.type, echo_id);
	EXPECT(reply.size, size);
	EXPECT(memcmp(reply.payload, payload, size), 0);
	EXPECT((uintptr_t)reply.payload % 8, 0);
	EXPECT(epochd_release(client, &reply), 0);
}

/* Of every size, inline and in each class, copied and in place. */
static void sizes(void)
{
	static const size_t size[] = { 8, 9, 39, 40, 41, 256, 257, 2048, 2049, ECHO_MOST };
	static unsigned char bytes[ECHO_MOST + 1];
	struct epochd_client *client = connect_as(NULL);
	struct epochd_message reply;
	void *memory;

	for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
		fill(bytes, size[i]);
		call_echo(client, bytes, size[i]);
		EXPECT(epochd_allocate(client, size[i], &memory), 0);
		memcpy(memory, bytes, size[i]);
		EXPECT(epochd_call(client, echo_id, memory, size[i], &reply, long_enough), 0);
		EXPECT(memcmp(reply.payload, bytes, size[i]), 0);
		epochd_release(client, &reply);
	}
	EXPECT(epochd_send(client, echo_id, 1, bytes, sizeof bytes), -EAGAIN);   /* a buffer for it is made: large.sh */
	EXPECT(epochd_send(client, echo_id, 1, bytes, 7), -EINVAL);
	EXPECT(epochd_send(client, silent_id, 1, bytes, 9), -EINVAL);   /* it has no tail */
	EXPECT(epochd_send(client, api_count, 1, bytes, 8), -EINVAL);
	EXPECT(epochd_send(client, echo_id, 1ull << 63, bytes, 8), -EINVAL);
	EXPECT(epochd_allocate(client, 100, &memory), 0);
	EXPECT(epochd_free(client, (char *)memory + 1), -EINVAL);
	EXPECT(epochd_free(client, bytes), -EINVAL);
	EXPECT(epochd_free(client, memory), 0);
	EXPECT(epochd_free(client, memory), -EINVAL);
	fill(bytes, 3000);
	EXPECT(epochd_call(client, sum_id, bytes, 3000, &reply, long_enough), 0);
	uint64_t sum = 0;
	for (size_t i = 0; i < 3000; i++)
		sum += bytes[i];
	EXPECT(number_of(&reply), sum);
	epochd_close(client);
}

/* Many under way, released in another order; and what comes during a call is kept. */
static void many(void)
{
	struct epochd_client *client = connect_as(NULL);
	struct epochd_message message[64], reply;
	struct echo echo = { 0 };
	unsigned char large[300];

	for (uint64_t i = 0; i < 64; i++) {
		echo.number = 1000 + i;
		fill(large, sizeof large);
		memcpy(large, &echo, sizeof echo);
		EXPECT(epochd_send(client, echo_id, i, large, i % 2 ? sizeof large : sizeof echo), 0);
	}
	for (uint64_t i = 0; i < 64; i++) {
		EXPECT(epochd_receive(client, &message[i], long_enough), 0);
		EXPECT(message[i].context, i);
		EXPECT(number_of(&message[i]), 1000 + i);
	}
	for (int i = 63; i >= 0; i--)
		EXPECT(epochd_release(client, &message[i]), 0);
	for (uint64_t i = 0; i < 3; i++) {
		echo.number = i;
		EXPECT(epochd_send(client, echo_id, 70 + i, &echo, sizeof echo), 0);
	}
	call_echo(client, "12345678", 8);
	for (uint64_t i = 0; i < 3; i++) {
		EXPECT(epochd_receive(client, &reply, 0), 0);
		EXPECT(reply.context, 70 + i);
		EXPECT(number_of(&reply), i);
	}
	EXPECT(epochd_receive(client, &reply, 0), -EAGAIN);
	epochd_close(client);
}

/* A reply that comes from another thread, later. */
static void later(void)
{
	struct epochd_client *client = connect_as(NULL);
	struct later later = { 4711 };
	struct epochd_message reply;

	for (int i = 0; i < 100; i++) {
		later.number++;
		EXPECT(epochd_call(client, later_id, &later, sizeof later, &reply, long_enough), 0);
		EXPECT(number_of(&reply), later.number);
	}
	epochd_close(client);
}

/* The application is stopped meanwhile, and goes on when the script has read that. */
static void full(void)
{
	struct epochd_client *client = connect_as(NULL);
	struct epochd_message reply;
	struct echo echo = { 0 };
	uint64_t sent = 0, buffers = 0;
	void *memory;
	int r;

	say("stop it");
	await_line();
	while ((r = epochd_send(client, echo_id, sent, &echo, sizeof echo)) == 0)
		sent++;
	EXPECT(r, -EAGAIN);
	EXPECT(sent, 128);
	while ((r = epochd_allocate(client, 10000, &memory)) == 0)
		buffers++;
	EXPECT(r, -EAGAIN);
	EXPECT(buffers, 8);
	EXPECT(epochd_allocate(client, 100, &memory), 0);
	EXPECT(epochd_receive(client, &reply, 1000000), -ETIMEDOUT);
	EXPECT(epochd_call(client, echo_id, &echo, sizeof echo, &reply, 1000000), -EAGAIN);
	say("go on");
	for (uint64_t i = 0; i < sent; i++) {
		EXPECT(epochd_receive(client, &reply, long_enough), 0);
		EXPECT(reply.context, i);
	}
	/* One that is answered too late is dropped. */
	say("stop it");
	await_line();
	EXPECT(epochd_call(client, echo_id, &echo, sizeof echo, &reply, 1000000), -ETIMEDOUT);
	say("go on");
	call_echo(client, "abcdefgh", 8);
	EXPECT(epochd_receive(client, &reply, 0), -EAGAIN);
	epochd_close(client);
}

/* What does not read costs the application an -EAGAIN. */
static void flood(void)
{
	struct epochd_client *client = connect_as(NULL), *other = connect_as(NULL);
	const struct flood flood = { 1000 };
	struct epochd_message message;

	EXPECT(epochd_send(client, flood_id, 0, &flood, sizeof flood), 0);
	for (int i = 0; i < 100; i++)
		call_echo(other, "12345678", 8);
	say("flooded");
	await_line();
	for (uint64_t i = 0; i < 128; i++) {
		EXPECT(epochd_receive(client, &message, long_enough), 0);
		EXPECT(message.type, event_id);
		EXPECT(number_of(&message), i);
	}
	EXPECT(epochd_receive(client, &message, 0), -EAGAIN);
	call_echo(client, "12345678", 8);
	epochd_close(client);
	epochd_close(other);
}

/* By an event loop: readable for each message, and quiet otherwise. */
static void loop(void)
{
	struct epochd_client *client = connect_as(NULL);
	struct pollfd ready = { .fd = epochd_client_fd(client), .events = POLLIN };
	struct echo echo = { 0 };
	struct epochd_message message;
	int r;

	EXPECT(epochd_receive(client, &message, 0), -EAGAIN);
	EXPECT(poll(&ready, 1, 0), 0);
	for (echo.number = 0; echo.number < 1000; echo.number++) {
		EXPECT(epochd_send(client, echo_id, echo.number, &echo, sizeof echo), 0);
		EXPECT(poll(&ready, 1, 60000), 1);
		while ((r = epochd_receive(client, &message, 0)) == -EAGAIN)
			EXPECT(poll(&ready, 1, 60000), 1);   /* woken for another reason */
		EXPECT(r, 0);
		EXPECT(message.context, echo.number);
		EXPECT(epochd_receive(client, &message, 0), -EAGAIN);
	}
	EXPECT(poll(&ready, 1, 0), 0);
	epochd_close(client);
}

static void in_every_mode(void)
{
	for (uint32_t wait = EPOCHD_ADAPTIVE; wait <= EPOCHD_SLEEP; wait++) {
		const struct epochd_options options = { .wait = wait, .ring = 4, .buffers_count = 1,
							.buffers = &(struct epochd_buffers){ 256, 2 } };
		struct epochd_client *client = connect_as(&options);
		unsigned char bytes[257];

		for (int i = 0; i < 1000; i++) {
			fill(bytes, 256);
			call_echo(client, bytes, i % 2 ? 8 : 256);
		}
		EXPECT(epochd_send(client, echo_id, 1, bytes, 257), -EAGAIN);
		epochd_close(client);
	}
}

/* A child holds nothing, and its parent goes on. */
static void forked(void)
{
	struct epochd_client *client = connect_as(NULL);
	struct epochd_registry *registry;
	struct epochd_message message;
	int status, before = epochd_client_fd(client);
	void *memory;
	pid_t child;

	EXPECT(epochd_registry_open(&registry, "api", NULL), 0);
	EXPECT(epochd_handle_check(registry, epochd_client_handle(client)), EPOCHD_GOOD);
	child = fork();
	if (child == 0) {
		EXPECT(epochd_send(client, silent_id, 1, "12345678", 8), -ECHILD);
		EXPECT(epochd_receive(client, &message, -1), -ECHILD);
		EXPECT(epochd_call(client, echo_id, "12345678", 8, &message, -1), -ECHILD);
		EXPECT(epochd_allocate(client, 8, &memory), -ECHILD);
		EXPECT(epochd_reconnect(client, -1), -ECHILD);
		EXPECT(epochd_client_fd(client), -ECHILD);
		EXPECT(epochd_handle_check(registry, 1), -ECHILD);
		EXPECT(fcntl(before, F_GETFD), -1);
		epochd_close(client);
		epochd_registry_close(registry);
		client = connect_as(NULL);
		call_echo(client, "87654321", 8);
		epochd_close(client);
		_exit(0);
	}
	EXPECT(waitpid(child, &status, 0), child);
	EXPECT(status, 0);
	call_echo(client, "12345678", 8);
	epochd_registry_close(registry);
	epochd_close(client);
}

/* It dies; its child, which the script ends, does not keep it alive. */
static void orphan(void)
{
	struct epochd_client *client = connect_as(NULL);
	pid_t child;

	call_echo(client, "12345678", 8);
	child = fork();
	if (child == 0)
		for (;;)
			pause();
	printf("child %d\n", (int)child);
	fflush(stdout);
	_exit(0);
}

#define OTHER(FIELD, ARRAY) FIELD(u32, number)
#define OTHER_LIST(MESSAGE) MESSAGE(other, "test.echo", OTHER, 0)
EPOCHD_MESSAGES(others, OTHER_LIST)
#define STRANGE_LIST(MESSAGE) MESSAGE(strange, "test.strange", OTHER, 0)
EPOCHD_MESSAGES(stranges, STRANGE_LIST)

static void mismatch(void)
{
	char why[512];
	const struct epochd_options options = { .why = why, .why_size = sizeof why };
	struct epochd_client *client = NULL;

	EXPECT(epochd_connect(&client, "api", others_messages, others_count, &options), -ENOMSG);
	puts(why);
	EXPECT(epochd_connect(&client, "api", stranges_messages, stranges_count, &options), 0);
	EXPECT(epochd_send(client, strange_id, 1, "1234", 4), -ENOMSG);
	epochd_close(client);
}

static uint64_t told_old, told_new;

static void on_reconnected(struct epochd_client *client, uint64_t old_handle, uint64_t new_handle,
			   void *user)
{
	(void)client;
	(void)user;
	told_old = old_handle;
	told_new = new_handle;
}

/* The script kills the application while this waits. */
static void stale(uint32_t flags)
{
	const struct epochd_options options = { .flags = flags, .reconnected = on_reconnected };
	struct epochd_client *client = connect_as(&options);
	uint64_t before = epochd_client_handle(client);
	struct epochd_message message, held;
	unsigned char bytes[100] = { 0 };
	struct epochd_registry *registry;

	EXPECT(epochd_call(client, echo_id, bytes, sizeof bytes, &held, long_enough), 0);
	EXPECT(epochd_registry_open(&registry, "api", NULL), 0);
	EXPECT(epochd_handle_check(registry, before), EPOCHD_GOOD);
	say("kill it");
	EXPECT(epochd_receive(client, &message, -1), -ESTALE);
	EXPECT(epochd_handle_check(registry, before) == EPOCHD_GOOD, 0);
	if (!flags) {
		EXPECT(epochd_send(client, silent_id, 1, bytes, 8), -ESTALE);
		EXPECT(epochd_reconnect(client, long_enough), 0);
	}
	call_echo(client, bytes, sizeof bytes);
	EXPECT(epochd_handle_epoch(epochd_client_handle(client)), epochd_handle_epoch(before) + 1);
	EXPECT(told_old, before);
	EXPECT(told_new, epochd_client_handle(client));
	EXPECT(epochd_release(client, &held), -ESTALE);
	EXPECT(epochd_handle_check(registry, before), EPOCHD_STALE_EPOCH);
	EXPECT(epochd_handle_check(registry, epochd_client_handle(client)), EPOCHD_GOOD);
	EXPECT(epochd_registry_epoch(registry), epochd_handle_epoch(before) + 1);
	const struct verdict asked = { before };
	EXPECT(epochd_call(client, verdict_id, &asked, sizeof asked, &message, long_enough), 0);
	EXPECT(number_of(&message), EPOCHD_STALE_EPOCH);
	epochd_registry_close(registry);
	epochd_close(client);
}

static void by_hand(void) { stale(0); }
static void by_itself(void) { stale(EPOCHD_RECONNECT); }

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(void); } cases[] = {
		{ "sizes", sizes }, { "many", many }, { "later", later }, { "full", full }, { "flood", flood },
		{ "loop", loop }, { "modes", in_every_mode }, { "forked", forked }, { "orphan", orphan },
		{ "mismatch", mismatch }, { "by_hand", by_hand }, { "by_itself", by_itself },
	};

	for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof cases[0]; i++)
		if (strcmp(cases[i].name, argv[1]) == 0) {
			cases[i].run();
			return 0;
		}
	fprintf(stderr, "api_client: no such case\n");
	return 2;
}
