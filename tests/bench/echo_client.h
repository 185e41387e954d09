/* What the benches of the library share: a client of the application `echo`, and its registry. Both die on an error. */
#ifndef EPOCHD_TESTS_BENCH_ECHO_CLIENT_H
#define EPOCHD_TESTS_BENCH_ECHO_CLIENT_H

#include <stdint.h>
#include <sys/types.h>

#include "tests/bench/echo.h"

static const int64_t echo_patience = 60000000000;

struct ep_page;

/* Waits for a supervisor that begins. */
struct epochd_client *echo_connect(enum epochd_wait wait);
pid_t echo_pid_of(struct epochd_client *client);   /* of the application */
const struct ep_page *echo_registry(uint32_t slots);   /* mapped until the process ends */
#endif
