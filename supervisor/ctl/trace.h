/* `epochctl trace`: what its files share. */
#ifndef EPOCHD_CTL_TRACE_H
#define EPOCHD_CTL_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/trace_file.h"

struct range { uint64_t first, last; };

/* Of --range; all, without it. EXIT_USAGE: it was told. */
int trace_range(const struct ctl *ctl, struct range *out);
/* Complains. */
int trace_open_file(struct trace_file **out, const char *path);
void trace_close_file(struct trace_file **file);   /* for CLEANUP */

int trace_show(struct ctl *ctl, const char *path);
int trace_replay(struct ctl *ctl, const char *path, const char *app);
#endif
