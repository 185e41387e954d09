/* Reloading the configuration: read beside the loop (files and NSS may block, I9), then put in force in
 * one go. A bad file changes nothing; of a good one only what changed is touched. */
#ifndef EPOCHD_RELOAD_H
#define EPOCHD_RELOAD_H

struct epochd;
struct reload;

int reload_new(struct reload **out, struct epochd *epochd);
void reload_free(struct reload *reload);   /* waits for one under way; NULL is fine */
/* 0: under way, or to come when the one under way is done. */
int reload_start(struct reload *reload);
#endif
