#include <config.h>

#include "supervisor/ctl/status.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/table.h"
#include "supervisor/ctl/text.h"
#include "supervisor/problem.h"

static const struct table_column columns[] = {
	{ "NAME", false }, { "STATE", false }, { "EPOCH", true }, { "PID", true },
	{ "UP FOR", true }, { "RESTARTS", true }, { "LAST EXIT", false }, { "REASON", false },
};

/* Green is good, yellow passes by itself, red needs a person. */
static enum paint paint_of(const char *state)
{
	static const struct {
		const char *state;
		enum paint paint;
	} paints[] = {
		{ "up", PAINT_GOOD }, { "starting", PAINT_WAIT }, { "stopping", PAINT_WAIT },
		{ "backoff", PAINT_WAIT }, { "fatal", PAINT_BAD }, { "held", PAINT_BAD },
		{ "stopped", PAINT_DIM },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paints); i++)
		if (strcmp(state, paints[i].state) == 0)
			return paints[i].paint;
	return PAINT_NONE;
}

static bool is_wanted(const char *name, char *const *names)
{
	if (!names || !*names)
		return true;
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

const char *status_exit(char buffer[96], const json_t *end)
{
	const char *cause = ctl_string(end, "cause"), *name = ctl_string(end, "signal");
	const json_t *code = json_object_get(end, "code");
	bool telling = *cause && strcmp(cause, "crashed") != 0 && strcmp(cause, "exited") != 0;
	char how[48] = "", words[32];
	char *c;

	snprintf(words, sizeof words, "%s", telling ? cause : "");
	for (c = words; *c; c++)
		if (*c == '_')
			*c = ' ';
	if (*name)
		snprintf(how, sizeof how, "%s%s", name,
			 json_is_true(json_object_get(end, "oom")) ? " (out of memory)" : "");
	else if (json_is_integer(code))
		snprintf(how, sizeof how, "exit %" JSON_INTEGER_FORMAT, json_integer_value(code));
	else if (!telling)
		snprintf(how, sizeof how, "%s", cause);
	snprintf(buffer, 96, "%s%s%s", words, *words && *how ? " " : "", how);
	return buffer;
}

static int last_exit_cell(struct table *table, const json_t *app, double now)
{
	const json_t *last = json_object_get(app, "last_exit");
	double at = text_parse_time(ctl_string(last, "at"));
	char how[96], ago[32];

	status_exit(how, last);
	if (!*how || at < 0)
		return table_cell(table, PAINT_NONE, "%s", how);
	return table_cell(table, PAINT_NONE, "%s, %s ago", how, text_duration_short(ago, now - at));
}

static int reason_cell(struct table *table, const json_t *app, double now)
{
	const char *reason = ctl_string(app, "reason");
	double retry = text_parse_time(ctl_string(app, "retry_at"));
	char in[32];

	if (retry >= 0)
		return table_cell(table, PAINT_NONE, "again in %s%s%s",
				  text_duration(in, retry > now ? retry - now : 0),
				  *reason ? ": " : "", reason);
	return table_cell(table, PAINT_NONE, "%s",
			  *reason ? reason : ctl_string(app, "status_text"));
}

static int number_cell(struct table *table, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value)
		? table_cell(table, PAINT_NONE, "%" JSON_INTEGER_FORMAT, json_integer_value(value))
		: table_cell(table, PAINT_NONE, "%s", "");
}

static int fill_row(struct table *table, const json_t *app, double now)
{
	const char *state = ctl_string(app, "state");
	const json_t *up = json_object_get(app, "up_seconds");
	char up_for[32] = "";
	int r = table_row(table);

	if (json_is_number(up))
		text_duration(up_for, json_number_value(up));
	if (r == 0)
		r = table_cell(table, PAINT_NONE, "%s", ctl_string(app, "name"));
	if (r == 0)
		r = table_cell(table, paint_of(state), "%s", state);
	if (r == 0)
		r = number_cell(table, app, "epoch");
	if (r == 0)
		r = number_cell(table, app, "pid");
	if (r == 0)
		r = table_cell(table, PAINT_NONE, "%s", up_for);
	if (r == 0)
		r = number_cell(table, json_object_get(app, "restarts"), "total");
	if (r == 0)
		r = last_exit_cell(table, app, now);
	return r ? r : reason_cell(table, app, now);
}

