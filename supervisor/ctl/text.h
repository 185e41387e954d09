/* Text for people: made harmless, measured in columns, cut; durations, times, and the nearest word.
 * Everything is taken for UTF-8, whatever the locale says; text_setup() comes first. */
#ifndef EPOCHD_CTL_TEXT_H
#define EPOCHD_CTL_TEXT_H

#include <stddef.h>
#include <stdint.h>

void text_setup(void);

/* A copy in which nothing can move a terminal's cursor or lie about order: control characters, what is
 * not UTF-8 and bidirectional overrides become '?', white space a blank. NULL: memory is out. */
char *text_harmless(const char *text);
/* The same of JSON text: what is harmful there stands in strings, and becomes
 * \uXXXX; newlines stay. A new string. */
char *text_harmless_json(const char *json);

size_t text_columns(const char *harmless);
/* How many bytes of it fit into so many columns. */
size_t text_fit(const char *harmless, size_t columns, size_t *used);

/* "3.2s" "42s" "5m 12s" "2h 13m" "3d 4h"; below a second "120ms". */
const char *text_duration(char buffer[32], double seconds);
/* The larger part only: "3s" "5m" "2h" "3d". */
const char *text_duration_short(char buffer[32], double seconds);

/* "2026-11-22T20:14:02.511Z" in seconds since 1970; -1: it is not a time. */
double text_parse_time(const char *iso);
/* That time as local "2026-11-22 20:14:02"; "-" if it is none. */
const char *text_time(char buffer[32], const char *iso);
double text_now(void);

/* The word of the list (NULL at the end) that is most like this one; NULL: none is. */
const char *text_nearest(const char *word, const char *const *words);
#endif
