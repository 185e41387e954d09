/* Closing sockets in which something is unread: descriptors that a stranger sent may be among it, and closing one of
 * those can wait for as long as that stranger likes (a lingering connection, a file of a file system of its own). So a
 * thread does it, and the loop waits for nobody (I9). It is started with the first such socket. */
#ifndef EPOCHD_CLOSER_H
#define EPOCHD_CLOSER_H

struct closer;

int closer_new(struct closer **out);       /* -ENOMEM */
/* Waits for nothing that is still being closed. NULL is fine. */
void closer_free(struct closer *closer);

/* Ends a connection: who is at its other end reads what it was sent, then its end. The fd is taken over. */
void closer_close(struct closer *closer, int fd);
/* Closes whatever a stranger sent. The fd is taken over. */
void closer_drop(struct closer *closer, int fd);
#endif
