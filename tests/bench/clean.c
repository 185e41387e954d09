/* bench-clean: 10,000 stale segments at start, beside a bare loop that opens, reads and unlinks as many.
 *
 *   clean EPOCHD BEACON */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apilib/registry.h"
#include "tests/bench/bench.h"

enum { FILES = 10000, ROUNDS = 7 };

static unsigned char template[EP_SLOTS_AT];
static pid_t pids[1];

static void read_template(void)
{
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/beacon0", bench_segments());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, template, sizeof template) != sizeof template)
		bench_die("%s: %s", path, strerror(errno));
	close(fd);
}

/* Of applications that nobody knows any more, up when their supervisor was killed. */
static void plant(const char *folder)
{
	int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[64];

	for (int i = 0; i < FILES; i++) {
		struct ep_page *page = (struct ep_page *)(void *)template;
		int fd;

		snprintf(name, sizeof name, "stale-%d", i);
		atomic_store(&page->fence, ep_fence_pack((uint32_t)i + 1, EP_UP, (struct ep_end){ 0 }));
		fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, template, sizeof template) != sizeof template ||
		    ftruncate(fd, (off_t)ep_registry_size(EP_SLOTS_MIN)) < 0)
			bench_die("%s/%s: %s", folder, name, strerror(errno));
		close(fd);
	}
	close(directory);
}

/* ns */
static int64_t clean_bare(const char *folder)
{
	int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t from = bench_now();
	struct ep_page page;
	char name[64];

	for (int i = 0; i < FILES; i++) {
		int fd;

		snprintf(name, sizeof name, "stale-%d", i);
		fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (pread(fd, &page, sizeof page, 0) != sizeof page || unlinkat(directory, name, 0) < 0)
			bench_die("%s: %s", name, strerror(errno));
		close(fd);
	}
	from = bench_now() - from;
	close(directory);
	return from;
}

/* ns until it answers. */
static int64_t restart(bool stale)
{
	int64_t from;

	bench_epochd_kill();
	if (stale)
		plant(bench_segments());
	from = bench_now();
	bench_epochd_again();
	bench_epochd_await();
	return bench_now() - from;
}

static double ms(int64_t *values) { return (double)bench_quantile(values, ROUNDS, 0.5) / 1e6; }

int main(int argc, char **argv)
{
	static int64_t with[ROUNDS], without[ROUNDS], bare[ROUNDS];
	char folder[64] = "/dev/shm/epochd-bench-XXXXXX";

	if (argc != 3) {
		fputs("usage: clean EPOCHD BEACON\n", stderr);
		return 2;
	}
	bench_init(argv[1], argv[2]);
	bench_epochd_start(1);
	bench_all_beacons(pids, 1);
	read_template();
	if (!mkdtemp(folder))
		bench_die("%s: %s", folder, strerror(errno));
	for (int i = 0; i < ROUNDS; i++) {
		with[i] = restart(true);
		without[i] = restart(false);
		plant(folder);
		bare[i] = clean_bare(folder);
	}
	rmdir(folder);
	printf("{\"bench\": \"clean\", \"case\": \"%d stale segments at start: what they add to it\", \"unit\": \"ms\", "
	       "\"p50\": %.1f, \"start_with\": %.1f, \"start_without\": %.1f, \"beside\": \"bare openat, pread, unlinkat\", "
	       "\"beside_p50\": %.1f, \"ratio\": %.2f, \"aim\": 3}\n", FILES, ms(with) - ms(without), ms(with), ms(without),
	       ms(bare), (ms(with) - ms(without)) / ms(bare));
	return EXIT_SUCCESS;
}
