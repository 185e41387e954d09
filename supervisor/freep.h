/* For CLEANUP: frees allocated text where its scope ends; NULL is none. */
#ifndef EPOCHD_FREEP_H
#define EPOCHD_FREEP_H

#include <stdlib.h>

static inline void freep(char **text)
{
	free(*text);
}
#endif
