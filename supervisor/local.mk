noinst_LTLIBRARIES += libsupervisor.la
libsupervisor_la_SOURCES = \
	%D%/control.c \
	%D%/control.h \
	%D%/control_access.c \
	%D%/control_access.h \
	%D%/control_follow.c \
	%D%/control_listen.c \
	%D%/control_request.h \
	%D%/control_routes.c \
	%D%/events.c \
	%D%/events.h \
	%D%/log.c \
	%D%/log.h \
	%D%/metrics.c \
	%D%/metrics.h \
	%D%/problem.c \
	%D%/problem.h \
	%D%/report.c \
	%D%/report.h \
	%D%/report_config.c
libsupervisor_la_LIBADD = libstore.la libep.la $(JANSSON_LIBS) $(CONFUSE_LIBS) \
	$(MICROHTTPD_LIBS) $(EV_LIBS) -lpthread -lm
