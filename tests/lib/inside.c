/* An application that is its own client, for inside.sh. Prints a line for each thing that it found to be so; ends with status
 * 1 at the first that is not.
 *
 *   inside [WORKERS] */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apilib/epochd.h"

#define NUMBER(FIELD, ARRAY) FIELD(u64, number)
#define LIST(MESSAGE) \
	MESSAGE(twice, "inside.twice", NUMBER, EPOCHD_TAIL | EPOCHD_CALLABLE) \
	MESSAGE(nested, "inside.nested", NUMBER, EPOCHD_CALLABLE) \
	MESSAGE(never, "inside.never", NUMBER, 0)
EPOCHD_MESSAGES(inside, LIST)

#define EXPECT(value, wanted) expect((int64_t)(value), (int64_t)(wanted), #value, __LINE__)

enum { CALLS = 1000, SECOND = 1000000000, LARGE = 5000 };

static struct epochd_app *app;
static struct epochd_client *self;
static unsigned told, received;
static bool has_workers;

static void expect(int64_t value, int64_t wanted, const char *text, int line)
{
	if (value == wanted)
		return;
	printf("line %d: %s is %" PRId64 ", not %" PRId64 "\n", line, text, value, wanted);
	exit(1);
}

static uint64_t number_of(const struct epochd_message *message)
{
	uint64_t number;

	memcpy(&number, message->payload, sizeof number);
	return number;
}

static void on_twice(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	unsigned char bytes[LARGE];
	const uint64_t twice = 2 * number_of(message);

	(void)user;
	memcpy(bytes, message->payload, message->size);
	memcpy(bytes, &twice, sizeof twice);
	epochd_reply(of, message, twice_id, bytes, message->size);
}

static uint64_t call_twice(uint64_t number, size_t size)
{
	unsigned char bytes[LARGE];
	struct epochd_message reply;
	uint64_t result;

	memset(bytes, 7, sizeof bytes);
	memcpy(bytes, &number, sizeof number);
	EXPECT(epochd_call(self, twice_id, bytes, size, &reply, 60ll * SECOND), 0);
	EXPECT(reply.size, size);
	EXPECT(size == sizeof number || ((const unsigned char *)reply.payload)[size - 1] == 7, 1);
	result = number_of(&reply);
	epochd_release(self, &reply);
	return result;
}

/* Calls its own application, whoever asked; what it was given itself stays what it was. */
static void on_nested(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const uint64_t number = number_of(message), result = call_twice(number, LARGE) + call_twice(number, sizeof number);
	struct epochd_client *another;
	struct epochd_message none;

	(void)user;
	EXPECT(number_of(message), number);
	EXPECT(epochd_connect_inside(&another, of, inside_messages, inside_count, NULL), -EDEADLK);
	EXPECT(epochd_dispatch(of), -EDEADLK);
	EXPECT(epochd_receive(self, &none, SECOND), -EDEADLK);
	epochd_reply(of, message, nested_id, &result, sizeof result);
}

static void by_itself(void)
{
	const struct epochd_options reconnect = { .flags = EPOCHD_RECONNECT };
	struct epochd_client *another;

	EXPECT(epochd_connect_inside(&another, app, inside_messages, inside_count, &reconnect), -EINVAL);
	for (uint64_t i = 0; i < CALLS; i++)
		EXPECT(call_twice(i, i % 2 ? sizeof i : LARGE), 2 * i);
	puts("calls");
}

static void nothing_to_wait_for(void)
{
	const uint64_t number = 1;
	struct epochd_message message;

	EXPECT(epochd_send(self, never_id, 1, &number, sizeof number), 0);
	EXPECT(epochd_receive(self, &message, SECOND / 100), -ETIMEDOUT);
	EXPECT(epochd_receive(self, &message, 0), -EAGAIN);
	puts("waits");
}

/* Receives all that there is. */
static void on_readable(struct epochd_client *client, void *user)
{
	struct epochd_message message;
	int r;

	(void)user;
	told++;
	while ((r = epochd_receive(client, &message, 0)) == 0) {
		received++;
		epochd_release(client, &message);
	}
	EXPECT(r, -EAGAIN);
}

static void is_told(void)
{
	const uint64_t number = 1;

	EXPECT(epochd_on_readable(self, on_readable, NULL), 0);
	for (unsigned i = 1; i <= 3; i++) {
		for (int j = 0; j < 5; j++)
			EXPECT(epochd_send(self, twice_id, 1, &number, sizeof number), 0);
		while (received < 5 * i)
			EXPECT(epochd_dispatch(app) >= 0, 1);
		while (epochd_dispatch(app) > 0)
			;
		EXPECT(received, 5 * i);
		EXPECT(has_workers || told == i, 1);   /* what came at once was told once */
	}
	EXPECT(epochd_client_dispatch(self), 0);
	EXPECT(epochd_on_readable(self, NULL, NULL), 0);
	puts("told");
}

/* An ordinary client, on the same thread: what is there is seen by its descriptor, and told by its dispatch. */
static void another_is_told(void)
{
	struct epochd_client *another;
	const uint64_t number = 1;
	struct pollfd readable;

	EXPECT(epochd_connect(&another, "inside", inside_messages, inside_count, NULL), 0);
	EXPECT(epochd_on_readable(another, on_readable, NULL), 0);
	told = 0;
	EXPECT(epochd_client_dispatch(another), 0);
	readable = (struct pollfd){ .fd = epochd_client_fd(another), .events = POLLIN };
	EXPECT(poll(&readable, 1, 0), 0);
	EXPECT(epochd_send(another, twice_id, 1, &number, sizeof number), 0);
	while (poll(&readable, 1, 0) == 0)
		EXPECT(epochd_dispatch(app) >= 0, 1);
	EXPECT(epochd_client_dispatch(another), 1);
	EXPECT(told, 1);
	EXPECT(epochd_client_dispatch(another), 0);
	epochd_close(another);
	puts("another");
}

static void from_post(void *user)
{
	(void)user;
	EXPECT(call_twice(21, sizeof(uint64_t)), 42);
	puts("post");
	fflush(stdout);
}

static void on_signal(int signal)
{
	(void)signal;
	epochd_stop(app);   /* NOLINT(bugprone-signal-handler): it may */
}

int main(int argc, char **argv)
{
	const struct epochd_options named = { .name = "myself" };
	struct epochd_message none;

	EXPECT(epochd_attach(&app, inside_messages, inside_count, NULL), 0);
	has_workers = argc > 1;
	if (has_workers) {
		EXPECT(epochd_workers(app, (unsigned)atoi(argv[1])), 0);
		EXPECT(epochd_handle_concurrent(app, twice_id, on_twice, NULL, 0), 0);
	} else {
		EXPECT(epochd_handle(app, twice_id, on_twice, NULL), 0);
	}
	EXPECT(epochd_handle(app, nested_id, on_nested, NULL), 0);
	EXPECT(epochd_connect_inside(&self, app, inside_messages, inside_count, &named), 0);
	by_itself();
	nothing_to_wait_for();
	is_told();
	another_is_told();
	EXPECT(epochd_post(app, from_post, NULL), 0);
	signal(SIGTERM, on_signal);
	fflush(stdout);
	EXPECT(epochd_run(app), 0);
	epochd_detach(app);
	EXPECT(epochd_receive(self, &none, SECOND), -ESTALE);
	epochd_close(self);
	puts("ended");
	return 0;
}
