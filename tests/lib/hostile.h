/* A client that does its worst, for tests/integration/hostile.sh. An act is one way to be hostile, on a session of
 * its own: hostile_channel.c has those over the shared memory and the bells, hostile_session.c those on api.sock.
 * Whatever is not as the supervisor and the application owe it ends the program (foe_expect()). */
#ifndef EPOCHD_TESTS_HOSTILE_H
#define EPOCHD_TESTS_HOSTILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "apilib/channel.h"
#include "apilib/registry_view.h"
#include "apilib/wire.h"

/* What must become of the one who acts. */
enum foe_end {
	FOE_STAYS,       /* nothing: it did no harm */
	FOE_SENT_AWAY,   /* FENCED, with a reason, and the end of the session */
	FOE_REFUSED,     /* REFUSED, with a reason, and the end */
	FOE_ENDED,       /* the end of the session, without a word */
	FOE_ANY,         /* one of these, but not sent away: who is, is counted */
	FOE_ENDS,
};

struct foe {
	int session;
	uint32_t epoch;                   /* of the OFFER */
	struct ep_geometry offered;
	uint64_t handle;                  /* 0: it has not joined */
	int fds[EP_WIRE_FDS_MAX];         /* of WELCOME; -1 */
	struct ep_channel channel;
	struct ep_view view;
	struct ep_lane out, in;           /* to the application, and from it */
	uint64_t next;                    /* lines put into `out` */
};

/* What all acts share. */
struct foe_run {
	const char *folder;                     /* of the instance */
	const _Atomic uint64_t *progress;       /* the honest client's: calls that were answered */
	pid_t application;
	uint64_t random;
	int64_t patience;                       /* ns: only stops a hang */
	uint64_t ended[FOE_ENDS];               /* acts, by how they did */
};

struct foe_act {
	const char *name;
	void (*act)(struct foe_run *run, struct foe *foe);
	enum foe_end end;
	bool joined;   /* it needs a channel; otherwise a session that has said nothing */
};
extern const struct foe_act foe_channel_acts[], foe_session_acts[];
extern const size_t foe_channel_act_count, foe_session_act_count;

uint64_t foe_random(struct foe_run *run, uint64_t below);
void foe_fill(struct foe_run *run, void *memory, size_t size);
void foe_expect(bool truth, const char *format, ...) __attribute__((format(printf, 2, 3)));

void foe_connect(struct foe_run *run, struct foe *foe);   /* and no more */
void foe_say(struct foe *foe, const void *bytes, size_t size, const int *fds, unsigned count);
/* The next packet's kind; 0: the session is at its end. */
int foe_hear(struct foe_run *run, struct foe *foe, union ep_wire_packet *packet);
void foe_hello(struct foe *foe);
void foe_await_offer(struct foe_run *run, struct foe *foe);
void foe_say_join(struct foe *foe, uint32_t epoch, const struct ep_geometry *wanted);
/* Said on stdout, for the script to compare with the log. handle: 0: none */
void foe_ended(struct foe_run *run, uint64_t handle, enum foe_end end);
/* Until the honest client has got on by some calls: it is not starved. keep: done over and over meanwhile. */
void foe_while_served(struct foe_run *run, struct foe *foe, void (*keep)(struct foe_run *, struct foe *));
#endif
