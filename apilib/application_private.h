/* The inside of struct epochd_app, for application*.c. */
#ifndef EPOCHD_APPLICATION_PRIVATE_H
#define EPOCHD_APPLICATION_PRIVATE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "apilib/channel.h"
#include "apilib/child.h"
#include "apilib/epochd.h"
#include "apilib/large.h"
#include "apilib/layout.h"
#include "apilib/message.h"
#include "apilib/meter.h"
#include "apilib/registry_view.h"
#include "apilib/retry.h"
#include "apilib/trace.h"
#include "apilib/types.h"
#include "apilib/wait.h"
#include "apilib/wire.h"

struct job;    /* application_pool.c */
struct pool;

/* A client that joined. */
struct member {
	_Atomic uint32_t holds;          /* the table's, and one for each message that was kept and lies in the channel */
	pthread_mutex_t lock;            /* of the producer, and of `gone`: only where other threads may send or release */
	bool gone;                       /* what it held is counted: a buffer that is given back now changes nothing */
	struct epochd_peer peer;
	struct ep_channel channel;
	struct ep_producer producer;
	struct ep_consumer consumer;
	int ring;                        /* its bell */
	struct ep_wish wish;             /* with the lock, where there is a pool */
	bool awaits_slot;                /* it sent in a large buffer that we have not heard of yet */
	bool active;                     /* its ring is looked at; otherwise it is armed, or gone */
	bool broken;                     /* it is to be sent away, and that was told */
	enum epochd_gone broken_by;      /* EPOCHD_GONE_BROKEN: it wrote nonsense; EPOCHD_GONE_KICKED */
	uint32_t idle;                   /* looks at it that found nothing, in a row */
	struct member *next, *before;    /* among the active ones */
	struct departed *departed;       /* for when it is gone: nothing is allocated then */

	int leaving_why;                 /* enum epochd_gone: GONE came, and not all that it sent is handled; 0. Written by
					  * the dispatching thread */
	/* application_pool.c: under its lock, but `jobs`, which is the dispatching thread's. */
	struct job *jobs;                /* NULL: none was needed yet */
	struct job *free_jobs;
	struct job *first_job, **jobs_end;   /* to be handled in their order */
	bool scheduled;                  /* somebody has the one before those, or the first of them is `ours` */
	bool ours;                       /* the dispatching thread's */
	uint32_t unordered;              /* jobs beside those */
	_Atomic uint32_t in_order;       /* jobs that are not over: what comes next must wait for them */
	bool blocked;                    /* it has more, and no job is free */
	uint64_t wished;                 /* a large buffer of so many bytes is to be asked for; 0 */
	bool condemned;                  /* a worker saw that it writes nonsense */
	bool wanted;                     /* in the list of those whom the dispatching thread is to look at */
	struct member *next_wanted;
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

/* Posts are taken all at once: one batch is filled while the other one runs. */
struct posts {
	uint32_t count;
	struct posted post[POSTS_MAX];
};

/* A message in its handler: what that is given stands in here. One of many that pass one after the other is written to as
 * little as can be: while the lines of a peer are fetched, stores are what there is no room for. */
struct handling {
	struct epochd_message message;
	struct ep_received received;
	struct member *member;
	bool holds_buffer;               /* the payload is in its client's, to be released */
	bool kept;                       /* not by us: epochd_keep() has it */
	void *copy;                      /* that the payload is in: private memory of `copy_size` bytes; NULL */
	size_t copy_size;
};

/* As struct epochd_app_counts; several threads count. What is received and sent, the meters count by type. */
struct app_counts {
	_Atomic uint64_t unknown;        /* received, of no type */
	_Atomic uint64_t unhandled, would_block, joined, gone, refused[EP_VERDICTS];
};

struct module {
	char name[EP_TYPE_NAME_MAX], version[EP_MODULE_VERSION_MAX + 1];
	size_t base, count;              /* of its types */
};

/* What is written down of the messages. */
struct app_trace {
	_Atomic bool on;
	pthread_mutex_t lock;            /* of what follows; private memory: nobody dies holding it but with us */
	struct ep_trace trace;
	dev_t device;                    /* of its file, with the inode */
	ino_t inode;
};

enum { HANDLER_CONCURRENT = 1, HANDLER_UNORDERED = 2 };

struct handler {
	epochd_handler_fn *fn;
	void *user;
	uint32_t flags;
	epochd_released_fn *released;
	void *released_user;
};
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
	bool session_wanted;             /* somebody awaits a slot: it is to be read at once */
	uint32_t active_count;
	uint32_t turns;

