/* Traces of epochs that have ended: saved by a thread, so that the loop does not wait for the disk (I9), as
 * STATE/traces/APP-EPOCH.trace; the oldest of an application go when there are too many. One that cannot be saved, or for
 * which as many wait already as are to be kept, is dropped, with a word about it: memory is not filled with them. */
#ifndef EPOCHD_TRACES_H
#define EPOCHD_TRACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct epochd;
struct traces;

enum { TRACES_SAVED = 8 };   /* of an application, where nothing else is configured */

int traces_new(struct traces **out, struct epochd *epochd);   /* -ENOMEM */
/* Waits until all is saved, and tells it. */
void traces_free(struct traces *traces);   /* NULL is fine */

/* ".traced.EPOCH.APP", in the directory of the segments; and back: the application (in `name`), or NULL. */
void traces_name(char *name, size_t size, const char *app, uint32_t epoch);
const char *traces_parse(const char *name, uint32_t *epoch);

/* Saves the file of that name, and unlinks it. keep: so many of the application at most. Events trace_saved, trace_lost. */
void traces_save(struct traces *traces, const char *app, uint32_t epoch, unsigned keep);

/* The path of a saved one; NULL: there is none. free() it. */
char *traces_path(const struct traces *traces, const char *app, uint32_t epoch);
json_t *traces_json(const struct traces *traces, const char *app);   /* epochs that are saved, oldest first */
#endif
