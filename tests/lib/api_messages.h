/* What api_server and api_client say to each other. */
#ifndef EPOCHD_TESTS_API_MESSAGES_H
#define EPOCHD_TESTS_API_MESSAGES_H

#include "apilib/epochd.h"

#define NUMBER(FIELD, ARRAY) FIELD(u64, number)
#define FLOODED(FIELD, ARRAY) FIELD(u64, sent) FIELD(i32, error)
#define API_LIST(MESSAGE) \
	MESSAGE(echo, "test.echo", NUMBER, EPOCHD_TAIL) \
	MESSAGE(silent, "test.silent", NUMBER, 0) \
	MESSAGE(later, "test.later", NUMBER, 0) \
	MESSAGE(sum, "test.sum", NUMBER, EPOCHD_TAIL | EPOCHD_IN_PLACE) \
	MESSAGE(flood, "test.flood", NUMBER, 0) \
	MESSAGE(event, "test.event", NUMBER, 0) \
	MESSAGE(flooded, "test.flooded", FLOODED, 0) \
	MESSAGE(verdict, "test.verdict", NUMBER, 0) \
	MESSAGE(tally, "test.tally", NUMBER, 0)
EPOCHD_MESSAGES(api, API_LIST)

enum { ECHO_MOST = 16384 };
#endif
