noinst_LTLIBRARIES += libsupervisor.la
libsupervisor_la_SOURCES = \
	%D%/log.c \
	%D%/log.h \
	%D%/notify.c \
	%D%/notify.h \
	%D%/output.c \
	%D%/output.h \
	%D%/output_file.c \
	%D%/output_file.h \
	%D%/upward.c \
	%D%/upward.h
libsupervisor_la_LIBADD = libstore.la libep.la $(JANSSON_LIBS) $(CONFUSE_LIBS) \
	$(MICROHTTPD_LIBS) $(EV_LIBS) -lpthread -lm
