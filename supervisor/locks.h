/* One supervisor for an instance: flock on a file in each of its three directories, in this order:
 * segments, state, runtime, so that two containers that share one /dev/shm are kept apart as well. */
#ifndef EPOCHD_LOCKS_H
#define EPOCHD_LOCKS_H

struct locks;

/* Makes the directory and its parents (mode for the last one). One that is there must be a directory of
 * our own that nobody else may write; otherwise, as root, one is renamed aside and reported, and else
 * refused with its owner's name (logged). */
int directory_make(const char *path, unsigned mode);

/* Takes the three. When another supervisor holds one, says which pid (logged): -EBUSY. One that died a
 * moment ago is waited for: a child of it may not have let go yet. */
int locks_take(struct locks **out, const char *segments, const char *state, const char *runtime);
/* Unlinks the lock files, after a clean end; the locks are still held. */
void locks_remove(struct locks *locks);
void locks_release(struct locks *locks);   /* NULL is fine */
/* The descriptors, for a child to close first; -1 in what is left over. NULL: all -1. */
void locks_fds(const struct locks *locks, int fds[static 4]);
#endif
