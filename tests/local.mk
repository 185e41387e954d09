# Unit tests are programs with Check, one a module; integration tests are scripts. Each is one line in
# `make check`, and all of them run side by side.
TEST_EXTENSIONS = .sh
SH_LOG_COMPILER = $(BASH_PROG)
AM_TESTS_ENVIRONMENT = \
	EPOCHD_BUILD='$(abs_top_builddir)'; export EPOCHD_BUILD; \
	EPOCHD_SOURCE='$(abs_top_srcdir)'; export EPOCHD_SOURCE; \
	SANITIZED='$(SAN_CFLAGS)'; export SANITIZED; \
	CC='$(CC)'; export CC; \
	HEADER_CFLAGS='$(header_cflags)'; export HEADER_CFLAGS;

header_cflags = -std=gnu11 -D_GNU_SOURCE $(WARN_CFLAGS) $(SQLITE_CFLAGS) $(JANSSON_CFLAGS) \
	$(CONFUSE_CFLAGS) $(MICROHTTPD_CFLAGS) $(CURL_CFLAGS) $(CHECK_CFLAGS)

# Of every program that does not say otherwise; its source is the file of its name.
LDADD = libsupervisor.la libstore.la libep.la $(CHECK_LIBS)

unit_tests = \
	tests/unit/check_barrier \
	tests/unit/check_cgroups \
	tests/unit/check_channel \
	tests/unit/check_configuration \
	tests/unit/check_control \
	tests/unit/check_ctl_explain \
	tests/unit/check_ctl_offline \
	tests/unit/check_ctl_text \
	tests/unit/check_doorbell \
	tests/unit/check_environment \
	tests/unit/check_events \
	tests/unit/check_fence \
	tests/unit/check_handle \
	tests/unit/check_history \
	tests/unit/check_hostile \
	tests/unit/check_identity \
	tests/unit/check_layout \
	tests/unit/check_ledger \
	tests/unit/check_leftovers \
	tests/unit/check_locks \
	tests/unit/check_log \
	tests/unit/check_message \
	tests/unit/check_meter \
	tests/unit/check_notify \
	tests/unit/check_output \
	tests/unit/check_overdue \
	tests/unit/check_paths \
	tests/unit/check_pids \
	tests/unit/check_policy \
	tests/unit/check_registry \
	tests/unit/check_registry_view \
	tests/unit/check_report \
	tests/unit/check_spawn \
	tests/unit/check_store \
	tests/unit/check_trace \
	tests/unit/check_upward \
	tests/unit/check_wire

check_PROGRAMS += $(unit_tests)
EXTRA_DIST += \
	%D%/unit/directory.h \
	%D%/unit/fake.h \
	%D%/unit/hold_answers.py \
	%D%/unit/unit.h

tests_unit_check_control_SOURCES = tests/unit/check_control.c tests/unit/fake_configuration.c \
	tests/unit/fake_supervisor.c
tests_unit_check_control_LDADD = $(LDADD) $(CURL_LIBS)
tests_unit_check_barrier_LDADD = tests/libep_faulty.la $(CHECK_LIBS) -lpthread
tests_unit_check_ctl_explain_LDADD = libctl.la $(LDADD)
tests_unit_check_ctl_offline_LDADD = libctl.la $(LDADD)
tests_unit_check_ctl_text_LDADD = libctl.la $(LDADD)
tests_unit_check_trace_LDADD = libctl.la $(LDADD)
tests_unit_check_hostile_SOURCES = tests/unit/check_hostile.c tests/fuzz/guarded.h
tests_unit_check_report_SOURCES = tests/unit/check_report.c tests/unit/fake_configuration.c
# Linked with the faults of a disk, so that it needs no preloading.
tests_unit_check_store_SOURCES = tests/lib/slowsync.c tests/unit/check_store.c
tests_unit_check_store_LDADD = libstore.la $(CHECK_LIBS) $(SQLITE_LIBS) -ldl

