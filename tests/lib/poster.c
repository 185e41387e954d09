/* Functions posted by four threads, for posts.sh: says what it found, or what is not so. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "apilib/epochd.h"

#define NOTHING(FIELD, ARRAY) FIELD(u64, nothing)
#define LIST(MESSAGE) MESSAGE(nothing, "poster.nothing", NOTHING, 0)
EPOCHD_MESSAGES(poster, LIST)

enum { THREADS = 4, POSTS = 10000, AT_FIRST = 100 };

/* Each allocation of this process is counted, where no sanitizer has them. */
static _Atomic uint64_t allocations;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
void *__libc_malloc(size_t size);   /* NOLINT(bugprone-reserved-identifier) */
void *malloc(size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_malloc(size);
}
#endif

struct item { int thread, number; };

static struct epochd_app *app;
static struct item items[THREADS][POSTS];
static int next[THREADS], called, in_turn;
static pthread_barrier_t some_are_there;

static void fail(const char *what)
{
	puts(what);
	exit(0);   /* posts.sh reads what was said */
}

static void on_second(void *user)
{
	if (in_turn == *(int *)user)
		fail("what was posted by a post came in the same turn");
	called = -1;
}

static void on_first(void *user)
{
	static int turn;

	(void)user;
	turn = in_turn;
	epochd_post(app, on_second, &turn);
}

static void on_item(void *user)
{
	const struct item *item = user;

	if (next[item->thread]++ != item->number)
		fail("not in the order of its thread");
	called++;
}

static void *post(void *user)
{
	struct item *item = user;

	for (int i = 0; i < POSTS; i++) {
		item[i].number = i;
		if (i == AT_FIRST)
			pthread_barrier_wait(&some_are_there);
		while (epochd_post(app, on_item, &item[i]) < 0)
			;   /* as many as may wait do */
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[THREADS];
	uint64_t before;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (epochd_attach(&app, poster_messages, poster_count, NULL) < 0)
		return 1;
	epochd_post(app, on_first, NULL);
	for (in_turn = 1; called == 0; in_turn++)
		epochd_dispatch(app);
	called = 0;
	pthread_barrier_init(&some_are_there, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++) {
		for (int j = 0; j < POSTS; j++)
			items[i][j].thread = i;
		pthread_create(&thread[i], NULL, post, items[i]);
	}
	pthread_barrier_wait(&some_are_there);
	before = atomic_load(&allocations);
	epochd_dispatch(app);
	if (called < THREADS * AT_FIRST)
		fail("not all that were there were called in one turn");
	while (called < THREADS * POSTS)
		epochd_dispatch(app);
	if (atomic_load(&allocations) != before)
		fail("something was allocated");
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	printf("%d posts of %d threads, each in its order; batched; nothing allocated\n", called, THREADS);
	epochd_detach(app);
	return 0;
}
