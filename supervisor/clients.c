#include <config.h>

#include "supervisor/clients_private.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apilib/barrier.h"
#include "apilib/tracepoint.h"
#include "apilib/wire.h"
#include "supervisor/clock.h"
#include "supervisor/fault.h"
#include "supervisor/ledger.h"
#include "supervisor/overdue.h"

enum { SLICE = 64, TOLD_SLICE = 512, GROW_SLOTS = 32 };

static bool is_empty(const struct client *head)
{
	return head->next == head;
}

/* ---- free indices ---- */

static int queue_put(struct queue *queue, uint32_t index)
{
	if (queue->count == queue->room) {
		uint32_t room = queue->room ? queue->room * 2 : 64;
		uint32_t *grown = malloc(room * sizeof *grown);

		if (!grown)
			return -ENOMEM;
		for (uint32_t i = 0; i < queue->count; i++)
			grown[i] = queue->index[(queue->first + i) & (queue->room - 1)];
		free(queue->index);
		*queue = (struct queue){ grown, 0, queue->count, room };
	}
	queue->index[(queue->first + queue->count++) & (queue->room - 1)] = index;
	return 0;
}

static uint32_t queue_take(struct queue *queue)
{
	uint32_t index = queue->index[queue->first];

	queue->first = (queue->first + 1) & (queue->room - 1);
	queue->count--;
	return index;
}

/* ---- slots ---- */

int clients_make_room(struct clients *clients, uint32_t index)
{
	uint32_t room = clients->room ? clients->room : 64;
	uint32_t *generation;
	struct client **by_index;

	while (room <= index)
		room *= 2;
	if (room == clients->room)
		return 0;
	generation = realloc(clients->generation, room * sizeof *generation);
	if (!generation)
		return -ENOMEM;
	clients->generation = generation;
	by_index = realloc(clients->by_index, room * sizeof(struct client *));
	if (!by_index)
		return -ENOMEM;
	clients->by_index = by_index;
	memset(generation + clients->room, 0, (room - clients->room) * sizeof *generation);
	memset(by_index + clients->room, 0, (room - clients->room) * sizeof(struct client *));
	clients->room = room;
	return 0;
}

/* A free index, allocated; it stays free until it is used. */
static int find_index(struct clients *clients, uint32_t *out)
{
	const struct clients_place *place = &clients->place;
	uint32_t slots = place->registry->slot_count, backed;
	int r;

	if (clients->freed.count) {
		*out = clients->freed.index[clients->freed.first];
		return 0;
	}
	if (clients->fresh >= slots)
		return -EUSERS;
	backed = clients->fresh / GROW_SLOTS * GROW_SLOTS + GROW_SLOTS;
	r = ep_registry_back_slots(place->registry, place->directory, place->name,
				   backed < slots ? backed : slots);
	if (r == 0)
		r = clients_make_room(clients, clients->fresh);
	*out = clients->fresh;
	return r;
}

static void use_index(struct clients *clients)
{
	if (clients->freed.count)
		queue_take(&clients->freed);
	else
		clients->fresh++;
}

int clients_free_index(struct clients *clients, uint32_t index)
{
	clients->by_index[index] = NULL;
	return queue_put(clients->generation[index] < EP_GENERATION_MAX ? &clients->freed : &clients->rested, index);
}

/* ---- counting ---- */

static const enum ep_total_id redone[LEDGER_REDO_TOTALS] = {
	EP_TOTAL_RECLAIMED_MESSAGES, EP_TOTAL_RECLAIMED_BYTES, EP_TOTAL_RECLAIMED_CHANNELS_LOST,
	EP_TOTAL_ABANDONED_BUFFERS, EP_TOTAL_ABANDONED_BYTES, EP_TOTAL_HELD_BUFFERS, EP_TOTAL_HELD_BYTES,
	EP_TOTAL_OVERDUE_BUFFERS, EP_TOTAL_OVERDUE_BYTES, EP_TOTAL_CLIENTS_REGISTERED, EP_TOTAL_CLIENTS_REAPED,
	EP_TOTAL_CLIENTS_CONFUSED,
};

