/* The application of tests/integration/api.sh: answers in every way that there is. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/api_messages.h"

static struct epochd_app *app;
static uint64_t tallied;

static void die(const char *what, int r)
{
	fprintf(stderr, "api_server: %s: %s\n", what, strerror(-r));
	exit(1);
}

/* In place where it is large. */
static void on_echo(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	void *memory;
	int r;

	(void)user;
	if (message->size <= 40) {
		epochd_reply(of, message, echo_id, message->payload, message->size);
		return;
	}
	r = epochd_app_allocate(of, message->handle, message->size, &memory);
	if (r < 0)
		return;
	memcpy(memory, message->payload, message->size);
	if (epochd_reply(of, message, echo_id, memory, message->size) < 0)
		epochd_app_free(of, message->handle, memory);
}

static void on_silent(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	(void)of;
	(void)message;
	(void)user;
	tallied++;
}

static void on_tally(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const struct tally tally = { tallied };

	(void)user;
	epochd_reply(of, message, tally_id, &tally, sizeof tally);
}

static void on_sum(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const unsigned char *byte = message->payload;
	struct tally sum = { 0 };

	(void)user;
	for (uint32_t i = 0; i < message->size; i++)
		sum.number += byte[i];
	epochd_reply(of, message, tally_id, &sum, sizeof sum);
}

/* ---- later, from another thread ---- */

struct owed { uint64_t handle, context, number; };

static void pay(void *user)
{
	struct owed *owed = user;
	const struct later later = { owed->number };

	epochd_app_send(app, owed->handle, later_id, owed->context, &later, sizeof later);
	free(owed);
}

static void *other_thread(void *user)
{
	while (epochd_post(app, pay, user) < 0)
		;
	return NULL;
}

static void on_later(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	struct owed *owed = malloc(sizeof *owed);
	const struct later *later = message->payload;
	pthread_t thread;

	(void)of;
	(void)user;
	if (!owed)
		die("memory", -12);
	*owed = (struct owed){ message->handle, message->context, later->number };
	if (pthread_create(&thread, NULL, other_thread, owed) != 0)
		die("thread", -11);
	pthread_detach(thread);
}

/* ---- to one that does not read ---- */

static void on_flood(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const struct flood *flood = message->payload;
	struct event event = { 0 };
	int r = 0;

	(void)user;
	for (event.number = 0; event.number < flood->number && r == 0; event.number += r == 0)
		r = epochd_app_send(of, message->handle, event_id, 7, &event, sizeof event);
	fprintf(stderr, "api_server: flooded with %llu, then %s\n", (unsigned long long)event.number,
		strerror(-r));
}

static void on_verdict(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const struct verdict *asked = message->payload;
	const struct verdict verdict = { (uint64_t)epochd_app_verdict(of, asked->number, NULL) };

	(void)user;
	epochd_reply(of, message, verdict_id, &verdict, sizeof verdict);
}

/* In order of registration. */
static void on_gone(struct epochd_app *of, const struct epochd_peer *peer, int why, void *user)
{
	(void)of;
	fprintf(stderr, "api_server: %s: %s is gone: %d\n", (const char *)user, peer->name, why);
}

static void on_joined(struct epochd_app *of, const struct epochd_peer *peer, void *user)
{
	(void)user;
	fprintf(stderr, "api_server: %s has joined, one of %d\n", peer->name,
		epochd_app_clients(of, NULL, NULL));
}

static void on_signal(int signal)
{
	(void)signal;
	epochd_stop(app);   /* NOLINT(bugprone-signal-handler): it may */
}

int main(void)
{
	static char first[] = "first", second[] = "second";
	char why[256] = "";
	struct epochd_options options = { .why = why, .why_size = sizeof why };
	int r = epochd_attach(&app, api_messages, api_count, &options);

	if (r < 0) {
		fprintf(stderr, "api_server: %s\n", why);
		return 1;
	}
	epochd_handle(app, echo_id, on_echo, NULL);
	epochd_handle(app, silent_id, on_silent, NULL);
	epochd_handle(app, later_id, on_later, NULL);
	epochd_handle(app, sum_id, on_sum, NULL);
	epochd_handle(app, flood_id, on_flood, NULL);
	epochd_handle(app, verdict_id, on_verdict, NULL);
	epochd_handle(app, tally_id, on_tally, NULL);
	epochd_on_joined(app, on_joined, NULL);
	epochd_on_gone(app, on_gone, first);
	epochd_on_gone(app, on_gone, second);
	signal(SIGTERM, on_signal);
	r = epochd_run(app);
	epochd_detach(app);
	return r < 0;
}
