#include <config.h>

#include <errno.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/configuration.h"
#include "tests/unit/unit.h"

#define MS INT64_C(1000000)
#define S (1000 * MS)

static char base[] = "/tmp/check_configuration.XXXXXX";
static char told[64 << 10];             /* every mistake, a line each */
static const char *source;              /* of the project; NULL: not run by make check */

/* Each test has a directory of its own; main() removes them all, those of failed tests too. */
static void make_directory(void)
{
	char directory[sizeof base + 8];

	snprintf(directory, sizeof directory, "%s/XXXXXX", base);
	source = getenv("EPOCHD_SOURCE");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chmod(directory, 0755), 0);
	ck_assert_int_eq(chdir(directory), 0);
	told[0] = '\0';
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void write_bytes(const char *path, const char *bytes, size_t size)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
	ck_assert_int_eq(fclose(file), 0);
}

static void write_text(const char *path, const char *text)
{
	write_bytes(path, text, strlen(text));
}

static void note(const char *text, void *user)
{
	size_t length = strlen(told);

	(void)user;
	snprintf(told + length, sizeof told - length, "%s\n", text);
}

static struct config *load(const char *path, bool with_conf_d)
{
	struct config *config = NULL;

	told[0] = '\0';
	ck_assert_msg(config_load(&config, path, with_conf_d, note, NULL) == 0, "%s", told);
	ck_assert_str_eq(told, "");
	return config;
}

static struct config *load_text(const char *text)
{
	write_text("t", text);
	return load("t", false);
}

static void expect_mistakes(const char *path, bool with_conf_d, const char *expected)
{
	struct config *untouched = (struct config *)(void *)&told, *config = untouched;

	told[0] = '\0';
	ck_assert_int_eq(config_load(&config, path, with_conf_d, note, NULL), -EINVAL);
	ck_assert_str_eq(told, expected);
	ck_assert_ptr_eq(config, untouched);   /* nothing partial */
}

static void expect_list(char *const *list, const char *const *expected)
{
	for (; *expected; list++, expected++) {
		ck_assert_ptr_nonnull(list);
		ck_assert_ptr_nonnull(*list);
		ck_assert_str_eq(*list, *expected);
	}
	ck_assert_ptr_null(*list);
}
#define EXPECT_LIST(list, ...) expect_list(list, (const char *const[]){ __VA_ARGS__, NULL })

/* The design's own example, but for its users. */
static const char example[] =
	"instance = \"default\"\n"
	"segment-directory = \"/dev/shm\"\n"
	"runtime-directory = \"/run/epochd\"              # e.g.\n"
	"state-directory   = \"/var/lib/epochd\"          # e.g.\n"
	"api      { mode = 0666 }                       # api.sock\n"
	"control  { group = \"daemon\"  read = { \"uid:33\" }  act = { \"root\" } }\n"
	"http     { listen = \"127.0.0.1:9190\" }\n"
	"events   { keep = 100000 }\n"
	"incarnations { keep = 10000 }\n"
	"cgroup   = auto                                # auto | off | PATH\n"
	"\n"
	"application \"kv\" {\n"
	"  command     = { \"/usr/bin/kv-server\", \"--port\", \"7000\" }\n"
	"  directory   = \"/var/lib/kv\"                  # e.g.\n"
	"  environment = { \"KV_MODE=fast\" }             # e.g.\n"
	"  clear-environment = false\n"
	"  umask = 027\n"
	"  no-new-privileges = true                     # e.g.\n"
	"  limits      { nofile = 65536  core = unlimited }   # e.g.\n"
	"  restart     = always                         # always | on-failure | never\n"
	"  backoff     { initial = 100ms  factor = 2.0  max = 30s  jitter = 0.1  "
	"reset-after = 60s }\n"
	"  intensity   { restarts = 5  within = 60s }   # more than this: fatal\n"
	"  readiness   = notify                         # e.g.; none | notify | attach\n"
	"  start-timeout = 30s   stop-signal = SIGTERM   stop-timeout = 10s\n"
	"  watchdog    = 5s                             # e.g.\n"
	"  health      { command = { \"curl\", \"-fsm2\", \"http://127.0.0.1:8000/health\" }  "
	"interval = 10s  timeout = 5s  failures = 3  after = 0s }   # e.g.\n"
	"  after       = { \"db\" }   group-of = \"storage\"   # e.g.\n"
	"  output      { file = \"/var/log/kv.log\"  max-size = 10M  keep = 5 }   # e.g.\n"
	"  shm         = { \"/kv-*\" }                    # e.g.; stale files of its own in /dev/shm\n"
	"  keepalive   { interval = 10s  misses = 3  reap-lazy = never }\n"
	"}\n"
	"\n"
	"group \"storage\" { strategy = one-for-all }     # one-for-one | one-for-all\n"
	"application \"db\" { command = { \"/usr/bin/db\" } }\n";

static void expect_example_globals(const struct config *config)
{
	ck_assert_str_eq(config->instance, "default");
	ck_assert_str_eq(config->segment_directory, "/dev/shm");
	ck_assert_str_eq(config->runtime_directory, "/run/epochd");
	ck_assert_str_eq(config->state_directory, "/var/lib/epochd");
	ck_assert_uint_eq(config->api_mode, 0666);
	ck_assert_str_eq(config->control.group, "daemon");
	ck_assert_uint_eq(config->control.gid, getgrnam("daemon")->gr_gid);
	ck_assert(config->control.set);
	ck_assert_uint_eq(config->control.read_count, 1);
	ck_assert(!config->control.read[0].is_group && !config->control.read[0].anyone);
	ck_assert_uint_eq(config->control.read[0].id, 33);
	ck_assert_str_eq(config->control.read[0].text, "uid:33");
	ck_assert_uint_eq(config->control.act_count, 1);
	ck_assert_uint_eq(config->control.act[0].id, 0);
	ck_assert_str_eq(config->http_listen, "127.0.0.1:9190");
	ck_assert_uint_eq(config->keep_events, 100000);
	ck_assert_uint_eq(config->keep_incarnations, 10000);
	ck_assert_str_eq(config->cgroup, "auto");
	EXPECT_LIST(config->files, "t");
}

static void expect_example_start(const struct app_config *app)
{
	EXPECT_LIST(app->command, "/usr/bin/kv-server", "--port", "7000");
	ck_assert_str_eq(app->directory, "/var/lib/kv");
	EXPECT_LIST(app->environment, "KV_MODE=fast");
	ck_assert(!app->clear_environment);
	ck_assert_ptr_null(app->user);
	ck_assert_uint_eq(app->uid, (uid_t)-1);
	ck_assert_uint_eq(app->gid, (gid_t)-1);
	ck_assert(!app->set_groups);
	ck_assert_uint_eq(app->umask, 027);
	ck_assert(app->no_new_privileges);
	ck_assert_uint_eq(app->limit_count, 2);
	ck_assert_int_eq(app->limits[0].resource, RLIMIT_CORE);
	ck_assert(app->limits[0].value.rlim_cur == RLIM_INFINITY);
	ck_assert(app->limits[0].value.rlim_max == RLIM_INFINITY);
	ck_assert_int_eq(app->limits[1].resource, RLIMIT_NOFILE);
	ck_assert_uint_eq(app->limits[1].value.rlim_cur, 65536);
	ck_assert_uint_eq(app->limits[1].value.rlim_max, 65536);
	ck_assert_int_eq(app->readiness, READINESS_NOTIFY);
	ck_assert_int_eq(app->watchdog, 5 * S);
	ck_assert_str_eq(app->output.file, "/var/log/kv.log");
}

static void expect_default_policy(const struct app_config *app)
{
	ck_assert_int_eq(app->restart, RESTART_ALWAYS);
	ck_assert_int_eq(app->backoff.initial, 100 * MS);
	ck_assert_double_eq(app->backoff.factor, 2.0);
	ck_assert_int_eq(app->backoff.max, 30 * S);
	ck_assert_double_eq(app->backoff.jitter, 0.1);
	ck_assert_int_eq(app->backoff.reset_after, 60 * S);
	ck_assert_uint_eq(app->intensity.restarts, 5);
	ck_assert_int_eq(app->intensity.within, 60 * S);
	ck_assert_int_eq(app->start_timeout, 30 * S);
	ck_assert_int_eq(app->stop_signal, SIGTERM);
	ck_assert_int_eq(app->stop_timeout, 10 * S);
	ck_assert_int_eq(app->health.interval, 10 * S);
	ck_assert_int_eq(app->health.timeout, 5 * S);
	ck_assert_uint_eq(app->health.failures, 3);
	ck_assert_int_eq(app->health.after, 0);
	ck_assert_uint_eq(app->output.keep, 5);
}

START_TEST(the_example_of_the_design_is_read_whole)
{
	struct config *config = load_text(example);
	const struct app_config *app = config_app(config, "kv");

	expect_example_globals(config);
	ck_assert_uint_eq(config->app_count, 2);
	ck_assert_ptr_eq(config->apps[0], app);
	ck_assert_str_eq(config->apps[1]->name, "db");
	expect_example_start(app);
	expect_default_policy(app);
	EXPECT_LIST(app->health.command, "curl", "-fsm2", "http://127.0.0.1:8000/health");
	EXPECT_LIST(app->after, "db");
	ck_assert_str_eq(app->group_of, "storage");
	ck_assert_uint_eq(app->output.max_size, 10 << 20);
	ck_assert_str_eq(app->origin, "t");
	ck_assert_int_eq(app->line, 12);
	ck_assert_int_eq(config_group(config, "storage")->strategy, ONE_FOR_ALL);
	ck_assert_ptr_null(config_group(config, "none"));
	ck_assert_ptr_null(config_app(config, "none"));
	config_free(config);
}
END_TEST

