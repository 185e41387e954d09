#include <config.h>

#include "supervisor/ctl/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "supervisor/configuration.h"
#include "supervisor/ctl/instance.h"
#include "supervisor/ctl/offline.h"
#include "supervisor/ctl/text.h"
#include "supervisor/freep.h"
#include "supervisor/paths.h"

enum { PAGE_MAX = 1000 };
static const double patience = 30;   /* seconds, for what is answered at once */

static void config_freep(struct config **config)
{
	config_free(*config);
}

void ctl_complain(const char *format, ...)
{
	va_list values;
	char *text = NULL, *harmless = NULL;

	va_start(values, format);
	if (vasprintf(&text, format, values) >= 0)
		harmless = text_harmless(text);
	va_end(values);
	fflush(stdout);   /* what was said before stands before */
	fprintf(stderr, "epochctl: %s\n", harmless ? harmless : "out of memory");
	free(harmless);
	if (text)
		free(text);
}

int ctl_no_memory(void)
{
	ctl_complain("out of memory");
	return EXIT_TROUBLE;
}

void ctl_look_at_terminal(struct ctl *ctl)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct winsize size;

	ctl->terminal = isatty(STDOUT_FILENO) == 1;
	ctl->style = (struct table_style){ .end = "\n" };
	if (!ctl->terminal)
		return;
	ctl->style.colour = !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
	ctl->style.width = 80;
	ctl->style.height = 24;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
		ctl->style.width = size.ws_col;
		ctl->style.height = size.ws_row;
	}
}

/* ---- finding it ---- */

static void list_running(const struct instances *instances)
{
	size_t i;

	for (i = 0; i < instances->count; i++)
		if (instances->all[i].r == 0) {
			char *name = text_harmless(instances->all[i].name);

			fprintf(stderr, "  --instance %s\n", name ? name : "?");
			free(name);
		}
}

static int none_runs(const char *base)
{
	ctl_complain("no supervisor runs: nothing listens on any control.sock below %s", base);
	fputs("Start one with `epochd -c FILE`, or say where it is with --runtime-dir DIR. "
	      "Without one,\n--db FILE answers from the database alone "
	      "(STATE-DIRECTORY/INSTANCE/epochd.db).\n", stderr);
	return EXIT_NOBODY;
}

static int pick_only(const struct instances *instances, const char *base, char **name)
{
	size_t i;

	for (i = 0; i < instances->count; i++) {
		if (instances->running == 1 && instances->all[i].r == 0) {
			*name = strdup(instances->all[i].name);
			return *name ? EXIT_GOOD : ctl_no_memory();
		}
		if (instances->running == 0 && instances->all[i].r == -EACCES) {
			ctl_complain("%s/%s/control.sock: Permission denied. Its owner and root may "
				     "ask, and whom `control` names in the configuration", base,
				     instances->all[i].name);
			return EXIT_NOBODY;
		}
	}
	if (instances->running == 0)
		return none_runs(base);
	ctl_complain("several supervisors run; say which one:");
	list_running(instances);
	return EXIT_USAGE;
}

static int find_only(const char *base, char **name)
{
	struct instances instances;
	int r = instances_find(&instances, base);

	if (r < 0 && r != -ENOENT) {
		ctl_complain("%s: %s", base, strerror(-r));
		return EXIT_NOBODY;
	}
	r = pick_only(&instances, base, name);
	instances_clear(&instances);
	return r;
}

static int find_named(const char *base, const char *wanted, char **name)
{
	struct instances instances;
	int r;

	if (strchr(wanted, '/') || *wanted == '.' || !*wanted) {
		ctl_complain("--instance: \"%s\" is no name of an instance", wanted);
		return EXIT_USAGE;
	}
	r = instance_probe(base, wanted);
	if (r == 0) {
		*name = strdup(wanted);
		return *name ? EXIT_GOOD : ctl_no_memory();
	}
	if (r == -EACCES)
		ctl_complain("%s/%s/control.sock: Permission denied. Its owner and root may ask, and "
			     "whom `control` names in the configuration", base, wanted);
	else
		ctl_complain("instance %s does not run: nothing listens on %s/%s/control.sock",
			     wanted, base, wanted);
	if (instances_find(&instances, base) == 0 && instances.running > 0) {
		fputs("What runs is:\n", stderr);
		list_running(&instances);
	}
	instances_clear(&instances);
	return EXIT_NOBODY;
}

