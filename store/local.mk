noinst_LTLIBRARIES += libstore.la
libstore_la_SOURCES = \
	%D%/store.h
libstore_la_LIBADD = $(SQLITE_LIBS) -lpthread
