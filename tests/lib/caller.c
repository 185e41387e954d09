/* Calls alpha.add of tests/lib/modular.c, again and again, for trace.sh: until so many were replied to, or the epoch ends.
 * Prints how many that were.
 *
 *   caller APP COUNT [FAST]    FAST: after so many of them it rests 1 ms before each */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/alpha.h"

int main(int argc, char **argv)
{
	struct epochd_client *client;
	const struct timespec rest = { 0, 1000000 };
	uint64_t most, fast, replied = 0;
	int r = 0;

	if (argc < 3)
		return 2;
	most = strtoull(argv[2], NULL, 10);
	fast = argc > 3 ? strtoull(argv[3], NULL, 10) : UINT64_MAX;
	if (epochd_connect(&client, argv[1], alpha_messages, alpha_count, NULL) < 0)
		return 1;
	while (r == 0 && replied < most) {
		const struct add add = { { (uint32_t)replied, 1, 2, 3 } };
		struct epochd_message reply;
		struct sum sum = { 0 };

		if (replied >= fast)
			nanosleep(&rest, NULL);
		r = epochd_call(client, add_id, &add, sizeof add, &reply, -1);
		if (r < 0)
			break;
		memcpy(&sum, reply.payload, sizeof sum);
		if (reply.type != sum_id || sum.sum != replied + 6)
			r = -EBADMSG;
		epochd_release(client, &reply);
		replied++;
	}
	printf("%" PRIu64 "\n", replied);
	epochd_close(client);
	return r == 0 || r == -ESTALE ? 0 : 1;
}
