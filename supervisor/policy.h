/* What happens after an incarnation ended: pure functions of the configuration and the end, so that the
 * supervisor and its tests look at the same rules. */
#ifndef EPOCHD_POLICY_H
#define EPOCHD_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "apilib/fence.h"

struct app_config;

/* An end that nobody asked for and that says that something is wrong: all but exit code 0, and HUP, INT,
 * TERM and PIPE, by which a program is told to end. */
bool policy_is_failure(const struct ep_end *end);
/* Does the restart policy want the next incarnation? Asked, reconfigured and group ends are not its
 * matter. */
bool policy_restarts(const struct app_config *config, const struct ep_end *end);
/* Does a restart for this cause count towards intensity? */
bool policy_counts(enum ep_cause cause);
/* ns before the next start; failures: in a row, this one counted (1: the first). random: 0 to 1. */
int64_t policy_delay(const struct app_config *config, unsigned failures, double random);
#endif
