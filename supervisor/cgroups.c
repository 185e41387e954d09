#include <config.h>

#include "supervisor/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "apilib/fd.h"
#include "supervisor/freep.h"
#include "supervisor/kernel.h"

#define CGROUP2_MAGIC 0x63677270
enum { DEPTH_MOST = 16 };   /* of cgroups that a program made below its own */

struct cgroups {
	char *path;   /* of the instance's directory; NULL: there are none */
	char *name;   /* the same as /proc/PID/cgroup has it; NULL: cannot be told */
	int fd;
};

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}
/* ---- where ---- */

/* The mount point of the first cgroup2 tree, malloc'ed, and in *root the cgroup that is mounted there
 * ("/" but in a container that sees a part). NULL: none. */
static char *find_mount(char **root)
{
	CLEANUP(close_file) FILE *file = fopen("/proc/self/mountinfo", "re");
	CLEANUP(freep) char *line = NULL;
	char *mounted = NULL, *point = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0) {
		if (!strstr(line, " - cgroup2 "))
			continue;
		if (sscanf(line, "%*s %*s %*s %ms %ms", &mounted, &point) == 2) {
			*root = mounted;
			return point;
		}
		free(mounted);
		mounted = NULL;
	}
	return NULL;
}

/* Our own cgroup, malloc'ed, from the line "0::/path". */
static char *find_own(void)
{
	CLEANUP(close_file) FILE *file = fopen("/proc/self/cgroup", "re");
	CLEANUP(freep) char *line = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::/", 4) == 0)
			return strdup(line + 3);
	}
	return NULL;
}

/* Directory of our own cgroup, malloc'ed; NULL: not to be seen. */
static char *own_directory(void)
{
	CLEANUP(freep) char *root = NULL;
	CLEANUP(freep) char *point = find_mount(&root);
	CLEANUP(freep) char *own = point ? find_own() : NULL;
	const char *below = own;
	char *path;

	if (!own)
		return NULL;
	if (strcmp(root, "/") != 0) {
		size_t length = strlen(root);

		if (strncmp(own, root, length) != 0 || (own[length] && own[length] != '/'))
			return NULL;
		below = own + length;
	}
	if (strcmp(below, "/") == 0)
		below = "";
	return asprintf(&path, "%s%s", point, below) < 0 ? NULL : path;
}

/* How /proc/PID/cgroup names the directory of this fd, malloc'ed; NULL: it is on another mount. */
static char *name_in_tree(int fd)
{
	CLEANUP(freep) char *root = NULL;
	CLEANUP(freep) char *point = find_mount(&root);
	char link[40], path[4096], *name;
	size_t length = point ? strlen(point) : 0;
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	if (!point || n < 0)
		return NULL;
	path[n] = '\0';
	if (strncmp(path, point, length) != 0 || path[length] != '/')
		return NULL;
	return asprintf(&name, "%s%s", strcmp(root, "/") == 0 ? "" : root, path + length) < 0
	       ? NULL : name;
}