# For LD_PRELOAD into the real programs; -rpath is what makes libtool build it shared.
check_LTLIBRARIES += tests/lib/slowsync.la tests/lib/stepclock.la
tests_lib_stepclock_la_SOURCES = tests/lib/stepclock.c
tests_lib_stepclock_la_CFLAGS = $(AM_CFLAGS)
tests_lib_stepclock_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
tests_lib_stepclock_la_LIBADD = -ldl
tests_lib_slowsync_la_SOURCES = tests/lib/slowsync.c
tests_lib_slowsync_la_CFLAGS = $(AM_CFLAGS)
tests_lib_slowsync_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
tests_lib_slowsync_la_LIBADD = -ldl

# Started by the tests; without a sanitizer, whose handlers and threads would show as their own.
helpers = tests/lib/crasher tests/lib/forker tests/lib/notifier tests/lib/report_self
check_PROGRAMS += $(helpers)
helper_cflags = -std=gnu11 $(WARN_CFLAGS)
tests_lib_crasher_CFLAGS = $(helper_cflags)
tests_lib_crasher_LDFLAGS =
tests_lib_crasher_LDADD =
tests_lib_forker_CFLAGS = $(helper_cflags)
tests_lib_forker_LDFLAGS =
tests_lib_forker_LDADD =
tests_lib_notifier_CFLAGS = $(helper_cflags)
tests_lib_notifier_LDFLAGS =
tests_lib_notifier_LDADD =
tests_lib_report_self_CFLAGS = $(helper_cflags)
tests_lib_report_self_LDFLAGS =
tests_lib_report_self_LDADD =

# With the library as it is installed.
check_PROGRAMS += tests/lib/api_client tests/lib/api_server
tests_lib_api_client_SOURCES = tests/lib/api_client.c tests/lib/api_messages.h
tests_lib_api_client_LDADD = libepochd.la
tests_lib_api_server_SOURCES = tests/lib/api_server.c tests/lib/api_messages.h
tests_lib_api_server_LDADD = libepochd.la -lpthread

# Killed at every step of a library that asks at each of them; with the real one, who drives that.
check_LTLIBRARIES += tests/libep_faulty.la
tests_libep_faulty_la_SOURCES = $(libep_la_SOURCES)
tests_libep_faulty_la_CPPFLAGS = $(AM_CPPFLAGS) -DEP_FAULTS
check_PROGRAMS += tests/torture/drive tests/torture/observer tests/torture/peer
tests_torture_observer_SOURCES = tests/torture/observer.c
tests_torture_observer_LDADD = libep.la $(SQLITE_LIBS)
tests_torture_drive_SOURCES = tests/torture/drive.c tests/torture/rule.c tests/torture/rule.h tests/torture/truth.c tests/torture/truth.h \
	tests/torture/torture.h
tests_torture_drive_LDADD = libep.la
tests_torture_peer_SOURCES = tests/torture/peer.c tests/torture/torture.h
tests_torture_peer_LDADD = tests/libep_faulty.la -lpthread

# The one that hostile.sh lets loose knows the library's inside; the other one does not.
check_PROGRAMS += tests/lib/detacher tests/lib/fenced tests/lib/holder tests/lib/honest tests/lib/hostile \
	tests/lib/caller tests/lib/inside tests/lib/large tests/lib/mapper tests/lib/modular tests/lib/mutator tests/lib/orphan tests/lib/pooled_client tests/lib/pooled_server tests/lib/reuser tests/lib/refused \
	tests/lib/poster tests/lib/readable