/* The totals, and whether more is owed. */
void clients_redo(const struct clients_place *place, uint64_t handle)
{
	struct ep_slot *slot = slot_at(place->registry, ep_handle_index(handle));

	/* Relaxed, all: this thread is the only writer (I4); the redo record carries the order. */
	for (int i = 0; i < LEDGER_REDO_TOTALS; i++)
		atomic_store_explicit(&place->registry->total[redone[i]], place->count->total[i],
				      memory_order_relaxed);
	FAULT(client_counted);
	if (place->count->owes == LEDGER_OWES_REST)
		atomic_store_explicit(&slot->owed, handle, memory_order_relaxed);
	else if (place->count->owes == LEDGER_SLOT_CLEARED ||
		 atomic_load_explicit(&slot->owed, memory_order_relaxed) == handle)
		atomic_store_explicit(&slot->owed, 0, memory_order_relaxed);
	/* Release: not before what it stands for. */
	atomic_store_explicit(&place->count->handle, 0, memory_order_release);
}

void clients_count(const struct clients_place *place, uint64_t handle,
		   const uint64_t more[static LEDGER_REDO_TOTALS], enum ledger_owes owes)
{
	for (int i = 0; i < LEDGER_REDO_TOTALS; i++)
		place->count->total[i] =
			atomic_load_explicit(&place->registry->total[redone[i]], memory_order_relaxed) +
			more[i];
	place->count->owes = owes;
	place->count->app = place->record;
	/* Release: whoever finds it after a kill finds the totals written. */
	atomic_store_explicit(&place->count->handle, handle, memory_order_release);
	FAULT(client_redo_written);
	clients_redo(place, handle);
}

/* NULL: that was long ago, and the totals have it. */
static struct clients_sum *sum_of(struct clients *clients, const struct client *client)
{
	uint32_t epoch = ep_handle_epoch(client->handle);
	struct clients_sum *sum = &clients->sum[epoch % EPOCHS];

	if (sum->epoch != epoch)
		return NULL;
	clients->sum_is_news[epoch % EPOCHS] = true;
	return sum;
}

bool clients_take_sum(struct clients *clients, struct clients_sum *out)
{
	for (int i = 0; i < EPOCHS; i++) {
		if (!clients->sum_is_news[i] || clients->sum[i].epoch > clients->ended_epoch)
			continue;
		clients->sum_is_news[i] = false;
		*out = clients->sum[i];
		return true;
	}
	return false;
}

static void add_counts(struct clients *clients, const struct client *client,
		       const struct ep_reclaimed *counts, bool lost)
{
	const struct ep_collected *abandoned = &counts->abandoned, *held = &counts->held;
	const uint64_t more[LEDGER_REDO_TOTALS] = {
		[ADD_MESSAGES] = counts->messages, [ADD_BYTES] = counts->bytes,
		[ADD_ABANDONED] = abandoned->buffers, [ADD_ABANDONED_BYTES] = abandoned->bytes,
		[ADD_HELD] = held->buffers, [ADD_HELD_BYTES] = held->bytes,
		[ADD_LOST] = lost, [ADD_REAPED] = client->why == EP_GONE_DEAD,
	};
	struct clients_sum *sum = sum_of(clients, client);

	clients_count(&clients->place, client->handle, more, LEDGER_OWES_NOTHING);
	if (!sum)
		return;
	sum->lost += lost;
	sum->messages += counts->messages;
	sum->bytes += counts->bytes;
	sum->collected.buffers += abandoned->buffers + held->buffers;
	sum->collected.bytes += abandoned->bytes + held->bytes;
}

/* ---- all of them ---- */

int clients_new(struct clients **out, const struct clients_place *place)
{
	struct clients *clients = calloc(1, sizeof *clients);

	if (!clients)
		return -ENOMEM;
	clients->place = *place;
	list_init(&clients->present);
	list_init(&clients->leaving);
	list_init(&clients->ended);
	list_init(&clients->told);
	list_init(&clients->late);
	*out = clients;
	return 0;
}

static void ignore(struct client *client, void *user)
{
	(void)client;
	(void)user;
}

void clients_free(struct clients *clients)
{
	if (!clients)
		return;
	clients_end_all(clients);
	while (clients_go_on(clients, ignore, NULL))
		;
	clients_lose_late(clients);
	free(clients->freed.index);
	free(clients->rested.index);
	free(clients->generation);
	free(clients->by_index);
	free(clients);
}

static void each_in(const struct client *head, client_fn *fn, void *user)
{
	struct client *client = head->next, *next;

	for (; client != head; client = next) {
		next = client->next;
		fn(client, user);
	}
}

static void free_client(struct clients *clients, struct client *client)
{
	if (clients->place.forget)
		clients->place.forget(client, clients->place.user);
	list_remove(client);
	/* Without memory it is lost until the next epoch's supervisor: not given out twice, at least. */
	(void)clients_free_index(clients, ep_handle_index(client->handle));
	ep_channel_unmap(&client->channel);
	overdue_free(client->overdue);
	free(client);
}

