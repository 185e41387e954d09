#include <config.h>

#include "supervisor/log.h"

#include <stdarg.h>
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

/* Of the thread that holds its lines back; NULL in the others. */
static char kept_lines[16384];
static _Thread_local char *kept;
static _Thread_local size_t kept_size;

/* Nobody is there to be told that the log cannot be written. */
static void write_out(const char *text, size_t size)
{
	(void)!write(STDERR_FILENO, text, size);
}

void log_hold(void)
{
	kept = kept_lines;
}

static void write_kept(void)
{
	if (kept_size)
		write_out(kept, kept_size);
	kept_size = 0;
}

void log_let_go(void)
{
	write_kept();
	kept = NULL;
}

static void keep(const char *line, size_t size)
{
	if (kept_size + size > sizeof kept_lines)
		write_kept();
	memcpy(kept + kept_size, line, size);
	kept_size += size;
}

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

PRINTF_LIKE(3, 0)
static void put(enum log_level level, int r, const char *format, va_list values)
{
	char text[1024], line[2304], stamp[40];
	struct timespec now;
	struct tm tm;
	size_t length;
	int n;

	if (level > options.level)
		return;
	n = vsnprintf(text, sizeof text, format, values);
	if (n < 0)
		return;
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
		length = format_json(line, sizeof line - 1, level, stamp, text);
	else if (under_systemd)
		length = (size_t)snprintf(line, sizeof line - 1, "<%d>%s", (int)level, text);
	else
		length = (size_t)snprintf(line, sizeof line - 1, "%s %-6s %s", stamp,
					  level_name(level), text);
	line[length++] = '\n';
	if (kept)
		keep(line, length);
	else
		write_out(line, length);
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
