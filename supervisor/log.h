/* Logging: one line each on stderr, subject first, reason last. Under systemd with an "<N>" priority,
 * otherwise with time and level; as JSON lines on request. The daemon logs where it decides; the
 * store and apilib never do. Thread-safe; a line is never cut in two by a pipe. */
#ifndef EPOCHD_LOG_H
#define EPOCHD_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_NOTICE = 5, LOG_LEVEL_DEBUG = 7 };

struct log_options {
	enum log_level level;   /* what is more verbose is not written */
	bool json;
};
void log_setup(struct log_options options);

/* Until log_start() and after log_stop() a line is written before the call returns, in between by a
 * thread, so that no caller waits for stderr (I9). About 1 MiB waits for one that takes nothing; what is
 * beyond is dropped, and how much that was is said where it is missing. */
enum { LOG_PATIENCE = 1 };   /* seconds */
int log_start(void);
/* What waits is written, unless stderr does not take it in LOG_PATIENCE. No other thread logs any more. */
void log_stop(void);

/* Until log_let_go() this thread's lines do not wake the one that writes: so that a turn of the loop
 * that restarts an application writes after it has. */
void log_hold(void);
void log_let_go(void);

/* r: 0 or a negative errno, whose text is appended after ": ". Each returns r. */
int log_error(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));
int log_notice(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));
int log_debug(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