START_TEST(every_value_may_be_another_than_the_default)
{
	struct config *config = load_text(
		"instance = two segment-directory = '/tmp' api { mode = 660 }\n"
		"control { read = { '*', 'group:root', 'gid:7' } }\n"
		"http { listen = '[::1]:80' } events { keep = 7 } incarnations { keep = 8 }\n"
		"cgroup = '/sys/fs/cgroup/x'\n"
		"application a { command = /bin/a clear-environment = yes umask = 0\n"
		"  restart = on-failure readiness = none start-timeout = 0 stop-signal = HUP\n"
		"  backoff { initial = 0 factor = 1 max = 0 jitter = 1 reset-after = 1.5s }\n"
		"  intensity { restarts = 0 within = 0 } stop-timeout = 250ms watchdog = 0\n"
		"  health { command = { x } interval = 1m timeout = 2h failures = 9 after = 1d }\n"
		"  output { file = '/a' max-size = 1G keep = 2 } limits { nofile = '5:6' } }\n"
		"application b { command = /bin/b restart = never stop-signal = INT }\n"
		"group r { strategy = rest-for-one } group o { strategy = one-for-one } group d { }\n");
	const struct app_config *app = config_app(config, "a");

	ck_assert_str_eq(config->instance, "two");
	ck_assert_str_eq(config->segment_directory, "/tmp");
	ck_assert_uint_eq(config->api_mode, 0660);
	ck_assert_uint_eq(config->control.read_count, 3);
	ck_assert(config->control.read[0].anyone);
	ck_assert(config->control.read[1].is_group && config->control.read[1].id == 0);
	ck_assert(config->control.read[2].is_group && config->control.read[2].id == 7);
	ck_assert(config->control.set);
	ck_assert_uint_eq(config->control.gid, (gid_t)-1);
	ck_assert_str_eq(config->http_listen, "[::1]:80");
	ck_assert_uint_eq(config->keep_events, 7);
	ck_assert_uint_eq(config->keep_incarnations, 8);
	ck_assert_str_eq(config->cgroup, "/sys/fs/cgroup/x");
	ck_assert(app->clear_environment);
	ck_assert_uint_eq(app->umask, 0);
	ck_assert_int_eq(app->restart, RESTART_ON_FAILURE);
	ck_assert_int_eq(app->start_timeout, 0);
	ck_assert_int_eq(app->stop_signal, SIGHUP);
	ck_assert_int_eq(app->backoff.initial, 0);
	ck_assert_double_eq(app->backoff.factor, 1);
	ck_assert_int_eq(app->backoff.max, 0);
	ck_assert_double_eq(app->backoff.jitter, 1);
	ck_assert_int_eq(app->backoff.reset_after, 1500 * MS);
	ck_assert_uint_eq(app->intensity.restarts, 0);
	ck_assert_int_eq(app->intensity.within, 0);
	ck_assert_int_eq(app->stop_timeout, 250 * MS);
	ck_assert_int_eq(app->health.interval, 60 * S);
	ck_assert_int_eq(app->health.timeout, 7200 * S);
	ck_assert_uint_eq(app->health.failures, 9);
	ck_assert_int_eq(app->health.after, 86400 * S);
	ck_assert_uint_eq(app->output.max_size, 1 << 30);
	ck_assert_uint_eq(app->output.keep, 2);
	ck_assert_uint_eq(app->limits[0].value.rlim_cur, 5);
	ck_assert_uint_eq(app->limits[0].value.rlim_max, 6);
	ck_assert_int_eq(config_app(config, "b")->restart, RESTART_NEVER);
	ck_assert_int_eq(config_app(config, "b")->stop_signal, SIGINT);
	ck_assert_int_eq(config_group(config, "r")->strategy, REST_FOR_ONE);
	ck_assert_int_eq(config_group(config, "o")->strategy, ONE_FOR_ONE);
	ck_assert_int_eq(config_group(config, "d")->strategy, ONE_FOR_ONE);
	config_free(config);
}
END_TEST

static void expect_defaults(const struct config *config)
{
	const struct app_config *app = config->apps[0];

	ck_assert_str_eq(config->instance, "default");
	ck_assert_str_eq(config->segment_directory, "/dev/shm");
	ck_assert_ptr_null(config->runtime_directory);
	ck_assert_ptr_null(config->state_directory);
	ck_assert_uint_eq(config->api_mode, 0666);
	ck_assert(!config->control.set);
	ck_assert_uint_eq(config->control.gid, (gid_t)-1);
	ck_assert_ptr_null(config->http_listen);
	ck_assert_uint_eq(config->keep_events, 100000);
	ck_assert_uint_eq(config->keep_incarnations, 10000);
	ck_assert_str_eq(config->cgroup, "auto");
	expect_default_policy(app);
	ck_assert_ptr_null(app->directory);
	ck_assert_ptr_null(app->environment);
	ck_assert(!app->clear_environment);
	ck_assert_ptr_null(app->user);
	ck_assert_uint_eq(app->uid, (uid_t)-1);
	ck_assert_uint_eq(app->gid, (gid_t)-1);
	ck_assert(!app->set_groups && !app->groups);
	ck_assert_uint_eq(app->umask, 022);
	ck_assert_uint_eq(app->limit_count, 0);
	ck_assert(!app->no_new_privileges);
	ck_assert_int_eq(app->readiness, READINESS_NONE);
	ck_assert_int_eq(app->watchdog, 0);
	ck_assert_ptr_null(app->health.command);
	ck_assert_ptr_null(app->after);
	ck_assert_ptr_null(app->group_of);
	ck_assert_ptr_null(app->output.file);
	ck_assert_uint_eq(app->output.max_size, 0);
}

START_TEST(a_name_and_a_command_are_enough)
{
	struct config *config = load_text("application \"kv\" { command = { \"/usr/bin/kv\" } }");

	ck_assert_uint_eq(config->app_count, 1);
	ck_assert_str_eq(config->apps[0]->name, "kv");
	EXPECT_LIST(config->apps[0]->command, "/usr/bin/kv");
	expect_defaults(config);
	config_free(config);
}
END_TEST

START_TEST(run_needs_no_file)
{
	char *const command[] = { (char[]){ "/bin/true" }, (char[]){ "-x" }, NULL };
	char *const nothing[] = { NULL };
	struct config *config = NULL;

	ck_assert_int_eq(config_for_run(&config, "true", command, note, NULL), 0);
	ck_assert_uint_eq(config->app_count, 1);
	ck_assert_ptr_eq(config_app(config, "true"), config->apps[0]);
	EXPECT_LIST(config->apps[0]->command, "/bin/true", "-x");
	expect_defaults(config);
	config_free(config);
	config = NULL;
	ck_assert_int_eq(config_for_run(&config, "a b", command, note, NULL), -EINVAL);
	ck_assert_int_eq(config_for_run(&config, "true", nothing, note, NULL), -EINVAL);
	ck_assert_str_eq(told,
		"expected a name of letters, digits, \"_\", \".\" and \"-\", at most 63, the first "
		"neither \".\" nor \"-\"; --name gives another one\n"
		"expected a command\n");
	ck_assert_ptr_null(config);
}
END_TEST

START_TEST(comments_and_quotes_are_as_one_expects)
{
	struct config *config = load_text(
		"\xef\xbb\xbf# hash\r\n// slashes\n/* a { comment }\n of = \"two\" lines */\n"
		"application /* here */ 'it' { # and ' here\n"
		"  command = { \"/bin/\\x61\\142\\\"\\n\", '${HOME}', \"\\${HOME}\", '\\'\\\\', '#', "
		"plain/word, \"two \\\n  lines\", \"$HOME\", \"/* no */ // no\", \"a+b=c\", }\n"
		"  /**/ umask /**/ = 1 }\n");

	EXPECT_LIST(config->apps[0]->command, "/bin/ab\"\n", "${HOME}", "${HOME}", "'\\", "#",
		    "plain/word", "two   lines", "$HOME", "/* no */ // no", "a+b=c");
	ck_assert_uint_eq(config->apps[0]->umask, 1);
	ck_assert_int_eq(config->apps[0]->line, 5);
	config_free(config);
}
END_TEST

#define APP(inside) "application \"kv\" {\ncommand = { \"/bin/kv\" }\n" inside "\n}\n"
#define NAMES "letters, digits, \"_\", \".\" and \"-\", at most 63, the first neither \".\" nor \"-\""
#define VARIABLE "\"${\" stands for a variable of the environment, which is not replaced here; " \
		 "put the text in single quotes\n"
#define UNEXPECTED(what) "unexpected \"" what "\"; is a comma, \"=\", quote or brace missing before it?\n"

