/* The application of workers.sh and kept.sh: `pooled_server WORKERS`. Each message has the next number of its client's in
 * its order, and says what it is in each byte of its tail; whatever is wrong ends it. What is kept of a client stands in
 * plain variables: the library's order is all that keeps threads apart. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/pooled.h"

enum { CLIENTS = 64, KEPT = 64 };

static struct epochd_app *app;
static pthread_t dispatching;
static unsigned workers;
static uint64_t next[CLIENTS];
static pthread_barrier_t meeting;
static struct epochd_message kept[KEPT];
static uint32_t kept_count;
static _Atomic uint32_t released;

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	fputs("pooled_server: ", stderr);
	vfprintf(stderr, format, values);
	fputc('\n', stderr);
	va_end(values);
	_Exit(1);
}

static uint64_t number_of(const struct epochd_message *message)
{
	const unsigned char *byte = message->payload;
	uint64_t number;

	memcpy(&number, byte, sizeof number);
	for (uint32_t i = sizeof number; i < message->size; i++)
		if (byte[i] != (unsigned char)(number + i))
			die("byte %u of message %llu of %#llx is wrong", i, (unsigned long long)number,
			    (unsigned long long)message->handle);
	return number;
}

static void take_in_order(const struct epochd_message *message)
{
	uint64_t *expected = &next[message->handle % CLIENTS], number = number_of(message);

	if (number != *expected)
		die("%#llx: message %llu instead of %llu", (unsigned long long)message->handle,
		    (unsigned long long)number, (unsigned long long)*expected);
	++*expected;
}

static void reply(const struct epochd_message *message)
{
	int r;

	/* Its ring may be full: a reply is a client's to wait for. */
	do
		r = epochd_reply(app, message, done_id, message->payload, message->size);
	while (r == -EAGAIN && epochd_app_verdict(app, message->handle, NULL) == EPOCHD_GOOD);
}

static bool is_here(void) { return pthread_equal(pthread_self(), dispatching); }

static void on_here(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	(void)of;
	(void)user;
	if (!is_here())
		die("what is not concurrent is handled by a worker");
	take_in_order(message);
	reply(message);
}

static void on_there(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	(void)of;
	(void)user;
	if (is_here() != !workers)
		die("what is concurrent is handled %s", workers ? "where it is dispatched" : "by somebody else");
	take_in_order(message);
	reply(message);
}

static void on_any(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	(void)of;
	(void)user;
	number_of(message);
	reply(message);
}

/* It ends when there are as many at the same time. */
static void on_meet(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	(void)of;
	(void)user;
	pthread_barrier_wait(&meeting);
	reply(message);
}

static void on_work_1ms(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const struct timespec some = { .tv_nsec = 1000000 };

	(void)of;
	(void)user;
	nanosleep(&some, NULL);
	reply(message);
}

/* ---- kept ---- */

static void on_stay(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	struct epochd_message again;

	(void)user;
	number_of(message);
	if (epochd_keep(of, message, &kept[kept_count]) < 0)
		die("it cannot be kept");
	if (epochd_keep(of, message, &again) != -EINVAL)
		die("it can be kept twice");
	kept_count++;
}

static void *let_all_go(void *user)
{
	(void)user;
	for (uint32_t i = 0; i < kept_count; i++) {
		number_of(&kept[i]);
		epochd_app_release(app, &kept[i]);
		epochd_app_release(app, &kept[i]);   /* once more is nothing */
	}
	return NULL;
}

/* By another thread. */
static void on_let_go(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const struct done counts = { kept_count };
	pthread_t other;

	(void)user;
	pthread_create(&other, NULL, let_all_go, NULL);
	pthread_join(other, NULL);
	kept_count = 0;
	epochd_reply(of, message, done_id, &counts, sizeof counts);
}

static void on_released(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	(void)of;
	(void)user;
	number_of(message);   /* it can still be read */
	atomic_fetch_add(&released, 1);
}

/* ---- clients ---- */

static void on_joined(struct epochd_app *of, const struct epochd_peer *peer, void *user)
{
	(void)of;
	(void)user;
	next[peer->handle % CLIENTS] = 0;
}

/* Nothing of it is under way any more: `next` is nobody else's. */
static void on_gone(struct epochd_app *of, const struct epochd_peer *peer, int why, void *user)
{
	(void)of;
	(void)user;
	fprintf(stderr, "pooled: %s, %d: %llu in order, %u released\n", peer->name, why,
		(unsigned long long)next[peer->handle % CLIENTS], atomic_load(&released));
}

static void on_signal(int signal)
{
	(void)signal;
	epochd_stop(app);   /* NOLINT(bugprone-signal-handler): it may */
}

int main(int argc, char **argv)
{
	char why[300] = "";
	const struct epochd_options options = { .why = why, .why_size = sizeof why };

	workers = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	dispatching = pthread_self();
	pthread_barrier_init(&meeting, NULL, workers ? workers : 1);
	if (epochd_attach(&app, pooled_messages, pooled_count, &options) < 0)
		die("attach: %s", why);
	if (workers && epochd_workers(app, workers) < 0)
		die("no workers");
	if (workers && epochd_workers(app, 1) != -EBUSY)
		die("workers twice");
	epochd_handle(app, here_id, on_here, NULL);
	epochd_handle_concurrent(app, there_id, on_there, NULL, 0);
	epochd_handle_concurrent(app, lying_id, on_there, NULL, 0);
	epochd_handle_concurrent(app, any_id, on_any, NULL, EPOCHD_UNORDERED);
	epochd_handle_concurrent(app, meet_id, on_meet, NULL, 0);
	epochd_handle_concurrent(app, meet_any_id, on_meet, NULL, EPOCHD_UNORDERED);
	epochd_handle_concurrent(app, work_1ms_id, on_work_1ms, NULL, 0);
	epochd_handle(app, stay_id, on_stay, NULL);
	epochd_handle(app, stay_lying_id, on_stay, NULL);
	epochd_handle(app, let_go_id, on_let_go, NULL);
	epochd_on_released(app, stay_id, on_released, NULL);
	epochd_on_released(app, stay_lying_id, on_released, NULL);
	epochd_on_joined(app, on_joined, NULL);
	epochd_on_gone(app, on_gone, NULL);
	signal(SIGTERM, on_signal);
	epochd_run(app);
	epochd_detach(app);
	return 0;
}
