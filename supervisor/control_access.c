/* The rule, whole:
 *   - root and the user that epochd runs as may do everything;
 *   - whom `act` names may do everything; whom `read` names may GET;
 *   - members of `control { group }`, who the socket's file belongs to, may GET;
 *   - "*" in either list is everybody; a group counts whether it is the peer's first or not.
 * The file is 0600 without any of these. A group alone opens it to that group (0660). A named user
 * is in general not in the file's group, so with a name in a list anybody may connect (0666), and
 * strangers are told 403 and why. */
#include <config.h>

#include "supervisor/control_access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "supervisor/configuration.h"

static int read_groups(struct peer *peer, int fd)
{
	socklen_t size = 0;

	/* Too small on purpose: the kernel says how much it has. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0)
		return 0;
	if (errno != ERANGE)
		return -errno;
	peer->groups = malloc(size);
	if (!peer->groups)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &size) < 0)
		return -errno;
	peer->group_count = size / sizeof *peer->groups;
	return 0;
}

int peer_of(struct peer *out, int fd)
{
	struct peer peer = { 0 };
	struct ucred credentials;
	socklen_t size = sizeof credentials;
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return -errno;
	peer.uid = credentials.uid;
	peer.gid = credentials.gid;
	r = read_groups(&peer, fd);
	if (r < 0) {
		peer_deinit(&peer);
		return r;
	}
	*out = peer;
	return 0;
}

void peer_deinit(struct peer *peer)
{
	free(peer->groups);
	peer->groups = NULL;
	peer->group_count = 0;
}

static bool in_group(const struct peer *peer, gid_t gid)
{
	if (peer->gid == gid)
		return true;
	for (size_t i = 0; i < peer->group_count; i++)
		if (peer->groups[i] == gid)
			return true;
	return false;
}

static bool is_everybody(const struct principal *principal)
{
	return principal->anyone;
}

bool peer_is_named(const struct peer *peer, const struct principal *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_everybody(&list[i]) ||
		    (list[i].is_group ? in_group(peer, list[i].id) : peer->uid == list[i].id))
			return true;
	return false;
}

bool control_may(const struct config *config, const struct peer *peer, uid_t own,
		 enum control_right right)
{
	if (peer->uid == 0 || peer->uid == own ||
	    peer_is_named(peer, config->control.act, config->control.act_count))
		return true;
	return right == MAY_READ &&
	       (peer_is_named(peer, config->control.read, config->control.read_count) ||
		(config->control.gid != (gid_t)-1 && in_group(peer, config->control.gid)));
}

static void put_list(FILE *stream, const struct principal *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fprintf(stream, ", %s", is_everybody(&list[i]) ? "everybody" : list[i].text);
}

char *control_who(const struct config *config, uid_t own, enum control_right right)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	fputs("root", stream);
	if (own != 0)
		fprintf(stream, ", uid %u (epochd's own)", (unsigned)own);
	put_list(stream, config->control.act, config->control.act_count);
	if (right == MAY_READ) {
		put_list(stream, config->control.read, config->control.read_count);
		if (config->control.group)
			fprintf(stream, ", group %s", config->control.group);
	}
	if (fclose(stream) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

mode_t control_mode(const struct config *config)
{
	if (config->control.read_count || config->control.act_count)
		return 0666;
	return config->control.gid != (gid_t)-1 ? 0660 : 0600;
}