/* Every way in which a configuration can be wrong. */
static const struct {
	const char *text, *expected;
} wrong[] = {
	/* The file as such. */
	{ "", "t: expected an application; the shortest is: "
	      "application \"NAME\" { command = { \"/path/of/program\" } }\n" },
	{ "# nothing", "t: expected an application; the shortest is: "
		       "application \"NAME\" { command = { \"/path/of/program\" } }\n" },
	{ "instance = \"\xff\"", "t: expected a text in UTF-8\n" },

	/* Comments, strings, words. */
	{ "\n/* to the end\n", "t:2: this comment is not closed: expected */\n" },
	{ "instance = \"a\ncgroup = \"off\"\n",
	  "t:1: this string is not closed: expected a quote before the end of the line\n" },
	{ "instance = 'a", "t:1: this string is not closed: expected a quote before the end of the "
			   "line\n" },
	{ "instance = \"a${HOME}\"", "t:1: " VARIABLE },
	{ "instance = ${HOME}", "t:1: " VARIABLE },
	{ "\ninstance = a${HOME}", "t:2: " VARIABLE },
	{ "instance = \"a\\0b\"", "t:1: a NUL cannot be part of a value\n" },
	{ "instance = \"a\\x00b\"", "t:1: a NUL cannot be part of a value\n" },
	{ "instance = \"a\\9\"", "t:1: \"\\9\" means nothing in a string; a backslash is \\\\\n" },
	{ "instance = \"a\\777\"", "t:1: \"\\777\" is no character; a backslash is \\\\\n" },
	{ APP("environment = { \"A=\\xff\" }"),
	  "t:3: application \"kv\": environment: expected a text in UTF-8\n" },
	{ "control { act = { * } }", "t:1: unexpected \"*\"; a value that has it goes in quotes\n" },
	{ APP("after += { b }"), "t:3: unexpected \"+\"; a value that has it goes in quotes\n" },
	{ "include(\"x\")", "t:1: unexpected \"(\"; a value that has it goes in quotes\n"
			    "t:1: unexpected \")\"; a value that has it goes in quotes\n" },
	{ "application|x = 1", "t:1: unexpected \"|\"; a value that has it goes in quotes\n" },
	{ "cgroup = a\001b", "t:1: unexpected \"?\"; a value that has it goes in quotes\n" },
	{ "cgroup = a//b", "t:1: \"//\" within a word: put the word in quotes\n" },

	/* Sections, keys, values. */
	{ "application \"kv\" {\n  command = { \"/bin/kv\" }\n",
	  "t:1: application \"kv\": not closed: expected a \"}\" before the end of the file\n" },
	{ APP("backoff {\ninitial = 1s"),
	  "t:1: application \"kv\": not closed: expected a \"}\" before the end of the file\n" },
	{ "application \"a\" { command = { \"/a\" }\napplication \"b\" { command = { \"/b\" } }\n",
	  "t:1: application \"a\": not closed: expected a \"}\" before line 2\n" },
	{ "application a { backoff { initial = 1s\ngroup b { } ",
	  "t:1: application \"a\": backoff: not closed: expected a \"}\" before line 2\n"
	  "t:1: application \"a\": not closed: expected a \"}\" before line 2\n" },
	{ "application a {\ncommand = { \"/a\"\nrestart = never }",
	  "t:2: application \"a\": command: this list is not closed: expected a \"}\"\n" },
	{ APP("") "}\n", "t:5: unexpected \"}\"; nothing is open\n" },
	{ APP("restart always"), "t:3: application \"kv\": restart: expected \"=\" and a value\n" },
	{ APP("restart = "), "t:4: application \"kv\": " UNEXPECTED("}") },
	{ APP("after = { \"a\" \"b\" }"), "t:3: application \"kv\": " UNEXPECTED("b") },
	{ APP("restart = { always }"), "t:3: application \"kv\": " UNEXPECTED("{") },
	{ "application { command = { \"/a\" } }", "t:1: application: expected a name in quotes\n" },
	{ "application \"a\" command = { \"/a\" }", "t:1: application: expected \"{\"\n" },
	{ "instance = ", "t:1: the file ends within a statement\n" },
	{ "api\n\"x\" { mode = 0600 }\n" APP(""), "t:2: api: expected \"{\"\n" },
	{ "instance = \"b\"\ninstance = \"c\"\n" APP(""),
	  "t:2: instance: given already in line 1\n" },
	{ APP("after = { }\nafter = { \"kv\" }"),
	  "t:4: application \"kv\": after: given already in line 3\n" },
	{ APP("command = { \"/b\" }"),
	  "t:3: application \"kv\": command: given already in line 2\n" },
	{ APP("backoff { initial = 1s }\nbackoff { max = 2s }"),
	  "t:4: application \"kv\": backoff: given already in line 3\n" },
	{ APP("backoff { initial = 1s initial = 2s }"),
	  "t:3: application \"kv\": backoff initial: given already in line 3\n" },
	{ "control { }\ncontrol { }\n" APP(""), "t:2: control: given already in line 1\n" },
	{ APP("") APP(""), "t:5: application \"kv\": given already in t:1\n" },
	{ "group g { }\ngroup g { }\n" APP(""), "t:2: group \"g\": given already in t:1\n" },
	{ APP("backoff = 3s"),
	  "t:3: application \"kv\": backoff: expected a section: backoff { ... }\n" },
	{ APP("restart { }"), "t:3: application \"kv\": restart: expected \"=\" and a value\n" },

	/* Words that are not known. */
	{ APP("restrat = always"),
	  "t:3: application \"kv\": restrat: unknown; did you mean \"restart\"?\n" },
	{ APP("bakoff { initial = 1s }"),
	  "t:3: application \"kv\": bakoff: unknown; did you mean \"backoff\"?\n" },
	{ APP("frobnicate = { a, b }\ncolour = blue"),
	  "t:3: application \"kv\": frobnicate: unknown\n"
	  "t:4: application \"kv\": colour: unknown\n" },
	{ APP("backoff { firstly = 1s }"), "t:3: application \"kv\": backoff firstly: unknown\n" },
	{ APP("limits { files = 3 }"), "t:3: application \"kv\": limits files: unknown\n" },
	{ APP("initial = 1s"), "t:3: application \"kv\": initial: unknown here; it belongs into the "
			       "section \"backoff\"\n" },
	{ APP("instance = a"), "t:3: application \"kv\": instance: unknown here; it stands outside "
			       "of all sections\n" },
	{ "restart = never\n" APP(""), "t:1: restart: unknown here; it belongs into the section "
				       "\"application\"\n" },
	{ "instnace = a\n" APP(""), "t:1: instnace: unknown; did you mean \"instance\"?\n" },
	{ "applicaton a { }\n" APP(""),
	  "t:1: applicaton: unknown; did you mean \"application\"?\n" },
	{ "group g { strategie = one-for-all }\n" APP(""),
	  "t:1: group \"g\": strategie: unknown; did you mean \"strategy\"?\n" },
	{ APP("external = true"), "t:2: application \"kv\": command: means nothing with external = true: a process "
				  "attaches by itself\n" },
	{ APP("shm = { \"a\" }"), "t:3: application \"kv\": shm: expected a name in /dev/shm such as \"/app-*\": "
	  "one \"/\", in front, not \"a\"\n" },
	{ APP("shm = { \"/../etc\" }"), "t:3: application \"kv\": shm: expected a name in /dev/shm such as "
	  "\"/app-*\": one \"/\", in front, not \"/../etc\"\n" },
	{ APP("shm = { \"/..\" }"), "t:3: application \"kv\": shm: expected a name in /dev/shm such as "
	  "\"/app-*\": one \"/\", in front, not \"/..\"\n" },
	{ APP("shm = { \"/*\" }"), "t:3: application \"kv\": shm: expected a pattern that begins with a part of the "
	  "name, not \"/*\"\n" },
	{ APP("clients { max = 0\nmax-per-user = 1048577\nallow = { \"no such user\" } }"),
	  "t:3: application \"kv\": clients max: expected a number from 1 to 1048576, not \"0\"\n"
	  "t:4: application \"kv\": clients max-per-user: expected a number from 1 to 1048576, not "
	  "\"1048577\"\n"
	  "t:5: application \"kv\": clients allow: expected the name of a user of this system, uid:N, "
	  "group:NAME, gid:N or \"*\", not \"no such user\"\n" },
	{ APP("channel { ring = 1 }"), "t:3: application \"kv\": channel ring: expected a power of two from 2 "
				       "to 32768, not \"1\"\n" },
	{ APP("channel { buffers = { } }"), "t:3: application \"kv\": channel buffers: expected COUNTxBYTES "
					    "such as 64x256, not an empty list\n" },
	{ APP("channel { ring = 4\nbuffers = { 4x128, 4x64 } }"),
	  "t:4: application \"kv\": channel buffers: the sizes of the classes must grow\n" },
	{ APP("channel { ring = 96\nbuffers = { \"64\" } }"),
	  "t:3: application \"kv\": channel ring: expected a power of two from 2 to 32768, not \"96\"\n"
	  "t:4: application \"kv\": channel buffers: expected COUNTxBYTES such as 64x256, not \"64\"\n" },
	{ APP("keepalive { misses = 0 }"), "t:3: application \"kv\": keepalive misses: "
	  "expected a number from 1 to 1000000000, not \"0\"\n" },
	{ APP("keepalive { reap-lazy = maybe }"), "t:3: application \"kv\": keepalive reap-lazy: "
	  "expected never, or a time such as 10m, not \"maybe\"\n" },
	{ APP("gc = collec"), "t:3: application \"kv\": gc: expected report or collect, not \"collec\"\n" },
	{ APP("gc-timeout = soon"), "t:3: application \"kv\": gc-timeout: expected a time such as 250ms or 10s, not "
				    "\"soon\"\n" },

	/* Global values. */
	{ "instance = \"a b\"\n" APP(""), "t:1: instance: expected a name of " NAMES
					  ", not \"a b\"\n" },
	{ "segment-directory = \"shm\"\n" APP(""),
	  "t:1: segment-directory: expected an absolute path, not \"shm\"\n" },
	{ "runtime-directory = \"\"\n" APP(""),
	  "t:1: runtime-directory: expected an absolute path, not \"\"\n" },
	{ "state-directory = \"/a\\nb\"\n" APP(""),
	  "t:1: state-directory: expected an absolute path, not \"/a b\"\n" },
	{ "cgroup = on\n" APP(""), "t:1: cgroup: expected auto, off or an absolute path, not \"on\"\n" },
	{ "api { mode = 0888 }\n" APP(""), "t:1: api mode: expected an octal number from 0 to 0777, "
					   "such as 022, not \"0888\"\n" },
	{ "control { group = \"no such group\" }\n" APP(""),
	  "t:1: control group: expected the name of a group of this system, not "
	  "\"no such group\"\n" },
	{ "control { read = { \"no such user\" } }\n" APP(""),
	  "t:1: control read: expected the name of a user of this system, uid:N, group:NAME, gid:N "
	  "or \"*\", not \"no such user\"\n" },
	{ "control {\nact = { \"root\",\n\"uid:x\" } }\n" APP(""),
	  "t:3: control act: expected the name of a user of this system, uid:N, group:NAME, gid:N "
	  "or \"*\", not \"uid:x\"\n" },
	{ "control { act = { \"gid:4294967295\" } }\n" APP(""),
	  "t:1: control act: expected the name of a user of this system, uid:N, group:NAME, gid:N "
	  "or \"*\", not \"gid:4294967295\"\n" },
	{ "control { act = { \"group:no such\" } }\n" APP(""),
	  "t:1: control act: expected the name of a group of this system after \"group:\", not "
	  "\"group:no such\"\n" },
	{ "http { listen = \"localhost:9190\" }\n" APP(""),
	  "t:1: http listen: expected a numeric address and a port, such as 127.0.0.1:9190 or "
	  "[::1]:9190, not \"localhost:9190\"\n" },
	{ "events { keep = 0 }\n" APP(""),
	  "t:1: events keep: expected a number from 1 to 1000000000, not \"0\"\n" },
	{ "incarnations { keep = many }\n" APP(""),
	  "t:1: incarnations keep: expected a number from 1 to 1000000000, not \"many\"\n" },
	{ "group g { strategy = all }\n" APP(""),
	  "t:1: group \"g\": strategy: expected one-for-one, one-for-all or rest-for-one, not "
	  "\"all\"\n" },
	{ "group \"g h\" { }\n" APP(""), "t:1: group \"g h\": expected a name of " NAMES "\n" },

	/* Names and commands. */
	{ "application \"\" { command = { \"/a\" } }",
	  "t:1: application \"\": expected a name of " NAMES "\n" },
	{ "application \".kv\" { command = { \"/a\" } }",
	  "t:1: application \".kv\": expected a name of " NAMES "\n" },
	{ "application \"a/b\" { command = { \"/a\" } }",
	  "t:1: application \"a/b\": expected a name of " NAMES "\n" },
	{ "\napplication \"kv\" { }\n",
	  "t:2: application \"kv\": command: missing: expected a program and its arguments, such as "
	  "command = { \"/usr/bin/program\", \"--option\" }\n" },
	{ "\napplication \"kv\" {\ncommand = { } restart = always }\n",
	  "t:2: application \"kv\": command: missing: expected a program and its arguments, such as "
	  "command = { \"/usr/bin/program\", \"--option\" }\n" },
	{ "application \"kv\" {\ncommand = { \"\", \"a\" } }\n",
	  "t:2: application \"kv\": command: expected the path of a program first, not \"\"\n" },
	{ "application \"kv\" {\ncommand = \"/bin/kv --port 7000\" }\n",
	  "t:2: application \"kv\": command: expected a list of words, as no shell splits it: "
	  "{ \"/usr/bin/program\", \"--option\" }, not \"/bin/kv --port 7000\"\n" },

	/* What a process is started with. */
	{ APP("directory = \"kv\""),
	  "t:3: application \"kv\": directory: expected an absolute path, not \"kv\"\n" },
	{ APP("environment = { \"A=b\",\n\"KV\" }"),
	  "t:4: application \"kv\": environment: expected NAME=value, the name of letters, digits "
	  "and \"_\", not \"KV\"\n" },
	{ APP("environment = { \"1A=b\" }"),
	  "t:3: application \"kv\": environment: expected NAME=value, the name of letters, digits "
	  "and \"_\", not \"1A=b\"\n" },
	{ APP("environment = { \"=b\" }"),
	  "t:3: application \"kv\": environment: expected NAME=value, the name of letters, digits "
	  "and \"_\", not \"=b\"\n" },
	{ APP("environment = { \"EPOCHD_EPOCH=1\", \"NOTIFY_SOCKET=x\", \"WATCHDOG_USEC=1\" }"),
	  "t:3: application \"kv\": environment: expected another name: EPOCHD_*, WATCHDOG_* and "
	  "NOTIFY_SOCKET are set by epochd, not \"EPOCHD_EPOCH=1\"\n"
	  "t:3: application \"kv\": environment: expected another name: EPOCHD_*, WATCHDOG_* and "
	  "NOTIFY_SOCKET are set by epochd, not \"NOTIFY_SOCKET=x\"\n"
	  "t:3: application \"kv\": environment: expected another name: EPOCHD_*, WATCHDOG_* and "
	  "NOTIFY_SOCKET are set by epochd, not \"WATCHDOG_USEC=1\"\n" },
	{ APP("environment = { \"A=b\", \"AB=c\", \"A=d\" }"),
	  "t:3: application \"kv\": environment: expected each name once, not \"A=d\"\n" },
	{ APP("clear-environment = perhaps"),
	  "t:3: application \"kv\": clear-environment: expected true or false, not \"perhaps\"\n" },
	{ APP("user = \"no such user\""),
	  "t:3: application \"kv\": user: expected the name of a user of this system, not "
	  "\"no such user\"\n" },
	{ APP("group = \"no such group\""),
	  "t:3: application \"kv\": group: expected the name of a group of this system, not "
	  "\"no such group\"\n" },
	{ APP("groups = { \"no such group\" }"),
	  "t:3: application \"kv\": groups: expected the name of a group of this system, not "
	  "\"no such group\"\n" },
	{ APP("umask = 1000"), "t:3: application \"kv\": umask: expected an octal number from 0 to "
			       "0777, such as 022, not \"1000\"\n" },
	{ APP("umask = 8"), "t:3: application \"kv\": umask: expected an octal number from 0 to "
			    "0777, such as 022, not \"8\"\n" },
	{ APP("no-new-privileges = 2"),
	  "t:3: application \"kv\": no-new-privileges: expected true or false, not \"2\"\n" },
	{ APP("limits { nofile = lots }"),
	  "t:3: application \"kv\": limits nofile: expected a number, a size or unlimited, or two of "
	  "them as SOFT:HARD, not \"lots\"\n" },
	{ APP("limits { core = \"unlimited:1\" }"),
	  "t:3: application \"kv\": limits core: expected a soft limit that is not above the hard "
	  "one, not \"unlimited:1\"\n" },
	{ APP("limits { nofile = 2:1 cpu = :1 stack = \"1:\" }"),
	  "t:3: application \"kv\": limits nofile: expected a soft limit that is not above the hard "
	  "one, not \"2:1\"\n"
	  "t:3: application \"kv\": limits cpu: expected a number, a size or unlimited, or two of "
	  "them as SOFT:HARD, not \":1\"\n"
	  "t:3: application \"kv\": limits stack: expected a number, a size or unlimited, or two of "
	  "them as SOFT:HARD, not \"1:\"\n" },
	{ APP("output { file = \"kv.log\" }"), "t:3: application \"kv\": output file: expected the "
					      "absolute path of a file, not \"kv.log\"\n" },
	{ APP("output { file = \"/var/log/\" }"), "t:3: application \"kv\": output file: expected "
						  "the absolute path of a file, not \"/var/log/\"\n" },
	{ APP("output { file = \"/a\" max-size = big keep = 0 }"),
	  "t:3: application \"kv\": output max-size: expected a size such as 500K, 10M or 1G, not "
	  "\"big\"\n"
	  "t:3: application \"kv\": output keep: expected a number from 1 to 1000000000, not "
	  "\"0\"\n" },
	{ APP("output { max-size = 1M\nkeep = 3 }"),
	  "t:3: application \"kv\": output max-size: means nothing without a file\n"
	  "t:4: application \"kv\": output keep: means nothing without a file\n" },
	{ APP("output { file = \"/a\" }") "application b {\ncommand = b output { file = \"/a\" } }",
	  "t:5: application \"b\": output file: expected a file of its own, not that of \"kv\"\n" },

	/* Policies. */
	{ APP("restart = sometimes"), "t:3: application \"kv\": restart: expected always, "
				      "on-failure or never, not \"sometimes\"\n" },
	{ APP("readiness = soon"),
	  "t:3: application \"kv\": readiness: expected none, notify or attach, not \"soon\"\n" },
	{ APP("start-timeout = 10"), "t:3: application \"kv\": start-timeout: expected a time with "
				     "its unit (us, ms, s, m, h or d), such as 10s, not \"10\"\n" },
	{ APP("stop-timeout = \"ten\""), "t:3: application \"kv\": stop-timeout: expected a time "
					 "such as 250ms or 10s, not \"ten\"\n" },
	{ APP("watchdog = -1s"), "t:3: application \"kv\": watchdog: expected a time such as 250ms "
				 "or 10s, not \"-1s\"\n" },
	{ APP("stop-signal = SIGSTOPP"), "t:3: application \"kv\": stop-signal: expected a signal "
					 "such as SIGTERM, not \"SIGSTOPP\"\n" },
	{ APP("backoff { initial = 1 factor = 0.5 max = x jitter = 2 reset-after = \"\" }"),
	  "t:3: application \"kv\": backoff initial: expected a time with its unit (us, ms, s, m, h "
	  "or d), such as 10s, not \"1\"\n"
	  "t:3: application \"kv\": backoff factor: expected a number from 1 to 1000, such as 2.0, "
	  "not \"0.5\"\n"
	  "t:3: application \"kv\": backoff max: expected a time such as 250ms or 10s, not \"x\"\n"
	  "t:3: application \"kv\": backoff jitter: expected a number from 0 to 1, such as 0.1, not "
	  "\"2\"\n"
	  "t:3: application \"kv\": backoff reset-after: expected a time such as 250ms or 10s, not "
	  "\"\"\n" },
	{ APP("backoff { factor = nan jitter = -0.1 }"),
	  "t:3: application \"kv\": backoff factor: expected a number from 1 to 1000, such as 2.0, "
	  "not \"nan\"\n"
	  "t:3: application \"kv\": backoff jitter: expected a number from 0 to 1, such as 0.1, not "
	  "\"-0.1\"\n" },
	{ APP("backoff { initial = 2s\nmax = 1s }"),
	  "t:4: application \"kv\": backoff max: expected no less than initial\n" },
	{ APP("backoff { initial = 1m }"), "t:3: application \"kv\": backoff initial: expected no "
					   "more than max, which is 30s unless given\n" },
	{ APP("intensity { restarts = -1 within = soon }"),
	  "t:3: application \"kv\": intensity restarts: expected a number from 0 to 1000000000, not "
	  "\"-1\"\n"
	  "t:3: application \"kv\": intensity within: expected a time such as 250ms or 10s, not "
	  "\"soon\"\n" },
	{ APP("health { command = { } }"), "t:3: application \"kv\": health command: expected a "
					   "program and its arguments, not an empty list\n" },
	{ APP("health { command = { x } interval = 0 timeout = 0s failures = 0 after = 5 }"),
	  "t:3: application \"kv\": health interval: expected a time above 0, such as 10s, not "
	  "\"0\"\n"
	  "t:3: application \"kv\": health timeout: expected a time above 0, such as 10s, not "
	  "\"0s\"\n"
	  "t:3: application \"kv\": health failures: expected a number from 1 to 1000000000, not "
	  "\"0\"\n"
	  "t:3: application \"kv\": health after: expected a time with its unit (us, ms, s, m, h or "
	  "d), such as 10s, not \"5\"\n" },
	{ APP("health { interval = 1s timeout = 1s\nfailures = 2 after = 1s }"),
	  "t:3: application \"kv\": health interval: means nothing without a command\n"
	  "t:3: application \"kv\": health timeout: means nothing without a command\n"
	  "t:4: application \"kv\": health failures: means nothing without a command\n"
	  "t:4: application \"kv\": health after: means nothing without a command\n" },

	/* What applications say of each other. */
	{ APP("after = { \"kv2\" }"),
	  "t:3: application \"kv\": after: expected an application, not \"kv2\"\n" },
	{ APP("after = { \"a b\" }"),
	  "t:3: application \"kv\": after: expected the name of an application, not \"a b\"\n" },
	{ APP("group-of = \"storage\""),
	  "t:3: application \"kv\": group-of: expected a group, not \"storage\"\n" },
	{ APP("group-of = \"-\""),
	  "t:3: application \"kv\": group-of: expected the name of a group, not \"-\"\n" },
	{ APP("after = { \"kv\" }"),
	  "t:3: application \"kv\": after: expected no circle, but kv -> kv\n" },
	{ "application x { command = x after = { a } }\n"
	  "application a { command = a after = { b } }\n"
	  "application b { command = b\nafter = {\nc } }\n"
	  "application c { command = c after = { d, a } }\n"
	  "application d { command = d }\n",
	  "t:6: application \"c\": after: expected no circle, but a -> b -> c -> a\n" },

	/* Several at once, in order. */
	{ "application a {\numask = 9\nrestart = no\n}\ncgroup = x\napplication b { command = b\n"
	  "after = { c }\n}",
	  "t:1: application \"a\": command: missing: expected a program and its arguments, such as "
	  "command = { \"/usr/bin/program\", \"--option\" }\n"
	  "t:2: application \"a\": umask: expected an octal number from 0 to 0777, such as 022, not "
	  "\"9\"\n"
	  "t:3: application \"a\": restart: expected always, on-failure or never, not \"no\"\n"
	  "t:5: cgroup: expected auto, off or an absolute path, not \"x\"\n"
	  "t:7: application \"b\": after: expected an application, not \"c\"\n" },
};

