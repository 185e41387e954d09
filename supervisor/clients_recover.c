/* Clients of a supervisor before us: what their slots say is looked at before it is believed. */
#include <config.h>

#include "supervisor/clients_private.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "apilib/wire.h"
#include "supervisor/fault.h"

static uint32_t backed_of(const struct ep_page *registry)
{
	uint32_t backed = atomic_load_explicit(&registry->slots_backed, memory_order_relaxed);

	return backed <= registry->slot_count ? backed : 0;
}

void clients_recover(const struct clients_place *place)
{
	/* Acquire, with the release in clients_count(): the totals were written before it. */
	uint64_t handle = atomic_load_explicit(&place->count->handle, memory_order_acquire);

	if (handle && place->count->app == place->record &&
	    ep_handle_index(handle) < backed_of(place->registry))
		clients_redo(place, handle);
}

bool clients_are_recorded(const struct ep_page *registry)
{
	uint32_t backed = backed_of(registry);

	for (uint32_t i = 0; i < backed; i++) {
		const struct ep_slot *slot = ep_registry_slots(registry) + i;

		/* Relaxed, all of this file: this thread is the only writer (I4). */
		if (atomic_load_explicit(&slot->handle, memory_order_relaxed) ||
		    atomic_load_explicit(&slot->owed, memory_order_relaxed) ||
		    atomic_load_explicit(&slot->last, memory_order_relaxed))
			return true;
	}
	return false;
}

/* ---- one slot ---- */

static bool is_of_slot(uint64_t handle, uint32_t index, uint32_t epoch)
{
	return ep_handle_index(handle) == index && ep_handle_generation(handle) &&
	       ep_handle_epoch(handle) && ep_handle_epoch(handle) <= epoch;
}

/* Each word has one value that goes with the others: see clients_publish(), clients_end(), clients_count(). */
static bool contradicts_itself(const struct ep_slot *slot, uint32_t index, uint32_t epoch)
{
	uint64_t handle = atomic_load_explicit(&slot->handle, memory_order_relaxed);
	uint64_t owed = atomic_load_explicit(&slot->owed, memory_order_relaxed);
	uint64_t last = atomic_load_explicit(&slot->last, memory_order_relaxed);

	if (last && !is_of_slot(last, index, epoch))
		return true;
	if (!owed)
		return handle;
	return owed != last || (handle && handle != owed) || slot->pid < 0 || !slot->channel_inode ||
	       !memchr(slot->name, '\0', sizeof slot->name);
}

/* Counted, and free. What is not known is the generation that it had come to: with none left, it is not given out again
 * in this epoch. */
static void clear_confused(const struct clients_place *place, uint32_t index, uint32_t epoch)
{
	static const uint64_t confused[LEDGER_REDO_TOTALS] = { [ADD_CONFUSED] = 1 };
	struct ep_slot *slot = slot_at(place->registry, index);
	uint64_t used_up = ep_handle_pack(epoch, EP_GENERATION_MAX, index);

	atomic_store_explicit(&slot->handle, 0, memory_order_release);   /* I3 */
	/* First, so that it is confused until it is counted, and not after. */
	atomic_store_explicit(&slot->last, epoch ? used_up : 0, memory_order_relaxed);
	clients_count(place, used_up, confused, LEDGER_SLOT_CLEARED);
}

static int load_client(struct clients *clients, uint32_t index, uint64_t owed, bool lives)
{
	struct client *client = calloc(1, sizeof *client);
	struct ep_slot *slot = slot_at(clients->place.registry, index);

	if (!client)
		return -ENOMEM;
	client->handle = owed;
	client->uid = slot->uid;
	client->why = atomic_load_explicit(&slot->gone, memory_order_relaxed);
	client->there = lives && atomic_load_explicit(&slot->handle, memory_order_relaxed);
	if (client->there) {
		client->why = 0;
		clients->had_others = true;
		atomic_store_explicit(&slot->gone, 0, memory_order_relaxed);
		clients->connected++;
	} else {
		atomic_store_explicit(&slot->handle, 0, memory_order_release);   /* I3 */
	}
	client->late = !lives;
	if (client->late && ep_handle_epoch(owed) > clients->ended_epoch)
		clients->ended_epoch = ep_handle_epoch(owed);
	clients->by_index[index] = client;
	list_add(lives ? &clients->present : &clients->late, client);
	clients->sum[ep_handle_epoch(owed) % EPOCHS].epoch = ep_handle_epoch(owed);
	return 0;
}

