#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/table.h"
#include "supervisor/ctl/text.h"
#include "supervisor/freep.h"

/* epochctl: clients, rings, handle, kick. */

/* NULL, or the one that a second argument names. */
static bool is_other(const json_t *item, int argc, char **argv)
{
	return argc > 1 && strtoull(argv[1], NULL, 0) != strtoull(ctl_string(item, "handle"), NULL, 0);
}

static int print(struct ctl *ctl, const struct table *table, const char *none)
{
	if (table_rows(table))
		table_print(table, stdout, &ctl->style);
	else
		puts(none);
	return EXIT_GOOD;
}

int ctl_show_clients(struct ctl *ctl, int argc, char **argv)
{
	static const struct table_column columns[] = {
		{ "HANDLE", false }, { "NAME", false }, { "STATE", false }, { "PID", true }, { "UID", true },
		{ "SINCE", false }, { "SENT", true }, { "RECEIVED", true },
	};
	CLEANUP(answer_clear) struct answer answer = { 0 };
	CLEANUP(table_freep) struct table *table = NULL;
	const json_t *client;
	char since[32];
	size_t i;
	int r = ctl_ask_app(ctl, "GET", argv[0], "clients", &answer);

	(void)argc;
	if (r)
		return r;
	if (ctl->json)
		return ctl_print_json(ctl, &answer);
	if (table_new(&table, columns, ARRAY_SIZE(columns)) < 0)
		return ctl_no_memory();
	json_array_foreach(json_object_get(answer.json, "clients"), i, client) {
		if (table_row(table) < 0)
			return ctl_no_memory();
		table_cell(table, PAINT_NONE, "%s", ctl_string(client, "handle"));
		table_cell(table, PAINT_NONE, "%s", ctl_string(client, "name"));
		table_cell(table, strcmp(ctl_string(client, "state"), "connected") == 0 ? PAINT_NONE : PAINT_WAIT, "%s",
			   ctl_string(client, "state"));
		table_cell(table, PAINT_NONE, "%.0f", ctl_number(client, "pid"));
		table_cell(table, PAINT_NONE, "%.0f", ctl_number(client, "uid"));
		table_cell(table, PAINT_NONE, "%s", text_time(since, ctl_string(client, "since")));
		table_cell(table, PAINT_NONE, "%.0f", ctl_number(client, "sent"));
		table_cell(table, PAINT_NONE, "%.0f", ctl_number(client, "received"));
	}
	return print(ctl, table, "no clients");
}

static int ring_row(struct table *table, const json_t *ring, const json_t *class)
{
	const json_t *of = class ? class : ring;

	if (table_row(table) < 0)
		return -1;
	table_cell(table, PAINT_NONE, "%s", ctl_string(ring, "handle"));
	table_cell(table, PAINT_NONE, "%s", ctl_string(ring, "name"));
	table_cell(table, PAINT_NONE, "%s", ctl_string(ring, "owner"));
	table_cell(table, PAINT_NONE, "%s", class ? "buffers" : "lines");
	table_cell(table, PAINT_NONE, "%.0f", class ? ctl_number(class, "size") : 64);
	table_cell(table, PAINT_NONE, "%.0f", ctl_number(of, class ? "count" : "lines"));
	table_cell(table, PAINT_NONE, "%.0f", ctl_number(of, "in_use"));
	table_cell(table, PAINT_NONE, "%.0f", ctl_number(of, class ? "hits" : "sent"));
	table_cell(table, PAINT_NONE, "%.0f", class ? ctl_number(class, "misses") : 0);
	table_cell(table, PAINT_NONE, "%.0f", class ? ctl_number(class, "overdue") : 0);
	return table_cell(table, PAINT_NONE, "%.0f", class ? ctl_number(class, "collected") : 0);
}

/* All of them together, if there are any: the size of the largest. */
static int large_row(struct table *table, const json_t *ring)
{
	const json_t *large = json_object_get(ring, "large"), *sizes = json_object_get(large, "sizes"), *size;
	double largest = 0;
	size_t i;

	json_array_foreach(sizes, i, size)
		largest = json_number_value(size) > largest ? json_number_value(size) : largest;
	if (!json_array_size(sizes))
		return 0;
	if (table_row(table) < 0)
		return -1;
	table_cell(table, PAINT_NONE, "%s", ctl_string(ring, "handle"));
	table_cell(table, PAINT_NONE, "%s", ctl_string(ring, "name"));
	table_cell(table, PAINT_NONE, "%s", ctl_string(ring, "owner"));
	table_cell(table, PAINT_NONE, "large");
	table_cell(table, PAINT_NONE, "%.0f", largest);
	table_cell(table, PAINT_NONE, "%zu", json_array_size(sizes));
	table_cell(table, PAINT_NONE, "%.0f", ctl_number(large, "in_use"));
	return table_cell(table, PAINT_NONE, "%.0f", ctl_number(large, "fallbacks"));
}

