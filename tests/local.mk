# Unit tests are programs with Check, one a module; integration tests are scripts. Each is one line in
# `make check`, and all of them run side by side.
TEST_EXTENSIONS = .sh
SH_LOG_COMPILER = $(BASH_PROG)
AM_TESTS_ENVIRONMENT = \
	EPOCHD_BUILD='$(abs_top_builddir)'; export EPOCHD_BUILD; \
	EPOCHD_SOURCE='$(abs_top_srcdir)'; export EPOCHD_SOURCE; \
	SANITIZED='$(SAN_CFLAGS)'; export SANITIZED;

unit_cppflags = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
unit_ldadd = libsupervisor.la libstore.la libep.la $(CHECK_LIBS)

unit_tests = \
	tests/unit/check_configuration \
	tests/unit/check_control \
	tests/unit/check_ctl_explain \
	tests/unit/check_ctl_offline \
	tests/unit/check_ctl_text \
	tests/unit/check_events \
	tests/unit/check_fence \
	tests/unit/check_paths \
	tests/unit/check_report \
	tests/unit/check_store

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
EXTRA_DIST += %D%/unit/fake.h %D%/unit/hold_answers.py %D%/unit/unit.h

tests_unit_check_control_SOURCES = tests/unit/check_control.c tests/unit/fake_configuration.c \
	tests/unit/fake_supervisor.c
tests_unit_check_control_CPPFLAGS = $(unit_cppflags)
tests_unit_check_control_LDADD = $(unit_ldadd) $(CURL_LIBS)

tests_unit_check_ctl_explain_SOURCES = tests/unit/check_ctl_explain.c
tests_unit_check_ctl_explain_CPPFLAGS = $(unit_cppflags)
tests_unit_check_ctl_explain_LDADD = libctl.la $(unit_ldadd)

tests_unit_check_ctl_offline_SOURCES = tests/unit/check_ctl_offline.c
tests_unit_check_ctl_offline_CPPFLAGS = $(unit_cppflags)
tests_unit_check_ctl_offline_LDADD = libctl.la $(unit_ldadd)

tests_unit_check_ctl_text_SOURCES = tests/unit/check_ctl_text.c
tests_unit_check_ctl_text_CPPFLAGS = $(unit_cppflags)
tests_unit_check_ctl_text_LDADD = libctl.la $(unit_ldadd)

tests_unit_check_events_SOURCES = tests/unit/check_events.c
tests_unit_check_events_CPPFLAGS = $(unit_cppflags)
tests_unit_check_events_LDADD = $(unit_ldadd)

tests_unit_check_configuration_SOURCES = tests/unit/check_configuration.c
tests_unit_check_configuration_CPPFLAGS = $(unit_cppflags)
tests_unit_check_configuration_LDADD = $(unit_ldadd)

tests_unit_check_fence_SOURCES = tests/unit/check_fence.c
tests_unit_check_fence_CPPFLAGS = $(unit_cppflags)
tests_unit_check_fence_LDADD = $(unit_ldadd)

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
	tests/integration/epochctl_completion.sh \
	tests/integration/epochctl_errors.sh \
	tests/integration/epochctl_follow.sh \
	tests/integration/epochctl_show.sh \
	tests/integration/epochctl_status.sh \
	tests/integration/epochctl_verbs.sh

TESTS += $(integration_tests)
EXTRA_DIST += $(integration_tests) %D%/integration/epochctl_lib.sh %D%/lib/fakeserver.py \
	%D%/lib/terminal.py
