/* The configuration in force, in the words of epochd.conf(5). */
#include <config.h>

#include "supervisor/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/configuration.h"

/* Whole seconds or milliseconds wherever that says it exactly: "60s", "250ms". */
static json_t *time_json(int64_t ns)
{
	char text[40];

	if (ns % 1000000000 == 0)
		snprintf(text, sizeof text, "%" PRId64 "s", ns / 1000000000);
	else if (ns % 1000000 == 0)
		snprintf(text, sizeof text, "%" PRId64 "ms", ns / 1000000);
	else if (ns % 1000 == 0)
		snprintf(text, sizeof text, "%" PRId64 "us", ns / 1000);
	else
		snprintf(text, sizeof text, "%" PRId64 "ns", ns);
	return json_string(text);
}

static json_t *size_json(uint64_t bytes)
{
	static const char unit[] = "\0KMGT";
	unsigned power = 0;
	char text[40];

	while (bytes && bytes % 1024 == 0 && power < 4) {
		bytes /= 1024;
		power++;
	}
	snprintf(text, sizeof text, "%" PRIu64 "%.1s", bytes, power ? &unit[power] : "");
	return json_string(text);
}

/* An empty list is NULL in the configuration and [] here. */
static json_t *list_json(char *const *list)
{
	json_auto_t *array = json_array();

	for (; array && list && *list; list++)
		if (json_array_append_new(array, report_text(*list)) < 0)
			return NULL;
	return json_incref(array);
}

/* Names only: the values hold secrets. */
static json_t *environment_json(char *const *environment)
{
	json_auto_t *array = json_array();

	for (; array && environment && *environment; environment++) {
		size_t length = strcspn(*environment, "=");
		char name[256];

		snprintf(name, sizeof name, "%.*s", (int)length, *environment);
		if (json_array_append_new(array, report_text(name)) < 0)
			return NULL;
	}
	return json_incref(array);
}

static const struct {
	int resource;
	const char *name;
} limits[] = {
	{ RLIMIT_AS, "as" },
	{ RLIMIT_CORE, "core" },
	{ RLIMIT_CPU, "cpu" },
	{ RLIMIT_DATA, "data" },
	{ RLIMIT_FSIZE, "fsize" },
	{ RLIMIT_LOCKS, "locks" },
	{ RLIMIT_MEMLOCK, "memlock" },
	{ RLIMIT_MSGQUEUE, "msgqueue" },
	{ RLIMIT_NICE, "nice" },
	{ RLIMIT_NOFILE, "nofile" },
	{ RLIMIT_NPROC, "nproc" },
	{ RLIMIT_RSS, "rss" },
	{ RLIMIT_RTPRIO, "rtprio" },
	{ RLIMIT_RTTIME, "rttime" },
	{ RLIMIT_SIGPENDING, "sigpending" },
	{ RLIMIT_STACK, "stack" },
};

static const char *limit_name(int resource)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (limits[i].resource == resource)
			return limits[i].name;
	return "?";
}

static void limit_text(char *text, size_t size, rlim_t value)
{
	if (value == RLIM_INFINITY)
		snprintf(text, size, "unlimited");
	else
		snprintf(text, size, "%" PRIu64, (uint64_t)value);
}

static json_t *limit_json(const struct rlimit *limit)
{
	char soft[24], hard[24], both[64];

	limit_text(soft, sizeof soft, limit->rlim_cur);
	limit_text(hard, sizeof hard, limit->rlim_max);
	if (limit->rlim_cur == limit->rlim_max)
		return json_string(soft);
	snprintf(both, sizeof both, "%s:%s", soft, hard);
	return json_string(both);
}

static json_t *limits_json(const struct app_config *config)
{
	json_auto_t *object = json_object();

	for (size_t i = 0; object && i < config->limit_count; i++)
		if (json_object_set_new(object, limit_name(config->limits[i].resource),
					limit_json(&config->limits[i].value)) < 0)
			return NULL;
	return json_incref(object);
}

static json_t *umask_json(mode_t mask)
{
	char text[16];

	snprintf(text, sizeof text, "%04o", (unsigned)mask);
	return json_string(text);
}

static json_t *backoff_json(const struct app_config *config)
{
	return json_pack("{s:o, s:f, s:o, s:f, s:o}",
			 "initial", time_json(config->backoff.initial),
			 "factor", config->backoff.factor,
			 "max", time_json(config->backoff.max),
			 "jitter", config->backoff.jitter,
			 "reset-after", time_json(config->backoff.reset_after));
}