static int open_directory(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

/* Makes it if need be, and proves that we may make cgroups in it. The directory's fd. */
static int use(const char *path)
{
	CLEANUP(ep_close_fd) int fd = -1;
	struct statfs st;
	int kept;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open_directory(AT_FDCWD, path);
	if (fd < 0)
		return fd;
	if (fstatfs(fd, &st) < 0)
		return -errno;
	if (st.f_type != CGROUP2_MAGIC) {
		rmdir(path);   /* ours, if it is empty: a wrong setting leaves nothing behind */
		return -ENOTSUP;
	}
	if (mkdirat(fd, ".probe", 0755) < 0 && errno != EEXIST)
		return -errno;
	unlinkat(fd, ".probe", AT_REMOVEDIR);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	kept = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return kept < 0 ? -errno : kept;
}

/* The last part of a path is this instance's: what another one recorded is not ours to use. */
static bool is_instances(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');

	return path[0] == '/' && slash && strcmp(slash + 1, name) == 0;
}

static int use_setting(struct cgroups *cgroups, const char *setting, const char *recorded,
		       const char *name)
{
	CLEANUP(freep) char *own = NULL;
	bool automatic = strcmp(setting, "auto") == 0;

	if (automatic && recorded && is_instances(recorded, name)) {
		cgroups->fd = use(recorded);
		if (cgroups->fd >= 0) {
			cgroups->path = strdup(recorded);
			return cgroups->path ? 0 : -ENOMEM;
		}
		if (cgroups->fd == -EBUSY)
			return -EBUSY;
	}
	if (automatic) {
		own = own_directory();
		if (!own)
			return -ENOTSUP;
	}
	if (asprintf(&cgroups->path, "%s/%s", own ? own : setting, name) < 0) {
		cgroups->path = NULL;
		return -ENOMEM;
	}
	cgroups->fd = use(cgroups->path);
	return cgroups->fd < 0 ? cgroups->fd : 0;
}

int cgroups_open(struct cgroups **out, const char *setting, const char *recorded,
		 const char *instance)
{
	struct cgroups *cgroups = calloc(1, sizeof *cgroups);
	char name[128];
	int r = 0;

	if (!cgroups)
		return -ENOMEM;
	cgroups->fd = -1;
	snprintf(name, sizeof name, "epochd-%u-%s", (unsigned)geteuid(), instance);
	if (strcmp(setting, "off") != 0)
		r = use_setting(cgroups, setting, recorded, name);
	if (r < 0) {
		free(cgroups->path);
		cgroups->path = NULL;
		if (r == -ENOMEM || r == -EBUSY || strcmp(setting, "auto") != 0) {
			free(cgroups);
			return r;
		}
	}
	if (cgroups->path)
		cgroups->name = name_in_tree(cgroups->fd);
	*out = cgroups;
	return 0;
}

/* ---- below ---- */

/* Each directory in the cgroup, with an fd of its own that is closed afterwards. */
typedef int below_fn(int parent, const char *name, int fd, void *user);

static int each_below(int cgroup, below_fn *fn, void *user)
{
	int fd = open_directory(cgroup, "."), r = 0;
	struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r >= 0 && (entry = readdir(dir))) {   /* NOLINT(concurrency-mt-unsafe) */
		CLEANUP(ep_close_fd) int child = -1;

		if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		child = open_directory(cgroup, entry->d_name);
		if (child >= 0)   /* it may just have gone */
			r = fn(cgroup, entry->d_name, child, user);
	}
	closedir(dir);
	return r;
}

/* What has no directory below has a link count of 2: most cgroups, so they are never listed. */
static bool has_below(int cgroup)
{
	struct stat st;

	return fstat(cgroup, &st) < 0 || st.st_nlink > 2;
}

static int remove_below(int parent, const char *name, int fd, void *depth)
{
	int left = *(int *)depth - 1;

	if (left > 0 && has_below(fd))
		each_below(fd, remove_below, &left);
	unlinkat(parent, name, AT_REMOVEDIR);
	return 0;
}

void cgroups_close(struct cgroups *cgroups, bool remove_empty)
{
	int depth = DEPTH_MOST;

	if (!cgroups)
		return;
	if (remove_empty && cgroups->path) {
		each_below(cgroups->fd, remove_below, &depth);
		rmdir(cgroups->path);
	}
	ep_close_fd(&cgroups->fd);
	free(cgroups->path);
	free(cgroups->name);
	free(cgroups);
}

int cgroups_fd(const struct cgroups *cgroups)
{
	return cgroups->fd;
}

const char *cgroups_path(const struct cgroups *cgroups)
{
	return cgroups->path;
}

int cgroup_find(struct cgroups *cgroups, const char *app)
{
	return cgroups->path ? open_directory(cgroups->fd, app) : -ENOTSUP;
}

int cgroup_open(struct cgroups *cgroups, const char *app)
{
	if (!cgroups->path)
		return -ENOTSUP;
	if (mkdirat(cgroups->fd, app, 0755) < 0 && errno != EEXIST)
		return -errno;
	return open_directory(cgroups->fd, app);
}

void cgroup_remove(struct cgroups *cgroups, const char *app)
{
	int depth = DEPTH_MOST;
	CLEANUP(ep_close_fd) int fd = -1;

	if (!cgroups->path)
		return;
	fd = open_directory(cgroups->fd, app);
	if (fd >= 0)
		remove_below(cgroups->fd, app, fd, &depth);
}

/* ---- who is in it ---- */

struct listing {
	pid_t *pids;
	int most, count, depth;
};

static void list_text(struct listing *listing, const char *text, size_t size, pid_t *partial)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if (text[i] >= '0' && text[i] <= '9') {
			*partial = *partial * 10 + (text[i] - '0');
			continue;
		}
		if (*partial) {   /* 0 is one of a pid namespace that we do not see */
			if (listing->count < listing->most)
				listing->pids[listing->count] = *partial;
			listing->count++;
		}
		*partial = 0;
	}
}

