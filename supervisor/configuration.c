#include <config.h>

#include "supervisor/configuration_load.h"
#include "supervisor/traces.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#define MS INT64_C(1000000)
#define S (1000 * MS)

/* What config_load() gives out, with what config_app() needs. */
struct indexed {
	struct config config;
	struct app_config **by_name;
};

static void free_list(char **list)
{
	for (char **p = list; p && *p; p++)
		free(*p);
	free(list);
}

static void free_principals(struct principal *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i].text);
	free(list);
}

static void free_app(struct app_config *app)
{
	if (!app)
		return;
	free(app->name);
	free_list(app->command);
	free(app->directory);
	free_list(app->environment);
	free(app->user);
	free(app->group);
	free_list(app->group_names);
	free(app->groups);
	free(app->home);
	free(app->shell);
	free(app->limits);
	free_list(app->health.command);
	free_list(app->after);
	free_list(app->shm);
	free(app->group_of);
	free(app->output.file);
	free(app->origins.origin);
	free_principals(app->clients.allow, app->clients.allow_count);
	free(app);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	free(config->instance);
	free(config->segment_directory);
	free(config->runtime_directory);
	free(config->state_directory);
	free(config->control.group);
	free(config->api_group.name);
	free(config->segments_group.name);
	free(config->origins.origin);
	free_principals(config->control.read, config->control.read_count);
	free_principals(config->control.act, config->control.act_count);
	free(config->http_listen);
	free(config->cgroup);
	for (size_t i = 0; i < config->app_count; i++)
		free_app(config->apps[i]);
	free(config->apps);
	for (size_t i = 0; i < config->group_count; i++)
		free(config->groups[i].name);
	free(config->groups);
	free_list(config->files);
	free(container_of(config, struct indexed, config)->by_name);
	free(container_of(config, struct indexed, config));
}

static void config_freep(struct config **config)
{
	config_free(*config);
}

/* Room is a power of two: it is full when the count is one. */
void *load_grow(struct load *load, void *array, size_t *count, size_t size)
{
	void *larger = array;

	if ((*count & (*count - 1)) == 0)
		larger = reallocarray(array, *count ? 2 * *count : 1, size);
	if (!larger) {
		load->r = -ENOMEM;
		return NULL;
	}
	memset((char *)larger + *count * size, 0, size);
	++*count;
	return larger;
}

char *load_strdup(struct load *load, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		load->r = -ENOMEM;
	return copy;
}

static size_t list_length(char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

void load_append(struct load *load, char ***list, const char *text)
{
	size_t n = list_length(*list);
	char **larger = reallocarray(*list, n + 2, sizeof *larger);

	if (!larger) {
		load->r = -ENOMEM;
		return;
	}
	larger[n] = load_strdup(load, text);
	larger[n + 1] = NULL;
	*list = larger;
}

static struct config *config_new(struct load *load)
{
	struct indexed *indexed = calloc(1, sizeof *indexed);

	if (!indexed)
		return NULL;
	indexed->config = (struct config){
		.instance = load_strdup(load, "default"),
		.segment_directory = load_strdup(load, "/dev/shm"),
		.cgroup = load_strdup(load, "auto"),
		.api_mode = 0666,
		.api_group.gid = (gid_t)-1,
		.segments_mode = 0600,
		.segments_group.gid = (gid_t)-1,
		.control.gid = (gid_t)-1,
		.keep_events = 100000,
		.keep_incarnations = 10000,
	};
	return &indexed->config;
}

static struct app_config *app_new(struct load *load, const char *name)
{
	struct app_config *app = calloc(1, sizeof *app);

	if (!app) {
		load->r = -ENOMEM;
		return NULL;
	}
	*app = (struct app_config){
		.name = load_strdup(load, name),
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
		.umask = 022,
		.restart = RESTART_ALWAYS,
		.backoff = { .initial = 100 * MS, .max = 30 * S, .reset_after = 60 * S,
			     .factor = 2.0, .jitter = 0.1 },
		.intensity = { .restarts = 5, .within = 60 * S },
		.readiness = READINESS_NONE,
		.start_timeout = 30 * S,
		.clients = { .max = 4096, .max_per_user = 256, .large = 128 << 20, .large_per_user = 512 << 20 },
		.channel = ep_geometry_default,
		.gc_timeout = 10 * S,
		.keepalive = { .interval = 10 * S, .misses = 3, .reap_lazy = -1 },
		.trace = { .size = 4 << 20, .saved = TRACES_SAVED },
		.stop_signal = SIGTERM,
		.stop_timeout = 10 * S,
		.health = { .interval = 10 * S, .timeout = 5 * S, .failures = 3 },
		.output.keep = 5,
	};
	return app;
}

static bool append_app(struct load *load, struct app_config *app)
{
	struct config *config = load->config;
	struct app_config **larger = load_grow(load, config->apps, &config->app_count,
					       sizeof(void *));

	if (!larger) {
		free_app(app);
		return false;
	}
	config->apps = larger;
	larger[config->app_count - 1] = app;
	return true;
}

/* What was given in the section that is being read, and where. */

static void note_given(struct load *load, struct given **list, size_t *count, const struct key *key,
		       int line)
{
	struct given *larger = load_grow(load, *list, count, sizeof *larger);

	if (!larger)
		return;
	*list = larger;
	larger[*count - 1] = (struct given){ key, load->file, line };
}

static const struct given *find_given(const struct given *list, size_t count, const struct key *key)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].key == key)
			return &list[i];
	return NULL;
}

