/* `epochctl call`: one message to an application by hand, and its reply, for any message that is marked for it. */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apilib/epochd.h"
#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/from_json.h"
#include "supervisor/ctl/text.h"
#include "supervisor/freep.h"

static void close_client(struct epochd_client **client)
{
	epochd_close(*client);
}

/* ---- what is said ---- */

static json_t *read_json(const char *text)
{
	json_error_t error = { 0 };
	json_t *json = strcmp(text, "-") == 0 ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &error) :
					       json_loads(text, JSON_REJECT_DUPLICATES, &error);

	if (!json)
		ctl_complain("this is no JSON: %s, line %d, column %d%s", error.text, error.line, error.column,
			     strstr(error.text, "too big integer") ? "; from 2^63 on, write it as a string" : "");
	return json;
}

/* The number of the type of that name; UINT32_MAX: none, and that was told. */
static uint32_t type_named(const struct epochd_client *client, const char *app, const char *name)
{
	const struct epochd_type *type;
	uint32_t count = 0;
	const char **names, *nearest;

	for (; (type = epochd_client_type(client, count)); count++)
		if (strcmp(type->name, name) == 0)
			return count;
	names = calloc(count + 1, sizeof *names);
	for (uint32_t i = 0; names && i < count; i++)
		names[i] = epochd_client_type(client, i)->name;
	nearest = names ? text_nearest(name, names) : NULL;
	ctl_complain("%s has no message %s%s%s%s; `epochctl messages %s` lists them", app, name,
		     nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "", app);
	free(names);
	return UINT32_MAX;
}

static int make_payload(unsigned char **payload, size_t *size, const struct epochd_type *type, const char *text)
{
	json_auto_t *json = read_json(text);
	char why[300] = "";
	int r;

	if (!json)
		return EXIT_USAGE;
	r = message_from_json(payload, size, type, json, why, sizeof why);
	if (r == -ENOMEM)
		return ctl_no_memory();
	if (r < 0)
		ctl_complain("%s: %s", type->name, why);
	return r < 0 ? EXIT_USAGE : EXIT_GOOD;
}

/* ---- what is answered ---- */

static int say_reply(struct ctl *ctl, const struct epochd_client *client, const struct epochd_message *reply)
{
	const struct epochd_type *type = epochd_client_type(client, reply->type);
	CLEANUP(freep) char *fields = type ? message_to_json(type, reply->payload, reply->size) : NULL;
	CLEANUP(answer_clear) struct answer answer = { 0 };
	int r;

	if (!fields)
		return ctl_no_memory();
	if (asprintf(&answer.body, "{\"message\": \"%s\", \"reply\": %s}\n", type->name, fields) < 0) {
		answer.body = NULL;
		return ctl_no_memory();
	}
	answer.json = json_loads(answer.body, 0, NULL);
	r = ctl_print_json(ctl, &answer);
	return r;
}

/* ---- the call ---- */

static int failed(const struct epochd_client *client, const char *app, const char *name, int r, double seconds)
{
	const char *why = client ? epochd_client_why(client) : "";

	if (r == -ETIMEDOUT) {
		ctl_complain("%s has not replied to %s within %g s. It may have none to give, or be busy; --timeout "
			     "waits longer", app, name, seconds);
		return EXIT_TIMEOUT;
	}
	if (r == -ESTALE)
		ctl_complain("%s ended before it replied to %s; whether it was handled is not known", app, name);
	else
		ctl_complain("%s: %s: %s", app, name, *why ? why : strerror(-r));
	return EXIT_REFUSED;
}

static int call(struct ctl *ctl, struct epochd_client *client, char **argv, const char *text, double seconds)
{
	uint32_t number = type_named(client, argv[0], argv[1]);
	const struct epochd_type *type = epochd_client_type(client, number);
	unsigned char *payload = NULL;
	struct epochd_message reply;
	size_t size;
	int r;

	if (!type)
		return EXIT_USAGE;
	if (!(type->flags & EPOCHD_CALLABLE)) {
		ctl_complain("%s is not one to be called by hand: %s does not declare it EPOCHD_CALLABLE", type->name,
			     argv[0]);
		return EXIT_REFUSED;
	}
	r = make_payload(&payload, &size, type, text);
	if (r)
		return r;
	r = epochd_call(client, number, payload, size, &reply, (int64_t)(seconds * 1e9));
	free(payload);
	if (r < 0)
		return failed(client, argv[0], argv[1], r, seconds);
	r = say_reply(ctl, client, &reply);
	epochd_release(client, &reply);
	return r;
}

int ctl_call(struct ctl *ctl, int argc, char **argv)
{
	CLEANUP(close_client) struct epochd_client *client = NULL;
	double seconds = ctl->timeout_seconds > 0 ? ctl->timeout_seconds : 10;
	char why[300] = "";
	const struct epochd_options options = { .instance = ctl->name, .runtime_dir = ctl->base, .name = "epochctl",
						.flags = EPOCHD_ADOPT, .timeout = (int64_t)(seconds * 1e9),
						.why = why, .why_size = sizeof why };
	int r = epochd_connect(&client, argv[0], NULL, 0, &options);

	if (r == 0)
		return call(ctl, client, argv, argc > 2 ? argv[2] : "{}", seconds);
	ctl_complain("%s: %s", argv[0], why);
	return r == -ETIMEDOUT ? EXIT_TIMEOUT : EXIT_REFUSED;
}