START_TEST(each_mistake_is_named)
{
	write_text("t", wrong[_i].text);
	expect_mistakes("t", false, wrong[_i].expected);
}
END_TEST

START_TEST(a_nul_is_no_text)
{
	write_bytes("t", "instance = a\0b", 14);
	expect_mistakes("t", false, "t: expected a text, but it has a NUL in it\n");
}
END_TEST

START_TEST(a_value_that_the_kernel_would_refuse_is_too_long)
{
	static char text[300 << 10], expected[1024], x[(128 << 10) + 1];

	memset(x, 'x', sizeof x - 1);
	sprintf(text, "application kv {\ncommand = { a, %s }\nenvironment = { \"A=%s\" } }\n", x, x);
	sprintf(expected, "t:2: application \"kv\": command: expected less than 128 KiB, not "
		"\"%.100s\"\nt:3: application \"kv\": environment: expected less than 128 KiB, not "
		"\"A=%.98s\"\n", x, x);
	write_text("t", text);
	expect_mistakes("t", false, expected);
}
END_TEST

START_TEST(files_of_conf_d_come_in_order_of_name)
{
	struct config *config;

	ck_assert_int_eq(mkdir("conf.d", 0755), 0);
	write_text("t", "application z { command = z after = { a } }\n");
	write_text("conf.d/20.conf", "application a { command = a group-of = g }\n");
	write_text("conf.d/10.conf", "group g { } application b { command = b }\n");
	write_text("conf.d/30.conf", "");
	write_text("conf.d/.hidden.conf", "}");
	write_text("conf.d/10.conf~", "}");
	config = load("t", true);
	EXPECT_LIST(config->files, "t", "conf.d/10.conf", "conf.d/20.conf", "conf.d/30.conf");
	ck_assert_uint_eq(config->app_count, 3);
	ck_assert_str_eq(config->apps[0]->name, "z");
	ck_assert_str_eq(config->apps[1]->name, "b");
	ck_assert_str_eq(config->apps[2]->name, "a");
	ck_assert_str_eq(config->apps[2]->origin, "conf.d/20.conf");
	config_free(config);

	ck_assert_int_eq(unlink("t"), 0);   /* need not be there then */
	config = load("./t", true);
	EXPECT_LIST(config->files, "./conf.d/10.conf", "./conf.d/20.conf", "./conf.d/30.conf");
	ck_assert_uint_eq(config->app_count, 2);
	config_free(config);
}
END_TEST

