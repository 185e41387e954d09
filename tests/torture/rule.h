/* The supervisor, where the torture kills that too: started again with what it left, sometimes to be killed again at a step
 * of its own. */
#ifndef EPOCHD_TESTS_RULE_H
#define EPOCHD_TESTS_RULE_H

#include <stdbool.h>
#include <sys/types.h>

/* argv: of the supervisor. fault: EPOCHD_FAULT of it, or NULL. */
pid_t rule_start(char *const argv[], const char *fault);
void rule_kill(pid_t pid);   /* SIGKILL, and reaped */
bool rule_is_over(pid_t pid);   /* it ended, and is reaped */
/* "NAME:COUNT", one of those that the program lists; static. */
const char *rule_any_fault(char *const argv[], unsigned number, unsigned count);
#endif
