/* What bench-ipc and bench-clients say to the application that echoes. */
#ifndef EPOCHD_TESTS_BENCH_ECHO_H
#define EPOCHD_TESTS_BENCH_ECHO_H

#include "apilib/epochd.h"

#define ECHO_WORK(FIELD, ARRAY) FIELD(u64, number)
#define ECHO_PID(FIELD, ARRAY) FIELD(i32, pid)
#define ECHO_LIST(MESSAGE) \
	MESSAGE(echo_work, "echo.work", ECHO_WORK, EPOCHD_TAIL) \
	MESSAGE(echo_pid, "echo.pid", ECHO_PID, 0)
EPOCHD_MESSAGES(echo, ECHO_LIST)
#endif
