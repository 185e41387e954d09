#include <config.h>

#include "supervisor/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

void log_setup(struct log_options wanted)
{
	options = wanted;
	under_systemd = getenv("JOURNAL_STREAM") != NULL;
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

static size_t format_json(char *line, size_t size, enum log_level level, const char *stamp,
			  const char *text)
{
	json_auto_t *object = json_pack("{s:s, s:s, s:s+}", "time", stamp, "level",
					level_name(level), "text", text, "");
	size_t length = object ? json_dumpb(object, line, size, JSON_COMPACT) : 0;

	if (!length || length >= size)   /* not UTF-8, or too long for one line */
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
	if (r < 0 && n >= 0 && (size_t)n < sizeof text) {
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
