#include <config.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/configuration.h"
#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/offline.h"
#include "supervisor/ctl/text.h"

/* epochctl: options and commands. */

enum option_id {
	OPTION_INSTANCE, OPTION_RUNTIME_DIR, OPTION_JSON, OPTION_DB, OPTION_HELP, OPTION_VERSION,
	OPTION_WATCH, OPTION_LIMIT, OPTION_ALL, OPTION_FOLLOW, OPTION_APP, OPTION_FIX, OPTION_KEEP, OPTION_WAIT,
	OPTION_TIMEOUT, OPTION_COMPARE, OPTION_RANGE, OPTION_SIZE, OPTION_MESSAGES, OPTION_FIRST, OPTIONS
};
#define TAKES(id) (1u << (id))

static const unsigned everywhere = TAKES(OPTION_INSTANCE) | TAKES(OPTION_RUNTIME_DIR) |
				   TAKES(OPTION_JSON) | TAKES(OPTION_HELP) | TAKES(OPTION_VERSION);

static const struct {
	const char *name;
	char letter;            /* 0: none */
	const char *argument;   /* NULL: takes none */
	const char *help;
} options[OPTIONS] = {
	[OPTION_INSTANCE] = { "instance", 'i', "NAME", "the supervisor to ask; without it the only "
			      "one that runs" },
	[OPTION_RUNTIME_DIR] = { "runtime-dir", 0, "DIR", "where instances have their control.sock" },
	[OPTION_JSON] = { "json", 'j', NULL, "print the supervisor's own JSON" },
	[OPTION_DB] = { "db", 0, "FILE", "ask this database, not a supervisor" },
	[OPTION_HELP] = { "help", 'h', NULL, "print this" },
	[OPTION_VERSION] = { "version", 'V', NULL, "print the version" },
	[OPTION_WATCH] = { "watch", 'w', NULL, "go on, and redraw with every event, until ^C" },
	[OPTION_LIMIT] = { "limit", 'n', "N", "at most so many (20)" },
	[OPTION_ALL] = { "all", 'a', NULL, "all there are" },
	[OPTION_FOLLOW] = { "follow", 'f', NULL, "go on with each new one, until ^C" },
	[OPTION_APP] = { "app", 0, "APP", "only of this application" },
	[OPTION_FIX] = { "fix", 0, NULL, "mend what can be mended from here" },
	[OPTION_KEEP] = { "keep", 0, NULL, "the applications go on, for the next supervisor" },
	[OPTION_WAIT] = { "wait", 0, NULL, "until it has happened" },
	[OPTION_TIMEOUT] = { "timeout", 't', "TIME", "wait no longer than that (250ms, 10s, 5m); "
			     "implies --wait" },
	[OPTION_RANGE] = { "range", 0, "A-B", "only these messages of the trace, by number" },
	[OPTION_SIZE] = { "size", 0, "SIZE", "of the trace's ring (64K to 64M)" },
	[OPTION_MESSAGES] = { "messages", 0, "N", "keep so many at most" },
	[OPTION_FIRST] = { "first", 0, NULL, "keep the first when it is full, and not the last" },
	[OPTION_COMPARE] = { "compare", 0, "FILE", "tell what is not as it was when that was written, by --json" },
};

struct command {
	const char *name, *arguments, *help;
	unsigned takes;
	int least, most;        /* arguments; most < 0: any number */
	bool of_supervisor;     /* the verb is */
	int (*run)(struct ctl *ctl, int argc, char **argv);
	const char *verb;       /* without `run`: what is posted */
};

enum { PAGED = TAKES(OPTION_LIMIT) | TAKES(OPTION_ALL) | TAKES(OPTION_DB),
       WAITS = TAKES(OPTION_WAIT) | TAKES(OPTION_TIMEOUT) };