static size_t print_warnings(FILE *out, const json_t *stats, const struct table_style *style)
{
	const json_t *warnings, *warning;
	char since[32];
	char *line;
	size_t i;

	warnings = json_object_get(json_object_get(stats, "supervisor"), "warnings");
	json_array_foreach(warnings, i, warning) {
		if (asprintf(&line, "warning: %s (since %s)", ctl_string(warning, "text"),
			     text_time(since, ctl_string(warning, "since"))) < 0)
			continue;
		table_line(out, style, PAINT_WAIT, line);
		free(line);
	}
	return json_array_size(warnings);
}

int status_print(FILE *out, const json_t *stats, char *const *names, double now,
		 const struct table_style *style)
{
	const json_t *apps = json_object_get(stats, "apps"), *app;
	struct table_style rest = *style;
	struct table *table;
	size_t i, warnings;
	int r;

	if (!json_is_array(apps))
		return -EINVAL;
	r = table_new(&table, columns, ARRAY_SIZE(columns));
	if (r < 0)
		return r;
	json_array_foreach(apps, i, app)
		if (r == 0 && is_wanted(ctl_string(app, "name"), names))
			r = fill_row(table, app, now);
	warnings = json_array_size(json_object_get(json_object_get(stats, "supervisor"),
						   "warnings"));
	if (rest.height)
		rest.height = rest.height > warnings + 2 ? rest.height - warnings : 2;
	if (r == 0 && table_rows(table) > 0)
		table_print(table, out, &rest);
	else if (r == 0)
		table_line(out, style, PAINT_NONE, "No applications are configured.");
	if (r == 0)
		print_warnings(out, stats, style);
	table_free(table);
	return r;
}

int status_is_bad(const json_t *stats, char *const *names)
{
	const json_t *app;
	size_t i;

	json_array_foreach(json_object_get(stats, "apps"), i, app) {
		const char *state = ctl_string(app, "state");

		if (is_wanted(ctl_string(app, "name"), names) &&
		    (strcmp(state, "fatal") == 0 || strcmp(state, "held") == 0))
			return 1;
	}
	return 0;
}

/* ---- the command ---- */

static bool is_known(const json_t *stats, const char *name)
{
	const json_t *app;
	size_t i;

	json_array_foreach(json_object_get(stats, "apps"), i, app)
		if (strcmp(ctl_string(app, "name"), name) == 0)
			return true;
	return false;
}

static const char *nearest_app(const json_t *apps, const char *name)
{
	const char **words = calloc(json_array_size(apps) + 1, sizeof *words), *nearest = NULL;
	const json_t *app;
	size_t i;

	json_array_foreach(apps, i, app)
		if (words)
			words[i] = ctl_string(app, "name");
	if (words)
		nearest = text_nearest(name, words);
	free(words);
	return nearest;
}

