/* The command line of epochd. */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/fault.h"
#include "supervisor/log.h"
#include "supervisor/paths.h"
#include "supervisor/shm.h"

enum { EXIT_USAGE = 2 };

enum {
	OPT_HELP = 'h',
	OPT_VERSION = 'V',
	OPT_CONFIG = 'c',
	OPT_INSTANCE = 256,
	OPT_RUNTIME,
	OPT_STATE,
	OPT_LOG_JSON,
	OPT_DEBUG,
	OPT_NAME,
	OPT_RESTART,
	OPT_READINESS,
	OPT_HTTP,
	OPT_SHM,
	OPT_LIST_FAULTS,
};

static const char usage[] =
	"usage: epochd [-c FILE] [OPTIONS]           supervise what FILE says\n"
	"       epochd run [OPTIONS] -- COMMAND...   supervise one program, no file\n"
	"       epochd check FILE                    is this configuration good?\n"
	"\n"
	"Without -c: /etc/epochd/epochd.conf as root, else $XDG_CONFIG_HOME/epochd/epochd.conf,\n"
	"and conf.d/*.conf beside it.\n"
	"\n"
	"  -c, --config FILE    configuration, see epochd.conf(5)\n"
	"  --instance NAME      several run side by side under different names\n"
	"  --runtime-dir DIR    for control.sock; also EPOCHD_RUNTIME_DIR\n"
	"  --state-dir DIR      for epochd.db; also EPOCHD_STATE_DIR\n"
	"  --log-json           log in JSON lines\n"
	"  --debug              log more\n"
	"  -h, --help           this text\n"
	"  -V, --version        the version\n"
	"\n"
	"of run:\n"
	"  --name NAME          of application and instance (default: the command's basename)\n"
	"  --restart POLICY     always, on-failure (default) or never\n"
	"  --readiness HOW      none (default), notify or attach\n"
	"  --http ADDR:PORT     GET of metrics, health and stats\n"
	"  --shm PATTERN        stale files of it in /dev/shm (\"/app-*\"), removed before it starts;\n"
	"                       may be said again\n"
	"\n"
	"epochctl(1) asks a running epochd. Example: epochd run -- redis-server --port 7000\n";

static const struct option long_options[] = {
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "instance", required_argument, NULL, OPT_INSTANCE },
	{ "runtime-dir", required_argument, NULL, OPT_RUNTIME },
	{ "state-dir", required_argument, NULL, OPT_STATE },
	{ "log-json", no_argument, NULL, OPT_LOG_JSON },
	{ "debug", no_argument, NULL, OPT_DEBUG },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "restart", required_argument, NULL, OPT_RESTART },
	{ "readiness", required_argument, NULL, OPT_READINESS },
	{ "http", required_argument, NULL, OPT_HTTP },
	{ "shm", required_argument, NULL, OPT_SHM },
#ifdef EPOCHD_FAULTS
	{ "list-fault-points", no_argument, NULL, OPT_LIST_FAULTS },
#endif
	{ NULL, 0, NULL, 0 },
};

struct command_line {
	const char *verb;          /* "run", "check" or NULL */
	const char *file, *name, *http;
	char **shm;                /* ends with NULL; NULL: none */
	size_t shm_count;
	char **rest;               /* what follows the options */
	bool has_restart, has_readiness;
	enum restart_policy restart;
	enum readiness readiness;
	struct epochd_options options;
	struct log_options log;
};

static int complain_more(void)
{
	fputs("Try 'epochd --help'.\n", stderr);
	return EXIT_USAGE;
}

static int complain(const char *text, const char *value)
{
	if (value)
		fprintf(stderr, "epochd: %s '%s'\n", text, value);
	else
		fprintf(stderr, "epochd: %s\n", text);
	return complain_more();
}

/* For the configuration, which frees it. */
static int add_pattern(struct command_line *line, const char *pattern)
{
	char **grown = realloc(line->shm, (line->shm_count + 2) * sizeof *grown);

	if (!grown)
		return log_error(-ENOMEM, "--shm"), EXIT_FAILURE;
	line->shm = grown;
	grown[line->shm_count] = strdup(pattern);
	if (!grown[line->shm_count])
		return log_error(-ENOMEM, "--shm"), EXIT_FAILURE;
	grown[++line->shm_count] = NULL;
	return 0;
}

static bool is_verb(const struct command_line *line, const char *verb)
{
	return line->verb && strcmp(line->verb, verb) == 0;
}

/* Of `run` only. */
static int parse_run_option(struct command_line *line, int option, const char *name)
{
	if (!is_verb(line, "run"))
		return complain("only 'epochd run' takes the option", name);
	switch (option) {
	case OPT_NAME:
		line->name = optarg;
		return 0;
	case OPT_HTTP:
		line->http = optarg;
		return config_parse_listen(optarg) < 0 ?
		       complain("--http: expected ADDR:PORT such as 127.0.0.1:9190, not", optarg) : 0;
	case OPT_SHM:
		if (shm_pattern_is_wrong(optarg)) {
			fprintf(stderr, "epochd: --shm: expected %s, not '%s'\n", shm_pattern_is_wrong(optarg), optarg);
			return complain_more();
		}
		return add_pattern(line, optarg);
	case OPT_RESTART:
		line->has_restart = true;
		return config_parse_restart(optarg, &line->restart) < 0 ?
		       complain("--restart: expected always, on-failure or never, not", optarg) : 0;
	default:
		line->has_readiness = true;
		return config_parse_readiness(optarg, &line->readiness) < 0 ?
		       complain("--readiness: expected none, notify or attach, not", optarg) : 0;
	}
}

