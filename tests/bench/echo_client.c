#include <config.h>

#include "tests/bench/echo_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "apilib/registry.h"
#include "tests/bench/bench.h"

struct epochd_client *echo_connect(enum epochd_wait wait)
{
	char why[300] = "";
	const struct epochd_options options = {
		.size = sizeof options, .instance = bench_instance(), .runtime_dir = bench_runtime(),
		.timeout = echo_patience, .wait = wait, .why = why, .why_size = sizeof why,
	};
	int64_t end = bench_now() + echo_patience;
	struct epochd_client *client;
	int r;

	while ((r = epochd_connect(&client, "echo", echo_messages, echo_count, &options)) == -ENOENT &&
	       bench_now() < end)
		bench_nap(1);
	if (r < 0)
		bench_die("epochd_connect: %s: %s", strerrorname_np(-r), why);
	return client;
}

pid_t echo_pid_of(struct epochd_client *client)
{
	const struct echo_pid question = { 0 };
	struct epochd_message reply;
	struct echo_pid answer;

	if (epochd_call(client, echo_pid_id, &question, sizeof question, &reply, echo_patience) < 0)
		bench_die("epochd_call: %s", epochd_client_why(client));
	memcpy(&answer, reply.payload, sizeof answer);
	epochd_release(client, &reply);
	return answer.pid;
}

const struct ep_page *echo_registry(uint32_t slots)
{
	const struct ep_page *page;
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/echo", bench_segments());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	page = fd < 0 ? MAP_FAILED : mmap(NULL, ep_registry_size(slots), PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		bench_die("%s: %s", path, strerror(errno));
	close(fd);
	return page;
}
