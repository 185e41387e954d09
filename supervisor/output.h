/* Where an application's output goes: a named FIFO, opened read-write for the child, so that a reader
 * is never missing and no SIGPIPE comes, also while no supervisor runs. One helper thread moves what
 * comes into the files and rotates them by size, at line ends. What the pipe holds outlives the
 * supervisor: bytes go from pipe to file inside the kernel (splice), so a SIGKILL neither loses nor
 * repeats any. When a file cannot be written, lines are dropped and counted, so that a full disk stops
 * no application. */
#ifndef EPOCHD_OUTPUT_H
#define EPOCHD_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

struct output;    /* of one application */
struct outputs;   /* of all, and the thread */

/* directory: for the FIFOs, ours, exists. The thread starts with the first output. */
int outputs_new(struct outputs **out, const char *directory);
/* Takes what the pipes hold into the files, then ends the thread; FIFOs of outputs that were added are
 * unlinked if `unlink_fifos` (nobody writes them any more). NULL is fine. */
void outputs_free(struct outputs *outputs, bool unlink_fifos);

/* Makes (or takes over) the FIFO for this name, opens it, and hands it to the thread. Does not open the
 * file: that may block, so the thread does. file is copied. keep: old files NAME.1 .. NAME.keep. */
int output_add(struct output **out, struct outputs *outputs, const char *name, const char *file,
	       uint64_t max_size, unsigned keep);
/* A supervisor before us made one for this name. */
bool output_is_there(const struct outputs *outputs, const char *name);
/* New limits or another file; from the next line on. */
int output_change(struct output *output, const char *file, uint64_t max_size, unsigned keep);
/* What the pipe holds is written, then all is closed and the FIFO unlinked. Does not block. */
void output_remove(struct output *output);
/* For the child: open read-write, CLOEXEC, owned by output. */
int output_fd(const struct output *output);

struct output_health {
	uint64_t bytes_written;
	uint64_t lines_dropped;
	int error;                  /* errno of the last failure while it goes on; 0 */
	int64_t since;              /* of the failure, CLOCK_REALTIME, ns */
};
void output_health(const struct output *output, struct output_health *out);   /* any thread */
#endif