/* As the supervisor would have refused it. */
static int refuse_unknown(struct ctl *ctl, const json_t *stats, const char *name)
{
	const char *nearest = nearest_app(json_object_get(stats, "apps"), name);
	CLEANUP(answer_clear) struct answer answer = { .status = 404 };
	char detail[256];

	snprintf(detail, sizeof detail, "there is no application %s%s%s%s", name,
		 nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
	answer.json = problem_json(404, detail, "/v1/stats");
	return answer.json ? ctl_refused(ctl, NULL, &answer) : ctl_no_memory();
}

/* Those that are named must be there. */
static int check_names(struct ctl *ctl, const json_t *stats, char *const *names)
{
	int r = EXIT_GOOD;

	for (; *names; names++)
		if (!is_known(stats, *names))
			r = refuse_unknown(ctl, stats, *names);
	return r;
}

static int shown(int r)
{
	if (r == -ENOMEM)
		return ctl_no_memory();
	ctl_complain("the answer cannot be understood: it has no apps");
	return EXIT_TROUBLE;
}

static int print_once(struct ctl *ctl, char *const *names)
{
	CLEANUP(answer_clear) struct answer answer = { 0 };
	struct table_style style = ctl->style;
	int r = ctl_stats(ctl, &answer);

	if (r == EXIT_GOOD)
		r = check_names(ctl, answer.json, names);
	if (r)
		return r;
	if (ctl->json) {
		r = ctl_print_json(ctl, &answer);
	} else {
		style.height = 0;   /* a terminal scrolls */
		r = status_print(stdout, answer.json, names, text_now(), &style);
		if (r < 0)
			return shown(r);
	}
	return r ? r : status_is_bad(answer.json, names) ? EXIT_BAD : EXIT_GOOD;
}

/* ---- --watch ---- */

struct watch {
	struct ctl *ctl;
	char *const *names;
	struct answer answer;   /* the newest */
	double fetched_at;
	bool lost;              /* nobody answers */
	int exit;               /* why it ends */
};

/* up_seconds as it must be now, so that a second more needs no question. */
static void advance(json_t *stats, double seconds)
{
	json_t *app;
	size_t i;

	json_array_foreach(json_object_get(stats, "apps"), i, app) {
		json_t *up = json_object_get(app, "up_seconds");

		if (json_is_number(up))
			json_object_set_new(app, "up_seconds",
					    json_real(json_number_value(up) + seconds));
	}
}

static int draw(struct watch *watch)
{
	struct ctl *ctl = watch->ctl;
	struct table_style style = ctl->style;
	double now = text_now();
	int r;

	advance(watch->answer.json, now - watch->fetched_at);
	watch->fetched_at = now;
	if (ctl->terminal) {
		style.end = "\033[K\n";
		style.height -= 2;   /* one for what is said below, one for the cursor */
		fputs("\033[H", stdout);
	}
	r = status_print(stdout, watch->answer.json, watch->names, now, &style);
	if (r < 0)
		return shown(r);
	if (watch->lost)
		table_line(stdout, &style, PAINT_BAD, "No supervisor answers: this is what was last "
			   "known. Trying again ...");
	fputs(ctl->terminal ? "\033[J" : "\n", stdout);
	if (fflush(stdout) != 0)
		return EXIT_TROUBLE;
	return 0;
}

static int print_line(struct watch *watch)
{
	int r = ctl_print_json(watch->ctl, &watch->answer);

	return r ? r : fflush(stdout) == 0 ? 0 : EXIT_TROUBLE;
}

static int lose(struct watch *watch)
{
	if (watch->lost)
		return 0;
	watch->lost = true;
	return watch->ctl->json ? 0 : draw(watch);
}

/* One that does not answer may be back soon: nothing is complained of. */
static int renew(struct watch *watch)
{
	struct answer answer = { 0 };

	if (client_ask(watch->ctl->client, "GET", "/v1/stats", 5, &answer) < 0)
		return lose(watch);
	if (answer.status != 200 || !json_is_object(answer.json)) {
		answer_clear(&answer);
		return lose(watch);
	}
	answer_clear(&watch->answer);
	watch->answer = answer;
	watch->fetched_at = text_now();
	watch->lost = false;
	return watch->ctl->json ? print_line(watch) : draw(watch);
}

static int cannot_follow(struct watch *watch, const char *body)
{
	struct answer refusal = { .status = 400, .body = strdup(body),
				  .json = json_loads(body, 0, NULL) };
	int r = ctl_refused(watch->ctl, NULL, &refusal);

	answer_clear(&refusal);
	return r;
}

static int on_happening(enum happening happening, const char *text, void *user)
{
	struct watch *watch = user;
	struct ctl *ctl = watch->ctl;

	switch (happening) {
	case STREAM_OPENED:
	case STREAM_LINE:
		watch->exit = renew(watch);
		break;
	case STREAM_TICK:
		watch->exit = ctl->terminal && !ctl->json ? draw(watch) : 0;
		break;
	case STREAM_RESIZED:
		ctl_look_at_terminal(ctl);
		watch->exit = ctl->terminal && !ctl->json ? draw(watch) : 0;
		break;
	case STREAM_ENDED:
		watch->exit = lose(watch);
		break;
	case STREAM_REFUSED:
		watch->exit = cannot_follow(watch, text);
		break;
	}
	return watch->exit;
}

static int watch_status(struct ctl *ctl, char *const *names)
{
	struct watch watch = { .ctl = ctl, .names = names, .fetched_at = text_now() };
	bool dress = ctl->terminal && !ctl->json;
	int r = ctl_stats(ctl, &watch.answer);

	if (r == EXIT_GOOD)
		r = check_names(ctl, watch.answer.json, names);
	if (r == EXIT_GOOD) {
		if (dress)
			fputs("\033[?25l\033[2J", stdout);   /* no cursor, nothing else */
		r = ctl->json ? print_line(&watch) : draw(&watch);
		if (r == EXIT_GOOD)
			r = client_follow(ctl->client, "/v1/events?follow", 1, on_happening, &watch);
		if (dress)
			fputs("\033[?25h", stdout);
		if (r < 0)
			r = ctl_failed(ctl, r);
	}
	answer_clear(&watch.answer);
	return r;
}

int ctl_status(struct ctl *ctl, int argc, char **argv)
{
	(void)argc;
	if (ctl->watch && ctl->offline) {
		ctl_complain("--watch needs a supervisor: a database does not change by itself");
		return EXIT_USAGE;
	}
	return ctl->watch ? watch_status(ctl, argv) : print_once(ctl, argv);
}
