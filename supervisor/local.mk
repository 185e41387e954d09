noinst_LTLIBRARIES += libsupervisor.la
libsupervisor_la_SOURCES = \
	%D%/log.c \
	%D%/log.h \
	%D%/report.c \
	%D%/report.h \
	%D%/report_config.c
libsupervisor_la_LIBADD = libstore.la libep.la $(JANSSON_LIBS) $(CONFUSE_LIBS) \
	$(MICROHTTPD_LIBS) $(EV_LIBS) -lpthread -lm
