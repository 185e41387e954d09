#include <config.h>

#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, BEACONS_MAX = 4096, STOP_MS = 30000 };

static struct {
	char epochd[PATH_MAX], beacon[PATH_MAX];
	char dir[64], socket[80], log[80], instance[32], segments[128], runtime[80];
	int fd;
	pid_t owner;                  /* not what it forked */
	pid_t supervisor;             /* 0: none runs */
	pid_t helper;                 /* 0: none */
	pid_t beacons[BEACONS_MAX];   /* the last that each index reported; 0: none */
	atomic_int told;              /* the signal that told us to end */
} bench = { .fd = -1 };

extern char **environ;
static const int ends[] = { SIGHUP, SIGINT, SIGTERM };   /* tell us to end */

int64_t bench_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void show_log(void)
{
	char line[1024];
	FILE *log = fopen(bench.log, "re");

	if (!log)
		return;
	while (fgets(line, sizeof line, log))
		fputs(line, stderr);
	fclose(log);
}

void bench_die(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	vfprintf(stderr, format, values);
	va_end(values);
	fputc('\n', stderr);
	show_log();
	exit(EXIT_FAILURE);
}

static void on_told(int signal)
{
	/* Relaxed: looked at by the same thread. */
	atomic_store_explicit(&bench.told, signal, memory_order_relaxed);
}

