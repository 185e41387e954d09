/* The configuration, as checked: every value in range, every name resolved, every default filled in.
 * (configuration.h, since config.h is autoconf's.) Reading it may block (files, NSS); using it does
 * not. A mistake is named with file, line, key and what was expected; nothing partial is returned. */
#ifndef EPOCHD_CONFIGURATION_H
#define EPOCHD_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "apilib/geometry.h"

enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };
enum gc { GC_REPORT, GC_COLLECT };
enum readiness { READINESS_NONE, READINESS_NOTIFY, READINESS_ATTACH };
enum strategy { ONE_FOR_ONE, ONE_FOR_ALL, REST_FOR_ONE };

struct limit_config {
	int resource;          /* RLIMIT_NOFILE ... */
	struct rlimit value;
};

/* Who. */
struct principal {
	bool anyone;                            /* "*" */
	bool is_group;
	uint32_t id;                            /* of the user, or of the group */
	char *text;                             /* as configured */
};

/* One application. Times are ns; 0 is off where that makes sense. Lists of strings end in NULL, and
 * an empty list is NULL. */
/* Where a value was given. Strings are of the configuration, or static. */
struct config_origin {
	const char *section, *key, *file;       /* section: "" of what stands outside of any */
	int line;
};
struct config_origins {
	struct config_origin *origin;
	size_t count;
};

struct group_choice {
	gid_t gid;                              /* (gid_t)-1: unchanged */
	char *name;
};

struct app_config {
	char *name;
	char **command;
	char *directory;                /* NULL: epochd's own */
	char **environment;             /* "KEY=value" */
	char *user;                     /* name as configured; NULL: epochd's own */
	char *group;
	char **group_names;             /* supplementary, as configured */
	uid_t uid;                      /* resolved; (uid_t)-1: unchanged */
	gid_t gid;                      /* (gid_t)-1: unchanged */
	gid_t *groups;                  /* supplementary; with a user and no `groups`: the user's own */
	size_t group_count;
	char *home;                     /* of the user; NULL */
	char *shell;                    /* of the user; NULL */
	struct limit_config *limits;    /* in order of resource */
	size_t limit_count;
	mode_t umask;
	bool clear_environment;
	bool set_groups;                /* groups are to be set, even to none */
	bool no_new_privileges;

	enum restart_policy restart;
	struct {
		int64_t initial, max, reset_after;
		double factor, jitter;          /* factor >= 1; jitter 0..1, a share of the delay */
	} backoff;
	struct {
		unsigned restarts;              /* at most, within; 0: the first crash is fatal */
		int64_t within;                 /* 0: no limit */
	} intensity;
	enum readiness readiness;
	int64_t start_timeout;                  /* 0: none */
	int stop_signal;
	int64_t stop_timeout;
	int64_t watchdog;                       /* 0: off */
	struct {
		char **command;                 /* NULL: off */
		int64_t interval, timeout, after;
		unsigned failures;
	} health;
	char **after;
	char *group_of;                         /* the group it belongs to; NULL */
	struct {
		char *file;                     /* NULL: inherited */
		uint64_t max_size;              /* bytes; 0: no rotation */
		unsigned keep;                  /* old files */
	} output;

	bool external;                          /* no command: a process of `uid` attaches by itself */
	struct {
		unsigned max, max_per_user;
		uint64_t large, large_per_user;  /* bytes of buffers beside the classes; 0: none */
		struct principal *allow;        /* beyond the application's user, epochd's own and root */
		size_t allow_count;
	} clients;
	struct ep_geometry channel;             /* what a client is offered; checked */
	int64_t gc_timeout;                     /* a buffer held for longer is overdue; 0: never */
	enum gc gc;                             /* what becomes of it then */
	struct {
		int64_t interval;               /* a client quiet for that long is pinged; 0: never */
		unsigned misses;                /* pings unanswered, then it is lazy, or dead */
		int64_t reap_lazy;              /* it is reaped after being lazy for that long; -1: never */
	} keepalive;
	struct {
		bool on, first;                 /* from the begin of each epoch; what is kept when it is full */
		uint64_t size, messages;        /* of the ring, bytes; 0: as many as fit */
		unsigned saved;                 /* files of epochs that have ended */
	} trace;
	char **shm;                             /* "/NAME" in /dev/shm, with * ? []: its own stale files; NULL */

