/* Conversations on api.sock: applications that attach, clients that join them (apilib/wire.h). Nobody is waited
 * for, and nobody's nonsense touches another's session (I5, I9). */
#ifndef EPOCHD_SESSIONS_H
#define EPOCHD_SESSIONS_H

#include <stdint.h>

struct app;
struct client;
struct epochd;
struct sessions;

int sessions_new(struct sessions **out, struct epochd *epochd, const char *path);
/* Before that, where the next supervisor goes on with all of them: nothing is counted, ended or unlinked. */
void sessions_abandon(struct sessions *sessions);
void sessions_free(struct sessions *sessions);   /* ends all of them; unlinks the socket; NULL is fine */

/* The state of an application changed: those who wait for it are told, or offered its epoch. */
void sessions_app_changed(struct sessions *sessions, struct app *app);
/* Its fence word has moved on, and serves no more: its clients are told, and their channels counted, in
 * turns of the loop to come. */
void sessions_fence_moved(struct sessions *sessions, struct app *app);
/* It goes away. */
void sessions_forget(struct sessions *sessions, struct app *app);

/* Sends a client away. error: what it is told; -ECONNABORTED. */
void sessions_kick(struct app *app, struct client *client, const char *why);
#endif
