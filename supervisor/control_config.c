/* The configuration in force, each value with where it came from. */
#include <config.h>

#include "supervisor/control_request.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/app.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/report.h"

/* In the configuration; NULL: nowhere. */
static const struct config_origin *origin_of(const struct config_origins *origins, const char *section, const char *key)
{
	for (size_t i = 0; i < origins->count; i++)
		if (strcmp(origins->origin[i].section, section) == 0 && strcmp(origins->origin[i].key, key) == 0)
			return &origins->origin[i];
	return NULL;
}

static json_t *from_json(const struct config_origin *origin, const char *otherwise)
{
	return origin ? json_sprintf("%s:%d", origin->file, origin->line) : json_string(otherwise);
}

static void add(json_t *values, const char *section, const char *key, json_t *value /* stolen */, json_t *from /* stolen */)
{
	json_t *name = *section ? json_sprintf("%s.%s", section, key) : json_string(key);

	json_array_append_new(values, json_pack("{s:o, s:o, s:o}", "key", name, "value", value, "from", from));
}

/* ---- of the supervisor ---- */

static void add_configured(json_t *values, const struct config *config, const char *section, const char *key,
			   json_t *value /* stolen */)
{
	add(values, section, key, value, from_json(origin_of(&config->origins, section, key), "default"));
}

/* A directory that options and variables may name as well. */
static void add_directory(json_t *values, const struct epochd *epochd, const char *key, const char *path, const char *from)
{
	const struct config_origin *origin = origin_of(&epochd->config->origins, "", key);

	add(values, "", key, report_text(path), *from ? json_string(from) : from_json(origin, "default"));
}

static json_t *mode_json(mode_t mode) { return json_sprintf("%04o", (unsigned)mode); }

static json_t *principals_json(const struct principal *list, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < count; i++)
		json_array_append_new(array, report_text(list[i].text));
	return array;
}

static json_t *owner_json(void)
{
	char buffer[1024];
	struct passwd entry, *found = NULL;

	if (getpwuid_r(geteuid(), &entry, buffer, sizeof buffer, &found) == 0 && found)
		return report_text(found->pw_name);
	return json_sprintf("uid:%u", (unsigned)geteuid());
}

static void add_supervisor(json_t *values, const struct epochd *epochd)
{
	const struct config *config = epochd->config;
	const char *runs_as = "the user that epochd runs as";

	add(values, "", "instance", report_text(config->instance), epochd->instance_option ? json_string("command line") :
		from_json(origin_of(&config->origins, "", "instance"), "default"));
	add_configured(values, config, "", "segment-directory", report_text(config->segment_directory));
	add_directory(values, epochd, "runtime-directory", epochd->runtime_dir, epochd->runtime_from);
	add_directory(values, epochd, "state-directory", epochd->state_dir, epochd->state_from);
	add_configured(values, config, "", "cgroup", report_text(config->cgroup));
	add(values, "api", "owner", owner_json(), json_string(runs_as));
	add_configured(values, config, "api", "group", report_text(config->api_group.name));
	add_configured(values, config, "api", "mode", mode_json(config->api_mode));
	add(values, "segments", "owner", owner_json(), json_string(runs_as));
	add_configured(values, config, "segments", "group", report_text(config->segments_group.name));
	add_configured(values, config, "segments", "mode", mode_json(config->segments_mode));
	add(values, "control", "owner", owner_json(), json_string(runs_as));
	add_configured(values, config, "control", "group", report_text(config->control.group));
	add_configured(values, config, "control", "read", principals_json(config->control.read, config->control.read_count));
	add_configured(values, config, "control", "act", principals_json(config->control.act, config->control.act_count));
	add_configured(values, config, "http", "listen", report_text(config->http_listen));
	add_configured(values, config, "events", "keep", json_integer(config->keep_events));
	add_configured(values, config, "incarnations", "keep", json_integer(config->keep_incarnations));
	for (size_t i = 0; i < config->group_count; i++)
		add(values, config->groups[i].name, "strategy", report_text(config_strategy_name(config->groups[i].strategy)),
		    json_string("a group"));
}

void get_config(struct request *request)
{
	const struct epochd *epochd = request->parked.listener->control->epochd;
	json_t *values = json_array(), *files = json_array();

	for (char **file = epochd->config->files; files && file && *file; file++)
		json_array_append_new(files, report_text(*file));
	if (values)
		add_supervisor(values, epochd);
	answer_json(request, MHD_HTTP_OK, json_pack("{s:o, s:o}", "files", files, "values", values));
}

/* ---- of an application ---- */

/* `epochd run` has no file: what is not as it would be anyhow, its command line says. */
static const char *otherwise(const struct epochd *epochd, const json_t *defaults, const char *section, const char *key,
			     const json_t *value)
{
	const json_t *of = *section ? json_object_get(defaults, section) : defaults;

	return epochd->run_mode && !json_equal(json_object_get(of, key), value) ? "command line" : "default";
}

/* Of an application. */
struct shown {
	const struct epochd *epochd;
	const struct app_config *config;
	const json_t *defaults;   /* as its configuration would be if nothing were said */
	json_t *values;
};

static void add_value(const struct shown *shown, const char *section, const char *key, json_t *value)
{
	const struct config_origin *origin = origin_of(&shown->config->origins, section, key);

	add(shown->values, section, key, json_incref(value),
	    from_json(origin, otherwise(shown->epochd, shown->defaults, section, key, value)));
}

static void add_application(const struct shown *shown, json_t *config)
{
	const char *key, *inner;
	json_t *value, *of;

	json_object_foreach(config, key, value) {
		if (strcmp(key, "origin") == 0)
			continue;
		if (!json_is_object(value) || json_object_size(value) == 0) {
			add_value(shown, "", key, value);
			continue;
		}
		json_object_foreach(value, inner, of)
			add_value(shown, key, inner, of);
	}
}

static void free_config(struct config **config)
{
	config_free(*config);
}

static void ignore(const char *text, void *user)
{
	(void)text;
	(void)user;
}

void get_app_config(struct request *request)
{
	char *const command[] = { request->name, NULL };
	CLEANUP(free_config) struct config *usual = NULL;
	const struct app *app = app_of(request);
	json_auto_t *config = app ? report_config_json(app_config(app)) : NULL, *defaults = NULL;
	struct shown shown = { .epochd = request->parked.listener->control->epochd };

	if (!app)
		return;
	shown.config = app_config(app);
	if (config_for_run(&usual, request->name, command, ignore, NULL) == 0)
		defaults = report_config_json(usual->apps[0]);
	shown.defaults = defaults;
	shown.values = config && defaults ? json_array() : NULL;
	if (shown.values)
		add_application(&shown, config);
	answer_json(request, MHD_HTTP_OK, json_pack("{s:s, s:o}", "app", app_name(app), "values", shown.values));
}
