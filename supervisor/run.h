/* `epochd run`: one program, no file. Signals are the program's, not ours; when it ends for good, so do
 * we, with its status. */
#ifndef EPOCHD_RUN_H
#define EPOCHD_RUN_H

#include <stdbool.h>

struct app;
struct epochd;

/* It stays down: with `epochd run` the loop ends, with its status (128 + signal). Nothing otherwise. */
void run_ended(struct app *app);
/* Hands a signal on. One that asks a program to end is an end for us too, once it has ended. */
void run_forward(struct epochd *epochd, int signal);
/* We are in the foreground of a terminal on stdin. */
bool run_has_terminal(void);
/* Takes the terminal back from the program's group. */
void run_leave_terminal(void);
/* At SIGCHLD: when ^Z has stopped the program, the terminal is its shell's again and we are stopped too;
 * with us, it goes on. */
void run_follow_stop(struct epochd *epochd);
#endif
