/* A client of pooled_server: `pooled_client WHAT [COUNT [ROUNDS]]`, where WHAT is
 *   mixed     COUNT messages of all kinds, as many under way as fit; replies to those in order come in order
 *   meet      as many at the same time as there are workers, each of another client
 *   meet_any  the same, all of one
 *   keep      kept COUNT times, in private memory and where they lie; then let go; ROUNDS times
 *   keep_die  kept, and killed */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/pooled.h"

enum { SIZE_MAX_ = 4000 };

static const int64_t patience = 60000000000;
static unsigned seed;

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	fputs("pooled_client: ", stderr);
	vfprintf(stderr, format, values);
	fputc('\n', stderr);
	va_end(values);
	exit(1);
}

static struct epochd_client *join(void)
{
	char why[300] = "";
	const struct epochd_options options = { .why = why, .why_size = sizeof why };
	struct epochd_client *client;

	if (epochd_connect(&client, "pooled", pooled_messages, pooled_count, &options) < 0)
		die("connect: %s", why);
	return client;
}

static size_t fill(unsigned char bytes[static SIZE_MAX_], uint64_t number, size_t size)
{
	memcpy(bytes, &number, sizeof number);
	for (size_t i = sizeof number; i < size; i++)
		bytes[i] = (unsigned char)(number + i);
	return size;
}

static size_t any_size(void)
{
	static const unsigned most[] = { 24, 40, 250, SIZE_MAX_ };

	return sizeof(uint64_t) + (size_t)rand_r(&seed) % (most[rand_r(&seed) % 4] - sizeof(uint64_t) + 1);
}

static void call(struct epochd_client *client, uint32_t type, uint64_t number, size_t size, uint64_t *answer)
{
	struct epochd_message reply;
	unsigned char bytes[SIZE_MAX_];
	int r = epochd_call(client, type, bytes, fill(bytes, number, size), &reply, patience);

	if (r < 0)
		die("call: %s", strerror(-r));
	memcpy(answer, reply.payload, sizeof *answer);
	epochd_release(client, &reply);
}

/* ---- mixed ---- */

struct mixed { uint64_t sent, unordered, replied, unordered_replied; };

static bool send_one(struct epochd_client *client, struct mixed *mixed)
{
	static const uint32_t types[] = { here_id, there_id, lying_id, any_id };
	uint32_t type = types[rand_r(&seed) % 4];
	bool in_order = type != any_id;
	unsigned char bytes[SIZE_MAX_];
	size_t size = fill(bytes, in_order ? mixed->sent : mixed->unordered, any_size());
	int r = epochd_send(client, type, in_order ? 1 : 2, bytes, size);

	if (r == -EAGAIN)
		return false;
	if (r < 0)
		die("send: %s", strerror(-r));
	mixed->sent += in_order;
	mixed->unordered += !in_order;
	return true;
}

static void receive_one(struct epochd_client *client, struct mixed *mixed)
{
	struct epochd_message reply;
	uint64_t number;
	int r = epochd_receive(client, &reply, patience);

	if (r < 0)
		die("receive: %s", strerror(-r));
	memcpy(&number, reply.payload, sizeof number);
	if (reply.context == 1 && number != mixed->replied)
		die("reply %llu instead of %llu", (unsigned long long)number, (unsigned long long)mixed->replied);
	mixed->replied += reply.context == 1;
	mixed->unordered_replied += reply.context == 2;
	epochd_release(client, &reply);
}

static void run_mixed(uint64_t count)
{
	struct epochd_client *client = join();
	struct mixed mixed = { 0 };

	while (mixed.replied + mixed.unordered_replied < count) {
		bool some = mixed.sent + mixed.unordered < count && rand_r(&seed) % 3 && send_one(client, &mixed);

		if (!some && mixed.replied + mixed.unordered_replied < mixed.sent + mixed.unordered)
			receive_one(client, &mixed);
	}
	printf("%llu in order, %llu not\n", (unsigned long long)mixed.replied,
	       (unsigned long long)mixed.unordered_replied);
	epochd_close(client);
}

/* ---- at the same time ---- */

static void run_meet(bool of_one)
{
	struct epochd_client *client[POOLED_WORKERS] = { join() };
	struct epochd_message reply;
	const struct meet meet = { 0 };

	for (int i = 1; i < POOLED_WORKERS; i++)
		client[i] = of_one ? client[0] : join();
	for (int i = 0; i < POOLED_WORKERS; i++)
		if (epochd_send(client[i], of_one ? meet_any_id : meet_id, 0, &meet, sizeof meet) < 0)
			die("send");
	for (int i = 0; i < POOLED_WORKERS; i++)
		if (epochd_receive(client[i], &reply, patience) < 0)
			die("they do not meet");
	for (int i = 0; i < (of_one ? 1 : POOLED_WORKERS); i++)
		epochd_close(client[i]);
	puts("met");
}

/* ---- kept ---- */

static void keep(struct epochd_client *client, uint64_t count)
{
	unsigned char bytes[SIZE_MAX_];

	for (uint64_t i = 0; i < count; i++)
		if (epochd_send(client, i % 2 ? stay_id : stay_lying_id, 0, bytes,
				fill(bytes, i, i % 3 ? 200 + i : 16)) < 0)
			die("send");
}

static void run_keep(uint64_t count, uint64_t rounds, bool dies)
{
	struct epochd_client *client = join();
	uint64_t let = 0, sum = 0;

	if (dies) {
		keep(client, count);
		call(client, here_id, 0, 16, &let);   /* they are kept by then */
		puts("kept");
		fflush(stdout);
		pause();
	}
	for (uint64_t i = 0; i < rounds; i++, sum += let) {
		keep(client, count);
		call(client, let_go_id, 0, sizeof(uint64_t), &let);
	}
	printf("%llu let go\n", (unsigned long long)sum);
	epochd_close(client);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;

	seed = (unsigned)getpid();
	if (strcmp(what, "mixed") == 0)
		run_mixed(count);
	else if (strncmp(what, "meet", 4) == 0)
		run_meet(strcmp(what, "meet_any") == 0);
	else if (strncmp(what, "keep", 4) == 0)
		run_keep(count, argc > 3 ? strtoull(argv[3], NULL, 10) : 1, strcmp(what, "keep_die") == 0);
	else
		return 2;
	return 0;
}