tests_lib_poster_SOURCES = tests/lib/poster.c
tests_lib_poster_LDADD = libepochd.la -lpthread
tests_lib_readable_SOURCES = tests/lib/readable.c tests/lib/alpha.h
tests_lib_readable_LDADD = libepochd.la
tests_lib_refused_SOURCES = tests/lib/refused.c
tests_lib_refused_LDADD = libep.la
tests_lib_pooled_client_SOURCES = tests/lib/pooled_client.c tests/lib/pooled.h
tests_lib_pooled_client_LDADD = libepochd.la
tests_lib_pooled_server_SOURCES = tests/lib/pooled_server.c tests/lib/pooled.h
tests_lib_pooled_server_LDADD = libepochd.la -lpthread
tests_lib_caller_SOURCES = tests/lib/caller.c tests/lib/alpha.h
tests_lib_caller_LDADD = libepochd.la
tests_lib_inside_SOURCES = tests/lib/inside.c
tests_lib_inside_LDADD = libepochd.la
tests_lib_large_SOURCES = tests/lib/large.c
tests_lib_large_LDADD = libepochd.la
tests_lib_modular_SOURCES = tests/lib/modular.c tests/lib/alpha.h
tests_lib_modular_LDADD = libepochd.la
tests_lib_orphan_SOURCES = tests/lib/orphan.c
tests_lib_orphan_LDADD = libepochd.la
tests_lib_reuser_SOURCES = tests/lib/reuser.c
tests_lib_reuser_LDADD = libepochd.la
tests_lib_mutator_SOURCES = tests/lib/mutator.c
tests_lib_mutator_LDADD = libep.la
tests_lib_mapper_SOURCES = tests/lib/mapper.c
tests_lib_holder_SOURCES = tests/lib/holder.c tests/lib/api_messages.h
tests_lib_holder_LDADD = libepochd.la
tests_lib_detacher_SOURCES = tests/lib/detacher.c tests/lib/api_messages.h
tests_lib_detacher_LDADD = libepochd.la
tests_lib_fenced_SOURCES = tests/lib/fenced.c tests/lib/api_messages.h
tests_lib_fenced_LDADD = libepochd.la
tests_lib_honest_SOURCES = tests/lib/honest.c tests/lib/api_messages.h
tests_lib_honest_LDADD = libepochd.la
tests_lib_hostile_SOURCES = tests/lib/hostile.c tests/lib/hostile.h tests/lib/hostile_channel.c \
	tests/lib/hostile_session.c tests/lib/api_messages.h
tests_lib_hostile_LDADD = libep.la -lpthread

# What a peer may say and write, made up: the fuzz targets run over inputs of their own making here, and with
# libFuzzer for EPOCHD_TEST_SECONDS each by `make fuzz`.
fuzz_replays = tests/fuzz/replay_channel tests/fuzz/replay_wire
check_PROGRAMS += $(fuzz_replays)
tests_fuzz_replay_channel_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_channel.c tests/fuzz/bytes.h \
	tests/fuzz/guarded.h
tests_fuzz_replay_wire_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz_wire.c tests/fuzz/bytes.h

# By clang, whatever the rest was built with, and all of it instrumented; the rest of the supervisor is faked.
FUZZ_CC = clang
fuzz_flags = -std=gnu11 -g -O1 -fsanitize=fuzzer,address $(DEFS) $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
fuzz_supervisor = awaited clients clients_recover closer overdue control_access identity kernel ledger log printable \
	pulse reaper service session_app session_client session_resume sessions
fuzz_built = tests/fuzz/fuzz_channel tests/fuzz/fuzz_wire
CLEANFILES += $(fuzz_built)
.PHONY: fuzz clean-fuzz
fuzz: config.h
	@mkdir -p tests/fuzz/corpus_channel tests/fuzz/corpus_wire
	@sources=; for file in $(libep_la_SOURCES); do \
		case $$file in *.c) sources="$$sources $(srcdir)/$$file";; esac; done; \
	supervisor=; for name in $(fuzz_supervisor); do supervisor="$$supervisor $(srcdir)/supervisor/$$name.c"; done; \
	set -ex; \
	$(FUZZ_CC) $(fuzz_flags) -o tests/fuzz/fuzz_channel $(srcdir)/tests/fuzz/fuzz_channel.c $$sources -lpthread; \
	$(FUZZ_CC) $(fuzz_flags) -o tests/fuzz/fuzz_wire $(srcdir)/tests/fuzz/fuzz_wire.c $$supervisor $$sources \
		$(JANSSON_LIBS) $(EV_LIBS) -lpthread; \
	for name in channel wire; do \
		tests/fuzz/fuzz_$$name -max_total_time=$${EPOCHD_TEST_SECONDS:-60} \
			-artifact_prefix=tests/fuzz/$$name- tests/fuzz/corpus_$$name; \
	done
