noinst_LTLIBRARIES += libep.la
libep_la_SOURCES = \
	%D%/agreed.c \
	%D%/agreed.h \
	%D%/application.c \
	%D%/application_dispatch.c \
	%D%/application_keep.c \
	%D%/application_modules.c \
	%D%/application_pool.c \
	%D%/application_pool.h \
	%D%/application_private.h \
	%D%/application_resume.c \
	%D%/application_session.c \
	%D%/application_trace.c \
	%D%/barrier.c \
	%D%/barrier.h \
	%D%/channel.c \
	%D%/channel.h \
	%D%/channel_buffer.c \
	%D%/channel_fence.h \
	%D%/channel_layout.h \
	%D%/channel_receive.c \
	%D%/channel_reclaim.c \
	%D%/channel_send.c \
	%D%/child.c \
	%D%/child.h \
	%D%/client.c \
	%D%/client_private.h \
	%D%/client_session.c \
	%D%/doorbell.c \
	%D%/doorbell.h \
	%D%/epochd.h \
	%D%/fault.h \
	%D%/fd.h \
	%D%/fence.c \
	%D%/fence.h \
	%D%/geometry.c \
	%D%/geometry.h \
	%D%/handle.h \
	%D%/inside.c \
	%D%/inside.h \
	%D%/json.c \
	%D%/large.c \
	%D%/large.h \
	%D%/layout.c \
	%D%/layout.h \
	%D%/message.c \
	%D%/message.h \
	%D%/meter.c \
	%D%/meter.h \
	%D%/now.h \
	%D%/place.c \
	%D%/place.h \
	%D%/registry.c \
	%D%/registry.h \
	%D%/public.c \
	%D%/registry_view.c \
	%D%/registry_view.h \
	%D%/retry.c \
	%D%/retry.h \
	%D%/trace.c \
	%D%/trace.h \
	%D%/tracepoint.h \
	%D%/types.c \
	%D%/types.h \
	%D%/wait.c \
	%D%/wait.h \
	%D%/wire.c \
	%D%/wire.h

# What is installed: the same, with nothing but the names of epochd.h to be seen.
lib_LTLIBRARIES = libepochd.la
libepochd_la_SOURCES = $(libep_la_SOURCES)
libepochd_la_CFLAGS = $(AM_CFLAGS) -fvisibility=hidden -fno-semantic-interposition
libepochd_la_LDFLAGS = $(AM_LDFLAGS) -no-undefined -version-info 0:0:0 \
	-Wl,--version-script=$(top_srcdir)/%D%/epochd.map -Wl,-z,defs
EXTRA_libepochd_la_DEPENDENCIES = %D%/epochd.map
include_HEADERS = %D%/epochd.h
pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = apilib/epochd.pc
EXTRA_DIST += %D%/epochd.map %D%/epochd.pc.in
