/* What is said on api.sock: SOCK_SEQPACKET, one fixed struct a packet, descriptors in SCM_RIGHTS. Whoever
 * receives checks version, kind and size first, and every text for its end (I6).
 *
 * A client's session outlives the epochs: it asks once for an application, and is offered each epoch of it
 * as that comes up.
 *
 *   client                     supervisor                    application
 *   HELLO ------------------->           <------------------- ATTACH, TABLE..., READY
 *          <------------------ WAIT      ------------------->  ATTACHED (registry, bell, meter)
 *          <-------- TABLE..., OFFER     (each time that an epoch serves)
 *   JOIN -------------------->           ------------------->  JOINED (channel, client's bell)
 *          <------------------ WELCOME   (registry, channel, own bell, application's bell)
 *          <------------------ FENCED    (that epoch has ended; an OFFER may follow)
 *   GOODBYE ----------------->           ------------------->  GONE
 *                                        <-------------------  DRAINED, REFUSALS, BROKEN
 *                                        ------------------->  TRACE (a file)
 *   LARGE ------------------->           <-------------------  LARGE
 *          <------------------ SLOT      ------------------->  (a memfd, to both; first to whoever receives)
 *          <------------------ PING      ------------------->
 *   PONG -------------------->           <-------------------  PONG
 *          <------------------ REFUSED   ------------------->
 *
 * and to a supervisor that came after the one with which they spoke (I10):
 *
 *   RESUME (channel) -------->           <-------------------  RESUME_APP (bell, meter), TABLE..., HANDLES...,
 *          <------------------ RESUMED   ------------------->           DRAINED..., READY
 *            or FENCED
 *
 * TABLE is the application's messages (message.h), which the supervisor hands on as it got them. */
#ifndef EPOCHD_WIRE_H
#define EPOCHD_WIRE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apilib/geometry.h"
#include "apilib/registry.h"

enum {
	EP_WIRE_VERSION = 4,
	EP_WIRE_PACKET_MAX = 32768,          /* bytes, a TABLE's; the others are their struct */
	EP_WIRE_TABLE_MAX = 1 << 20,         /* bytes of all tables of one application */
	EP_WIRE_FDS_MAX = 4,
	EP_WIRE_HANDLES_MAX = 4000,          /* in one packet */
	EP_WIRE_TEXT = 240,
};

enum ep_wire_kind {
	EP_WIRE_HELLO = 1, EP_WIRE_JOIN, EP_WIRE_GOODBYE, EP_WIRE_PONG,
	EP_WIRE_ATTACH, EP_WIRE_TABLE, EP_WIRE_READY, EP_WIRE_DRAINED, EP_WIRE_REFUSALS, EP_WIRE_BROKEN,
	EP_WIRE_WAIT, EP_WIRE_OFFER, EP_WIRE_WELCOME, EP_WIRE_FENCED, EP_WIRE_REFUSED, EP_WIRE_PING,
	EP_WIRE_ATTACHED, EP_WIRE_JOINED, EP_WIRE_GONE,
	EP_WIRE_RESUME, EP_WIRE_RESUME_APP, EP_WIRE_HANDLES, EP_WIRE_RESUMED, EP_WIRE_TRACE, EP_WIRE_LARGE, EP_WIRE_SLOT,
	EP_WIRE_KINDS
};

struct ep_wire_head {
	uint16_t version;    /* EP_WIRE_VERSION */
	uint16_t kind;
	uint32_t size;       /* of the packet, bytes */
};

/* ---- client to supervisor ---- */

struct ep_wire_hello {
	struct ep_wire_head head;
	char app[EP_NAME_SIZE];
	char name[EP_CLIENT_NAME_SIZE];   /* of the client, for people */
	uint64_t nonce;                   /* the client's own, and the same whenever it asks: what it joined before, and
					   * never heard of, is over */
};

/* What it was welcomed as by a supervisor before this one; also one whose epoch has ended, so that its channel is
 * counted. Descriptor: the channel's memfd. */
struct ep_wire_resume {
	struct ep_wire_head head;
	char app[EP_NAME_SIZE];
	char name[EP_CLIENT_NAME_SIZE];
	uint64_t nonce;
	uint64_t handle;
};

struct ep_wire_join {
	struct ep_wire_head head;
	uint32_t epoch;                   /* of the OFFER; another one by now is answered by the next */
	uint32_t reserved;
	struct ep_geometry wanted;        /* 0 lines: as offered */
};

struct ep_wire_goodbye { struct ep_wire_head head; };
struct ep_wire_pong { struct ep_wire_head head; uint64_t serial; };   /* of the PING; both sides */

/* ---- supervisor to client ---- */