int load_line_of(const struct load *load, enum scope scope, const char *name)
{
	const struct key *key = key_find(scope, name, strlen(name));
	const struct given *given = find_given(load->given_here, load->given_here_count, key);

	return given ? given->line : 0;
}

/* libconfuse calls us with a section and an option; the way back leads through what it takes for
 * the place of the option's value. */
static struct load *load_of(cfg_t *cfg)
{
	return container_of(cfg->opts[0].simple_value.string, struct load, scratch);
}

static enum scope scope_of(const cfg_t *cfg)
{
	for (enum scope scope = IN_ROOT; scope < SCOPES; scope++)
		if (strcmp(cfg->name, config_sections[scope].name) == 0)
			return scope;
	return IN_ROOT;
}

static const struct section *section_of_key(const struct key *key)
{
	for (enum scope scope = IN_ROOT; scope < SCOPES; scope++) {
		const struct section *section = &config_sections[scope];

		for (size_t i = 0; i < section->key_count; i++)
			if (&section->keys[i] == key)
				return section;
	}
	return &config_sections[IN_ROOT];
}

static bool is_of_app(enum scope scope)
{
	return scope >= IN_APPLICATION;
}

/* The section's title. It is the only one of its kind that libconfuse has, as each is taken from it
 * when it is whole. */
static const char *title_of(struct load *load, enum scope scope)
{
	const char *title = cfg_title(cfg_getnsec(load->root, config_sections[scope].name, 0));

	return title ? title : "";
}

/* The first value of an application or group: the root still is at the line where it began. */
static void begin_section(struct load *load, enum scope scope)
{
	if (load->title || scope_is_global(scope))
		return;
	load->section_line = load->root->line;
	load->title = title_of(load, is_of_app(scope) ? IN_APPLICATION : IN_GROUP);
	load->given_here_count = 0;
	free(load->given_here);
	load->given_here = NULL;
	if (is_of_app(scope)) {
		load->app = app_new(load, load->title);
	} else {
		struct config *config = load->config;
		struct group_config *larger = load_grow(load, config->groups, &config->group_count,
							sizeof *larger);

		if (!larger)
			return;
		config->groups = larger;
		load->group = &larger[config->group_count - 1];
		load->group->name = load_strdup(load, load->title);
		note_given(load, &load->group_places, &load->group_place_count, NULL,
			   load->section_line);
	}
}

static void *target_of(struct load *load, enum scope scope)
{
	if (scope_is_global(scope))
		return load->config;
	return is_of_app(scope) ? (void *)load->app : (void *)load->group;
}

