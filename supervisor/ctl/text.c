#include <config.h>

#include "supervisor/ctl/text.h"

#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

void text_setup(void)
{
	setlocale(LC_CTYPE, "C.UTF-8");   /* without it, what is not ASCII becomes '?' */
}

static bool reorders(wchar_t c)
{
	return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

static bool is_control(wchar_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

/* Its bytes, at least 1; *c is 0 where it is no character. */
static size_t next(const char *text, wchar_t *c)
{
	mbstate_t state = { 0 };
	size_t n = mbrtowc(c, text, MB_CUR_MAX, &state);

	if (n == 0 || n == (size_t)-1 || n == (size_t)-2) {
		*c = 0;
		return 1;
	}
	return n;
}

char *text_harmless(const char *text)
{
	char *copy = malloc(strlen(text) + 1), *to = copy;
	wchar_t c;
	size_t n;

	if (!copy)
		return NULL;
	for (; *text; text += n) {
		n = next(text, &c);
		if (c && !is_control(c) && !reorders(c)) {
			memcpy(to, text, n);
			to += n;
		} else {
			*to++ = *text == '\n' || *text == '\t' || *text == '\r' ? ' ' : '?';
		}
	}
	*to = '\0';
	return copy;
}

char *text_harmless_json(const char *json)
{
	char *copy = malloc(6 * strlen(json) + 1), *to = copy;   /* each byte at most \uXXXX */
	wchar_t c;
	size_t n;

	if (!copy)
		return NULL;
	for (; *json; json += n) {
		n = next(json, &c);
		if (*json == '\n' || (c && !is_control(c) && !reorders(c))) {
			memcpy(to, json, n);
			to += n;
		} else {
			to += sprintf(to, "\\u%04x", c ? (unsigned)c & 0xffff : 0xfffd);
		}
	}
	*to = '\0';
	return copy;
}

size_t text_fit(const char *text, size_t columns, size_t *used)
{
	const char *start = text;
	size_t total = 0, n;
	wchar_t c;
	int width;

	for (; *text; text += n) {
		n = next(text, &c);
		width = c ? wcwidth(c) : 1;
		if (width < 0)
			width = 1;
		if (total + (size_t)width > columns)
			break;
		total += (size_t)width;
	}
	if (used)
		*used = total;
	return (size_t)(text - start);
}

size_t text_columns(const char *text)
{
	size_t used;

	text_fit(text, SIZE_MAX / 2, &used);
	return used;
}

const char *text_duration(char buffer[32], double seconds)
{
	unsigned long s;

	if (seconds < 0)
		seconds = 0;
	s = seconds < 1e15 ? (unsigned long)seconds : (unsigned long)1e15;
	if (seconds < 0.9995)
		snprintf(buffer, 32, "%.0fms", seconds * 1000);
	else if (s < 10)
		snprintf(buffer, 32, "%.3g%s", (double)(long)(seconds * 10 + 0.5) / 10, "s");
	else if (s < 60)
		snprintf(buffer, 32, "%lus", s);
	else if (s < 3600)
		snprintf(buffer, 32, s % 60 ? "%lum %lus" : "%lum", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buffer, 32, s % 3600 / 60 ? "%luh %lum" : "%luh", s / 3600, s % 3600 / 60);
	else
		snprintf(buffer, 32, s % 86400 / 3600 ? "%lud %luh" : "%lud", s / 86400,
			 s % 86400 / 3600);
	return buffer;
}

const char *text_duration_short(char buffer[32], double seconds)
{
	unsigned long s = seconds < 0 ? 0 : seconds < 1e15 ? (unsigned long)seconds : (unsigned long)1e15;

	if (s < 60)
		snprintf(buffer, 32, "%lus", s);
	else if (s < 3600)
		snprintf(buffer, 32, "%lum", s / 60);
	else if (s < 86400)
		snprintf(buffer, 32, "%luh", s / 3600);
	else
		snprintf(buffer, 32, "%lud", s / 86400);
	return buffer;
}

double text_parse_time(const char *iso)
{
	struct tm tm = { 0 };
	double fraction = 0;
	char *end;

	end = iso ? strptime(iso, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	if (!end)
		return -1;
	if (*end == '.')
		fraction = strtod(end, NULL);   /* the numeric locale is "C" */
	return (double)timegm(&tm) + fraction;
}

const char *text_time(char buffer[32], const char *iso)
{
	double at = text_parse_time(iso);
	time_t seconds = (time_t)at;
	struct tm tm;

	if (at < 0 || !localtime_r(&seconds, &tm) ||
	    !strftime(buffer, 32, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(buffer, 32, "-");
	return buffer;
}

double text_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

enum { WORD_MAX = 32 };

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Letters to add, drop, change or swap with their neighbour. */
static unsigned distance(const char *a, const char *b)
{
	unsigned cost[WORD_MAX + 1][WORD_MAX + 1];
	size_t la = strlen(a), lb = strlen(b), i, j;

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (i = 0; i <= la; i++)
		cost[i][0] = (unsigned)i;
	for (j = 0; j <= lb; j++)
		cost[0][j] = (unsigned)j;
	for (i = 1; i <= la; i++)
		for (j = 1; j <= lb; j++) {
			cost[i][j] = least(cost[i - 1][j] + 1, cost[i][j - 1] + 1,
					   cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    cost[i - 2][j - 2] + 1 < cost[i][j])
				cost[i][j] = cost[i - 2][j - 2] + 1;
		}
	return cost[la][lb];
}

const char *text_nearest(const char *word, const char *const *words)
{
	const char *nearest = NULL;
	unsigned best = 3, d;   /* further away is no likeness */

	for (; *words; words++) {
		d = distance(word, *words);
		if (strlen(word) >= 3 && strncmp(word, *words, strlen(word)) == 0)
			d = 1;   /* the beginning of it */
		if (d < best && d < strlen(word)) {
			best = d;
			nearest = *words;
		}
	}
	return nearest;
}
