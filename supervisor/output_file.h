/* A file that output is moved into, from a pipe, by splice: what was taken from the pipe is in the file,
 * whenever the supervisor is killed. Always at the file's present end, so nothing is remembered that
 * somebody else (a copy-and-truncate, the next supervisor) could make wrong. One thread's, and it may
 * block: output.c's helper thread uses it. */
#ifndef EPOCHD_OUTPUT_FILE_H
#define EPOCHD_OUTPUT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { OUTPUT_PIPE_SIZE = 1 << 20 };

/* Of a thread: to look at what a pipe holds without taking it. */
struct output_scratch {
	int pipe[2];
	char *buffer;
};
int output_scratch_init(struct output_scratch *scratch);
void output_scratch_deinit(struct output_scratch *scratch);

/* Bytes in the pipe. */
size_t output_pipe_holds(int pipe);
/* Bytes up to and with the first newline in the pipe; 0: none in sight. */
size_t output_pipe_line(struct output_scratch *scratch, int pipe);
/* Takes up to `size` bytes out and throws them away. *lines grows by the newlines among them, *mid is
 * whether the last was none. Bytes. */
size_t output_pipe_drop(struct output_scratch *scratch, int pipe, size_t size, uint64_t *lines,
			bool *mid);

struct output_file {
	char *path;             /* owned */
	char *next_path;        /* NULL: none; the one to go to at the next line's end */
	uint64_t max_size;      /* 0: no rotation */
	unsigned keep;
	int fd;                 /* -1: not open */
	bool regular;           /* otherwise a device, a terminal: no end, no rotation */
	bool copies;            /* it knows no splice: read and write */
	int rotation_error;     /* errno; the file grows beyond max_size meanwhile */
	int64_t rotate_again;   /* CLOCK_MONOTONIC, ns */
};

/* Steals path. Opens nothing. */
void output_file_init(struct output_file *file, char *path, uint64_t max_size, unsigned keep);
void output_file_deinit(struct output_file *file);

/* Opened if it is not, and opened anew if somebody renamed or removed it or next_path is set: then
 * first the line that stands unfinished in the old one is finished, as far as the pipe has it. Bytes
 * that were taken for that, or negative errno. */
ssize_t output_file_settle(struct output_file *file, struct output_scratch *scratch, int pipe);
/* One step with what the pipe holds, `size` bytes: moves some, or rotates. Bytes moved, or negative errno
 * (nothing was taken). */
ssize_t output_file_step(struct output_file *file, struct output_scratch *scratch, int pipe, size_t size);
/* A line of our own, on a line of its own. All or nothing. */
int output_file_note(struct output_file *file, const char *text);
void output_file_close(struct output_file *file);   /* settle opens it again */
#endif
