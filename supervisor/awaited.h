/* Clients of a supervisor before us who have not come back yet: their processes are watched, since no session tells how
 * they are. Of those whose epoch has ended the channel is awaited, for a while: it tells what was lost in it. */
#ifndef EPOCHD_AWAITED_H
#define EPOCHD_AWAITED_H

#include <stdint.h>

struct app;
struct client;
struct service;
struct session;

/* What the slots of its registry say. lives: the epoch that goes on; 0: none does. Errors are logged. */
void awaited_load(struct app *app, uint32_t lives);

void awaited_init(struct service *service);
/* It came back, or is counted: nobody watches it any more. */
void awaited_forget(struct client *client, void *service);
/* An epoch has ended, and what could be counted of it is: for the rest, there is the grace time. */
void awaited_begin_grace(struct service *service);
/* Its process is known to be dead. */
void awaited_died(struct service *service, struct client *client);
/* It comes for its handle. -EPERM: it is another process. */
int awaited_check(const struct service *service, const struct client *client, const struct session *session);
#endif
