/* The sd_notify protocol, upward: epochd tells whoever started it. */
#ifndef EPOCHD_UPWARD_H
#define EPOCHD_UPWARD_H

#include <stdint.h>

struct ev_loop;
struct upward;

/* Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment and removes them from it.
 * *out is NULL when nobody wants to be told. Keeps the watchdog fed from the loop (a timer at half the
 * interval; none when it is off). */
int upward_open(struct upward **out, struct ev_loop *loop);
void upward_close(struct upward *upward);   /* NULL is fine, here and below */
void upward_ready(struct upward *upward);
void upward_status(struct upward *upward, const char *text);
void upward_reloading(struct upward *upward);   /* with MONOTONIC_USEC */
void upward_stopping(struct upward *upward);
void upward_extend(struct upward *upward, int64_t ns);   /* EXTEND_TIMEOUT_USEC */
#endif