/* 1: it was confused. */
static int load_slot(struct clients *clients, uint32_t index, uint32_t epoch, uint32_t lives)
{
	struct ep_slot *slot = slot_at(clients->place.registry, index);
	int confused = contradicts_itself(slot, index, epoch);
	uint64_t owed, last;
	int r;

	if (confused)
		clear_confused(&clients->place, index, epoch);
	owed = atomic_load_explicit(&slot->owed, memory_order_relaxed);
	last = atomic_load_explicit(&slot->last, memory_order_relaxed);
	if (!last)
		return confused;
	r = clients_make_room(clients, index);
	if (r < 0)
		return r;
	if (lives && ep_handle_epoch(last) == lives)
		clients->generation[index] = ep_handle_generation(last);
	r = owed ? load_client(clients, index, owed, lives && ep_handle_epoch(owed) == lives) : 0;
	FAULT(client_loaded);
	return r < 0 ? r : confused;
}

/* Those below the ones that were used. */
static int free_others(struct clients *clients)
{
	for (uint32_t i = 0; i < clients->fresh; i++) {
		int r = clients->by_index[i] ? 0 : clients_free_index(clients, i);

		if (r < 0)
			return r;
	}
	return 0;
}

int clients_load(struct clients *clients, uint32_t epoch, uint32_t lives)
{
	uint32_t backed = backed_of(clients->place.registry);
	int confused = 0, r;

	clients->epoch = lives;
	clients->fence_moved = true;   /* by somebody else, who may not have called ep_barrier() */
	for (uint32_t i = 0; i < backed; i++) {
		r = load_slot(clients, i, epoch, lives);
		if (r < 0)
			return r;
		confused += r;
		if (i < clients->room && atomic_load_explicit(&slot_at(clients->place.registry, i)->last,
							      memory_order_relaxed))
			clients->fresh = i + 1;
	}
	r = clients_make_room(clients, clients->fresh ? clients->fresh - 1 : 0);
	if (r == 0)
		r = free_others(clients);
	return r < 0 ? r : confused;
}

/* ---- coming back ---- */

struct identity clients_identity(const struct clients *clients, const struct client *client)
{
	const struct ep_slot *slot = slot_of(clients, client);

	return (struct identity){ .pid = slot->pid, .start_ticks = slot->start_time,
				  .pidfd_inode = slot->pidfd_inode };
}

static bool is_of(const struct clients *clients, const struct client *client, uint64_t nonce, uint64_t but)
{
	return client->handle != but && slot_of(clients, client)->nonce == nonce;
}

struct client *clients_with_nonce(const struct clients *clients, uint64_t nonce, uint64_t but)
{
	if (!clients->had_others)   /* as it is nearly always: then thousands who join look at nobody */
		return NULL;
	for (struct client *client = clients->present.next; client != &clients->present; client = client->next)
		if (client->there && !client->session && is_of(clients, client, nonce, but))
			return client;
	for (struct client *client = clients->late.next; client != &clients->late; client = client->next)
		if (is_of(clients, client, nonce, but))
			return client;
	return NULL;
}

/* As a supervisor before us noted them, if peers have left it so (I6): it bounds what is counted, and no index is given
 * twice. */
static void read_large(struct ep_channel *channel)
{
	const struct ep_channel_header *header = (const void *)channel->base;

	for (int direction = 0; direction < 2; direction++)
		for (uint32_t i = 0; i < EP_LARGE_SLOTS; i++) {
			uint8_t log = atomic_load_explicit(&header->large[direction][i], memory_order_relaxed);

			if (log >= EP_LARGE_LOG_MIN && log <= EP_LARGE_LOG_MAX)
				channel->large[direction][i] = log;
		}
}

int clients_bring(struct clients *clients, struct client *client, int memfd, const char **why)
{
	struct ep_channel channel;
	struct stat st;
	int r = ep_channel_map(&channel, memfd, why);   /* asks for its seals before all else */

	if (r < 0)
		return r;
	if (fstat(memfd, &st) == 0 && st.st_ino == slot_of(clients, client)->channel_inode) {
		read_large(&channel);
		client->channel = channel;
		client->brought = true;
		return 0;
	}
	ep_channel_unmap(&channel);
	*why = "it is another channel";
	return -EBADMSG;
}

void clients_is_late(struct clients *clients, struct client *client)
{
	if (client->unheard) {
		clients_lose(clients, client);
		return;
	}
	list_remove(client);
	list_add(&clients->late, client);
	client->late = true;
}
