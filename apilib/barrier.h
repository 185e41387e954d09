/* A full fence in each thread that runs, asked for by one of them, so that the others need none where it is hardly
 * ever asked for: membarrier(2), MEMBARRIER_CMD_GLOBAL_EXPEDITED. What a consumer stores before it looks at the
 * fence word, and the supervisor looks at after it has moved that, is ordered so (ep_receive()). */
#ifndef EPOCHD_BARRIER_H
#define EPOCHD_BARRIER_H

#include <stdbool.h>

/* The kernel has it, and lets us. One system call, as the next. */
bool ep_barrier_works(void);

/* From now on ep_barrier() reaches this process, whoever calls it. False: it would not. In a process of several
 * threads the first call can take some milliseconds. */
bool ep_barrier_join(void);

/* Each thread of a process that joined passes a full fence before this returns; the caller, too. Some microseconds
 * where one of them runs. Without the system call: the caller alone. So a producer that is refused it, beside a consumer
 * that is light, can take back at an epoch's end what that one has received. */
void ep_barrier(void);
#endif
