#include <config.h>

#include "supervisor/refusals.h"

const char *refusal_name(enum refusal refusal)
{
#define REFUSAL_NAME(name) #name,
	static const char *const names[REFUSALS_COUNT] = { REFUSALS(REFUSAL_NAME) };
#undef REFUSAL_NAME

	return names[refusal];
}

bool refusals_add(struct refusals *refusals, enum refusal refusal, uint64_t more)
{
	bool first = refusals->count[refusal] == 0;

	refusals->count[refusal] += more;
	return first;
}