/* The application does not serve yet; OFFER follows when it does. Told anew when that changes. */
struct ep_wire_wait {
	struct ep_wire_head head;
	char text[EP_WIRE_TEXT];          /* its state and reason, for people */
};

/* Answers RESUME and RESUME_APP: all is as it was. */
struct ep_wire_resumed { struct ep_wire_head head; };

struct ep_wire_offer {
	struct ep_wire_head head;
	uint32_t epoch;
	uint32_t reserved;
	struct ep_geometry geometry;      /* what a client gets that asks for nothing else */
};

/* Descriptors: the registry (read-only), the channel's memfd, the client's own bell (to read), the
 * application's bell (to write). */
enum { EP_WELCOME_REGISTRY, EP_WELCOME_CHANNEL, EP_WELCOME_BELL, EP_WELCOME_RING, EP_WELCOME_FDS };
struct ep_wire_welcome {
	struct ep_wire_head head;
	uint64_t handle;
	char instance[EP_UUID_SIZE];
};

/* The epoch of the client's handle has ended, or the client was sent away in it. */
struct ep_wire_fenced {
	struct ep_wire_head head;
	uint32_t epoch;
	int32_t error;                    /* -ESTALE; -ECONNABORTED: sent away, and text says why */
	char text[EP_WIRE_TEXT];
};

/* What was asked is refused, and the session is at its end. error: negative errno */
struct ep_wire_refused {
	struct ep_wire_head head;
	int32_t error;
	uint32_t reserved;
	char text[EP_WIRE_TEXT];          /* the reason, and what to do, for people */
};

struct ep_wire_ping { struct ep_wire_head head; uint64_t serial; };   /* both sides */

/* ---- application to supervisor ---- */

struct ep_wire_attach {
	struct ep_wire_head head;
	char app[EP_NAME_SIZE];
	char token[40];                   /* EPOCHD_TOKEN of the incarnation; "" of an `external` one */
};

/* As ATTACH, of a process that a supervisor before this one had attached. Descriptors: its bell, its meter. */
enum { EP_RESUME_APP_BELL, EP_RESUME_APP_METER, EP_RESUME_APP_FDS };
struct ep_wire_resume_app {
	struct ep_wire_head head;
	char app[EP_NAME_SIZE];
	char token[40];
	uint32_t epoch;
	uint32_t reserved;
};

/* Of the clients that it serves; any number of packets between RESUME_APP and READY. */
struct ep_wire_handles {
	struct ep_wire_head head;
	uint32_t count;
	uint32_t reserved;
	uint64_t handle[EP_WIRE_HANDLES_MAX];   /* the packet ends after `count` of them */
};
static inline size_t ep_wire_handles_size(uint32_t count)
{
	return offsetof(struct ep_wire_handles, handle) + count * sizeof(uint64_t);
}

/* Any number of them, in order, before READY: bytes follow the head. */
struct ep_wire_table { struct ep_wire_head head; };
struct ep_wire_ready { struct ep_wire_head head; };   /* serves from now on */

/* Answers GONE: what its channel still held was handled, and this was taken back. Said again to the next supervisor,
 * until the slot is given to another client: by then it is counted. */
struct ep_wire_drained {
	struct ep_wire_head head;
	uint64_t handle;
	uint64_t messages, bytes;         /* sent to the client, and never received */
	uint64_t abandoned, abandoned_bytes;   /* buffers allocated and never sent, by either side */
	uint64_t held, held_bytes;        /* buffers sent and never released */
};

/* Handles that the application refused since it attached, by verdict (registry_view.h); odometers. In the place of the good
 * ones: how often it gave back memory that was not its own, or not any more. */
struct ep_wire_refusals {
	struct ep_wire_head head;
	uint64_t count[6];
};

/* That client wrote nonsense, or asked for it: it is sent away. */
struct ep_wire_broken {
	struct ep_wire_head head;
	uint64_t handle;
	uint32_t kicked;                  /* 1: the application asked for it */
	uint32_t reserved;
	char text[EP_WIRE_TEXT];
};

/* ---- supervisor to application ---- */

/* Descriptors: the registry (read-only), the bell (to read), the meter (meter.h). */
enum { EP_ATTACHED_REGISTRY, EP_ATTACHED_BELL, EP_ATTACHED_METER, EP_ATTACHED_FDS };
struct ep_wire_attached {
	struct ep_wire_head head;
	uint32_t epoch;
	uint32_t clients_max;
	char instance[EP_UUID_SIZE];
};

/* Descriptors: the channel's memfd, the client's bell (to ring). May come again: the second one is as if it
 * had not. */
enum { EP_JOINED_CHANNEL, EP_JOINED_RING, EP_JOINED_FDS };
struct ep_wire_joined {
	struct ep_wire_head head;
	uint64_t handle;
	int32_t pid;
	uint32_t uid, gid;
	uint32_t reserved;
	char name[EP_CLIENT_NAME_SIZE];
};

