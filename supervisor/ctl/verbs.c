#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/text.h"

/* epochctl: what a person asks for. */

static void freep(char **p)
{
	free(*p);
}

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

/* subject: who it is about; verb: what was asked. */
static int say_done(struct ctl *ctl, const char *subject, const char *verb,
		    const struct answer *answer)
{
	const json_t *event = json_object_get(answer->json, "event");

	if (ctl->json)
		return ctl_print_json(ctl, answer);
	printf("%s%s%s %s", subject, *subject ? ": " : "", verb,
	       answer->status == 200 ? "done" : "asked for");
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
	return say_done(ctl, subject, verb, &answer);
}

/* What was waited for may have come out badly: it is settled, but fatal or held. */
static int check_outcome(struct ctl *ctl, const char *path, const char *name)
{
	CLEANUP(answer_clear) struct answer app = { 0 };
	const char *state, *reason;
	int r = ctl_ask(ctl, "GET", path, 30, &app);

	if (r)
		return r;
	state = ctl_string(app.json, "state");
	reason = ctl_string(app.json, "reason");
	if (strcmp(state, "fatal") != 0 && strcmp(state, "held") != 0)
		return EXIT_GOOD;
	ctl_complain("%s is %s%s%s", name, state, *reason ? ": " : "", reason);
	return EXIT_BAD;
}

static int ask_one(struct ctl *ctl, const char *verb, const char *query, const char *name)
{
	CLEANUP(freep) char *escaped = client_escape(name), *harmless = text_harmless(name);
	CLEANUP(freep) char *app = NULL, *path = NULL;
	int r;

	if (!escaped || !harmless || asprintf(&app, "/v1/apps/%s", escaped) < 0 ||
	    asprintf(&path, "%s/%s%s", app, verb, query) < 0)
		return ctl_no_memory();
	r = post(ctl, path, harmless, verb);
	if (r || !ctl->wait || strcmp(verb, "stop") == 0 || strcmp(verb, "signal") == 0)
		return r;
	return check_outcome(ctl, app, harmless);
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

	if (asprintf(&path, "/v1/%s", verb) < 0)
		return ctl_no_memory();
	return post(ctl, path, "", verb);
}
