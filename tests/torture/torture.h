/* What the driver of the torture test shares with those it kills: a file that all map, and a socket on which each
 * hands the driver every channel it maps, before it sends anything there. So the driver knows the truth of each channel
 * when both its ends are dead, and holds against it what the supervisor has counted. */
#ifndef EPOCHD_TESTS_TORTURE_H
#define EPOCHD_TESTS_TORTURE_H

#include <stdatomic.h>
#include <stdint.h>

#include "apilib/epochd.h"

#define EP_FAULTS
#include "apilib/fault.h"

enum { CLIENTS = 4, APP = CLIENTS, PEERS, SLOTS = 64 };

/* SIGKILL as it passes `fault` for the left-th time; or SIGSTOP, and it goes on in another epoch. */
struct plan {
	_Atomic uint32_t armed;   /* 0: no; 1: yes; else: who passed it, a pid */
	_Atomic uint32_t stops;
	_Atomic uint32_t fault;
	_Atomic int32_t left;
};

/* What one side did with one channel, as far as it lived to write that down. */
struct journal {
	_Atomic uint64_t handle;   /* written last */
	_Atomic uint64_t sent, received;
};

struct control {
	struct plan plan[PEERS];
	_Atomic uint32_t quit[CLIENTS];
	_Atomic int32_t app_pid;
	_Atomic uint64_t app_newest;   /* epoch << 32 | pid */
	struct journal client[CLIENTS];
	struct journal app[SLOTS];
	_Atomic uint64_t killed[2][EP_FAULTS_COUNT];   /* or stopped, at each step: clients, applications */
	_Atomic uint32_t wrong;
	char what[400];
};

struct report {
	uint64_t handle;
	int32_t pid;     /* of the client */
};

/* Followed by bytes that the sender, the number and their place decide. */
#define WORK(FIELD, ARRAY) FIELD(u64, number) FIELD(u32, size) FIELD(u32, from)
#define TORTURE_LIST(MESSAGE) \
	MESSAGE(work, "torture.work", WORK, EPOCHD_TAIL) \
	MESSAGE(hold, "torture.hold", WORK, EPOCHD_TAIL | EPOCHD_IN_PLACE)
EPOCHD_MESSAGES(torture, TORTURE_LIST)
#endif
