#include <config.h>

#include "supervisor/ctl/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/ctl/text.h"

struct cell {
	char *text;   /* NULL: empty */
	size_t columns;
	enum paint paint;
};

struct row {
	struct cell cells[TABLE_COLUMNS_MAX];
};

struct table {
	const struct table_column *columns;
	size_t count;
	size_t widths[TABLE_COLUMNS_MAX];
	struct row *rows;
	size_t row_count, row_room;
	size_t filled;   /* cells of the row under way */
};

static const char *const paints[] = {
	[PAINT_NONE] = "",
	[PAINT_GOOD] = "\033[32m",
	[PAINT_WAIT] = "\033[33m",
	[PAINT_BAD] = "\033[1;31m",
	[PAINT_DIM] = "\033[2m",
	[PAINT_HEAD] = "\033[1m",
};

static const char gap[] = "  ";
static const char ellipsis[] = "\xe2\x80\xa6";

int table_new(struct table **out, const struct table_column *columns, size_t count)
{
	struct table *table = calloc(1, sizeof *table);
	size_t i;

	if (!table)
		return -ENOMEM;
	table->columns = columns;
	table->count = count;
	for (i = 0; i < count; i++)
		table->widths[i] = text_columns(columns[i].title);
	*out = table;
	return 0;
}

void table_free(struct table *table)
{
	size_t i, j;

	if (!table)
		return;
	for (i = 0; i < table->row_count; i++)
		for (j = 0; j < table->count; j++)
			free(table->rows[i].cells[j].text);
	free(table->rows);
	free(table);
}

int table_row(struct table *table)
{
	struct row *rows;
	size_t room;

	if (table->row_count == table->row_room) {
		room = table->row_room ? 2 * table->row_room : 16;
		rows = reallocarray(table->rows, room, sizeof *rows);
		if (!rows)
			return -ENOMEM;
		table->rows = rows;
		table->row_room = room;
	}
	memset(&table->rows[table->row_count++], 0, sizeof *table->rows);
	table->filled = 0;
	return 0;
}

int table_cell(struct table *table, enum paint paint, const char *format, ...)
{
	struct cell *cell = &table->rows[table->row_count - 1].cells[table->filled];
	va_list values;
	char *text;
	int n;

	va_start(values, format);
	n = vasprintf(&text, format, values);
	va_end(values);
	if (n < 0)
		return -ENOMEM;
	cell->text = text_harmless(*text ? text : "-");
	free(text);
	if (!cell->text)
		return -ENOMEM;
	cell->paint = paint;
	cell->columns = text_columns(cell->text);
	if (cell->columns > table->widths[table->filled])
		table->widths[table->filled] = cell->columns;
	table->filled++;
	return 0;
}

size_t table_rows(const struct table *table)
{
	return table->row_count;
}

static void blanks(FILE *out, size_t count)
{
	fprintf(out, "%*s", (int)count, "");
}

static void painted(FILE *out, bool colour, enum paint paint, const char *text, size_t length,
		    const char *tail)
{
	bool on = colour && paint != PAINT_NONE;

	fprintf(out, "%s%.*s%s%s", on ? paints[paint] : "", (int)length, text, tail,
		on ? "\033[0m" : "");
}

/* As much of the text as fits into *room; false: it was cut, the line is full. */
static bool put(FILE *out, const struct table_style *style, enum paint paint, const char *text,
		size_t columns, size_t *room)
{
	if (columns <= *room) {
		painted(out, style->colour, paint, text, strlen(text), "");
		*room -= columns;
		return true;
	}
	if (*room > 0)
		painted(out, style->colour, paint, text, text_fit(text, *room - 1, NULL), ellipsis);
	return false;
}

static bool last_of_row(const struct row *row, size_t i, size_t count)
{
	for (i++; i < count; i++)
		if (row->cells[i].text)
			return false;
	return true;
}

static void print_row(const struct table *table, FILE *out, const struct table_style *style,
		      const struct row *row)
{
	size_t room = style->width ? style->width : (size_t)-1, i;

	for (i = 0; i < table->count; i++) {
		const struct cell *cell = &row->cells[i];
		size_t pad = table->widths[i] - cell->columns;
		bool last = last_of_row(row, i, table->count);

		if (i > 0) {
			if (room < strlen(gap))
				break;
			fputs(gap, out);
			room -= strlen(gap);
		}
		if (table->columns[i].right && pad <= room) {
			blanks(out, pad);
			room -= pad;
		}
		if (cell->text && !put(out, style, cell->paint, cell->text, cell->columns, &room))
			break;
		if (last)
			break;
		if (!table->columns[i].right) {
			if (pad > room)
				break;
			blanks(out, pad);
			room -= pad;
		}
	}
	fputs(style->end, out);
}

static void print_title(const struct table *table, FILE *out, const struct table_style *style)
{
	struct row row = { 0 };
	size_t i;

	for (i = 0; i < table->count; i++)
		row.cells[i] = (struct cell){ .text = (char *)table->columns[i].title,
					      .columns = text_columns(table->columns[i].title),
					      .paint = PAINT_HEAD };
	print_row(table, out, style, &row);
}

void table_print(const struct table *table, FILE *out, const struct table_style *style)
{
	size_t shown = table->row_count, i;
	char more[64];

	if (style->height && shown + 1 > style->height)
		shown = style->height > 2 ? style->height - 2 : 0;
	print_title(table, out, style);
	for (i = 0; i < shown; i++)
		print_row(table, out, style, &table->rows[i]);
	if (shown < table->row_count) {
		snprintf(more, sizeof more, "%zu more do not fit", table->row_count - shown);
		table_line(out, style, PAINT_DIM, more);
	}
}

void table_line(FILE *out, const struct table_style *style, enum paint paint, const char *text)
{
	size_t room = style->width ? style->width : (size_t)-1;
	char *harmless = text_harmless(text);

	if (harmless)
		put(out, style, paint, harmless, text_columns(harmless), &room);
	fputs(style->end, out);
	free(harmless);
}
