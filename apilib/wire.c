#include <config.h>

#include "apilib/wire.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of each kind: its size, and the texts in it, each of which must have an end. */
static const struct {
	size_t size;
	struct { size_t at, size; } text[2];
} kinds[EP_WIRE_KINDS] = {
#define SIZE(name) .size = sizeof(struct ep_wire_##name)
#define TEXT(name, field) { offsetof(struct ep_wire_##name, field), sizeof((struct ep_wire_##name *)NULL)->field }
	[EP_WIRE_HELLO] = { SIZE(hello), { TEXT(hello, app), TEXT(hello, name) } },
	[EP_WIRE_JOIN] = { SIZE(join) },
	[EP_WIRE_GOODBYE] = { SIZE(goodbye) },
	[EP_WIRE_PONG] = { SIZE(pong) },
	[EP_WIRE_ATTACH] = { SIZE(attach), { TEXT(attach, app), TEXT(attach, token) } },
	[EP_WIRE_TABLE] = { SIZE(table) },   /* or more */
	[EP_WIRE_READY] = { SIZE(ready) },
	[EP_WIRE_DRAINED] = { SIZE(drained) },
	[EP_WIRE_REFUSALS] = { SIZE(refusals) },
	[EP_WIRE_BROKEN] = { SIZE(broken), { TEXT(broken, text) } },
	[EP_WIRE_WAIT] = { SIZE(wait), { TEXT(wait, text) } },
	[EP_WIRE_OFFER] = { SIZE(offer) },
	[EP_WIRE_WELCOME] = { SIZE(welcome), { TEXT(welcome, instance) } },
	[EP_WIRE_FENCED] = { SIZE(fenced), { TEXT(fenced, text) } },
	[EP_WIRE_REFUSED] = { SIZE(refused), { TEXT(refused, text) } },
	[EP_WIRE_PING] = { SIZE(ping) },
	[EP_WIRE_ATTACHED] = { SIZE(attached), { TEXT(attached, instance) } },
	[EP_WIRE_JOINED] = { SIZE(joined), { TEXT(joined, name) } },
	[EP_WIRE_GONE] = { SIZE(gone) },
	[EP_WIRE_RESUME] = { SIZE(resume), { TEXT(resume, app), TEXT(resume, name) } },
	[EP_WIRE_RESUME_APP] = { SIZE(resume_app), { TEXT(resume_app, app), TEXT(resume_app, token) } },
	[EP_WIRE_HANDLES] = { SIZE(handles) },   /* or less */
	[EP_WIRE_RESUMED] = { SIZE(resumed) },
	[EP_WIRE_TRACE] = { SIZE(trace) },
	[EP_WIRE_LARGE] = { SIZE(large) },
	[EP_WIRE_SLOT] = { SIZE(slot) },
};

union control {
	char bytes[CMSG_SPACE(EP_WIRE_FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

int ep_wire_send(int socket, void *packet, const int *fds, unsigned fd_count)
{
	struct ep_wire_head *head = packet;
	struct iovec part = { packet, head->size };
	union control control = { .bytes = { 0 } };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;

	head->version = EP_WIRE_VERSION;
	if (fd_count > EP_WIRE_FDS_MAX)
		return -EINVAL;
	if (fd_count) {
		struct cmsghdr *item;

		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		item = CMSG_FIRSTHDR(&message);
		item->cmsg_level = SOL_SOCKET;
		item->cmsg_type = SCM_RIGHTS;
		item->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(item), fds, fd_count * sizeof(int));
	}
	do
		n = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ETOOMANYREFS || errno == ENOBUFS ? -EAGAIN : -errno;
	return 0;
}

static void close_all(const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

/* Takes every descriptor that came, that none is leaked; more than there is room for never come: the
 * kernel drops them, and says so by MSG_CTRUNC. */
static unsigned take_fds(struct msghdr *message, int *fds, unsigned most)
{
	unsigned count = 0;

	for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item; item = CMSG_NXTHDR(message, item)) {
		size_t size = item->cmsg_len - CMSG_LEN(0);

		if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= size && count < most; at += sizeof(int))
			memcpy(&fds[count++], CMSG_DATA(item) + at, sizeof(int));
	}
	return count;
}

static bool is_good(const union ep_wire_packet *packet, size_t size)
{
	const struct ep_wire_head *head = &packet->head;

	if (size < sizeof *head || head->version != EP_WIRE_VERSION || head->size != size ||
	    head->kind >= EP_WIRE_KINDS || !kinds[head->kind].size)
		return false;
	if (head->kind == EP_WIRE_TABLE)
		return true;
	if (head->kind == EP_WIRE_HANDLES)
		return size >= offsetof(struct ep_wire_handles, handle) &&
		       packet->handles.count <= EP_WIRE_HANDLES_MAX && size == ep_wire_handles_size(packet->handles.count);
	if (size != kinds[head->kind].size)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(kinds[0].text) && kinds[head->kind].text[i].size; i++)
		if (!memchr(packet->bytes + kinds[head->kind].text[i].at, '\0',
			    kinds[head->kind].text[i].size))
			return false;
	return true;
}

/* 1, 0 or the error; with *fd_count descriptors, whatever it is. control: room for that many. */
static int receive(int socket, union ep_wire_packet *out, void *control, size_t control_size, int *fds, unsigned *fd_count,
		   unsigned most)
{
	struct iovec part = { out, sizeof *out };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = control_size };
	bool reset = false;
	ssize_t n;

	*fd_count = 0;
	/* Who closes with something unread resets us. That is said once, and first: what he said before is there still. */
	do
		n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset && (reset = true))));
	if (n < 0)
		return -errno;
	*fd_count = take_fds(&message, fds, most);
	if (n == 0 && *fd_count == 0)
		return 0;
	return message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || !is_good(out, (size_t)n) ? -EPROTO : 1;
}

int ep_wire_receive(int socket, union ep_wire_packet *out, int fds[static EP_WIRE_FDS_MAX],
		    unsigned *fd_count, unsigned fds_allowed)
{
	union control control;
	unsigned count;
	int r = receive(socket, out, control.bytes, sizeof control.bytes, fds, &count, EP_WIRE_FDS_MAX);

	if (r == 1 && count > fds_allowed)
		r = -EPROTO;
	if (r < 0)
		close_all(fds, count);
	else
		*fd_count = count;
	return r;
}

int ep_wire_receive_any(int socket, union ep_wire_packet *out, int fds[static EP_WIRE_FDS_ANY], unsigned *fd_count)
{
	union { char bytes[CMSG_SPACE(EP_WIRE_FDS_ANY * sizeof(int))]; struct cmsghdr align; } control;

	return receive(socket, out, control.bytes, sizeof control.bytes, fds, fd_count, EP_WIRE_FDS_ANY);
}

bool ep_wire_brings_fds(int socket)
{
	char byte;
	struct iovec part = { &byte, sizeof byte };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	/* Without room for them they are not made: only what would be missing is told. */
	return recvmsg(socket, &message, MSG_PEEK | MSG_DONTWAIT) >= 0 && message.msg_flags & MSG_CTRUNC;
}
