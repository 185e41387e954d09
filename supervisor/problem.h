/* Errors as RFC 9457 problem objects (application/problem+json). */
#ifndef EPOCHD_PROBLEM_H
#define EPOCHD_PROBLEM_H

#include <jansson.h>

#define PROBLEM_CONTENT_TYPE "application/problem+json"

/* type is about:blank, so title is the status' own phrase and detail says what went wrong in this
 * case and what to do. path: of the request. New reference; NULL when memory is out. */
json_t *problem_json(unsigned status, const char *detail, const char *path);
#endif
