#include <config.h>

#include "tests/bench/crowd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apilib/registry.h"
#include "tests/bench/bench.h"
#include "tests/bench/echo.h"

enum { PROCESSES_MOST = 64, EVENTS = 64 };

/* What the processes and ours tell each other. */
struct shared {
	_Atomic unsigned joined, called, good, failed;
	_Atomic unsigned wanted;   /* calls, of each client */
};

static const int64_t patience = 60000000000;
static struct crowd crowd;
static struct shared *shared;
static pid_t process[PROCESSES_MOST];
static const struct ep_page **page;

static struct epochd_client *connect_to(unsigned app)
{
	char name[32], why[300] = "";
	const struct epochd_options options = {
		.size = sizeof options, .instance = bench_instance(), .runtime_dir = bench_runtime(),
		.timeout = patience, .wait = EPOCHD_SLEEP, .why = why, .why_size = sizeof why,
	};
	int64_t end = bench_now() + patience;
	struct epochd_client *client;
	int r;

	snprintf(name, sizeof name, "echo%u", app);
	while ((r = epochd_connect(&client, name, echo_messages, echo_count, &options)) == -ENOENT &&
	       bench_now() < end)
		bench_nap(1);
	if (r < 0)
		bench_die("epochd_connect: %s: %s", strerrorname_np(-r), why);
	return client;
}

static bool call(struct epochd_client *client, uint64_t number)
{
	const struct echo_work work = { number };
	struct epochd_message reply;
	struct echo_work answer;

	if (epochd_call(client, echo_work_id, &work, sizeof work, &reply, patience) < 0)
		return false;
	memcpy(&answer, reply.payload, sizeof answer);
	epochd_release(client, &reply);
	return answer.number == number;
}

static void look(struct epochd_client *client)
{
	struct epochd_message message;
	int r;

	while ((r = epochd_receive(client, &message, 0)) == 0)
		epochd_release(client, &message);
	if (r != -EAGAIN) {
		fprintf(stderr, "a client: %s: %s\n", strerrorname_np(-r), epochd_client_why(client));
		atomic_fetch_add(&shared->failed, 1);
	}
}

static void be_clients(unsigned first, unsigned count)
{
	struct epochd_client **client = calloc(count, sizeof(struct epochd_client *));
	struct epoll_event events[EVENTS];
	int poll = epoll_create1(EPOLL_CLOEXEC), n;
	unsigned called = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!client)
		bench_die("no memory");
	for (unsigned i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN };

		client[i] = connect_to((first + i) % crowd.apps);
		event.data.u32 = i;
		epoll_ctl(poll, EPOLL_CTL_ADD, epochd_client_fd(client[i]), &event);
		look(client[i]);
		atomic_fetch_add(&shared->joined, 1);
	}
	for (;;) {
		if (called != atomic_load(&shared->wanted)) {
			called++;
			for (unsigned i = 0; i < count; i++) {
				atomic_fetch_add(&shared->good, call(client[i], called * 1000000ull + first + i));
				look(client[i]);
				atomic_fetch_add(&shared->called, 1);
			}
		}
		n = epoll_wait(poll, events, EVENTS, 100);
		for (int i = 0; i < n; i++)
			look(client[events[i].data.u32]);
	}
}

static void await_count(const _Atomic unsigned *count, unsigned wanted, const char *what)
{
	int64_t end = bench_now() + patience;

	while (atomic_load(count) < wanted) {
		if (bench_now() > end || atomic_load(&shared->failed))
			bench_die("%u of %u clients %s", atomic_load(count), wanted, what);
		bench_nap(2);
	}
}

void crowd_begin(const struct crowd *of)
{
	unsigned all = of->apps * of->clients;

	crowd = *of;
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || crowd.processes > PROCESSES_MOST)
		bench_die("no memory");
	for (unsigned i = 0; i < crowd.processes; i++) {
		process[i] = fork();
		if (process[i] == 0)
			be_clients(all / crowd.processes * i, all / crowd.processes);
		if (process[i] < 0)
			bench_die("fork: %s", strerror(errno));
	}
	await_count(&shared->joined, all / crowd.processes * crowd.processes, "have joined");
}

unsigned crowd_call(void)
{
	unsigned before = atomic_load(&shared->good), all = atomic_load(&shared->joined);
	unsigned called = atomic_load(&shared->called);

	atomic_fetch_add(&shared->wanted, 1);
	await_count(&shared->called, called + all, "have called");
	return atomic_load(&shared->good) - before;
}

void crowd_end(void)
{
	for (unsigned i = 0; i < crowd.processes; i++) {
		kill(process[i], SIGKILL);
		waitpid(process[i], NULL, 0);
	}
	crowd.processes = 0;
}

const struct ep_page *crowd_registry(unsigned app)
{
	return crowd_registry_of(app, EP_SLOTS_MIN);
}

const struct ep_page *crowd_registry_of(unsigned app, unsigned slots)
{
	char path[256];
	int fd;

	if (!page)
		page = calloc(crowd.apps, sizeof(struct ep_page *));
	if (!page)
		bench_die("no memory");
	if (page[app])
		return page[app];
	snprintf(path, sizeof path, "%s/echo%u", bench_segments(), app);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	page[app] = fd < 0 ? MAP_FAILED : mmap(NULL, ep_registry_size(slots), PROT_READ, MAP_SHARED, fd, 0);
	if (page[app] == MAP_FAILED)
		bench_die("%s: %s", path, strerror(errno));
	close(fd);
	return page[app];
}

unsigned crowd_heard(int64_t since)
{
	unsigned count = 0;

	for (unsigned app = 0; app < crowd.apps; app++) {
		const struct ep_page *registry = crowd_registry(app);
		uint32_t backed = atomic_load(&registry->slots_backed);

		for (uint32_t i = 0; i < backed; i++)
			count += atomic_load(&ep_registry_slots(registry)[i].handle) &&
				 (int64_t)atomic_load(&ep_registry_slots(registry)[i].heard_at) > since;
	}
	return count;
}
