/* The environment of an incarnation: ours (unless cleared) without what is meant for us, the configured
 * one over it, and what epochd tells it. */
#ifndef EPOCHD_ENVIRONMENT_H
#define EPOCHD_ENVIRONMENT_H

#include <stdint.h>

struct app_config;

struct environment_values {
	const char *instance;
	const char *socket;             /* api.sock */
	const char *token;
	uint32_t epoch;
	const char *notify_socket;      /* NULL: none */
	int64_t watchdog;               /* ns; 0: off */
};

/* One block: free(*out) frees all. -ENOMEM. */
int environment_make(char ***out, const struct app_config *config,
		     const struct environment_values *values);
/* The value of a variable in such a list; NULL if it is not there. */
const char *environment_get(char *const *environment, const char *name);
#endif
