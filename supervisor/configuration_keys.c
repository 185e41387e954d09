#include <config.h>

#include "supervisor/configuration_load.h"
#include "apilib/handle.h"
#include "apilib/trace.h"
#include "supervisor/shm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <confuse.h>
#include <jansson.h>

#define ENTRY_MAX ((size_t)128 << 10)   /* the kernel's MAX_ARG_STRLEN */

/* The words of one field each. All of them get text that is UTF-8. */

static bool is_printable(const char *value)
{
	for (; *value; value++)
		if ((unsigned char)*value < ' ' || *value == 127)
			return false;
	return true;
}

static const char *keep(struct load *load, const char *value, void *field)
{
	char **text = field;

	free(*text);
	*text = load_strdup(load, value);
	return NULL;
}

static const char *store_name(struct load *load, const struct key *key, const char *value,
			      void *field)
{
	(void)key;
	if (!config_name_is_good(value))
		return "a name of letters, digits, \"_\", \".\" and \"-\", at most 63, the first "
		       "neither \".\" nor \"-\"";
	return keep(load, value, field);
}

static const char *store_path(struct load *load, const struct key *key, const char *value,
			      void *field)
{
	(void)key;
	if (value[0] != '/' || !is_printable(value))
		return "an absolute path";
	return keep(load, value, field);
}

static const char *store_file(struct load *load, const struct key *key, const char *value,
			      void *field)
{
	size_t length = strlen(value);

	if (length && value[length - 1] == '/')
		return "the absolute path of a file";
	return store_path(load, key, value, field) ? "the absolute path of a file" : NULL;
}

static const char *store_cgroup(struct load *load, const struct key *key, const char *value,
				void *field)
{
	(void)key;
	if (strcmp(value, "auto") != 0 && strcmp(value, "off") != 0 &&
	    (value[0] != '/' || !is_printable(value)))
		return "auto, off or an absolute path";
	return keep(load, value, field);
}

static const char *store_listen(struct load *load, const struct key *key, const char *value,
				void *field)
{
	(void)key;
	if (config_parse_listen(value) < 0)
		return "a numeric address and a port, such as 127.0.0.1:9190 or [::1]:9190";
	return keep(load, value, field);
}

static const char *store_bool(struct load *load, const struct key *key, const char *value,
			      void *field)
{
	int b = cfg_parse_boolean(value);

	(void)load;
	(void)key;
	if (b < 0)
		return "true or false";
	*(bool *)field = b;
	return NULL;
}

static const char *expected_time(const char *value)
{
	return value[0] && strspn(value, "0123456789.") == strlen(value)
		       ? "a time with its unit (us, ms, s, m, h or d), such as 10s"
		       : "a time such as 250ms or 10s";
}

static const char *store_time(struct load *load, const struct key *key, const char *value,
			      void *field)
{
	(void)load;
	(void)key;
	return config_parse_time(value, field) < 0 ? expected_time(value) : NULL;
}

static const char *store_time_not_0(struct load *load, const struct key *key, const char *value,
				    void *field)
{
	int64_t ns;

	(void)load;
	(void)key;
	if (config_parse_time(value, &ns) < 0)
		return expected_time(value);
	if (ns == 0)
		return "a time above 0, such as 10s";
	*(int64_t *)field = ns;
	return NULL;
}

static const char *store_size(struct load *load, const struct key *key, const char *value,
			      void *field)
{
	(void)load;
	(void)key;
	return config_parse_size(value, field) < 0 ? "a size such as 500K, 10M or 1G" : NULL;
}

/* Decimal digits and nothing else, at most `max`. */
static int parse_count(const char *value, uint64_t max, uint64_t *out)
{
	uint64_t count;

	if (!*value || strspn(value, "0123456789") != strlen(value))
		return -EINVAL;
	if (config_parse_size(value, &count) < 0 || count > max)
		return -EINVAL;
	*out = count;
	return 0;
}

static const char *store_count(struct load *load, const struct key *key, const char *value,
			       void *field)
{
	uint64_t count;

	(void)load;
	(void)key;
	if (parse_count(value, 1000000000, &count) < 0)
		return "a number from 0 to 1000000000";
	*(unsigned *)field = (unsigned)count;
	return NULL;
}

