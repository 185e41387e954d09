/* The sd_notify protocol, downward: a datagram socket at a path of its own for each incarnation, which
 * the next supervisor binds again. What arrives is parsed and checked here; what it means is app.c's. */
#ifndef EPOCHD_NOTIFY_H
#define EPOCHD_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ev_loop;
struct notify;

/* One datagram. Several may be set at once. Text is made printable UTF-8. */
struct notify_message {
	pid_t sender;                   /* by SCM_CREDENTIALS */
	uid_t uid;
	bool ready, stopping, reloading;
	bool watchdog;                  /* WATCHDOG=1 */
	bool watchdog_trigger;          /* WATCHDOG=trigger */
	int64_t watchdog_ns;            /* WATCHDOG_USEC=; -1: absent; 0 means off */
	int64_t extend_ns;              /* EXTEND_TIMEOUT_USEC=; -1: absent */
	pid_t main_pid;                 /* MAINPID=; 0: absent */
	const char *status;             /* STATUS=; NULL: absent; at most 512 bytes; valid until the
					 * callback returns */
};

/* From the loop. May call notify_close() on its own object. */
typedef void notify_fn(const struct notify_message *message, void *user);
/* Asked before a message is parsed: is the sender one of the incarnation? */
typedef bool notify_sender_fn(pid_t pid, uid_t uid, void *user);

/* Binds PATH (a file there is replaced), mode 0666: who may is decided by credentials. -ENAMETOOLONG
 * when a socket's path cannot be that long. Received fds are closed (BARRIER=1 is thereby answered).
 * A malformed line is logged (once for each socket) and ignored, those beside it count; so is a whole
 * datagram that is longer than 64 KiB or has a NUL in it. What says nothing we know is not told. */
int notify_open(struct notify **out, struct ev_loop *loop, const char *path,
		notify_sender_fn *sender, notify_fn *fn, void *user);
/* Reads what has arrived, now: before a deadline is acted on. */
void notify_drain(struct notify *notify);
void notify_close(struct notify *notify);   /* unlinks the path; NULL is fine */
const char *notify_path(const struct notify *notify);
#endif
