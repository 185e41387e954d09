#include <config.h>

#include "supervisor/clients.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apilib/barrier.h"
#include "apilib/handle.h"
#include "supervisor/clock.h"
#include "supervisor/fault.h"
#include "supervisor/identity.h"
#include "supervisor/ledger.h"
#include "supervisor/overdue.h"

enum { SLICE = 64, TOLD_SLICE = 512, GROW_SLOTS = 32, EPOCHS = 8 };

/* Free indices in the order in which they became so; a circle. */
struct queue {
	uint32_t *index;
	uint32_t first, count, room;   /* room: a power of two */
};

struct clients {
	struct clients_place place;
	uint32_t epoch;
	uint32_t fresh;              /* indices from here on were never used */
	struct queue freed, rested;  /* rested: their generations are used up, until the next epoch */
	uint32_t *generation;        /* of each index: the last one given in this epoch */
	struct client **by_index;
	uint32_t room;
	/* Heads of circles: there, or drained by the application; whose end it is to be told of; of an epoch that
	 * has ended, to be told of that, then to be reclaimed. */
	struct client present, leaving, ended, told;
	uint32_t ended_epoch;        /* those up to it are no more connected */
	bool fence_moved;            /* and no ep_barrier() since */
	uint32_t connected;
	uint64_t refused[6];         /* as the application last said */
	struct clients_sum sum[EPOCHS];   /* of the last epochs, each at its number modulo that */
};

/* ---- lists ---- */

static void list_init(struct client *head)
{
	head->next = head->before = head;
}

static void list_add(struct client *head, struct client *client)
{
	client->next = head;
	client->before = head->before;
	head->before->next = client;
	head->before = client;
}

static void list_remove(struct client *client)
{
	client->next->before = client->before;
	client->before->next = client->next;
}

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

static struct ep_slot *slot_at(struct ep_page *registry, uint32_t index)
{
	return (struct ep_slot *)((char *)registry + EP_SLOTS_AT) + index;
}

static struct ep_slot *slot_of(const struct clients *clients, const struct client *client)
{
	return slot_at(clients->place.registry, ep_handle_index(client->handle));
}

static int make_room(struct clients *clients, uint32_t index)
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
		r = make_room(clients, clients->fresh);
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

static void free_index(struct clients *clients, uint32_t index)
{
	clients->by_index[index] = NULL;
	/* Without memory it is lost until the next epoch's supervisor: not given out twice, at least. */
	(void)queue_put(clients->generation[index] < EP_GENERATION_MAX ? &clients->freed : &clients->rested,
			index);
}

/* ---- counting ---- */

static const enum ep_total_id redone[LEDGER_REDO_TOTALS] = {
	EP_TOTAL_RECLAIMED_MESSAGES, EP_TOTAL_RECLAIMED_BYTES, EP_TOTAL_RECLAIMED_CHANNELS_LOST,
	EP_TOTAL_ABANDONED_BUFFERS, EP_TOTAL_ABANDONED_BYTES, EP_TOTAL_HELD_BUFFERS, EP_TOTAL_HELD_BYTES,
	EP_TOTAL_OVERDUE_BUFFERS, EP_TOTAL_OVERDUE_BYTES, EP_TOTAL_CLIENTS_REGISTERED, EP_TOTAL_CLIENTS_REAPED,
};
enum { ADD_MESSAGES, ADD_BYTES, ADD_LOST, ADD_ABANDONED, ADD_ABANDONED_BYTES, ADD_HELD, ADD_HELD_BYTES, ADD_OVERDUE,
       ADD_OVERDUE_BYTES, ADD_REGISTERED, ADD_REAPED };

/* The totals, and whether more is owed: doing it again is harmless. */
static void redo(const struct clients_place *place, uint64_t handle)
{
	struct ep_slot *slot = slot_at(place->registry, ep_handle_index(handle));

	/* Relaxed, all: this thread is the only writer (I4); the redo record carries the order. */
	for (int i = 0; i < LEDGER_REDO_TOTALS; i++)
		atomic_store_explicit(&place->registry->total[redone[i]], place->count->total[i],
				      memory_order_relaxed);
	FAULT(client_counted);
	if (place->count->owes)
		atomic_store_explicit(&slot->owed, handle, memory_order_relaxed);
	else if (atomic_load_explicit(&slot->owed, memory_order_relaxed) == handle)
		atomic_store_explicit(&slot->owed, 0, memory_order_relaxed);
	/* Release: not before what it stands for. */
	atomic_store_explicit(&place->count->handle, 0, memory_order_release);
}