static const struct command commands[] = {
	{ "status", "[APP ...]", "what runs, and since when", TAKES(OPTION_WATCH) | TAKES(OPTION_DB),
	  0, -1, false, ctl_status, NULL },
	{ "explain", "APP", "what happens at its next crash, and at the ones after it", 0, 1, 1, false,
	  ctl_explain, NULL },
	{ "stats", "", "all counts, for the life of the instance", TAKES(OPTION_DB), 0, 0, false,
	  ctl_show_stats, NULL },
	{ "incarnations", "APP", "each run of an application, newest first", PAGED, 1, 1, false,
	  ctl_show_incarnations, NULL },
	{ "events", "", "what happened, newest last",
	  PAGED | TAKES(OPTION_FOLLOW) | TAKES(OPTION_APP), 0, 0, false, ctl_show_events, NULL },
	{ "config", "[APP]", "the configuration in force, and where each value came from", 0, 0, 1, false, ctl_show_config,
	  NULL },
	{ "clients", "APP", "who is connected to it", 0, 1, 1, false, ctl_show_clients, NULL },
	{ "rings", "APP [HANDLE]", "their rings and buffers", 0, 1, 2, false, ctl_show_rings, NULL },
	{ "handle", "APP HANDLE", "whether a handle is good, and if not, why", 0, 2, 2, false,
	  ctl_show_handle, NULL },
	{ "kick", "APP HANDLE", "send a client away", 0, 2, 2, false, ctl_kick, NULL },
	{ "messages", "APP", "what it understands", TAKES(OPTION_COMPARE), 1, 1, false, ctl_show_messages, NULL },
	{ "latency", "APP [MESSAGE]", "how long its messages wait, and are handled", 0, 1, 2, false, ctl_show_latency, NULL },
	{ "call", "APP MESSAGE [JSON]", "send it a message, and print the reply", TAKES(OPTION_TIMEOUT), 2, 3, false,
	  ctl_call, NULL },
	{ "trace", "APP ACTION", "what it receives and sends: on, off, status, save FILE; or show FILE, replay FILE APP",
	  TAKES(OPTION_RANGE) | TAKES(OPTION_SIZE) | TAKES(OPTION_MESSAGES) | TAKES(OPTION_FIRST) | TAKES(OPTION_TIMEOUT),
	  1, 3, false, ctl_trace, NULL },
	{ "doctor", "", "what is wrong, also where no supervisor runs, and what would mend it", TAKES(OPTION_FIX), 0, 0,
	  true, ctl_doctor, NULL },
	{ "start", "APP ...", "start what is stopped", WAITS, 1, -1, false, NULL, "start" },
	{ "stop", "APP ...", "stop, and keep stopped", WAITS, 1, -1, false, NULL, "stop" },
	{ "restart", "APP ...", "stop and start", WAITS, 1, -1, false, NULL, "restart" },
	{ "reset", "APP ...", "forgive what is fatal, and start it", WAITS, 1, -1, false, NULL, "reset" },
	{ "signal", "APP SIGNAL", "send a signal to its main process", 0, 2, 2, false, ctl_signal, NULL },
	{ "reload", "", "read the configuration again", WAITS, 0, 0, true, NULL, "reload" },
	{ "shutdown", "", "stop everything, then the supervisor", WAITS | TAKES(OPTION_KEEP), 0, 0, true, NULL, "shutdown" },
};

static const struct command *command_named(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
	return NULL;
}

/* ---- help ---- */

static void say_options(unsigned which)
{
	char left[40], letter[8];
	unsigned i;

	for (i = 0; i < OPTIONS; i++) {
		if (!(which & TAKES(i)))
			continue;
		snprintf(letter, sizeof letter, "-%c,", options[i].letter);
		snprintf(left, sizeof left, "%s --%s%s%s", options[i].letter ? letter : "   ",
			 options[i].name, options[i].argument ? " " : "",
			 options[i].argument ? options[i].argument : "");
		printf("  %-24s %s\n", left, options[i].help);
	}
}

static void help_of(const struct command *command)
{
	printf("Usage: epochctl %s [OPTION ...]%s%s\n\n%s: %s.\n\n", command->name,
	       *command->arguments ? " " : "", command->arguments, command->name, command->help);
	say_options(command->takes);
	say_options(everywhere);
	puts("\nepochctl(1) tells more, and what the exit codes mean.");
}