START_TEST(mistakes_are_named_with_their_own_file)
{
	ck_assert_int_eq(mkdir("conf.d", 0755), 0);
	write_text("t", "instance = a\ncontrol { act = { root } }\napplication kv { command = kv }\n"
			"group g { }\n");
	write_text("conf.d/1.conf", "\nrestart = never\numask = 9");
	write_text("conf.d/2.conf", "application kv {\ncommand = kv }\ninstance = b\ngroup g { }\n"
				    "control { read = { root }\nact = { root, daemon, bin } }\n"
				    "application b { command = b after = { no } }");
	expect_mistakes("t", true,
		"conf.d/1.conf:2: restart: unknown here; it belongs into the section "
		"\"application\"\n"
		"conf.d/1.conf:3: umask: unknown here; it belongs into the section "
		"\"application\"\n"
		"conf.d/2.conf:1: application \"kv\": given already in t:3\n"
		"conf.d/2.conf:3: instance: given already in t:1\n"
		"conf.d/2.conf:4: group \"g\": given already in t:4\n"
		"conf.d/2.conf:6: control act: given already in t:2\n"
		"conf.d/2.conf:7: application \"b\": after: expected an application, not \"no\"\n");
	/* A text that is not understood may hold the application: nothing is said of `after`. */
	write_text("conf.d/1.conf", "application \"no\" {");
	write_text("conf.d/2.conf", "application b { command = b after = { no } umask = 9 }");
	expect_mistakes("t", true,
		"conf.d/1.conf:1: application \"no\": not closed: expected a \"}\" before the end "
		"of the file\n"
		"conf.d/2.conf:1: application \"b\": umask: expected an octal number from 0 to "
		"0777, such as 022, not \"9\"\n");
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named)
{
	struct config *config = NULL;

	ck_assert_int_eq(config_load(&config, "none", false, note, NULL), -ENOENT);
	ck_assert_int_eq(config_load(&config, "none", true, note, NULL), -ENOENT);
	ck_assert_int_eq(config_load(&config, ".", false, note, NULL), -EISDIR);
	ck_assert_str_eq(told, "none: cannot be read: No such file or directory\n"
			       "none: cannot be read: No such file or directory\n"
			       ".: cannot be read: Is a directory\n");
	ck_assert_ptr_null(config);
}
END_TEST

/* Users. What only root may is tested by root, and refused to everybody else. */

static const char *own_user(void)
{
	const struct passwd *entry = getpwuid(geteuid());

	return entry ? entry->pw_name : NULL;
}

START_TEST(a_user_brings_its_home_and_groups)
{
	static const char form[] = "application a { command = a user = \"%s\" }";
	const struct passwd *entry = getpwuid(geteuid());
	struct config *config;
	char text[200];

	if (!entry)   /* a container may not know us */
		return;
	snprintf(text, sizeof text, form, entry->pw_name);
	config = load_text(text);
	entry = getpwuid(geteuid());
	ck_assert_str_eq(config->apps[0]->user, entry->pw_name);
	ck_assert_uint_eq(config->apps[0]->uid, entry->pw_uid);
	ck_assert_str_eq(config->apps[0]->home, entry->pw_dir);
	ck_assert_str_eq(config->apps[0]->shell, entry->pw_shell);
	ck_assert_int_eq(config->apps[0]->set_groups, geteuid() == 0);
	config_free(config);
}
END_TEST

