/* `epochctl config`: what is in force, and where each value came from. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/text.h"
#include "supervisor/freep.h"

static char *words_of(const json_t *value)
{
	if (json_is_string(value))
		return text_harmless(json_string_value(value));
	return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

static int show(struct ctl *ctl, const json_t *answer)
{
	static const struct table_column columns[] = { { "KEY", false }, { "VALUE", false }, { "FROM", false } };
	CLEANUP(table_freep) struct table *table = NULL;
	const json_t *value;
	size_t i;

	if (table_new(&table, columns, ARRAY_SIZE(columns)) < 0)
		return ctl_no_memory();
	json_array_foreach(json_object_get(answer, "values"), i, value) {
		CLEANUP(freep) char *words = words_of(json_object_get(value, "value"));
		const char *from = ctl_string(value, "from");

		if (!words || table_row(table) < 0)
			return ctl_no_memory();
		table_cell(table, PAINT_NONE, "%s", ctl_string(value, "key"));
		table_cell(table, PAINT_NONE, "%s", words);
		table_cell(table, strcmp(from, "default") == 0 ? PAINT_DIM : PAINT_NONE, "%s", from);
	}
	table_print(table, stdout, &ctl->style);
	return EXIT_GOOD;
}

int ctl_show_config(struct ctl *ctl, int argc, char **argv)
{
	CLEANUP(answer_clear) struct answer answer = { 0 };
	int r = argc ? ctl_ask_app(ctl, "GET", argv[0], "config", &answer) :
		       ctl_ask(ctl, "GET", "/v1/config", 60, &answer);

	if (r)
		return r;
	return ctl->json ? ctl_print_json(ctl, &answer) : show(ctl, answer.json);
}
