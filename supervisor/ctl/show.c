#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/explain.h"
#include "supervisor/ctl/status.h"
#include "supervisor/ctl/text.h"
#include "supervisor/freep.h"

/* epochctl: stats, incarnations, events, explain. */

enum { LIMIT_DEFAULT = 20, EXPLAIN_MAX = 1000 };

/* ---- stats ---- */

/* "4 crashed, 1 asked": the members that are not 0, their names with blanks. */
static void say_counts(const json_t *object, const char *const *skip, const char *none)
{
	const char *key, *c, *separator = "";
	const json_t *value;
	size_t i;

	json_object_foreach((json_t *)object, key, value) {
		bool skipped = !json_is_integer(value) || json_integer_value(value) == 0;

		for (i = 0; skip && skip[i]; i++)
			skipped |= strcmp(key, skip[i]) == 0;
		if (skipped)
			continue;
		printf("%s%" JSON_INTEGER_FORMAT " ", separator, json_integer_value(value));
		for (c = key; *c; c++)
			putchar(*c == '_' ? ' ' : *c >= ' ' && *c < 127 ? *c : '?');
		separator = ", ";
	}
	puts(*separator ? "" : none);
}

static void say(const char *label, const char *text)
{
	char *harmless = text_harmless(text);

	printf("  %-18s %s\n", label, harmless ? harmless : "?");
	free(harmless);
}

static void say_restarts(const json_t *restarts)
{
	static const char *const skip[] = { "total", "last_hour", "last_day", NULL };
	const json_t *hour = json_object_get(restarts, "last_hour");
	const json_t *day = json_object_get(restarts, "last_day");
	char since[32];

	printf("  %-18s %.0f since %s\n", "restarts", ctl_number(restarts, "total"),
	       text_time(since, ctl_string(restarts, "since")));
	printf("  %-18s ", "  of these");
	say_counts(restarts, skip, "none");
	if (json_is_integer(hour) && json_is_integer(day))
		printf("  %-18s %.0f in the last hour, %.0f in the last day\n", "  lately",
		       json_number_value(hour), json_number_value(day));
}

/* What stands in objects of its own, and is not none. */
static void say_causes(const json_t *counts)
{
	const json_t *value;
	const char *key;

	json_object_foreach((json_t *)counts, key, value) {
		CLEANUP(freep) char *label = text_harmless(key);

		if (!json_is_object(value) || ctl_number(value, "buffers") == 0)
			continue;
		printf("    %-16s ", label ? label : "?");
		say_counts(value, NULL, "none");
	}
}

static void say_last_exit(const json_t *last)
{
	char how[96], at[32], text[192];

	if (!json_is_object(last))
		return;
	snprintf(text, sizeof text, "%s, of epoch %.0f, at %s", status_exit(how, last),
		 ctl_number(last, "epoch"), text_time(at, ctl_string(last, "at")));
	say("last exit", text);
}

static void say_app(const json_t *app)
{
	static const struct {
		const char *key, *label;
	} counts[] = {
		{ "reclaimed", "reclaimed" }, { "garbage_collected", "garbage collected" },
		{ "clients", "clients" }, { "refused", "refused" },
		{ "shm_cleaned", "shm cleaned" },
	};
	CLEANUP(freep) char *name = text_harmless(ctl_string(app, "name"));
	const char *reason = ctl_string(app, "reason");
	size_t i;

	printf("\n%s  %s, epoch %.0f\n", name ? name : "?", ctl_string(app, "state"),
	       ctl_number(app, "epoch"));
	if (*reason)
		say("reason", reason);
	say_restarts(json_object_get(app, "restarts"));
	say_last_exit(json_object_get(app, "last_exit"));
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		printf("  %-18s ", counts[i].label);
		say_counts(json_object_get(app, counts[i].key), NULL, "none");
		say_causes(json_object_get(app, counts[i].key));
	}
}

