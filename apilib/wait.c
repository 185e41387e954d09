#include <config.h>

#include "apilib/wait.h"

#include <sched.h>

void ep_wait_init(struct ep_wait *out, enum epochd_wait mode)
{
	cpu_set_t allowed;

	CPU_ZERO(&allowed);
	*out = (struct ep_wait){ .mode = mode };
	out->alone = sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) == 1;
}
