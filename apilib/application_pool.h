/* An application's worker threads: handlers that are marked concurrent run there, the others where it dispatches.
 *
 * Messages of one client are handled in the order in which it sent them: it has a queue, and whoever takes the first of it,
 * a worker or the dispatching thread, takes none of the same client's until that is over. Only the dispatching thread
 * receives, and of each client only as far as that one has jobs for it: then its ring fills, and it alone feels it. */
#ifndef EPOCHD_APPLICATION_POOL_H
#define EPOCHD_APPLICATION_POOL_H

#include "apilib/application_private.h"

/* ---- the dispatching thread's ---- */

/* One more message of the member's can be taken. False: it is looked at again when that is so. */
bool pool_has_room(struct epochd_app *app, struct member *member);
/* The message is to wait for its turn: its handler is concurrent, or another of its client's that came before is not
 * over. */
bool pool_takes(const struct epochd_app *app, const struct member *member, uint32_t type);
/* After both. Its buffer is the pool's to release. */
void pool_add(struct epochd_app *app, struct member *member, const struct ep_received *received, uint32_t type,
	      bool timed);
/* What workers left for this thread: how many members it looked at. */
int pool_turn(struct epochd_app *app);
bool pool_has_news(const struct epochd_app *app);   /* for pool_turn(); so it is not to sleep */

/* From now on it is told when nothing of the member's is under way any more: app_go_on_leaving(). */
void pool_leave(struct epochd_app *app, struct member *member, int why);
bool pool_is_done_with(struct epochd_app *app, struct member *member);
void pool_forget(struct epochd_app *app, struct member *member);   /* then: it is about to be freed */

/* Lets handlers that run end, and forgets what waits. Blocks. NULL is fine. */
void pool_free(struct epochd_app *app);

/* ---- where several threads send: any thread; nothing where there is no pool ---- */

/* The table of members stays as it is until it is let go: many may hold it at a time, never for long. */
void pool_hold_table(struct epochd_app *app);
void pool_let_table_go(struct epochd_app *app);
/* Alone, to change it. The dispatching thread. */
void pool_lock_table(struct epochd_app *app);
void pool_unlock_table(struct epochd_app *app);

/* Where there is one: the member writes nonsense, and the dispatching thread sends it away. With the table held. */
void pool_condemn(struct epochd_app *app, struct member *member);
/* Likewise: the dispatching thread asks for a large buffer, app_say_wish(). */
void pool_wish(struct epochd_app *app, struct member *member, uint64_t size);
#endif
