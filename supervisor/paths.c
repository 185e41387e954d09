#include <config.h>

#include "supervisor/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/freep.h"

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static const char *absolute_variable(const char *name)
{
	const char *value = variable(name);

	return value && *value == '/' ? value : NULL;
}

static int join(char **out, const char *directory, const char *rest)
{
	char *path;

	if (asprintf(&path, "%s/%s", directory, rest) < 0)
		return -ENOMEM;
	*out = path;
	return 0;
}

/* A relative path would mean something else to an application that has a directory of its own. */
static int absolute(char **out, const char *path)
{
	CLEANUP(freep) char *here = NULL;

	if (*path == '/') {
		*out = strdup(path);
		return *out ? 0 : -ENOMEM;
	}
	here = getcwd(NULL, 0);
	return here ? join(out, here, path) : -errno;
}

/* What was said, in the order of who says it; NULL: nobody said anything. */
static const char *said(const char *option, const char *name, const char *configured)
{
	if (option && *option)
		return option;
	if (variable(name))
		return variable(name);
	return configured && *configured ? configured : NULL;
}

/* $XDG/rest, else $HOME/default/rest. */
static int in_home(char **out, const char *xdg, const char *below_home, const char *rest)
{
	CLEANUP(freep) char *directory = NULL;
	const char *base = absolute_variable(xdg);
	int r;

	if (base)
		return join(out, base, rest);
	base = absolute_variable("HOME");
	if (!base)
		return -ENOENT;
	r = join(&directory, base, below_home);
	return r < 0 ? r : join(out, directory, rest);
}

int paths_runtime_base(char **out, const char *option, const char *configured,
		       const char *segment_directory)
{
	const char *path = said(option, "EPOCHD_RUNTIME_DIR", configured);
	char *private;

	if (path)
		return absolute(out, path);
	if (geteuid() == 0)
		return absolute(out, "/run/epochd");
	if (absolute_variable("XDG_RUNTIME_DIR"))
		return join(out, absolute_variable("XDG_RUNTIME_DIR"), "epochd");
	if (asprintf(&private, "%s/epochd-run-%u",
		     segment_directory ? segment_directory : "/dev/shm", (unsigned)geteuid()) < 0)
		return -ENOMEM;
	*out = private;
	return 1;
}

int paths_state_base(char **out, const char *option, const char *configured)
{
	const char *path = said(option, "EPOCHD_STATE_DIR", configured);

	if (path)
		return absolute(out, path);
	if (geteuid() == 0)
		return absolute(out, "/var/lib/epochd");
	return in_home(out, "XDG_STATE_HOME", ".local/state", "epochd");
}

int paths_default_config(char **out)
{
	if (geteuid() == 0)
		return absolute(out, "/etc/epochd/epochd.conf");
	return in_home(out, "XDG_CONFIG_HOME", ".config", "epochd/epochd.conf");
}

int paths_check_private(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return -ELOOP;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return st.st_uid == geteuid() && !(st.st_mode & 077) ? 0 : -EPERM;
}

char *paths_of_instance(const char *base, const char *instance, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s%s%s", base, instance, name ? "/" : "", name ? name : "") < 0 ?
	       NULL : path;
}