static void help(void)
{
	size_t i;

	puts("Usage: epochctl [OPTION ...] COMMAND [ARGUMENT ...]\n\n"
	     "Asks a supervisor, epochd(8), and tells it what to do.\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %s %-*s %s\n", commands[i].name, (int)(23 - strlen(commands[i].name)),
		       commands[i].arguments, commands[i].help);
	putchar('\n');
	say_options(everywhere | TAKES(OPTION_DB));
	puts("\n`epochctl COMMAND --help` tells the options of one; epochctl(1) tells more.");
}

/* ---- options ---- */

static int unknown_option(const char *word)
{
	const char *names[OPTIONS + 1] = { NULL }, *nearest = NULL;
	char name[40];
	unsigned i;

	for (i = 0; i < OPTIONS; i++)
		names[i] = options[i].name;
	snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
	if (strncmp(name, "--", 2) == 0)
		nearest = text_nearest(name + 2, names);
	ctl_complain("unknown option %s%s%s%s", word, nearest ? "; did you mean --" : "",
		     nearest ? nearest : "", nearest ? "?" : "");
	return EXIT_USAGE;
}

static int unknown_command(const char *word)
{
	const char *names[ARRAY_SIZE(commands) + 1] = { NULL }, *nearest;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		names[i] = commands[i].name;
	nearest = text_nearest(word, names);
	if (nearest)
		ctl_complain("unknown command %s; did you mean %s?", word, nearest);
	else
		ctl_complain("unknown command %s; `epochctl --help` lists them", word);
	return EXIT_USAGE;
}

static int take_limit(struct ctl *ctl, const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || value == 0 || value > 1000000000) {
		ctl_complain("--limit: expected a number from 1, not \"%s\"", text);
		return EXIT_USAGE;
	}
	ctl->limit = (unsigned)value;
	return EXIT_GOOD;
}

static int take_timeout(struct ctl *ctl, const char *text)
{
	int64_t ns;

	if (config_parse_time(text, &ns) < 0 || ns <= 0) {
		ctl_complain("--timeout: expected a time such as 250ms or 10s, not \"%s\"", text);
		return EXIT_USAGE;
	}
	ctl->timeout = text;
	ctl->timeout_seconds = (double)ns / 1e9;
	ctl->wait = true;
	return EXIT_GOOD;
}

static int take(struct ctl *ctl, unsigned id, const char *value)
{
	switch (id) {
	case OPTION_INSTANCE:
		ctl->instance = value;
		break;
	case OPTION_RUNTIME_DIR:
		ctl->runtime_dir = value;
		break;
	case OPTION_JSON:
		ctl->json = true;
		break;
	case OPTION_DB:
		ctl->database = value;
		break;
	case OPTION_WATCH:
		ctl->watch = true;
		break;
	case OPTION_LIMIT:
		return take_limit(ctl, value);
	case OPTION_ALL:
		ctl->all = true;
		break;
	case OPTION_FOLLOW:
		ctl->follow = true;
		break;
	case OPTION_APP:
		ctl->app = value;
		break;
	case OPTION_FIX:
		ctl->fix = true;
		break;
	case OPTION_KEEP:
		ctl->keep = true;
		break;
	case OPTION_WAIT:
		ctl->wait = true;
		break;
	case OPTION_TIMEOUT:
		return take_timeout(ctl, value);
	case OPTION_RANGE:
		ctl->range = value;
		break;
	case OPTION_SIZE:
		ctl->size = value;
		break;
	case OPTION_MESSAGES:
		ctl->messages = value;
		break;
	case OPTION_FIRST:
		ctl->first = true;
		break;
	case OPTION_COMPARE:
		ctl->compare = value;
		break;
	}
	return EXIT_GOOD;
}

static unsigned id_of_letter(int letter)
{
	unsigned id = 0;

	while (id < OPTIONS && options[id].letter != letter)
		id++;
	return id;
}