static const char *store_count_not_0(struct load *load, const struct key *key, const char *value,
				     void *field)
{
	uint64_t count;

	(void)load;
	(void)key;
	if (parse_count(value, 1000000000, &count) < 0 || count == 0)
		return "a number from 1 to 1000000000";
	*(unsigned *)field = (unsigned)count;
	return NULL;
}

static int parse_decimal(const char *value, double *out)
{
	char *end;

	if (value[0] < '0' || value[0] > '9' || strspn(value, "0123456789.") != strlen(value))
		return -EINVAL;
	*out = strtod(value, &end);
	return *end ? -EINVAL : 0;
}

static const char *store_factor(struct load *load, const struct key *key, const char *value,
				void *field)
{
	double factor;

	(void)load;
	(void)key;
	if (parse_decimal(value, &factor) < 0 || factor < 1 || factor > 1000)
		return "a number from 1 to 1000, such as 2.0";
	*(double *)field = factor;
	return NULL;
}

static const char *store_jitter(struct load *load, const struct key *key, const char *value,
				void *field)
{
	double jitter;

	(void)load;
	(void)key;
	if (parse_decimal(value, &jitter) < 0 || jitter > 1)
		return "a number from 0 to 1, such as 0.1";
	*(double *)field = jitter;
	return NULL;
}

static const char *store_mode(struct load *load, const struct key *key, const char *value,
			      void *field)
{
	size_t length = strlen(value);

	(void)load;
	(void)key;
	if (length < 1 || length > 4 || strspn(value, "01234567") != length ||
	    (length == 4 && value[0] != '0'))
		return "an octal number from 0 to 0777, such as 022";
	*(mode_t *)field = (mode_t)strtoul(value, NULL, 8);
	return NULL;
}

static const char *store_trace_size(struct load *load, const struct key *key, const char *value, void *field)
{
	uint64_t size;

	(void)load;
	(void)key;
	if (config_parse_size(value, &size) < 0 || size < EP_TRACE_RING_MIN || size > EP_TRACE_RING_MAX)
		return "a size from 64K to 64M, such as 4M";
	*(uint64_t *)field = size;
	return NULL;
}

static const char *store_messages(struct load *load, const struct key *key, const char *value, void *field)
{
	(void)load;
	(void)key;
	return parse_count(value, 1000000000, field) < 0 ? "a number from 0 to 1000000000" : NULL;
}

/* I4: nobody but the supervisor writes there. */
static const char *store_segments_mode(struct load *load, const struct key *key, const char *value, void *field)
{
	mode_t mode;

	if (store_mode(load, key, value, &mode) || (mode & 0733) != 0600)
		return "0600, 0640 or 0644";
	*(mode_t *)field = mode;
	return NULL;
}

static const char *store_restart(struct load *load, const struct key *key, const char *value,
				 void *field)
{
	(void)load;
	(void)key;
	return config_parse_restart(value, field) < 0 ? "always, on-failure or never" : NULL;
}

static const char *store_gc(struct load *load, const struct key *key, const char *value, void *field)
{
	(void)load;
	(void)key;
	return config_parse_gc(value, field) < 0 ? "report or collect" : NULL;
}

static const char *store_readiness(struct load *load, const struct key *key, const char *value,
				   void *field)
{
	enum readiness readiness;

	(void)load;
	(void)key;
	if (config_parse_readiness(value, &readiness) < 0)
		return "none, notify or attach";
	*(enum readiness *)field = readiness;
	return NULL;
}

static const char *store_strategy(struct load *load, const struct key *key, const char *value,
				  void *field)
{
	(void)load;
	(void)key;
	return config_parse_strategy(value, field) < 0 ? "one-for-one, one-for-all or rest-for-one"
						       : NULL;
}

static const char *store_signal(struct load *load, const struct key *key, const char *value,
				void *field)
{
	(void)load;
	(void)key;
	return config_parse_signal(value, field) < 0 ? "a signal such as SIGTERM" : NULL;
}

static const char *store_clients(struct load *load, const struct key *key, const char *value,
				 void *field)
{
	uint64_t count;

	(void)load;
	(void)key;
	if (parse_count(value, EP_INDEX_MAX + 1, &count) < 0 || count == 0)
		return "a number from 1 to 1048576";
	*(unsigned *)field = (unsigned)count;
	return NULL;
}

