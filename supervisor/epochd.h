/* The supervisor's one object, made in main(); all state hangs from it. */
#ifndef EPOCHD_EPOCHD_H
#define EPOCHD_EPOCHD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>

#include "store/store.h"
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
struct reload;
struct spawner;
struct upward;

enum { WARNINGS_MAX = 16 };

struct epochd {
	struct ev_loop *loop;
	struct config *config;          /* in force */
	char *config_file;              /* NULL: `epochd run` */
	bool config_conf_d;             /* conf.d beside it is read as well */

	char *segment_dir;              /* .../epochd-<uid>-<instance> */
	char *runtime_dir;              /* of the instance: control.sock, api.sock */
	char *state_dir;                /* of the instance: epochd.db */
	char boot_id[40];
	char uuid[40];
	int64_t started_at;             /* CLOCK_REALTIME, ns */
	uint64_t runs, unclean_runs, segments_cleaned;

	struct kernel *kernel;          /* what this kernel can do */
	struct locks *locks;
	struct store *store;
	struct ledger *ledger;
	struct cgroups *cgroups;
	struct spawner *spawner;
	struct events *events;
	struct outputs *outputs;
	struct control *control;        /* NULL before it is bound */
	struct upward *upward;          /* whom we notify; NULL: nobody */

	struct app **apps;              /* in the order of the configuration */
	size_t app_count;

	struct report_warning warnings[WARNINGS_MAX];
	size_t warning_count;

	bool shutting_down;
	bool run_mode;                  /* `epochd run` */
	int exit_status;
};

struct app *epochd_app(const struct epochd *epochd, const char *name);   /* or NULL */

/* What an operator should know, in stats until it is taken back. code is static; text is copied.
 * The same code again replaces the text and keeps `since`. */
void epochd_warn(struct epochd *epochd, const char *code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void epochd_unwarn(struct epochd *epochd, const char *code);

/* SIGHUP, POST /v1/reload. 0: under way (parsing is done beside the loop; control_reloaded() tells the
 * outcome); -EBUSY: one is under way; -ENOTSUP: `epochd run` has no file. The event's number. */
int epochd_reload(struct epochd *epochd, uint64_t *event);
/* SIGTERM, POST /v1/shutdown. A second one hurries: SIGKILL to what still runs. */
void epochd_shutdown(struct epochd *epochd, uint64_t *event);
#endif