/* Options may stand before and behind the command. *given: a bit for each. */
static int take_options(struct ctl *ctl, int argc, char **argv, unsigned *given)
{
	struct option longs[OPTIONS + 1] = { 0 };
	char shorts[2 * OPTIONS + 2] = ":", *at = shorts + 1;
	unsigned id;
	int c, r;

	for (id = 0; id < OPTIONS; id++) {
		longs[id] = (struct option){ options[id].name,
					     options[id].argument ? required_argument : no_argument,
					     NULL, 256 + (int)id };
		if (options[id].letter)
			at += sprintf(at, "%c%s", options[id].letter,
				      options[id].argument ? ":" : "");
	}
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		id = c >= 256 ? (unsigned)c - 256 : id_of_letter(c);
		if (c == ':') {
			ctl_complain("%s needs a value", argv[optind - 1]);
			return EXIT_USAGE;
		}
		if (c == '?' || id >= OPTIONS) {
			char word[3] = { '-', (char)optopt, 0 };

			return unknown_option(optopt > 0 && optopt < 256 ? word : argv[optind - 1]);
		}
		*given |= TAKES(id);
		r = take(ctl, id, optarg);
		if (r)
			return r;
	}
	return EXIT_GOOD;
}

static int check_use(const struct ctl *ctl, const struct command *command, unsigned given, int argc)
{
	unsigned wrong = given & ~(command->takes | everywhere), id;

	for (id = 0; id < OPTIONS; id++)
		if (wrong & TAKES(id)) {
			ctl_complain("%s does not take --%s", command->name, options[id].name);
			return EXIT_USAGE;
		}
	if (argc < command->least) {
		ctl_complain("%s: expected %s", command->name, command->arguments);
		return EXIT_USAGE;
	}
	if (command->most >= 0 && argc > command->most) {
		ctl_complain("%s: too many arguments; expected %s", command->name,
			     *command->arguments ? command->arguments : "none");
		return EXIT_USAGE;
	}
	if (ctl->database && (ctl->instance || ctl->runtime_dir)) {
		ctl_complain("--db asks no supervisor: it goes without --instance and --runtime-dir");
		return EXIT_USAGE;
	}
	return EXIT_GOOD;
}

static int run(struct ctl *ctl, const struct command *command, int argc, char **argv)
{
	/* These ask nobody before they have looked. */
	bool alone = command->run == ctl_doctor || command->run == ctl_trace;
	int r = alone ? EXIT_GOOD : ctl_connect(ctl);

	if (r)
		return r;
	if (command->run)
		return command->run(ctl, argc, argv);
	return command->of_supervisor ? ctl_supervisor_verb(ctl, command->verb)
				      : ctl_verb(ctl, command->verb, argc, argv);
}

/* `epochctl help [COMMAND]`, and --help with or without one. */
static int show_help(int argc, char **argv)
{
	const struct command *command;

	if (argc > 0 && strcmp(argv[0], "help") == 0) {
		argc--;
		argv++;
	}
	if (argc == 0) {
		help();
		return EXIT_GOOD;
	}
	command = command_named(argv[0]);
	if (!command)
		return unknown_command(argv[0]);
	help_of(command);
	return EXIT_GOOD;
}

static int dispatch(struct ctl *ctl, int argc, char **argv)
{
	const struct command *command;
	unsigned given = 0;
	int r = take_options(ctl, argc, argv, &given);

	if (r)
		return r;
	argc -= optind;
	argv += optind;
	if (given & TAKES(OPTION_VERSION)) {
		puts("epochctl " VERSION);
		return EXIT_GOOD;
	}
	if ((given & TAKES(OPTION_HELP)) || (argc > 0 && strcmp(argv[0], "help") == 0))
		return show_help(argc, argv);
	if (argc == 0) {
		ctl_complain("a command is missing; `epochctl --help` lists them");
		return EXIT_USAGE;
	}
	command = command_named(argv[0]);
	if (!command)
		return unknown_command(argv[0]);
	r = check_use(ctl, command, given, argc - 1);
	return r ? r : run(ctl, command, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	struct ctl ctl = { 0 };
	int r;

	text_setup();
	ctl_look_at_terminal(&ctl);
	r = dispatch(&ctl, argc, argv);
	client_close(ctl.client);
	offline_close(ctl.offline);
	free(ctl.base);
	free(ctl.name);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		ctl_complain("cannot write the answer");
		return EXIT_TROUBLE;
	}
	return r;
}