static void abandon(struct client *client, void *user)
{
	struct clients *clients = user;

	if (clients->place.ended)
		clients->place.ended(client, clients->place.user);
	free_client(clients, client);
}

void clients_abandon(struct clients *clients)
{
	struct client *const heads[] = { &clients->present, &clients->leaving, &clients->ended, &clients->told,
					 &clients->late };

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		each_in(heads[i], abandon, clients);
}

void clients_begin(struct clients *clients, uint32_t epoch)
{
	if (epoch == clients->epoch)
		return;
	clients->epoch = epoch;
	clients->sum[epoch % EPOCHS] = (struct clients_sum){ .epoch = epoch };
	clients->sum_is_news[epoch % EPOCHS] = true;
	memset(clients->refused, 0, sizeof clients->refused);
	for (uint32_t i = 0; i < clients->room; i++)
		clients->generation[i] = 0;
	while (clients->rested.count)
		if (queue_put(&clients->freed, queue_take(&clients->rested)) < 0)
			return;
}

uint32_t clients_epoch(const struct clients *clients) { return clients->epoch; }
uint32_t clients_connected(const struct clients *clients) { return clients->connected; }

void clients_each(const struct clients *clients, client_fn *fn, void *user)
{
	struct client *client = clients->present.next, *next;

	for (; client != &clients->present; client = next) {
		next = client->next;
		if (client->there)
			fn(client, user);
	}
}

void clients_each_owed(const struct clients *clients, client_fn *fn, void *user)
{
	each_in(&clients->present, fn, user);
}

void clients_each_late(const struct clients *clients, client_fn *fn, void *user)
{
	each_in(&clients->late, fn, user);
}

/* ---- one of them ---- */

static uint32_t count_of_user(const struct clients *clients, uid_t uid)
{
	const struct client *client = clients->present.next;
	uint32_t count = 0;

	for (; client != &clients->present; client = client->next)
		count += client->uid == uid && client->there;
	return count;
}

static void fill_slot(struct ep_slot *slot, const struct client_options *options, ino_t inode)
{
	slot->start_time = options->who.start_ticks;
	slot->registered_at = (uint64_t)clock_real();
	/* Relaxed, all: `handle` is written after them. */
	atomic_store_explicit(&slot->heard_at, (uint64_t)clock_now(), memory_order_relaxed);
	slot->pid = options->who.pid;
	slot->uid = options->uid;
	atomic_store_explicit(&slot->unanswered, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->gone, 0, memory_order_relaxed);
	slot->pidfd_inode = options->who.pidfd_inode;
	slot->nonce = options->nonce;
	slot->channel_inode = inode;
	snprintf(slot->name, sizeof slot->name, "%s", options->name);
	FAULT(client_slot_filled);
}

static void close_memfd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static int open_channel(struct ep_channel *out, const struct ep_geometry *geometry, int *memfd, ino_t *inode)
{
	CLEANUP(close_memfd) int fd = ep_channel_create(geometry);
	const char *why;
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	r = ep_channel_map(out, fd, &why);
	if (r < 0)
		return r;
	*inode = st.st_ino;
	*memfd = fd;
	fd = -1;
	return 0;
}

static int add_client(struct clients *clients, struct client *client, const struct client_options *options,
		      int *memfd)
{
	uint32_t index;
	ino_t inode = 0;
	int r = find_index(clients, &index);

	if (r == 0)
		r = open_channel(&client->channel, &options->geometry, memfd, &inode);
	if (r < 0)
		return r;
	use_index(clients);
	client->handle = ep_handle_pack(clients->epoch, ++clients->generation[index], index);
	client->uid = options->uid;
	clients->by_index[index] = client;
	list_add(&clients->present, client);
	/* Relaxed: before its handle is known to anybody. */
	atomic_store_explicit(&slot_at(clients->place.registry, index)->last, client->handle, memory_order_relaxed);
	fill_slot(slot_at(clients->place.registry, index), options, inode);
	return 0;
}

int clients_add(struct client **out, struct clients *clients, const struct client_options *options, int *memfd)
{
	struct client *client;
	int r;

	/* All of them are not more than one user may have: then nobody has to be counted. */
	if (clients->connected >= options->max || (clients->connected >= options->max_per_user &&
						   count_of_user(clients, options->uid) >= options->max_per_user))
		return -EUSERS;
	client = calloc(1, sizeof *client);
	if (!client)
		return -ENOMEM;
	r = add_client(clients, client, options, memfd);
	if (r < 0) {
		free(client);
		return r;
	}
	*out = client;
	return 0;
}

