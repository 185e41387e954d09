/* Static tracepoints of the provider `epochd`, for perf, bpftrace and SystemTap: an instruction that does nothing, and a note
 * in the program that tells where it is and where its arguments stand. See epochd(8).
 *
 *   send      id, context, size      a message was put into a ring; id: its type's number on the wire
 *   receive   id, context, size      one was taken out
 *   reply     handle, type, context, size     an application sent one to a client
 *   fence     app, epoch, state      the supervisor closed or opened an epoch (enum ep_state)
 *   reap      app, handle, why       a client's handle is good no more (enum ep_gone) */
#ifndef EPOCHD_TRACEPOINT_H
#define EPOCHD_TRACEPOINT_H

#ifdef HAVE_SYS_SDT_H
#include <sys/sdt.h>
#define EP_TRACEPOINT3(name, a, b, c) DTRACE_PROBE3(epochd, name, a, b, c)
#define EP_TRACEPOINT4(name, a, b, c, d) DTRACE_PROBE4(epochd, name, a, b, c, d)
#else
#define EP_TRACEPOINT3(name, a, b, c) ((void)0)
#define EP_TRACEPOINT4(name, a, b, c, d) ((void)0)
#endif
#endif
