#include <config.h>

#include "supervisor/spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ev.h>

#include "supervisor/configuration.h"
#include "supervisor/spawn_child.h"

/* One mapping for each spawn under way, a room: a guard page, the child's stack, then struct spawn
 * and copies of all that the child reads. It is given back only when the pipe says that the child is
 * out of our memory (exec, or its end), however long that takes. */
enum {
	GUARD_SIZE = 4096,
	STACK_SIZE = 32 << 10,
	ROOM_SIZE = 128 << 10,   /* enough for most; larger ones are made for the one time */
	POOL_MOST = 64,
	POOL_AT_REST = 4,        /* kept when nothing is under way: each holds a few pages */
	SLOTS = 32,              /* children that may share our table at once */
	LOW_MOST = 255,          /* a descriptor above is too far up for a small table */
	FEW = 128,               /* descriptors: a table of so many is copied sooner than it is left */
};

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct spawner {
	struct ev_loop *loop;
	int null;                  /* /dev/null */
	uint64_t ignored;          /* signals that we ignore, bit 0 is 1 */
	void *pool[POOL_MOST];     /* rooms at rest, their pages already there */
	unsigned pooled;
	struct spawn *under_way;   /* list */
	ev_prepare before_sleep;
	/* Low descriptors, taken at the start so that they are low, each of /dev/null while at rest: the
	 * pipe's end of a child that shares our table stands there until it has left it. */
	int slot[SLOTS];
	struct spawn *slot_user[SLOTS];
	unsigned slots_used;
};

struct spawn {
	ev_io outcome;             /* the pipe's end */
	struct spawner *spawner;
	struct spawn *next, **link;
	spawn_done_fn *done;       /* NULL: told already, or forgotten */
	void *user;
	void *room;
	size_t room_size;
	int slot;                  /* index; -1: none */
	pid_t pid;
	struct child_plan plan;
};

static const char *const step_names[STEPS] = {
	[STEP_CLAIM] = "claim",
	[STEP_SESSION] = "session",
	[STEP_CGROUP] = "cgroup",
	[STEP_FDS] = "descriptors",
	[STEP_LIMITS] = "limits",
	[STEP_GROUPS] = "groups",
	[STEP_USER] = "user",
	[STEP_PRIVILEGES] = "no-new-privileges",
	[STEP_DIRECTORY] = "chdir",
	[STEP_EXEC] = "exec",
};

/* ---- rooms ---- */

static void *room_take(struct spawner *spawner, size_t size)
{
	char *room;

	if (size == ROOM_SIZE && spawner->pooled > 0)
		return spawner->pool[--spawner->pooled];
	room = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	if (room == MAP_FAILED)
		return NULL;
	if (mprotect(room, GUARD_SIZE, PROT_NONE) < 0) {
		munmap(room, size);
		return NULL;
	}
	return room;
}

static void room_give_back(struct spawner *spawner, void *room, size_t size)
{
	if (size == ROOM_SIZE && spawner->pooled < POOL_MOST)
		spawner->pool[spawner->pooled++] = room;
	else
		munmap(room, size);
}

/* ---- copies ---- */

static size_t aligned(size_t size)
{
	return (size + 15) & ~(size_t)15;
}

static size_t list_length(char *const *list)
{
	size_t n = 0;

	while (list[n])
		n++;
	return n;
}

static size_t list_size(char *const *list)
{
	size_t size = sizeof *list;

	for (; *list; list++)
		size += sizeof *list + aligned(strlen(*list) + 1);
	return aligned(size);
}

static const char *search_path(const struct spawn_options *options)
{
	return options->path ? options->path : DEFAULT_PATH;
}

static size_t elements(const char *path)
{
	size_t n = 1;

	for (; *path; path++)
		n += *path == ':';
	return n;
}

