/* HTTP over an instance's control.sock, by libcurl. One conversation at a time, and beside it one
 * stream that is followed. */
#ifndef EPOCHD_CTL_CLIENT_H
#define EPOCHD_CTL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct client;

/* socket: its path, of any length. -ENOMEM, or what opening its directory says. */
int client_open(struct client **out, const char *socket);
void client_close(struct client *client);   /* NULL is fine */

struct answer {
	long status;    /* of HTTP */
	char *body;     /* as it came, NUL-terminated */
	size_t size;    /* of it, bytes */
	json_t *json;   /* of it; NULL: it is no JSON */
};
void answer_clear(struct answer *answer);

/* Asks and waits. path: with the query, escaped. timeout: seconds, 0: none.
 *   -ECONNREFUSED  nobody listens (ENOENT and the like, too)
 *   -EACCES        we may not
 *   -ETIMEDOUT     no answer in that time
 *   -EPROTO, ...   client_why() tells */
int client_ask(struct client *client, const char *method, const char *path, double timeout,
	       struct answer *out);
/* Of the last failure, for people. */
const char *client_why(const struct client *client);

/* What is escaped for a path or a query; NULL: memory is out. */
char *client_escape(const char *text);

enum happening {
	STREAM_OPENED,    /* text: NULL */
	STREAM_LINE,      /* text: the line */
	STREAM_TICK,      /* so many seconds have passed */
	STREAM_RESIZED,   /* the terminal was */
	STREAM_ENDED,     /* text: why; it is not open any more */
	STREAM_REFUSED,   /* text: the body of the answer; it was not opened */
};
/* 0: go on; else client_follow() ends and returns it. After STREAM_ENDED and STREAM_REFUSED, 0 means
 * to open it again at the next tick. client_ask() may be called. */
typedef int stream_fn(enum happening happening, const char *text, void *user);

/* Until fn says so, or a person does (SIGINT, SIGTERM, SIGHUP: 0). tick: seconds. Negative errno. */
int client_follow(struct client *client, const char *path, double tick, stream_fn *fn, void *user);
#endif
