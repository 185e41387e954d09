#include <config.h>

#include "supervisor/log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

/* Set once, before there is a second thread. */
static struct log_options options = { .level = LOG_LEVEL_NOTICE };
static bool under_systemd;

enum {
	LINE_SIZE = 2304,
	ROOM_AT_FIRST = 4096,
	ROOM_AT_MOST = 1 << 20,    /* what waits for a stderr that takes nothing */
	WAKE_AT = 64 * 1024,       /* held lines are so many that their writing has to begin */
	STACK_SIZE = 256 * 1024,
};

/* I9: stderr is shared with whoever else writes to it, and its open file description with them all, so
 * that O_NONBLOCK is not ours to set. A thread may wait for it, the loop never does. */
static struct {
	pthread_mutex_t lock;      /* held for copies in memory, never across a write */
	pthread_cond_t work, end;
	pthread_t thread;
	bool running, ending, ended;
	char *text;                /* taken as a whole, so that its memory goes when it is written */
	size_t size, room;
	uint64_t dropped;          /* lines, after those in `text` */
} waiting = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Thread_local bool held;

/* ---- to stderr ---- */

/* Nobody is there to be told that the log cannot be written. */
static void write_all(const char *text, size_t size)
{
	struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };

	while (size) {
		ssize_t n = write(STDERR_FILENO, text, size);

		if (n > 0) {
			text += n;
			size -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {   /* somebody has set O_NONBLOCK */
			poll(&room, 1, -1);
		} else if (n == 0 || errno != EINTR) {
			return;
		}
	}
}

/* As many whole lines at once as a pipe takes without mixing them with what others write. */
static void write_out(const char *text, size_t size)
{
	static_assert(LINE_SIZE <= PIPE_BUF, "a line is one write");

	while (size) {
		size_t n = size;

		if (n > PIPE_BUF)
			n = (size_t)((const char *)memrchr(text, '\n', PIPE_BUF) - text) + 1;
		write_all(text, n);
		text += n;
		size -= n;
	}
}

/* ---- what waits for the thread ---- */

/* With the lock held. */
static bool something_waits(void)
{
	return waiting.size || waiting.dropped;
}

/* With the lock held. */
static bool make_room(size_t size)
{
	size_t room = waiting.room ? waiting.room : ROOM_AT_FIRST;
	char *grown;

	while (waiting.size + size > room)
		room *= 2;
	if (room == waiting.room)
		return true;
	grown = room <= ROOM_AT_MOST ? realloc(waiting.text, room) : NULL;
	if (!grown)
		return false;
	waiting.text = grown;
	waiting.room = room;
	return true;
}

/* With the lock held. */
static void append(const char *line, size_t size)
{
	if (waiting.dropped || !make_room(size)) {   /* none after a gap before its note */
		waiting.dropped++;
	} else {
		memcpy(waiting.text + waiting.size, line, size);
		waiting.size += size;
	}
	if (!held || waiting.size >= WAKE_AT)
		pthread_cond_signal(&waiting.work);
}

static void hand_over(const char *line, size_t size)
{
	bool at_once;

	pthread_mutex_lock(&waiting.lock);
	at_once = !waiting.running;
	if (!at_once)
		append(line, size);
	pthread_mutex_unlock(&waiting.lock);
	if (at_once)
		write_out(line, size);
}

void log_hold(void)
{
	held = true;
}

void log_let_go(void)
{
	held = false;
	pthread_mutex_lock(&waiting.lock);
	if (something_waits())
		pthread_cond_signal(&waiting.work);
	pthread_mutex_unlock(&waiting.lock);
}

/* ---- lines ---- */

/* Inherited by all of a session started by systemd, so that it must be our stderr that it names. */
static bool is_the_journal(const char *stream)
{
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_setup(struct log_options wanted)
{
	options = wanted;
	under_systemd = is_the_journal(getenv("JOURNAL_STREAM"));
}

static const char *level_name(enum log_level level)
{
	return level <= LOG_LEVEL_ERROR ? "error" : level <= LOG_LEVEL_NOTICE ? "notice" : "debug";
}

/* No line of ours is cut in two by a newline in somebody's text. */
static void one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = ' ';
}

/* Where it was cut there may be a part of a character. */
static void drop_last_character(char *text)
{
	size_t length = strlen(text);

	while (length && ((unsigned char)text[length - 1] & 0xc0) == 0x80)
		length--;
	if (length && (unsigned char)text[length - 1] >= 0xc0)
		length--;
	text[length] = '\0';
}

static void only_ascii(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text > 126)
			*text = '?';
}

static size_t format_json(char *line, size_t size, enum log_level level, const char *stamp,
			  char *text)
{
	json_auto_t *string = json_string(text);
	json_auto_t *object;
	size_t length;

	if (!string)   /* not UTF-8 */
		only_ascii(text);
	object = json_pack("{s:s, s:s, s:s}", "time", stamp, "level", level_name(level), "text", text);
	length = object ? json_dumpb(object, line, size, JSON_COMPACT) : 0;
	if (!length || length >= size)   /* memory is out */
		length = (size_t)snprintf(line, size, "{\"time\":\"%s\",\"level\":\"%s\",\"text\":"
					  "\"(not printable)\"}", stamp, level_name(level));
	return length;
}

