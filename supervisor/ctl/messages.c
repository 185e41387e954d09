/* `epochctl messages`: what an application says and understands, and whether that is what it was. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/text.h"
#include "supervisor/freep.h"

static bool is_set(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

/* "1.2" of the module that the name begins with; "". */
static const char *version_of(const json_t *answer, const char *name)
{
	size_t length = strcspn(name, "."), i;
	const json_t *module;

	json_array_foreach(json_object_get(answer, "modules"), i, module) {
		const char *of = ctl_string(module, "name");

		if (strlen(of) == length && strncmp(of, name, length) == 0)
			return ctl_string(module, "version");
	}
	return "";
}

static int show(struct ctl *ctl, const json_t *answer)
{
	static const struct table_column columns[] = {
		{ "ID", true }, { "NAME", false }, { "CRC", false }, { "SIZE", true }, { "VERSION", false },
		{ "CALL", false }, { "RECEIVED", true }, { "SENT", true }, { "ERRORS", true }, { "LAYOUT", false },
	};
	CLEANUP(table_freep) struct table *table = NULL;
	const json_t *message;
	size_t i;

	if (table_new(&table, columns, ARRAY_SIZE(columns)) < 0)
		return ctl_no_memory();
	json_array_foreach(json_object_get(answer, "messages"), i, message) {
		const char *name = ctl_string(message, "name"), *layout = ctl_string(message, "layout");
		const json_t *counts = json_object_get(message, "counts"), *of = json_object_get(counts, "errors");
		double errors = ctl_number(of, "unhandled") + ctl_number(of, "misfit") + ctl_number(of, "would_block");

		if (table_row(table) < 0)
			return ctl_no_memory();
		table_cell(table, PAINT_NONE, "%zu", i + 1);
		table_cell(table, PAINT_NONE, "%s", name);
		table_cell(table, PAINT_NONE, "%s", ctl_string(message, "crc"));
		table_cell(table, PAINT_NONE, "%.0f%s", ctl_number(message, "size"), is_set(message, "tail") ? "+" : "");
		table_cell(table, PAINT_NONE, "%s", version_of(answer, name));
		table_cell(table, PAINT_NONE, "%s", is_set(message, "callable") ? "yes" : "");
		table_cell(table, PAINT_NONE, "%.0f", ctl_number(counts, "received"));
		table_cell(table, PAINT_NONE, "%.0f", ctl_number(counts, "sent"));
		table_cell(table, errors > 0 ? PAINT_WAIT : PAINT_NONE, "%.0f", errors);
		table_cell(table, PAINT_DIM, "%s", layout + strcspn(layout, "("));
	}
	if (table_rows(table))
		table_print(table, stdout, &ctl->style);
	else
		puts(is_set(answer, "attached") ? "no messages" : "no messages: nothing is attached");
	return EXIT_GOOD;
}

/* ---- compared with what was written before ---- */

static const json_t *named(const json_t *answer, const char *name)
{
	const json_t *message;
	size_t i;

	json_array_foreach(json_object_get(answer, "messages"), i, message)
		if (strcmp(ctl_string(message, "name"), name) == 0)
			return message;
	return NULL;
}

static void add_change(json_t *changes, const char *what, const char *name, const json_t *before, const json_t *now)
{
	json_array_append_new(changes, json_pack("{s:s, s:s, s:O?, s:O?}", "change", what, "name", name,
						 "before", json_object_get(before, "layout"),
						 "now", json_object_get(now, "layout")));
}

/* A number that moves is no change: numbers are given at run time. */
static json_t *changes_between(const json_t *before, const json_t *now)
{
	json_t *changes = json_array();
	const json_t *message, *other;
	size_t i;

	json_array_foreach(json_object_get(before, "messages"), i, message) {
		other = named(now, ctl_string(message, "name"));
		if (!other)
			add_change(changes, "removed", ctl_string(message, "name"), message, NULL);
		else if (strcmp(ctl_string(message, "crc"), ctl_string(other, "crc")) != 0)
			add_change(changes, "changed", ctl_string(message, "name"), message, other);
	}
	json_array_foreach(json_object_get(now, "messages"), i, message)
		if (!named(before, ctl_string(message, "name")))
			add_change(changes, "added", ctl_string(message, "name"), NULL, message);
	return changes;
}

static void say_changes(const json_t *changes)
{
	const json_t *change;
	size_t i;

	json_array_foreach(changes, i, change) {
		CLEANUP(freep) char *before = text_harmless(ctl_string(change, "before"));
		CLEANUP(freep) char *now = text_harmless(ctl_string(change, "now"));
		const char *what = ctl_string(change, "change");

		if (before && now)
			printf("%s %s%s%s\n", what, *before ? before : now, *before && *now ? "\n     to " : "",
			       *before ? now : "");
	}
	if (json_array_size(changes) == 0)
		puts("the same messages");
}

static int compare(struct ctl *ctl, const json_t *now)
{
	json_error_t error = { 0 };
	json_auto_t *before = json_load_file(ctl->compare, JSON_REJECT_DUPLICATES, &error), *changes = NULL;

	if (!json_is_array(json_object_get(before, "messages"))) {
		ctl_complain("%s: %s", ctl->compare, before ? "this is not what `epochctl messages APP --json` prints" :
							      error.text);
		return EXIT_USAGE;
	}
	changes = changes_between(before, now);
	if (!changes)
		return ctl_no_memory();
	if (ctl->json) {
		json_auto_t *all = json_pack("{s:O}", "changes", changes);
		const struct answer answer = { .json = all };

		if (ctl_print_json(ctl, &answer))
			return EXIT_TROUBLE;
	} else {
		say_changes(changes);
	}
	return json_array_size(changes) ? EXIT_BAD : EXIT_GOOD;
}

int ctl_show_messages(struct ctl *ctl, int argc, char **argv)
{
	CLEANUP(answer_clear) struct answer answer = { 0 };
	int r = ctl_ask_app(ctl, "GET", argv[0], "messages", &answer);

	(void)argc;
	if (r)
		return r;
	if (ctl->compare)
		return compare(ctl, answer.json);
	return ctl->json ? ctl_print_json(ctl, &answer) : show(ctl, answer.json);
}