clean-local: clean-fuzz
clean-fuzz:
	-rm -rf tests/fuzz/corpus_channel tests/fuzz/corpus_wire

integration_tests = \
	tests/integration/adopt.sh \
	tests/integration/api.sh \
	tests/integration/call.sh \
	tests/integration/cgroup_renewed.sh \
	tests/integration/check_file.sh \
	tests/integration/child-stands-alone.sh \
	tests/integration/clients.sh \
	tests/integration/clock_stepped.sh \
	tests/integration/config.sh \
	tests/integration/confused.sh \
	tests/integration/crowded.sh \
	tests/integration/daemon.sh \
	tests/integration/detached.sh \
	tests/integration/disk_full.sh \
	tests/integration/doctor.sh \
	tests/integration/disk_read_only.sh \
	tests/integration/epochctl_completion.sh \
	tests/integration/epochctl_errors.sh \
	tests/integration/epochctl_follow.sh \
	tests/integration/epochctl_show.sh \
	tests/integration/epochctl_status.sh \
	tests/integration/epochctl_verbs.sh \
	tests/integration/examples.sh \
	tests/integration/external.sh \
	tests/integration/faults.sh \
	tests/integration/fenced.sh \
	tests/integration/forker.sh \
	tests/integration/groups.sh \
	tests/integration/group_restart.sh \
	tests/integration/health.sh \
	tests/integration/hostile.sh \
	tests/integration/inside.sh \
	tests/integration/intensity.sh \
	tests/integration/keep.sh \
	tests/integration/keepalive.sh \
	tests/integration/kept.sh \
	tests/integration/large.sh \
	tests/integration/latency.sh \
	tests/integration/lost.sh \
	tests/integration/manuals.sh \
	tests/integration/memory_api.sh \
	tests/integration/messages.sh \
	tests/integration/mutated.sh \
	tests/integration/nginx.sh \
	tests/integration/no_room.sh \
	tests/integration/nothing_grows.sh \
	tests/integration/notify.sh \
	tests/integration/output.sh \
	tests/integration/overdue.sh \
	tests/integration/pid_namespace.sh \
	tests/integration/pid_reuse.sh \
	tests/integration/policies.sh \
	tests/integration/posts.sh \
	tests/integration/postgres.sh \
	tests/integration/print.sh \
	tests/integration/random_asks.sh \
	tests/integration/readable.sh \
	tests/integration/redis.sh \
	tests/integration/refusals.sh \
	tests/integration/reload.sh \
	tests/integration/resume.sh \
	tests/integration/resume_group.sh \
	tests/integration/rings.sh \
	tests/integration/run_as_init.sh \
	tests/integration/runtime_directory.sh \
	tests/integration/run_mode.sh \
	tests/integration/schema.sh \
	tests/integration/second_instance.sh \
	tests/integration/shm.sh \
	tests/integration/shutdown.sh \
	tests/integration/shutdown_strays.sh \
	tests/integration/slow_fsync.sh \
	tests/integration/sole.sh \
	tests/integration/stderr_full.sh \
	tests/integration/stalled.sh \
	tests/integration/steps.sh \
	tests/integration/steps_of_clients.sh \
	tests/integration/steps_of_resume.sh \
	tests/integration/torture_api.sh \
	tests/integration/torture_recovery.sh \
	tests/integration/torture_recovery_6_1.sh \
	tests/integration/torture_supervisor.sh \
	tests/integration/torture_supervisor_6_1.sh \
	tests/integration/trace.sh \
	tests/integration/trace_slow_disk.sh \
	tests/integration/tracepoints.sh \
	tests/integration/unheard.sh \
	tests/integration/unit_verify.sh \
	tests/integration/users.sh \
	tests/integration/watchdog.sh \
	tests/integration/workers.sh