	const char *origin;                     /* the file it stands in, owned by the config */
	int line;
	struct config_origins origins;          /* of each value that was given */
};

struct group_config {
	char *name;
	enum strategy strategy;
};

struct config {
	char *instance;                         /* "default" */
	char *segment_directory;                /* "/dev/shm" */
	char *runtime_directory;                /* NULL: not configured */
	char *state_directory;                  /* NULL: not configured */
	mode_t api_mode;                        /* 0666 */
	struct group_choice api_group;
	mode_t segments_mode;                   /* 0600 */
	struct group_choice segments_group;
	struct {
		gid_t gid;                      /* of control.sock; (gid_t)-1: unchanged */
		char *group;
		struct principal *read, *act;   /* who else may, beyond epochd's user and root */
		size_t read_count, act_count;
		bool set;                       /* a group or `read` is configured: 0660 or 0666 */
	} control;
	char *http_listen;                      /* "ADDR:PORT", checked; NULL: off */
	unsigned keep_events;                   /* 100000 */
	unsigned keep_incarnations;             /* 10000 */
	char *cgroup;                           /* "auto", "off" or a path */

	struct app_config **apps;               /* in the order of the files, then of the text */
	size_t app_count;
	struct group_config *groups;
	size_t group_count;
	char **files;                           /* that were read, NULL at the end */
	struct config_origins origins;          /* of each value outside of applications and groups */
};

/* Told each mistake: "FILE:LINE: application \"kv\": stop-timeout: expected a time such as 250ms or
 * 10s, not \"ten\"", without a newline. */
typedef void config_mistake_fn(const char *text, void *user);

/* Reads FILE; with `with_conf_d` also conf.d/ *.conf beside it in order of name (FILE itself may then
 * be missing). 0 and *out, owned by the caller; -EINVAL when there were mistakes (each was told, as
 * many as can be found in one go); -ENOENT and others when a file cannot be read (told as well).
 * Blocks (files, NSS). In any thread, but one at a time: libconfuse has one lexer. */
int config_load(struct config **out, const char *file, bool with_conf_d, config_mistake_fn *mistake,
		void *user);

/* A configuration of one application without a file, every default filled in, for `epochd run`; the
 * caller then changes what its options say. The name is checked as in a file. -EINVAL: bad name. */
int config_for_run(struct config **out, const char *name, char *const command[],
		   config_mistake_fn *mistake, void *user);

void config_free(struct config *config);   /* NULL is fine */

struct app_config *config_app(const struct config *config, const char *name);   /* or NULL */
const struct group_config *config_group(const struct config *config, const char *name);

/* What of an application differs. */
enum config_change {
	CONFIG_SAME,
	CONFIG_LIVE,       /* only what takes effect while it runs: policies, times, health, after */
	CONFIG_RESPAWN,    /* what a process is started with: it must be restarted */
};
enum config_change config_app_compare(const struct app_config *was, const struct app_config *is);

/* Words and values, for options of the command line, which follow the same rules. -EINVAL. */
int config_parse_time(const char *text, int64_t *ns);      /* "250ms", "10s", "5m", "1h", "0" */
int config_parse_size(const char *text, uint64_t *bytes);  /* "10M" */
int config_parse_restart(const char *text, enum restart_policy *out);
int config_parse_gc(const char *text, enum gc *out);
int config_parse_readiness(const char *text, enum readiness *out);
int config_parse_strategy(const char *text, enum strategy *out);
int config_parse_signal(const char *text, int *signal);    /* "SIGTERM", "TERM", "15" */
int config_parse_listen(const char *text);                 /* "127.0.0.1:9190", "[::1]:9190" */
bool config_name_is_good(const char *name);   /* [A-Za-z0-9_][A-Za-z0-9._-]{0,62} */
const char *config_signal_name(int signal);   /* "SIGTERM"; static; NULL if it has none */
const char *config_restart_name(enum restart_policy policy);
const char *config_gc_name(enum gc gc);
const char *config_readiness_name(enum readiness readiness);
const char *config_strategy_name(enum strategy strategy);
#endif