void clients_take_back(struct clients *clients, struct client *client)
{
	free_client(clients, client);   /* owes nothing yet */
}

void clients_publish(struct clients *clients, struct client *client)
{
	static const uint64_t registered[LEDGER_REDO_TOTALS] = { [ADD_REGISTERED] = 1 };

	clients_count(&clients->place, client->handle, registered, LEDGER_OWES_REST);
	/* I3. Release, with the acquire in ep_handle_check(): the slot is its client's. */
	atomic_store_explicit(&slot_of(clients, client)->handle, client->handle, memory_order_release);
	client->there = true;
	clients->connected++;
	FAULT(client_published);
}

struct client *clients_find(const struct clients *clients, uint64_t handle)
{
	uint32_t index = ep_handle_index(handle);
	struct client *client = index < clients->room ? clients->by_index[index] : NULL;

	return client && client->handle == handle ? client : NULL;
}

bool clients_has_ended(const struct clients *clients, const struct client *client)
{
	return ep_handle_epoch(client->handle) <= clients->ended_epoch;
}

void clients_end(struct clients *clients, struct client *client, uint32_t why)
{
	if (!client->there)
		return;
	client->why = why;
	/* Relaxed: a supervisor after us reads it, if that comes to be. */
	atomic_store_explicit(&slot_of(clients, client)->gone, why, memory_order_relaxed);
	/* I3. Release: who sees it free sees nothing of the next one. */
	atomic_store_explicit(&slot_of(clients, client)->handle, 0, memory_order_release);
	FAULT(client_ended);
	EP_TRACEPOINT3(reap, clients->place.name, client->handle, why);
	client->there = false;
	client->session = NULL;
	if (clients->place.ended)
		clients->place.ended(client, clients->place.user);
	if (!clients_has_ended(clients, client))
		clients->connected--;
}

void clients_heard(const struct clients *clients, const struct client *client, int64_t heard_at, uint32_t unanswered)
{
	struct ep_slot *slot = slot_of(clients, client);

	/* Relaxed, both: for people. */
	atomic_store_explicit(&slot->heard_at, (uint64_t)heard_at, memory_order_relaxed);
	atomic_store_explicit(&slot->unanswered, unanswered, memory_order_relaxed);
}

bool clients_contradict(const struct clients *clients, const struct client *client)
{
	const struct ep_slot *slot = slot_of(clients, client);

	/* Relaxed, all: this thread is the only writer, or should be (I4). */
	return atomic_load_explicit(&slot->handle, memory_order_relaxed) != client->handle ||
	       atomic_load_explicit(&slot->owed, memory_order_relaxed) != client->handle ||
	       atomic_load_explicit(&slot->last, memory_order_relaxed) != client->handle ||
	       slot->uid != client->uid;
}

void clients_confused(struct clients *clients, struct client *client)
{
	static const uint64_t confused[LEDGER_REDO_TOTALS] = { [ADD_CONFUSED] = 1 };
	struct ep_slot *slot = slot_of(clients, client);

	clients_end(clients, client, EP_GONE_KICKED);
	atomic_store_explicit(&slot->last, client->handle, memory_order_relaxed);
	clients_count(&clients->place, client->handle, confused, LEDGER_OWES_REST);
}

void clients_leave(struct clients *clients, struct client *client)
{
	list_remove(client);
	list_add(&clients->leaving, client);
}

struct client *clients_leaving(const struct clients *clients)
{
	return clients->leaving.next != &clients->leaving ? clients->leaving.next : NULL;
}

