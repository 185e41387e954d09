/* The watchdog of an application that attaches: it is asked as its clients are, and the answer of the thread that
 * dispatches is as good as WATCHDOG=1. One that is busy answers late; then what it took out of its rings counts. */
#ifndef EPOCHD_PULSE_H
#define EPOCHD_PULSE_H

#include <stdbool.h>
#include <stdint.h>

#include <ev.h>

struct service;

struct pulse {
	ev_timer ask;
	uint64_t asked;       /* PINGs */
	uint64_t taken;       /* what all rings' counters added up to */
	struct service *service;
};

void pulse_init(struct pulse *pulse, struct service *service);
/* It is up and attached, or its watchdog changed: asks from now on, if it is to be watched. */
void pulse_start(struct pulse *pulse);
void pulse_stop(struct pulse *pulse);
/* Its watchdog is due: has it taken messages since the last time that it was? */
bool pulse_has_moved(struct pulse *pulse);
/* A PING of that serial was sent. */
static inline bool pulse_asked(const struct pulse *pulse, uint64_t serial) { return serial && serial <= pulse->asked; }
#endif
