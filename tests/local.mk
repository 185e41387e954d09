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
	tests/unit/check_fence

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
EXTRA_DIST += %D%/unit/unit.h

tests_unit_check_fence_SOURCES = tests/unit/check_fence.c
tests_unit_check_fence_CPPFLAGS = $(unit_cppflags)
tests_unit_check_fence_LDADD = $(unit_ldadd)

integration_tests =

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