static int connect_to(struct ctl *ctl, const char *base, const char *name)
{
	CLEANUP(freep) char *socket = paths_of_instance(base, name, "control.sock");
	int r = socket ? client_open(&ctl->client, socket) : -ENOMEM;

	if (r < 0) {
		ctl_complain("%s/%s: %s", base, name, strerror(-r));
		return EXIT_NOBODY;
	}
	return EXIT_GOOD;
}

static int open_database(struct ctl *ctl)
{
	int r = offline_open(&ctl->offline, ctl->database);

	if (r < 0) {
		ctl_complain("--db %s: %s", ctl->database,
			     r == -EINVAL ? "a newer epochd wrote it: use its epochctl" :
			     r == -EUCLEAN ? "it is no database, or a damaged one" : strerror(-r));
		return EXIT_NOBODY;
	}
	return EXIT_GOOD;
}

static void no_matter(const char *mistake, void *user)
{
	(void)mistake;
	(void)user;
}

/* What the default configuration says, if it can be read: epochd uses it, so that is where it is. */
/* 1, 0: as paths_runtime_base(). state: NULL, or is given that of the configuration or the rules; NULL: there is none. */
int ctl_bases(struct ctl *ctl, char **out, char **state)
{
	CLEANUP(config_freep) struct config *config = NULL;
	CLEANUP(freep) char *file = NULL;
	const char *said = getenv("EPOCHD_RUNTIME_DIR");

	if (!ctl->runtime_dir && !(said && *said) && paths_default_config(&file) == 0 &&
	    config_load(&config, file, true, no_matter, NULL) < 0)
		config = NULL;
	if (state && paths_state_base(state, NULL, config ? config->state_directory : NULL) < 0)
		*state = NULL;
	return config ? paths_runtime_base(out, NULL, config->runtime_directory, config->segment_directory) :
			paths_runtime_base(out, ctl->runtime_dir, NULL, NULL);
}

int ctl_connect(struct ctl *ctl)
{
	int r;

	if (ctl->database)
		return open_database(ctl);
	r = ctl_bases(ctl, &ctl->base, NULL);
	if (r < 0) {
		ctl_complain("where is the runtime directory? %s", strerror(-r));
		return EXIT_NOBODY;
	}
	/* Anybody can make such a name in /dev/shm, and answer in it. */
	if (r == 1) {
		r = paths_check_private(ctl->base);
		if (r < 0 && r != -ENOENT) {
			ctl_complain("%s is not ours alone, so whoever answers there is not believed: "
				     "%s", ctl->base, strerror(-r));
			return EXIT_NOBODY;
		}
	}
	r = ctl->instance ? find_named(ctl->base, ctl->instance, &ctl->name) : find_only(ctl->base, &ctl->name);
	return r == EXIT_GOOD ? connect_to(ctl, ctl->base, ctl->name) : r;
}

/* ---- asking ---- */

