#include <config.h>

#include "supervisor/output.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/log.h"
#include "supervisor/output_file.h"

enum { EVENTS_MAX = 64, STACK_SIZE = 256 * 1024 };

static const int64_t RETRY_NS = 1000000000;

struct output {
	/* Set once, before the thread knows of it. */
	struct outputs *outputs;
	char *name, *fifo;
	int child_fd;                    /* also keeps the pipe from ever having no writer */
	int read_fd;

	/* Under outputs->lock. */
	struct output *next_command;     /* in outputs->first_command, at most once */
	bool queued, added, removed;
	char *wanted_path;               /* NULL: nothing new; the thread takes it */
	uint64_t wanted_size;
	unsigned wanted_keep;
	struct output_health health;

	/* The thread's. */
	struct output *next, **link;     /* in outputs->all; link: what points here */
	struct output_file file;
	int error;                       /* errno; lines are dropped since */
	int64_t retry_at;                /* CLOCK_MONOTONIC, ns */
	uint64_t dropped_now;            /* lines, of this failure */
	bool mid_drop;                   /* the beginning of a line was dropped, its end is to follow */
};

struct outputs {
	char *directory;
	pthread_t thread;
	bool running;
	int epoll, wakeup;               /* wakeup: an eventfd that both sides of are ours */

	pthread_mutex_t lock;            /* held for moments, never across I/O */
	struct output *first_command, **last_command;
	bool ending;

	/* The thread's; after its end outputs_free()'s. */
	struct output *all;
	struct output_scratch scratch;
	bool has_scratch;
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void output_free(struct output *output)
{
	if (!output)
		return;
	if (output->child_fd >= 0)
		close(output->child_fd);
	if (output->read_fd >= 0)
		close(output->read_fd);
	output_file_deinit(&output->file);
	free(output->wanted_path);
	free(output->fifo);
	free(output->name);
	free(output);
}

static void output_freep(struct output **output)
{
	output_free(*output);
}

/* --- The thread --- */

static void report(struct output *output, uint64_t written, uint64_t dropped)
{
	int error = output->error ? output->error : output->file.rotation_error;
	struct output_health *health = &output->health;

	pthread_mutex_lock(&output->outputs->lock);
	health->bytes_written += written;
	health->lines_dropped += dropped;
	if (error && !health->error)
		health->since = clock_ns(CLOCK_REALTIME);
	else if (!error)
		health->since = 0;
	health->error = error;
	pthread_mutex_unlock(&output->outputs->lock);
}

static void fail(struct output *output, int r)
{
	if (!output->error)
		log_error(r, "app %s: cannot write its output to %s, lines are dropped", output->name,
			  output->file.path);
	output->error = -r;
	output->retry_at = clock_ns(CLOCK_MONOTONIC) + RETRY_NS;
}

static void drop(struct output *output, size_t size)
{
	uint64_t lines = 0;

	output_pipe_drop(&output->outputs->scratch, output->read_fd, size, &lines, &output->mid_drop);
	output->dropped_now += lines;
	report(output, 0, lines);
}

/* Drops the rest of a line whose beginning is gone. False: its end has not come yet. */
static bool drop_rest_of_line(struct output *output)
{
	size_t size;

	if (!output->mid_drop)
		return true;
	size = output_pipe_line(&output->outputs->scratch, output->read_fd);
	if (size > 0)
		drop(output, size);
	return size > 0;
}

/* What is missing is said in the file itself. */
static int note_dropped(struct output *output)
{
	char reason[128], text[256];

	if (output->dropped_now == 0)
		return 0;
	snprintf(text, sizeof text, "epochd: %llu line%s dropped: %s",
		 (unsigned long long)output->dropped_now, output->dropped_now == 1 ? "" : "s",
		 strerror_r(output->error, reason, sizeof reason));
	return output_file_note(&output->file, text);
}

/* After a failure. 0: it works again. */
static int try_again(struct output *output)
{
	ssize_t taken;
	int r;

	output_file_close(&output->file);
	taken = output_file_settle(&output->file, &output->outputs->scratch, output->read_fd);
	r = taken < 0 ? (int)taken : note_dropped(output);
	if (r < 0)
		return r;
	log_notice(0, "app %s: its output is written to %s again, %llu lines were dropped",
		   output->name, output->file.path, (unsigned long long)output->dropped_now);
	output->error = 0;
	output->dropped_now = 0;
	return 0;
}

/* What the pipe holds now; what comes meanwhile has the next turn, so that nobody keeps us for himself.
 * Negative errno: the file failed. */
static int move(struct output *output, uint64_t *written)
{
	struct output_scratch *scratch = &output->outputs->scratch;
	ssize_t n = output_file_settle(&output->file, scratch, output->read_fd);
	size_t left = n >= 0 ? output_pipe_holds(output->read_fd) : 0;

	if (n > 0)
		*written += (uint64_t)n;
	while (n >= 0 && left > 0) {
		n = output_file_step(&output->file, scratch, output->read_fd, left);
		if (n > 0) {
			*written += (uint64_t)n;
			left -= (size_t)n < left ? (size_t)n : left;
		}
	}
	return n < 0 ? (int)n : 0;
}

static void pump(struct output *output)
{
	uint64_t written = 0;
	int r = 0;

	if (output->error && (clock_ns(CLOCK_MONOTONIC) < output->retry_at ||
			      !drop_rest_of_line(output))) {
		drop(output, output_pipe_holds(output->read_fd));
		return;
	}
	if (output->error)
		r = try_again(output);
	if (r == 0)
		r = move(output, &written);
	if (r < 0)
		fail(output, r);
	report(output, written, 0);
	if (r < 0)
		drop(output, output_pipe_holds(output->read_fd));
}

static void pump_at_once(struct output *output)
{
	output->retry_at = 0;
	pump(output);
}

static void list_insert(struct output **head, struct output *output)
{
	output->next = *head;
	output->link = head;
	if (*head)
		(*head)->link = &output->next;
	*head = output;
}

static void list_remove(struct output *output)
{
	*output->link = output->next;
	if (output->next)
		output->next->link = output->link;
}

static void begin(struct output *output)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = output };

	list_insert(&output->outputs->all, output);
	pump_at_once(output);   /* opens the file: a failure is known before the first line */
	/* Cannot fail: it was added before. */
	epoll_ctl(output->outputs->epoll, EPOLL_CTL_MOD, output->read_fd, &event);
}

