/* self: an application that is its own client, and shows one thing that libepochd can do in a process:
 *
 *   epochd run --name self --readiness attach --restart never -- ./self inside|posts|workers|kept|readable|refused */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <epochd.h>

#define NUMBER(FIELD, ARRAY) FIELD(u64, number)
#define SELF_LIST(MESSAGE) \
	MESSAGE(twice, "self.twice", NUMBER, 0) \
	MESSAGE(meet, "self.meet", NUMBER, 0) \
	MESSAGE(later, "self.later", NUMBER, 0)
EPOCHD_MESSAGES(self, SELF_LIST)

enum { WORKERS = 4, POSTS = 1000 };

static const int64_t forever = -1;
static struct epochd_app *app;
static struct epochd_client *client;
static pthread_barrier_t barrier;
static struct epochd_message kept;
static unsigned posted, told;

static void fail(const char *what, int r)
{
	fprintf(stderr, "self: %s: %s\n", what, strerror(-r));
	exit(1);
}

static uint64_t number_of(const struct epochd_message *message)
{
	uint64_t number;

	memcpy(&number, message->payload, sizeof number);
	return number;
}

/* ---- handlers ---- */

static void on_twice(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const struct twice reply = { 2 * number_of(message) };

	(void)user;
	epochd_reply(of, message, twice_id, &reply, sizeof reply);
}

/* Of no client in particular: all workers meet in here, or none goes on. */
static void on_meet(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	(void)user;
	pthread_barrier_wait(&barrier);
	epochd_reply(of, message, meet_id, message->payload, message->size);
}

/* The message outlives its handler. */
static void on_later(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	(void)user;
	epochd_keep(of, message, &kept);
}

/* ---- what is shown ---- */

static uint64_t call(uint32_t type, uint64_t number)
{
	struct epochd_message reply;
	uint64_t result;
	int r = epochd_call(client, type, &number, sizeof number, &reply, forever);

	if (r < 0)
		fail("call", r);
	result = number_of(&reply);
	epochd_release(client, &reply);
	return result;
}

static void send(uint32_t type, uint64_t number)
{
	int r = epochd_send(client, type, number, &number, sizeof number);

	if (r < 0)
		fail("send", r);
}

static void inside(void)
{
	printf("inside: twice 21 is %d\n", (int)call(twice_id, 21));
}

static void count(void *user)
{
	posted += *(unsigned *)user == posted;   /* only in their order */
	free(user);
}

static void *post_all(void *user)
{
	(void)user;
	for (unsigned i = 0; i < POSTS; i++) {
		unsigned *number = malloc(sizeof *number);

		*number = i;
		while (epochd_post(app, count, number) < 0)
			;   /* a thousand wait */
	}
	return NULL;
}

static void posts(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, post_all, NULL);
	while (posted < POSTS)
		epochd_dispatch(app);
	pthread_join(thread, NULL);
	printf("posts: %u functions of another thread were called, in its order\n", posted);
}

static void workers(void)
{
	struct epochd_message reply;

	for (uint64_t i = 0; i < WORKERS; i++)
		send(meet_id, i);
	for (int i = 0; i < WORKERS; i++) {
		epochd_receive(client, &reply, forever);
		epochd_release(client, &reply);
	}
	printf("workers: %d handlers met\n", WORKERS);
}

static void keep(void)
{
	send(later_id, 42);
	while (!kept.payload)
		epochd_dispatch(app);
	printf("kept: %d, after its handler\n", (int)number_of(&kept));
	epochd_app_release(app, &kept);
}

static void on_readable(struct epochd_client *of, void *user)
{
	struct epochd_message reply;

	(void)user;
	told++;
	while (epochd_receive(of, &reply, 0) == 0)
		epochd_release(of, &reply);
}

static void readable(void)
{
	epochd_on_readable(client, on_readable, NULL);
	for (uint64_t i = 0; i < 5; i++)
		send(twice_id, i);
	while (!told)
		epochd_dispatch(app);
	printf("readable: told once of 5 replies\n");
}

/* Each is refused; epochctl stats tells how often and why. */
static void refused(void)
{
	struct epochd_app_counts counts;
	uint64_t handle = epochd_client_handle(client);
	void *memory;

	epochd_app_allocate(app, handle, 100, &memory);
	epochd_app_free(app, handle, memory);
	epochd_app_free(app, handle, memory);
	epochd_app_verdict(app, handle ^ 1ull << 40, NULL);
	epochd_app_counts(app, &counts);
	printf("refused: %d memory given back twice, %d handle of another epoch\n", (int)counts.refused[EPOCHD_GOOD],
	       (int)counts.refused[EPOCHD_STALE_EPOCH] + (int)counts.refused[EPOCHD_NOT_A_HANDLE]);
}

static const struct { const char *name; void (*show)(void); } shows[] = {
	{ "inside", inside }, { "posts", posts }, { "workers", workers }, { "kept", keep }, { "readable", readable },
	{ "refused", refused },
};

static void begin(void)
{
	int r = epochd_attach(&app, self_messages, self_count, NULL);

	if (r < 0)
		fail("attach", r);
	pthread_barrier_init(&barrier, NULL, WORKERS);
	epochd_workers(app, WORKERS);
	epochd_handle(app, twice_id, on_twice, NULL);
	epochd_handle(app, later_id, on_later, NULL);
	epochd_handle_concurrent(app, meet_id, on_meet, NULL, EPOCHD_UNORDERED);
	r = epochd_connect_inside(&client, app, self_messages, self_count, NULL);
	if (r < 0)
		fail("connect", r);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < sizeof shows / sizeof shows[0]; i++)
		if (strcmp(argv[1], shows[i].name) == 0) {
			begin();
			shows[i].show();
			epochd_close(client);
			epochd_detach(app);
			return 0;
		}
	fputs("usage: self inside|posts|workers|kept|readable|refused, under epochd\n", stderr);
	return 2;
}
