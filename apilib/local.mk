noinst_LTLIBRARIES += libep.la
libep_la_SOURCES = \
	%D%/fence.c \
	%D%/fence.h \
	%D%/registry.c \
	%D%/registry.h