/* path: stolen. */
static void change(struct output *output, char *path, uint64_t max_size, unsigned keep)
{
	pump_at_once(output);   /* what was written before goes where it belonged */
	output->file.max_size = max_size;
	output->file.keep = keep;
	output->file.rotation_error = 0;   /* may have been of the old limits */
	if (strcmp(path, output->file.path) == 0) {
		free(output->file.next_path);
		output->file.next_path = NULL;
		free(path);
	} else {
		free(output->file.next_path);
		output->file.next_path = path;
	}
	pump_at_once(output);
}

static void end(struct output *output)
{
	pump_at_once(output);
	list_remove(output);
	epoll_ctl(output->outputs->epoll, EPOLL_CTL_DEL, output->read_fd, NULL);
	output_free(output);
}

static struct output *next_command(struct outputs *outputs, struct output *copy)
{
	struct output *output;

	pthread_mutex_lock(&outputs->lock);
	output = outputs->first_command;
	if (output) {
		outputs->first_command = output->next_command;
		if (!outputs->first_command)
			outputs->last_command = &outputs->first_command;
		copy->added = output->added;
		copy->removed = output->removed;
		copy->wanted_path = STEAL(output->wanted_path);
		copy->wanted_size = output->wanted_size;
		copy->wanted_keep = output->wanted_keep;
		output->queued = output->added = false;
	}
	pthread_mutex_unlock(&outputs->lock);
	return output;
}

static void obey(struct outputs *outputs)
{
	struct output *output, wanted;

	while ((output = next_command(outputs, &wanted))) {
		if (wanted.added)
			begin(output);
		if (wanted.wanted_path)
			change(output, wanted.wanted_path, wanted.wanted_size, wanted.wanted_keep);
		if (wanted.removed)
			end(output);
	}
}

