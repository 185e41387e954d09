/* Fault points: named places at which a test build (EPOCHD_FAULTS) kills itself, since faults are
 * injected and not hoped for. EPOCHD_FAULT=NAME[:COUNT] arms one: SIGKILL at its COUNTth passing. In
 * every other build a point is nothing at all. */
#ifndef EPOCHD_FAULT_H
#define EPOCHD_FAULT_H

/* In the order in which a restart, then a start of the supervisor, passes them. */
#define FAULT_POINTS(X) \
	X(exit_seen) X(fence_closed) X(end_in_ledger) X(reaped) X(left_behind_killed) X(end_handed_over) \
	X(prepared) X(incarnation_in_ledger) X(redo_written) X(spawn_word_open) X(fence_starting) \
	X(total_counted) X(redo_cleared) X(cloned) X(identity_in_ledger) X(begin_handed_over) \
	X(fence_up) X(main_changed) X(client_slot_filled) X(client_redo_written) \
	X(client_counted) X(client_published) X(client_ended) X(client_reclaimed) X(committed) X(reserved) \
	X(store_opened) X(ledger_opened) X(registry_recovered) X(spawn_word_cancelled) X(adopted) \
	X(large_noted) X(large_half_said) X(trace_renamed) X(trace_saved) X(client_loaded) X(clients_loaded) X(client_resumed) X(app_resuming) X(app_resumed) X(recovered)

#ifdef EPOCHD_FAULTS
#define FAULT_ID(name) FAULT_##name,
enum fault { FAULT_POINTS(FAULT_ID) FAULTS_COUNT };
#undef FAULT_ID
void fault_point(enum fault fault);
void fault_list(void);   /* their names on stdout, one a line */
#define FAULT(name) fault_point(FAULT_##name)
#else
#define FAULT(name) ((void)0)
#endif
#endif
