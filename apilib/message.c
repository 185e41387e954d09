#include <config.h>

#include "apilib/message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apilib/epochd.h"
#include "apilib/layout.h"

/* A record: this, then a text with its NUL: a layout, or of a module its name and version. */
struct record {
	uint32_t crc;
	uint16_t length;   /* of the text and its NUL */
	uint16_t flags;
};

enum { RECORD_MODULE = 0x8000 };

static int put(unsigned char *packet, size_t size, size_t *used, const char *text, uint16_t flags)
{
	struct record record = { ep_layout_crc(text), (uint16_t)(strlen(text) + 1), flags };

	if (size - *used < sizeof record + record.length)
		return -ENOSPC;
	memcpy(packet + *used, &record, sizeof record);
	memcpy(packet + *used + sizeof record, text, record.length);
	*used += sizeof record + record.length;
	return 0;
}

int ep_table_put(unsigned char *packet, size_t size, size_t *used, const struct epochd_type *type)
{
	char text[EP_TYPE_LAYOUT_MAX + 1];
	int length = ep_type_layout(type, text, sizeof text);

	return length < 0 ? length : put(packet, size, used, text, (uint16_t)type->flags);
}

int ep_table_put_module(unsigned char *packet, size_t size, size_t *used, const char *name, const char *version)
{
	char text[EP_TYPE_NAME_MAX + EP_MODULE_VERSION_MAX + 2];

	snprintf(text, sizeof text, "%s %s", name, version);
	return put(packet, size, used, text, RECORD_MODULE);
}

bool ep_record_is_whole(const struct ep_record *record) { return ep_layout_crc(record->text) == record->crc; }

int ep_table_next(const unsigned char *table, size_t size, size_t *at, struct ep_record *out)
{
	struct record record;
	const char *text;

	if (*at == size)
		return 0;
	if (size - *at < sizeof record)
		return -EPROTO;
	memcpy(&record, table + *at, sizeof record);
	text = (const char *)table + *at + sizeof record;
	if (record.length == 0 || record.length > size - *at - sizeof record ||
	    strnlen(text, record.length) != record.length - 1u)
		return -EPROTO;
	*at += sizeof record + record.length;
	*out = (struct ep_record){ .text = text, .crc = record.crc, .is_module = record.flags & RECORD_MODULE,
				   .flags = record.flags & ~(uint32_t)RECORD_MODULE };
	return 1;
}