static bool is_ending(struct outputs *outputs)
{
	bool ending;

	pthread_mutex_lock(&outputs->lock);
	ending = outputs->ending;
	pthread_mutex_unlock(&outputs->lock);
	return ending;
}

/* Commands come after all events of a turn: no event is left then of an output that they free. */
static void turn(struct outputs *outputs)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(outputs->epoll, events, EVENTS_MAX, -1);
	bool commanded = false;
	uint64_t number;

	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr)
			pump(events[i].data.ptr);
		else
			commanded = true;
	}
	if (commanded) {
		(void)!read(outputs->wakeup, &number, sizeof number);
		obey(outputs);
	}
}

static void *work(void *argument)
{
	struct outputs *outputs = argument;

	while (!is_ending(outputs))
		turn(outputs);
	obey(outputs);   /* what was said before the end */
	for (struct output *output = outputs->all; output; output = output->next)
		pump_at_once(output);
	return NULL;
}

/* --- The loop's side --- */

/* The lock is held: the thread has not taken the command yet, or takes it after this. */
static void command(struct output *output)
{
	struct outputs *outputs = output->outputs;

	if (output->queued)
		return;
	output->queued = true;
	output->next_command = NULL;
	*outputs->last_command = output;
	outputs->last_command = &output->next_command;
}

static void wake(struct outputs *outputs)
{
	uint64_t one = 1;

	(void)!write(outputs->wakeup, &one, sizeof one);   /* full: a wake-up is pending */
}

static void outputs_freep(struct outputs **outputs)
{
	outputs_free(*outputs, false);
}

int outputs_new(struct outputs **out, const char *directory)
{
	CLEANUP(outputs_freep) struct outputs *outputs = calloc(1, sizeof *outputs);
	struct epoll_event event = { .events = EPOLLIN };
	int r;

	if (!outputs)
		return -ENOMEM;
	outputs->epoll = outputs->wakeup = -1;
	pthread_mutex_init(&outputs->lock, NULL);
	outputs->last_command = &outputs->first_command;
	outputs->directory = strdup(directory);
	if (!outputs->directory)
		return -ENOMEM;
	r = output_scratch_init(&outputs->scratch);
	if (r < 0)
		return r;
	outputs->has_scratch = true;
	outputs->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (outputs->epoll < 0)
		return -errno;
	outputs->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (outputs->wakeup < 0)
		return -errno;
	if (epoll_ctl(outputs->epoll, EPOLL_CTL_ADD, outputs->wakeup, &event) < 0)
		return -errno;
	*out = STEAL(outputs);
	return 0;
}

void outputs_free(struct outputs *outputs, bool unlink_fifos)
{
	struct output *output;

	if (!outputs)
		return;
	if (outputs->running) {
		pthread_mutex_lock(&outputs->lock);
		outputs->ending = true;
		pthread_mutex_unlock(&outputs->lock);
		wake(outputs);
		pthread_join(outputs->thread, NULL);
	}
	while ((output = outputs->all)) {
		list_remove(output);
		if (unlink_fifos)
			unlink(output->fifo);
		output_free(output);
	}
	if (outputs->has_scratch)
		output_scratch_deinit(&outputs->scratch);
	if (outputs->epoll >= 0)
		close(outputs->epoll);
	if (outputs->wakeup >= 0)
		close(outputs->wakeup);
	pthread_mutex_destroy(&outputs->lock);
	free(outputs->directory);
	free(outputs);
}

/* No signal is the thread's: they are the loop's. */
static int start_thread(struct outputs *outputs)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int r;

	if (outputs->running)
		return 0;
	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&outputs->thread, &attr, work, outputs);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	outputs->running = r == 0;
	return -r;
}

/* -ESTALE: what is there is not what we made. Read-write, so that it never waits for a reader. */
static int open_fifo(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -ESTALE;
	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode) || st.st_uid != geteuid()) {
		close(fd);
		return -ESTALE;
	}
	if ((st.st_mode & 07777) != 0600)
		(void)fchmod(fd, 0600);
	return fd;
}

