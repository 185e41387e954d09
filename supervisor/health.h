/* The health command: run now and then beside an application that is up; failures in a row end the
 * incarnation like a missed watchdog, for servers that hang and speak no protocol. */
#ifndef EPOCHD_HEALTH_H
#define EPOCHD_HEALTH_H

struct app;
struct health;

/* Begins: the first run comes after `after` and one interval. */
int health_new(struct health **out, struct app *app);
/* A command under way is killed and reaped. NULL is fine. */
void health_free(struct health *health);
#endif