/* I8: what is to be added is written down whole before any of it is done. */
static void add(const struct clients_place *place, uint64_t handle,
		const uint64_t more[static LEDGER_REDO_TOTALS], bool owes)
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
	redo(place, handle);
}

/* NULL: that was long ago, and the totals have it. */
static struct clients_sum *sum_of(struct clients *clients, const struct client *client)
{
	uint32_t epoch = ep_handle_epoch(client->handle);
	struct clients_sum *sum = &clients->sum[epoch % EPOCHS];

	return sum->epoch == epoch ? sum : NULL;
}

bool clients_take_sum(struct clients *clients, struct clients_sum *out)
{
	for (int i = 0; i < EPOCHS; i++) {
		struct clients_sum *sum = &clients->sum[i];

		if (!sum->epoch || sum->epoch > clients->ended_epoch)
			continue;
		*out = *sum;
		*sum = (struct clients_sum){ 0 };
		return true;
	}
	return false;
}

static void add_counts(struct clients *clients, const struct client *client,
		       const struct ep_reclaimed *counts)
{
	const struct ep_collected *abandoned = &counts->abandoned, *held = &counts->held;
	const uint64_t more[LEDGER_REDO_TOTALS] = {
		[ADD_MESSAGES] = counts->messages, [ADD_BYTES] = counts->bytes,
		[ADD_ABANDONED] = abandoned->buffers, [ADD_ABANDONED_BYTES] = abandoned->bytes,
		[ADD_HELD] = held->buffers, [ADD_HELD_BYTES] = held->bytes,
		[ADD_REAPED] = client->reaped,
	};
	struct clients_sum *sum = sum_of(clients, client);

	add(&clients->place, client->handle, more, false);
	if (!sum)
		return;
	sum->messages += counts->messages;
	sum->bytes += counts->bytes;
	sum->collected.buffers += abandoned->buffers + held->buffers;
	sum->collected.bytes += abandoned->bytes + held->bytes;
}

static void recover_slot(const struct clients_place *place, uint32_t index, uint32_t lives)
{
	static const uint64_t lost[LEDGER_REDO_TOTALS] = { [ADD_LOST] = 1 };
	struct ep_slot *slot = slot_at(place->registry, index);
	uint64_t handle = atomic_load_explicit(&slot->handle, memory_order_relaxed);
	uint64_t owed = atomic_load_explicit(&slot->owed, memory_order_relaxed);

	if (lives && (ep_handle_epoch(handle) == lives || ep_handle_epoch(owed) == lives))
		return;
	/* Relaxed: the fence has moved, and refuses whatever stands there. */
	atomic_store_explicit(&slot->handle, 0, memory_order_relaxed);
	if (owed && ep_handle_index(owed) == index)
		add(place, owed, lost, false);
	else if (owed || handle)
		atomic_store_explicit(&slot->owed, 0, memory_order_relaxed);
}

void clients_recover(const struct clients_place *place, uint32_t lives)
{
	uint64_t handle = atomic_load_explicit(&place->count->handle, memory_order_acquire);
	uint32_t backed = atomic_load_explicit(&place->registry->slots_backed, memory_order_relaxed);

	if (backed > place->registry->slot_count)
		backed = 0;
	if (handle && place->count->app == place->record && ep_handle_index(handle) < backed)
		redo(place, handle);
	for (uint32_t i = 0; i < backed; i++)
		recover_slot(place, i, lives);
}

/* ---- all of them ---- */

int clients_new(struct clients **out, const struct clients_place *place)
{
	struct clients *clients = calloc(1, sizeof *clients);
	uint32_t backed;

	if (!clients)
		return -ENOMEM;
	clients->place = *place;
	list_init(&clients->present);
	list_init(&clients->leaving);
	list_init(&clients->ended);
	list_init(&clients->told);
	/* Slots of an epoch that another supervisor served: theirs until it ends. */
	backed = atomic_load_explicit(&place->registry->slots_backed, memory_order_relaxed);
	for (uint32_t i = 0; i < backed && i < place->registry->slot_count; i++)
		if (atomic_load_explicit(&slot_at(place->registry, i)->handle, memory_order_relaxed) ||
		    atomic_load_explicit(&slot_at(place->registry, i)->owed, memory_order_relaxed))
			clients->fresh = i + 1;
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
	free(clients->freed.index);
	free(clients->rested.index);
	free(clients->generation);
	free(clients->by_index);
	free(clients);
}

