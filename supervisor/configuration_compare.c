#include <config.h>

#include "supervisor/configuration.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_list(char *const *a, char *const *b)
{
	if (!a || !b)
		return a == b;
	for (; *a && *b; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return *a == *b;   /* both at their end */
}

static bool same_identity(const struct app_config *a, const struct app_config *b)
{
	if (a->uid != b->uid || a->gid != b->gid || a->set_groups != b->set_groups ||
	    a->group_count != b->group_count)
		return false;
	if (a->group_count && memcmp(a->groups, b->groups, a->group_count * sizeof *a->groups) != 0)
		return false;
	return same_text(a->user, b->user) && same_text(a->home, b->home) &&
	       same_text(a->shell, b->shell);
}

static bool same_limits(const struct app_config *a, const struct app_config *b)
{
	if (a->limit_count != b->limit_count)
		return false;
	for (size_t i = 0; i < a->limit_count; i++) {   /* both in order of resource */
		const struct limit_config *x = &a->limits[i], *y = &b->limits[i];

		if (x->resource != y->resource || x->value.rlim_cur != y->value.rlim_cur ||
		    x->value.rlim_max != y->value.rlim_max)
			return false;
	}
	return true;
}

/* What a process is given at its start, and cannot be given later. The watchdog's time is among it
 * (WATCHDOG_USEC): with a shorter one a healthy program would be killed for keeping the old one. */
static bool same_start(const struct app_config *a, const struct app_config *b)
{
	return a->external == b->external && same_list(a->command, b->command) &&
	       same_text(a->directory, b->directory) &&
	       same_list(a->environment, b->environment) &&
	       a->clear_environment == b->clear_environment &&
	       same_identity(a, b) &&
	       a->umask == b->umask &&
	       same_limits(a, b) &&
	       a->no_new_privileges == b->no_new_privileges &&
	       a->readiness == b->readiness &&
	       a->watchdog == b->watchdog &&
	       same_text(a->output.file, b->output.file);
}

static bool same_backoff(const struct app_config *a, const struct app_config *b)
{
	/* Both were read from text: the same text gives the same double. */
	return a->backoff.initial == b->backoff.initial && a->backoff.max == b->backoff.max &&
	       a->backoff.reset_after == b->backoff.reset_after &&
	       !(a->backoff.factor < b->backoff.factor || a->backoff.factor > b->backoff.factor) &&
	       !(a->backoff.jitter < b->backoff.jitter || a->backoff.jitter > b->backoff.jitter);
}

static bool same_health(const struct app_config *a, const struct app_config *b)
{
	return same_list(a->health.command, b->health.command) &&
	       a->health.interval == b->health.interval &&
	       a->health.timeout == b->health.timeout &&
	       a->health.after == b->health.after &&
	       a->health.failures == b->health.failures;
}

static bool same_clients(const struct app_config *a, const struct app_config *b)
{
	if (a->clients.max != b->clients.max || a->clients.max_per_user != b->clients.max_per_user ||
	    a->clients.large != b->clients.large || a->clients.large_per_user != b->clients.large_per_user ||
	    a->clients.allow_count != b->clients.allow_count)
		return false;
	for (size_t i = 0; i < a->clients.allow_count; i++)
		if (!same_text(a->clients.allow[i].text, b->clients.allow[i].text))
			return false;
	return true;
}

static bool same_channel(const struct ep_geometry *a, const struct ep_geometry *b)
{
	if (a->ring != b->ring || a->classes != b->classes)
		return false;
	for (uint32_t i = 0; i < a->classes; i++)
		if (a->class[i].size != b->class[i].size || a->class[i].count != b->class[i].count)
			return false;
	return true;
}

static bool same_policy(const struct app_config *a, const struct app_config *b)
{
	return a->restart == b->restart &&
	       same_backoff(a, b) &&
	       a->intensity.restarts == b->intensity.restarts &&
	       a->intensity.within == b->intensity.within &&
	       a->start_timeout == b->start_timeout &&
	       a->stop_signal == b->stop_signal &&
	       a->stop_timeout == b->stop_timeout &&
	       same_health(a, b) &&
	       same_clients(a, b) &&
	       same_channel(&a->channel, &b->channel) &&
	       a->gc_timeout == b->gc_timeout && a->gc == b->gc &&
	       a->keepalive.interval == b->keepalive.interval &&
	       a->keepalive.misses == b->keepalive.misses &&
	       a->keepalive.reap_lazy == b->keepalive.reap_lazy &&
	       a->trace.on == b->trace.on && a->trace.first == b->trace.first &&
	       a->trace.size == b->trace.size && a->trace.messages == b->trace.messages &&
	       a->trace.saved == b->trace.saved &&
	       same_list(a->shm, b->shm) &&
	       same_list(a->after, b->after) &&
	       same_text(a->group_of, b->group_of) &&
	       a->output.max_size == b->output.max_size &&
	       a->output.keep == b->output.keep;
}

enum config_change config_app_compare(const struct app_config *was, const struct app_config *is)
{
	if (!same_start(was, is))
		return CONFIG_RESPAWN;
	return same_policy(was, is) ? CONFIG_SAME : CONFIG_LIVE;
}
