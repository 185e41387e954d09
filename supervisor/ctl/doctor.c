#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/examine.h"
#include "supervisor/ctl/instance.h"
#include "supervisor/ctl/text.h"
#include "supervisor/freep.h"

/* epochctl doctor: what is wrong, and what would mend it. */

static void freej(json_t **json)
{
	json_decref(*json);
}

/* What the supervisor itself knows to be wrong. */
static void ask_supervisor(struct ctl *ctl, const struct place *place, json_t *findings)
{
	CLEANUP(answer_clear) struct answer answer = { 0 };
	const json_t *item;
	char path[4200];
	size_t i;
	int r;

	snprintf(path, sizeof path, "%s/control.sock", place->runtime);
	r = client_open(&ctl->client, path);
	if (r == 0)
		r = client_ask(ctl->client, "GET", "/v1/stats", 10, &answer);
	if (r < 0 || answer.status != 200) {
		finding_add(findings, SEVERITY_PROBLEM, "no_answer", false,
			    "see if it is stopped (SIGSTOP) or hangs, and its log; ask as its user",
			    "the supervisor does not answer: %s", r < 0 ? strerror(-r) : "it refuses");
		return;
	}
	json_array_foreach(json_object_get(json_object_get(answer.json, "supervisor"), "warnings"), i, item)
		finding_add(findings, SEVERITY_PROBLEM, ctl_string(item, "code"), false, "see its text, and epochd(8)",
			    "%s (since %s)", ctl_string(item, "text"), ctl_string(item, "since"));
	json_array_foreach(json_object_get(answer.json, "apps"), i, item) {
		const char *name = ctl_string(item, "name"), *state = ctl_string(item, "state");
		double lazy = ctl_number(json_object_get(item, "clients"), "lazy");

		if (strcmp(state, "fatal") == 0)
			finding_add(findings, SEVERITY_PROBLEM, "app_fatal", false,
				    "see epochctl incarnations for why; then epochctl reset", "application %s is fatal: %s", name,
				    ctl_string(item, "reason"));
		if (strcmp(state, "held") == 0)
			finding_add(findings, SEVERITY_PROBLEM, "app_held", false, "make room on the disk of the database",
				    "application %s is held: %s", name, ctl_string(item, "reason"));
		if (lazy > 0)
			finding_add(findings, SEVERITY_WARNING, "clients_lazy", false,
				    "see epochctl clients for which; reap-lazy in the configuration sends them away",
				    "application %s has %.0f clients that live and do not answer", name, lazy);
	}
}

static bool is_bad(const json_t *findings)
{
	const json_t *finding;
	size_t i;

	json_array_foreach(findings, i, finding)
		if (strcmp(ctl_string(finding, "severity"), "note") != 0 &&
		    !json_is_true(json_object_get(finding, "fixed")))
			return true;
	return false;
}

static void say(struct ctl *ctl, const struct place *place, const json_t *findings)
{
	const json_t *finding;
	size_t i;
	char line[4600];

	snprintf(line, sizeof line, "instance %s: %s; %u segments in %s", place->instance,
		 place->runs ? "a supervisor runs" : "no supervisor runs", place->segment_count, place->segments);
	table_line(stdout, &ctl->style, PAINT_NONE, line);
	json_array_foreach(findings, i, finding) {
		const char *severity = ctl_string(finding, "severity");
		bool fixed = json_is_true(json_object_get(finding, "fixed"));

		snprintf(line, sizeof line, "%s: %s", fixed ? "mended" : severity, ctl_string(finding, "text"));
		table_line(stdout, &ctl->style, fixed ? PAINT_GOOD : strcmp(severity, "problem") == 0 ? PAINT_BAD :
			   strcmp(severity, "warning") == 0 ? PAINT_WAIT : PAINT_DIM, line);
		if (!fixed) {
			snprintf(line, sizeof line, "    %s", ctl_string(finding, "mend"));
			table_line(stdout, &ctl->style, PAINT_NONE, line);
		}
	}
	if (!is_bad(findings))
		table_line(stdout, &ctl->style, PAINT_GOOD, "nothing is wrong that can be seen from here");
}

/* The one that was named, the only one there is, or the usual one. */
static char *choose(const struct ctl *ctl, const char *base)
{
	struct instances instances;
	char *name = NULL;

	if (ctl->instance)
		return strdup(ctl->instance);
	if (instances_find(&instances, base) == 0 && instances.count == 1)
		name = strdup(instances.all[0].name);
	instances_clear(&instances);
	return name ? name : strdup("default");
}

int ctl_doctor(struct ctl *ctl, int argc, char **argv)
{
	CLEANUP(freep) char *runtime = NULL, *state = NULL, *instance = NULL;
	CLEANUP(freej) json_t *findings = json_array(), *whole = NULL;
	struct place place;

	(void)argc;
	(void)argv;
	if (ctl_bases(ctl, &runtime, &state) < 0 || !findings)
		return ctl_no_memory();
	instance = choose(ctl, runtime);
	if (!instance)
		return ctl_no_memory();
	place_find(&place, instance, runtime, state);
	examine(&place, findings);
	if (place.runs)
		ask_supervisor(ctl, &place, findings);
	if (ctl->fix)
		examine_fix(&place, findings);
	if (ctl->json) {
		whole = json_pack("{s:s, s:b, s:O}", "instance", instance, "runs", place.runs, "findings", findings);
		if (!whole || json_dumpf(whole, stdout, ctl->terminal ? JSON_INDENT(2) : JSON_COMPACT) < 0)
			return ctl_no_memory();
		putchar('\n');
	} else {
		say(ctl, &place, findings);
	}
	return is_bad(findings) ? EXIT_BAD : EXIT_GOOD;
}