TESTS += $(unit_tests) $(fuzz_replays) $(integration_tests) %D%/headers.sh
EXTRA_DIST += \
	$(integration_tests) \
	%D%/headers.sh \
	%D%/integration/epochctl_lib.sh \
	%D%/integration/kv.sh \
	%D%/integration/lib.sh \
	%D%/integration/serve.sh \
	%D%/integration/traces_are_whole.sh \
	%D%/integration/written.sh \
	%D%/lib/fakeserver.py \
	%D%/lib/terminal.py

# Benches, built on demand and never with sanitizers: `make bench-NAME` prints JSON lines and nothing
# else on stdout. The beacon is static, so that no dynamic linker is measured.
bench_programs = tests/bench/beacon tests/bench/many tests/bench/restart \
	tests/bench/clean tests/bench/clients tests/bench/echo tests/bench/handle tests/bench/ipc \
	tests/bench/large tests/bench/reaper tests/bench/recovery tests/bench/workers
bench_cflags = -std=gnu11 -O2 $(WARN_CFLAGS)
EXTRA_PROGRAMS = $(bench_programs)
CLEANFILES += $(bench_programs)

tests_bench_beacon_SOURCES = tests/bench/beacon.c tests/bench/beacon.h
tests_bench_beacon_CFLAGS = $(bench_cflags)
tests_bench_beacon_LDFLAGS = -all-static
tests_bench_beacon_LDADD =
tests_bench_many_SOURCES = tests/bench/many.c tests/bench/bench.c tests/bench/bench.h \
	tests/bench/beacon.h
tests_bench_many_CFLAGS = $(bench_cflags)
tests_bench_many_LDFLAGS =
tests_bench_many_LDADD =
tests_bench_restart_SOURCES = tests/bench/restart.c tests/bench/bench.c tests/bench/bench.h \
	tests/bench/beacon.h
tests_bench_restart_CFLAGS = $(bench_cflags)
tests_bench_restart_LDFLAGS =
tests_bench_restart_LDADD =
tests_bench_echo_SOURCES = tests/bench/echo.c tests/bench/echo.h
tests_bench_echo_CFLAGS = $(bench_cflags)
tests_bench_echo_LDFLAGS =
tests_bench_echo_LDADD = libepochd.la
tests_bench_clients_SOURCES = tests/bench/clients.c tests/bench/peer.c tests/bench/peer.h tests/bench/way_epochd.c \
	tests/bench/way_lines.c tests/bench/echo_client.c tests/bench/echo_client.h tests/bench/echo.h tests/bench/bench.c tests/bench/bench.h \
	tests/bench/beacon.h
tests_bench_clients_CFLAGS = $(bench_cflags)
tests_bench_clients_LDFLAGS =
tests_bench_clients_LDADD = libepochd.la
tests_bench_clean_SOURCES = tests/bench/clean.c tests/bench/bench.c tests/bench/bench.h tests/bench/beacon.h
tests_bench_clean_CFLAGS = $(bench_cflags)
tests_bench_clean_LDFLAGS =
tests_bench_clean_LDADD =
tests_bench_reaper_SOURCES = tests/bench/reaper.c tests/bench/crowd.c tests/bench/crowd.h tests/bench/echo.h \
	tests/bench/bench.c tests/bench/bench.h tests/bench/beacon.h
tests_bench_reaper_CFLAGS = $(bench_cflags)
tests_bench_reaper_LDFLAGS =
tests_bench_reaper_LDADD = libepochd.la
tests_bench_recovery_SOURCES = tests/bench/recovery.c tests/bench/crowd.c tests/bench/crowd.h tests/bench/peer.c \
	tests/bench/peer.h tests/bench/way_epochd.c tests/bench/way_lines.c tests/bench/echo_client.c \
	tests/bench/echo_client.h tests/bench/echo.h tests/bench/bench.c tests/bench/bench.h tests/bench/beacon.h
