/* Stand-ins for the parts that control talks to: applications, the supervisor and the store, as plain
 * values that a test sets and looks at. */
#ifndef EPOCHD_TESTS_FAKE_H
#define EPOCHD_TESTS_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"
#include "supervisor/app.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/report.h"

struct app {
	enum app_state state;
	bool busy;                   /* not settled */
	struct app_config config;
	struct report_app report;    /* state is filled in */
	int ask_result;              /* of app_ask() */
	const char *why;
	int asked;                   /* how often */
	enum app_verb verb;          /* last asked for */
	int signal;
};

/* What the store was asked last and what it answers. */
struct fake_store {
	struct store_health health;
	uint64_t events;                       /* that were handed over */
	int read_result;                       /* of the call; 0: the read waits */
	void *reader;                          /* of the read that waits; NULL: none */
	store_incarnations_fn *on_incarnations;
	store_events_fn *on_events;
	char app[64];                          /* "" for NULL */
	uint64_t before;
	unsigned limit;
	unsigned cancelled;                    /* reads */
};

struct fake {
	struct epochd epochd;                  /* its store is &store */
	struct config config;
	struct fake_store store;
	struct app app[4];
	struct app *apps[4];
	int reload_result, keep_result;
	unsigned reloads, shutdowns;
};

/* Two applications, "kv" and "db", up in epochs 6 and 1; loop: the caller's. */
void fake_init(struct fake *fake, struct ev_loop *loop);
void fake_deinit(struct fake *fake);
#endif
