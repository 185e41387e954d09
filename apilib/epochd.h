/* libepochd: applications and their clients talk over shared memory, and every handle is fenced by the epoch
 * of the application. The one header; C99 and C++11. See epochd(3).
 *
 * Calls return 0 or a count, or a negative errno; *out is touched only on success. Times are nanoseconds; a
 * timeout of 0 does not wait, a negative one waits for ever. Errors that any call may give:
 *
 *   -ESTALE       the application's epoch has ended: a client reconnects, an application that hears it was
 *                 replaced and ends
 *   -ECHILD       this process is a child of fork(): it has none of its parent's connections
 *   -EINVAL       the arguments make no sense
 *
 * Threads: an object (client, application, registry) is used by one thread at a time, but for the functions
 * that say otherwise; different objects by different threads as they like. No thread is started but by
 * epochd_workers(), no signal handler installed, nothing allocated after connecting, attaching, and a client's joining (but
 * for a copy that is kept, and a client's first message for the workers). */
#ifndef EPOCHD_H
#define EPOCHD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EPOCHD_API __attribute__((visibility("default")))

EPOCHD_API const char *epochd_version(void);   /* "0.1.0"; static */

/* ---- messages ----
 *
 * Declared once, in two macro lists; then EPOCHD_MESSAGES makes the structs, their numbers and a table:
 *
 *   #define KV_GET(FIELD, ARRAY)    FIELD(u64, key)
 *   #define KV_VALUE(FIELD, ARRAY)  FIELD(u64, key) FIELD(u32, found) ARRAY(text, value, 32)
 *   #define KV_LIST(MESSAGE)                           \
 *           MESSAGE(kv_get, "kv.get", KV_GET, 0)       \
 *           MESSAGE(kv_value, "kv.value", KV_VALUE, 0)
 *   EPOCHD_MESSAGES(kv, KV_LIST)
 *
 * gives struct kv_get and struct kv_value, the numbers kv_get_id and kv_value_id, and kv_messages[] with
 * kv_count elements. Kinds: u8 u16 u32 u64 i8 i16 i32 i64 f32 f64, and text, bytes in an ARRAY. Both sides agree
 * on messages by name and a CRC of the fields when a client connects; the numbers are each side's own. */

enum epochd_kind {
	EPOCHD_u8, EPOCHD_u16, EPOCHD_u32, EPOCHD_u64, EPOCHD_i8, EPOCHD_i16, EPOCHD_i32, EPOCHD_i64,
	EPOCHD_f32, EPOCHD_f64, EPOCHD_text, EPOCHD_bytes,
	EPOCHD_KINDS
};

struct epochd_field {
	const char *name;
	uint32_t kind;    /* enum epochd_kind */
	uint32_t count;   /* elements of an ARRAY; 0: a FIELD */
};

enum {
	EPOCHD_TAIL = 1,       /* any number of bytes may follow the struct */
	EPOCHD_IN_PLACE = 2,   /* handlers read it where it lies: each field once, since the sender could still
				* write there; not copied first */
	EPOCHD_CALLABLE = 4,   /* anybody who may connect may send it by hand: `epochctl call` */
};

struct epochd_type {
	const char *name;       /* "module.message" */
	uint32_t size;          /* of the struct, bytes */
	uint32_t flags;
	const struct epochd_field *fields;
	uint32_t field_count;
	uint32_t reserved;      /* 0 */
};

