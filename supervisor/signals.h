/* Signals, as events of the loop: ours with a configuration, the program's with `epochd run`. */
#ifndef EPOCHD_SIGNALS_H
#define EPOCHD_SIGNALS_H

struct epochd;
struct signals;

int signals_new(struct signals **out, struct epochd *epochd);
void signals_free(struct signals *signals);   /* NULL is fine */
#endif
