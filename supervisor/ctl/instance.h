/* Which supervisor to talk to: by its name, or the only one that runs. */
#ifndef EPOCHD_CTL_INSTANCE_H
#define EPOCHD_CTL_INSTANCE_H

#include <stddef.h>

enum { INSTANCES_MAX = 64 };

/* One folder of the runtime directory that has a control.sock. */
struct instance {
	char *name;
	int r;   /* of connecting: 0: it runs; -EACCES; -ECONNREFUSED, ... */
};

struct instances {
	struct instance all[INSTANCES_MAX];   /* in order of name */
	size_t count;
	size_t running;
};

/* 0, also if there is none; a negative errno if the directory cannot be read (-ENOENT: it is not
 * there). */
int instances_find(struct instances *out, const char *base);
void instances_clear(struct instances *instances);

/* Whether somebody listens: 0, or negative errno. path: of any length. */
int instance_probe(const char *base, const char *name);
#endif
