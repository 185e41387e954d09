/* The supervisor's one object, made in main(); all state hangs from it. */
#ifndef EPOCHD_EPOCHD_H
#define EPOCHD_EPOCHD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <ev.h>

#include "store/store.h"
#include "supervisor/refusals.h"
#include "supervisor/report.h"

struct app;
struct cgroups;
struct config;
struct control;
struct events;
struct kernel;
struct ledger;
struct locks;
struct outputs;
struct pids;
struct reload;
struct sessions;
struct spawner;
struct traces;
struct upward;

enum { WARNINGS_MAX = 16 };

struct epochd {
	struct ev_loop *loop;
	struct config *config;          /* in force */
	char *config_file;              /* NULL: `epochd run` */
	bool config_conf_d;             /* conf.d beside it is read as well */
	const char *instance_option;    /* the command line's, over the configuration's; NULL */

	char *segment_dir;              /* .../epochd-<uid>-<instance> */
	int segments;                   /* the same, open */
	char *runtime_dir;              /* of the instance: control.sock, api.sock */
	char *state_dir;                /* of the instance: epochd.db */
	const char *runtime_from, *state_from;   /* "command line", "environment", "default"; "": the configuration, or the default */
	char boot_id[40];
	char uuid[40];
	int64_t started_at;             /* CLOCK_REALTIME, ns */
	uint64_t runs, unclean_runs, segments_cleaned;
	char store_news[768];           /* what a start found lost or broken, to be told; "" */
	uint32_t highest_lost;          /* the store was lost: epochs up to here may be used (I2) */

	struct kernel *kernel;          /* what this kernel can do */
	struct locks *locks;
	struct store *store;
	struct ledger *ledger;
	struct cgroups *cgroups;
	struct spawner *spawner;
	struct pids *pids;              /* our children, and whose they are */
	struct events *events;
	struct traces *traces;          /* of epochs that have ended */
	struct outputs *outputs;
	struct control *control;        /* NULL before it is bound */
	struct sessions *sessions;      /* api.sock; NULL before it is bound */
	struct upward *upward;          /* whom we notify; NULL: nobody */

	struct app **apps;              /* in the order of the configuration */
	size_t app_count;
	bool had_several;               /* at any time since the start: an orphan may be anybody's */

	struct report_warning warnings[WARNINGS_MAX];
	size_t warning_count;

	struct config **retired;        /* configurations that something removed still runs under */
	size_t retired_count;

	struct refusals refusals;       /* of api.sock and the channels, in this run */
	bool no_oom_counts;             /* the memory controller is off: not asked again */
	struct rlimit nofile;           /* as it was when we were started, for our children */
	struct reload *reload;
	ev_prepare before_sleep;        /* what is done once for each turn of the loop */
	ev_check after_sleep;
	ev_async store_spoke;
	ev_timer wait_for_exec;
	bool waited_enough;
	ev_timer still_stopping;
	bool changed;                   /* upward has not been told yet */

	bool runtime_is_private;        /* below the segment directory, and made by us: see paths.h */
	bool untouched;                 /* the last run ended clean, and nothing was started since */
	bool shutting_down;
	bool kept;                      /* asked to leave, and to leave the applications */
	bool done;                      /* all is down: the loop ends */
	bool run_mode;                  /* `epochd run` */
	bool terminal;                  /* on one, in the foreground: the program's group is put there */
	int64_t told_to_end_at;         /* CLOCK_MONOTONIC, ns: INT or QUIT was forwarded; 0: never */
	int exit_status;
};

/* What the command line says; strings are borrowed until epochd_run() returns. */
struct epochd_options {
	const char *runtime_dir, *state_dir;   /* NULL: by the rules of paths.h */
	const char *instance;                  /* NULL: the configuration's */
	bool run_mode;
};

/* From the configuration to the end; the exit status. Takes the configuration over. */
int epochd_run(struct config *config, const char *file, bool conf_d,
	       const struct epochd_options *options);

struct app *epochd_app(const struct epochd *epochd, const char *name);   /* or NULL */

/* What a child closes first, so that a supervisor after us is not refused for it; -1: none. */
void epochd_lock_fds(const struct epochd *epochd, int fds[static 4]);

/* Takes over a configuration that is not in force any more: freed when no application uses it. */
void epochd_retire(struct epochd *epochd, struct config *config);

/* What an operator should know, in stats until it is taken back. code is static; text is copied.
 * The same code again replaces the text and keeps `since`. */
void epochd_warn(struct epochd *epochd, const char *code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void epochd_unwarn(struct epochd *epochd, const char *code);

/* SIGHUP, POST /v1/reload. 0: under way (parsing is done beside the loop; control_reloaded() tells the
 * outcome), or to come once more after the one that is; -ENOTSUP: `epochd run` has no file. The event's number. */
int epochd_reload(struct epochd *epochd, uint64_t *event);
/* SIGTERM, POST /v1/shutdown. A second one hurries: SIGKILL to what still runs. */
void epochd_shutdown(struct epochd *epochd, uint64_t *event);
/* SIGUSR2, POST /v1/shutdown?keep: ends us, and nothing else: the next supervisor adopts what runs. -ENOTSUP: not of
 * `epochd run`, whose program is its own; -ECANCELED: a shutdown is under way. */
int epochd_keep(struct epochd *epochd, uint64_t *event);
#endif
