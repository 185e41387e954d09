#include <config.h>

#include "supervisor/control_request.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/log.h"

enum { BACKLOG = 128 };

static void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

int listen_permit(const char *path, const struct epochd *epochd)
{
	const struct config *config = epochd->config;

	if (config->control.gid != (gid_t)-1 && chown(path, (uid_t)-1, config->control.gid) < 0)
		return log_error(-errno, "control %s: cannot give it to group %s", path,
				 config->control.group ? config->control.group : "?");
	if (chmod(path, control_mode(config)) < 0)
		return log_error(-errno, "control %s: cannot set its mode", path);
	return 0;
}

/* Bound beside the path and renamed over it when it answers, so that no client ever finds nothing
 * there, and none gets in before the mode is right: before listen() a connect is refused. */
int listen_local(const char *path, const struct epochd *epochd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	CLEANUP(closep) int fd = -1;
	int r;

	if (strlen(path) + 1 >= sizeof address.sun_path)
		return log_error(-ENAMETOOLONG, "control %s: a socket's path has at most %zu bytes; "
				 "choose a shorter runtime directory", path,
				 sizeof address.sun_path - 2);
	snprintf(address.sun_path, sizeof address.sun_path, "%s~", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return log_error(-errno, "control %s: cannot make a socket", path);
	(void)unlink(address.sun_path);   /* of one who died right here */
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return log_error(-errno, "control %s: cannot bind", path);
	r = listen_permit(address.sun_path, epochd);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = log_error(-errno, "control %s: cannot listen", path);
	if (r == 0 && rename(address.sun_path, path) < 0)
		r = log_error(-errno, "control %s: cannot put the socket there", path);
	if (r < 0) {
		(void)unlink(address.sun_path);
		return r;
	}
	r = fd;
	fd = -1;
	return r;
}

static bool is_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr)
			       >> 24 == 127;
	return address->sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static void freeaddrinfop(struct addrinfo **list)
{
	if (*list)
		freeaddrinfo(*list);
}

/* "127.0.0.1:9190", "[::1]:9190": numeric, so nothing here asks a name server. */
static int parse_address(struct addrinfo **out, const char *text)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
				  .ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(text, ':');
	char host[80];
	size_t length;

	if (!colon || (size_t)(colon - text) >= sizeof host)
		return -EINVAL;
	if (text[0] == '[' && colon > text + 1 && colon[-1] == ']')
		length = (size_t)(colon - ++text - 1);
	else
		length = (size_t)(colon - text);
	memcpy(host, text, length);
	host[length] = '\0';
	return getaddrinfo(length ? host : NULL, colon + 1, &hints, out) == 0 ? 0 : -EINVAL;
}

int listen_http(const char *text)
{
	CLEANUP(freeaddrinfop) struct addrinfo *address = NULL;
	CLEANUP(closep) int fd = -1;
	int on = 1, r;

	r = parse_address(&address, text);
	if (r < 0)
		return log_error(r, "http %s: not an address", text);
	fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return log_error(-errno, "http %s: cannot make a socket", text);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, address->ai_addr, address->ai_addrlen) < 0)
		return log_error(-errno, "http %s: cannot bind", text);
	if (listen(fd, BACKLOG) < 0)
		return log_error(-errno, "http %s: cannot listen", text);
	if (!is_loopback(address->ai_addr))
		log_notice(0, "http %s: beyond loopback, so whoever reaches it reads metrics, health "
			   "and stats", text);
	r = fd;
	fd = -1;
	return r;
}
