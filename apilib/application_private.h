/* The inside of struct epochd_app, for application*.c. */
#ifndef EPOCHD_APPLICATION_PRIVATE_H
#define EPOCHD_APPLICATION_PRIVATE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "apilib/channel.h"
#include "apilib/child.h"
#include "apilib/epochd.h"
#include "apilib/layout.h"
#include "apilib/message.h"
#include "apilib/meter.h"
#include "apilib/registry_view.h"
#include "apilib/retry.h"
#include "apilib/types.h"
#include "apilib/wait.h"
#include "apilib/wire.h"

/* A client that joined. */
struct member {
	struct epochd_peer peer;
	struct ep_channel channel;
	struct ep_producer producer;
	struct ep_consumer consumer;
	int ring;                        /* its bell */
	bool active;                     /* its ring is looked at; otherwise it is armed, or gone */
	bool broken;                     /* it is to be sent away, and that was told */
	enum epochd_gone broken_by;      /* EPOCHD_GONE_BROKEN: it wrote nonsense; EPOCHD_GONE_KICKED */
	uint32_t idle;                   /* looks at it that found nothing, in a row */
	struct member *next, *before;    /* among the active ones */
	struct departed *departed;       /* for when it is gone: nothing is allocated then */
};

/* What became of a client's channel. It is kept until its slot is given to another: a supervisor may die before it
 * has counted that, and then the next one is told. */
struct departed {
	struct departed *next;           /* of those not said */
	bool unsaid;                     /* DRAINED did not fit into the session yet */
	struct ep_wire_drained drained;
};

/* What the next supervisor is yet to be told of us. */
enum app_resuming { RESUMING_NOT, RESUMING_WHO, RESUMING_TYPES, RESUMING_HANDLES, RESUMING_DEPARTED, RESUMING_READY };

struct posted {
	epochd_post_fn *fn;
	void *user;
};

enum { POSTS_MAX = 1024 };

struct module {
	char name[EP_TYPE_NAME_MAX], version[EP_MODULE_VERSION_MAX + 1];
	size_t base, count;              /* of its types */
};

struct handler { epochd_handler_fn *fn; void *user; };
struct on_joined { epochd_joined_fn *fn; void *user; };
struct on_gone { epochd_gone_fn *fn; void *user; };

struct epochd_app {
	struct ep_family family;
	int session;                     /* -1: the supervisor is away */
	struct ep_retry retry;           /* while it is */
	enum app_resuming resuming;
	uint32_t resuming_at;            /* type, or index of slot, that comes next */
	bool detached;                   /* it has no more to say */
	int bell;                        /* rung by all clients, with their index */
	int wake;                        /* eventfd, ours alone: posts and stop */
	int poll;                        /* epoll of these three */
	uint32_t epoch;
	struct ep_view view;
	int meter_fd;                    /* for the next supervisor */
	struct ep_meter_page *meter_page;
	uint32_t meter_types;
	struct ep_meter *meter;          /* of each type */
	struct ep_types types;
	struct epochd_type *joined_types;   /* of all modules; NULL: there are none */
	struct module *modules;
	size_t module_count;
	struct handler *handlers;        /* of each type */
	struct ep_wait wait;

	struct member **members;         /* by slot index; NULL: none */
	struct departed **departed;      /* by slot index: the last one, when it is gone; NULL: none */
	uint32_t room;
	struct member active;            /* head of a circle: whom the next look is at comes first */
	struct departed *unsaid, **unsaid_end;
	bool session_full;               /* so EPOLLOUT is asked for */
	uint32_t active_count;
	uint32_t turns;

	char folder[108];                /* of the instance: a socket's path is no longer */
	char name[EP_NAME_SIZE], token[40];   /* that it attached with */

	void *scratch;                   /* for copies of payloads: `scratch_size` bytes */
	size_t scratch_size;
	struct on_joined *on_joined;
	struct on_gone *on_gone;
	size_t on_joined_count, on_gone_count;
	struct epochd_app_counts counts;
	uint64_t refused_told;           /* sum of what REFUSALS said last */

	pthread_mutex_t posts_lock;      /* private memory: nobody dies holding it but with us */
	struct posted posts[POSTS_MAX];
	uint32_t posts_first, posts_count;
	_Atomic bool posted, stopped;
};

/* application.c. app: one with its types; taken over, also where that fails. */
struct epochd_app *attaching_new(void);
int attaching_finish(struct epochd_app **out, struct epochd_app *app, const struct epochd_options *options);

/* application_resume.c: the session is gone, or back. Never blocks. */
void app_lose_session(struct epochd_app *app);
void app_look_for_supervisor(struct epochd_app *app);   /* if it is away, and it is time */
void app_go_on_resuming(struct epochd_app *app);        /* says what there is room for */
/* Of the types, from *at on, as many as there is room for; and those that are said. -EAGAIN: not all. */
int app_tell_types(const struct epochd_app *app, uint32_t *at);

/* application_session.c */
void app_await_room(struct epochd_app *app, bool full);
int app_read_session(struct epochd_app *app);    /* all that is there; callbacks run */
void app_tell_refusals(struct epochd_app *app);
void app_flush(struct epochd_app *app);          /* what did not fit before */
void app_break(struct epochd_app *app, struct member *member, enum epochd_gone by, const char *why);
void app_free_member(struct member *member, bool inherited);

/* application_dispatch.c */
int app_drain(struct epochd_app *app, struct member *member);   /* handles what its ring holds: how many */
void app_activate(struct epochd_app *app, struct member *member);
void app_deactivate(struct epochd_app *app, struct member *member);

/* NULL: refused, and counted. */
struct member *app_member(struct epochd_app *app, uint64_t handle);

/* Our epoch has ended: another incarnation took over, or we are taken for dead. */
static inline bool app_is_fenced(const struct epochd_app *app)
{
	/* Acquire, with the release in app_fence() of the supervisor. */
	uint64_t fence = atomic_load_explicit(&app->view.page->fence, memory_order_acquire);

	return !ep_fence_serves(fence, app->epoch) &&
	       (ep_fence_epoch(fence) != app->epoch || ep_fence_state(fence) != EP_STARTING);
}

static inline int app_check(const struct epochd_app *app)
{
	return ep_is_inherited(&app->family) ? -ECHILD : app_is_fenced(app) ? -ESTALE : 0;
}
#endif
