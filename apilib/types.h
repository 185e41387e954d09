/* What both sides do with the types of messages that their host declared: epochd_connect(), epochd_attach(). */
#ifndef EPOCHD_TYPES_H
#define EPOCHD_TYPES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "apilib/channel.h"
#include "apilib/epochd.h"

struct ep_types {
	const struct epochd_type *type;   /* the host's */
	uint32_t count;
};

/* -EINVAL: why names the type and what is wrong with it. */
int ep_types_check(const struct ep_types *types, char *why, size_t why_size);

/* May a message of that type have that size? */
static inline bool ep_types_fit(const struct ep_types *types, uint32_t type, size_t size)
{
	return size == types->type[type].size ||
	       (size > types->type[type].size && types->type[type].flags & EPOCHD_TAIL);
}

int ep_types_send_any(struct ep_producer *producer, uint16_t wire, uint64_t context, const void *payload,
		      size_t size);   /* for ep_types_send() */

/* ep_send() of a payload in whatever memory. wire: the type's number there. As ep_send(), and -ENOENT: it is larger than every
 * buffer that there is. */
static inline int ep_types_send(struct ep_producer *producer, uint16_t wire, uint64_t context, const void *payload,
				size_t size)
{
	/* The usual one: small, and not in a buffer of the channel. */
	if (size <= EP_INLINE && !ep_is_inside(producer, payload))
		return ep_send_small(producer, wire, context, payload, (uint32_t)size);
	return ep_types_send_any(producer, wire, context, payload, size);
}

/* In epochd_message.inside. */
struct ep_inside {
	unsigned char bytes[EP_INLINE];
	struct ep_buffer buffer;
	uint64_t is_buffer;
};
static_assert(sizeof(struct ep_inside) == sizeof(((struct epochd_message *)NULL)->inside), "ABI 1");

/* Into what the host sees; *message must stay where it is. */
static inline void ep_message_fill(struct epochd_message *message, const struct ep_received *received, uint32_t type,
				   uint64_t handle)
{
	struct ep_inside *inside = (struct ep_inside *)(void *)message->inside;

	message->handle = handle;
	message->context = received->content.context;
	message->size = received->content.size;
	message->type = type;
	inside->is_buffer = received->is_buffer;
	if (received->is_buffer) {
		inside->buffer = received->content.buffer;
		message->payload = received->in_place;
	} else {
		memcpy(inside->bytes, received->content.bytes, sizeof inside->bytes);
		message->payload = inside->bytes;
	}
}

/* The buffer that it is in; false: in none. */
static inline bool ep_message_buffer(const struct epochd_message *message, struct ep_buffer *out)
{
	const struct ep_inside *inside = (const struct ep_inside *)(const void *)message->inside;

	if (inside->is_buffer)
		*out = inside->buffer;
	return inside->is_buffer;
}

/* The copy of one has a payload of its own. */
void ep_message_moved(struct epochd_message *message);
#endif