static void refer(struct load *load, const struct key *key, int line)
{
	bool after = strcmp(key->name, "after") == 0;
	struct reference *larger;
	size_t n = list_length(load->app->after);

	larger = load_grow(load, load->references, &load->reference_count, sizeof *larger);
	if (!larger)
		return;
	load->references = larger;
	larger[load->reference_count - 1] = (struct reference){
		.kind = after ? AFTER : GROUP_OF,
		.app = load->config->app_count,
		.name = after ? load->app->after[n - 1] : load->app->group_of,
		.file = load->file,
		.line = line,
		.target = SIZE_MAX,
	};
}

/* True if another file gave it, which is told. */
static bool given_elsewhere(struct load *load, enum scope scope, const struct key *key, int line)
{
	const struct given *given = find_given(load->given, load->given_count, key);
	const struct given *last = load->given_count ? &load->given[load->given_count - 1] : NULL;
	bool told = last && last->key == key && last->file == load->file;   /* of a list */

	if (given && given->file != load->file && told)
		return true;
	if (!given || !told)
		note_given(load, &load->given, &load->given_count, key, line);
	given = find_given(load->given, load->given_count, key);
	if (!given || given->file == load->file)
		return false;
	mistake_at(load, line, scope, key->name, "given already in %s:%d",
		   load->config->files[given->file], given->line);
	return true;
}

static void take_value(struct load *load, enum scope scope, const struct key *key, int line,
		       const char *value)
{
	char *target = target_of(load, scope);
	json_t *utf8 = json_string(value);   /* NULL unless it is UTF-8, which escapes may spoil */
	const char *expected;

	json_decref(utf8);
	if (!target || (scope_is_global(scope) && given_elsewhere(load, scope, key, line)))
		return;
	if (!scope_is_global(scope))
		note_given(load, &load->given_here, &load->given_here_count, key, line);
	if (!utf8) {
		mistake_at(load, line, scope, key->name, "expected a text in UTF-8");
		return;
	}
	expected = key->store(load, key, value, target + key->offset);
	if (expected)
		mistake_at(load, line, scope, key->name, "expected %s, not \"%.100s\"", expected,
			   value);
	else if (load->r == 0 && scope == IN_APPLICATION &&
		 (strcmp(key->name, "after") == 0 || strcmp(key->name, "group-of") == 0))
		refer(load, key, line);
}

/* Of libconfuse: a value, or an element of a list. Always 0, so that it goes on to the next. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct load *load = load_of(cfg);
	enum scope scope = scope_of(cfg);
	const struct key *key = key_find(scope, opt->name, strlen(opt->name));

	begin_section(load, scope);
	if (key)
		take_value(load, scope, key, cfg->line, value);
	*(const char **)result = "";
	return 0;
}

static void check_name(struct load *load, enum scope scope)
{
	if (!config_name_is_good(load->title))
		mistake_at(load, load->section_line, scope, NULL,
			   "expected a name of letters, digits, \"_\", \".\" and \"-\", at most "
			   "63, the first neither \".\" nor \"-\"");
}

static void check_command(struct load *load, const struct app_config *app)
{
	int line = load_line_of(load, IN_APPLICATION, "command");

	if (app->external)
		return;
	if (line == 0)
		mistake_at(load, load->section_line, IN_APPLICATION, "command",
			   "missing: expected a program and its arguments, such as "
			   "command = { \"/usr/bin/program\", \"--option\" }");
	else if (app->command && !app->command[1] && strchr(app->command[0], ' ') &&
		 access(app->command[0], F_OK) < 0)
		mistake_at(load, line, IN_APPLICATION, "command",
			   "expected a list of words, as no shell splits it: "
			   "{ \"/usr/bin/program\", \"--option\" }, not \"%.100s\"",
			   app->command[0]);
}

/* What only means something to those who are started. */
static void check_external(struct load *load, struct app_config *app)
{
	static const struct { enum scope scope; const char *word; } no[] = {
		{ IN_APPLICATION, "command" }, { IN_APPLICATION, "directory" }, { IN_APPLICATION, "environment" },
		{ IN_APPLICATION, "clear-environment" }, { IN_APPLICATION, "group" }, { IN_APPLICATION, "groups" },
		{ IN_APPLICATION, "umask" }, { IN_APPLICATION, "no-new-privileges" },
		{ IN_APPLICATION, "readiness" }, { IN_APPLICATION, "watchdog" }, { IN_OUTPUT, "file" },
	};

	if (!app->external)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		int line = load_line_of(load, no[i].scope, no[i].word);

		if (line)
			mistake_at(load, line, no[i].scope, no[i].word,
				   "means nothing with external = true: a process attaches by itself");
	}
	if (app->limit_count)
		mistake_at(load, load->section_line, IN_APPLICATION, "limits",
			   "means nothing with external = true: a process attaches by itself");
	app->readiness = READINESS_ATTACH;
}