static json_t *intensity_json(const struct app_config *config)
{
	return json_pack("{s:I, s:o}",
			 "restarts", (json_int_t)config->intensity.restarts,
			 "within", time_json(config->intensity.within));
}

static json_t *stop_signal_json(int signal)
{
	const char *name = config_signal_name(signal);
	char number[16];

	snprintf(number, sizeof number, "%d", signal);
	return json_string(name ? name : number);
}

static json_t *health_json(const struct app_config *config)
{
	if (!config->health.command)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:I, s:o}",
			 "command", list_json(config->health.command),
			 "interval", time_json(config->health.interval),
			 "timeout", time_json(config->health.timeout),
			 "failures", (json_int_t)config->health.failures,
			 "after", time_json(config->health.after));
}

static json_t *output_json(const struct app_config *config)
{
	if (!config->output.file)
		return json_null();
	return json_pack("{s:o, s:o, s:I}",
			 "file", report_text(config->output.file),
			 "max-size", size_json(config->output.max_size),
			 "keep", (json_int_t)config->output.keep);
}

static json_t *clients_json(const struct app_config *config)
{
	json_t *allow = json_array();

	for (size_t i = 0; allow && i < config->clients.allow_count; i++)
		json_array_append_new(allow, report_text(config->clients.allow[i].text));
	return json_pack("{s:I, s:I, s:o, s:o, s:o}",
			 "max", (json_int_t)config->clients.max,
			 "max-per-user", (json_int_t)config->clients.max_per_user,
			 "large", size_json(config->clients.large),
			 "large-per-user", size_json(config->clients.large_per_user),
			 "allow", allow);
}

static json_t *channel_json(const struct ep_geometry *channel)
{
	json_t *buffers = json_array();

	for (uint32_t i = 0; buffers && i < channel->classes; i++)
		json_array_append_new(buffers, json_sprintf("%ux%u", channel->class[i].count,
							    channel->class[i].size));
	return json_pack("{s:I, s:o}", "ring", (json_int_t)channel->ring, "buffers", buffers);
}

static json_t *keepalive_json(const struct app_config *config)
{
	return json_pack("{s:o, s:I, s:o}",
			 "interval", time_json(config->keepalive.interval),
			 "misses", (json_int_t)config->keepalive.misses,
			 "reap-lazy", config->keepalive.reap_lazy < 0 ? json_string("never") :
				      time_json(config->keepalive.reap_lazy));
}

static json_t *trace_json(const struct app_config *config)
{
	return json_pack("{s:b, s:o, s:I, s:b, s:I}",
			 "on", config->trace.on, "size", size_json(config->trace.size),
			 "messages", (json_int_t)config->trace.messages, "first", config->trace.first,
			 "saved", (json_int_t)config->trace.saved);
}

static json_t *origin_json(const struct app_config *config)
{
	if (!config->origin)
		return json_null();
	return json_pack("{s:o, s:I}",
			 "file", report_text(config->origin),
			 "line", (json_int_t)config->line);
}

json_t *report_config_json(const struct app_config *config)
{
	return json_pack("{s:o, s:o, s:b, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:b, s:o, s:s, s:o, s:o, s:s, "
			 "s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o}",
			 "origin", origin_json(config),
			 "command", list_json(config->command),
			 "external", config->external,
			 "directory", report_text(config->directory),
			 "environment", environment_json(config->environment),
			 "clear-environment", config->clear_environment,
			 "user", report_text(config->user),
			 "group", report_text(config->group),
			 "groups", list_json(config->group_names),
			 "umask", umask_json(config->umask),
			 "no-new-privileges", config->no_new_privileges,
			 "limits", limits_json(config),
			 "restart", config_restart_name(config->restart),
			 "backoff", backoff_json(config),
			 "intensity", intensity_json(config),
			 "readiness", config_readiness_name(config->readiness),
			 "start-timeout", time_json(config->start_timeout),
			 "stop-signal", stop_signal_json(config->stop_signal),
			 "stop-timeout", time_json(config->stop_timeout),
			 "watchdog", time_json(config->watchdog),
			 "health", health_json(config),
			 "after", list_json(config->after),
			 "group-of", report_text(config->group_of),
			 "output", output_json(config),
			 "clients", clients_json(config),
			 "channel", channel_json(&config->channel),
			 "gc-timeout", time_json(config->gc_timeout),
			 "gc", config_gc_name(config->gc),
			 "keepalive", keepalive_json(config),
			 "trace", trace_json(config),
			 "shm", list_json(config->shm));
}