static const char *store_ring(struct load *load, const struct key *key, const char *value, void *field)
{
	uint64_t count;

	(void)load;
	(void)key;
	if (parse_count(value, EP_RING_MAX, &count) < 0 || count < EP_RING_MIN || count & (count - 1))
		return "a power of two from 2 to 32768";
	*(uint32_t *)field = (uint32_t)count;
	return NULL;
}

/* "64x256": so many of so many bytes. */
static const char *store_buffers(struct load *load, const struct key *key, const char *value, void *field)
{
	struct ep_geometry *channel = field;
	const char *x = strchr(value, 'x');
	uint64_t count, size;
	char first[24];

	(void)key;
	if (load->buffers_of != load->app)
		channel->classes = 0;
	load->buffers_of = load->app;
	snprintf(first, sizeof first, "%.*s", x ? (int)(x - value) : 0, value);
	if (!x || x - value >= (ptrdiff_t)sizeof first || parse_count(first, EP_BUFFERS_MAX, &count) < 0 ||
	    parse_count(x + 1, EP_BUFFER_MAX, &size) < 0)
		return "COUNTxBYTES such as 64x256";
	if (channel->classes == EP_CLASSES_MAX)
		return "6 classes at most";
	channel->class[channel->classes++] = (struct ep_class){ (uint32_t)size, (uint32_t)count };
	return NULL;
}

static const char *store_argument(struct load *load, const struct key *key, const char *value,
				  void *field)
{
	char ***list = field;

	(void)key;
	if (!*list && !*value)
		return "the path of a program first";
	if (strlen(value) >= ENTRY_MAX)
		return "less than 128 KiB";
	load_append(load, list, value);
	return NULL;
}

/* What epochd itself says to the application. */
static bool is_ours(const char *entry)
{
	return strncmp(entry, "EPOCHD_", 7) == 0 || strncmp(entry, "NOTIFY_SOCKET=", 14) == 0 ||
	       strncmp(entry, "WATCHDOG_", 9) == 0;
}

static bool is_in(char *const *list, const char *entry, size_t length)
{
	for (; list && *list; list++)
		if (strncmp(*list, entry, length) == 0)
			return true;
	return false;
}

static const char *store_variable(struct load *load, const struct key *key, const char *value,
				  void *field)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
	static const char more[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" "abcdefghijklmnopqrstuvwxyz"
				   "_0123456789";
	size_t length = strspn(value, more);
	char ***list = field;

	(void)key;
	if (!*value || !strchr(letters, value[0]) || value[length] != '=')
		return "NAME=value, the name of letters, digits and \"_\"";
	if (is_ours(value))
		return "another name: EPOCHD_*, WATCHDOG_* and NOTIFY_SOCKET are set by epochd";
	if (strlen(value) >= ENTRY_MAX)
		return "less than 128 KiB";
	if (is_in(*list, value, length + 1))
		return "each name once";
	load_append(load, list, value);
	return NULL;
}

static const char *store_after(struct load *load, const struct key *key, const char *value,
			       void *field)
{
	(void)key;
	if (!config_name_is_good(value))
		return "the name of an application";
	load_append(load, field, value);
	return NULL;
}

static const char *store_group_of(struct load *load, const struct key *key, const char *value,
				  void *field)
{
	(void)key;
	if (!config_name_is_good(value))
		return "the name of a group";
	return keep(load, value, field);
}

static const char *store_reap_lazy(struct load *load, const struct key *key, const char *value, void *field)
{
	int64_t *ns = field;

	(void)load;
	(void)key;
	if (strcmp(value, "never") == 0) {
		*ns = -1;
		return NULL;
	}
	return config_parse_time(value, ns) < 0 ? "never, or a time such as 10m" : NULL;
}

static const char *store_shm(struct load *load, const struct key *key, const char *value, void *field)
{
	const char *wrong = shm_pattern_is_wrong(value);

	(void)key;
	if (wrong)
		return wrong;
	load_append(load, field, value);
	return NULL;
}