static void check_backoff(struct load *load, const struct app_config *app)
{
	int line = load_line_of(load, IN_BACKOFF, "max");

	if (app->backoff.initial <= app->backoff.max)
		return;
	if (line)
		mistake_at(load, line, IN_BACKOFF, "max", "expected no less than initial");
	else
		mistake_at(load, load_line_of(load, IN_BACKOFF, "initial"), IN_BACKOFF, "initial",
			   "expected no more than max, which is 30s unless given");
}

/* Words that mean nothing without the one that they go with. */
static void check_companion(struct load *load, enum scope scope, const char *needed,
			    const char *const words[], size_t count)
{
	if (load_line_of(load, scope, needed))
		return;
	for (size_t i = 0; i < count; i++) {
		int line = load_line_of(load, scope, words[i]);

		if (line)
			mistake_at(load, line, scope, words[i], "means nothing without a %s",
				   needed);
	}
}

static void check_channel(struct load *load, struct app_config *app)
{
	int line = load_line_of(load, IN_CHANNEL, "buffers");
	const char *why;

	if (ep_geometry_check(&app->channel, &why) < 0)
		mistake_at(load, line ? line : load_line_of(load, IN_CHANNEL, "ring"), IN_CHANNEL,
			   line ? "buffers" : "ring", "%s", why);
}

static void check_app(struct load *load, struct app_config *app)
{
	static const char *const of_health[] = { "interval", "timeout", "failures", "after" };
	static const char *const of_output[] = { "max-size", "keep" };

	check_name(load, IN_APPLICATION);
	check_command(load, app);
	check_external(load, app);
	check_backoff(load, app);
	check_companion(load, IN_HEALTH, "command", of_health, ARRAY_SIZE(of_health));
	check_companion(load, IN_OUTPUT, "file", of_output, ARRAY_SIZE(of_output));
	check_channel(load, app);
	users_finish(load, app);
	app->origin = load->config->files[load->file];
	app->line = load->section_line;
}

/* Of a list, where it begins. */
static void keep_origins(struct load *load, struct config_origins *out, const struct given *given, size_t count)
{
	out->origin = count ? calloc(count, sizeof *out->origin) : NULL;
	if (count && !out->origin)
		load->r = -ENOMEM;
	for (size_t i = 0; out->origin && i < count; i++) {
		const struct section *section = section_of_key(given[i].key);

		if (i && given[i].key == given[i - 1].key)
			continue;
		out->origin[out->count++] = (struct config_origin){
			.section = section == &config_sections[IN_ROOT] || section == &config_sections[IN_APPLICATION] ?
					   "" : section->name,
			.key = given[i].key->name, .file = load->config->files[given[i].file], .line = given[i].line };
	}
}

/* Of libconfuse: a section with a title is whole. It is taken from the tree, so that a second one
 * of that name is not merged with it, and that no tree of a thousand sections comes into being. */
static int on_section(cfg_t *cfg, cfg_opt_t *opt)
{
	struct load *load = load_of(cfg);
	enum scope scope = scope_find(IN_ROOT, opt->name, strlen(opt->name));

	begin_section(load, scope);
	if (scope == IN_GROUP) {
		check_name(load, scope);
	} else if (load->app) {
		check_app(load, load->app);
		keep_origins(load, &load->app->origins, load->given_here, load->given_here_count);
		append_app(load, STEAL(load->app));
	}
	load->title = NULL;
	load->group = NULL;
	return cfg_opt_rmnsec(opt, 0);
}

