#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/text.h"
#include "supervisor/freep.h"

/* epochctl: what a person asks for. */

/* How long we wait for the answer itself: the supervisor times ?wait, we only notice a hang. */
static double patience(const struct ctl *ctl)
{
	if (!ctl->wait)
		return 30;
	return ctl->timeout_seconds > 0 ? ctl->timeout_seconds + 10 : 0;
}

/* PATH[?query][&]wait[&timeout=T] */
static char *with_wait(const struct ctl *ctl, const char *path)
{
	CLEANUP(freep) char *timeout = client_escape(ctl->timeout ? ctl->timeout : "");
	char *whole;

	if (!timeout || asprintf(&whole, "%s%s%s%s%s", path,
				 !ctl->wait ? "" : strchr(path, '?') ? "&" : "?",
				 ctl->wait ? "wait" : "", ctl->wait && *timeout ? "&timeout=" : "",
				 ctl->wait ? timeout : "") < 0)
		return NULL;
	return whole;
}

/* What became of what was waited for: the application as it is now. */
static int say_outcome(struct ctl *ctl, const struct answer *answer, const char *subject)
{
	CLEANUP(freep) char *reason = text_harmless(ctl_string(answer->json, "reason"));
	const char *state = ctl_string(answer->json, "state");
	bool bad = strcmp(state, "fatal") == 0 || strcmp(state, "held") == 0;

	if (!reason)
		return ctl_no_memory();
	if (ctl->json)
		ctl_print_json(ctl, answer);
	if (bad)
		ctl_complain("%s: %s%s%s", subject, state, *reason ? ": " : "", reason);
	else if (!ctl->json)
		printf("%s: %s%s%s\n", subject, state, *reason ? ": " : "", reason);
	return bad ? EXIT_BAD : EXIT_GOOD;
}

/* subject: who it is about, or ""; verb: what was asked. */
static int say_done(struct ctl *ctl, const char *subject, const char *verb,
		    const struct answer *answer)
{
	const json_t *event = json_object_get(answer->json, "event");
	bool done = answer->status == 200;

	if (ctl->json)
		return ctl_print_json(ctl, answer);
	printf("%s%s%s %s", subject, *subject ? ": " : "", verb, done ? "done" : "asked for");
	if (json_is_integer(event))
		printf(" (event %" JSON_INTEGER_FORMAT ")", json_integer_value(event));
	putchar('\n');
	return EXIT_GOOD;
}

static int post(struct ctl *ctl, const char *path, const char *subject, const char *verb)
{
	CLEANUP(freep) char *whole = with_wait(ctl, path);
	CLEANUP(answer_clear) struct answer answer = { 0 };
	int r;

	if (!whole)
		return ctl_no_memory();
	r = client_ask(ctl->client, "POST", whole, patience(ctl), &answer);
	if (r < 0)
		return ctl_failed(ctl, r);
	if (answer.status < 200 || answer.status > 299)
		return ctl_refused(ctl, *subject ? subject : NULL, &answer);
	if (!json_is_object(answer.json)) {
		ctl_complain("the answer cannot be understood: it is no JSON object");
		return EXIT_TROUBLE;
	}
	if (!*ctl_string(answer.json, "state"))
		return say_done(ctl, subject, verb, &answer);
	return say_outcome(ctl, &answer, subject);
}

static int ask_one(struct ctl *ctl, const char *verb, const char *query, const char *name)
{
	CLEANUP(freep) char *escaped = client_escape(name), *harmless = text_harmless(name);
	CLEANUP(freep) char *path = NULL;

	if (!escaped || !harmless ||
	    asprintf(&path, "/v1/apps/%s/%s%s", escaped, verb, query) < 0)
		return ctl_no_memory();
	return post(ctl, path, harmless, verb);
}

/* One after the other; a refusal of one does not keep us from the next. The first failure is told. */
int ctl_verb(struct ctl *ctl, const char *verb, int argc, char **argv)
{
	int first = EXIT_GOOD, r, i;

	for (i = 0; i < argc; i++) {
		r = ask_one(ctl, verb, "", argv[i]);
		if (first == EXIT_GOOD)
			first = r;
		if (r == EXIT_NOBODY)
			break;
	}
	return first;
}

int ctl_signal(struct ctl *ctl, int argc, char **argv)
{
	CLEANUP(freep) char *escaped = client_escape(argv[1]), *query = NULL;

	(void)argc;
	if (!escaped || asprintf(&query, "?signal=%s", escaped) < 0)
		return ctl_no_memory();
	return ask_one(ctl, "signal", query, argv[0]);
}

int ctl_supervisor_verb(struct ctl *ctl, const char *verb)
{
	CLEANUP(freep) char *path = NULL;

	if (asprintf(&path, "/v1/%s%s", verb, ctl->keep ? "?keep" : "") < 0)
		return ctl_no_memory();
	return post(ctl, path, "", verb);
}
