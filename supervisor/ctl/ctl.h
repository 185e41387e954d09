/* epochctl: what its commands share. One command a process: state hangs from one struct ctl. */
#ifndef EPOCHD_CTL_CTL_H
#define EPOCHD_CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "supervisor/ctl/client.h"
#include "supervisor/ctl/table.h"

/* Documented in epochctl(1). */
enum ctl_exit {
	EXIT_GOOD = 0,
	EXIT_BAD = 1,           /* the answer is bad news: an application is fatal or held */
	EXIT_USAGE = 2,
	EXIT_NOBODY = 3,        /* no supervisor answers, or the database cannot be read */
	EXIT_REFUSED = 4,       /* by the supervisor, which said why */
	EXIT_TIMEOUT = 5,
	EXIT_TROUBLE = 6,       /* the answer could not be understood or written; memory is out */
};

struct offline;

struct ctl {
	/* as asked for */
	const char *instance, *runtime_dir, *database, *app, *timeout, *compare, *range, *size, *messages;
	double timeout_seconds;          /* 0: none was given */
	unsigned limit;                  /* 0: none was given */
	bool json, all, follow, watch, wait, keep, fix, first;

	bool terminal;                   /* stdout is one */
	struct table_style style;
	struct client *client;           /* NULL before ctl_connect() */
	char *base, *name;               /* of that supervisor: runtime directory, instance; free() */
	struct offline *offline;         /* with --db */
};

/* "epochctl: ..." on stderr, made harmless. */
void ctl_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
int ctl_no_memory(void);   /* complains; EXIT_TROUBLE */
/* Width, height and colour of stdout. */
void ctl_look_at_terminal(struct ctl *ctl);

/* The functions below return an enum ctl_exit, and have complained unless that is 0. */

int ctl_bases(struct ctl *ctl, char **runtime, char **state);
/* Finds the supervisor, or opens the database. */
int ctl_connect(struct ctl *ctl);
/* What anybody else must have answered (2xx) to be `out`; a problem is told, and with --json printed. */
int ctl_ask(struct ctl *ctl, const char *method, const char *path, double timeout,
	    struct answer *out);
/* The same of /v1/apps/APP/WHAT. */
int ctl_ask_app(struct ctl *ctl, const char *method, const char *app, const char *what, struct answer *out);
/* Bytes that are no JSON. */
int ctl_fetch_app(struct ctl *ctl, const char *app, const char *what, struct answer *out);
/* How a refusal, or a failure to ask at all, is told. subject: NULL, or before the reason. */
int ctl_refused(struct ctl *ctl, const char *subject, const struct answer *answer);
int ctl_failed(struct ctl *ctl, int r);

/* From the supervisor or from the database. */
int ctl_stats(struct ctl *ctl, struct answer *out);
/* app: of events NULL: all. limit: how many at most, over as many pages as it takes; 0: all there
 * are. newest first; "next" tells whether there are older ones. */
int ctl_incarnations(struct ctl *ctl, const char *app, unsigned limit, struct answer *out);
int ctl_events(struct ctl *ctl, const char *app, unsigned limit, struct answer *out);

/* For --json: as it came, on a terminal indented and made harmless. */
int ctl_print_json(struct ctl *ctl, const struct answer *answer);

/* Of json objects: "" or 0 where there is no such key, or it is null. */
const char *ctl_string(const json_t *object, const char *key);
double ctl_number(const json_t *object, const char *key);

/* The commands. arguments: argc of them. */
int ctl_status(struct ctl *ctl, int argc, char **argv);
int ctl_explain(struct ctl *ctl, int argc, char **argv);
int ctl_show_stats(struct ctl *ctl, int argc, char **argv);
int ctl_show_incarnations(struct ctl *ctl, int argc, char **argv);
int ctl_show_events(struct ctl *ctl, int argc, char **argv);
int ctl_verb(struct ctl *ctl, const char *verb, int argc, char **argv);
int ctl_signal(struct ctl *ctl, int argc, char **argv);
int ctl_show_clients(struct ctl *ctl, int argc, char **argv);
int ctl_show_rings(struct ctl *ctl, int argc, char **argv);
int ctl_show_handle(struct ctl *ctl, int argc, char **argv);
int ctl_kick(struct ctl *ctl, int argc, char **argv);
int ctl_call(struct ctl *ctl, int argc, char **argv);
int ctl_show_latency(struct ctl *ctl, int argc, char **argv);
int ctl_show_config(struct ctl *ctl, int argc, char **argv);
int ctl_trace(struct ctl *ctl, int argc, char **argv);
int ctl_show_messages(struct ctl *ctl, int argc, char **argv);
int ctl_doctor(struct ctl *ctl, int argc, char **argv);
int ctl_supervisor_verb(struct ctl *ctl, const char *verb);
#endif