static int list_own(struct listing *listing, int cgroup)
{
	int fd = openat(cgroup, "cgroup.procs", O_RDONLY | O_CLOEXEC), r;
	pid_t partial = 0;
	char text[4096];
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, text, sizeof text)) > 0)
		list_text(listing, text, (size_t)n, &partial);
	r = n < 0 ? -errno : 0;
	close(fd);
	return r == -EOPNOTSUPP ? 0 : r;   /* a threaded one: its root lists the processes */
}

static int list_below(int parent, const char *name, int fd, void *user)
{
	struct listing *listing = user;
	int r = list_own(listing, fd);

	(void)parent;
	(void)name;
	if (r == -ENODEV || r == -ENOENT)   /* removed meanwhile: nobody was in it */
		return 0;
	if (r < 0 || !has_below(fd))
		return r;
	if (listing->depth == 0)
		return -ELOOP;
	listing->depth--;
	r = each_below(fd, list_below, listing);
	listing->depth++;
	return r;
}

int cgroup_pids(int cgroup, pid_t *pids, int most)
{
	struct listing listing = { .pids = pids, .most = most, .depth = DEPTH_MOST };
	int r = list_own(&listing, cgroup);

	if (r == 0 && has_below(cgroup))
		r = each_below(cgroup, list_below, &listing);
	return r < 0 ? r : listing.count;
}

/* One that was removed: nobody was in it. */
static bool is_gone(int error)
{
	return error == ENOENT || error == ENODEV;
}

int cgroup_is_populated(int cgroup)
{
	int fd = openat(cgroup, "cgroup.events", O_RDONLY | O_CLOEXEC);
	char text[256];
	ssize_t n;

	if (fd < 0)
		return is_gone(errno) ? 0 : -errno;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n < 0)
		return is_gone(errno) ? 0 : -errno;
	text[n] = '\0';
	return strstr(text, "populated 1") != NULL;
}

static int kill_each(int cgroup)
{
	pid_t pids[1024];
	int i, n = cgroup_pids(cgroup, pids, ARRAY_SIZE(pids));

	for (i = 0; i < n && i < (int)ARRAY_SIZE(pids); i++)
		if (pids[i] != getpid())
			kill(pids[i], SIGKILL);
	return n < 0 ? n : 0;
}

int cgroup_kill(int cgroup, const struct kernel *kernel)
{
	int fd = -1, r;

	if (kernel->cgroup_kill)
		fd = openat(cgroup, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (fd < 0)   /* the root of a tree has none either */
		return kill_each(cgroup);
	r = write(fd, "1", 1) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/* The whole name is compared, from the tree's root: whoever has a part of the tree delegated to him
 * may make a directory of any name there. */
int cgroup_has(int cgroup, const struct cgroups *cgroups, const char *app, pid_t pid)
{
	CLEANUP(freep) char *line = NULL;
	CLEANUP(close_file) FILE *file = NULL;
	size_t size = 0, name_length, app_length = strlen(app);
	char file_name[40];

	if (cgroup < 0 || !cgroups || !cgroups->name)
		return -ENOTSUP;
	name_length = strlen(cgroups->name);
	snprintf(file_name, sizeof file_name, "/proc/%d/cgroup", (int)pid);
	file = fopen(file_name, "re");
	if (!file)
		return errno == ENOENT ? -ESRCH : -errno;
	while (getline(&line, &size, file) > 0) {
		const char *at = line + 3;

		if (strncmp(line, "0::/", 4) != 0)
			continue;
		if (strncmp(at, cgroups->name, name_length) != 0 || at[name_length] != '/')
			return 0;
		at += name_length + 1;
		return strncmp(at, app, app_length) == 0 &&
		       (at[app_length] == '\n' || at[app_length] == '/');
	}
	return -ESRCH;   /* gone between opening and reading */
}

int64_t cgroup_oom_kills(int cgroup)
{
	int fd = openat(cgroup, "memory.events", O_RDONLY | O_CLOEXEC);
	const char *at;
	char text[512];
	ssize_t n;

	if (fd < 0)
		return -ENOTSUP;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n < 0)
		return -ENOTSUP;
	text[n] = '\0';
	at = strstr(text, "oom_kill ");
	return at ? strtoll(at + 9, NULL, 10) : -ENOTSUP;
}
