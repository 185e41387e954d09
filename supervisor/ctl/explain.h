/* What happens at the next crash and at the ones after it, in words: a pure function of what the
 * supervisor says about an application, its configuration in force and its newest incarnations. */
#ifndef EPOCHD_CTL_EXPLAIN_H
#define EPOCHD_CTL_EXPLAIN_H

#include <jansson.h>

enum { EXPLAIN_INCARNATIONS = 200 };   /* so many are of use at most */

/* app: /v1/apps/NAME, with "config". incarnations: newest first; NULL: none are known. now: seconds
 * since 1970. A text of several lines, not made harmless, the caller's to free; NULL: memory is out. */
char *explain_app(const json_t *app, const json_t *incarnations, double now);
#endif
