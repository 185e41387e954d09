/* Logging: one line each on stderr, subject first, reason last. Under systemd with an "<N>" priority,
 * otherwise with time and level; as JSON lines on request. The daemon logs where it decides; the
 * store and apilib never do. Thread-safe; a line is one write(2). */
#ifndef EPOCHD_LOG_H
#define EPOCHD_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_NOTICE = 5, LOG_LEVEL_DEBUG = 7 };

struct log_options {
	enum log_level level;   /* what is more verbose is not written */
	bool json;
};
void log_setup(struct log_options options);

/* r: 0 or a negative errno, whose text is appended after ": ". Each returns r. */
int log_error(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));
int log_notice(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));
int log_debug(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