#define EPOCHD_C_u8 uint8_t
#define EPOCHD_C_u16 uint16_t
#define EPOCHD_C_u32 uint32_t
#define EPOCHD_C_u64 uint64_t
#define EPOCHD_C_i8 int8_t
#define EPOCHD_C_i16 int16_t
#define EPOCHD_C_i32 int32_t
#define EPOCHD_C_i64 int64_t
#define EPOCHD_C_f32 float
#define EPOCHD_C_f64 double
#define EPOCHD_C_text char
#define EPOCHD_C_bytes uint8_t
#define EPOCHD_FIELD_(kind, name) EPOCHD_C_##kind name;
#define EPOCHD_ARRAY_(kind, name, count) EPOCHD_C_##kind name[count];
#define EPOCHD_FIELD_INFO_(kind, name) { #name, EPOCHD_##kind, 0 },
#define EPOCHD_ARRAY_INFO_(kind, name, count) { #name, EPOCHD_##kind, count },
#define EPOCHD_ID_(tag, name, LIST, flags) tag##_id,
#define EPOCHD_STRUCT_(tag, name, LIST, flags) struct tag { LIST(EPOCHD_FIELD_, EPOCHD_ARRAY_) };
#define EPOCHD_FIELDS_(tag, name, LIST, flags) \
	static const struct epochd_field tag##_fields[] = { LIST(EPOCHD_FIELD_INFO_, EPOCHD_ARRAY_INFO_) };