/* One that an earlier supervisor left is gone on with: it may hold lines, and a child that lives writes
 * into it. */
static int take_fifo(const char *path)
{
	int fd = open_fifo(path);

	if (fd == -ESTALE && unlink(path) < 0)
		return -errno;
	if (fd >= 0)
		return fd;
	if (mkfifo(path, 0600) < 0)
		return -errno;
	return open_fifo(path);
}

/* The reader has an open file description of its own, so that O_NONBLOCK is not the child's matter. */
static int open_pipe(struct output *output)
{
	char self[40];

	output->child_fd = take_fifo(output->fifo);
	if (output->child_fd < 0)
		return output->child_fd;
	snprintf(self, sizeof self, "/proc/self/fd/%d", output->child_fd);
	output->read_fd = open(self, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (output->read_fd < 0)
		return -errno;
	/* Best effort: a user has a limit for all his pipes together. */
	(void)fcntl(output->child_fd, F_SETPIPE_SZ, OUTPUT_PIPE_SIZE);
	return 0;
}

static int output_new(struct output **out, struct outputs *outputs, const char *name,
		      const char *file, uint64_t max_size, unsigned keep)
{
	CLEANUP(output_freep) struct output *output = calloc(1, sizeof *output);
	struct epoll_event quiet = { .events = 0 };
	char *path;
	int r;

	if (!output)
		return -ENOMEM;
	output->outputs = outputs;
	output->child_fd = output->read_fd = -1;
	path = strdup(file);
	output_file_init(&output->file, path, max_size, keep);
	output->name = strdup(name);
	if (!path || !output->name ||
	    asprintf(&output->fifo, "%s/%s.fifo", outputs->directory, name) < 0)
		return -ENOMEM;
	r = open_pipe(output);
	if (r < 0)
		return r;
	/* Here, where it can still be refused; the thread will want to hear of it. */
	if (epoll_ctl(outputs->epoll, EPOLL_CTL_ADD, output->read_fd, &quiet) < 0)
		return -errno;
	*out = STEAL(output);
	return 0;
}

int output_add(struct output **out, struct outputs *outputs, const char *name, const char *file,
	       uint64_t max_size, unsigned keep)
{
	struct output *output = NULL;
	int r = start_thread(outputs);

	if (r < 0)
		return r;
	r = output_new(&output, outputs, name, file, max_size, keep);
	if (!output)
		return r;
	pthread_mutex_lock(&outputs->lock);
	output->added = true;
	command(output);
	pthread_mutex_unlock(&outputs->lock);
	wake(outputs);
	*out = output;
	return 0;
}

bool output_is_there(const struct outputs *outputs, const char *name)
{
	char path[4200];

	snprintf(path, sizeof path, "%s/%s.fifo", outputs->directory, name);
	return access(path, F_OK) == 0;
}

int output_change(struct output *output, const char *file, uint64_t max_size, unsigned keep)
{
	struct outputs *outputs = output->outputs;
	char *path = strdup(file);

	if (!path)
		return -ENOMEM;
	pthread_mutex_lock(&outputs->lock);
	free(output->wanted_path);
	output->wanted_path = path;
	output->wanted_size = max_size;
	output->wanted_keep = keep;
	command(output);
	pthread_mutex_unlock(&outputs->lock);
	wake(outputs);
	return 0;
}

/* The name goes at once: the next output of this name must not find a FIFO that is about to go. */
void output_remove(struct output *output)
{
	struct outputs *outputs = output->outputs;

	unlink(output->fifo);
	pthread_mutex_lock(&outputs->lock);
	output->removed = true;
	command(output);
	pthread_mutex_unlock(&outputs->lock);
	wake(outputs);
}

/* O_NONBLOCK is of the description, which all incarnations share: one that set it must not leave it to
 * the next, whose writes would fail when the pipe is full. */
int output_fd(const struct output *output)
{
	(void)fcntl(output->child_fd, F_SETFL, 0);
	return output->child_fd;
}

void output_health(const struct output *output, struct output_health *out)
{
	pthread_mutex_lock(&output->outputs->lock);
	*out = output->health;
	pthread_mutex_unlock(&output->outputs->lock);
}