/* An upper bound of what copy_all() takes. */
static size_t copies_size(const struct spawn_options *options)
{
	size_t name = strlen(options->argv[0]) + 1, path = strlen(search_path(options));
	size_t files = elements(search_path(options));

	return list_size(options->argv) + list_size(options->envp) +
	       aligned((files + 1) * sizeof(char *)) + path + files * aligned(name + 2 + 16) +
	       (options->directory ? aligned(strlen(options->directory) + 1) : 0) +
	       aligned(options->group_count * sizeof(gid_t)) +
	       aligned(options->limit_count * sizeof(struct child_limit));
}

static void *take(char **at, size_t size)
{
	void *taken = *at;

	*at += aligned(size);
	return taken;
}

static char *copy_text(char **at, const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(take(at, size), text, size);
}

static char *const *copy_list(char **at, char *const *list)
{
	size_t i, n = list_length(list);
	char **copy = take(at, (n + 1) * sizeof *copy);

	for (i = 0; i < n; i++)
		copy[i] = copy_text(at, list[i]);
	copy[n] = NULL;
	return copy;
}

/* The files that the child tries. An empty element is the directory that it is in by then. */
static char *const *copy_files(char **at, const char *name, const char *path)
{
	size_t n = 0, length, name_size = strlen(name) + 1;
	char **files = take(at, (elements(path) + 1) * sizeof *files);

	if (strchr(name, '/')) {
		files[n++] = copy_text(at, name);
	} else if (name_size > 1) {
		for (;; path++) {
			char *file;

			length = strcspn(path, ":");
			file = take(at, length + 1 + name_size);
			memcpy(file, path, length);
			if (length)
				file[length++] = '/';
			memcpy(file + length, name, name_size);
			files[n++] = file;
			path += strcspn(path, ":");
			if (!*path)
				break;
		}
	}
	files[n] = NULL;
	return files;
}

static const struct child_limit *copy_limits(char **at, const struct spawn_options *options)
{
	struct child_limit *limits = take(at, options->limit_count * sizeof *limits);
	size_t i;

	for (i = 0; i < options->limit_count; i++) {
		limits[i].resource = options->limits[i].resource;
		limits[i].value.soft = options->limits[i].value.rlim_cur;
		limits[i].value.hard = options->limits[i].value.rlim_max;
	}
	return limits;
}

static void copy_all(struct spawn *spawn, const struct spawn_options *options, char *at, char *end)
{
	struct child_plan *plan = &spawn->plan;
	size_t groups_size = options->group_count * sizeof(gid_t);
	gid_t *groups;

	plan->argv = copy_list(&at, options->argv);
	plan->envp = copy_list(&at, options->envp);
	plan->files = copy_files(&at, options->argv[0], search_path(options));
	plan->directory = options->directory ? copy_text(&at, options->directory) : NULL;
	plan->limits = copy_limits(&at, options);
	plan->limit_count = options->limit_count;
	groups = take(&at, groups_size);
	if (groups_size)
		memcpy(groups, options->groups, groups_size);
	plan->groups = groups;
	plan->group_count = options->group_count;
	assert(at <= end);
}

static struct spawn *make_room(struct spawner *spawner, const struct spawn_options *options)
{
	size_t fixed = GUARD_SIZE + STACK_SIZE + aligned(sizeof(struct spawn));
	size_t size = fixed + copies_size(options);
	struct spawn *spawn;
	char *room;

	size = size <= ROOM_SIZE ? (size_t)ROOM_SIZE : (size + 4095) & ~(size_t)4095;
	room = room_take(spawner, size);
	if (!room)
		return NULL;
	spawn = (struct spawn *)(void *)(room + GUARD_SIZE + STACK_SIZE);
	*spawn = (struct spawn){ .spawner = spawner, .room = room, .room_size = size, .slot = -1 };
	copy_all(spawn, options, room + fixed, room + size);
	return spawn;
}

/* ---- slots ---- */

static void slot_free(struct spawn *spawn)
{
	struct spawner *spawner = spawn->spawner;

	if (spawn->slot < 0)
		return;
	/* The pipe's end of ours is closed by this. It cannot fail: both are open. */
	dup3(spawner->null, spawner->slot[spawn->slot], O_CLOEXEC);
	spawner->slot_user[spawn->slot] = NULL;
	spawner->slots_used--;
	spawn->slot = -1;
}