static const struct {
	const char *theirs, *before, *after;
} messages[] = {
	{ "unexpected token '%s'", "unexpected \"",
	  "\"; is a comma, \"=\", quote or brace missing before it?" },
	{ "missing equal sign after option '%s'", "", ": expected \"=\" and a value" },
	{ "missing opening brace for section '%s'", "", ": expected \"{\"" },
	{ "missing title for section '%s'", "", ": expected a name in quotes" },
	{ "unexpected closing brace", "unexpected \"}\"", "; nothing is open" },
	{ "premature end of file", "the file ends within a statement", "" },
	{ "bad escape sequence '%s'", "\"", "\" means nothing in a string; a backslash is \\\\" },
	{ "invalid octal number '%s'", "\"", "\" is no character; a backslash is \\\\" },
	{ "no such option '%s'", "", ": unknown" },
};

/* Of libconfuse: it will go no further in this file. */
static void on_error(cfg_t *cfg, const char *format, va_list values)
{
	const char *what = strstr(format, "%s") ? va_arg(values, const char *) : "";
	struct load *load = load_of(cfg);
	enum scope scope = scope_of(cfg);

	load->unread = true;
	begin_section(load, scope);
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
		if (strcmp(format, messages[i].theirs) == 0) {
			mistake_at(load, cfg->line, scope, NULL, "%s%.80s%s", messages[i].before,
				   what, messages[i].after);
			return;
		}
	mistake_at(load, cfg->line, scope, NULL, "%s (%.80s)", format, what);
}

#define OPTIONS_MAX 32

/* The words, as libconfuse wants them. */
static void fill_options(struct load *load, cfg_opt_t options[SCOPES][OPTIONS_MAX])
{
	for (enum scope scope = IN_ROOT; scope < SCOPES; scope++) {
		const struct section *section = &config_sections[scope];
		cfg_opt_t *option = options[scope];

		for (size_t i = 0; i < section->key_count; i++)
			*option++ = (cfg_opt_t){
				.name = section->keys[i].name,
				.type = CFGT_STR,
				.flags = section->keys[i].list ? CFGF_LIST : CFGF_NONE,
				.simple_value.string = &load->scratch,
				.parsecb = on_value,
			};
		for (enum scope inner = IN_ROOT + 1; inner < SCOPES; inner++)
			if (config_sections[inner].parent == scope)
				*option++ = (cfg_opt_t){
					.name = config_sections[inner].name,
					.type = CFGT_SEC,
					/* MULTI: none comes into being before it is read */
					.flags = CFGF_MULTI |
						 (config_sections[inner].titled ? CFGF_TITLE : 0),
					.subopts = options[inner],
					.validcb = config_sections[inner].titled ? on_section
										 : NULL,
				};
	}
}

static void parse(struct load *load, struct text *text)
{
	cfg_opt_t (*options)[OPTIONS_MAX] = calloc(SCOPES, sizeof *options);
	FILE *stream = fmemopen(text->bytes, text->size, "r");

	if (options)
		fill_options(load, options);
	load->root = options ? cfg_init(options[IN_ROOT], CFGF_NONE) : NULL;
	if (load->root && stream) {
		cfg_set_error_function(load->root, on_error);
		if (cfg_parse_fp(load->root, stream) != CFG_SUCCESS && !load->unread)
			load->r = -ENOMEM;   /* the only failure without a message */
	} else {
		load->r = -ENOMEM;
	}
	free_app(STEAL(load->app));   /* cut off within */
	load->title = NULL;
	load->group = NULL;
	if (load->root)
		cfg_free(load->root);
	load->root = NULL;
	if (stream)
		fclose(stream);
	free(options);
}

static int read_file(struct load *load, const char *path)
{
	CLEANUP(text_free) struct text text = { 0 };
	bool unread = load->unread;
	int r;

	load->file = list_length(load->config->files);
	load_append(load, &load->config->files, path);
	if (load->r < 0)
		return load->r;
	r = text_read(load, path, &text);
	if (r < 0) {
		load->unread = true;
		return r;
	}
	if (text.size == 0)
		return 0;
	text_check(load, &text);
	if (text.spoilt) {
		load->unread = true;
		return 0;
	}
	load->unread = false;
	parse(load, &text);
	/* The two do not agree on what a statement is. Then nothing behind it was checked. */
	if (text.stopped && !load->unread && load->r == 0) {
		mistake_in(load, load->file, text.stopped,
			   "expected KEY = VALUE or SECTION { ... }, all names in the same line");
		load->unread = true;
	}
	load->unread = load->unread || unread;
	return 0;
}