static void end_if_told(void)
{
	int signal = atomic_load_explicit(&bench.told, memory_order_relaxed);

	if (signal)
		exit(128 + signal);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The pid may be another process's by now. */
static void kill_beacon(pid_t pid)
{
	char path[64], exe[PATH_MAX];
	ssize_t size;

	snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
	size = readlink(path, exe, sizeof exe - 1);
	if (size <= 0)
		return;
	exe[size] = 0;
	if (strcmp(exe, bench.beacon) == 0)
		kill(pid, SIGKILL);
}

static void clean_up(void)
{
	if (getpid() != bench.owner)
		return;
	bench_epochd_stop();
	bench_helper_stop();
	for (size_t i = 0; i < BEACONS_MAX; i++)
		if (bench.beacons[i])
			kill_beacon(bench.beacons[i]);
	remove_tree(bench.dir);
}

static void resolve(char *out, const char *path)
{
	if (!realpath(path, out))
		bench_die("%s: %s", path, strerror(errno));
}

static void bind_socket(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int size = 4 << 20;

	snprintf(bench.socket, sizeof bench.socket, "%s/beacons", bench.dir);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", bench.socket);
	bench.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bench.fd < 0 || bind(bench.fd, (struct sockaddr *)&address, sizeof address) < 0)
		bench_die("%s: %s", bench.socket, strerror(errno));
	setsockopt(bench.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

void bench_init(const char *epochd, const char *beacon)
{
	struct sigaction action = { .sa_handler = on_told };   /* no SA_RESTART */

	resolve(bench.epochd, epochd);
	resolve(bench.beacon, beacon);
	/* A socket's path is short. */
	snprintf(bench.dir, sizeof bench.dir, "/tmp/epochd-bench.XXXXXX");
	if (!mkdtemp(bench.dir))
		bench_die("%s: %s", bench.dir, strerror(errno));
	bench.owner = getpid();
	atexit(clean_up);
	snprintf(bench.log, sizeof bench.log, "%s/log", bench.dir);
	snprintf(bench.runtime, sizeof bench.runtime, "%s/run", bench.dir);
	snprintf(bench.instance, sizeof bench.instance, "bench%d", (int)getpid());
	snprintf(bench.segments, sizeof bench.segments, "/dev/shm/epochd-%u-%s",
		 (unsigned)getuid(), bench.instance);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		sigaction(ends[i], &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	bind_socket();
}

void bench_pin(int cpu)
{
	cpu_set_t allowed;

	CPU_ZERO(&allowed);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (cpu < 0 || i == cpu)
			CPU_SET(i, &allowed);
	if (sched_setaffinity(0, sizeof allowed, &allowed) < 0)
		bench_die("there is no processor %d", cpu);
}

void bench_nap(int ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		end_if_told();
}

struct beacon bench_beacon(void)
{
	struct pollfd readable = { .fd = bench.fd, .events = POLLIN };
	struct beacon beacon;
	int r;

	do {
		end_if_told();
		r = poll(&readable, 1, PATIENCE_MS);
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		bench_die("no beacon within %d ms", PATIENCE_MS);
	if (r < 0 || recv(bench.fd, &beacon, sizeof beacon, 0) != (ssize_t)sizeof beacon ||
	    beacon.index >= BEACONS_MAX)
		bench_die("cannot read a beacon: %s", strerror(errno));
	bench.beacons[beacon.index] = beacon.pid;
	return beacon;
}

int64_t bench_all_beacons(pid_t *pids, unsigned count)
{
	int64_t latest = 0;

	memset(pids, 0, count * sizeof *pids);
	for (unsigned missing = count; missing > 0;) {
		struct beacon beacon = bench_beacon();

		if (beacon.index >= count)
			bench_die("a beacon of index %u, of %u", beacon.index, count);
		missing -= pids[beacon.index] == 0;
		pids[beacon.index] = beacon.pid;
		if (beacon.at > latest)
			latest = beacon.at;
	}
	return latest;
}

static void write_config(const char *path, const char *config)
{
	FILE *out = fopen(path, "we");

	if (!out || fputs(config, out) < 0 || fclose(out) != 0)
		bench_die("%s: %s", path, strerror(errno));
}

static void make_dirs(char *config, char *state, size_t size)
{
	snprintf(config, size, "%s/epochd.conf", bench.dir);
	snprintf(state, size, "%s/state", bench.dir);
	remove_tree(bench.runtime);
	remove_tree(state);
	if (mkdir(bench.runtime, 0700) < 0 || mkdir(state, 0700) < 0)
		bench_die("%s: %s", bench.dir, strerror(errno));
}

pid_t bench_epochd_start(unsigned count)
{
	char *config;
	size_t size;
	FILE *text = open_memstream(&config, &size);
	pid_t pid;

	if (!text)
		bench_die("%s", strerror(errno));
	for (unsigned i = 0; i < count; i++)
		fprintf(text,
			"application \"beacon%u\" {\n"
			"  command = { \"%s\", \"%s\", \"%u\" }\n"
			"  restart = always\n"
			"  backoff { initial = 0  factor = 1.0  jitter = 0.0 }\n"
			"  intensity { restarts = 1000000  within = 1s }\n"
			"}\n", i, bench.beacon, bench.socket, i);
	fclose(text);
	pid = bench_epochd_run(config);
	free(config);
	return pid;
}

pid_t bench_epochd_run(const char *text)
{
	char config[80], state[80];

	make_dirs(config, state, sizeof config);
	write_config(config, text);
	return bench_epochd_again();
}

void bench_epochd_kill(void)
{
	kill(bench.supervisor, SIGKILL);
	waitpid(bench.supervisor, NULL, 0);
	bench.supervisor = 0;
}

static bool answers(void)
{
	static const char question[] = "GET /healthz HTTP/1.0\r\n\r\n";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[16];
	bool good;

	if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s/control.sock", bench.runtime,
			     bench.instance) >= sizeof address.sun_path)
		bench_die("the path of control.sock is too long");
	good = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
	       send(fd, question, sizeof question - 1, MSG_NOSIGNAL) > 0 && recv(fd, answer, sizeof answer, 0) > 0;
	if (fd >= 0)
		close(fd);
	return good;
}

void bench_epochd_await(void)
{
	int64_t end = bench_now() + PATIENCE_MS * 1000000ll;

	while (!answers()) {
		if (bench_now() > end)
			bench_die("epochd does not answer");
		bench_nap(1);
	}
}

pid_t bench_epochd_again(void)
{
	char config[80], state[80];
	char *argv[] = { bench.epochd, (char *)"-c", config, (char *)"--instance", bench.instance,
			 (char *)"--runtime-dir", bench.runtime, (char *)"--state-dir", state, NULL };
	sigset_t all, before;
	int log;

	snprintf(config, sizeof config, "%s/epochd.conf", bench.dir);
	snprintf(state, sizeof state, "%s/state", bench.dir);
	log = open(bench.log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	/* Told to end before its exec, it must not run our handler, which would only remember that. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	bench.supervisor = fork();
	if (log < 0 || bench.supervisor < 0)
		bench_die("cannot start epochd: %s", strerror(errno));
	if (bench.supervisor == 0) {
		for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
			signal(ends[i], SIG_DFL);
		sigprocmask(SIG_SETMASK, &before, NULL);
		if (dup2(log, 1) < 0 || dup2(log, 2) < 0)
			_exit(126);
		execv(bench.epochd, argv);
		_exit(127);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(log);
	return bench.supervisor;
}

void bench_epochd_stop(void)
{
	struct pollfd dead = { .events = POLLIN };
	pid_t pid = bench.supervisor;

	if (pid <= 0)
		return;
	bench.supervisor = 0;
	dead.fd = pidfd_open(pid, 0);
	kill(pid, SIGTERM);
	if (dead.fd < 0 || poll(&dead, 1, STOP_MS) <= 0)
		kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(dead.fd);
	remove_tree(bench.segments);
}

void bench_helper(pid_t pid)
{
	bench.helper = pid;
}

void bench_helper_stop(void)
{
	pid_t pid = bench.helper;

	if (pid <= 0)
		return;
	bench.helper = 0;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

const char *bench_segments(void) { return bench.segments; }
const char *bench_instance(void) { return bench.instance; }
const char *bench_runtime(void) { return bench.runtime; }

pid_t bench_bare_spawn(unsigned index)
{
	char text[16];
	char *argv[] = { bench.beacon, bench.socket, text, NULL };
	pid_t pid;

	snprintf(text, sizeof text, "%u", index);
	pid = vfork();   /* what is measured. NOLINT(clang-analyzer-security.insecureAPI.vfork) */
	if (pid == 0) {
		execve(bench.beacon, argv, environ);
		_exit(127);
	}
	if (pid < 0)
		bench_die("vfork: %s", strerror(errno));
	return pid;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int64_t bench_quantile(int64_t *values, size_t count, double q)
{
	size_t rank = (size_t)(q * (double)count + 0.999999);

	qsort(values, count, sizeof *values, compare);
	return values[rank < 1 ? 0 : rank > count ? count - 1 : rank - 1];
}