static bool slot_is_ours(struct spawn *spawn)
{
	/* Acquire, with the exchange in leave_table(): the child does not use our table any more. */
	return atomic_load_explicit(&spawn->plan.table, memory_order_acquire) == TABLE_OWN;
}

/* Nobody waits for a forgotten one; if it was killed before it left our table, nothing tells. */
static bool is_forgotten_and_dead(const struct spawn *spawn)
{
	return !spawn->done && kill(spawn->pid, 0) < 0 && errno == ESRCH;
}

static int slot_take(struct spawner *spawner, struct spawn *spawn)
{
	for (int i = 0; i < SLOTS; i++) {
		struct spawn *user = spawner->slot_user[i];

		if (user && slot_is_ours(user))
			slot_free(user);
		if (!spawner->slot_user[i]) {
			spawner->slot_user[i] = spawn;
			spawner->slots_used++;
			return i;
		}
	}
	return -1;
}

/* Children that have not left our table yet are to say so: we may sleep for long. */
static void on_before_sleep(EV_P_ ev_prepare *w, int revents)
{
	struct spawner *spawner = container_of(w, struct spawner, before_sleep);

	(void)revents;
	(void)loop;
	while (!spawner->under_way && spawner->pooled > POOL_AT_REST)
		munmap(spawner->pool[--spawner->pooled], ROOM_SIZE);
	for (int i = 0; spawner->slots_used > 0 && i < SLOTS; i++) {
		struct spawn *user = spawner->slot_user[i];
		uint32_t shared = TABLE_SHARED;

		if (!user)
			continue;
		/* Acquire and release, with the exchange in leave_table(): one of us sees the other. */
		atomic_compare_exchange_strong_explicit(&user->plan.table, &shared, TABLE_AWAITED,
							memory_order_acq_rel, memory_order_acquire);
		/* The end of one that was forgotten is seen here: SIGCHLD has woken us. */
		if (shared == TABLE_OWN || is_forgotten_and_dead(user))
			slot_free(user);
	}
}

void spawn_ended(struct spawn *spawn)
{
	slot_free(spawn);
}

/* The pipe's end moves to a slot, if there is one and all that the child needs is low enough. A small table
 * is not shared: that we are to hear when it is left costs more than its copy. The number of the pipe's end,
 * the lowest that was free, tells about how many we have. */
static void share_table(struct spawn *spawn, int *report)
{
	struct child_plan *plan = &spawn->plan;
	struct spawner *spawner = spawn->spawner;
	int highest = 2;

	for (int i = 0; i < 3; i++)
		if (plan->fds[i] > highest)
			highest = plan->fds[i];
	spawn->slot = *report >= FEW && highest <= LOW_MOST ? slot_take(spawner, spawn) : -1;
	if (spawn->slot < 0)
		return;
	dup3(*report, spawner->slot[spawn->slot], O_CLOEXEC);
	close(*report);
	*report = plan->report = spawner->slot[spawn->slot];
	plan->highest = plan->report > highest ? plan->report : highest;
	/* Relaxed: the child is not there yet. */
	atomic_store_explicit(&plan->table, TABLE_SHARED, memory_order_relaxed);
}

/* ---- the outcome ---- */

static void unlink_spawn(struct spawn *spawn)
{
	*spawn->link = spawn->next;
	if (spawn->next)
		spawn->next->link = spawn->link;
}