/* What can be said only when everything is read. */

/* Stable, so that of two with the same name the later one is named as the mistake. */
static int by_name_and_place(const void *a, const void *b, void *user)
{
	const struct config *config = user;
	const size_t *x = a, *y = b;
	int order = strcmp(config->apps[*x]->name, config->apps[*y]->name);

	return order ? order : *x < *y ? -1 : 1;
}

static size_t file_of(const struct load *load, const struct app_config *app)
{
	size_t file = 0;

	while (load->config->files[file] != app->origin)
		file++;
	return file;
}

static void check_apps_once(struct load *load, const size_t *sorted)
{
	const struct config *config = load->config;

	for (size_t i = 1; i < config->app_count; i++) {
		const struct app_config *was = config->apps[sorted[i - 1]];
		const struct app_config *is = config->apps[sorted[i]];

		if (strcmp(was->name, is->name) == 0)
			mistake_in(load, file_of(load, is), is->line,
				   "application \"%.90s\": given already in %s:%d", is->name,
				   was->origin, was->line);
	}
}

static void check_groups_once(struct load *load)
{
	const struct config *config = load->config;

	for (size_t i = 1; i < config->group_count; i++)
		for (size_t j = 0; j < i; j++) {
			const struct given *was = &load->group_places[j];
			const struct given *is = &load->group_places[i];

			if (strcmp(config->groups[i].name, config->groups[j].name) != 0)
				continue;
			mistake_in(load, is->file, is->line,
				   "group \"%.90s\": given already in %s:%d",
				   config->groups[i].name, config->files[was->file], was->line);
			break;
		}
}

