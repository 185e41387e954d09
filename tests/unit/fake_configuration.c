/* What report and control need of configuration.h, for a test without that part. */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/configuration.h"

const char *config_signal_name(int signal)
{
	return signal == SIGTERM ? "SIGTERM" : signal == SIGKILL ? "SIGKILL" : NULL;
}

int config_parse_signal(const char *text, int *signal)
{
	if (strcmp(text, "HUP") != 0 && strcmp(text, "SIGHUP") != 0)
		return -EINVAL;
	*signal = SIGHUP;
	return 0;
}

int config_parse_time(const char *text, int64_t *ns)
{
	char *end;
	long long value = strtoll(text, &end, 10);

	if (strcmp(end, "ms") != 0 && strcmp(end, "s") != 0)
		return -EINVAL;
	*ns = value * (strcmp(end, "s") == 0 ? 1000000000 : 1000000);
	return 0;
}

int config_parse_size(const char *text, uint64_t *bytes)
{
	char *end;

	*bytes = strtoull(text, &end, 10);
	return *end ? -EINVAL : 0;
}

bool config_name_is_good(const char *name)
{
	return *name && strlen(name) < 64 && strspn(name, "abcdefghijklmnopqrstuvwxyz") == strlen(name);
}

const char *config_restart_name(enum restart_policy policy)
{
	static const char *const names[] = { "always", "on-failure", "never" };

	return names[policy];
}

const char *config_gc_name(enum gc gc)
{
	return gc == GC_COLLECT ? "collect" : "report";
}

const char *config_readiness_name(enum readiness readiness)
{
	static const char *const names[] = { "none", "notify", "attach" };

	return names[readiness];
}
