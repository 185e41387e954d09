/* The inside of struct epochd_client, for client*.c. */
#ifndef EPOCHD_CLIENT_PRIVATE_H
#define EPOCHD_CLIENT_PRIVATE_H

#include "apilib/agreed.h"
#include "apilib/channel.h"
#include "apilib/child.h"
#include "apilib/epochd.h"
#include "apilib/large.h"
#include "apilib/registry_view.h"
#include "apilib/retry.h"
#include "apilib/types.h"
#include "apilib/wait.h"
#include "apilib/wire.h"

enum { EP_FOLDER_SIZE = 108 };   /* a socket's path is no longer */

/* What the session with the supervisor is at. */
enum client_state {
	CLIENT_ASKED,     /* HELLO: the next OFFER tells of an epoch */
	CLIENT_OFFERED,   /* `offer`: nobody joined it yet */
	CLIENT_JOINING,   /* JOIN: WELCOME comes, or another OFFER */
	CLIENT_JOINED,
	CLIENT_ENDED,     /* refused, or sent away: `error` */
};

/* Of one epoch. */
struct client_link {
	struct ep_view view;
	struct ep_channel channel;
	struct ep_producer producer;
	struct ep_consumer consumer;
	uint64_t handle;
	int memfd;  /* the channel's, for the next supervisor; -1 */
	int bell;   /* ours, to read; -1 */
	int ring;   /* the application's, to write; -1 */
	struct ep_wish wish;
};

struct epochd_client {
	struct ep_family family;
	enum client_state state;
	int error;                 /* CLIENT_ENDED: what every call says */
	int session;               /* -1: the supervisor is away */
	int poll;                  /* epoll: session and bell */
	struct ep_retry retry;     /* while the supervisor is away */
	uint64_t nonce;
	struct client_link link;   /* the last one; all zero before the first */
	bool told;                 /* that the link's epoch has ended */
	bool armed;
	bool ring_owed;            /* the application's bell was full */
	struct ep_wait wait;
	uint32_t looks;            /* by somebody who polls, which found nothing */
	struct epochd_app *inside;         /* inside.h: whose turns it takes while it waits; NULL */
	struct epochd_client *next_inside;
	epochd_readable_fn *readable;
	void *readable_user;
	bool empty;                /* so when something comes that is to be told */
	uint32_t passed;           /* messages, since it was last looked if the session is there */

	char folder[EP_FOLDER_SIZE];   /* of the instance */
	char app[EP_NAME_SIZE], name[EP_CLIENT_NAME_SIZE];
	struct ep_agreed agreed;   /* also its own types */
	bool table_comes;          /* a TABLE was taken since the last OFFER */
	uint32_t offered;          /* epoch */
	struct ep_geometry wanted;
	uint32_t flags;
	epochd_reconnected_fn *reconnected;
	void *user;

	/* Messages that came while epochd_call() waited for another, in order: a circle. */
	struct epochd_message *kept;
	uint32_t kept_room, kept_first, kept_count;
	uint64_t calls;
	char why[512];
};

struct waiting;

/* client.c, for inside.c */
int client_connect(struct epochd_client **out, const char *application, const char *folder,
		   const struct epochd_type *types, size_t count, const struct epochd_options *options);
int client_take_wanted(struct epochd_client *client, struct waiting *waiting);   /* 1, 0: none, or the error */
bool client_arm(struct epochd_client *client);          /* true: nothing is there, and the bell will ring */
int64_t client_deadline(struct waiting *waiting);
int client_tell_readable(struct epochd_client *client);   /* 1: it was empty, and is not any more, and that was told */

/* client_session.c: what the supervisor says. Each returns 0 or the client's error. */
int client_read_session(struct epochd_client *client);            /* all that is there; never blocks */
/* Only if it is there, and for a supervisor if not. Never blocks. */
void client_look_after_session(struct epochd_client *client);
/* Until it is joined in an epoch that serves. -ETIMEDOUT. */
int client_join(struct epochd_client *client, int64_t deadline);
void client_unlink(struct client_link *link, bool inherited);
/* Asks for a large buffer, should none have been asked for. r: why it is wanted (ep_wish_for()). -EAGAIN, -EMSGSIZE. */
int client_wish(struct epochd_client *client, int r, uint64_t size);

/* The epoch has ended, or the application serves no more in it. */
static inline bool client_is_stale(const struct epochd_client *client)
{
	/* Acquire, with the release in app_fence(). */
	return client->state != CLIENT_JOINED ||
	       !ep_fence_serves(atomic_load_explicit(&client->link.view.page->fence, memory_order_acquire),
				ep_handle_epoch(client->link.handle));
}
#endif
