/* A client inside of its own application's process, on the thread that dispatches: an ordinary client, in the same tables
 * and counts, but where it waits, its application's turn comes. */
#ifndef EPOCHD_INSIDE_H
#define EPOCHD_INSIDE_H

struct epochd_app;
struct epochd_client;
struct waiting;

/* For client.c: as take_in_time(). -EDEADLK: nobody would reply while this waits. */
int inside_wait(struct epochd_client *client, struct waiting *waiting);
void inside_leave(struct epochd_client *client);    /* its application knows it no more; of any client */

/* For application*.c. */
void inside_detached(struct epochd_app *app);       /* their application is going */
void inside_look(struct epochd_app *app);           /* what the supervisor has said to them */
int inside_tell(struct epochd_app *app);            /* those whose rings were empty: how many */
#endif