static int parse_limit(const char *value, rlim_t *out)
{
	uint64_t number;

	if (strcmp(value, "unlimited") == 0) {
		*out = RLIM_INFINITY;
		return 0;
	}
	if (config_parse_size(value, &number) < 0)
		return -EINVAL;
	*out = number;
	return 0;
}

static int parse_limits(const char *value, struct rlimit *limit)
{
	const char *colon = strchr(value, ':');
	char soft[32];

	if (!colon) {
		if (parse_limit(value, &limit->rlim_cur) < 0)
			return -EINVAL;
		limit->rlim_max = limit->rlim_cur;
		return 0;
	}
	if ((size_t)(colon - value) >= sizeof soft)
		return -EINVAL;
	memcpy(soft, value, (size_t)(colon - value));
	soft[colon - value] = '\0';
	return parse_limit(soft, &limit->rlim_cur) < 0 ? -EINVAL
						       : parse_limit(colon + 1, &limit->rlim_max);
}

/* Kept in order of resource, so that the same limits compare as the same. */
static const char *store_limit(struct load *load, const struct key *key, const char *value,
			       void *field)
{
	struct app_config *app = field;
	struct limit_config *larger, limit = { .resource = key->resource };
	size_t i;

	if (parse_limits(value, &limit.value) < 0)
		return "a number, a size or unlimited, or two of them as SOFT:HARD";
	if (limit.value.rlim_cur > limit.value.rlim_max)
		return "a soft limit that is not above the hard one";
	larger = load_grow(load, app->limits, &app->limit_count, sizeof *larger);
	if (!larger)
		return NULL;
	app->limits = larger;
	for (i = app->limit_count - 1; i > 0 && larger[i - 1].resource > limit.resource; i--)
		larger[i] = larger[i - 1];
	larger[i] = limit;
	return NULL;
}

/* The words. What stands here is known; what does not, is a mistake. */

#define CONFIG(member) offsetof(struct config, member)
#define APP(member) offsetof(struct app_config, member)

