/* An application of several modules, each with messages of its own. */
#include <config.h>

#include "apilib/application_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_version(const char *text)
{
	size_t length = strnlen(text, EP_MODULE_VERSION_MAX + 1);

	return length > 0 && length <= EP_MODULE_VERSION_MAX &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-") == length;
}

/* -EINVAL: its messages are not under its name, say. */
static int check_module(const struct epochd_module *module)
{
	size_t length = module->name ? strnlen(module->name, EP_TYPE_NAME_MAX) : 0;

	if (length == 0 || length == EP_TYPE_NAME_MAX || (module->version && !is_version(module->version)) ||
	    (module->count && !module->types) || module->count > EP_TYPES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < module->count; i++)
		if (!module->types[i].name || strncmp(module->types[i].name, module->name, length) != 0 ||
		    module->types[i].name[length] != '.')
			return -EINVAL;
	return 0;
}

static int take_modules(struct epochd_app *app, struct epochd_module *modules, size_t count)
{
	size_t sum = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		r = check_module(&modules[i]);
		sum += modules[i].count;
	}
	if (r < 0 || sum > EP_TYPES_MAX)
		return -EINVAL;
	app->joined_types = calloc(sum + 1, sizeof *app->joined_types);
	app->modules = calloc(count + 1, sizeof *app->modules);
	if (!app->joined_types || !app->modules)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct epochd_module *module = &modules[i];

		module->base = app->types.count;
		if (module->count)
			memcpy(app->joined_types + app->types.count, module->types,
			       module->count * sizeof *module->types);
		app->types.count += (uint32_t)module->count;
		app->modules[i] = (struct module){ .base = module->base, .count = module->count };
		snprintf(app->modules[i].name, sizeof app->modules[i].name, "%s", module->name);
		snprintf(app->modules[i].version, sizeof app->modules[i].version, "%s",
			 module->version ? module->version : "");
	}
	app->module_count = count;
	app->types.type = app->joined_types;
	return 0;
}

int epochd_attach_modules(struct epochd_app **out, struct epochd_module *modules, size_t count,
			  const struct epochd_options *options)
{
	struct epochd_app *app = attaching_new();
	int r;

	if (!app)
		return -ENOMEM;
	r = take_modules(app, modules, count);
	if (r == 0)
		return attaching_finish(out, app, options);
	if (r == -EINVAL && options && options->why && options->why_size)
		snprintf(options->why, options->why_size, "a module has no good name or version, or a message of it is "
			 "not called NAME.something");
	epochd_detach(app);
	return r;
}
