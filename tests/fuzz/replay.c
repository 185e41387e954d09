/* Runs a fuzz target without libFuzzer: over the files that are named, or over inputs of its own making, always the
 * same ones but for EPOCHD_TEST_SEED. */
#include <config.h>

#include "tests/fuzz/bytes.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { INPUTS = 3000, SAID_EVERY = 500, SIZE_MOST = 2000 };

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void run_file(const char *path)
{
	static uint8_t data[1 << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = read(fd, data, sizeof data);

	if (size < 0) {
		perror(path);
		exit(2);
	}
	close(fd);
	LLVMFuzzerTestOneInput(data, (size_t)size);
}

/* Small values are what most words expect. */
static void run_made(uint64_t seed)
{
	uint8_t data[SIZE_MOST];
	uint64_t state = seed;
	size_t size = next_random(&state) % sizeof data;

	for (size_t i = 0; i < size; i++) {
		uint64_t value = next_random(&state);

		data[i] = value & 0x300 ? (uint8_t)value : (uint8_t)(value & 3);
	}
	LLVMFuzzerTestOneInput(data, size);
}

int main(int argc, char **argv)
{
	const char *given = getenv("EPOCHD_TEST_SEED");
	uint64_t seed = given && *given ? strtoull(given, NULL, 10) : 1;

	for (int i = 1; i < argc; i++)
		run_file(argv[i]);
	for (uint64_t i = 0; argc == 1 && i < INPUTS; i++) {
		if (i % SAID_EVERY == 0)
			fprintf(stderr, "EPOCHD_TEST_SEED=%llu, from input %llu on\n", (unsigned long long)seed,
				(unsigned long long)i);
		run_made(seed * INPUTS + i);
	}
	return 0;
}
