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
dist_man_MANS += %D%/man/epochd-api.7 %D%/man/epochd-memory-api.7
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
example_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/apilib
noinst_PROGRAMS += contrib/examples/kv-server contrib/examples/kv-client contrib/examples/kv-inspect \
	contrib/examples/kv-loop contrib/examples/blob-client contrib/examples/blob-server \
	contrib/examples/self
contrib_examples_kv_server_SOURCES = %D%/examples/kv_server.c %D%/examples/kv.h
contrib_examples_kv_server_CPPFLAGS = $(example_cppflags)
contrib_examples_kv_server_LDADD = libepochd.la
contrib_examples_kv_client_SOURCES = %D%/examples/kv_client.c %D%/examples/kv.h
contrib_examples_kv_client_CPPFLAGS = $(example_cppflags)
contrib_examples_kv_client_LDADD = libepochd.la
contrib_examples_kv_inspect_SOURCES = %D%/examples/inspect.c
contrib_examples_kv_inspect_CPPFLAGS = $(example_cppflags)
contrib_examples_kv_inspect_LDADD = libepochd.la
contrib_examples_kv_loop_SOURCES = %D%/examples/loop.c %D%/examples/kv.h
contrib_examples_kv_loop_CPPFLAGS = $(example_cppflags)
contrib_examples_kv_loop_LDADD = libepochd.la
contrib_examples_blob_client_SOURCES = %D%/examples/in_place.c %D%/examples/blob.h
contrib_examples_blob_client_CPPFLAGS = $(example_cppflags)
contrib_examples_blob_client_LDADD = libepochd.la
contrib_examples_blob_server_SOURCES = %D%/examples/push.c %D%/examples/blob.h
contrib_examples_blob_server_CPPFLAGS = $(example_cppflags)
contrib_examples_blob_server_LDADD = libepochd.la -lpthread
contrib_examples_self_SOURCES = %D%/examples/self.c
contrib_examples_self_CPPFLAGS = $(example_cppflags)
contrib_examples_self_LDADD = libepochd.la -lpthread
dist_example_DATA += %D%/examples/self.c %D%/examples/kv_server.c %D%/examples/kv_client.c %D%/examples/kv.h %D%/examples/inspect.c \
	%D%/examples/loop.c %D%/examples/in_place.c %D%/examples/push.c %D%/examples/blob.h %D%/examples/client.py

# One page for each group of functions; the other names of a page, from its NAME section, lead to it.
library_pages = %D%/man/epochd_app_send.3 %D%/man/epochd_attach.3 %D%/man/epochd_connect.3 %D%/man/epochd_handle.3 \
	%D%/man/epochd_handle_check.3 %D%/man/epochd_messages.3 %D%/man/epochd_receive.3 %D%/man/epochd_send.3
dist_man_MANS += $(library_pages)
other_names = $(SED) -n 's/^\.Nm \(epochd_[a-z_]*\).*/\1/p'
install-data-hook:
	for page in $(library_pages); do \
		main=$$(basename $$page .3); \
		for name in $$($(other_names) $(srcdir)/$$page); do \
			test $$name = $$main || echo ".so man3/$$main.3" > $(DESTDIR)$(man3dir)/$$name.3 || exit 1; \
		done; \
	done
uninstall-hook:
	for page in $(library_pages); do \
		for name in $$($(other_names) $(srcdir)/$$page); do rm -f $(DESTDIR)$(man3dir)/$$name.3; done; \
	done
