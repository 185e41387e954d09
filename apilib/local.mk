noinst_LTLIBRARIES += libep.la
libep_la_SOURCES = \
	%D%/channel.c \
	%D%/channel.h \
	%D%/channel_fence.h \
	%D%/channel_layout.h \
	%D%/channel_receive.c \
	%D%/channel_reclaim.c \
	%D%/channel_send.c \
	%D%/fd.h \
	%D%/fence.c \
	%D%/fence.h \
	%D%/geometry.c \
	%D%/geometry.h \
	%D%/handle.h \
	%D%/registry.c \
	%D%/registry.h