	char folder[108];                /* of the instance: a socket's path is no longer */
	char name[EP_NAME_SIZE], token[40];   /* that it attached with */

	void *scratch;                   /* for copies of payloads: `scratch_size` bytes */
	size_t scratch_size;
	struct on_joined *on_joined;
	struct on_gone *on_gone;
	size_t on_joined_count, on_gone_count;
	struct app_counts counts;
	uint64_t refused_told;           /* sum of what REFUSALS said last */

	pthread_mutex_t posts_lock;      /* private memory: nobody dies holding it but with us */
	struct posts posts[2];
	uint32_t posts_filling;          /* which of them */
	bool posts_running;
	_Atomic bool posted, stopped;

	struct app_trace trace;

	struct epochd_client *inside;    /* inside.h: those clients */
	bool serving;                    /* a handler runs, or one who is told who came and went; not a post */
	uint32_t depth;                  /* of handlers: one may call its own application */

	struct pool *pool;               /* NULL: one thread does all */
};

/* application.c. app: one with its types; taken over, also where that fails. */
struct epochd_app *attaching_new(void);
void app_wake(const struct epochd_app *app);   /* any thread */
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
/* As client_wish(). With the lock of the member, where there is a pool. */
int app_wish(struct epochd_app *app, struct member *member, int r, uint64_t size);
void app_say_wish(struct epochd_app *app, struct member *member, uint64_t size);   /* the dispatching thread; likewise */
void app_go_on_leaving(struct epochd_app *app, struct member *member);   /* handles the rest; frees it if that was all */

/* application_pool.c */
void app_free_jobs(struct member *member);

/* application_keep.c. For the messages of a member, one after the other. */
void app_begin_handling(struct handling *handling, struct member *member);
int app_fill_from_buffer(struct epochd_app *app, struct handling *handling);   /* for app_fill() */
void app_run_timed(struct epochd_app *app, struct handling *handling);         /* for app_handle() */
void app_finish(struct epochd_app *app, struct handling *handling);            /* for app_handle() */
void app_drop_member(struct member *member);   /* one hold less: the last one frees it */

/* application_trace.c. The supervisor says that what is received and sent is to be written to that file; or, without one,
 * no more. -EPROTO: it is no trace. */
int app_on_trace(struct epochd_app *app, const int *fds, unsigned count);
void app_trace_received(struct epochd_app *app, const struct member *member, const struct ep_received *received);
/* ep_types_send(), and the message is in the trace. */
int app_send_traced(struct epochd_app *app, struct member *member, uint32_t type, uint64_t context,
		    const void *payload, size_t size);

/* application_dispatch.c */
int app_drain(struct epochd_app *app, struct member *member);   /* handles what its ring holds: how many */
void app_activate(struct epochd_app *app, struct member *member);
void app_deactivate(struct epochd_app *app, struct member *member);

/* For inside.c: handles what that client has sent: how many. */
int app_serve_inside(struct epochd_app *app, uint64_t handle);
int app_hear_session(struct epochd_app *app);   /* app_read_session(), by somebody who is not served just now */

/* NULL: refused, and counted. */
struct member *app_member(struct epochd_app *app, uint64_t handle);

/* Relaxed, both: odometers. Several threads count only where there is a pool. */
static inline void app_count(const struct epochd_app *app, _Atomic uint64_t *word)
{
	if (app->pool)
		atomic_fetch_add_explicit(word, 1, memory_order_relaxed);
	else
		ep_meter_count(word, 1);
}

static inline bool app_is_traced(const struct epochd_app *app)
{
	/* Relaxed: a message of the same moment may be in it or not. */
	return atomic_load_explicit(&app->trace.on, memory_order_relaxed);
}

/* What was received, as its handler may have it: 0, or -ENOMEM. */
static inline int app_fill(struct epochd_app *app, struct handling *handling, uint32_t type)
{
	const struct ep_content *content = &handling->received.content;

	handling->message.context = content->context;
	handling->message.size = content->size;
	handling->message.type = type;
	handling->message.payload = content->bytes;
	return handling->received.is_buffer ? app_fill_from_buffer(app, handling) : 0;
}

/* Runs its handler, and gives back what that has not kept. */
static inline void app_handle(struct epochd_app *app, struct handling *handling, bool timed)
{
	const struct handler *handler = &app->handlers[handling->message.type];

	if (timed)
		app_run_timed(app, handling);
	else
		handler->fn(app, &handling->message, handler->user);
	if (handling->kept || handling->holds_buffer || handler->released)
		app_finish(app, handling);
}

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
