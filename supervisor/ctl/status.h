/* The table of `epochctl status`: a pure function of the stats document. */
#ifndef EPOCHD_CTL_STATUS_H
#define EPOCHD_CTL_STATUS_H

#include <stdio.h>

#include <jansson.h>

struct table;
struct table_style;

/* names: only these applications (NULL at the end); NULL: all. now: seconds since 1970. The warnings of
 * the supervisor stand below it. -ENOMEM; -EINVAL: this is no stats document. */
int status_print(FILE *out, const json_t *stats, char *const *names, double now,
		 const struct table_style *style);

/* One of them is fatal or held. */
int status_is_bad(const json_t *stats, char *const *names);

/* "SIGKILL", "exit 1", "watchdog SIGABRT": how an incarnation ended, from its "cause", "code",
 * "signal", "oom". "" if it has not. */
const char *status_exit(char buffer[96], const json_t *end);
#endif