static size_t find_app(const struct config *config, const size_t *sorted, const char *name)
{
	size_t low = 0, high = config->app_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(name, config->apps[sorted[middle]]->name);

		if (order == 0)
			return sorted[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return SIZE_MAX;
}

static void resolve(struct load *load, const size_t *sorted)
{
	const struct config *config = load->config;

	for (size_t i = 0; i < load->reference_count; i++) {
		struct reference *reference = &load->references[i];
		const char *app = config->apps[reference->app]->name;

		if (reference->kind == AFTER)
			reference->target = find_app(config, sorted, reference->name);
		if (reference->kind == AFTER && reference->target == SIZE_MAX)
			mistake_in(load, reference->file, reference->line,
				   "application \"%.90s\": after: expected an application, not "
				   "\"%.90s\"", app, reference->name);
		if (reference->kind == GROUP_OF && !config_group(config, reference->name))
			mistake_in(load, reference->file, reference->line,
				   "application \"%.90s\": group-of: expected a group, not "
				   "\"%.90s\"", app, reference->name);
	}
}

/* A walk along `after`, depth first. */
struct hike {
	struct load *load;
	size_t *first;          /* reference of each application; they stand in its order */
	size_t *next;           /* reference to be followed from it */
	size_t *path, length;
	bool *on_path, *done;
};

static void tell_circle(const struct hike *hike, const struct reference *closing)
{
	const struct config *config = hike->load->config;
	char *text = NULL;
	size_t size, i = 0;
	FILE *stream = open_memstream(&text, &size);

	if (!stream) {
		hike->load->r = -ENOMEM;
		return;
	}
	while (hike->path[i] != closing->target)
		i++;
	for (; i < hike->length; i++)
		fprintf(stream, "%s -> ", config->apps[hike->path[i]]->name);
	fprintf(stream, "%s", closing->name);
	if (fclose(stream) == 0)
		mistake_in(hike->load, closing->file, closing->line,
			   "application \"%.90s\": after: expected no circle, but %s",
			   config->apps[closing->app]->name, text);
	free(text);
}

static void step(struct hike *hike)
{
	size_t app = hike->path[hike->length - 1];
	const struct reference *reference = &hike->load->references[hike->next[app]];

	if (hike->next[app] == hike->first[app + 1]) {   /* all followed */
		hike->on_path[app] = false;
		hike->done[app] = true;
		hike->length--;
		return;
	}
	hike->next[app]++;
	if (reference->kind != AFTER || reference->target == SIZE_MAX ||
	    hike->done[reference->target])
		return;
	if (hike->on_path[reference->target]) {
		tell_circle(hike, reference);
		return;
	}
	hike->on_path[reference->target] = true;
	hike->path[hike->length++] = reference->target;
}

static void hike_deinit(struct hike *hike)
{
	free(hike->first);
	free(hike->next);
	free(hike->path);
	free(hike->on_path);
	free(hike->done);
}

static void check_circles(struct load *load)
{
	size_t count = load->config->app_count, reference = 0;
	CLEANUP(hike_deinit) struct hike hike = {
		.load = load,
		.first = calloc(count + 1, sizeof(size_t)),
		.next = calloc(count + 1, sizeof(size_t)),
		.path = calloc(count + 1, sizeof(size_t)),
		.on_path = calloc(count + 1, sizeof(bool)),
		.done = calloc(count + 1, sizeof(bool)),
	};

	if (!hike.first || !hike.next || !hike.path || !hike.on_path || !hike.done) {
		load->r = -ENOMEM;
		return;
	}
	if (!load->reference_count)
		return;
	for (size_t app = 0; app <= count; app++) {
		while (reference < load->reference_count && load->references[reference].app < app)
			reference++;
		hike.first[app] = hike.next[app] = reference;
	}
	for (size_t app = 0; app < count; app++) {
		if (hike.done[app])
			continue;
		hike.on_path[app] = true;
		hike.path[hike.length++] = app;
		while (hike.length)
			step(&hike);
	}
}

static int by_file(const void *a, const void *b, void *user)
{
	const struct config *config = user;
	const size_t *x = a, *y = b;
	const char *f = config->apps[*x]->output.file, *g = config->apps[*y]->output.file;
	int order = f && g ? strcmp(f, g) : !f - !g;

	return order ? order : *x < *y ? -1 : 1;
}

/* Two writers would rotate each other's lines away. */
static void check_outputs(struct load *load, size_t *sorted)
{
	const struct config *config = load->config;

	qsort_r(sorted, config->app_count, sizeof *sorted, by_file, load->config);
	for (size_t i = 1; i < config->app_count; i++) {
		const struct app_config *was = config->apps[sorted[i - 1]];
		const struct app_config *is = config->apps[sorted[i]];

		if (is->output.file && strcmp(was->output.file, is->output.file) == 0)
			mistake_in(load, file_of(load, is), is->line,
				   "application \"%.90s\": output file: expected a file of its "
				   "own, not that of \"%.90s\"", is->name, was->name);
	}
}

static void finish(struct load *load)
{
	struct config *config = load->config;
	struct indexed *indexed = container_of(config, struct indexed, config);
	size_t *sorted;

	if (!config->app_count) {
		mistake_in(load, 0, 0, "expected an application; the shortest is: "
			   "application \"NAME\" { command = { \"/path/of/program\" } }");
		return;
	}
	sorted = calloc(config->app_count, sizeof *sorted);
	indexed->by_name = calloc(config->app_count, sizeof(void *));
	if (!sorted || !indexed->by_name) {
		free(sorted);
		load->r = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < config->app_count; i++)
		sorted[i] = i;
	qsort_r(sorted, config->app_count, sizeof *sorted, by_name_and_place, config);
	for (size_t i = 0; i < config->app_count; i++)
		indexed->by_name[i] = config->apps[sorted[i]];
	check_apps_once(load, sorted);
	check_groups_once(load);
	resolve(load, sorted);
	check_circles(load);
	check_outputs(load, sorted);
	free(sorted);
}

static int is_conf(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length > 5 && entry->d_name[0] != '.' &&
	       strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);   /* the same in every language */
}

/* The paths of conf.d beside the file, in order of name. */
static int list_conf_d(struct load *load, const char *file, char ***paths)
{
	const char *slash = strrchr(file, '/');
	struct dirent **entries = NULL;
	char *directory, *path;
	int count;

	if (asprintf(&directory, "%.*sconf.d", slash ? (int)(slash + 1 - file) : 0, file) < 0)
		return -ENOMEM;
	count = scandir(directory, &entries, is_conf, by_bytes);
	if (count < 0)
		count = errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	for (int i = 0; i < count; i++) {
		if (asprintf(&path, "%s/%s", directory, entries[i]->d_name) < 0) {
			load->r = -ENOMEM;
		} else {
			load_append(load, paths, path);
			free(path);
		}
		free(entries[i]);
	}
	free(entries);
	free(directory);
	return count < 0 ? count : load->r;
}

