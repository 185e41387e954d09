/* The inside of struct clients, for clients.c and clients_recover.c. */
#ifndef EPOCHD_CLIENTS_PRIVATE_H
#define EPOCHD_CLIENTS_PRIVATE_H

#include "apilib/handle.h"
#include "supervisor/clients.h"
#include "supervisor/ledger.h"

enum { EPOCHS = 8 };

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
	 * has ended, to be told of that, then to be reclaimed; and of an epoch that has ended, of whom nobody has brought
	 * the channel yet. */
	struct client present, leaving, ended, told, late;
	uint32_t ended_epoch;        /* those up to it are no more connected */
	bool fence_moved;            /* and no ep_barrier() since */
	bool had_others;             /* somebody is there, or was, who joined under a supervisor before us */
	uint32_t connected;
	uint64_t refused[6];         /* as the application last said */
	struct clients_sum sum[EPOCHS];   /* of the last epochs, each at its number modulo that */
	bool sum_is_news[EPOCHS];
};

static inline void list_init(struct client *head)
{
	head->next = head->before = head;
}

static inline void list_add(struct client *head, struct client *client)
{
	client->next = head;
	client->before = head->before;
	head->before->next = client;
	head->before = client;
}

static inline void list_remove(struct client *client)
{
	client->next->before = client->before;
	client->before->next = client->next;
}

static inline struct ep_slot *slot_at(struct ep_page *registry, uint32_t index)
{
	return (struct ep_slot *)((char *)registry + EP_SLOTS_AT) + index;
}

static inline struct ep_slot *slot_of(const struct clients *clients, const struct client *client)
{
	return slot_at(clients->place.registry, ep_handle_index(client->handle));
}

/* What is counted by a redo record: clients.c's table. */
enum { ADD_MESSAGES, ADD_BYTES, ADD_LOST, ADD_ABANDONED, ADD_ABANDONED_BYTES, ADD_HELD, ADD_HELD_BYTES, ADD_OVERDUE,
       ADD_OVERDUE_BYTES, ADD_REGISTERED, ADD_REAPED, ADD_CONFUSED };

/* I8: what is to be added is written down whole before any of it is done. */
void clients_count(const struct clients_place *place, uint64_t handle,
		   const uint64_t more[static LEDGER_REDO_TOTALS], enum ledger_owes owes);
void clients_redo(const struct clients_place *place, uint64_t handle);   /* doing it again is harmless */
int clients_make_room(struct clients *clients, uint32_t index);
int clients_free_index(struct clients *clients, uint32_t index);   /* -ENOMEM */
#endif
