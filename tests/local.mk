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

unit_cppflags = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
unit_ldadd = libsupervisor.la libstore.la libep.la $(CHECK_LIBS)

unit_tests = \
	tests/unit/check_cgroups \
	tests/unit/check_configuration \
	tests/unit/check_control \
	tests/unit/check_events \
	tests/unit/check_fence \
	tests/unit/check_identity \
	tests/unit/check_leftovers \
	tests/unit/check_notify \
	tests/unit/check_output \
	tests/unit/check_paths \
	tests/unit/check_report \
	tests/unit/check_spawn \
	tests/unit/check_store \
	tests/unit/check_upward

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
EXTRA_DIST += %D%/unit/fake.h %D%/unit/hold_answers.py %D%/unit/unit.h

tests_unit_check_control_SOURCES = tests/unit/check_control.c tests/unit/fake_configuration.c \
	tests/unit/fake_supervisor.c
tests_unit_check_control_CPPFLAGS = $(unit_cppflags)
tests_unit_check_control_LDADD = $(unit_ldadd) $(CURL_LIBS)

tests_unit_check_events_SOURCES = tests/unit/check_events.c
tests_unit_check_events_CPPFLAGS = $(unit_cppflags)
tests_unit_check_events_LDADD = $(unit_ldadd)

tests_unit_check_configuration_SOURCES = tests/unit/check_configuration.c
tests_unit_check_configuration_CPPFLAGS = $(unit_cppflags)
tests_unit_check_configuration_LDADD = $(unit_ldadd)

tests_unit_check_fence_SOURCES = tests/unit/check_fence.c
tests_unit_check_fence_CPPFLAGS = $(unit_cppflags)
tests_unit_check_fence_LDADD = $(unit_ldadd)

tests_unit_check_spawn_SOURCES = tests/unit/check_spawn.c
tests_unit_check_spawn_CPPFLAGS = $(unit_cppflags)
tests_unit_check_spawn_LDADD = $(unit_ldadd)

tests_unit_check_cgroups_SOURCES = tests/unit/check_cgroups.c
tests_unit_check_cgroups_CPPFLAGS = $(unit_cppflags)
tests_unit_check_cgroups_LDADD = $(unit_ldadd)
tests_unit_check_identity_SOURCES = tests/unit/check_identity.c
tests_unit_check_identity_CPPFLAGS = $(unit_cppflags)
tests_unit_check_identity_LDADD = $(unit_ldadd)
tests_unit_check_leftovers_SOURCES = tests/unit/check_leftovers.c
tests_unit_check_leftovers_CPPFLAGS = $(unit_cppflags)
tests_unit_check_leftovers_LDADD = $(unit_ldadd)

# Started by the unit tests; without a sanitizer, whose handlers and threads it would show as its own.
check_PROGRAMS += tests/lib/report_self
tests_lib_report_self_SOURCES = tests/lib/report_self.c
tests_lib_report_self_CFLAGS = -std=gnu11 $(WARN_CFLAGS)
tests_lib_report_self_LDFLAGS =

tests_unit_check_notify_SOURCES = tests/unit/check_notify.c
tests_unit_check_notify_CPPFLAGS = $(unit_cppflags)
tests_unit_check_notify_LDADD = $(unit_ldadd)

tests_unit_check_output_SOURCES = tests/unit/check_output.c
tests_unit_check_output_CPPFLAGS = $(unit_cppflags)
tests_unit_check_output_LDADD = $(unit_ldadd)

tests_unit_check_upward_SOURCES = tests/unit/check_upward.c
tests_unit_check_upward_CPPFLAGS = $(unit_cppflags)
tests_unit_check_upward_LDADD = $(unit_ldadd)

tests_unit_check_paths_SOURCES = tests/unit/check_paths.c
tests_unit_check_paths_CPPFLAGS = $(unit_cppflags)
tests_unit_check_paths_LDADD = $(unit_ldadd)

# Linked with the faults of a disk, so that it needs no preloading.
tests_unit_check_store_SOURCES = tests/lib/slowsync.c tests/unit/check_store.c
tests_unit_check_store_CPPFLAGS = $(unit_cppflags)
tests_unit_check_store_LDADD = libstore.la $(CHECK_LIBS) $(SQLITE_LIBS) -ldl

# For LD_PRELOAD into the real programs; -rpath is what makes libtool build it shared.
check_LTLIBRARIES += tests/lib/slowsync.la
tests_lib_slowsync_la_SOURCES = tests/lib/slowsync.c
tests_lib_slowsync_la_CFLAGS = $(AM_CFLAGS)
tests_lib_slowsync_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
tests_lib_slowsync_la_LIBADD = -ldl

tests_unit_check_report_SOURCES = tests/unit/check_report.c tests/unit/fake_configuration.c
tests_unit_check_report_CPPFLAGS = $(unit_cppflags)
tests_unit_check_report_LDADD = $(unit_ldadd)

integration_tests = \
	tests/integration/child-stands-alone.sh \
	tests/integration/unit_verify.sh

TESTS += $(integration_tests)
EXTRA_DIST += $(integration_tests) %D%/integration/lib.sh %D%/integration/written.sh

# What the integration tests supervise.
check_PROGRAMS += tests/lib/crasher tests/lib/forker tests/lib/notifier

# Benches, built on demand and never with sanitizers: `make bench-NAME` prints JSON lines and nothing
# else on stdout. The beacon is static, so that no dynamic linker is measured.
bench_programs = tests/bench/beacon tests/bench/many tests/bench/restart
bench_cflags = -std=gnu11 -O2 $(WARN_CFLAGS)
EXTRA_PROGRAMS = $(bench_programs)
CLEANFILES += $(bench_programs)

tests_bench_beacon_SOURCES = tests/bench/beacon.c tests/bench/beacon.h
tests_bench_beacon_CFLAGS = $(bench_cflags)
tests_bench_beacon_LDFLAGS = -all-static
tests_bench_many_SOURCES = tests/bench/many.c tests/bench/bench.c tests/bench/bench.h \
	tests/bench/beacon.h
tests_bench_many_CFLAGS = $(bench_cflags)
tests_bench_many_LDFLAGS =
tests_bench_restart_SOURCES = tests/bench/restart.c tests/bench/bench.c tests/bench/bench.h \
	tests/bench/beacon.h
tests_bench_restart_CFLAGS = $(bench_cflags)
tests_bench_restart_LDFLAGS =

.PHONY: bench bench-many bench-restart
bench: bench-restart bench-many
bench-many bench-restart:
	@$(MAKE) $(AM_MAKEFLAGS) epochd$(EXEEXT) $(bench_programs) >&2
	@name='$@'; tests/bench/$${name#bench-} ./epochd$(EXEEXT) tests/bench/beacon

TESTS += %D%/headers.sh
EXTRA_DIST += %D%/headers.sh
