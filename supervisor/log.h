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

/* This thread's lines are kept (16 KiB of them) until log_let_go(), which writes them at once: so that a
 * turn of the loop that restarts an application writes after it has. One thread at most holds. */
void log_hold(void);
void log_let_go(void);

/* r: 0 or a negative errno, whose text is appended after ": ". Each returns r. */
int log_error(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));
int log_notice(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));
int log_debug(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