void clients_left(struct clients *clients, struct client *client)
{
	list_remove(client);
	list_add(&clients->present, client);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* I6: what an application says of a channel is no more than fits into one. */
static struct ep_reclaimed bounded(const struct ep_channel *channel, const struct ep_reclaimed *counts)
{
	const struct ep_collected one = ep_channel_holds(channel, EP_TO_APPLICATION);
	const struct ep_collected other = ep_channel_holds(channel, EP_TO_CLIENT);
	const uint64_t buffers = one.buffers + other.buffers, bytes = one.bytes + other.bytes;
	const struct ep_geometry *geometry = &channel->geometry;
	struct ep_collected held;

	held = (struct ep_collected){ least(counts->held.buffers, buffers), least(counts->held.bytes, bytes) };
	return (struct ep_reclaimed){
		.messages = least(counts->messages, 2ull * geometry->ring),
		.bytes = least(counts->bytes, bytes + 2ull * geometry->ring * EP_INLINE),
		.held = held,
		.abandoned = { least(counts->abandoned.buffers, buffers - held.buffers),
			       least(counts->abandoned.bytes, bytes - held.bytes) },
	};
}

void clients_drained(struct clients *clients, struct client *client, const struct ep_reclaimed *counts)
{
	/* What nobody has brought is not known to be smaller than the largest. */
	struct ep_channel largest = { .geometry = clients->place.largest };
	struct ep_reclaimed checked;

	memset(largest.large, EP_LARGE_LOG_MAX, sizeof largest.large);
	checked = bounded(client->channel.base ? &client->channel : &largest, counts);

	add_counts(clients, client, &checked, false);
	free_client(clients, client);
}

void clients_reclaim(struct clients *clients, struct client *client)
{
	struct ep_reclaimed counts = { 0 };

	if (clients->fence_moved)
		ep_barrier();
	clients->fence_moved = false;
	if (client->brought) {
		ep_channel_finish(&client->channel, EP_TO_APPLICATION, &counts);
		ep_channel_finish(&client->channel, EP_TO_CLIENT, &counts);
	} else {
		ep_channel_reclaim(&client->channel, EP_TO_APPLICATION, &counts);
		ep_channel_reclaim(&client->channel, EP_TO_CLIENT, &counts);
	}
	FAULT(client_reclaimed);
	add_counts(clients, client, &counts, false);
	free_client(clients, client);
}

void clients_lose(struct clients *clients, struct client *client)
{
	const struct ep_reclaimed unknown = { 0 };

	add_counts(clients, client, &unknown, !client->untold);
	free_client(clients, client);
}

void clients_lose_late(struct clients *clients)
{
	while (!is_empty(&clients->late))
		clients_lose(clients, clients->late.next);
}

bool clients_have_late(const struct clients *clients)
{
	return !is_empty(&clients->late);
}

void clients_collected(struct clients *clients, const struct client *client, uint64_t buffers, uint32_t size)
{
	const uint64_t more[LEDGER_REDO_TOTALS] = { [ADD_OVERDUE] = buffers, [ADD_OVERDUE_BYTES] = buffers * size };
	struct clients_sum *sum = sum_of(clients, client);

	clients_count(&clients->place, client->handle, more, LEDGER_OWES_REST);
	if (!sum)
		return;
	sum->collected.buffers += buffers;
	sum->collected.bytes += buffers * size;
}

/* ---- an epoch's end ---- */

static void splice(struct client *to, struct client *from)
{
	if (from->next == from)
		return;
	from->next->before = to->before;
	to->before->next = from->next;
	from->before->next = to;
	to->before = from->before;
	list_init(from);
}

void clients_end_all(struct clients *clients)
{
	splice(&clients->ended, &clients->present);
	splice(&clients->ended, &clients->leaving);
	if (clients->epoch > clients->ended_epoch)
		clients->ended_epoch = clients->epoch;
	clients->fence_moved = true;
	clients->connected = 0;
}

bool clients_go_on(struct clients *clients, client_fn *fn, void *user)
{
	int i;

	for (i = 0; i < TOLD_SLICE && !is_empty(&clients->ended); i++) {
		struct client *client = clients->ended.next;

		if (client->session)
			fn(client, user);
		clients_end(clients, client, EP_GONE_FENCED);
		list_remove(client);
		list_add(&clients->told, client);
	}
	if (!is_empty(&clients->ended))
		return true;
	for (i = 0; i < SLICE && !is_empty(&clients->told); i++) {
		struct client *client = clients->told.next;

		if (client->channel.base)
			clients_reclaim(clients, client);
		else
			clients_is_late(clients, client);
	}
	return !is_empty(&clients->told);
}

void clients_refused(struct clients *clients, const uint64_t count[static 6])
{
	static const enum ep_total_id total[6] = {
		[1] = EP_TOTAL_REFUSED_STALE_EPOCH, [2] = EP_TOTAL_REFUSED_STALE_GENERATION,
		[3] = EP_TOTAL_REFUSED_FREE_SLOT, [4] = EP_TOTAL_REFUSED_DOWN,
		[5] = EP_TOTAL_REFUSED_NOT_A_HANDLE,
	};

	for (int i = 1; i < 6; i++) {
		uint64_t was = clients->refused[i];
		_Atomic uint64_t *word = &clients->place.registry->total[total[i]];

		if (count[i] <= was)
			continue;
		clients->refused[i] = count[i];
		/* Relaxed: an odometer, and this thread is its only writer (I4). */
		atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + count[i] - was,
				      memory_order_relaxed);
	}
}
