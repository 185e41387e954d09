/* Recovery at start: what the registries and the ledger of a supervisor before us say is brought
 * together with the store; what lives is adopted, what died is counted, and no process runs that nobody
 * knows of. */
#ifndef EPOCHD_RECOVERY_H
#define EPOCHD_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

struct app;
struct epochd;

struct found_at_start {
	int directory;          /* of the segments */
	bool store_lost;        /* new, or made anew */
	bool clean;             /* the last run ended clean */
	bool same_boot;
	bool ledger_fresh;      /* the ledger tells nothing */
	bool running;           /* the loop turns: the store may not be read (a reload adds one) */
	uint32_t highest;       /* epoch ever reserved in the instance, as the segments say */
};

/* Makes the applications of the configuration, and those that only the ledger knows (to end them).
 * Reads, decides, writes words; starts and ends nothing yet. Errors are logged. */
int recovery_look(struct epochd *epochd, const struct found_at_start *at_start);
/* Everything is in place: each goes on. */
void recovery_go_on(struct epochd *epochd);
/* What all registries in a directory say together. */
struct recovery_peek {
	const char *boot_id;
	uint32_t highest;        /* epoch that any of them knows to have been reserved */
	uint32_t other_layout;   /* of one that another version made in this boot; 0 */
	char name[64];
};
/* Changes nothing. -EPROTO: something there is of another version, which is logged: it must not be touched. */
int recovery_peek(struct recovery_peek *peek, int directory, const char *path);
/* Something that can not be replaced stands where an application's registry is to be: it gets another name. */
void recovery_make_way(struct epochd *epochd, const char *name);
/* Removes what a clean end leaves in the segment directory: all is durable elsewhere. */
void recovery_clean_up(int directory);
/* Takes an application out for good: it is down and not configured any more. */
void recovery_forget(struct epochd *epochd, struct app *app);
#endif