static const struct key root_keys[] = {
	{ "instance",          store_name,   CONFIG(instance) },
	{ "segment-directory", store_path,   CONFIG(segment_directory) },
	{ "runtime-directory", store_path,   CONFIG(runtime_directory) },
	{ "state-directory",   store_path,   CONFIG(state_directory) },
	{ "cgroup",            store_cgroup, CONFIG(cgroup) },
};
static const struct key api_keys[] = {
	{ "group", store_group_choice, CONFIG(api_group) },
	{ "mode", store_mode, CONFIG(api_mode) },
};
static const struct key segments_keys[] = {
	{ "group", store_group_choice, CONFIG(segments_group) },
	{ "mode", store_segments_mode, CONFIG(segments_mode) },
};
static const struct key control_keys[] = {
	{ "group", store_control_group, 0 },
	{ "read",  store_principal, CONFIG(control.read), true },
	{ "act",   store_principal, CONFIG(control.act), true },
};
static const struct key http_keys[] = {
	{ "listen", store_listen, CONFIG(http_listen) },
};
static const struct key events_keys[] = {
	{ "keep", store_count_not_0, CONFIG(keep_events) },
};
static const struct key incarnations_keys[] = {
	{ "keep", store_count_not_0, CONFIG(keep_incarnations) },
};
static const struct key group_keys[] = {
	{ "strategy", store_strategy, offsetof(struct group_config, strategy) },
};
static const struct key application_keys[] = {
	{ "command",           store_argument, APP(command), true },
	{ "external",          store_bool,     APP(external) },
	{ "directory",         store_path,     APP(directory) },
	{ "environment",       store_variable, APP(environment), true },
	{ "clear-environment", store_bool,     APP(clear_environment) },
	{ "user",              store_user,     0 },
	{ "group",             store_group,    0 },
	{ "groups",            store_groups,   0, true },
	{ "umask",             store_mode,     APP(umask) },
	{ "no-new-privileges", store_bool,     APP(no_new_privileges) },
	{ "restart",           store_restart,  APP(restart) },
	{ "readiness",         store_readiness, APP(readiness) },
	{ "start-timeout",     store_time,     APP(start_timeout) },
	{ "stop-signal",       store_signal,   APP(stop_signal) },
	{ "stop-timeout",      store_time,     APP(stop_timeout) },
	{ "watchdog",          store_time,     APP(watchdog) },
	{ "after",             store_after,    APP(after), true },
	{ "group-of",          store_group_of, APP(group_of) },
	{ "gc-timeout",        store_time,     APP(gc_timeout) },
	{ "gc",                store_gc,       APP(gc) },
	{ "shm",               store_shm,      APP(shm), true },
};
static const struct key backoff_keys[] = {
	{ "initial",     store_time,   APP(backoff.initial) },
	{ "factor",      store_factor, APP(backoff.factor) },
	{ "max",         store_time,   APP(backoff.max) },
	{ "jitter",      store_jitter, APP(backoff.jitter) },
	{ "reset-after", store_time,   APP(backoff.reset_after) },
};
static const struct key intensity_keys[] = {
	{ "restarts", store_count, APP(intensity.restarts) },
	{ "within",   store_time,  APP(intensity.within) },
};
static const struct key health_keys[] = {
	{ "command",  store_argument,    APP(health.command), true },
	{ "interval", store_time_not_0,  APP(health.interval) },
	{ "timeout",  store_time_not_0,  APP(health.timeout) },
	{ "failures", store_count_not_0, APP(health.failures) },
	{ "after",    store_time,        APP(health.after) },
};
static const struct key output_keys[] = {
	{ "file",     store_file,        APP(output.file) },
	{ "max-size", store_size,        APP(output.max_size) },
	{ "keep",     store_count_not_0, APP(output.keep) },
};
static const struct key clients_keys[] = {
	{ "max",          store_clients,   APP(clients.max) },
	{ "max-per-user", store_clients,   APP(clients.max_per_user) },
	{ "large",        store_size,      APP(clients.large) },
	{ "large-per-user", store_size,    APP(clients.large_per_user) },
	{ "allow",        store_principal, APP(clients.allow), true },
};
static const struct key channel_keys[] = {
	{ "ring",    store_ring,    APP(channel.ring) },
	{ "buffers", store_buffers, APP(channel), true },
};
static const struct key keepalive_keys[] = {
	{ "interval",  store_time,        APP(keepalive.interval) },
	{ "misses",    store_count_not_0, APP(keepalive.misses) },
	{ "reap-lazy", store_reap_lazy,   APP(keepalive.reap_lazy) },
};
static const struct key trace_keys[] = {
	{ "on",       store_bool,        APP(trace.on) },
	{ "size",     store_trace_size,  APP(trace.size) },
	{ "messages", store_messages,    APP(trace.messages) },
	{ "first",    store_bool,        APP(trace.first) },
	{ "saved",    store_count_not_0, APP(trace.saved) },
};
#define LIMIT(name, which) { name, store_limit, 0, false, RLIMIT_##which }
static const struct key limits_keys[] = {
	LIMIT("as", AS), LIMIT("core", CORE), LIMIT("cpu", CPU), LIMIT("data", DATA),
	LIMIT("fsize", FSIZE), LIMIT("locks", LOCKS), LIMIT("memlock", MEMLOCK),
	LIMIT("msgqueue", MSGQUEUE), LIMIT("nice", NICE), LIMIT("nofile", NOFILE),
	LIMIT("nproc", NPROC), LIMIT("rss", RSS), LIMIT("rtprio", RTPRIO),
	LIMIT("rttime", RTTIME), LIMIT("sigpending", SIGPENDING), LIMIT("stack", STACK),
};