static int read_files(struct load *load, const char *file, bool with_conf_d)
{
	char **more = NULL;
	int result = 0, r = with_conf_d ? list_conf_d(load, file, &more) : 0;

	/* Tidy houses have all of it in conf.d. */
	if (r < 0 || !more || access(file, F_OK) == 0 || errno != ENOENT)
		result = read_file(load, file);
	if (r < 0 && result == 0) {
		mistake_in(load, load->file, 0, "conf.d beside it cannot be read: %s",
			   strerror(-r));
		result = r;
	}
	for (char **path = more; path && *path; path++) {
		r = read_file(load, *path);
		result = result ? result : r;
	}
	free_list(more);
	return result;
}

static void load_deinit(struct load *load)
{
	config_free(load->config);
	free_app(load->app);
	free(load->scratch);
	free(load->given_here);
	free(load->given);
	free(load->group_places);
	free(load->references);
	mistakes_free(load);
	users_free(load);
}

int config_load(struct config **out, const char *file, bool with_conf_d, config_mistake_fn *mistake,
		void *user)
{
	CLEANUP(load_deinit) struct load load = { 0 };
	int r;

	load.config = config_new(&load);
	if (!load.config || load.r < 0)
		return -ENOMEM;
	r = read_files(&load, file, with_conf_d);
	if (r == 0 && load.r == 0 && !load.unread)
		finish(&load);
	keep_origins(&load, &load.config->origins, load.given, load.given_count);
	mistakes_tell(&load, mistake, user);
	if (load.r < 0)
		r = load.r;
	if (r == 0 && load.mistake_count)
		r = -EINVAL;
	if (r == 0)
		*out = STEAL(load.config);
	malloc_trim(0);   /* of a thousand sections and their texts */
	return r;
}

int config_for_run(struct config **out, const char *name, char *const command[],
		   config_mistake_fn *mistake, void *user)
{
	CLEANUP(load_deinit) struct load load = { 0 };
	CLEANUP(config_freep) struct config *config = NULL;
	struct indexed *indexed;
	struct app_config *app;

	if (!config_name_is_good(name)) {
		mistake("expected a name of letters, digits, \"_\", \".\" and \"-\", at most 63, "
			"the first neither \".\" nor \"-\"; --name gives another one", user);
		return -EINVAL;
	}
	if (!command[0] || !command[0][0]) {
		mistake("expected a command", user);
		return -EINVAL;
	}
	config = config_new(&load);
	app = config ? app_new(&load, name) : NULL;
	if (!app)
		return -ENOMEM;
	app->origin = "command line";
	for (char *const *word = command; *word; word++)
		load_append(&load, &app->command, *word);
	load.config = STEAL(config);
	if (!append_app(&load, app))
		return -ENOMEM;
	indexed = container_of(load.config, struct indexed, config);
	indexed->by_name = calloc(1, sizeof(void *));
	if (!indexed->by_name || load.r < 0)
		return -ENOMEM;
	indexed->by_name[0] = app;
	*out = STEAL(load.config);
	return 0;
}

static int by_key(const void *name, const void *place)
{
	const struct app_config *const *app = place;

	return strcmp(name, (*app)->name);
}

struct app_config *config_app(const struct config *config, const char *name)
{
	const struct indexed *indexed = (const struct indexed *)(const void *)config;
	struct app_config **found;

	static_assert(offsetof(struct indexed, config) == 0, "config_app() relies on it");
	if (!indexed->by_name)
		return NULL;
	found = bsearch(name, indexed->by_name, config->app_count, sizeof(void *), by_key);
	return found ? *found : NULL;
}

const struct group_config *config_group(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->group_count; i++)
		if (strcmp(config->groups[i].name, name) == 0)
			return &config->groups[i];
	return NULL;
}