START_TEST(root_may_name_any_user_and_group)
{
	const struct app_config *a, *b, *c, *d;
	struct config *config;
	gid_t groups[64];
	int count = 64;

	if (geteuid() != 0)
		return;
	config = load_text("application a { command = a user = daemon }\n"
			   "application b { command = b user = daemon group = sys "
			   "groups = { adm, tty } }\n"
			   "application c { command = c group = adm }\n"
			   "application d { command = d groups = { adm } }\n");
	a = config->apps[0], b = config->apps[1], c = config->apps[2], d = config->apps[3];
	getgrouplist("daemon", getpwnam("daemon")->pw_gid, groups, &count);
	ck_assert_uint_eq(a->uid, getpwnam("daemon")->pw_uid);
	ck_assert_uint_eq(a->gid, getpwnam("daemon")->pw_gid);
	ck_assert(a->set_groups);
	ck_assert_uint_eq(a->group_count, count);
	ck_assert_mem_eq(a->groups, groups, (size_t)count * sizeof *groups);
	ck_assert_uint_eq(b->gid, getgrnam("sys")->gr_gid);
	ck_assert_str_eq(b->group, "sys");
	EXPECT_LIST(b->group_names, "adm", "tty");
	ck_assert_uint_eq(b->group_count, 2);
	ck_assert_uint_eq(b->groups[0], getgrnam("adm")->gr_gid);
	ck_assert_uint_eq(b->groups[1], getgrnam("tty")->gr_gid);
	ck_assert_uint_eq(c->uid, (uid_t)-1);
	ck_assert_uint_eq(c->gid, getgrnam("adm")->gr_gid);
	ck_assert(!c->set_groups);
	ck_assert(d->set_groups);
	config_free(config);
}
END_TEST

START_TEST(only_root_may_name_another_user)
{
	write_text("t", APP("user = root\ngroup = root\ngroups = { root }"));
	if (geteuid() == 0)   /* Check forks: this is the test's own process */
		ck_assert(setegid(65534) == 0 && seteuid(65534) == 0);
	told[0] = '\0';
	ck_assert_int_eq(config_load(&(struct config *){ NULL }, "t", false, note, NULL), -EINVAL);
	if (getuid() == 0)
		ck_assert(seteuid(0) == 0 && setegid(0) == 0);
	ck_assert_str_eq(told,
		"t:3: application \"kv\": user: expected epochd's own user, as only root may start "
		"programs as another one, not \"root\"\n"
		"t:4: application \"kv\": group: expected epochd's own group, as only root may start "
		"programs in another one, not \"root\"\n"
		"t:5: application \"kv\": groups: expected no supplementary groups, as only root may "
		"set them, not \"root\"\n");
}
END_TEST

/* What a change means. */

static const struct {
	enum config_change change;
	const char *from, *to;   /* in `plain`; no `from`: added */
} changes[] = {
	{ CONFIG_SAME, "umask", "\n  umask" },                 /* only the line differs */
	{ CONFIG_SAME, "nofile = 5 core = 1", "core = 1 nofile = 5" },
	{ CONFIG_SAME, "", "restart = always" },               /* the default */
	{ CONFIG_RESPAWN, "{ a, b }", "{ a, c }" },
	{ CONFIG_RESPAWN, "{ a, b }", "{ a }" },
	{ CONFIG_RESPAWN, "{ a, b }", "{ a, b, c }" },
	{ CONFIG_RESPAWN, "'/d'", "'/e'" },
	{ CONFIG_RESPAWN, "directory = '/d'", "" },
	{ CONFIG_RESPAWN, "'A=b'", "'A=c'" },
	{ CONFIG_RESPAWN, "'A=b'", "" },
	{ CONFIG_RESPAWN, "", "clear-environment = true" },
	{ CONFIG_RESPAWN, "umask = 1", "umask = 2" },
	{ CONFIG_RESPAWN, "nofile = 5", "nofile = 6" },
	{ CONFIG_RESPAWN, "nofile = 5", "nofile = 5:6" },
	{ CONFIG_RESPAWN, "nofile = 5", "nproc = 5" },
	{ CONFIG_RESPAWN, "nofile = 5", "" },
	{ CONFIG_RESPAWN, "", "no-new-privileges = true" },
	{ CONFIG_RESPAWN, "", "readiness = notify" },
	{ CONFIG_RESPAWN, "", "readiness = attach" },
	{ CONFIG_RESPAWN, "watchdog = 1s", "watchdog = 2s" },
	{ CONFIG_RESPAWN, "watchdog = 1s", "" },
	{ CONFIG_RESPAWN, "'/o'", "'/p'" },
	{ CONFIG_LIVE, "keep = 2", "keep = 3" },
	{ CONFIG_LIVE, "keep = 2", "max-size = 1M keep = 2" },
	{ CONFIG_LIVE, "", "restart = never" },
	{ CONFIG_LIVE, "initial = 1s", "initial = 2s" },
	{ CONFIG_LIVE, "initial = 1s", "initial = 1s factor = 3" },
	{ CONFIG_LIVE, "initial = 1s", "initial = 1s max = 3s" },
	{ CONFIG_LIVE, "initial = 1s", "initial = 1s jitter = 0.5" },
	{ CONFIG_LIVE, "initial = 1s", "initial = 1s reset-after = 1s" },
	{ CONFIG_LIVE, "", "intensity { restarts = 1 }" },
	{ CONFIG_LIVE, "", "intensity { within = 1s }" },
	{ CONFIG_LIVE, "", "clients { max = 5 }" },
	{ CONFIG_LIVE, "", "clients { max-per-user = 5 }" },
	{ CONFIG_LIVE, "", "clients { large = 1M }" },
	{ CONFIG_LIVE, "", "clients { large-per-user = 1M }" },
	{ CONFIG_LIVE, "", "trace { on = true }" },
	{ CONFIG_LIVE, "", "trace { size = 1M }" },
	{ CONFIG_LIVE, "", "clients { allow = { 'uid:5' } }" },
	{ CONFIG_LIVE, "", "channel { ring = 64 }" },
	{ CONFIG_LIVE, "", "channel { buffers = { '64x256' } }" },
	{ CONFIG_LIVE, "", "channel { buffers = { '64x256', '32x2048', '8x8192' } }" },
	{ CONFIG_SAME, "", "channel { ring = 128 buffers = { '64x256', '32x2048', '8x16384' } }" },
	{ CONFIG_LIVE, "", "start-timeout = 1s" },
	{ CONFIG_LIVE, "", "stop-signal = INT" },
	{ CONFIG_LIVE, "", "stop-timeout = 1s" },
	{ CONFIG_LIVE, "{ h }", "{ i }" },
	{ CONFIG_LIVE, "health { command = { h } }", "" },
	{ CONFIG_LIVE, "{ h }", "{ h } interval = 1s" },
	{ CONFIG_LIVE, "{ h }", "{ h } timeout = 1s" },
	{ CONFIG_LIVE, "{ h }", "{ h } failures = 1" },
	{ CONFIG_LIVE, "{ h }", "{ h } after = 1s" },
	{ CONFIG_LIVE, "", "after = { other }" },
	{ CONFIG_LIVE, "group-of = g", "" },
	{ CONFIG_LIVE, "group-of = g", "group-of = h" },
};

static struct config *load_changed(const char *from, const char *to)
{
	static const char plain[] =
		"command = { a, b } directory = '/d' environment = { 'A=b' } umask = 1 "
		"limits { nofile = 5 core = 1 } watchdog = 1s output { file = '/o' keep = 2 } "
		"health { command = { h } } backoff { initial = 1s } group-of = g";
	const char *at = strstr(plain, from);
	char text[1024];

	ck_assert_ptr_nonnull(at);
	if (!*from)
		at = plain + strlen(plain);
	snprintf(text, sizeof text, "group g { } group h { } application other { command = o }\n"
		 "application kv { %.*s %s %s }", (int)(at - plain), plain, to, at + strlen(from));
	return load_text(text);
}

START_TEST(clients_and_their_channels)
{
	struct config *config = load_text("application kv { command = k clients { max = 9 max-per-user = 8\n"
					  "allow = { 'uid:7', 'gid:6', '*' } }\n"
					  "channel { ring = 4 buffers = { '2x64', '1x4096' } } }\n"
					  "application usual { command = u }");
	const struct app_config *kv = config_app(config, "kv");
	const struct app_config *usual = config_app(config, "usual");

	ck_assert_uint_eq(kv->clients.max, 9);
	ck_assert_uint_eq(kv->clients.max_per_user, 8);
	ck_assert_uint_eq(kv->clients.allow_count, 3);
	ck_assert(!kv->clients.allow[0].is_group && kv->clients.allow[0].id == 7);
	ck_assert(kv->clients.allow[1].is_group && kv->clients.allow[1].id == 6);
	ck_assert(kv->clients.allow[2].anyone);
	ck_assert_uint_eq(kv->channel.ring, 4);
	ck_assert_uint_eq(kv->channel.classes, 2);
	ck_assert_uint_eq(kv->channel.class[0].size, 64);
	ck_assert_uint_eq(kv->channel.class[0].count, 2);
	ck_assert_uint_eq(kv->channel.class[1].size, 4096);
	ck_assert_uint_eq(usual->clients.max, 4096);
	ck_assert_uint_eq(usual->clients.max_per_user, 256);
	ck_assert_uint_eq(usual->clients.allow_count, 0);
	ck_assert_int_eq(memcmp(&usual->channel, &ep_geometry_default, sizeof usual->channel), 0);
	ck_assert(!config->control.set);   /* `allow` is not about the control socket */
	config_free(config);
}
END_TEST

START_TEST(a_change_is_the_least_that_does)
{
	struct config *was = load_changed("", "");
	struct config *is = load_changed(changes[_i].from, changes[_i].to);

	ck_assert_int_eq(config_app_compare(config_app(was, "kv"), config_app(is, "kv")),
			 changes[_i].change);
	ck_assert_int_eq(config_app_compare(config_app(is, "kv"), config_app(was, "kv")),
			 changes[_i].change);
	config_free(was);
	config_free(is);
}
END_TEST

