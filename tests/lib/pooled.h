/* The messages of workers.sh and kept.sh. */
#ifndef EPOCHD_TESTS_POOLED_H
#define EPOCHD_TESTS_POOLED_H

#include "apilib/epochd.h"

#define NUMBERED(FIELD, ARRAY) FIELD(u64, number)
#define POOLED_LIST(MESSAGE) \
	MESSAGE(here, "pooled.here", NUMBERED, EPOCHD_TAIL) \
	MESSAGE(there, "pooled.there", NUMBERED, EPOCHD_TAIL) \
	MESSAGE(lying, "pooled.lying", NUMBERED, EPOCHD_TAIL | EPOCHD_IN_PLACE) \
	MESSAGE(any, "pooled.any", NUMBERED, EPOCHD_TAIL) \
	MESSAGE(meet, "pooled.meet", NUMBERED, 0) \
	MESSAGE(meet_any, "pooled.meet_any", NUMBERED, 0) \
	MESSAGE(stay, "pooled.stay", NUMBERED, EPOCHD_TAIL) \
	MESSAGE(stay_lying, "pooled.stay_lying", NUMBERED, EPOCHD_TAIL | EPOCHD_IN_PLACE) \
	MESSAGE(let_go, "pooled.let_go", NUMBERED, 0) \
	MESSAGE(work_1ms, "pooled.work_1ms", NUMBERED, 0) \
	MESSAGE(done, "pooled.done", NUMBERED, EPOCHD_TAIL)
EPOCHD_MESSAGES(pooled, POOLED_LIST)

enum { POOLED_WORKERS = 4 };
#endif
