/* What an application's table of messages says, for people; it was checked as it came (service_add_table()). */
#ifndef EPOCHD_MESSAGES_H
#define EPOCHD_MESSAGES_H

#include <stdint.h>

#include <jansson.h>

struct app;

/* /v1/apps/APP/messages: of the epoch that was attached last. New reference, or NULL. */
json_t *messages_json(const struct app *app);
/* Each message, by its number and name. */
typedef void message_fn(uint32_t id, const char *name, void *user);
void messages_each(const struct app *app, message_fn *fn, void *user);
#endif
