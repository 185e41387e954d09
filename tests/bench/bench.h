/* What the benches share: a private directory, a socket that beacons report to, a supervisor with a
 * configuration, bare processes to measure beside it, and the line that is printed. A bench that cannot
 * go on says why on stderr and ends with status 1; whatever it started ends with it. */
#ifndef EPOCHD_TESTS_BENCH_H
#define EPOCHD_TESTS_BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "tests/bench/beacon.h"

/* Makes the directory and the socket. Ended by exit(), which leaves nothing behind. */
void bench_init(const char *epochd, const char *beacon);
void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

int64_t bench_now(void);        /* CLOCK_MONOTONIC, ns */
void bench_pin(int cpu);        /* this process, to one processor; -1: to all of them again */
void bench_nap(int ms);         /* ends the bench if it was told to end */

/* The next beacon that reports; dies if none does for a minute. */
struct beacon bench_beacon(void);
/* Until each of `count` has reported since the call; their pids, and the latest `at`. */
int64_t bench_all_beacons(pid_t *pids, unsigned count);

/* epochd with `count` applications that are beacons, with no delay between restarts; does not wait. */
pid_t bench_epochd_start(unsigned count);
/* epochd with such a configuration. */
pid_t bench_epochd_run(const char *config);
const char *bench_instance(void);
const char *bench_runtime(void);   /* its runtime directory */
void bench_epochd_stop(void);
void bench_epochd_kill(void);      /* SIGKILL: what it supervises goes on */
pid_t bench_epochd_again(void);    /* with what the last one left; does not wait */
void bench_epochd_await(void);     /* until it answers on control.sock, and so has recovered */
const char *bench_segments(void);   /* its directory in /dev/shm */

/* A child that is ended (SIGKILL) with the bench or by bench_helper_stop(): it spawns beacons. */
void bench_helper(pid_t pid);
void bench_helper_stop(void);

/* vfork and exec of a beacon. */
pid_t bench_bare_spawn(unsigned index);

/* Sorts; q as 0.5. */
int64_t bench_quantile(int64_t *values, size_t count, double q);
#endif
