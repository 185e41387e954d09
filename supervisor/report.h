/* The JSON views: the contract of design.md's "The answer" and epochd-api(7). They are made from
 * plain values, so that the supervisor (from memory) and epochctl --db (from a database) answer with
 * the same code. One function for one object, in the order of the contract. */
#ifndef EPOCHD_REPORT_H
#define EPOCHD_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "store/store.h"

struct app_config;
struct config;

struct report_warning {
	const char *code;    /* one word: "store_unwritable" */
	int64_t since;       /* CLOCK_REALTIME, ns */
	const char *text;
};

/* Strings are borrowed. Times are CLOCK_REALTIME, ns; 0: null. */
struct report_supervisor {
	const char *instance, *uuid, *boot_id;
	int pid;                    /* 0: none runs (null) */
	const char *version;        /* NULL: null */
	int64_t started_at;
	uint64_t runs, unclean_runs, segments_cleaned;
	const struct report_warning *warnings;
	size_t warning_count;
	const struct refusals *refusals;   /* NULL: null */
};

struct report_app {
	const char *name;
	const char *state;          /* stopped starting up stopping backoff fatal held */
	const char *reason;         /* or NULL */
	const char *status_text;    /* STATUS= of sd_notify; or NULL */
	uint32_t epoch;             /* 0: none yet */
	int pid;                    /* 0: null */
	double up_seconds;          /* < 0: null */
	int64_t retry_at;
	int64_t since;
	uint64_t last_hour, last_day;   /* restarts; UINT64_MAX: not known (null) */
	uint64_t totals[STORE_TOTALS_COUNT];
	uint64_t clients_connected, clients_lazy;
	bool has_ended;             /* the five below are of the newest incarnation that ended */
	struct store_incarnation last_exit;
};

/* New references; NULL when memory is out. */
json_t *report_time(int64_t realtime_ns);            /* "2026-11-22T20:14:02.511Z"; null for 0 */
json_t *report_app_json(const struct report_app *app);
json_t *report_stats_json(const struct report_supervisor *supervisor, json_t *apps /* stolen */);
/* trace: path of its trace; NULL: there is none. */
json_t *report_incarnation_json(const struct store_incarnation *row, const char *trace);
json_t *report_event_json(const struct store_event *event);
/* Every word of the configuration in force, for /v1/apps/NAME. Environment values are not shown (they
 * hold secrets), only the names. */
json_t *report_config_json(const struct app_config *config);
/* A string of whatever bytes; what is not UTF-8 is shown as U+FFFD. NULL becomes null. */
json_t *report_text(const char *text);

/* How every answer is written: on one line, a duration as 12.345 and not 12.345000000000001. */
#define REPORT_JSON_FLAGS (JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12))
#endif
