/* An application of two modules, whose messages can be called by hand: for call.sh, messages.sh and trace.sh.
 *
 *   modular [wrong | wide]     wrong: sums are one too many; wide: alpha.add is another message */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/alpha.h"

#define WIDE(FIELD, ARRAY) ARRAY(u64, terms, 4)
#define WIDE_LIST(MESSAGE) \
	MESSAGE(wide, "alpha.add", WIDE, EPOCHD_CALLABLE) \
	MESSAGE(wide_sum, "alpha.sum", SUM, 0)
EPOCHD_MESSAGES(wide_alpha, WIDE_LIST)

#define ECHO(FIELD, ARRAY) \
	FIELD(u8, a) FIELD(u64, b) FIELD(i8, c) FIELD(u16, d) FIELD(i32, e) ARRAY(text, f, 5) FIELD(f64, g) \
	ARRAY(i16, h, 3) FIELD(f32, i) ARRAY(bytes, j, 4) FIELD(i64, k)
#define SLOW(FIELD, ARRAY) FIELD(u32, us)
#define HUSH(FIELD, ARRAY) FIELD(u8, a)
#define ECHO_LIST(MESSAGE) \
	MESSAGE(echo, "beta.echo", ECHO, EPOCHD_CALLABLE | EPOCHD_TAIL) \
	MESSAGE(hush, "beta.hush", HUSH, EPOCHD_CALLABLE) \
	MESSAGE(secret, "beta.secret", HUSH, EPOCHD_IN_PLACE) \
	MESSAGE(slow, "beta.slow", SLOW, EPOCHD_CALLABLE)
EPOCHD_MESSAGES(beta, ECHO_LIST)

static struct epochd_app *app;
static bool is_wrong;
static struct epochd_module modules[] = {
	{ "alpha", "1.2", alpha_messages, alpha_count, 0 },
	{ "beta", NULL, beta_messages, beta_count, 0 },
};

static void on_add(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const struct add *add = message->payload;
	struct sum sum = { 0 };

	(void)user;
	for (int i = 0; i < 4; i++)
		sum.sum += add->terms[i];
	sum.sum += is_wrong;
	epochd_reply(of, message, modules[0].base + sum_id, &sum, sizeof sum);
}

static void on_echo(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	(void)user;
	epochd_reply(of, message, message->type, message->payload, message->size);
}

static void on_slow(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const struct slow *slow = message->payload;
	const struct timespec some = { slow->us / 1000000, slow->us % 1000000 * 1000 };

	(void)user;
	nanosleep(&some, NULL);
	epochd_reply(of, message, message->type, message->payload, message->size);
}

static void on_signal(int signal)
{
	(void)signal;
	epochd_stop(app);   /* NOLINT(bugprone-signal-handler): it may */
}

int main(int argc, char **argv)
{
	char why[300] = "";
	const struct epochd_options options = { .why = why, .why_size = sizeof why };
	int r;

	is_wrong = argc > 1 && strcmp(argv[1], "wrong") == 0;
	if (argc > 1 && strcmp(argv[1], "wide") == 0)
		modules[0].types = wide_alpha_messages;
	r = epochd_attach_modules(&app, modules, sizeof modules / sizeof modules[0], &options);
	if (r < 0) {
		fprintf(stderr, "modular: %s\n", why);
		return 1;
	}
	epochd_handle(app, modules[0].base + add_id, on_add, NULL);
	epochd_handle(app, modules[1].base + echo_id, on_echo, NULL);
	epochd_handle(app, modules[1].base + slow_id, on_slow, NULL);
	signal(SIGTERM, on_signal);
	epochd_run(app);
	epochd_detach(app);
	return 0;
}