/* 0: go on; -1: done, all is said; otherwise the exit status. */
static int parse_option(struct command_line *line, int option, const char *name)
{
	switch (option) {
	case OPT_HELP:
		fputs(usage, stdout);
		return -1;
	case OPT_VERSION:
		puts("epochd " PACKAGE_VERSION);
		return -1;
#ifdef EPOCHD_FAULTS
	case OPT_LIST_FAULTS:
		fault_list();
		return -1;
#endif
	case OPT_CONFIG:
		line->file = optarg;
		return is_verb(line, "run") ? complain("'epochd run' has no configuration; unexpected:",
						       optarg) : 0;
	case OPT_INSTANCE:
		line->options.instance = optarg;
		return config_name_is_good(optarg) ? 0 :
		       complain("--instance: expected letters, digits, '_', '.' and '-', at most "
				"63, the first neither '.' nor '-', not", optarg);
	case OPT_RUNTIME:
		line->options.runtime_dir = optarg;
		return 0;
	case OPT_STATE:
		line->options.state_dir = optarg;
		return 0;
	case OPT_LOG_JSON:
		line->log.json = true;
		return 0;
	case OPT_DEBUG:
		line->log.level = LOG_LEVEL_DEBUG;
		return 0;
	case '?':   /* getopt has said which one */
		fputs("Try 'epochd --help'.\n", stderr);
		return EXIT_USAGE;
	default:
		return parse_run_option(line, option, name);
	}
}

static int parse(struct command_line *line, int argc, char **argv)
{
	int option, index, r;

	*line = (struct command_line){ .log = { .level = LOG_LEVEL_NOTICE } };
	if (argc > 1 && (strcmp(argv[1], "run") == 0 || strcmp(argv[1], "check") == 0)) {
		line->verb = argv[1];
		argv[1] = argv[0];   /* getopt begins its complaints with it */
		argc--;
		argv++;
	}
	opterr = 1;
	/* "+": what follows the first word that is no option is the program's. */
	while ((option = getopt_long(argc, argv, "+hVc:", long_options, &index)) != -1) {
		r = parse_option(line, option, option < OPT_INSTANCE ? NULL :
				 long_options[index].name);
		if (r)
			return r;
	}
	line->rest = argv + optind;
	return 0;
}

static void print_mistake(const char *text, void *user)
{
	(void)user;
	fprintf(stderr, "%s\n", text);
}

static int check(const struct command_line *line)
{
	const char *file = line->file ? line->file : line->rest[0];
	const char *more = line->file || !file ? line->rest[0] : line->rest[1];
	struct config *config;

	if (!file)
		return complain("check: which file?", NULL);
	if (more)
		return complain("check: one file at a time; unexpected:", more);
	if (config_load(&config, file, false, print_mistake, NULL) < 0)
		return EXIT_FAILURE;
	printf("%s: good: %zu application%s\n", file, config->app_count,
	       config->app_count == 1 ? "" : "s");
	config_free(config);
	return EXIT_SUCCESS;
}

static int rename_instance(struct config *config, const char *name)
{
	char *copy = name ? strdup(name) : NULL;

	if (!name)
		return 0;
	if (!copy)
		return log_error(-ENOMEM, "instance %s", name);
	free(config->instance);
	config->instance = copy;
	return 0;
}

static int supervise(struct command_line *line)
{
	char *file = line->file ? strdup(line->file) : NULL;
	struct config *config;
	int r;

	if (line->rest[0])
		return complain("-c names a configuration, 'epochd run --' a program, epochctl(1) asks "
				"what runs; unexpected:", line->rest[0]);
	if (!file && paths_default_config(&file) < 0)
		return complain("no HOME to look for a configuration in: use -c FILE", NULL);
	r = config_load(&config, file, !line->file, print_mistake, NULL);
	if (r < 0 && !line->file && access(file, F_OK) < 0)
		fputs("epochd: write it (epochd.conf(5)), name another one with -c, or supervise one "
		      "program without any: epochd run -- COMMAND\n", stderr);
	if (r == 0)
		r = rename_instance(config, line->options.instance);
	r = r < 0 ? EXIT_FAILURE : epochd_run(config, file, !line->file, &line->options);
	free(file);
	return r;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int run(struct command_line *line)
{
	struct config *config;
	struct app_config *app;
	const char *name;

	if (!line->rest[0] || !*line->rest[0])
		return complain("run: which command? epochd run [OPTIONS] -- COMMAND ARGS", NULL);
	name = line->name ? line->name : base_name(line->rest[0]);
	if (!config_name_is_good(name))
		return complain("--name: expected letters, digits, '_', '.' and '-', at most 63, the "
				"first neither '.' nor '-', not", name);
	if (config_for_run(&config, name, line->rest, print_mistake, NULL) < 0)
		return EXIT_FAILURE;
	app = config->apps[0];
	app->restart = line->has_restart ? line->restart : RESTART_ON_FAILURE;
	if (line->has_readiness)
		app->readiness = line->readiness;
	app->shm = line->shm;
	if (line->http)
		config->http_listen = strdup(line->http);
	if (rename_instance(config, line->options.instance ? line->options.instance : name) < 0)
		return EXIT_FAILURE;
	if (line->log.level == LOG_LEVEL_NOTICE)
		line->log.level = LOG_LEVEL_ERROR;   /* says nothing where nothing is wrong */
	log_setup(line->log);
	line->options.run_mode = true;
	return epochd_run(config, NULL, false, &line->options);
}

int main(int argc, char **argv)
{
	struct command_line line;
	int r = parse(&line, argc, argv);

	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	log_setup(line.log);
	if (is_verb(&line, "check"))
		return check(&line);
	if (line.verb)
		return run(&line);
	return supervise(&line);
}
