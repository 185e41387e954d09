#include <config.h>

#include "supervisor/ctl/trace_file.h"

#include <byteswap.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "apilib/fd.h"
#include "apilib/layout.h"
#include "apilib/message.h"

static const uint64_t size_most = EP_TRACE_HEADER * 2 + EP_TRACE_TABLE_MAX + EP_TRACE_RING_MAX;

static int read_all(int fd, unsigned char *bytes, size_t size)
{
	size_t at = 0;

	while (at < size) {
		ssize_t n = pread(fd, bytes + at, size - at, (off_t)at);

		if (n <= 0)
			return n < 0 && errno > 0 ? -errno : -EPROTO;
		at += (size_t)n;
	}
	return 0;
}

static int read_file(struct trace_file *file, const char *path, size_t *size, char *why, size_t why_size)
{
	CLEANUP(ep_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errno > 0 ? -errno : -EIO;
	snprintf(why, why_size, "this is no trace");
	if (!S_ISREG(st.st_mode) || st.st_size < EP_TRACE_HEADER || (uint64_t)st.st_size > size_most)
		return -EPROTO;
	*size = (size_t)st.st_size;
	file->bytes = malloc(*size);
	if (!file->bytes)
		return -ENOMEM;
	return read_all(fd, file->bytes, *size);
}

static uint64_t word(const _Atomic uint64_t *of) { return atomic_load_explicit(of, memory_order_relaxed); }

static int check_header(struct trace_file *file, size_t size, char *why, size_t why_size)
{
	const struct ep_trace_header *header = &file->header;

	if (!file->bytes || size < sizeof file->header)
		return -EPROTO;
	memcpy(&file->header, file->bytes, sizeof file->header);
	if (header->magic == bswap_64(EP_TRACE_MAGIC)) {
		snprintf(why, why_size, "this trace was made on a host of the other byte order");
		return -EPROTO;
	}
	if (header->magic == EP_TRACE_MAGIC && header->layout != EP_TRACE_LAYOUT) {
		snprintf(why, why_size, "this trace is of layout %u, which another version of epochd made",
			 header->layout);
		return -EPROTO;
	}
	if (!ep_trace_is_good(header, size))
		return -EPROTO;
	file->head = word(&header->head);
	file->tail = word(&header->tail);
	file->ring = file->bytes + ep_trace_ring_at(header->table);
	return file->tail > file->head || file->head - file->tail > header->ring ? -EPROTO : 0;
}

static int add_type(struct trace_file *file, const struct ep_record *record)
{
	struct epochd_type **grown;

	if (!ep_record_is_whole(record) || file->type_count >= EP_TYPES_MAX)
		return -EPROTO;
	grown = realloc(file->types, (file->type_count + 1) * sizeof(struct epochd_type *));
	if (!grown)
		return -ENOMEM;
	file->types = grown;
	if (ep_layout_parse(&grown[file->type_count], record->text, record->flags) < 0)
		return -EPROTO;
	file->type_count++;
	return 0;
}

static int read_types(struct trace_file *file)
{
	const unsigned char *table = file->bytes + EP_TRACE_HEADER;
	struct ep_record record;
	size_t at = 0;
	int r;

	while ((r = ep_table_next(table, file->header.table, &at, &record)) > 0) {
		if (record.is_module)
			continue;
		r = add_type(file, &record);
		if (r < 0)
			return r;
	}
	return r;
}

int trace_file_open(struct trace_file **out, const char *path, char *why, size_t why_size)
{
	struct trace_file *file = calloc(1, sizeof *file);
	size_t size = 0;
	int r = file ? read_file(file, path, &size, why, why_size) : -ENOMEM;

	if (r == 0)
		r = check_header(file, size, why, why_size);
	if (r == 0)
		r = read_types(file);
	if (r < 0) {
		if (r != -EPROTO)
			snprintf(why, why_size, "%s", strerror(-r));
		trace_file_close(file);
		return r;
	}
	*out = file;
	return 0;
}

void trace_file_close(struct trace_file *file)
{
	if (!file)
		return;
	for (uint32_t i = 0; i < file->type_count; i++)
		free(file->types[i]);
	free(file->types);
	free(file->bytes);
	free(file);
}

static bool is_good(const struct trace_file *file, const struct ep_trace_record *record, uint64_t place)
{
	uint64_t left = file->header.ring - place;

	return record->size % 8 == 0 && record->size >= sizeof *record && record->size <= left &&
	       record->kept <= record->size - sizeof *record && record->kept <= record->payload &&
	       record->kind >= EP_TRACE_RECEIVED && record->kind <= EP_TRACE_UNSENT && record->type >= 1 &&
	       record->type <= file->type_count;
}

/* 1, and *record is no skip; 0; -EPROTO */
static int next_record(const struct trace_file *file, struct trace_cursor *cursor, struct ep_trace_record *record)
{
	const uint64_t mask = file->header.ring - 1;

	while (cursor->at < file->head) {
		uint64_t place = cursor->at & mask, left = file->header.ring - place;

		*record = (struct ep_trace_record){ 0 };
		memcpy(record, file->ring + place, left < sizeof *record ? left : sizeof *record);
		if (record->kind != EP_TRACE_SKIP)
			return is_good(file, record, place) && record->size <= file->head - cursor->at ? 1 : -EPROTO;
		if (record->size != left)
			return -EPROTO;
		cursor->at += left;
	}
	return 0;
}

int trace_file_next(const struct trace_file *file, struct trace_cursor *cursor, struct trace_entry *out)
{
	struct ep_trace_record record;
	int r;

	if (!cursor->number)
		*cursor = (struct trace_cursor){ file->tail, word(&file->header.first) };
	r = next_record(file, cursor, &record);
	if (r <= 0)
		return r;
	*out = (struct trace_entry){
		.number = ++cursor->number, .kind = (enum ep_trace_kind)record.kind, .type = record.type - 1u,
		.handle = record.handle, .context = record.context, .at = record.at,
		.payload = file->ring + (cursor->at & (file->header.ring - 1)) + sizeof record,
		.size = record.payload, .kept = record.kept,
	};
	cursor->at += record.size;
	return 1;
}
