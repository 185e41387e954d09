/* What was refused on api.sock and over the channels, by reason: counted for this run of the supervisor, and the first of
 * each reason logged. Handles that were refused are in the totals of their application (registry.h). */
#ifndef EPOCHD_REFUSALS_H
#define EPOCHD_REFUSALS_H

#include <stdbool.h>
#include <stdint.h>

#define REFUSALS(X) \
	X(malformed)        /* no packet of this version, or with descriptors that nobody asked for */ \
	X(out_of_turn)      /* a packet that is not its sender's to say, or not now */ \
	X(unnamed)          /* it registers with no name of an application */ \
	X(unregistered)     /* it asks, as a client, and never said hello; or connected, and said nothing */ \
	X(stray_pong)       /* it answers a ping that nobody sent it */ \
	X(unknown_client)   /* it claims to be a client, or speaks of one, that there is not */ \
	X(double_free)      /* an application gave back what was not its own, or not any more */ \
	X(broken)           /* a client wrote nonsense: an index, a buffer, a size that is not its own */
#define REFUSAL_ID(name) REFUSAL_##name,
enum refusal { REFUSALS(REFUSAL_ID) REFUSALS_COUNT };
#undef REFUSAL_ID

struct refusals {
	uint64_t count[REFUSALS_COUNT];
};

const char *refusal_name(enum refusal refusal);
/* True: it is the first of its kind, to be logged; the others are for debugging. */
bool refusals_add(struct refusals *refusals, enum refusal refusal, uint64_t more);
#endif
