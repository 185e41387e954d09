EXTRA_DIST += \
	%D%/Dockerfile.example \
	%D%/epochd.service.in

# The unit names the programs by where they are installed; that is known when make runs.
contrib/epochd.service: $(srcdir)/contrib/epochd.service.in Makefile
	$(AM_V_GEN)mkdir -p contrib && \
	$(SED) 's|@bindir[@]|$(bindir)|g' '$(srcdir)/contrib/epochd.service.in' > $@.new && \
	mv $@.new $@

check_DATA += contrib/epochd.service
CLEANFILES += contrib/epochd.service
if WITH_SYSTEMD_UNIT
systemdsystemunit_DATA = contrib/epochd.service
endif
dist_man_MANS += %D%/man/epochd-api.7
dist_pkgdata_DATA = %D%/schema/epochd-v1.schema.json
dist_man_MANS += %D%/man/epochd.conf.5 %D%/man/epochd.3
exampledir = $(docdir)/examples
dist_example_DATA = \
	%D%/examples/epochd.conf \
	%D%/examples/shortest.conf
EXTRA_DIST += \
	.ci/run \
	.clang-tidy \
	.cppcheck \
	%D%/build.sh \
	%D%/check \
	%D%/cppcheck.h \
	%D%/demo \
	%D%/install-packages \
	%D%/packages \
	%D%/tsan.suppressions

AM_DISTCHECK_CONFIGURE_FLAGS = --with-systemdsystemunitdir

dist_man_MANS += %D%/man/epochctl.1 %D%/man/epochd.8
bashcompletion_DATA = %D%/completion/epochctl %D%/completion/epochd
EXTRA_DIST += $(bashcompletion_DATA)
# The examples are built as a user would, from the installed header's folder and the library.
noinst_PROGRAMS += contrib/examples/kv-server contrib/examples/kv-client
contrib_examples_kv_server_SOURCES = %D%/examples/kv_server.c %D%/examples/kv.h
contrib_examples_kv_client_SOURCES = %D%/examples/kv_client.c %D%/examples/kv.h
contrib_examples_kv_server_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/apilib
contrib_examples_kv_client_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/apilib
contrib_examples_kv_server_LDADD = libepochd.la
contrib_examples_kv_client_LDADD = libepochd.la
dist_example_DATA += %D%/examples/kv_server.c %D%/examples/kv_client.c %D%/examples/kv.h
