#include <config.h>

#include "supervisor/printable.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Bytes of the UTF-8 sequence at text, *c its character; 0: it is none (too long a form, surrogate,
 * beyond Unicode, cut off by the NUL). */
static size_t utf8_decode(const unsigned char *text, uint32_t *c)
{
	static const struct { unsigned char mask, lead; uint32_t least; } forms[] = {
		{ 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 },
	};

	for (size_t more = 0; more < ARRAY_SIZE(forms); more++) {
		if ((text[0] & forms[more].mask) != forms[more].lead)
			continue;
		*c = text[0] & (unsigned char)~forms[more].mask;
		for (size_t i = 1; i <= more; i++) {
			if ((text[i] & 0xc0) != 0x80)
				return 0;
			*c = *c << 6 | (text[i] & 0x3f);
		}
		if (*c < forms[more].least || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff))
			return 0;
		return more + 1;
	}
	return 0;
}

/* Controls, and what turns or breaks the line it is shown in. */
static bool is_printable(uint32_t c)
{
	return !(c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) ||
		 (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || (c & 0xfffe) == 0xfffe);
}

void make_printable(char *text, size_t most)
{
	char *to = text;

	for (const char *from = text; *from;) {
		uint32_t c = 0;
		size_t length = utf8_decode((const unsigned char *)from, &c);
		bool good = length > 0 && is_printable(c);

		if ((size_t)(to - text) + (good ? length : 1) > most)
			break;
		if (good) {
			memmove(to, from, length);
			to += length;
		} else {
			*to++ = '?';
		}
		from += length > 0 ? length : 1;
	}
	*to = '\0';
}
