/* kv-inspect APPLICATION HANDLE...: is each of them good, and if not, why not? Asks nobody: it reads the application's
 * registry, as anybody may who can open it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <epochd.h>

int main(int argc, char **argv)
{
	char why[256] = "";
	struct epochd_options options = { .why = why, .why_size = sizeof why };
	struct epochd_registry *registry;
	int refused = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: kv-inspect APPLICATION HANDLE...\n");
		return 2;
	}
	if (epochd_registry_open(&registry, argv[1], &options) < 0) {
		fprintf(stderr, "kv-inspect: %s\n", why);
		return 1;
	}
	printf("%s is in epoch %u\n", argv[1], (unsigned)epochd_registry_epoch(registry));
	for (int i = 2; i < argc; i++) {
		uint64_t handle = strtoull(argv[i], NULL, 16);
		int verdict = epochd_handle_check(registry, handle);

		printf("%#018" PRIx64 ", of epoch %u: %s\n", handle, (unsigned)epochd_handle_epoch(handle),
		       epochd_verdict_name(verdict));
		refused |= verdict != EPOCHD_GOOD;
	}
	epochd_registry_close(registry);
	return refused;
}