#define EPOCHD_TYPE_(tag, name, LIST, flags) \
	{ name, (uint32_t)sizeof(struct tag), flags, tag##_fields, \
	  (uint32_t)(sizeof tag##_fields / sizeof tag##_fields[0]), 0 },
#define EPOCHD_MESSAGES(prefix, LIST) \
	LIST(EPOCHD_STRUCT_) \
	LIST(EPOCHD_FIELDS_) \
	enum { LIST(EPOCHD_ID_) prefix##_count }; \
	__attribute__((unused)) static const struct epochd_type prefix##_messages[] = { \
		LIST(EPOCHD_TYPE_) };

/* A payload of `size` bytes as a JSON object, by the type's fields, in their order, with a NUL. Numbers beyond 2^53, and what
 * is no number, as text; bytes, and a tail (under "..."), as hexadecimal digits; a text that is no UTF-8 as {"hex": ...}.
 * Its length, without the NUL; any thread.
 *   -ENOSPC   longer than json_size   -EINVAL   no type, or not of its size */
EPOCHD_API int epochd_json(const struct epochd_type *type, const void *payload, size_t size, char *json,
			   size_t json_size);

/* Messages of one part of a program, under its name: a plug-in, say. Each message is called "name.something". */
struct epochd_module {
	const char *name;
	const char *version;              /* for people: of letters, digits, . _ + -, 31 at most; NULL: none */
	const struct epochd_type *types;  /* `count` of them, borrowed */
	size_t count;
	uint32_t base;                    /* given by epochd_attach_modules(): the number of its first type */
};

/* What was received. `payload` stays good until the message is released, or its handler returns. */
struct epochd_message {
	uint64_t handle;       /* of the client: who sent it, as an application sees it; own, as the client does */
	uint64_t context;      /* the sender's; a reply carries it back */
	const void *payload;   /* `size` bytes: at least its type's; aligned to 8 */
	uint32_t size;
	uint32_t type;         /* index into the types given when connecting or attaching */
	uint64_t inside[8];    /* the library's own */
};

/* ---- handles ---- */

enum epochd_verdict {
	EPOCHD_GOOD,
	EPOCHD_STALE_EPOCH,        /* of an incarnation before the present one */
	EPOCHD_STALE_GENERATION,   /* its slot belongs to another client by now */
	EPOCHD_FREE_SLOT,          /* its client is gone */
	EPOCHD_DOWN,               /* of the newest epoch, which does not serve (any more) */
	EPOCHD_NOT_A_HANDLE,       /* never given */
};

struct epochd_options;
struct epochd_registry;

/* The registry of an application, for whoever may read its file; no connection is made.
 *   -ENOENT   no supervisor has such an application    -EACCES   not for this user
 *   -EBADMSG  that is no registry */
EPOCHD_API int epochd_registry_open(struct epochd_registry **out, const char *application,
				    const struct epochd_options *options);
EPOCHD_API void epochd_registry_close(struct epochd_registry *registry);   /* NULL is fine */

/* Is the client that the handle names there, in the epoch that serves now? enum epochd_verdict. Two loads;
 * never blocks. One thread at a time for each registry. */
EPOCHD_API int epochd_handle_check(struct epochd_registry *registry, uint64_t handle);
EPOCHD_API const char *epochd_verdict_name(int verdict);   /* "good" ... "not_a_handle"; static */
EPOCHD_API uint32_t epochd_handle_epoch(uint64_t handle);
EPOCHD_API uint32_t epochd_registry_epoch(const struct epochd_registry *registry);   /* newest one */

/* ---- options ---- */

enum epochd_wait {
	EPOCHD_ADAPTIVE,   /* polls as long as waits are short, sleeps otherwise */
	EPOCHD_BUSY,       /* always polls: a core for the shortest way */
	EPOCHD_SLEEP,      /* sleeps at once */
};

enum {
	EPOCHD_RECONNECT = 1,   /* client: by itself, in whatever call comes next, under each new epoch */
	EPOCHD_ADOPT = 2,       /* client: without types of its own, it takes over those of the application, epoch by
				 * epoch: epochd_client_type() */
};

struct epochd_buffers { uint32_t size, count; };   /* bytes of one; how many, each way */

struct epochd_client;
typedef void epochd_reconnected_fn(struct epochd_client *client, uint64_t old_handle,
				   uint64_t new_handle, void *user);

/* All zero is the default for each. Strings are borrowed for the call only. */
struct epochd_options {
	size_t size;                 /* sizeof(struct epochd_options), or 0 */
	const char *instance;        /* NULL: EPOCHD_INSTANCE, else the only one that runs, else "default" */
	const char *runtime_dir;     /* NULL: EPOCHD_RUNTIME_DIR, else /run/epochd, $XDG_RUNTIME_DIR/epochd */
	const char *name;            /* client: how it is shown (NULL: the program's); application: which
				      * `external` one this process is (NULL: the one it was started as) */
	int64_t timeout;             /* ns, of connecting and attaching; 0: 10 s */
	uint32_t wait;               /* enum epochd_wait */
	uint32_t flags;
	uint32_t ring;               /* client: lines wanted; 0: as the application offers */
	uint32_t buffers_count;
	const struct epochd_buffers *buffers;   /* client: of each class, no more than offered; with `ring` */
	epochd_reconnected_fn *reconnected;     /* client: told of each new handle */
	void *user;
	char *why;                   /* is given the reason of an error, for people; NULL */
	size_t why_size;
};

/* ---- clients ---- */

/* Connects to an application by its name; waits for it to come up, up to the timeout. types:
 * `count` of them, borrowed until the client is closed; may be NULL with 0. Blocks.
 *   -ENOENT      no such application, or no supervisor (of that instance)
 *   -EACCES      this user may not, see `clients { allow }`     -EUSERS   as many clients as may
 *   -ETIMEDOUT   it did not come up in time                     -EPROTO   the supervisor is of another version
 *   -ENOMSG      both sides declare a message of one name in different ways: options->why has both
 *   -EMFILE, -ENOMEM, -ENOSPC */
EPOCHD_API int epochd_connect(struct epochd_client **out, const char *application,
			      const struct epochd_type *types, size_t count,
			      const struct epochd_options *options);
/* What was received and not released goes with it. NULL is fine. */
EPOCHD_API void epochd_close(struct epochd_client *client);

EPOCHD_API uint64_t epochd_client_handle(const struct epochd_client *client);   /* of its last epoch */
/* Its type of that number, own or adopted: for tools that read and make any message by its fields. NULL: there is none.
 * Of an adopted one, borrowed until the client hears of the next epoch. */
EPOCHD_API const struct epochd_type *epochd_client_type(const struct epochd_client *client, uint32_t type);

/* Memory for a payload of `size` bytes, to be filled and handed to epochd_send(), or given back with
 * epochd_free(). Never blocks. What is larger than all classes of the channel is made by the supervisor, once, and kept.
 *   -EAGAIN     all that are large enough are in use, or it is being made: the client's descriptor tells
 *   -EMSGSIZE   larger than any, and than this client may have */
EPOCHD_API int epochd_allocate(struct epochd_client *client, size_t size, void **memory);
/* The same, and waits up to the timeout for one that the supervisor is to make; for nobody else. -ETIMEDOUT. */
EPOCHD_API int epochd_allocate_wait(struct epochd_client *client, size_t size, void **memory, int64_t timeout);
EPOCHD_API int epochd_free(struct epochd_client *client, void *memory);

/* Sends. payload: from epochd_allocate(), then not copied, and the application's from now on; or any other
 * memory, copied. size: that of the type's struct, or more with EPOCHD_TAIL. context: comes back with replies;
 * below 2^63. Never blocks; on an error nothing is sent, and allocated memory stays the caller's.
 *   -EAGAIN     ring or buffers are full: epochd_client_fd() tells when to try again
 *   -EMSGSIZE   larger than any buffer
 *   -ENOMSG     the application does not know that message
 *   -EPROTO     the other side wrote nonsense; the connection is closed */
EPOCHD_API int epochd_send(struct epochd_client *client, uint32_t type, uint64_t context,
			   const void *payload, size_t size);

/* The next message. Messages may be held, and released in any order, while others are received.
 *   -EAGAIN     none, with a timeout of 0     -ETIMEDOUT   none came in time
 *   -EPROTO     as epochd_send()              -ECONNABORTED   this client was sent away: epochd_client_why() */
EPOCHD_API int epochd_receive(struct epochd_client *client, struct epochd_message *out,
			      int64_t timeout);
/* Gives its memory back. -ESTALE: the epoch ended, it was taken back before. */
EPOCHD_API int epochd_release(struct epochd_client *client, const struct epochd_message *message);

/* Sends, and waits for the reply, which is to be released. Other messages that come meanwhile are kept for
 * epochd_receive(); a reply that comes too late is dropped. As both, and
 *   -ENOBUFS    as many were kept as a ring is long: receive them first */
EPOCHD_API int epochd_call(struct epochd_client *client, uint32_t type, const void *payload, size_t size,
			   struct epochd_message *reply, int64_t timeout);

/* Under the epoch that serves now; waits for one. 0 also when the present one is still good. What is held of
 * the old one can be read until then, and not after. Errors as epochd_connect(). Blocks. */
EPOCHD_API int epochd_reconnect(struct epochd_client *client, int64_t timeout);

/* Readable when there is something to do: a message, a new epoch. For any event loop; level-triggered; owned by
 * the client. Then call epochd_receive() with a timeout of 0 until it says -EAGAIN: from then on the descriptor
 * tells of the next. (Not with EPOCHD_BUSY.) */
EPOCHD_API int epochd_client_fd(const struct epochd_client *client);

/* fn is called by epochd_client_dispatch() when there is something to receive and there was nothing before: since
 * epochd_receive() said -EAGAIN, or another error. NULL: nobody is. Of a client inside, by its application's turns as well. */
typedef void epochd_readable_fn(struct epochd_client *client, void *user);
EPOCHD_API int epochd_on_readable(struct epochd_client *client, epochd_readable_fn *fn, void *user);
/* When epochd_client_fd() is readable. 1: it was called; 0: there was nothing to call it for. Does not wait. */
EPOCHD_API int epochd_client_dispatch(struct epochd_client *client);

/* Why the last call failed, where that needs more words than its error; "" otherwise. Borrowed until the next
 * call. */
EPOCHD_API const char *epochd_client_why(const struct epochd_client *client);

/* ---- applications ---- */

struct epochd_app;

/* A client, as its application sees it. */
struct epochd_peer {
	uint64_t handle;
	int32_t pid;
	uint32_t uid, gid;
	uint32_t reserved;
	char name[40];
};

enum epochd_gone { EPOCHD_GONE_GOODBYE = 1, EPOCHD_GONE_DEAD, EPOCHD_GONE_KICKED, EPOCHD_GONE_BROKEN };

typedef void epochd_handler_fn(struct epochd_app *app, const struct epochd_message *message, void *user);
typedef void epochd_joined_fn(struct epochd_app *app, const struct epochd_peer *peer, void *user);
typedef void epochd_gone_fn(struct epochd_app *app, const struct epochd_peer *peer, int why, void *user);
typedef void epochd_post_fn(void *user);
typedef void epochd_released_fn(struct epochd_app *app, const struct epochd_message *message, void *user);

/* Serves from now on, as the application that this process was started as; or as options->name, which is
 * `external`: then a new epoch begins with this process, as soon as its backoff lets it. types as in
 * epochd_connect(). Blocks up to the timeout.
 *   -ENOENT   this process was not started by epochd, or no supervisor runs
 *   -EACCES   another user's, or not of this incarnation     -EBUSY   another process serves already */
EPOCHD_API int epochd_attach(struct epochd_app **out, const struct epochd_type *types, size_t count,
			     const struct epochd_options *options);
/* The same for a program of several modules: their types get numbers one after the other, module->base + kv_get_id. Modules
 * are borrowed for the call only, their types as there. */
EPOCHD_API int epochd_attach_modules(struct epochd_app **out, struct epochd_module *modules, size_t count,
				     const struct epochd_options *options);
/* Serves no more: clients are told at once, and wait for whoever attaches next, be it this process again. Does not
 * block. NULL is fine. */
EPOCHD_API void epochd_detach(struct epochd_app *app);
EPOCHD_API uint32_t epochd_app_epoch(const struct epochd_app *app);

/* A client of this application in its own process, for the thread that dispatches and no other (those use epochd_connect()):
 * registered, shown and counted as any, and its messages go nowhere but through its rings. Where it waits its application is
 * dispatched; within a handler only what it has sent itself is handled meanwhile. Ends with the epoch: no EPOCHD_RECONNECT.
 * Before epochd_detach().
 *   -EDEADLK   in a handler, on_joined or on_gone; and of calls that wait: in a handler, for what only another would send */
EPOCHD_API int epochd_connect_inside(struct epochd_client **out, struct epochd_app *app, const struct epochd_type *types,
				     size_t count, const struct epochd_options *options);

/* Who handles a type; called by epochd_dispatch(). Before that returns, payload is the handler's to read: a
 * copy, unless the type is EPOCHD_IN_PLACE. Messages without a handler are dropped, and counted. */
EPOCHD_API int epochd_handle(struct epochd_app *app, uint32_t type, epochd_handler_fn *fn, void *user);

/* Starts so many threads (1 to 256), which block all signals, for the handlers of epochd_handle_concurrent(). From then on
 * any thread may call epochd_reply(), epochd_app_send(), _allocate(), _free() and _verdict(). They end with
 * epochd_detach(), which waits for handlers that run. Once, before the first dispatch.
 *   -EBUSY   it has some   -EAGAIN   no more threads can be had   -EINVAL   as many there cannot be */
EPOCHD_API int epochd_workers(struct epochd_app *app, unsigned count);

enum { EPOCHD_UNORDERED = 1 };

/* Who handles a type, on any of the workers (without them: as epochd_handle()). What one client sends is handled in its
 * order, one after the other, whatever handles it; but messages of a type that is EPOCHD_UNORDERED as they come, beside
 * all others. */
EPOCHD_API int epochd_handle_concurrent(struct epochd_app *app, uint32_t type, epochd_handler_fn *fn, void *user,
					uint32_t flags);
/* Told of each message of the type that was handled, or kept and released: nobody looks at it any more. */
EPOCHD_API int epochd_on_released(struct epochd_app *app, uint32_t type, epochd_released_fn *fn, void *user);

/* In a handler, of its own message: *kept is that from now on, until epochd_app_release(); nothing is copied. A type that
 * is EPOCHD_IN_PLACE keeps its client's buffer. 0, or -ENOMEM: then nothing is kept. */
EPOCHD_API int epochd_keep(struct epochd_app *app, const struct epochd_message *message,
			   struct epochd_message *kept);
/* Any thread; also of a client that is gone. Before epochd_detach(). */
EPOCHD_API void epochd_app_release(struct epochd_app *app, struct epochd_message *kept);
/* Told of clients, in the order in which these were registered. -ENOMEM. */
EPOCHD_API int epochd_on_joined(struct epochd_app *app, epochd_joined_fn *fn, void *user);
EPOCHD_API int epochd_on_gone(struct epochd_app *app, epochd_gone_fn *fn, void *user);

/* Handles what is there: each client in turn, up to a budget, then what was posted, who came and who went.
 * The count of messages handled; 0: nothing is there, and from now on epochd_app_fd() tells. Does not wait. */
EPOCHD_API int epochd_dispatch(struct epochd_app *app);
/* Waits for something to do, then dispatches, until epochd_stop() (0) or an error. */
EPOCHD_API int epochd_run(struct epochd_app *app);
EPOCHD_API void epochd_stop(struct epochd_app *app);   /* any thread; async-signal-safe */
/* As epochd_client_fd(): then call epochd_dispatch() until it returns 0. */
EPOCHD_API int epochd_app_fd(const struct epochd_app *app);

/* To a client, asked for or not; in a handler or later. As epochd_send(), and
 *   -ENOTCONN   it is gone, and counted: epochd_app_verdict() tells why its handle is refused
 *   -EAGAIN     it does not read: costs nothing but this, and a count */
EPOCHD_API int epochd_app_send(struct epochd_app *app, uint64_t handle, uint32_t type, uint64_t context,
			       const void *payload, size_t size);
EPOCHD_API int epochd_reply(struct epochd_app *app, const struct epochd_message *message, uint32_t type,
			    const void *payload, size_t size);
EPOCHD_API int epochd_app_allocate(struct epochd_app *app, uint64_t handle, size_t size, void **memory);
EPOCHD_API int epochd_app_free(struct epochd_app *app, uint64_t handle, void *memory);

/* The verdict on a handle, as epochd_handle_check(). A refusal is counted. *peer is filled in if it is good;
 * may be NULL. */
EPOCHD_API int epochd_app_verdict(struct epochd_app *app, uint64_t handle, struct epochd_peer *peer);
/* Each client there is; fn must not dispatch. Their count. */
EPOCHD_API int epochd_app_clients(struct epochd_app *app, epochd_joined_fn *fn, void *user);
/* Sends a client away, with the reason. -EAGAIN: the supervisor does not listen just now; it stays. */
EPOCHD_API int epochd_app_kick(struct epochd_app *app, uint64_t handle, const char *why);

/* Has the dispatching thread call fn(user). Any thread; order is kept for each; what is there is taken all at once. Nothing
 * is allocated. -EAGAIN: too many wait (1024). */
EPOCHD_API int epochd_post(struct epochd_app *app, epochd_post_fn *fn, void *user);

struct epochd_app_counts {
	uint64_t received, sent;
	uint64_t unhandled;           /* no handler, or unknown */
	uint64_t would_block;         /* -EAGAIN of epochd_app_send() and _allocate() */
	uint64_t joined, gone;
	uint64_t refused[6];          /* by enum epochd_verdict; [EPOCHD_GOOD]: memory given back that was not its own (any more) */
};
EPOCHD_API void epochd_app_counts(const struct epochd_app *app, struct epochd_app_counts *out);

#ifdef __cplusplus
}
#endif
#endif