tests_bench_recovery_CFLAGS = $(bench_cflags)
tests_bench_recovery_LDFLAGS =
tests_bench_recovery_LDADD = libepochd.la
tests_bench_large_SOURCES = tests/bench/large.c tests/bench/bench.c tests/bench/bench.h tests/bench/beacon.h
tests_bench_large_CFLAGS = $(bench_cflags)
tests_bench_large_LDFLAGS =
tests_bench_large_LDADD = libepochd.la
tests_bench_workers_SOURCES = tests/bench/workers.c tests/lib/pooled.h tests/bench/bench.c tests/bench/bench.h \
	tests/bench/beacon.h
tests_bench_workers_CFLAGS = $(bench_cflags)
tests_bench_workers_LDFLAGS =
tests_bench_workers_LDADD = libepochd.la
tests_bench_handle_SOURCES = tests/bench/handle.c tests/bench/echo_client.c tests/bench/echo_client.h \
	tests/bench/echo.h tests/bench/bench.c tests/bench/bench.h \
	tests/bench/beacon.h
tests_bench_handle_CFLAGS = $(bench_cflags)
tests_bench_handle_LDFLAGS =
tests_bench_handle_LDADD = libepochd.la
tests_bench_ipc_SOURCES = tests/bench/ipc.c tests/bench/peer.c tests/bench/peer.h tests/bench/way_epochd.c \
	tests/bench/way_kernel.c tests/bench/way_lines.c tests/bench/echo_client.c \
	tests/bench/echo_client.h tests/bench/echo.h tests/bench/bench.c \
	tests/bench/bench.h tests/bench/beacon.h
tests_bench_ipc_CFLAGS = $(bench_cflags)
tests_bench_ipc_LDFLAGS =
tests_bench_ipc_LDADD = libepochd.la

# Longer than `make check` does: `make torture EPOCHD_TEST_SECONDS=600`, of the supervisor, and of clients and
# applications. Each prints the numbers with which it began, and what it counted.
.PHONY: torture
torture:
	@$(MAKE) $(AM_MAKEFLAGS) all >&2
	@$(MAKE) $(AM_MAKEFLAGS) check TESTS='tests/integration/torture_api.sh tests/integration/torture_recovery.sh \
		tests/integration/torture_recovery_6_1.sh tests/integration/torture_supervisor.sh'
	@cat tests/integration/torture_api.log tests/integration/torture_recovery.log tests/integration/torture_recovery_6_1.log \
		tests/integration/torture_supervisor.log

.PHONY: bench bench-clean bench-clients bench-handle bench-ipc bench-large bench-many bench-reaper bench-recovery bench-restart \
	bench-workers
bench: bench-restart bench-many bench-ipc bench-large bench-handle bench-clients bench-recovery bench-reaper bench-clean \
	bench-workers
bench-clients bench-handle bench-ipc bench-reaper bench-recovery:
	@$(MAKE) $(AM_MAKEFLAGS) epochd$(EXEEXT) $(bench_programs) >&2
	@name='$@'; tests/bench/$${name#bench-} ./epochd$(EXEEXT) tests/bench/echo
bench-large:
	@$(MAKE) $(AM_MAKEFLAGS) epochd$(EXEEXT) $(bench_programs) >&2
	@tests/bench/large ./epochd$(EXEEXT) $$PWD/tests/bench/large
bench-workers:
	@$(MAKE) $(AM_MAKEFLAGS) epochd$(EXEEXT) $(bench_programs) tests/lib/pooled_server$(EXEEXT) >&2
	@tests/bench/workers ./epochd$(EXEEXT) tests/lib/pooled_server
bench-clean bench-many bench-restart:
	@$(MAKE) $(AM_MAKEFLAGS) epochd$(EXEEXT) $(bench_programs) >&2
	@name='$@'; tests/bench/$${name#bench-} ./epochd$(EXEEXT) tests/bench/beacon
