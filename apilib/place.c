#include <config.h>

#include "apilib/place.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "apilib/epochd.h"
#include "apilib/fd.h"
#include "apilib/now.h"

enum { RETRY_FIRST = 1000000, RETRY_MOST = 100000000 };   /* ns */

static int PRINTF_LIKE(4, 5) fail(int r, char *why, size_t size, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	vsnprintf(why, size, format, values);
	va_end(values);
	return r;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The one folder with an api.sock in it; how many there are. */
static unsigned only_one(const char *base, char *name, size_t size)
{
	DIR *directory = opendir(base);
	struct dirent *entry;
	unsigned count = 0;

	if (!directory)
		return 0;
	while ((entry = readdir(directory))) {   /* NOLINT(concurrency-mt-unsafe) */
		char path[300];
		struct stat st;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/api.sock", entry->d_name);
		if (fstatat(dirfd(directory), path, &st, 0) < 0 || !S_ISSOCK(st.st_mode))
			continue;
		count++;
		snprintf(name, size, "%s", entry->d_name);
	}
	closedir(directory);
	return count;
}

static bool is_instance(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/') && strlen(name) < 64;
}

/* 1: found. */
static int try_base(char *out, size_t size, const char *base, const char *instance)
{
	char only[256];

	if (instance || only_one(base, only, sizeof only) != 1)
		snprintf(only, sizeof only, "%s", instance ? instance : "default");
	if ((size_t)snprintf(out, size, "%s/%s", base, only) >= size)
		return -ENAMETOOLONG;
	return is_folder(out);
}

static const char *from_environment(const char *name)
{
	const char *value = secure_getenv(name);   /* NOLINT(concurrency-mt-unsafe) */

	return value && *value ? value : NULL;
}

int ep_place_find(char *out, size_t size, const struct epochd_options *options, char *why, size_t why_size)
{
	const char *runtime = options->runtime_dir, *instance = options->instance;
	const char *socket = from_environment("EPOCHD_SOCKET"), *user = from_environment("XDG_RUNTIME_DIR");
	char base[512];
	int r;

	/* What a supervisor told this process, unless the caller knows better. */
	if (!runtime && !instance && socket && strlen(socket) > sizeof "/api.sock" &&
	    strlen(socket) - sizeof "/api.sock" + 2 <= size) {
		snprintf(out, strlen(socket) - sizeof "/api.sock" + 2, "%s", socket);
		if (is_folder(out))
			return 0;
	}
	instance = instance ? instance : from_environment("EPOCHD_INSTANCE");
	if (instance && !is_instance(instance))
		return fail(-EINVAL, why, why_size, "%s is no name of an instance", instance);
	runtime = runtime ? runtime : from_environment("EPOCHD_RUNTIME_DIR");
	if (runtime) {
		r = try_base(out, size, runtime, instance);
	} else {
		r = try_base(out, size, "/run/epochd", instance);
		if (r == 0 && user && (size_t)snprintf(base, sizeof base, "%s/epochd", user) < sizeof base)
			r = try_base(out, size, base, instance);
	}
	if (r < 0)
		return fail(r, why, why_size, "the path of the runtime directory is too long");
	if (r == 0)
		return fail(-ENOENT, why, why_size, "no epochd runs%s%s%s%s: start one, or name its --runtime-dir "
			    "in EPOCHD_RUNTIME_DIR", instance ? " as instance " : "", instance ? instance : "",
			    runtime ? " in " : "", runtime ? runtime : "");
	return 0;
}

static int make_address(struct sockaddr_un *out, const char *folder)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return (size_t)snprintf(out->sun_path, sizeof out->sun_path, "%s/api.sock", folder) < sizeof out->sun_path ?
		       0 : -ENAMETOOLONG;
}

/* Without waiting: the queue of the one who listens may be full. */
static int try_connect(const struct sockaddr_un *address)
{
	CLEANUP(ep_close_fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0)
		return -errno;
	return ep_steal_fd(&fd);
}

int ep_place_try(const char *folder)
{
	struct sockaddr_un address;
	int r = make_address(&address, folder);

	return r < 0 ? r : try_connect(&address);
}

static bool may_come(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -EAGAIN || r == -EINTR;
}

int ep_place_connect(const char *folder, int64_t deadline, char *why, size_t why_size)
{
	struct sockaddr_un address;
	int64_t pause = RETRY_FIRST;
	int r = make_address(&address, folder);

	if (r < 0)
		return fail(r, why, why_size, "the path of %s/api.sock is too long", folder);
	for (;;) {
		r = try_connect(&address);
		if (r >= 0)
			return r;
		if (!may_come(r) || ep_now() >= deadline)
			break;
		struct timespec rest, at_most = { .tv_nsec = pause };
		const struct timespec *until = ep_until(deadline, &rest);

		/* Nothing tells when a socket is bound; where inotify is, its watches are the host's to spend. */
		ppoll(NULL, 0, until && (until->tv_sec == 0 && until->tv_nsec < pause) ? until : &at_most, NULL);
		pause = pause * 2 < RETRY_MOST ? pause * 2 : RETRY_MOST;
	}
	if (may_come(r))
		return fail(-ETIMEDOUT, why, why_size, "no epochd answers at %s", address.sun_path);
	return fail(r, why, why_size, "%s: %s", address.sun_path, strerrordesc_np(-r));
}
