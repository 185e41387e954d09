/* `epochctl latency`: how long messages wait, and are handled. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/text.h"

/* "850ns" "12.3us" "4.5ms" "2.1s" */
static const char *time_text(char buffer[32], double ns)
{
	if (ns < 1000)
		snprintf(buffer, 32, "%.0fns", ns);
	else if (ns < 1e6)
		snprintf(buffer, 32, "%.3gus", ns / 1e3);
	else if (ns < 1e9)
		snprintf(buffer, 32, "%.3gms", ns / 1e6);
	else
		snprintf(buffer, 32, "%.3gs", ns / 1e9);
	return buffer;
}

static int add_row(struct table *table, const json_t *message, const char *what)
{
	static const char *const keys[] = { "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns" };
	const json_t *of = json_object_get(message, what);
	double count = ctl_number(of, "count");
	char text[32];

	if (table_row(table) < 0)
		return -1;
	table_cell(table, PAINT_NONE, "%s", ctl_string(message, "name"));
	table_cell(table, PAINT_NONE, "%s", what);
	table_cell(table, PAINT_NONE, "%.0f", count);
	table_cell(table, PAINT_NONE, "%s", count > 0 ? time_text(text, ctl_number(of, "sum_ns") / count) : "");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		table_cell(table, PAINT_NONE, "%s", count > 0 ? time_text(text, ctl_number(of, keys[i])) : "");
	return 0;
}

/* name: NULL: all that were timed. */
static int show(struct ctl *ctl, const json_t *answer, const char *name)
{
	static const struct table_column columns[] = {
		{ "MESSAGE", false }, { "WHAT", false }, { "TIMED", true }, { "MEAN", true }, { "P50", true },
		{ "P90", true }, { "P99", true }, { "P99.9", true }, { "MAX", true },
	};
	CLEANUP(table_freep) struct table *table = NULL;
	const json_t *message;
	bool found = false;
	size_t i;

	if (table_new(&table, columns, ARRAY_SIZE(columns)) < 0)
		return ctl_no_memory();
	json_array_foreach(json_object_get(answer, "messages"), i, message) {
		bool named = name && strcmp(ctl_string(message, "name"), name) == 0;

		found |= named;
		if (name ? !named : ctl_number(json_object_get(message, "handling"), "count") <= 0)
			continue;
		if (add_row(table, message, "wait") < 0 || add_row(table, message, "handling") < 0)
			return ctl_no_memory();
	}
	if (name && !found) {
		ctl_complain("there is no message %s; `epochctl messages %s` lists them", name,
			     ctl_string(answer, "app"));
		return EXIT_REFUSED;
	}
	if (table_rows(table))
		table_print(table, stdout, &ctl->style);
	else
		puts("no message was handled yet in this epoch");
	return EXIT_GOOD;
}

int ctl_show_latency(struct ctl *ctl, int argc, char **argv)
{
	CLEANUP(answer_clear) struct answer answer = { 0 };
	int r = ctl_ask_app(ctl, "GET", argv[0], "latency", &answer);

	if (r)
		return r;
	return ctl->json ? ctl_print_json(ctl, &answer) : show(ctl, answer.json, argc > 1 ? argv[1] : NULL);
}
