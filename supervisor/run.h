/* `epochd run`: one program, no file. Signals are the program's, not ours; when it ends for good, so do
 * we, with its status. */
#ifndef EPOCHD_RUN_H
#define EPOCHD_RUN_H

#include <stdbool.h>

struct app;
struct epochd;

/* It stays down: with `epochd run` the loop ends, with its status (128 + signal). Nothing otherwise. */
void run_ended(struct app *app);
/* Hands a signal on. One that asks a program to end is an end for us too, once it has ended; SIGTERM has the
 * stop-timeout for that. */
void run_forward(struct epochd *epochd, int signal);
/* Its end is what somebody asked for, by a signal that it did not outlive by more than a stop may take, or by
 * a key on its terminal. */
bool run_was_told_to_end(const struct app *app);
/* We are in the foreground of a terminal on stdin. */
bool run_has_terminal(void);
/* Its program is gone: takes the terminal from its group, where a key would reach no one. A shell that has it
 * meanwhile, as after `bg`, keeps it. */
void run_leave_terminal(const struct app *app);
/* At SIGCHLD: when ^Z has stopped the program, the terminal is its shell's again and we are stopped too;
 * with us, it goes on. */
void run_follow_stop(struct epochd *epochd);
#endif