/* Nothing more comes from it but what its channel holds. May come again, as JOINED. */
enum ep_gone { EP_GONE_GOODBYE = 1, EP_GONE_DEAD, EP_GONE_KICKED, EP_GONE_FENCED /* never said */ };
struct ep_wire_gone {
	struct ep_wire_head head;
	uint64_t handle;
	uint32_t why;                     /* enum ep_gone */
	uint32_t reserved;
};

/* What it receives and sends is to be written there (trace.h) from now on; or, without a descriptor, nowhere. May come again,
 * as JOINED. */
struct ep_wire_trace { struct ep_wire_head head; };

/* ---- large buffers (large.h) ---- */

/* A buffer beside the classes is asked for, to send with. */
struct ep_wire_large {
	struct ep_wire_head head;
	uint64_t handle;                  /* of the client whose channel it is for */
	uint64_t size;                    /* bytes */
};

/* Descriptor: its memfd. To whoever receives in it before whoever sends, so that no message is in one that is not known. Or
 * to whoever asked, without one: it cannot be had. */
struct ep_wire_slot {
	struct ep_wire_head head;
	uint64_t handle;
	uint32_t direction;               /* enum ep_direction */
	uint32_t index;
	uint32_t log;                     /* log2 of its size */
	int32_t error;                    /* 0; -EMSGSIZE: more than this client or its user may have, or no slot is left;
					   * -EAGAIN: not now; another one */
};

union ep_wire_packet {
	struct ep_wire_head head;
	struct ep_wire_hello hello;
	struct ep_wire_join join;
	struct ep_wire_goodbye goodbye;
	struct ep_wire_pong pong;
	struct ep_wire_attach attach;
	struct ep_wire_ready ready;
	struct ep_wire_drained drained;
	struct ep_wire_refusals refusals;
	struct ep_wire_broken broken;
	struct ep_wire_wait wait;
	struct ep_wire_offer offer;
	struct ep_wire_welcome welcome;
	struct ep_wire_fenced fenced;
	struct ep_wire_refused refused;
	struct ep_wire_ping ping;
	struct ep_wire_attached attached;
	struct ep_wire_joined joined;
	struct ep_wire_gone gone;
	struct ep_wire_resume resume;
	struct ep_wire_resume_app resume_app;
	struct ep_wire_handles handles;
	struct ep_wire_resumed resumed;
	struct ep_wire_trace trace;
	struct ep_wire_large large;
	struct ep_wire_slot slot;
	unsigned char bytes[EP_WIRE_PACKET_MAX];
};
static_assert(sizeof(union ep_wire_packet) == EP_WIRE_PACKET_MAX, "version 4");

/* One packet. head's version is filled in; kind and size are the caller's. The descriptors stay the
 * caller's. Never blocks, never raises SIGPIPE: -EAGAIN (the peer does not read), -EPIPE, -ECONNRESET,
 * -ETOOMANYREFS (as -EAGAIN: too many descriptors are under way). */
int ep_wire_send(int socket, void *packet, const int *fds, unsigned fd_count);

/* One packet into *out, its size checked against its kind (a TABLE: at least its head), texts checked for
 * their end; *fd_count descriptors into fds, close-on-exec, the caller's from now on. Never blocks. 1: there was one; 0: the peer has closed the session.
 *   -EAGAIN   nothing is there
 *   -EPROTO   no packet of this version, or with more descriptors than allowed (all are closed): the
 *             session is to be ended
 *   other     the socket's error */
int ep_wire_receive(int socket, union ep_wire_packet *out, int fds[static EP_WIRE_FDS_MAX],
		    unsigned *fd_count, unsigned fds_allowed);

/* As ep_wire_receive(), but every descriptor that came is the caller's, whatever is returned: whoever may have sent
 * anything must be closed with care. */
enum { EP_WIRE_FDS_ANY = 253 };   /* more the kernel does not let pass: SCM_MAX_FD */
int ep_wire_receive_any(int socket, union ep_wire_packet *out, int fds[static EP_WIRE_FDS_ANY], unsigned *fd_count);

/* The next packet comes with descriptors. They stay in the socket: who takes them out must close them, and that can
 * wait for as long as their sender likes. */
bool ep_wire_brings_fds(int socket);

/* A packet's struct with its head filled in: ep_wire_make(EP_WIRE_PING, sizeof ping). */
static inline struct ep_wire_head ep_wire_make(enum ep_wire_kind kind, size_t size)
{
	return (struct ep_wire_head){ EP_WIRE_VERSION, (uint16_t)kind, (uint32_t)size };
}
#endif
