/* Who may ask, and who may act: decided anew at each request from the credentials that the kernel
 * noted when the peer connected, and the configuration in force. The mode of the socket's file only
 * decides who gets as far as being told no. */
#ifndef EPOCHD_CONTROL_ACCESS_H
#define EPOCHD_CONTROL_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct config;
struct principal;

enum control_right { MAY_READ, MAY_ACT };

struct peer {
	uid_t uid;
	gid_t gid;
	gid_t *groups;         /* supplementary */
	size_t group_count;
};

/* Of the other end of a unix socket (SO_PEERCRED, SO_PEERGROUPS). */
int peer_of(struct peer *out, int fd);
void peer_deinit(struct peer *peer);
/* By name, by a group, or as one of everybody. */
bool peer_is_named(const struct peer *peer, const struct principal *list, size_t count);

/* own: the user whose word is law beside root's. */
bool control_may(const struct config *config, const struct peer *peer, uid_t own,
		 enum control_right right);
/* "root, uid 1000 (epochd's own), group adm, uid:33"; malloc'd; NULL when memory is out. */
char *control_who(const struct config *config, uid_t own, enum control_right right);
/* Of the socket's file. */
mode_t control_mode(const struct config *config);
#endif
