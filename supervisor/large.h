/* Large buffers (apilib/large.h): one side asks, and both are given a memfd, whoever receives in it first. Within what
 * `clients { large, large-per-user }` lets one client, and one user, have. */
#ifndef EPOCHD_LARGE_STATE_H
#define EPOCHD_LARGE_STATE_H

#include <stdbool.h>

#include "apilib/wire.h"

struct service;
struct session;

/* Who asks: the client's session or its application's. False: it asks for what is not its own; nothing was said. */
bool large_ask(struct service *service, struct session *session, const struct ep_wire_large *wire);
#endif
