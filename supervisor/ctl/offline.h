/* Answers from the database alone, when no supervisor runs: the same JSON as the API's. */
#ifndef EPOCHD_CTL_OFFLINE_H
#define EPOCHD_CTL_OFFLINE_H

#include <stdint.h>

#include <jansson.h>

struct offline;

int offline_open(struct offline **out, const char *path);
void offline_close(struct offline *offline);   /* NULL is fine */

/* New references. -ENOMEM, or what the store says. */
int offline_stats(struct offline *offline, json_t **out);
/* -ENOENT: the database knows no such application. Pages as the API's: limit 1 to 1000. */
int offline_incarnations(struct offline *offline, const char *app, uint32_t before, unsigned limit,
			 json_t **out);
int offline_events(struct offline *offline, const char *app, uint64_t before, unsigned limit,
		   json_t **out);
#endif
