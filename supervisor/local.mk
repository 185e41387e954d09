noinst_LTLIBRARIES += libsupervisor.la
libsupervisor_la_SOURCES = \
	%D%/log.c \
	%D%/log.h \
	%D%/paths.c \
	%D%/paths.h
libsupervisor_la_LIBADD = libstore.la libep.la $(JANSSON_LIBS) $(CONFUSE_LIBS) \
	$(MICROHTTPD_LIBS) $(EV_LIBS) -lpthread -lm