static void say_supervisor(const json_t *stats)
{
	const json_t *instance = json_object_get(stats, "instance"), *warning;
	const json_t *supervisor = json_object_get(stats, "supervisor");
	CLEANUP(freep) char *version = text_harmless(ctl_string(supervisor, "version"));
	CLEANUP(freep) char *name = text_harmless(ctl_string(instance, "name"));
	CLEANUP(freep) char *uuid = text_harmless(ctl_string(instance, "uuid"));
	char at[32];
	size_t i;

	printf("instance %s  %s\n", name ? name : "?", uuid ? uuid : "?");
	if (json_is_integer(json_object_get(supervisor, "pid")))
		printf("  %-18s pid %.0f, version %s\n", "supervisor", ctl_number(supervisor, "pid"),
		       version ? version : "?");
	else
		printf("  %-18s was not asked: this is from the database\n", "supervisor");
	printf("  %-18s %s\n", "started", text_time(at, ctl_string(supervisor, "started_at")));
	printf("  %-18s %.0f, %.0f of them ended unclean\n", "runs", ctl_number(supervisor, "runs"),
	       ctl_number(supervisor, "unclean_runs"));
	printf("  %-18s %.0f\n", "segments cleaned", ctl_number(supervisor, "segments_cleaned"));
	json_array_foreach(json_object_get(supervisor, "warnings"), i, warning)
		say("warning", ctl_string(warning, "text"));
}

int ctl_show_stats(struct ctl *ctl, int argc, char **argv)
{
	CLEANUP(answer_clear) struct answer answer = { 0 };
	const json_t *app;
	size_t i;
	int r = ctl_stats(ctl, &answer);

	(void)argc;
	(void)argv;
	if (r)
		return r;
	if (ctl->json)
		return ctl_print_json(ctl, &answer);
	say_supervisor(answer.json);
	json_array_foreach(json_object_get(answer.json, "apps"), i, app)
		say_app(app);
	return EXIT_GOOD;
}

/* ---- incarnations ---- */

static double ran_for(const json_t *incarnation)
{
	double from = text_parse_time(ctl_string(incarnation, "started_at"));
	double until = text_parse_time(ctl_string(incarnation, "ended_at"));

	if (from < 0)
		return -1;
	return until >= 0 ? until - from : *ctl_string(incarnation, "cause") ? -1 : text_now() - from;
}

static int incarnation_row(struct table *table, const json_t *incarnation, bool traced)
{
	const json_t *pid = json_object_get(incarnation, "pid");
	double ran = ran_for(incarnation);
	char started[32], how[96], ran_text[32] = "", pid_text[32] = "";
	const char *cause = ctl_string(incarnation, "restart");
	int r = table_row(table);

	if (json_is_integer(pid))
		snprintf(pid_text, sizeof pid_text, "%" JSON_INTEGER_FORMAT, json_integer_value(pid));
	if (ran >= 0)
		text_duration(ran_text, ran);
	if (r == 0)
		r = table_cell(table, PAINT_NONE, "%.0f", ctl_number(incarnation, "epoch"));
	if (r == 0)
		r = table_cell(table, PAINT_NONE, "%s", pid_text);
	if (r == 0)
		r = table_cell(table, PAINT_NONE, "%s",
			       text_time(started, ctl_string(incarnation, "started_at")));
	if (r == 0)
		r = table_cell(table, PAINT_NONE, "%s", cause);
	if (r == 0)
		r = table_cell(table, PAINT_NONE, "%s", ran_text);
	status_exit(how, incarnation);
	if (r == 0)
		r = *how ? table_cell(table, PAINT_NONE, "%s", how)
			 : table_cell(table, PAINT_GOOD, "it runs");
	if (r == 0)
		r = table_cell(table, PAINT_NONE, "%s", ctl_string(incarnation, "detail"));
	return r || !traced ? r : table_cell(table, PAINT_NONE, "%s", ctl_string(incarnation, "trace"));
}

static bool any_has(const json_t *array, const char *key)
{
	const json_t *item;
	size_t i;

	json_array_foreach(array, i, item)
		if (*ctl_string(item, key))
			return true;
	return false;
}

