/* `epochctl trace show`: a trace as text or JSON, by the table of messages that is in it. */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "supervisor/ctl/from_json.h"
#include "supervisor/ctl/text.h"
#include "supervisor/ctl/trace.h"
#include "supervisor/freep.h"

static const char *const kinds[] = {
	[EP_TRACE_RECEIVED] = "received", [EP_TRACE_SENT] = "sent", [EP_TRACE_UNSENT] = "unsent",
};

/* NULL: only its begin is there, or it was not sent. */
static char *fields_of(const struct trace_file *file, const struct trace_entry *entry)
{
	if (entry->kept < entry->size || entry->kind == EP_TRACE_UNSENT)
		return NULL;
	return message_to_json(file->types[entry->type], entry->payload, entry->size);
}

static void say_entry(const struct trace_file *file, const struct trace_entry *entry)
{
	CLEANUP(freep) char *json = fields_of(file, entry);
	CLEANUP(freep) char *fields = json ? text_harmless(json) : NULL;
	time_t seconds = (time_t)(entry->at / 1000000000);
	struct tm local;
	char at[32] = "?";

	if (localtime_r(&seconds, &local))
		strftime(at, sizeof at, "%H:%M:%S", &local);
	printf("%8" PRIu64 "  %s.%06u  %-8s  0x%016" PRIx64 "  %s", entry->number, at,
	       (unsigned)(entry->at % 1000000000 / 1000), kinds[entry->kind], entry->handle,
	       file->types[entry->type]->name);
	if (fields)
		printf(" %s", fields);
	else if (entry->kind != EP_TRACE_UNSENT)
		printf(" (%u bytes, of which the first %u are kept)", entry->size, entry->kept);
	putchar('\n');
}

static void say_entry_json(const struct trace_file *file, const struct trace_entry *entry, bool first)
{
	CLEANUP(freep) char *fields = fields_of(file, entry);

	printf("%s\n{\"number\": %" PRIu64 ", \"at_ns\": \"%" PRId64 "\", \"kind\": \"%s\", \"handle\": \"0x%016" PRIx64
	       "\", \"context\": \"0x%" PRIx64 "\", \"message\": \"%s\", \"size\": %u, \"kept\": %u, \"fields\": %s}",
	       first ? "" : ",", entry->number, entry->at, kinds[entry->kind], entry->handle, entry->context,
	       file->types[entry->type]->name, entry->size, entry->kept, fields ? fields : "null");
}

static void begin(const struct ctl *ctl, const struct trace_file *file)
{
	const struct ep_trace_header *header = &file->header;
	CLEANUP(freep) char *app = text_harmless(header->app);
	time_t seconds = (time_t)(header->began_at / 1000000000);
	struct tm local;
	char at[32] = "?";

	if (ctl->json) {
		json_t *name = json_stringn_nocheck(app ? app : "?", strlen(app ? app : "?"));
		CLEANUP(freep) char *text = json_dumps(name, JSON_ENCODE_ANY);

		json_decref(name);
		printf("{\"app\": %s, \"epoch\": %u, \"began_at_ns\": \"%" PRId64 "\", \"entries\": [", text ? text : "null",
		       header->epoch, header->began_at);
		return;
	}
	if (localtime_r(&seconds, &local))
		strftime(at, sizeof at, "%Y-%m-%d %H:%M:%S", &local);
	printf("%s, epoch %u, traced since %s\n", app ? app : "?", header->epoch, at);
}

int trace_show(struct ctl *ctl, const char *path)
{
	CLEANUP(trace_close_file) struct trace_file *file = NULL;
	struct trace_cursor cursor = { 0 };
	struct trace_entry entry;
	struct range range;
	bool first = true;
	int r = trace_range(ctl, &range);

	if (r == 0)
		r = trace_open_file(&file, path);
	if (r)
		return r;
	begin(ctl, file);
	while ((r = trace_file_next(file, &cursor, &entry)) > 0 && entry.number <= range.last) {
		if (entry.number < range.first)
			continue;
		if (ctl->json)
			say_entry_json(file, &entry, first);
		else
			say_entry(file, &entry);
		first = false;
	}
	if (ctl->json)
		puts(first ? "]}" : "\n]}");
	if (r < 0)
		ctl_complain("%s: what follows message %" PRIu64 " is no record: the file is damaged", path, cursor.number);
	return r < 0 ? EXIT_BAD : EXIT_GOOD;
}
