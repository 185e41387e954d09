/* Where the instance's sockets are: by the options, else the environment, else the usual folders, as epochctl
 * finds them. */
#ifndef EPOCHD_PLACE_H
#define EPOCHD_PLACE_H

#include <stddef.h>
#include <stdint.h>

struct epochd_options;

/* The folder of the instance in a runtime directory, where api.sock is. -ENOENT: there is none; -ENAMETOOLONG. why
 * is given the reason. */
int ep_place_find(char *out, size_t size, const struct epochd_options *options, char *why, size_t why_size);

/* One try, without waiting: a socket, close-on-exec, or a negative errno. */
int ep_place_try(const char *folder);

/* A session with the supervisor there: a socket, close-on-exec. Waits for one that is away, until the
 * deadline (CLOCK_MONOTONIC, ns). -ETIMEDOUT, -EACCES, -EMFILE. */
int ep_place_connect(const char *folder, int64_t deadline, char *why, size_t why_size);
#endif
