/* What can be wrong with an instance, looked at from outside: its folders, locks, database, segments and processes, and what
 * the machine would do to them. Nothing is changed, and no supervisor is needed. */
#ifndef EPOCHD_CTL_EXAMINE_H
#define EPOCHD_CTL_EXAMINE_H

#include <stdbool.h>

#include <jansson.h>

struct place {
	const char *instance;
	char runtime[4096];    /* of the instance */
	char state[4096];      /* likewise; "": not known */
	char segments[4096];   /* its directory; with the link of a supervisor that ran, else by the rules */
	/* In front of /etc, /run, /usr/lib and /var/lib: "" but for tests (EPOCHD_DOCTOR_ROOT). */
	const char *root;
	bool runs;             /* somebody listens on control.sock */
	bool is_locked;        /* somebody holds the instance's lock */
	bool has_database;
	unsigned processes;    /* of the instance, at least: as the ledger or their environment says */
	unsigned segment_count;
};

enum severity { SEVERITY_NOTE, SEVERITY_WARNING, SEVERITY_PROBLEM };

/* {"code", "severity", "text", "mend", "fixable", "fixed"}, appended to the array. mend: what a person does about it;
 * fixable: examine_fix() can. */
void finding_add(json_t *findings, enum severity severity, const char *code, bool fixable, const char *mend,
		 const char *format, ...) __attribute__((format(printf, 6, 7)));

void place_find(struct place *place, const char *instance, const char *runtime_base, const char *state_base);
void examine(struct place *place, json_t *findings);

/* Of each that is fixable; "fixed" tells. */
void examine_fix(const struct place *place, json_t *findings);
#endif
