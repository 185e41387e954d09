/* What an application's table of messages says, for people: the table itself is handed on unread. */
#ifndef EPOCHD_MESSAGES_H
#define EPOCHD_MESSAGES_H

#include <jansson.h>

struct app;

/* /v1/apps/APP/messages: of the epoch that was attached last. New reference, or NULL. */
json_t *messages_json(const struct app *app);
#endif