static void on_outcome(EV_P_ ev_io *w, int revents)
{
	struct spawn *spawn = container_of(w, struct spawn, outcome);
	spawn_done_fn *done = spawn->done;
	void *user = spawn->user;
	char told[1 + sizeof(struct child_report)];
	struct child_report report = { .step = STEPS };
	ssize_t n = read(w->fd, told, sizeof told);

	(void)revents;
	if (n < 0)
		return;   /* EAGAIN, EINTR: woken for nothing */
	slot_free(spawn);   /* the end of its pipe tells that all is over: not while we hold one */
	if (n == 1)
		return;   /* it has left our table */
	if (n > 0)        /* that byte may come first */
		memcpy(&report, told + (n - (ssize_t)sizeof report), sizeof report);
	spawn->done = NULL;
	if (n == 0) {   /* the child is out of our memory */
		ev_io_stop(EV_A_ w);
		close(w->fd);
		unlink_spawn(spawn);
		room_give_back(spawn->spawner, spawn->room, spawn->room_size);
	}
	if (done && n == 0)
		done(0, NULL, user);
	else if (done)   /* a write this small is never cut in two */
		done(-report.error, report.step < STEPS ? step_names[report.step] : "?", user);
}

/* ---- start ---- */

static void fill_plan(struct spawn *spawn, const struct spawn_options *options, int report)
{
	struct child_plan *plan = &spawn->plan;

	plan->word = options->word;
	plan->open = options->open;
	plan->claimed = options->claimed;
	memcpy(plan->close_first, options->close_first, sizeof plan->close_first);
	plan->terminal = options->terminal;
	plan->foreground = options->foreground;
	plan->set_groups = options->set_groups;
	plan->no_new_privileges = options->no_new_privileges;
	plan->not_default = spawn->spawner->ignored;   /* clone3 clears the handlers */
	plan->cgroup = -1;
	plan->fds[0] = options->input >= 0 ? options->input : spawn->spawner->null;
	plan->fds[1] = options->output >= 0 ? options->output : STDOUT_FILENO;
	plan->fds[2] = options->error >= 0 ? options->error : STDERR_FILENO;
	plan->umask = options->umask;
	plan->uid = options->uid;
	plan->gid = options->gid;
	plan->report = report;
}

/* No clone3: an old container's seccomp, valgrind, a processor we have no code for. Slower the more
 * memory we have, otherwise the same. */
static int start_by_fork(struct child_plan *plan, int cgroup, int *pidfd)
{
	pid_t pid;
	int r;

	plan->cgroup = cgroup;
	plan->not_default = UINT64_MAX;
	pid = fork();
	if (pid == 0)
		child_main(plan);
	if (pid < 0)
		return -errno;
	/* It is ours and nobody reaped it, so the pid is still its own. */
	*pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (*pidfd >= 0)
		return pid;
	r = -errno;
	kill(pid, SIGKILL);   /* whatever it came to: nobody would see its end */
	return r;
}

/* The child needs what is not low after all. */
static void unshare_table(struct spawn *spawn, struct clone_args *args)
{
	args->flags &= ~(uint64_t)CLONE_FILES;
	/* Relaxed: no child is there. */
	atomic_store_explicit(&spawn->plan.table, TABLE_COPIED, memory_order_relaxed);
}

static int start(struct spawn *spawn, int cgroup, int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)spawn->room + GUARD_SIZE,
		.stack_size = STACK_SIZE,
	};
	long r;

	if (spawn->slot >= 0)
		args.flags |= CLONE_FILES;
	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup;
	}
	r = child_clone(&args, sizeof args, &spawn->plan);
	if (cgroup >= 0 && (r == -EOPNOTSUPP || r == -EINVAL || r == -EBUSY)) {
		args.flags &= ~(uint64_t)CLONE_INTO_CGROUP;
		args.cgroup = 0;
		unshare_table(spawn, &args);
		spawn->plan.cgroup = cgroup;
		r = child_clone(&args, sizeof args, &spawn->plan);
	}
	if (r != -ENOSYS)
		return (int)r;
	unshare_table(spawn, &args);
	return start_by_fork(&spawn->plan, cgroup, pidfd);
}

/* No handler of ours may run in the child, whose memory is ours: all are blocked when it begins. */
static int start_blocked(struct spawn *spawn, int cgroup, int *pidfd)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = start(spawn, cgroup, pidfd);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

