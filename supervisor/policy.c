#include <config.h>

#include "supervisor/policy.h"

#include <signal.h>

#include "supervisor/configuration.h"

bool policy_is_failure(const struct ep_end *end)
{
	if (end->cause != EP_CRASHED && end->cause != EP_EXITED)
		return true;
	if (end->kind == EP_END_CODE)
		return end->value != 0;
	return end->value != SIGHUP && end->value != SIGINT && end->value != SIGTERM &&
	       end->value != SIGPIPE;
}

bool policy_restarts(const struct app_config *config, const struct ep_end *end)
{
	switch (config->restart) {
	case RESTART_ALWAYS:
		return true;
	case RESTART_ON_FAILURE:
		return policy_is_failure(end);
	case RESTART_NEVER:
		break;
	}
	return false;
}

bool policy_counts(enum ep_cause cause)
{
	return cause != EP_NO_CAUSE && cause != EP_ASKED && cause != EP_RECONFIGURED &&
	       cause != EP_GROUP && cause != EP_BOOT;
}

int64_t policy_delay(const struct app_config *config, unsigned failures, double random)
{
	double delay = (double)config->backoff.initial;
	double most = (double)config->backoff.max;

	for (unsigned i = 1; i < failures && delay < most; i++)
		delay *= config->backoff.factor;
	if (delay > most)
		delay = most;
	return (int64_t)(delay * (1 + config->backoff.jitter * (2 * random - 1)));
}