void clients_begin(struct clients *clients, uint32_t epoch)
{
	if (epoch == clients->epoch)
		return;
	clients->epoch = epoch;
	clients->sum[epoch % EPOCHS] = (struct clients_sum){ .epoch = epoch };
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
		if (client->session)
			fn(client, user);
	}
}

/* ---- one of them ---- */

static uint32_t count_of_user(const struct clients *clients, uid_t uid)
{
	const struct client *client = clients->present.next;
	uint32_t count = 0;

	for (; client != &clients->present; client = client->next)
		count += client->uid == uid && client->session;
	return count;
}

static void fill_slot(struct ep_slot *slot, const struct client_options *options, ino_t inode)
{
	struct process_stat stat = { 0 };

	if (process_stat(&stat, options->pid) < 0)
		stat.start_ticks = 0;
	slot->start_time = stat.start_ticks;
	slot->registered_at = (uint64_t)clock_real();
	/* Relaxed, all: `handle` is written after them. */
	atomic_store_explicit(&slot->heard_at, (uint64_t)clock_now(), memory_order_relaxed);
	slot->pid = options->pid;
	slot->uid = options->uid;
	atomic_store_explicit(&slot->unanswered, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->notices, 0, memory_order_relaxed);
	slot->pidfd_inode = 0;
	slot->session = options->session;
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

static void free_client(struct clients *clients, struct client *client)
{
	list_remove(client);
	free_index(clients, ep_handle_index(client->handle));
	ep_channel_unmap(&client->channel);
	overdue_free(client->overdue);
	free(client);
}

void clients_take_back(struct clients *clients, struct client *client)
{
	free_client(clients, client);   /* owes nothing yet */
}

void clients_publish(struct clients *clients, struct client *client)
{
	static const uint64_t registered[LEDGER_REDO_TOTALS] = { [ADD_REGISTERED] = 1 };

	add(&clients->place, client->handle, registered, true);
	/* I3. Release, with the acquire in ep_handle_check(): the slot is its client's. */
	atomic_store_explicit(&slot_of(clients, client)->handle, client->handle, memory_order_release);
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

void clients_end(struct clients *clients, struct client *client, bool reaped)
{
	if (!client->session)
		return;
	/* I3. Release: who sees it free sees nothing of the next one. */
	atomic_store_explicit(&slot_of(clients, client)->handle, 0, memory_order_release);
	client->session = NULL;
	client->reaped = reaped;
	if (!clients_has_ended(clients, client))
		clients->connected--;
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
static struct ep_reclaimed bounded(const struct ep_geometry *geometry, const struct ep_reclaimed *counts)
{
	uint64_t buffers = 0, bytes = 0;
	struct ep_collected held;

	for (uint32_t i = 0; i < geometry->classes; i++) {
		buffers += 2ull * geometry->class[i].count;
		bytes += 2ull * geometry->class[i].count * geometry->class[i].size;
	}
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
	struct ep_reclaimed checked = bounded(&client->channel.geometry, counts);

	add_counts(clients, client, &checked);
	free_client(clients, client);
}

void clients_reclaim(struct clients *clients, struct client *client)
{
	struct ep_reclaimed counts = { 0 };

	if (clients->fence_moved)
		ep_barrier();
	clients->fence_moved = false;
	ep_channel_reclaim(&client->channel, EP_TO_APPLICATION, &counts);
	ep_channel_reclaim(&client->channel, EP_TO_CLIENT, &counts);
	FAULT(client_reclaimed);
	add_counts(clients, client, &counts);
	free_client(clients, client);
}

void clients_collected(struct clients *clients, const struct client *client, uint64_t buffers, uint32_t size)
{
	const uint64_t more[LEDGER_REDO_TOTALS] = { [ADD_OVERDUE] = buffers, [ADD_OVERDUE_BYTES] = buffers * size };
	struct clients_sum *sum = sum_of(clients, client);

	add(&clients->place, client->handle, more, true);
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
	clients->ended_epoch = clients->epoch;
	clients->fence_moved = true;
	clients->connected = 0;
}

static bool is_empty(const struct client *head)
{
	return head->next == head;
}

bool clients_go_on(struct clients *clients, client_fn *fn, void *user)
{
	int i;

	for (i = 0; i < TOLD_SLICE && !is_empty(&clients->ended); i++) {
		struct client *client = clients->ended.next;

		if (client->session)
			fn(client, user);
		clients_end(clients, client, client->reaped);
		list_remove(client);
		list_add(&clients->told, client);
	}
	if (!is_empty(&clients->ended))
		return true;
	for (i = 0; i < SLICE && !is_empty(&clients->told); i++)
		clients_reclaim(clients, clients->told.next);
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