/* Its length, with the newline. */
PRINTF_LIKE(4, 0)
static size_t make_line(char line[static LINE_SIZE], enum log_level level, int r, const char *format,
			va_list values)
{
	char text[1024], stamp[40];
	struct timespec now;
	struct tm tm;
	size_t length;
	int n = vsnprintf(text, sizeof text, format, values);

	if (n < 0)
		text[0] = '\0';
	if ((size_t)n >= sizeof text)
		drop_last_character(text);
	else if (r < 0) {
		char buffer[128];

		snprintf(text + n, sizeof text - (size_t)n, ": %s",
			 strerror_r(-r, buffer, sizeof buffer));
	}
	one_line(text);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	length = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(stamp + length, sizeof stamp - length, ".%03ldZ", now.tv_nsec / 1000000);
	if (options.json)
		length = format_json(line, LINE_SIZE - 1, level, stamp, text);
	else if (under_systemd)
		length = (size_t)snprintf(line, LINE_SIZE - 1, "<%d>%s", (int)level, text);
	else
		length = (size_t)snprintf(line, LINE_SIZE - 1, "%s %-6s %s", stamp,
					  level_name(level), text);
	line[length++] = '\n';
	return length;
}

PRINTF_LIKE(3, 0)
static void put(enum log_level level, int r, const char *format, va_list values)
{
	char line[LINE_SIZE];

	if (level <= options.level)
		hand_over(line, make_line(line, level, r, format, values));
}

#define PUT(level)                            \
	do {                                  \
		va_list values;               \
					      \
		va_start(values, format);     \
		put(level, r, format, values); \
		va_end(values);               \
	} while (0)

int log_error(int r, const char *format, ...)
{
	PUT(LOG_LEVEL_ERROR);
	return r;
}

int log_notice(int r, const char *format, ...)
{
	PUT(LOG_LEVEL_NOTICE);
	return r;
}

int log_debug(int r, const char *format, ...)
{
	PUT(LOG_LEVEL_DEBUG);
	return r;
}

/* ---- the thread ---- */

struct batch {
	char *text;
	size_t size;
	uint64_t dropped;
};

/* With the lock held. Awaits what is to be written; false: nothing will come any more. */
static bool take(struct batch *out)
{
	while (!something_waits() && !waiting.ending)
		pthread_cond_wait(&waiting.work, &waiting.lock);
	if (!something_waits())
		return false;
	*out = (struct batch){ waiting.text, waiting.size, waiting.dropped };
	waiting.text = NULL;
	waiting.size = waiting.room = 0;
	waiting.dropped = 0;
	return true;
}

PRINTF_LIKE(1, 2)
static void write_error(const char *format, ...)
{
	char line[LINE_SIZE];
	va_list values;

	va_start(values, format);
	write_out(line, make_line(line, LOG_LEVEL_ERROR, 0, format, values));
	va_end(values);
}

static void write_batch(const struct batch *batch)
{
	write_out(batch->text, batch->size);
	free(batch->text);
	if (batch->dropped)
		write_error("log: %llu line%s dropped: stderr took nothing for too long",
			    (unsigned long long)batch->dropped, batch->dropped == 1 ? "" : "s");
}

static void *write_what_waits(void *unused)
{
	struct batch batch;

	/* Woken near the exec of a restart, it must not take that one's processor. */
	(void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 });
	pthread_mutex_lock(&waiting.lock);
	while (take(&batch)) {
		pthread_mutex_unlock(&waiting.lock);
		write_batch(&batch);
		pthread_mutex_lock(&waiting.lock);
	}
	waiting.ended = true;
	pthread_cond_signal(&waiting.end);
	pthread_mutex_unlock(&waiting.lock);
	return unused;
}

static int start_thread(void)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int r = pthread_attr_init(&attr);

	if (r)
		return -r;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);   /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&waiting.thread, &attr, write_what_waits, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

int log_start(void)
{
	pthread_condattr_t monotonic;
	int r;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&waiting.work, NULL);
	pthread_cond_init(&waiting.end, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = start_thread();
	waiting.running = r == 0;
	return r;
}

/* False: stderr does not take it. */
static bool await_the_rest(void)
{
	struct timespec until;
	bool ended;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOG_PATIENCE;
	pthread_mutex_lock(&waiting.lock);
	waiting.ending = true;
	pthread_cond_signal(&waiting.work);
	while (!waiting.ended && r == 0)
		r = pthread_cond_timedwait(&waiting.end, &waiting.lock, &until);
	ended = waiting.ended;
	waiting.running = !ended;
	pthread_mutex_unlock(&waiting.lock);
	return ended;
}

void log_stop(void)
{
	if (!waiting.running)
		return;
	if (await_the_rest())
		pthread_join(waiting.thread, NULL);
	else   /* it is in a write that may never return, and ends with the process */
		pthread_detach(waiting.thread);
}
