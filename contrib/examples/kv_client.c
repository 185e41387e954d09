/* kv-client APPLICATION [CALLS]: puts and gets, one call after the other, under each epoch of the application. It
 * says when an epoch ends and when the next one has it, and ends after so many calls (0, or none: never) or at
 * SIGTERM, with the count; SIGUSR1 asks for the count so far. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kv.h"

static volatile sig_atomic_t stopped, asked;

static void on_signal(int signal)
{
	(void)signal;
	stopped = 1;
}

static void on_question(int signal)
{
	(void)signal;
	asked = 1;
}

/* Each client has keys of its own, as long as there are not more than 64. */
static uint64_t own_key(const struct epochd_client *client, unsigned long long calls)
{
	return (epochd_client_handle(client) % 64 * 64 + calls / 2 % 64) % KV_KEYS;
}

/* 0: the right answer came. */
static int put_and_get(struct epochd_client *client, uint64_t key, uint64_t value)
{
	const struct kv_put put = { .key = key, .value = value };
	const struct kv_get get = { .key = key };
	struct epochd_message reply;
	const struct kv_value *answer;
	int r = epochd_call(client, kv_put_id, &put, sizeof put, &reply, 5000000000);

	if (r < 0)
		return r;
	epochd_release(client, &reply);
	r = epochd_call(client, kv_get_id, &get, sizeof get, &reply, 5000000000);
	if (r < 0)
		return r;
	answer = reply.payload;
	r = reply.type == kv_value_id && answer->found && answer->value == value ? 0 : -EBADMSG;
	epochd_release(client, &reply);
	return r;
}

/* The epoch has ended: the next one, under a new handle. */
static int go_on(struct epochd_client *client, unsigned long long calls)
{
	uint64_t before = epochd_client_handle(client);
	struct timespec now;
	int r;

	clock_gettime(CLOCK_REALTIME, &now);
	printf("epoch %u has ended after %llu calls, at %lld.%06ld\n", (unsigned)epochd_handle_epoch(before), calls,
	       (long long)now.tv_sec, now.tv_nsec / 1000);
	r = epochd_reconnect(client, 30000000000);
	if (r < 0)
		return r;
	printf("epoch %u: handle %#018" PRIx64 ", and no more %#018" PRIx64 "\n",
	       (unsigned)epochd_handle_epoch(epochd_client_handle(client)), epochd_client_handle(client),
	       before);
	return 0;
}

int main(int argc, char **argv)
{
	char why[256] = "";
	struct epochd_options options = { .why = why, .why_size = sizeof why };
	struct sigaction end = { .sa_handler = on_signal }, ask = { .sa_handler = on_question };
	struct epochd_client *client;
	unsigned long long calls = 0, most = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	int r;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: kv-client APPLICATION [CALLS]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGUSR1, &ask, NULL);
	r = epochd_connect(&client, argv[1], kv_messages, kv_count, &options);
	if (r < 0) {
		fprintf(stderr, "kv-client: %s\n", why);
		return 1;
	}
	printf("epoch %u: handle %#018" PRIx64 "\n", (unsigned)epochd_handle_epoch(epochd_client_handle(client)),
	       epochd_client_handle(client));
	while (r == 0 && !stopped && (!most || calls < most)) {
		if (asked) {
			asked = 0;
			printf("%llu calls so far\n", calls);
		}
		r = put_and_get(client, own_key(client, calls), calls);
		if (r == 0)
			calls += 2;
		else if (r == -ESTALE)
			r = go_on(client, calls);
	}
	if (r < 0)
		fprintf(stderr, "kv-client: %s%s%s\n", strerror(-r), *epochd_client_why(client) ? ": " : "",
			epochd_client_why(client));
	printf("%llu calls\n", calls);
	epochd_close(client);
	return r < 0;
}
