/* The module alpha of tests/lib/modular.c: for it, and for who calls it. */
#ifndef EPOCHD_TESTS_ALPHA_H
#define EPOCHD_TESTS_ALPHA_H

#include "apilib/epochd.h"

#define ADD(FIELD, ARRAY) ARRAY(u32, terms, 4)
#define SUM(FIELD, ARRAY) FIELD(u64, sum)
#define ADD_LIST(MESSAGE) \
	MESSAGE(add, "alpha.add", ADD, EPOCHD_CALLABLE) \
	MESSAGE(sum, "alpha.sum", SUM, 0)
EPOCHD_MESSAGES(alpha, ADD_LIST)
#endif
