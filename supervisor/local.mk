# What runs in a child that shares our memory: a sanitizer or a stack protector there would write into
# the supervisor's own.
noinst_LTLIBRARIES += libchild.la
libchild_la_SOURCES = \
	%D%/spawn_child.c \
	%D%/spawn_child.h
libchild_la_CFLAGS = -std=gnu11 $(WARN_CFLAGS) -fno-common -ffreestanding -fno-builtin \
	-fno-stack-protector -fno-sanitize=all

noinst_LTLIBRARIES += libsupervisor.la
libsupervisor_la_SOURCES = \
	%D%/app.c \
	%D%/app.h \
	%D%/app_end.c \
	%D%/app_notify.c \
	%D%/app_private.h \
	%D%/app_recover.c \
	%D%/app_shm.c \
	%D%/app_start.c \
	%D%/awaited.c \
	%D%/awaited.h \
	%D%/cgroups.c \
	%D%/cgroups.h \
	%D%/clients.c \
	%D%/clients_private.h \
	%D%/clients_recover.c \
	%D%/overdue.c \
	%D%/overdue.h \
	%D%/clients.h \
	%D%/clock.h \
	%D%/closer.c \
	%D%/closer.h \
	%D%/configuration.c \
	%D%/configuration.h \
	%D%/configuration_compare.c \
	%D%/configuration_keys.c \
	%D%/configuration_load.h \
	%D%/configuration_mistakes.c \
	%D%/configuration_text.c \
	%D%/configuration_users.c \
	%D%/configuration_values.c \
	%D%/control.c \
	%D%/control.h \
	%D%/control_access.c \
	%D%/control_access.h \
	%D%/control_clients.c \
	%D%/control_config.c \
	%D%/control_connections.c \
	%D%/control_follow.c \
	%D%/control_listen.c \
	%D%/control_request.h \
	%D%/control_routes.c \
	%D%/control_trace.c \
	%D%/environment.c \
	%D%/environment.h \
	%D%/epochd.c \
	%D%/epochd.h \
	%D%/events.c \
	%D%/events.h \
	%D%/fault.c \
	%D%/fault.h \
	%D%/freep.h \
	%D%/groups.c \
	%D%/health.c \
	%D%/health.h \
	%D%/history.c \
	%D%/history.h \
	%D%/identity.c \
	%D%/identity.h \
	%D%/kernel.c \
	%D%/kernel.h \
	%D%/large.c \
	%D%/large.h \
	%D%/ledger.c \
	%D%/ledger.h \
	%D%/leftovers.c \
	%D%/leftovers.h \
	%D%/locks.c \
	%D%/locks.h \
	%D%/log.c \
	%D%/log.h \
	%D%/latency.c \
	%D%/latency.h \
	%D%/messages.c \
	%D%/messages.h \
	%D%/metrics.c \
	%D%/metrics.h \
	%D%/notify.c \
	%D%/notify.h \
	%D%/output.c \
	%D%/output.h \
	%D%/output_file.c \
	%D%/output_file.h \
	%D%/paths.c \
	%D%/paths.h \
	%D%/pidfd_info.h \
	%D%/pids.c \
	%D%/pids.h \
	%D%/policy.c \
	%D%/policy.h \
	%D%/printable.c \
	%D%/pulse.c \
	%D%/pulse.h \
	%D%/reaper.c \
	%D%/reaper.h \
	%D%/printable.h \
	%D%/problem.c \
	%D%/problem.h \
	%D%/refusals.c \
	%D%/refusals.h \
	%D%/recovery.c \
	%D%/recovery.h \
	%D%/reload.c \
	%D%/reload.h \
	%D%/report.c \
	%D%/report.h \
	%D%/report_config.c \
	%D%/run.c \
	%D%/run.h \
	%D%/service.c \
	%D%/service.h \
	%D%/session_app.c \
	%D%/session_client.c \
	%D%/session_private.h \
	%D%/session_resume.c \
	%D%/sessions.c \
	%D%/sessions.h \
	%D%/shm.c \
	%D%/shm.h \
	%D%/signals.c \
	%D%/signals.h \
	%D%/spawn.c \
	%D%/spawn.h \
	%D%/trace.c \
	%D%/trace.h \
	%D%/traces.c \
	%D%/traces.h \
	%D%/upward.c \
	%D%/upward.h
libsupervisor_la_LIBADD = libchild.la libstore.la libep.la $(JANSSON_LIBS) $(CONFUSE_LIBS) \
	$(MICROHTTPD_LIBS) $(EV_LIBS) -lpthread -lm

bin_PROGRAMS += epochd
epochd_SOURCES = %D%/main.c
epochd_LDADD = libsupervisor.la

# The same with fault points compiled in, for the tests.
check_PROGRAMS += tests/epochd-faulty
tests_epochd_faulty_SOURCES = %D%/main.c $(libsupervisor_la_SOURCES)
tests_epochd_faulty_CPPFLAGS = $(AM_CPPFLAGS) -DEPOCHD_FAULTS
tests_epochd_faulty_LDADD = $(libsupervisor_la_LIBADD)

# epochctl. What of it is pure is a library of its own, for the unit tests.
noinst_LTLIBRARIES += libctl.la
libctl_la_SOURCES = \
	%D%/ctl/call.c \
	%D%/ctl/clients.c \
	%D%/ctl/config.c \
	%D%/ctl/client.c \
	%D%/ctl/client.h \
	%D%/ctl/ctl.c \
	%D%/ctl/ctl.h \
	%D%/ctl/doctor.c \
	%D%/ctl/examine.c \
	%D%/ctl/examine.h \
	%D%/ctl/from_json.c \
	%D%/ctl/from_json.h \
	%D%/ctl/explain.c \
	%D%/ctl/explain.h \
	%D%/ctl/instance.c \
	%D%/ctl/instance.h \
	%D%/ctl/latency.c \
	%D%/ctl/messages.c \
	%D%/ctl/offline.c \
	%D%/ctl/offline.h \
	%D%/ctl/show.c \
	%D%/ctl/status.c \
	%D%/ctl/status.h \
	%D%/ctl/table.c \
	%D%/ctl/table.h \
	%D%/ctl/text.c \
	%D%/ctl/text.h \
	%D%/ctl/trace.c \
	%D%/ctl/trace.h \
	%D%/ctl/trace_file.c \
	%D%/ctl/trace_file.h \
	%D%/ctl/trace_replay.c \
	%D%/ctl/trace_show.c \
	%D%/ctl/verbs.c
libctl_la_LIBADD = $(CURL_LIBS) $(JANSSON_LIBS) -lm

bin_PROGRAMS += epochctl
epochctl_SOURCES = %D%/ctl/main.c
epochctl_LDADD = libctl.la libsupervisor.la libstore.la
