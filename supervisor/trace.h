/* The trace of an application's messages: asked for by its configuration or by hand, made here, written by the application
 * (apilib/trace.h), and saved when its epoch has ended (traces.h). A file in the instance's directory in /dev/shm, so that it
 * outlives whichever of the two is killed. The supervisor maps nothing of it (I6: it could be truncated under us). */
#ifndef EPOCHD_TRACE_STATE_H
#define EPOCHD_TRACE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct app;
struct epochd;

struct trace_options {
	uint64_t size;           /* of the ring, bytes; made a power of two */
	uint64_t messages;       /* as many are kept; 0: as fit */
	bool first;              /* what is kept when it is full: the first, and not the last */
};

enum trace_asked { TRACE_AS_CONFIGURED, TRACE_ON, TRACE_OFF };

/* In struct app. */
struct trace {
	enum trace_asked asked;          /* by hand: over the configuration, until the supervisor ends */
	struct trace_options options;    /* TRACE_ON */
	bool there;                      /* a file of the epoch that runs; also when it is off by now */
	bool untold;                     /* the application is to be told, when there is room */
};

/* From now on; from when one attaches on, if nothing is attached. What a trace of this epoch held is gone. -ENOSPC, or
 * another error: it is as it was. */
int trace_on(struct app *app, const struct trace_options *options);
int trace_off(struct app *app);   /* what there is stays, and is saved with the epoch */

/* A process of the application's attached, or came back. */
void trace_attached(struct app *app, bool is_back);
void trace_tell(struct app *app);             /* what is untold, if there is room */
void trace_epoch_ended(struct app *app);      /* cheap: saving is done beside the loop */
/* What supervisors before us left: of each application, and of those that are no more. Before anything is started. */
void trace_recover(struct epochd *epochd);

json_t *trace_json(const struct app *app);
int trace_open(const struct app *app);        /* for reading; the caller's. -ENOENT: there is none */
#endif
