#include <config.h>

#include "supervisor/large.h"

#include <errno.h>
#include <stdatomic.h>

#include "apilib/fd.h"
#include "apilib/large.h"
#include "supervisor/app_private.h"
#include "supervisor/clients.h"
#include "supervisor/configuration.h"
#include "supervisor/fault.h"
#include "supervisor/service.h"
#include "supervisor/session_private.h"

static uint64_t bytes_of(const struct client *client)
{
	uint64_t sum = 0;

	for (int direction = 0; direction < 2; direction++)
		for (uint32_t i = 0; i < EP_LARGE_SLOTS; i++)
			sum += ep_large_size(client->channel.large[direction][i]);
	return sum;
}

struct user { uid_t uid; uint64_t bytes; };

static void add_of_user(struct client *client, void *user)
{
	struct user *of = user;

	if (client->uid == of->uid)
		of->bytes += bytes_of(client);
}

/* 0, or -EMSGSIZE. */
static int check_limits(const struct service *service, const struct client *client, uint64_t size)
{
	const struct app_config *config = service->app->config;
	struct user user = { .uid = client->uid };

	if (!size || bytes_of(client) + size > config->clients.large)
		return -EMSGSIZE;
	clients_each(service->clients, add_of_user, &user);
	return user.bytes + size > config->clients.large_per_user ? -EMSGSIZE : 0;
}

static uint32_t free_slot(const struct client *client, enum ep_direction direction)
{
	uint32_t i = 0;

	while (i < EP_LARGE_SLOTS && client->channel.large[direction][i])
		i++;
	return i;
}

/* From here on it counts, also for a supervisor after us, which must not give the same index to anybody again. */
static void note(struct client *client, const struct ep_wire_slot *slot)
{
	struct ep_channel_header *header = (void *)client->channel.base;

	client->channel.large[slot->direction][slot->index] = (uint8_t)slot->log;
	/* Relaxed: this thread is the only writer (I4), and a supervisor after us comes after a kill. */
	atomic_store_explicit(&header->large[slot->direction][slot->index], (uint8_t)slot->log, memory_order_relaxed);
}

/* Both have room for it, so both are told, or one of them is at its end. */
static int give(struct session *receives, struct session *sends, struct client *client, struct ep_wire_slot *slot)
{
	CLEANUP(ep_close_fd) int fd = -1;

	if (!receives || !sends || !session_has_room(receives) || !session_has_room(sends))
		return -EAGAIN;
	fd = ep_large_create((uint8_t)slot->log);
	if (fd < 0)
		return fd;
	note(client, slot);
	FAULT(large_noted);
	if (session_send(receives, slot, &fd, 1) == 0) {
		FAULT(large_half_said);
		session_send(sends, slot, &fd, 1);
	}
	return 0;
}

static int answer(struct service *service, struct client *client, struct session *session, struct ep_wire_slot *slot)
{
	bool to_application = slot->direction == EP_TO_APPLICATION;
	struct session *receives = to_application ? service->attached : client->session;
	int r;

	if (!client->channel.base)   /* of a supervisor before us, and it has not come back */
		return -EAGAIN;
	slot->index = free_slot(client, (enum ep_direction)slot->direction);
	r = slot->index < EP_LARGE_SLOTS ? check_limits(service, client, ep_large_size((uint8_t)slot->log)) : -EMSGSIZE;
	return r < 0 ? r : give(receives, session, client, slot);
}

bool large_ask(struct service *service, struct session *session, const struct ep_wire_large *wire)
{
	struct client *client = clients_find(service->clients, wire->handle);
	struct ep_wire_slot slot = {
		.head = ep_wire_make(EP_WIRE_SLOT, sizeof slot), .handle = wire->handle, .log = ep_large_log(wire->size),
		.direction = session == service->attached ? EP_TO_CLIENT : EP_TO_APPLICATION,
	};
	int r;

	if (session != service->attached && client != session->client)
		return false;
	if (!client && session == service->attached)   /* or it went just now */
		session_count(session, REFUSAL_unknown_client, "it asks for a buffer for a client that there is not");
	if (!client || !client->there)   /* gone meanwhile: its application hears that as well */
		return true;
	r = answer(service, client, session, &slot);
	if (r < 0) {
		slot.error = r;
		session_send(session, &slot, NULL, 0);
	}
	return true;
}
