/* The numbers of the stats document for Prometheus and its kin. */
#ifndef EPOCHD_METRICS_H
#define EPOCHD_METRICS_H

#include <stdbool.h>
#include <stddef.h>

struct epochd;

/* The two ways to write the same numbers. They differ in the name of a counter's family, which in
 * OpenMetrics lacks the _total of its samples, so no one text can please the parsers of both. */
enum metrics_format { METRICS_TEXT, METRICS_OPENMETRICS };

const char *metrics_content_type(enum metrics_format format);
/* By the Accept header (NULL: none): OpenMetrics for whoever names it. */
enum metrics_format metrics_negotiate(const char *accept);
/* malloc'd, *size without the NUL; NULL when memory is out. */
char *metrics_text(const struct epochd *epochd, enum metrics_format format, size_t *size);
#endif
