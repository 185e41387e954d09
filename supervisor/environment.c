#include <config.h>

#include "supervisor/environment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/configuration.h"

enum { OURS_MAX = 12, OURS_SIZE = 640 };

/* Told to us by whoever started us, and not for our children. */
static bool is_for_us(const char *entry)
{
	static const char *const prefixes[] = { "EPOCHD_", "NOTIFY_SOCKET=", "WATCHDOG_",
						"LISTEN_", "MAINPID=" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static size_t name_length(const char *entry)
{
	return strcspn(entry, "=");
}

static bool is_named_in(char *const *list, const char *entry)
{
	size_t length = name_length(entry);

	for (; list && *list; list++)
		if (name_length(*list) == length && strncmp(*list, entry, length) == 0)
			return true;
	return false;
}

const char *environment_get(char *const *environment, const char *name)
{
	size_t length = strlen(name);

	for (; environment && *environment; environment++)
		if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
			return *environment + length + 1;
	return NULL;
}

struct builder {
	char **list;
	size_t count;
	char *text;
	size_t left;
};

static void __attribute__((format(printf, 2, 3))) put(struct builder *builder, const char *format, ...)
{
	va_list values;
	int n;

	va_start(values, format);
	n = vsnprintf(builder->text, builder->left, format, values);
	va_end(values);
	if (n < 0 || (size_t)n >= builder->left)
		return;   /* sized by environment_make(): not reached */
	builder->list[builder->count++] = builder->text;
	builder->text += n + 1;
	builder->left -= (size_t)n + 1;
}

static void put_ours(struct builder *builder, const struct app_config *config,
		     const struct environment_values *values)
{
	put(builder, "EPOCHD_APP=%s", config->name);
	put(builder, "EPOCHD_EPOCH=%" PRIu32, values->epoch);
	put(builder, "EPOCHD_INSTANCE=%s", values->instance);
	put(builder, "EPOCHD_SOCKET=%s", values->socket);
	put(builder, "EPOCHD_TOKEN=%s", values->token);
	if (values->notify_socket)
		put(builder, "NOTIFY_SOCKET=%s", values->notify_socket);
	/* Without WATCHDOG_PID: the process that feeds it may be a child of the first. */
	if (values->watchdog > 0 && values->notify_socket)
		put(builder, "WATCHDOG_USEC=%" PRId64, values->watchdog / 1000);
}

/* As login would, for a program that runs as another user. */
static void put_user(struct builder *builder, const struct app_config *config)
{
	if (!config->user)
		return;
	if (!environment_get(config->environment, "USER"))
		put(builder, "USER=%s", config->user);
	if (!environment_get(config->environment, "LOGNAME"))
		put(builder, "LOGNAME=%s", config->user);
	if (config->home && !environment_get(config->environment, "HOME"))
		put(builder, "HOME=%s", config->home);
	if (config->shell && !environment_get(config->environment, "SHELL"))
		put(builder, "SHELL=%s", config->shell);
}

static bool is_of_user(const char *entry)
{
	static char user[] = "USER=", logname[] = "LOGNAME=", home[] = "HOME=", shell[] = "SHELL=";
	char *const names[] = { user, logname, home, shell, NULL };

	return is_named_in(names, entry);
}

static size_t length_of(const char *text)
{
	return text ? strlen(text) : 0;
}

int environment_make(char ***out, const struct app_config *config,
		     const struct environment_values *values)
{
	size_t inherited = 0, configured = 0, size;
	struct builder builder = { 0 };

	while (!config->clear_environment && environ && environ[inherited])
		inherited++;
	while (config->environment && config->environment[configured])
		configured++;
	size = OURS_SIZE + strlen(values->instance) + strlen(values->socket) +
	       length_of(values->notify_socket) + 2 * length_of(config->user) +
	       length_of(config->home) + length_of(config->shell);
	builder.list = malloc((inherited + configured + OURS_MAX + 1) * sizeof(char *) + size);
	if (!builder.list)
		return -ENOMEM;
	builder.text = (char *)(builder.list + inherited + configured + OURS_MAX + 1);
	builder.left = size;
	for (size_t i = 0; i < inherited; i++)
		if (!is_for_us(environ[i]) && !is_named_in(config->environment, environ[i]) &&
		    !(config->user && is_of_user(environ[i])))
			builder.list[builder.count++] = environ[i];
	for (size_t i = 0; i < configured; i++)
		builder.list[builder.count++] = config->environment[i];
	put_user(&builder, config);
	put_ours(&builder, config, values);
	builder.list[builder.count] = NULL;
	*out = builder.list;
	return 0;
}
