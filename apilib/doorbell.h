/* Waking a sleeper: bytes into a pipe. A pipe and not an eventfd, and for each side an open file description
 * of its own: O_NONBLOCK belongs to that, and a peer that shared it could make our write sleep for ever. A full
 * pipe is a wake-up that is under way.
 *
 * All clients of an application ring one pipe, each with the index of its slot, in three bytes of which only the
 * first has its top bit set: what somebody else writes there is known for that, and the next three are
 * whole again. */
#ifndef EPOCHD_DOORBELL_H
#define EPOCHD_DOORBELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	EP_BELL_BATCH = 512,          /* indices taken out at once */
	/* No pipe is smaller than a page. With less than this taken out between two times that it was empty, no
	 * honest write found it full. */
	EP_BELL_FULL_PERHAPS = 4092 / 3,
};

/* Rings a client's. fd: one that can also read there, so there is always a reader, and no SIGPIPE. */
void ep_bell_ring(int fd);

/* Rings an application's, with the index of the client's slot. False: the pipe is full, and as that may be a
 * third party's doing the ring is still owed: try again when fd is writable. SIGPIPE is kept from the thread:
 * the application, which has the only reading end beside the supervisor's, may be gone. */
bool ep_bell_ring_index(int fd, uint32_t index);

/* Takes out what a client's bell holds. */
void ep_bell_drain(int fd);

/* Takes out what an application's holds, at most EP_BELL_BATCH indices at once, in order: *found of them. True:
 * there may be more, call it again. *odd is set where bytes were no indices, so that some may be missing. */
bool ep_bell_drain_indices(int fd, uint32_t index[static EP_BELL_BATCH], size_t *found, bool *odd);
#endif
