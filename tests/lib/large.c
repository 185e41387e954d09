/* Both sides of large messages, for large.sh.
 *
 *   large serve          the application
 *   large ask APP        a client that does what it is told on standard input, a line each, and prints one for each:
 *      send N     N bytes in a buffer, filled where they are: what the application saw of them
 *      copy N     the same, of a type that is copied before it is handled
 *      borrow N   from memory of its own
 *      get N      the application sends so many
 *      try N      allocates, without waiting, and gives it back: its place among those it was given so far, or the error */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apilib/epochd.h"

#define BLOB(FIELD, ARRAY) FIELD(u64, first)
#define SEEN(FIELD, ARRAY) FIELD(u64, size) FIELD(u64, first) FIELD(u64, last) FIELD(u64, grown)
#define GET(FIELD, ARRAY) FIELD(u64, size)
#define LIST(MESSAGE) \
	MESSAGE(blob, "large.blob", BLOB, EPOCHD_TAIL | EPOCHD_IN_PLACE) \
	MESSAGE(copied, "large.copied", BLOB, EPOCHD_TAIL) \
	MESSAGE(seen, "large.seen", SEEN, 0) \
	MESSAGE(get, "large.get", GET, 0)
EPOCHD_MESSAGES(large, LIST)

enum { PLACES = 16 };

static const int64_t patience = 60000000000;   /* only stops a hang */

static uint64_t first_of(const void *payload)
{
	uint64_t first;

	memcpy(&first, payload, sizeof first);
	return first;
}

static uint64_t last_of(const void *payload, size_t size)
{
	return first_of((const unsigned char *)payload + size - sizeof(uint64_t));
}

static void fill(void *payload, size_t size, uint64_t number)
{
	const uint64_t last = ~number;

	memset(payload, 0x5a, size);
	memcpy(payload, &number, sizeof number);
	memcpy((unsigned char *)payload + size - sizeof last, &last, sizeof last);
}

/* ---- the application ---- */

/* What of this process's memory is there, whatever it is of: what was not touched is not. KiB. */
static uint64_t resident(void)
{
	char text[200] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	char *pages;

	close(fd);
	pages = n > 0 ? strchr(text, ' ') : NULL;
	return pages ? strtoull(pages, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) / 1024 : 0;
}

static uint64_t at_begin;

static void on_blob(struct epochd_app *app, const struct epochd_message *message, void *user)
{
	const uint64_t now = resident();   /* before anything of it is looked at */
	const struct seen seen = { message->size, first_of(message->payload), last_of(message->payload, message->size),
				   now > at_begin ? now - at_begin : 0 };

	(void)user;
	epochd_reply(app, message, seen_id, &seen, sizeof seen);
}

static void on_get(struct epochd_app *app, const struct epochd_message *message, void *user)
{
	size_t size = ((const struct get *)message->payload)->size;
	void *memory;

	(void)user;
	if (epochd_app_allocate(app, message->handle, size, &memory) == 0) {
		fill(memory, size, size);
		epochd_reply(app, message, blob_id, memory, size);
		return;
	}
	/* Told so: it asks again. */
	epochd_reply(app, message, get_id, message->payload, message->size);
}

static struct epochd_app *app;

static void on_signal(int signal)
{
	(void)signal;
	epochd_stop(app);   /* NOLINT(bugprone-signal-handler): it may */
}

static int serve(void)
{
	if (epochd_attach(&app, large_messages, large_count, NULL) < 0)
		return 1;
	epochd_handle(app, blob_id, on_blob, NULL);
	epochd_handle(app, copied_id, on_blob, NULL);
	epochd_handle(app, get_id, on_get, NULL);
	signal(SIGTERM, on_signal);
	at_begin = resident();
	epochd_run(app);
	epochd_detach(app);
	return 0;
}

/* ---- the client ---- */

static struct epochd_client *client;
static void *place[PLACES];

static int say_error(int r)
{
	printf("%s\n", strerrorname_np(-r));
	return 0;
}

static int say_seen(int r, const struct epochd_message *reply)
{
	struct seen seen;

	if (r < 0)
		return say_error(r);
	memcpy(&seen, reply->payload, sizeof seen);
	printf("%" PRIu64 " %s grown %" PRIu64 "\n", seen.size, seen.last == ~seen.first ? "whole" : "spoilt", seen.grown);
	epochd_release(client, reply);
	return 0;
}

static int send_in_place(uint32_t type, size_t size)
{
	struct epochd_message reply;
	void *memory;
	int r = epochd_allocate_wait(client, size, &memory, patience);

	if (r < 0)
		return say_error(r);
	fill(memory, size, size);
	return say_seen(epochd_call(client, type, memory, size, &reply, patience), &reply);
}

static int borrow(size_t size)
{
	struct epochd_message reply;
	void *memory = malloc(size), *none;
	int r;

	if (!memory)
		return 1;
	fill(memory, size, size);
	while ((r = epochd_call(client, blob_id, memory, size, &reply, patience)) == -EAGAIN)
		if (epochd_allocate_wait(client, size, &none, patience) == 0)
			epochd_free(client, none);
	free(memory);
	return say_seen(r, &reply);
}

static int get(size_t size)
{
	const struct get ask = { size };
	struct epochd_message reply;
	int r;

	while ((r = epochd_call(client, get_id, &ask, sizeof ask, &reply, patience)) == 0 && reply.type == get_id)
		epochd_release(client, &reply);
	if (r < 0)
		return say_error(r);
	printf("%u %s\n", reply.size, last_of(reply.payload, reply.size) == ~first_of(reply.payload) ? "whole" : "spoilt");
	epochd_release(client, &reply);
	return 0;
}

static int try(size_t size)
{
	struct epochd_message message;
	void *memory = NULL;
	int r, i = 0;

	/* Hears what the supervisor says, or that there is one again. */
	while ((r = epochd_receive(client, &message, 0)) == 0)
		epochd_release(client, &message);
	if (r == -EAGAIN)
		r = epochd_allocate(client, size, &memory);
	if (r < 0)
		return say_error(r);
	while (i < PLACES - 1 && place[i] && place[i] != memory)
		i++;
	place[i] = memory;
	printf("place %d\n", i);
	epochd_free(client, memory);
	return 0;
}

static int ask(const char *name)
{
	static const struct epochd_options options = { .flags = EPOCHD_RECONNECT };
	char word[16];
	size_t size;
	int r = epochd_connect(&client, name, large_messages, large_count, &options);

	setlinebuf(stdout);
	while (r == 0 && scanf("%15s %zu", word, &size) == 2) {
		if (strcmp(word, "send") == 0)
			r = send_in_place(blob_id, size);
		else if (strcmp(word, "copy") == 0)
			r = send_in_place(copied_id, size);
		else if (strcmp(word, "borrow") == 0)
			r = borrow(size);
		else if (strcmp(word, "get") == 0)
			r = get(size);
		else
			r = try(size);
	}
	epochd_close(client);
	return r;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		return serve();
	return argc == 3 && strcmp(argv[1], "ask") == 0 ? ask(argv[2]) : 2;
}
