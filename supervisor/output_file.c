#include <config.h>

#include "supervisor/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/freep.h"
#include "supervisor/log.h"

enum {
	BUFFER_SIZE = 64 * 1024,
	LOOK_AHEAD = 64 * 1024,      /* beyond the room that is left: for the end of a long line */
	NEW_FILE_MODE = 0640,
};

static const int64_t ROTATE_AGAIN_NS = 1000000000;

static size_t least(uint64_t a, uint64_t b)
{
	return (size_t)(a < b ? a : b);
}

int output_scratch_init(struct output_scratch *scratch)
{
	if (pipe2(scratch->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	/* As large as the others, so that all of one can be looked at in one go; it need not. */
	(void)fcntl(scratch->pipe[1], F_SETPIPE_SZ, OUTPUT_PIPE_SIZE);
	scratch->buffer = malloc(BUFFER_SIZE);
	if (scratch->buffer)
		return 0;
	output_scratch_deinit(scratch);
	return -ENOMEM;
}

void output_scratch_deinit(struct output_scratch *scratch)
{
	close(scratch->pipe[0]);
	close(scratch->pipe[1]);
	free(scratch->buffer);
}

size_t output_pipe_holds(int pipe)
{
	int size = 0;

	return ioctl(pipe, FIONREAD, &size) == 0 && size > 0 ? (size_t)size : 0;
}

static ssize_t read_pipe(int pipe, char *buffer, size_t size)
{
	ssize_t n;

	do
		n = read(pipe, buffer, least(size, BUFFER_SIZE));
	while (n < 0 && errno == EINTR);
	return n;
}

/* Where lines end among the first bytes of a pipe. */
struct lines {
	size_t seen;      /* bytes that were looked at */
	size_t first;     /* with the first newline; 0: none */
	size_t last;      /* with the last newline within `room`; 0: none */
};

static void find_lines(const char *bytes, size_t size, size_t room, struct lines *out)
{
	const char *newline;
	size_t within = room > out->seen ? least(size, room - out->seen) : 0;

	newline = memrchr(bytes, '\n', within);
	if (newline)
		out->last = out->seen + (size_t)(newline - bytes) + 1;
	newline = out->first ? NULL : memchr(bytes, '\n', size);
	if (newline)
		out->first = out->seen + (size_t)(newline - bytes) + 1;
	out->seen += size;
}

/* Takes nothing out of the pipe. Negative errno when it cannot be looked into. */
static int peek(struct output_scratch *scratch, int pipe, size_t size, size_t room, struct lines *out)
{
	ssize_t left = tee(pipe, scratch->pipe[1], size, SPLICE_F_NONBLOCK);

	*out = (struct lines){ 0 };
	if (left < 0)
		return -errno;
	while (left > 0) {
		ssize_t n = read_pipe(scratch->pipe[0], scratch->buffer, (size_t)left);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		find_lines(scratch->buffer, (size_t)n, room, out);
		left -= n;
	}
	return out->seen > 0 ? 0 : -EAGAIN;
}

size_t output_pipe_line(struct output_scratch *scratch, int pipe)
{
	struct lines lines;

	return peek(scratch, pipe, OUTPUT_PIPE_SIZE, 0, &lines) == 0 ? lines.first : 0;
}

size_t output_pipe_drop(struct output_scratch *scratch, int pipe, size_t size, uint64_t *lines,
			bool *mid)
{
	size_t left = size;

	while (left > 0) {
		ssize_t n = read_pipe(pipe, scratch->buffer, left);

		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			*lines += scratch->buffer[i] == '\n';
		*mid = scratch->buffer[n - 1] != '\n';
		left -= (size_t)n;
	}
	return size - left;
}

/* For what knows no splice. Written first, taken afterwards: a kill between the two repeats, and does
 * not lose. */
static ssize_t copy(struct output_file *file, struct output_scratch *scratch, int pipe, size_t size,
		    off_t end)
{
	ssize_t n = tee(pipe, scratch->pipe[1], least(size, BUFFER_SIZE), SPLICE_F_NONBLOCK);
	ssize_t written;

	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	/* All at once: the pipe has it, and the buffer has room. */
	n = read_pipe(scratch->pipe[0], scratch->buffer, (size_t)n);
	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	do
		written = file->regular ? pwrite(file->fd, scratch->buffer, (size_t)n, end)
					: write(file->fd, scratch->buffer, (size_t)n);
	while (written < 0 && errno == EINTR);
	if (written <= 0)
		return written < 0 ? -errno : -EIO;
	return read_pipe(pipe, scratch->buffer, (size_t)written);
}

/* end: of a regular file. Bytes, at least one, or negative errno. */
static ssize_t transfer(struct output_file *file, struct output_scratch *scratch, int pipe,
			size_t size, off_t end)
{
	loff_t at = end;
	ssize_t n;

	if (file->copies)
		return copy(file, scratch, pipe, size, end);
	do
		n = splice(pipe, NULL, file->fd, file->regular ? &at : NULL, size, SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EINVAL) {
		file->copies = true;
		return copy(file, scratch, pipe, size, end);
	}
	return n > 0 ? n : n < 0 ? -errno : -EIO;
}

void output_file_init(struct output_file *file, char *path, uint64_t max_size, unsigned keep)
{
	*file = (struct output_file){ .path = path, .max_size = max_size, .keep = keep, .fd = -1 };
}

void output_file_close(struct output_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

void output_file_deinit(struct output_file *file)
{
	output_file_close(file);
	free(file->path);
	free(file->next_path);
}

/* No O_APPEND, which splice refuses. Readable if it can be, to see how it ends. Without waiting: a FIFO
 * may be there that nobody reads. */
static int open_file(struct output_file *file, int flags)
{
	const int all = flags | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat st;

	file->fd = open(file->path, O_RDWR | all, NEW_FILE_MODE);
	if (file->fd < 0 && errno == EACCES)
		file->fd = open(file->path, O_WRONLY | all, NEW_FILE_MODE);
	if (file->fd < 0)
		return -errno;
	if (fstat(file->fd, &st) < 0)
		return -errno;
	file->regular = S_ISREG(st.st_mode);
	file->copies = false;
	return 0;
}

/* A file that cannot be read is taken to end with a line. */
static bool ends_with_line(const struct output_file *file, off_t end)
{
	char byte;

	return end == 0 || pread(file->fd, &byte, 1, end - 1) != 1 || byte == '\n';
}

/* Whether our open file is no more the one that the path names. */
static bool moved_away(const struct output_file *file)
{
	struct stat ours, there;

	if (!file->regular)
		return false;
	if (fstat(file->fd, &ours) < 0 || stat(file->path, &there) < 0)
		return true;
	return ours.st_dev != there.st_dev || ours.st_ino != there.st_ino;
}

/* Bytes taken, or negative errno; *done: no line stands unfinished in it. */
static ssize_t finish_line(struct output_file *file, struct output_scratch *scratch, int pipe,
			   bool *done)
{
	struct lines lines;
	struct stat st;
	ssize_t n;

	*done = true;
	if (!file->regular || fstat(file->fd, &st) < 0 || ends_with_line(file, st.st_size))
		return 0;
	if (peek(scratch, pipe, OUTPUT_PIPE_SIZE, 0, &lines) < 0) {
		*done = false;
		return 0;
	}
	n = transfer(file, scratch, pipe, lines.first ? lines.first : lines.seen, st.st_size);
	if (n < 0)   /* the new one is no worse */
		return 0;
	*done = (size_t)n == lines.first;
	return n;
}

ssize_t output_file_settle(struct output_file *file, struct output_scratch *scratch, int pipe)
{
	ssize_t taken = 0;
	bool done = true;
	int r;

	if (file->fd >= 0 && !file->next_path && !moved_away(file))
		return 0;
	if (file->fd >= 0)
		taken = finish_line(file, scratch, pipe, &done);
	if (!done)
		return taken;
	output_file_close(file);
	if (file->next_path) {
		free(file->path);
		file->path = STEAL(file->next_path);
	}
	r = open_file(file, 0);
	return r < 0 ? r : taken;
}

static char *old_name(const struct output_file *file, unsigned number)
{
	char *name;

	return asprintf(&name, "%s.%u", file->path, number) < 0 ? NULL : name;
}

static bool exists(const struct output_file *file, unsigned number)
{
	CLEANUP(freep) char *name = old_name(file, number);

	return name && access(name, F_OK) == 0;
}

/* number 0: the file itself. */
static int rename_next(const struct output_file *file, unsigned number)
{
	CLEANUP(freep) char *from = number ? old_name(file, number) : strdup(file->path);
	CLEANUP(freep) char *to = old_name(file, number + 1);

	if (!from || !to)
		return -ENOMEM;
	return rename(from, to) < 0 ? -errno : 0;
}

/* Only as far as the first name that is free: one that was killed in the middle left a gap, and what
 * it had moved must not be moved again, off the end. */
static int shift_old(const struct output_file *file)
{
	unsigned number = 1;
	int r = 0;

	while (number < file->keep && exists(file, number))
		number++;
	while (number-- > 0 && r >= 0)
		r = rename_next(file, number);
	return r;
}

static int begin_new(struct output_file *file, const struct stat *old)
{
	int r;

	output_file_close(file);
	r = open_file(file, O_EXCL);
	if (r < 0)
		return r;
	/* The owner first, since that clears bits of the mode. Best effort: who may not give a file
	 * away keeps it. */
	if (fchown(file->fd, old->st_uid, old->st_gid) < 0 ||
	    fchmod(file->fd, old->st_mode & 07777) < 0)
		log_debug(-errno, "%s: cannot be given the owner and mode of the old one", file->path);
	return 0;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Fails only when no file is left to write to. When the old one cannot be moved away it is gone on
 * with, beyond its size: too long a file is better than lines that are lost. */
static int rotate(struct output_file *file, const struct stat *st)
{
	int r;

	if (file->keep == 0)
		r = ftruncate(file->fd, 0) < 0 ? -errno : 0;
	else
		r = shift_old(file);
	if (r < 0) {
		if (file->rotation_error != -r)
			log_error(r, "%s: cannot be rotated, grows on", file->path);
		file->rotation_error = -r;
		file->rotate_again = now_ns() + ROTATE_AGAIN_NS;
		return 0;
	}
	file->rotation_error = 0;
	return file->keep == 0 ? 0 : begin_new(file, st);
}

static bool may_rotate(const struct output_file *file)
{
	return file->regular && file->max_size > 0 &&
	       (!file->rotation_error || now_ns() >= file->rotate_again);
}

ssize_t output_file_step(struct output_file *file, struct output_scratch *scratch, int pipe,
			 size_t size)
{
	struct lines lines;
	struct stat st;
	uint64_t end;
	size_t room;
	int r;

	if (fstat(file->fd, &st) < 0)
		return -errno;
	end = (uint64_t)st.st_size;
	if (!may_rotate(file) || (end <= file->max_size && size <= file->max_size - end))
		return transfer(file, scratch, pipe, size, st.st_size);
	room = end < file->max_size ? least(file->max_size - end, SIZE_MAX / 2) : 0;
	r = peek(scratch, pipe, least(size, room + LOOK_AHEAD), room, &lines);
	if (r < 0)
		return r;
	if (lines.last > 0)   /* the lines that fit; the rest is the next step's */
		return transfer(file, scratch, pipe, lines.last, st.st_size);
	if (end > 0 && ends_with_line(file, st.st_size))
		return rotate(file, &st);
	/* One begun here ends here, and one that fits nowhere has a file of its own. */
	return transfer(file, scratch, pipe, lines.first ? lines.first : lines.seen, st.st_size);
}

int output_file_note(struct output_file *file, const char *text)
{
	CLEANUP(freep) char *line = NULL;
	struct stat st;
	ssize_t n;
	int length;

	if (fstat(file->fd, &st) < 0)
		return -errno;
	length = asprintf(&line, "%s%s\n",
			  file->regular && !ends_with_line(file, st.st_size) ? "\n" : "", text);
	if (length < 0)
		return -ENOMEM;
	n = file->regular ? pwrite(file->fd, line, (size_t)length, st.st_size)
			  : write(file->fd, line, (size_t)length);
	if (n == length)
		return 0;
	if (n < 0)
		return -errno;
	if (file->regular && ftruncate(file->fd, st.st_size) < 0)
		return -errno;
	return -ENOSPC;
}