START_TEST(another_user_is_another_process)
{
	struct config *was = load_changed("", ""), *is;
	char text[100];

	if (own_user()) {
		snprintf(text, sizeof text, "user = '%s'", own_user());
		is = load_changed("", text);
		ck_assert_int_eq(config_app_compare(config_app(was, "kv"), config_app(is, "kv")),
				 CONFIG_RESPAWN);
		config_free(is);
	}
	if (geteuid() == 0) {
		struct config *more = load_changed("", "groups = { adm, tty }");

		is = load_changed("", "groups = { adm }");
		ck_assert_int_eq(config_app_compare(config_app(more, "kv"), config_app(is, "kv")),
				 CONFIG_RESPAWN);
		config_free(more);
		config_free(is);
		is = load_changed("", "group = adm");
		ck_assert_int_eq(config_app_compare(config_app(was, "kv"), config_app(is, "kv")),
				 CONFIG_RESPAWN);
		config_free(is);
	}
	config_free(was);
}
END_TEST

/* Values. */

static const struct {
	const char *text;
	int64_t ns;   /* -1: refused */
} times[] = {
	{ "0", 0 }, { "0s", 0 }, { "1us", 1000 }, { "250ms", 250 * MS }, { "10s", 10 * S },
	{ "5m", 300 * S }, { "1h", 3600 * S }, { "2d", 172800 * S }, { "1.5s", 1500 * MS },
	{ "0.25h", 900 * S }, { "0.5d", 43200 * S }, { "0.001ms", 1000 }, { "1.0000000009s", S },
	{ "36500d", 36500 * (86400 * S) }, { "007s", 7 * S },
	{ "", -1 }, { "10", -1 }, { "0.0", -1 }, { "00", -1 }, { "s", -1 }, { "-1s", -1 },
	{ "+1s", -1 }, { "1 s", -1 }, { " 1s", -1 }, { "1s ", -1 }, { "1S", -1 }, { "1sec", -1 },
	{ ".5s", -1 }, { "1.s", -1 }, { "1.5.5s", -1 }, { "1e3s", -1 }, { "1m30s", -1 },
	{ "36501d", -1 }, { "36500.1d", -1 }, { "99999999999999999999s", -1 },
	{ "18446744073709551615d", -1 }, { "ten", -1 }, { "1,5s", -1 },
};

START_TEST(times_have_units)
{
	int64_t ns = -7;

	ck_assert_int_eq(config_parse_time(times[_i].text, &ns), times[_i].ns < 0 ? -EINVAL : 0);
	if (times[_i].ns >= 0)
		ck_assert_int_eq(ns, times[_i].ns);
}
END_TEST

static const struct {
	const char *text;
	int64_t bytes;
} sizes[] = {
	{ "0", 0 }, { "1", 1 }, { "4096", 4096 }, { "10K", 10 << 10 }, { "10M", 10 << 20 },
	{ "1G", 1 << 30 }, { "8589934591G", INT64_C(8589934591) << 30 },
	{ "9223372036854775807", INT64_MAX },
	{ "", -1 }, { "K", -1 }, { "10k", -1 }, { "10KB", -1 }, { "1.5M", -1 }, { "-1", -1 },
	{ "10T", -1 }, { "8589934592G", -1 }, { "9223372036854775808", -1 }, { "0x10", -1 },
	{ "99999999999999999999", -1 }, { " 1", -1 }, { "1 K", -1 },
};

START_TEST(sizes_have_suffixes)
{
	uint64_t bytes = 7;

	ck_assert_int_eq(config_parse_size(sizes[_i].text, &bytes),
			 sizes[_i].bytes < 0 ? -EINVAL : 0);
	if (sizes[_i].bytes >= 0)
		ck_assert_uint_eq(bytes, (uint64_t)sizes[_i].bytes);
}
END_TEST

START_TEST(signals_have_names)
{
	static const char *const bad[] = { "", "SIG", "sigterm", "SIGNONE", "0", "65", "32", "-1",
					   "15x", "TERM ", "SIGRTMIN+31", "SIGSIGTERM" };
	int known = 0, parsed;

	for (int i = 1; i <= SIGRTMAX; i++) {
		const char *name = config_signal_name(i);
		char number[16];

		if (!name)
			continue;
		known++;
		snprintf(number, sizeof number, "%d", i);
		parsed = 0;
		ck_assert_int_eq(config_parse_signal(name, &parsed), 0);
		ck_assert_int_eq(parsed, i);
		parsed = 0;
		ck_assert_int_eq(config_parse_signal(name + 3, &parsed), 0);
		ck_assert_int_eq(parsed, i);
		parsed = 0;
		ck_assert_int_eq(config_parse_signal(number, &parsed), 0);
		ck_assert_int_eq(parsed, i);
	}
	ck_assert_int_eq(known, 31 + SIGRTMAX - SIGRTMIN + 1);
	ck_assert_str_eq(config_signal_name(SIGTERM), "SIGTERM");
	ck_assert_str_eq(config_signal_name(SIGRTMIN + 3), "SIGRTMIN+3");
	ck_assert_ptr_null(config_signal_name(0));
	ck_assert_ptr_null(config_signal_name(-1));
	ck_assert_ptr_null(config_signal_name(32));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(config_parse_signal(bad[i], &parsed) == -EINVAL, "%s", bad[i]);
}
END_TEST

START_TEST(addresses_are_numeric)
{
	static const char *const good[] = { "127.0.0.1:1", "0.0.0.0:65535", "[::]:9190",
					    "[fe80::1]:80", "[::ffff:127.0.0.1]:80" };
	static const char *const bad[] = { "", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0",
					   "127.0.0.1:65536", "127.0.0.1:080", "127.1:80", "::1:80",
					   "[::1]", "[::1]80", "[127.0.0.1]:80", "localhost:80",
					   "127.0.0.1:80x", "[]:80", "[:80",
					   "[1111:1111:1111:1111:1111:1111:1111:1111:1111:1111]:80" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		ck_assert_msg(config_parse_listen(good[i]) == 0, "%s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(config_parse_listen(bad[i]) == -EINVAL, "%s", bad[i]);
}
END_TEST

START_TEST(words_come_back)
{
	enum restart_policy policy;
	enum readiness readiness;
	enum strategy strategy;

	for (int i = RESTART_ALWAYS; i <= RESTART_NEVER; i++)
		ck_assert(config_parse_restart(config_restart_name((enum restart_policy)i),
					       &policy) == 0 && (int)policy == i);
	for (int i = READINESS_NONE; i <= READINESS_ATTACH; i++)
		ck_assert(config_parse_readiness(config_readiness_name((enum readiness)i),
						 &readiness) == 0 && (int)readiness == i);
	for (int i = ONE_FOR_ONE; i <= REST_FOR_ONE; i++)
		ck_assert(config_parse_strategy(config_strategy_name((enum strategy)i),
						&strategy) == 0 && (int)strategy == i);
	ck_assert_int_eq(config_parse_restart("", &policy), -EINVAL);
	ck_assert_int_eq(config_parse_readiness("Notify", &readiness), -EINVAL);
	ck_assert_int_eq(config_parse_strategy("one", &strategy), -EINVAL);
}
END_TEST

START_TEST(names_are_safe_in_paths)
{
	char longest[65];

	memset(longest, 'a', 64);
	longest[64] = '\0';
	ck_assert(!config_name_is_good(longest));
	longest[63] = '\0';
	ck_assert(config_name_is_good(longest));
	ck_assert(config_name_is_good("_A0.b-c"));
	ck_assert(config_name_is_good("0"));
	ck_assert(!config_name_is_good(""));
	ck_assert(!config_name_is_good("."));
	ck_assert(!config_name_is_good(".."));
	ck_assert(!config_name_is_good("-a"));
	ck_assert(!config_name_is_good("a/b"));
	ck_assert(!config_name_is_good("a\n"));
	ck_assert(!config_name_is_good("\xc3\xa4"));
}
END_TEST

START_TEST(every_limit_of_the_kernel_has_its_word)
{
	static const struct {
		const char *word;
		int resource;
	} words[] = {
		{ "as", RLIMIT_AS }, { "core", RLIMIT_CORE }, { "cpu", RLIMIT_CPU },
		{ "data", RLIMIT_DATA }, { "fsize", RLIMIT_FSIZE }, { "locks", RLIMIT_LOCKS },
		{ "memlock", RLIMIT_MEMLOCK }, { "msgqueue", RLIMIT_MSGQUEUE },
		{ "nice", RLIMIT_NICE }, { "nofile", RLIMIT_NOFILE }, { "nproc", RLIMIT_NPROC },
		{ "rss", RLIMIT_RSS }, { "rtprio", RLIMIT_RTPRIO }, { "rttime", RLIMIT_RTTIME },
		{ "sigpending", RLIMIT_SIGPENDING }, { "stack", RLIMIT_STACK },
	};

	ck_assert_uint_eq(ARRAY_SIZE(words), RLIM_NLIMITS);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct config *config;
		char text[100];

		snprintf(text, sizeof text, "application a { command = a limits { %s = 1K:unlimited "
			 "} }", words[i].word);
		config = load_text(text);
		ck_assert_int_eq(config->apps[0]->limits[0].resource, words[i].resource);
		ck_assert_uint_eq(config->apps[0]->limits[0].value.rlim_cur, 1024);
		ck_assert(config->apps[0]->limits[0].value.rlim_max == RLIM_INFINITY);
		config_free(config);
	}
}
END_TEST

/* What it must bear. */

START_TEST(a_thousand_applications_in_a_row)
{
	FILE *file = fopen("t", "w");
	struct config *config;

	ck_assert_ptr_nonnull(file);
	for (int i = 0; i < 1000; i++)
		fprintf(file, "application a%d { command = { '/bin/a', '%d' } }\n", i, i);
	fclose(file);
	config = load("t", false);
	ck_assert_uint_eq(config->app_count, 1000);
	for (int i = 0; i < 1000; i++) {
		char name[16];

		snprintf(name, sizeof name, "a%d", i);
		ck_assert_ptr_eq(config_app(config, name), config->apps[i]);
	}
	config_free(config);
}
END_TEST

START_TEST(a_long_chain_is_no_circle_and_a_long_circle_is_one)
{
	FILE *file = fopen("t", "w");

	ck_assert_ptr_nonnull(file);
	for (int i = 0; i < 5000; i++)
		fprintf(file, "application a%d { command = a %s%d%s }\n", i,
			i < 4999 ? "after = { a" : "umask = ", i < 4999 ? i + 1 : 0,
			i < 4999 ? " }" : "");
	fclose(file);
	config_free(load("t", false));

	file = fopen("t", "w");
	ck_assert_ptr_nonnull(file);
	for (int i = 0; i < 1000; i++)
		fprintf(file, "application a%d { command = a after = { a%d } }\n", i,
			(i + 999) % 1000);
	fclose(file);
	told[0] = '\0';
	ck_assert_int_eq(config_load(&(struct config *){ NULL }, "t", false, note, NULL), -EINVAL);
	ck_assert_ptr_nonnull(strstr(told, "after: expected no circle, but a0 -> a999 -> "));
	ck_assert_ptr_nonnull(strstr(told, " -> a1 -> a0\n"));
}
END_TEST

/* Whatever is in a file, it is good or there is a mistake that says why; the sanitizers and valgrind
 * see the rest. The seed is fixed: what fails once fails again. */

static uint32_t dice(uint32_t *state, uint32_t sides)
{
	*state = *state * 1664525 + 1013904223;
	return (*state >> 8) % sides;
}

static size_t mutate(char *text, size_t length, uint32_t *state)
{
	static const char bits[] = "{}=,\"'\\#/*$+|\n\r\t 019asx\xff\x01";

	for (uint32_t n = dice(state, 6) + 1; n > 0 && length > 2; n--) {
		size_t at = dice(state, (uint32_t)length - 1);

		switch (dice(state, 4)) {
		case 0:
			text[at] = bits[dice(state, sizeof bits - 1)];
			break;
		case 1:
			memmove(text + at, text + at + 1, --length - at);
			break;
		case 2:
			memmove(text + at + 1, text + at, length++ - at);
			text[at] = bits[dice(state, sizeof bits - 1)];
			break;
		default:
			length -= dice(state, (uint32_t)(length - at)) / 8;
			break;
		}
	}
	return length;
}

static void try_mutations(const char *original, uint32_t seed, int rounds)
{
	char text[8192];
	uint32_t state = seed;

	ck_assert_uint_lt(strlen(original), sizeof text - 16);
	for (int i = 0; i < rounds; i++) {
		struct config *config = NULL;
		size_t length = strlen(original);
		int r;

		memcpy(text, original, length + 1);
		length = mutate(text, length, &state);
		write_bytes("t", text, length);
		told[0] = '\0';
		r = config_load(&config, "t", false, note, NULL);
		ck_assert_msg(r == (told[0] ? -EINVAL : 0), "%d: %s\n%.*s", r, told, (int)length,
			      text);
		ck_assert_int_eq(config != NULL, r == 0);
		config_free(config);
	}
}

START_TEST(no_text_is_too_odd)
{
	try_mutations(example, 4711, 1000);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (*wrong[i].text)
			try_mutations(wrong[i].text, (uint32_t)i, 8);
}
END_TEST

/* What the documentation shows is good. As nobody but root may name another user, the lines that do
 * are left out by others. */

static void load_shown(FILE *shown, const char *what)
{
	FILE *file = fopen("t", "w");
	struct config *config = NULL;
	char line[500];
	int r;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof line, shown) && strcmp(line, ".Ed\n") != 0) {
		const char *text = line + strspn(line, " \t");

		if (geteuid() != 0 && (strncmp(text, "user =", 6) == 0 ||
				       strncmp(text, "group =", 7) == 0 ||
				       strncmp(text, "groups =", 8) == 0))
			continue;
		for (char *p = line; *p; p++) {   /* mdoc's backslash */
			fputc(*p, file);
			p += p[0] == '\\' && p[1] == 'e';
		}
	}
	fclose(file);
	r = config_load(&config, "t", false, note, NULL);
	ck_assert_msg(r == 0, "%s: %s", what, told);
	config_free(config);
}

