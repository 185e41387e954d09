/* Text from outside, where it enters. */
#ifndef EPOCHD_PRINTABLE_H
#define EPOCHD_PRINTABLE_H

#include <stddef.h>

/* In place: what is not printable UTF-8 becomes a question mark; cut between characters after `most` bytes. */
void make_printable(char *text, size_t most);
#endif
