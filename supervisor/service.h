/* What an application serves with: the process of it that is attached, its table of messages, its bell, its
 * clients. Lives as long as the application; each epoch attaches anew. For sessions*.c. */
#ifndef EPOCHD_SERVICE_H
#define EPOCHD_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>

#include "supervisor/clients.h"
#include "supervisor/pulse.h"

struct app;
struct session;
struct sessions;

struct service_table {
	size_t size;
	unsigned char bytes[];   /* a packet, as it came */
};

struct service {
	struct sessions *sessions;
	struct app *app;
	struct clients *clients;
	struct session *attached;      /* NULL: nobody; not before its READY */
	struct session *attaching;     /* before that; NULL */
	struct service_table **tables;
	size_t table_count, table_size;
	uint32_t types;                /* of the tables */
	struct ep_meter_page *meter;   /* of the epoch that was attached last; NULL: none */
	uint32_t meter_types;
	uint64_t double_frees;         /* as the attached one last said */
	int bell;                      /* of the attached one, open for both: -1 */
	struct session *joining, **joining_end;   /* whose JOIN waits for room in its session */
	ev_timer slice;                /* runs while something of an ended epoch is to be done */
	struct reaper reaper;
	struct pulse pulse;
	ev_timer grace;                /* for clients of an ended epoch whose channels are awaited; awaited.c */
};

struct clients_place service_place(const struct app *app);

/* The application's; made with the first session. -ENOMEM. */
int service_of(struct service **out, struct sessions *sessions, struct app *app);
void service_abandon(struct service *service);   /* frees it, and counts nothing */
void service_free(struct service *service);   /* NULL is fine */

/* -E2BIG, -ENOMEM; -EPROTO: it is no table. */
int service_add_table(struct service *service, const void *packet, size_t size);
void service_forget_tables(struct service *service);
/* The meter of a new epoch: the descriptor is the caller's. */
int service_make_meter(struct service *service, int *fd);
/* That of an application that came back. -EBADMSG: it is none. */
int service_take_meter(struct service *service, int fd);
/* The bell of a new epoch. */
int service_make_bell(struct service *service);
/* An open file description of its own: O_RDONLY or O_WRONLY, not blocking. */
int service_open_bell(const struct service *service, int flags);
#endif