int spawn_start(struct spawn **out, struct spawner *spawner, const struct spawn_options *options,
		spawn_done_fn *done, void *user, pid_t *pid, int *pidfd)
{
	struct spawn *spawn = make_room(spawner, options);
	int report[2], fd = -1, r;

	if (!spawn)
		return -ENOMEM;
	if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0) {
		r = -errno;
		room_give_back(spawner, spawn->room, spawn->room_size);
		return r;
	}
	fill_plan(spawn, options, report[1]);
	share_table(spawn, &report[1]);
	r = start_blocked(spawn, options->cgroup, &fd);
	if (spawn->slot < 0)
		close(report[1]);
	/* Relaxed: this thread alone makes it so. */
	else if (r < 0 || atomic_load_explicit(&spawn->plan.table, memory_order_relaxed) == TABLE_COPIED)
		slot_free(spawn);
	if (r < 0) {
		close(report[0]);
		room_give_back(spawner, spawn->room, spawn->room_size);
		return r;
	}
	spawn->done = done;
	spawn->user = user;
	spawn->pid = r;
	spawn->next = spawner->under_way;
	spawn->link = &spawner->under_way;
	if (spawn->next)
		spawn->next->link = &spawn->next;
	spawner->under_way = spawn;
	ev_io_init(&spawn->outcome, on_outcome, report[0], EV_READ);
	ev_io_start(spawner->loop, &spawn->outcome);
	*out = spawn;
	*pid = r;
	*pidfd = fd;
	return 0;
}

void spawn_forget(struct spawn *spawn)
{
	spawn->done = NULL;   /* the room is the child's until it is out */
}

/* ---- the spawner ---- */

/* 64 questions, so they are not asked at every start. The kernel is asked, since libc does not tell of its
 * own two: who was started by posix_spawn(), as make does it, has them ignored. */
bool spawner_is_busy(const struct spawner *spawner)
{
	return spawner->under_way;
}

static uint64_t ignored_signals(void)
{
	uint64_t action[4], ignored = 0;   /* the kernel's own struct sigaction: first the handler */
	int signal;

	for (signal = 1; signal <= 64; signal++)
		if (syscall(SYS_rt_sigaction, signal, NULL, action, sizeof(uint64_t)) == 0 &&
		    action[0] == (uintptr_t)SIG_IGN)
			ignored |= 1ull << (signal - 1);
	return ignored;
}

int spawner_new(struct spawner **out, struct ev_loop *loop)
{
	struct spawner *spawner = calloc(1, sizeof *spawner);
	int r = 0;

	if (!spawner)
		return -ENOMEM;
	spawner->loop = loop;
	spawner->ignored = ignored_signals();
	spawner->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (spawner->null < 0) {
		r = -errno;
		free(spawner);
		return r;
	}
	for (int i = 0; i < SLOTS && r == 0; i++) {
		spawner->slot[i] = fcntl(spawner->null, F_DUPFD_CLOEXEC, 3);
		r = spawner->slot[i] < 0 ? -errno : 0;
	}
	ev_prepare_init(&spawner->before_sleep, on_before_sleep);
	ev_prepare_start(loop, &spawner->before_sleep);
	if (r < 0) {
		spawner_free(spawner);
		return r;
	}
	*out = spawner;
	return 0;
}

void spawner_free(struct spawner *spawner)
{
	struct spawn *spawn;

	if (!spawner)
		return;
	/* Their rooms stay: the children run in them. */
	for (spawn = spawner->under_way; spawn; spawn = spawn->next) {
		ev_io_stop(spawner->loop, &spawn->outcome);
		close(spawn->outcome.fd);
	}
	while (spawner->pooled > 0)
		munmap(spawner->pool[--spawner->pooled], ROOM_SIZE);
	ev_prepare_stop(spawner->loop, &spawner->before_sleep);
	for (int i = 0; i < SLOTS; i++)
		if (spawner->slot[i] > 2)
			close(spawner->slot[i]);
	close(spawner->null);
	free(spawner);
}
