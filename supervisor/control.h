/* control.sock: HTTP/1.1 and JSON, by libmicrohttpd inside the loop (its epoll fd; no thread). Who may
 * read and who may act is decided by peer credentials. The optional TCP listener answers GET of
 * metrics, health and stats and nothing else. */
#ifndef EPOCHD_CONTROL_H
#define EPOCHD_CONTROL_H

struct app;
struct control;
struct epochd;

/* Binds PATH (an old socket file there is replaced: the instance's lock is ours) and, if the
 * configuration says so, the TCP address. Errors are logged, the negative errno returned. */
int control_new(struct control **out, struct epochd *epochd, const char *path);
/* Followers are ended properly, who waits for the shutdown is answered. Before events and store are
 * freed, which followers and reads hold on to; not from within a request. NULL is fine. */
void control_free(struct control *control);

/* After a reload, with the new configuration in force: the mode of the socket and the TCP listener,
 * which is kept as it was if the new one cannot be had (logged, and the negative errno returned). */
int control_reconfigure(struct control *control);

/* An application settled or changed: requests with ?wait that wait for it are answered, in the next turn
 * of the loop, so it may be called in the middle of a change. */
void control_app_changed(struct control *control, struct app *app);
/* A reload or shutdown that someone waits for has happened. r: of the reload. */
void control_reloaded(struct control *control, int r);
#endif