const char *ctl_string(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

double ctl_number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

int ctl_failed(struct ctl *ctl, int r)
{
	switch (r) {
	case -ETIMEDOUT:
		ctl_complain("no answer in time. The supervisor may be stopped or very busy");
		return EXIT_TIMEOUT;
	case -ECONNREFUSED:
		ctl_complain("the supervisor does not run any more");
		return EXIT_NOBODY;
	case -ECONNRESET:
		ctl_complain("the supervisor has ended while it was asked");
		return EXIT_NOBODY;
	case -EACCES:
		ctl_complain("control.sock: Permission denied");
		return EXIT_NOBODY;
	case -ENOMEM:
		return ctl_no_memory();
	default:
		ctl_complain("the answer cannot be understood: %s",
			     ctl->client ? client_why(ctl->client) : strerror(-r));
		return EXIT_TROUBLE;
	}
}

int ctl_refused(struct ctl *ctl, const char *subject, const struct answer *answer)
{
	const char *detail = ctl_string(answer->json, "detail");
	char other[64];

	if (!*detail)
		detail = ctl_string(answer->json, "title");
	if (!*detail) {
		snprintf(other, sizeof other, "the answer is HTTP %ld without a reason",
			 answer->status);
		detail = other;
	}
	if (ctl->json && answer->json)
		ctl_print_json(ctl, answer);
	ctl_complain("%s%s%s", subject ? subject : "", subject ? ": " : "", detail);
	if (answer->status == 504)
		return EXIT_TIMEOUT;
	return answer->status >= 400 ? EXIT_REFUSED : EXIT_TROUBLE;
}

/* Whatever it is, if it is no refusal. */
static int ask_any(struct ctl *ctl, const char *method, const char *path, double timeout, struct answer *out)
{
	struct answer answer = { 0 };
	int r = client_ask(ctl->client, method, path, timeout, &answer);

	if (r < 0)
		return ctl_failed(ctl, r);
	if (answer.status < 200 || answer.status > 299) {
		r = ctl_refused(ctl, NULL, &answer);
		answer_clear(&answer);
		return r;
	}
	*out = answer;
	return EXIT_GOOD;
}

int ctl_ask(struct ctl *ctl, const char *method, const char *path, double timeout,
	    struct answer *out)
{
	struct answer answer = { 0 };
	int r = ask_any(ctl, method, path, timeout, &answer);

	if (r)
		return r;
	if (!json_is_object(answer.json)) {
		answer_clear(&answer);
		ctl_complain("the answer cannot be understood: it is no JSON object");
		return EXIT_TROUBLE;
	}
	*out = answer;
	return EXIT_GOOD;
}

/* Without a body: it is made when it is needed. */
static int from_database(int r, json_t *json, const char *app, struct answer *out)
{
	if (r == -ENOENT && app) {
		ctl_complain("the database knows no application %s", app);
		return EXIT_REFUSED;
	}
	if (r < 0) {
		ctl_complain("the database cannot be read: %s", strerror(-r));
		return EXIT_NOBODY;
	}
	*out = (struct answer){ .status = 200, .json = json };
	return EXIT_GOOD;
}

int ctl_stats(struct ctl *ctl, struct answer *out)
{
	json_t *json = NULL;
	int r;

	if (!ctl->offline)
		return ctl_ask(ctl, "GET", "/v1/stats", patience, out);
	r = offline_stats(ctl->offline, &json);
	return from_database(r, json, NULL, out);
}

int ctl_ask_app(struct ctl *ctl, const char *method, const char *app, const char *what, struct answer *out)
{
	CLEANUP(freep) char *escaped = client_escape(app), *path = NULL;

	if (!escaped || asprintf(&path, "/v1/apps/%s/%s", escaped, what) < 0)
		return ctl_no_memory();
	return ctl_ask(ctl, method, path, patience, out);
}

int ctl_fetch_app(struct ctl *ctl, const char *app, const char *what, struct answer *out)
{
	CLEANUP(freep) char *escaped = client_escape(app), *path = NULL;

	if (!escaped || asprintf(&path, "/v1/apps/%s/%s", escaped, what) < 0)
		return ctl_no_memory();
	return ask_any(ctl, "GET", path, patience, out);
}

/* ---- pages ---- */

struct pages {
	const char *list;   /* key of the rows */
	const char *app;    /* NULL: of all */
};

/* NULL: memory is out. */
static char *path_of_page(const struct pages *pages, uint64_t before, unsigned limit)
{
	char *app = client_escape(pages->app ? pages->app : ""), *path = NULL;
	char since[40] = "";
	int r = -1;

	if (before)
		snprintf(since, sizeof since, "before=%llu&", (unsigned long long)before);
	if (app && strcmp(pages->list, "events") == 0)
		r = asprintf(&path, "/v1/events?%slimit=%u%s%s", since, limit,
			     pages->app ? "&app=" : "", app);
	else if (app)
		r = asprintf(&path, "/v1/apps/%s/incarnations?%slimit=%u", app, since, limit);
	free(app);
	return r < 0 ? NULL : path;
}

static int ask_page(struct ctl *ctl, const struct pages *pages, uint64_t before, unsigned limit,
		    struct answer *out)
{
	CLEANUP(freep) char *path = path_of_page(pages, before, limit);

	return path ? ctl_ask(ctl, "GET", path, patience, out) : ctl_no_memory();
}

static int one_page(struct ctl *ctl, const struct pages *pages, uint64_t before, unsigned limit,
		    struct answer *out)
{
	json_t *json = NULL;
	int r;

	if (!ctl->offline)
		return ask_page(ctl, pages, before, limit, out);
	if (strcmp(pages->list, "events") == 0)
		r = offline_events(ctl->offline, pages->app, before, limit, &json);
	else
		r = offline_incarnations(ctl->offline, pages->app, (uint32_t)before, limit, &json);
	return from_database(r, json, pages->app, out);
}

/* Appends a page to what is there already, which takes its "next". */
static int merge(struct answer *whole, struct answer *page, const char *list)
{
	if (!whole->json) {
		*whole = *page;
		*page = (struct answer){ 0 };
		return EXIT_GOOD;
	}
	free(whole->body);   /* as it came, it is no more */
	whole->body = NULL;
	if (json_array_extend(json_object_get(whole->json, list),
			      json_object_get(page->json, list)) < 0 ||
	    json_object_set(whole->json, "next", json_object_get(page->json, "next")) < 0)
		return ctl_no_memory();
	return EXIT_GOOD;
}

static int fetch(struct ctl *ctl, const struct pages *pages, unsigned limit, struct answer *out)
{
	struct answer whole = { 0 };
	uint64_t before = 0, next;
	unsigned left = limit, size;
	int r;

	for (;;) {
		struct answer page = { 0 };

		size = limit && left < PAGE_MAX ? left : PAGE_MAX;
		r = one_page(ctl, pages, before, size, &page);
		if (r)
			break;
		if (!json_is_array(json_object_get(page.json, pages->list))) {
			ctl_complain("the answer cannot be understood: it has no %s", pages->list);
			answer_clear(&page);
			r = EXIT_TROUBLE;
			break;
		}
		next = (uint64_t)json_integer_value(json_object_get(page.json, "next"));
		left -= limit ? size : 0;
		r = merge(&whole, &page, pages->list);
		answer_clear(&page);
		/* One that does not go down would never end. */
		if (r || !next || (before && next >= before) || (limit && left == 0))
			break;
		before = next;
	}
	if (r)
		answer_clear(&whole);
	else
		*out = whole;
	return r;
}

int ctl_incarnations(struct ctl *ctl, const char *app, unsigned limit, struct answer *out)
{
	return fetch(ctl, &(struct pages){ "incarnations", app }, limit, out);
}

int ctl_events(struct ctl *ctl, const char *app, unsigned limit, struct answer *out)
{
	return fetch(ctl, &(struct pages){ "events", app }, limit, out);
}

/* ---- as JSON ---- */

int ctl_print_json(struct ctl *ctl, const struct answer *answer)
{
	CLEANUP(freep) char *text = NULL, *harmless = NULL;

	if (answer->body && !ctl->terminal) {
		size_t length = strlen(answer->body);

		fputs(answer->body, stdout);
		if (length == 0 || answer->body[length - 1] != '\n')
			putchar('\n');
		return EXIT_GOOD;
	}
	text = json_dumps(answer->json, ctl->terminal ? JSON_INDENT(2) : JSON_COMPACT);
	harmless = text && ctl->terminal ? text_harmless_json(text) : NULL;
	if (!text || (ctl->terminal && !harmless))
		return ctl_no_memory();
	puts(harmless ? harmless : text);
	return EXIT_GOOD;
}
