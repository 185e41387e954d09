/* `mutator FILE...`: spoils each of these registries in place, each in another way. `mutator -n COUNT FILE DIRECTORY`:
 * COUNT spoiled copies of it, m0 and so on, in the directory. Says of each what was done. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apilib/registry.h"

static struct ep_page page;
static off_t size;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void read_template(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || read(fd, &page, sizeof page) != sizeof page)
		die(path);
	size = st.st_size;
	close(fd);
}

static void write_file(const char *path, const void *bytes, size_t count, off_t long_as)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, count) != (ssize_t)count || ftruncate(fd, long_as) < 0)
		die(path);
	close(fd);
}

/* A byte of the header: each in its turn, each to another value. */
static const char *flip(const char *path, unsigned number)
{
	static char said[64];
	size_t at = number % offsetof(struct ep_page, slots_backed);
	unsigned char *bytes = (unsigned char *)&page, was = bytes[at];

	bytes[at] ^= (unsigned char)(1 + number / offsetof(struct ep_page, slots_backed) % 255);
	write_file(path, &page, sizeof page, size);
	bytes[at] = was;
	snprintf(said, sizeof said, "byte %zu", at);
	return said;
}

static const char *spoil(const char *path, unsigned number)
{
	static const char *const files[] = { "truncated", "empty", "one byte too long", "a page too long", "a FIFO",
					     "a folder", "a symbolic link", "two names", "random", "huge", "fence" };
	unsigned what = number % 24;
	unsigned char noise[sizeof page];
	char other[4096];
	uint64_t fence;

	unlink(path);
	switch (what) {
	case 0:
		write_file(path, &page, number % sizeof page, number % (unsigned)sizeof page);
		break;
	case 1:
		write_file(path, &page, 0, 0);
		break;
	case 2:
		write_file(path, &page, sizeof page, size + 1);
		break;
	case 3:
		write_file(path, &page, sizeof page, size + 4096);
		break;
	case 4:
		if (mkfifo(path, 0600) < 0)
			die(path);
		break;
	case 5:
		if (mkdir(path, 0700) < 0)
			die(path);
		break;
	case 6:
		if (symlink("/dev/zero", path) < 0)
			die(path);
		break;
	case 7:
		snprintf(other, sizeof other, "%s~", path);
		write_file(other, &page, sizeof page, size);
		if (link(other, path) < 0)
			die(path);
		break;
	case 8:
		for (size_t i = 0; i < sizeof noise; i++)
			noise[i] = (unsigned char)rand();   /* NOLINT(concurrency-mt-unsafe,cert-msc30-c,cert-msc50-cpp) */
		write_file(path, noise, sizeof noise, size);
		break;
	case 9:
		write_file(path, &page, sizeof page, (off_t)1 << 40);
		break;
	case 10:   /* one that no supervisor writes */
		fence = atomic_load(&page.fence);
		atomic_store(&page.fence, fence ^ (1ull << 39));
		write_file(path, &page, sizeof page, size);
		atomic_store(&page.fence, fence);
		break;
	default:
		return flip(path, number);
	}
	return files[what];
}

int main(int argc, char **argv)
{
	char path[4096];

	if (argc == 5 && strcmp(argv[1], "-n") == 0) {
		read_template(argv[3]);
		for (unsigned i = 0; i < (unsigned)atoi(argv[2]); i++) {   /* NOLINT(cert-err34-c) */
			snprintf(path, sizeof path, "%s/m%u", argv[4], i);
			printf("m%u %s\n", i, spoil(path, i));
		}
		return 0;
	}
	for (int i = 1; i < argc; i++) {
		read_template(argv[i]);
		printf("%s %s\n", strrchr(argv[i], '/') + 1, spoil(argv[i], (unsigned)i - 1));
	}
	return 0;
}