int ctl_show_rings(struct ctl *ctl, int argc, char **argv)
{
	static const struct table_column columns[] = {
		{ "HANDLE", false }, { "NAME", false }, { "OWNER", false }, { "WHAT", false }, { "SIZE", true },
		{ "COUNT", true }, { "IN USE", true }, { "HITS", true }, { "MISSES", true },
		{ "OVERDUE", true }, { "COLLECTED", true },
	};
	CLEANUP(answer_clear) struct answer answer = { 0 };
	CLEANUP(table_freep) struct table *table = NULL;
	const json_t *ring, *class;
	size_t i, j;
	int r = ctl_ask_app(ctl, "GET", argv[0], "rings", &answer);

	if (r)
		return r;
	if (ctl->json)
		return ctl_print_json(ctl, &answer);
	if (table_new(&table, columns, ARRAY_SIZE(columns)) < 0)
		return ctl_no_memory();
	json_array_foreach(json_object_get(answer.json, "rings"), i, ring) {
		if (is_other(ring, argc, argv))
			continue;
		if (ring_row(table, ring, NULL) < 0)
			return ctl_no_memory();
		json_array_foreach(json_object_get(ring, "buffers"), j, class)
			if (ring_row(table, ring, class) < 0)
				return ctl_no_memory();
		if (large_row(table, ring) < 0)
			return ctl_no_memory();
	}
	return print(ctl, table, argc > 1 ? "no such client" : "no clients");
}

/* The words for a verdict that a person reads. */
static void say_verdict(const struct answer *answer)
{
	static const struct { const char *verdict, *words; } words[] = {
		{ "good", "good" },
		{ "stale_epoch", "refused: of an epoch that has ended" },
		{ "stale_generation", "refused: its slot belongs to another client by now" },
		{ "free_slot", "refused: its client is gone" },
		{ "down", "refused: the application is down" },
		{ "not_a_handle", "refused: no client was ever given that" },
	};
	const char *verdict = ctl_string(answer->json, "verdict");
	const json_t *ended = json_object_get(answer->json, "ended");
	CLEANUP(freep) char *app = text_harmless(ctl_string(answer->json, "app"));
	char at[32];

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].verdict, verdict) == 0)
			verdict = words[i].words;
	printf("%s: %s\n  handle is of epoch %.0f, %s is in epoch %.0f\n", ctl_string(answer->json, "handle"),
	       verdict, ctl_number(answer->json, "handle_epoch"), app ? app : "?",
	       ctl_number(answer->json, "epoch"));
	if (json_is_object(ended) && *ctl_string(ended, "ended_at"))
		printf("  epoch %.0f ended at %s: %s%s%s\n", ctl_number(answer->json, "handle_epoch"),
		       text_time(at, ctl_string(ended, "ended_at")), ctl_string(ended, "cause"),
		       *ctl_string(ended, "signal") ? ", " : "", ctl_string(ended, "signal"));
}

static int handle_path(char **path, const char *handle, const char *verb)
{
	CLEANUP(freep) char *escaped = client_escape(handle);

	return !escaped || asprintf(path, "handles/%s%s", escaped, verb) < 0 ? ctl_no_memory() : 0;
}

int ctl_show_handle(struct ctl *ctl, int argc, char **argv)
{
	CLEANUP(answer_clear) struct answer answer = { 0 };
	CLEANUP(freep) char *path = NULL;
	int r = handle_path(&path, argv[1], "");
	bool good;

	(void)argc;
	if (r == 0)
		r = ctl_ask_app(ctl, "GET", argv[0], path, &answer);
	if (r)
		return r;
	good = strcmp(ctl_string(answer.json, "verdict"), "good") == 0;
	if (ctl->json)
		r = ctl_print_json(ctl, &answer);
	else
		say_verdict(&answer);
	return r ? r : good ? EXIT_GOOD : EXIT_BAD;
}

int ctl_kick(struct ctl *ctl, int argc, char **argv)
{
	CLEANUP(answer_clear) struct answer answer = { 0 };
	CLEANUP(freep) char *path = NULL;
	int r = handle_path(&path, argv[1], "/kick");

	(void)argc;
	if (r == 0)
		r = ctl_ask_app(ctl, "POST", argv[0], path, &answer);
	if (r)
		return r;
	if (ctl->json)
		return ctl_print_json(ctl, &answer);
	printf("%s: sent away\n", ctl_string(answer.json, "kicked"));
	return EXIT_GOOD;
}
