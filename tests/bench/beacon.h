/* What a beacon sends: that it runs, and since when. */
#ifndef EPOCHD_TESTS_BEACON_H
#define EPOCHD_TESTS_BEACON_H

#include <stdint.h>

struct beacon {
	int64_t at;       /* CLOCK_MONOTONIC at the first statement of main(), ns */
	int32_t pid;
	uint32_t index;   /* which of many */
};
#endif
