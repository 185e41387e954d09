/* blob-server: an application that sends to each client unasked as it joins, adds up what it is sent where that lies,
 * says who comes and who goes, and takes work from another thread. epochd starts it, with `readiness = attach`. */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "blob.h"

enum { UNASKED = 1 };   /* the context of what nobody asked for */

static struct epochd_app *app;
static uint64_t messages;

static void on_bytes(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const unsigned char *byte = message->payload;
	struct blob_sum answer = { 0 };

	(void)user;
	/* In place: each byte is read once, and the message's size is believed, not the head's. */
	for (uint32_t i = sizeof(struct blob_bytes); i < message->size; i++)
		answer.sum += byte[i];
	messages++;
	epochd_reply(of, message, blob_sum_id, &answer, sizeof answer);
}

static void on_joined(struct epochd_app *of, const struct epochd_peer *peer, void *user)
{
	const struct blob_sum greeting = { .sum = messages };

	(void)user;
	printf("%s has joined, pid %d\n", peer->name, (int)peer->pid);
	epochd_app_send(of, peer->handle, blob_sum_id, UNASKED, &greeting, sizeof greeting);
}

static void on_gone(struct epochd_app *of, const struct epochd_peer *peer, int why, void *user)
{
	(void)user;
	printf("%s is gone%s; %d are there\n", peer->name, why == EPOCHD_GONE_DEAD ? ", dead" : "",
	       epochd_app_clients(of, NULL, NULL));
}

/* Called by the thread that dispatches, so it needs no lock. */
static void report(void *user)
{
	(void)user;
	printf("stopped after %" PRIu64 " messages\n", messages);
	epochd_stop(app);
}

/* Signals are this thread's. */
static void *wait_for_end(void *set)
{
	int number;

	sigwait(set, &number);
	epochd_post(app, report, NULL);
	return NULL;
}

int main(void)
{
	static sigset_t ends;
	pthread_t thread;
	int r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	r = epochd_attach(&app, blob_messages, blob_count, NULL);
	if (r < 0) {
		fprintf(stderr, "blob-server: %s\n", strerror(-r));
		return 1;
	}
	epochd_handle(app, blob_bytes_id, on_bytes, NULL);
	epochd_on_joined(app, on_joined, NULL);
	epochd_on_gone(app, on_gone, NULL);
	pthread_create(&thread, NULL, wait_for_end, &ends);
	r = epochd_run(app);
	if (r == 0)
		pthread_join(thread, NULL);
	epochd_detach(app);
	return r < 0;
}
