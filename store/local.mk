noinst_LTLIBRARIES += libstore.la
libstore_la_SOURCES = \
	%D%/migrate.c \
	%D%/open.c \
	%D%/open_to_read.c \
	%D%/private.h \
	%D%/reader.c \
	%D%/rebuild.c \
	%D%/sql.c \
	%D%/sql.h \
	%D%/store.c \
	%D%/store.h \
	%D%/view.c \
	%D%/writer.c
libstore_la_LIBADD = $(SQLITE_LIBS) -lpthread
