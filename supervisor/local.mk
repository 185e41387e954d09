noinst_LTLIBRARIES += libsupervisor.la
libsupervisor_la_SOURCES = \
	%D%/configuration.c \
	%D%/configuration.h \
	%D%/configuration_compare.c \
	%D%/configuration_keys.c \
	%D%/configuration_load.h \
	%D%/configuration_mistakes.c \
	%D%/configuration_text.c \
	%D%/configuration_users.c \
	%D%/configuration_values.c \
	%D%/log.c \
	%D%/log.h
libsupervisor_la_LIBADD = libstore.la libep.la $(JANSSON_LIBS) $(CONFUSE_LIBS) \
	$(MICROHTTPD_LIBS) $(EV_LIBS) -lpthread -lm