#define KEYS(keys) keys, ARRAY_SIZE(keys)
const struct section config_sections[SCOPES] = {
	[IN_ROOT] =         { "root",         false, IN_ROOT, KEYS(root_keys) },
	[IN_API] =          { "api",          false, IN_ROOT, KEYS(api_keys) },
	[IN_SEGMENTS] =     { "segments",     false, IN_ROOT, KEYS(segments_keys) },
	[IN_CONTROL] =      { "control",      false, IN_ROOT, KEYS(control_keys) },
	[IN_HTTP] =         { "http",         false, IN_ROOT, KEYS(http_keys) },
	[IN_EVENTS] =       { "events",       false, IN_ROOT, KEYS(events_keys) },
	[IN_INCARNATIONS] = { "incarnations", false, IN_ROOT, KEYS(incarnations_keys) },
	[IN_GROUP] =        { "group",        true,  IN_ROOT, KEYS(group_keys) },
	[IN_APPLICATION] =  { "application",  true,  IN_ROOT, KEYS(application_keys) },
	[IN_BACKOFF] =      { "backoff",      false, IN_APPLICATION, KEYS(backoff_keys) },
	[IN_INTENSITY] =    { "intensity",    false, IN_APPLICATION, KEYS(intensity_keys) },
	[IN_HEALTH] =       { "health",       false, IN_APPLICATION, KEYS(health_keys) },
	[IN_OUTPUT] =       { "output",       false, IN_APPLICATION, KEYS(output_keys) },
	[IN_CLIENTS] =      { "clients",      false, IN_APPLICATION, KEYS(clients_keys) },
	[IN_CHANNEL] =      { "channel",      false, IN_APPLICATION, KEYS(channel_keys) },
	[IN_KEEPALIVE] =    { "keepalive",    false, IN_APPLICATION, KEYS(keepalive_keys) },
	[IN_TRACE] =        { "trace",        false, IN_APPLICATION, KEYS(trace_keys) },
	[IN_LIMITS] =       { "limits",       false, IN_APPLICATION, KEYS(limits_keys) },
};

bool scope_is_global(enum scope scope)
{
	return scope < IN_GROUP;
}

static bool is_word(const char *word, const char *name, size_t length)
{
	return strlen(word) == length && memcmp(word, name, length) == 0;
}

const struct key *key_find(enum scope scope, const char *name, size_t length)
{
	const struct section *section = &config_sections[scope];

	for (size_t i = 0; i < section->key_count; i++)
		if (is_word(section->keys[i].name, name, length))
			return &section->keys[i];
	return NULL;
}

enum scope scope_find(enum scope parent, const char *name, size_t length)
{
	for (enum scope scope = IN_ROOT + 1; scope < SCOPES; scope++)
		if (config_sections[scope].parent == parent &&
		    is_word(config_sections[scope].name, name, length))
			return scope;
	return SCOPES;
}

/* How many letters must change to make one of the other (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
	size_t row[40], n = strlen(b);

	if (n >= ARRAY_SIZE(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t least = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			least = least < row[j] + 1 ? least : row[j] + 1;
			row[j] = least < row[j - 1] + 1 ? least : row[j - 1] + 1;
		}
	}
	return row[n];
}

/* The known word of the scope that is meant in all likelihood, or NULL. */
static const char *nearest(enum scope scope, const char *name)
{
	const struct section *section = &config_sections[scope];
	size_t best = strlen(name) / 3 < 2 ? strlen(name) / 3 + 1 : 3;   /* nearer than this */
	const char *found = NULL;

	for (size_t i = 0; i < section->key_count; i++)
		if (distance(name, section->keys[i].name) < best) {
			best = distance(name, section->keys[i].name);
			found = section->keys[i].name;
		}
	for (enum scope inner = IN_ROOT + 1; inner < SCOPES; inner++)
		if (config_sections[inner].parent == scope &&
		    distance(name, config_sections[inner].name) < best) {
			best = distance(name, config_sections[inner].name);
			found = config_sections[inner].name;
		}
	return found;
}

/* The other scope that has such a key or section, or SCOPES. */
static enum scope home_of(const char *name)
{
	size_t length = strlen(name);

	for (enum scope scope = IN_ROOT; scope < SCOPES; scope++)
		if (key_find(scope, name, length) || scope_find(scope, name, length) != SCOPES)
			return scope;
	return SCOPES;
}

const char *key_unknown(enum scope scope, const char *name, char *text, size_t size)
{
	const char *meant = nearest(scope, name);
	enum scope home = home_of(name);

	if (home == IN_ROOT)
		snprintf(text, size, "unknown here; it stands outside of all sections");
	else if (home != SCOPES)
		snprintf(text, size, "unknown here; it belongs into the section \"%s\"",
			 config_sections[home].name);
	else if (meant)
		snprintf(text, size, "unknown; did you mean \"%s\"?", meant);
	else
		snprintf(text, size, "unknown");
	return text;
}
