#include <config.h>

#include "supervisor/ctl/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static int probe_at(int base, const char *name)
{
	CLEANUP(closep) int directory = openat(base, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(closep) int fd = -1;
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (directory < 0)
		return -errno;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/control.sock",
		 directory);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN)
		return 0;   /* EAGAIN: it listens, and many others wait */
	return -errno;
}

int instance_probe(const char *base, const char *name)
{
	CLEANUP(closep) int fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : probe_at(fd, name);
}

static int by_name(const void *a, const void *b)
{
	const struct instance *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int instances_find(struct instances *out, const char *base)
{
	struct dirent *entry;
	DIR *directory = opendir(base);
	int r;

	*out = (struct instances){ 0 };
	if (!directory)
		return -errno;
	while (out->count < INSTANCES_MAX && (entry = readdir(directory))) {
		if (*entry->d_name == '.')
			continue;
		r = probe_at(dirfd(directory), entry->d_name);
		if (r == -ENOENT || r == -ENOTDIR)
			continue;
		out->all[out->count].name = strdup(entry->d_name);
		if (!out->all[out->count].name)
			continue;
		out->all[out->count++].r = r;
		out->running += r == 0;
	}
	closedir(directory);
	qsort(out->all, out->count, sizeof out->all[0], by_name);
	return 0;
}

void instances_clear(struct instances *instances)
{
	size_t i;

	for (i = 0; i < instances->count; i++)
		free(instances->all[i].name);
	*instances = (struct instances){ 0 };
}