START_TEST(the_examples_of_the_man_page_are_good)
{
	char path[500], line[500];
	bool examples = false;
	FILE *page;
	int shown = 0;

	if (!source)
		return;
	snprintf(path, sizeof path, "%s/contrib/man/epochd.conf.5", source);
	page = fopen(path, "r");
	ck_assert_ptr_nonnull(page);
	while (fgets(line, sizeof line, page)) {
		if (strncmp(line, ".Sh ", 4) == 0)
			examples = strcmp(line, ".Sh EXAMPLES\n") == 0;
		if (examples && strncmp(line, ".Bd -literal", 12) == 0) {
			load_shown(page, path);
			shown++;
		}
	}
	fclose(page);
	ck_assert_int_ge(shown, 3);
}
END_TEST

START_TEST(the_example_files_are_good)
{
	static const char *const names[] = { "epochd.conf", "shortest.conf" };

	for (size_t i = 0; source && i < ARRAY_SIZE(names); i++) {
		char path[500];
		FILE *file;

		snprintf(path, sizeof path, "%s/contrib/examples/%s", source, names[i]);
		file = fopen(path, "r");
		ck_assert_ptr_nonnull(file);
		load_shown(file, path);
		fclose(file);
	}
}
END_TEST

/* A word that is not in the manual does not exist; it says at least what this file knows. */
static const char *const documented[] = {
	"instance", "segment-directory", "runtime-directory", "state-directory", "cgroup", "api",
	"mode", "control", "read", "act", "http", "listen", "events", "incarnations", "keep",
	"application", "command", "directory", "environment", "clear-environment", "user", "group",
	"groups", "umask", "no-new-privileges", "limits", "restart", "backoff", "initial", "factor",
	"max", "jitter", "reset-after", "intensity", "restarts", "within", "readiness",
	"start-timeout", "stop-signal", "stop-timeout", "watchdog", "health", "interval", "timeout",
	"failures", "after", "group-of", "output", "file", "max-size", "strategy",
	"clients", "max-per-user", "allow", "channel", "ring", "buffers", "large", "large-per-user",
	"trace", "on", "size", "messages", "first", "saved", "segments",
	"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
	"nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
};

START_TEST(the_manual_has_every_word)
{
	static char page[128 << 10];
	char path[500];
	FILE *file;

	if (!source)
		return;
	snprintf(path, sizeof path, "%s/contrib/man/epochd.conf.5", source);
	file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	page[fread(page, 1, sizeof page - 1, file)] = '\0';
	fclose(file);
	for (size_t i = 0; i < ARRAY_SIZE(documented); i++) {
		char entry[64];

		snprintf(entry, sizeof entry, "\n.It Ic %s", documented[i]);
		ck_assert_msg(strstr(page, entry) != NULL, "%s", documented[i]);
	}
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, make_directory, NULL);
	tcase_add_test(tcase, the_example_of_the_design_is_read_whole);
	tcase_add_test(tcase, every_value_may_be_another_than_the_default);
	tcase_add_test(tcase, a_name_and_a_command_are_enough);
	tcase_add_test(tcase, run_needs_no_file);
	tcase_add_test(tcase, comments_and_quotes_are_as_one_expects);
	tcase_add_loop_test(tcase, each_mistake_is_named, 0, ARRAY_SIZE(wrong));
	tcase_add_test(tcase, a_nul_is_no_text);
	tcase_add_test(tcase, a_value_that_the_kernel_would_refuse_is_too_long);
	tcase_add_test(tcase, files_of_conf_d_come_in_order_of_name);
	tcase_add_test(tcase, mistakes_are_named_with_their_own_file);
	tcase_add_test(tcase, a_file_that_cannot_be_read_is_named);
	tcase_add_test(tcase, a_user_brings_its_home_and_groups);
	tcase_add_test(tcase, root_may_name_any_user_and_group);
	tcase_add_test(tcase, only_root_may_name_another_user);
	tcase_add_test(tcase, clients_and_their_channels);
	tcase_add_loop_test(tcase, a_change_is_the_least_that_does, 0, ARRAY_SIZE(changes));
	tcase_add_test(tcase, another_user_is_another_process);
	tcase_add_loop_test(tcase, times_have_units, 0, ARRAY_SIZE(times));
	tcase_add_loop_test(tcase, sizes_have_suffixes, 0, ARRAY_SIZE(sizes));
	tcase_add_test(tcase, signals_have_names);
	tcase_add_test(tcase, addresses_are_numeric);
	tcase_add_test(tcase, words_come_back);
	tcase_add_test(tcase, names_are_safe_in_paths);
	tcase_add_test(tcase, every_limit_of_the_kernel_has_its_word);
	tcase_add_test(tcase, a_thousand_applications_in_a_row);
	tcase_add_test(tcase, a_long_chain_is_no_circle_and_a_long_circle_is_one);
	tcase_add_test(tcase, no_text_is_too_odd);
	tcase_add_test(tcase, the_examples_of_the_man_page_are_good);
	tcase_add_test(tcase, the_example_files_are_good);
	tcase_add_test(tcase, the_manual_has_every_word);
}

int main(void)
{
	int status;

	if (!mkdtemp(base) || chmod(base, 0755) < 0)
		return EXIT_FAILURE;
	status = unit_run("configuration", fill);
	if (chdir("/") < 0 || nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
		return EXIT_FAILURE;
	return status;
}
