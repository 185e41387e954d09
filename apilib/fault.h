/* Steps at which a test build of the library (EP_FAULTS) asks its program whether to go on, since faults are
 * injected and not hoped for. In every other build a step is nothing at all. */
#ifndef EPOCHD_APILIB_FAULT_H
#define EPOCHD_APILIB_FAULT_H

/* Name, who passes it, and when: in its ordinary work, as it attaches, as a client joins or is gone, and
 * as a supervisor comes after another. */
#define EP_FAULT_POINTS(X) \
	X(allocate_begun, EITHER, WORK) X(allocate_done, EITHER, WORK) \
	X(free_begun, EITHER, WORK) X(free_done, EITHER, WORK) \
	X(send_begun, EITHER, WORK) X(send_filled, EITHER, WORK) X(send_marked, EITHER, WORK) \
	X(send_published, EITHER, WORK) X(send_looked, EITHER, WORK) X(send_counted, EITHER, WORK) \
	X(receive_seen, EITHER, WORK) X(receive_copied, EITHER, WORK) X(receive_taken, EITHER, WORK) \
	X(receive_looked, EITHER, WORK) X(receive_done, EITHER, WORK) \
	X(release_begun, EITHER, WORK) X(release_done, EITHER, WORK) \
	X(armed, EITHER, WORK) \
	X(trace_begun, APP, WORK) X(trace_forgot, APP, WORK) X(trace_filled, APP, WORK) \
	X(trace_published, APP, WORK) \
	X(hello_said, CLIENT, ATTACH) X(resume_said, CLIENT, RESUME) X(join_said, CLIENT, ATTACH) X(welcome_read, CLIENT, ATTACH) \
	X(view_mapped, CLIENT, ATTACH) X(channel_mapped, EITHER, ATTACH) X(linked, CLIENT, ATTACH) \
	X(attach_said, APP, ATTACH) X(table_said, APP, ATTACH) X(ready_said, APP, ATTACH) \
	X(attached, APP, ATTACH) X(resume_app_said, APP, RESUME) X(handles_said, APP, RESUME) \
	X(resumed, APP, RESUME) \
	X(joined_read, APP, JOIN) X(member_there, APP, JOIN) \
	X(gone_read, APP, GONE) X(gone_drained, APP, GONE) X(gone_counted, APP, GONE) X(drained_said, APP, GONE)

#ifdef EP_FAULTS
#define EP_FAULT_ID(name, who, when) EP_AT_##name,
enum ep_fault { EP_FAULT_POINTS(EP_FAULT_ID) EP_FAULTS_COUNT };
#undef EP_FAULT_ID
/* The program's own. */
void ep_fault_passed(enum ep_fault fault);
void ep_fault_mapped(int fd);   /* a channel, by a descriptor that is about to be closed */
#define EP_FAULT(name) ep_fault_passed(EP_AT_##name)
#define EP_FAULT_MAPPED(fd) ep_fault_mapped(fd)
#else
#define EP_FAULT(name) ((void)0)
#define EP_FAULT_MAPPED(fd) ((void)0)
#endif
#endif
