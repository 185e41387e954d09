#include <config.h>

#include "supervisor/fault.h"

#ifdef EPOCHD_FAULTS
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[FAULTS_COUNT] = {
#define FAULT_NAME(name) [FAULT_##name] = #name,
	FAULT_POINTS(FAULT_NAME)
#undef FAULT_NAME
};

void fault_list(void)
{
	for (int i = 0; i < FAULTS_COUNT; i++)
		puts(names[i]);
}

void fault_point(enum fault fault)
{
	static int passings;
	const char *armed = getenv("EPOCHD_FAULT");
	size_t length = armed ? strcspn(armed, ":") : 0;

	if (!armed || strlen(names[fault]) != length || strncmp(armed, names[fault], length) != 0)
		return;
	if (++passings >= (armed[length] ? atoi(armed + length + 1) : 1))
		kill(getpid(), SIGKILL);
}
#else
/* ISO C wants a declaration in every file. */
extern int fault_points_are_off;
#endif