static int print_incarnations(struct ctl *ctl, const json_t *answer)
{
	static const struct table_column columns[] = {
		{ "EPOCH", true }, { "PID", true }, { "STARTED", false }, { "AFTER", false },
		{ "RAN FOR", true }, { "ENDED BY", false }, { "DETAIL", false }, { "TRACE", false },
	};
	struct table_style style = ctl->style;
	const json_t *all = json_object_get(answer, "incarnations"), *incarnation;
	bool traced = any_has(all, "trace");
	struct table *table;
	size_t i;
	int r = table_new(&table, columns, ARRAY_SIZE(columns) - !traced);

	if (r < 0)
		return ctl_no_memory();
	json_array_foreach(all, i, incarnation)
		if (r == 0)
			r = incarnation_row(table, incarnation, traced);
	style.height = 0;
	if (r == 0)
		table_print(table, stdout, &style);
	if (r == 0 && ctl->terminal && json_is_integer(json_object_get(answer, "next")))
		table_line(stdout, &style, PAINT_DIM, "There are older ones: --limit N, --all");
	table_free(table);
	return r < 0 ? ctl_no_memory() : EXIT_GOOD;
}

static unsigned limit_of(const struct ctl *ctl)
{
	return ctl->all ? 0 : ctl->limit ? ctl->limit : LIMIT_DEFAULT;
}

int ctl_show_incarnations(struct ctl *ctl, int argc, char **argv)
{
	CLEANUP(answer_clear) struct answer answer = { 0 };
	int r = ctl_incarnations(ctl, argv[0], limit_of(ctl), &answer);

	(void)argc;
	if (r)
		return r;
	return ctl->json ? ctl_print_json(ctl, &answer) : print_incarnations(ctl, answer.json);
}

/* ---- events ---- */

/* Oldest first, a line each, as they are followed: so the columns are fixed. */
static void print_event(struct ctl *ctl, const json_t *event)
{
	const json_t *epoch = json_object_get(event, "epoch");
	const char *app = ctl_string(event, "app"), *reason = ctl_string(event, "reason");
	char at[32], epoch_text[32] = "-";
	char *line;

	if (json_integer_value(epoch))
		snprintf(epoch_text, sizeof epoch_text, "%" JSON_INTEGER_FORMAT,
			 json_integer_value(epoch));
	if (asprintf(&line, "%s  %-16s %7s  %-10s%s%s", text_time(at, ctl_string(event, "at")),
		     *app ? app : "(supervisor)", epoch_text, ctl_string(event, "event"),
		     *reason ? "  " : "", reason) < 0)
		return;
	for (size_t end = strlen(line); end > 0 && line[end - 1] == ' '; end--)
		line[end - 1] = '\0';
	table_line(stdout, &ctl->style, PAINT_NONE, line);
	free(line);
}

static void print_event_json(struct ctl *ctl, const json_t *event)
{
	char *text = json_dumps(event, JSON_COMPACT);
	char *harmless = text && ctl->terminal ? text_harmless_json(text) : NULL;

	if (text)
		puts(harmless ? harmless : text);
	free(harmless);
	free(text);
}

struct following {
	struct ctl *ctl;
	uint64_t newest;   /* number of the last that was printed */
	int exit;
};

static void print_newer(struct following *following, const json_t *event)
{
	uint64_t number = (uint64_t)json_integer_value(json_object_get(event, "number"));
	const char *app = following->ctl->app;

	if (number <= following->newest)
		return;
	following->newest = number;
	if (app && strcmp(app, ctl_string(event, "app")) != 0)
		return;
	if (following->ctl->json)
		print_event_json(following->ctl, event);
	else
		print_event(following->ctl, event);
}

/* The page, oldest first, what was printed before left out. */
static int print_page(struct following *following, unsigned limit)
{
	CLEANUP(answer_clear) struct answer answer = { 0 };
	int r = ctl_events(following->ctl, following->ctl->app, limit, &answer);
	const json_t *events;
	size_t i;

	if (r)
		return r;
	events = json_object_get(answer.json, "events");
	for (i = json_array_size(events); i-- > 0;)
		print_newer(following, json_array_get(events, i));
	return fflush(stdout) == 0 ? EXIT_GOOD : EXIT_TROUBLE;
}

static int on_line(struct following *following, const char *text)
{
	json_auto_t *event = json_loads(text, 0, NULL);
	const char *error = ctl_string(event, "error");

	if (*error) {
		ctl_complain("cut off: %s", error);
		return EXIT_REFUSED;
	}
	if (!json_is_object(event)) {
		ctl_complain("the answer cannot be understood: a line of events is no JSON object");
		return EXIT_TROUBLE;
	}
	print_newer(following, event);
	return fflush(stdout) == 0 ? EXIT_GOOD : EXIT_TROUBLE;
}

