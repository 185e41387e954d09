#include <config.h>

#include "apilib/types.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "apilib/large.h"
#include "apilib/layout.h"
#include "apilib/message.h"

int ep_types_check(const struct ep_types *types, char *why, size_t why_size)
{
	const char *reason;

	if (types->count > EP_TYPES_MAX || (types->count && !types->type)) {
		snprintf(why, why_size, "0 to %d types of messages, not %u", EP_TYPES_MAX, types->count);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < types->count; i++) {
		if (ep_type_check(&types->type[i], &reason) == 0)
			continue;
		snprintf(why, why_size, "message %u (%.63s): %s", i,
			 types->type[i].name ? types->type[i].name : "?", reason);
		return -EINVAL;
	}
	return 0;
}

static int into_buffer(struct ep_producer *producer, const void *payload, size_t size,
		       struct ep_buffer *buffer)
{
	void *memory;
	int r = ep_allocate(producer, size, buffer, &memory);

	if (r == -EMSGSIZE)
		r = ep_large_allocate(producer, size, buffer, &memory);
	if (r == 0)
		memcpy(memory, payload, size);
	return r;
}

/* What an outgoing payload becomes. *borrowed: a buffer was made for it here. */
static int prepare(struct ep_producer *producer, const void *payload, size_t size, struct ep_send *send,
		   struct ep_buffer *buffer, bool *borrowed)
{
	int r;

	*borrowed = false;
	if (size > UINT32_MAX)
		return -EMSGSIZE;
	send->size = (uint32_t)size;
	r = ep_buffer_at(producer, payload, buffer);
	if (r == 0) {
		if (size > ep_lane_size(&producer->lane, buffer->class, buffer->index))
			return -EINVAL;
		send->buffer = buffer;
		return 0;
	}
	if (r != -ENOENT)
		return r;
	if (size <= EP_INLINE) {
		send->bytes = payload;
		return 0;
	}
	r = into_buffer(producer, payload, size, buffer);
	send->buffer = buffer;
	*borrowed = r == 0;
	return r;
}

int ep_types_send_any(struct ep_producer *producer, uint16_t wire, uint64_t context, const void *payload,
		      size_t size)
{
	struct ep_send send = { .id = wire, .context = context };
	struct ep_buffer buffer;
	bool borrowed;
	int r;

	/* First, so that a full ring costs no copy. */
	if (!ep_can_send(producer))
		return producer->closed ? producer->closed : -EAGAIN;
	r = prepare(producer, payload, size, &send, &buffer, &borrowed);
	if (r < 0)
		return r;
	r = ep_send(producer, &send);
	if (r < 0 && borrowed)
		ep_free(producer, &buffer);
	return r;
}

void ep_message_moved(struct epochd_message *message)
{
	struct ep_inside *inside = (struct ep_inside *)(void *)message->inside;

	if (!inside->is_buffer)
		message->payload = inside->bytes;
}