static int on_happening(enum happening happening, const char *text, void *user)
{
	struct following *following = user;
	struct answer refusal = { 0 };

	switch (happening) {
	case STREAM_OPENED:   /* what came between the first page and this */
		following->exit = print_page(following, 1000);
		break;
	case STREAM_LINE:
		following->exit = on_line(following, text);
		break;
	case STREAM_RESIZED:
		ctl_look_at_terminal(following->ctl);
		break;
	case STREAM_TICK:
		break;
	case STREAM_ENDED:
		ctl_complain("the supervisor does not send events any more: %s", text);
		following->exit = EXIT_NOBODY;
		break;
	case STREAM_REFUSED:
		refusal = (struct answer){ .status = 400, .body = strdup(text),
					   .json = json_loads(text, 0, NULL) };
		following->exit = ctl_refused(following->ctl, NULL, &refusal);
		answer_clear(&refusal);
		break;
	}
	return following->exit;
}

static int follow(struct ctl *ctl)
{
	struct following following = { .ctl = ctl };
	CLEANUP(freep) char *path = NULL, *app = NULL;
	int r = print_page(&following, limit_of(ctl));

	if (r)
		return r;
	if (ctl->app)
		app = client_escape(ctl->app);
	if ((ctl->app && !app) || asprintf(&path, "/v1/events?follow%s%s", app ? "&app=" : "",
					   app ? app : "") < 0)
		return ctl_no_memory();
	r = client_follow(ctl->client, path, 60, on_happening, &following);
	return r < 0 ? ctl_failed(ctl, r) : r;
}

int ctl_show_events(struct ctl *ctl, int argc, char **argv)
{
	CLEANUP(answer_clear) struct answer answer = { 0 };
	const json_t *events;
	size_t i;
	int r;

	(void)argc;
	(void)argv;
	if (ctl->follow && ctl->offline) {
		ctl_complain("--follow needs a supervisor: a database does not change by itself");
		return EXIT_USAGE;
	}
	if (ctl->follow)
		return follow(ctl);
	r = ctl_events(ctl, ctl->app, limit_of(ctl), &answer);
	if (r)
		return r;
	if (ctl->json)
		return ctl_print_json(ctl, &answer);
	events = json_object_get(answer.json, "events");
	for (i = json_array_size(events); i-- > 0;)
		print_event(ctl, json_array_get(events, i));
	return EXIT_GOOD;
}

/* ---- explain ---- */

static int ask_app(struct ctl *ctl, const char *name, struct answer *out)
{
	CLEANUP(freep) char *escaped = client_escape(name), *path = NULL;

	if (!escaped || asprintf(&path, "/v1/apps/%s", escaped) < 0)
		return ctl_no_memory();
	return ctl_ask(ctl, "GET", path, 30, out);
}

/* As many as may stand in the window, and a few that a person asked for. */
static unsigned incarnations_of_use(const json_t *app)
{
	const json_t *config = json_object_get(app, "config");
	double restarts = ctl_number(json_object_get(config, "intensity"), "restarts");

	return restarts + EXPLAIN_INCARNATIONS < EXPLAIN_MAX
		? (unsigned)restarts + EXPLAIN_INCARNATIONS : EXPLAIN_MAX;
}

int ctl_explain(struct ctl *ctl, int argc, char **argv)
{
	CLEANUP(answer_clear) struct answer app = { 0 }, past = { 0 };
	CLEANUP(freep) char *text = NULL;
	char *line, *rest, *newline;
	int r = ask_app(ctl, argv[0], &app);

	(void)argc;
	if (r)
		return r;
	if (ctl->json)
		return ctl_print_json(ctl, &app);
	r = ctl_incarnations(ctl, argv[0], incarnations_of_use(app.json), &past);
	if (r)
		return r;
	text = explain_app(app.json, json_object_get(past.json, "incarnations"), text_now());
	if (!text)
		return ctl_no_memory();
	for (line = text; *line; line = rest) {
		newline = strchr(line, '\n');
		rest = newline ? newline + 1 : line + strlen(line);
		if (newline)
			*newline = '\0';
		line = text_harmless(line);
		puts(line ? line : "?");
		free(line);
	}
	return EXIT_GOOD;
}
