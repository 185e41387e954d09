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

/* As much of the text as fits into *room. */
static void put(FILE *out, const struct table_style *style, enum paint paint, const char *text,
		size_t *room)
{
	size_t used, length = text_fit(text, *room, &used);
	bool on = style->colour && paint != PAINT_NONE;

	fprintf(out, "%s%.*s%s", on ? paints[paint] : "", (int)length, text, on ? "\033[0m" : "");
	*room = text[length] ? 0 : *room - used;
}

static void put_blanks(FILE *out, size_t count, size_t *room)
{
	if (count > *room)
		count = *room;
	fprintf(out, "%*s", (int)count, "");
	*room -= count;
}

/* Columns of the row that are not empty at its end. */
static size_t filled(const struct row *row, size_t count)
{
	while (count > 0 && !row->cells[count - 1].text)
		count--;
	return count;
}

static size_t columns_of(const struct table *table, const struct row *row, size_t count)
{
	size_t total = 0, i;

	for (i = 0; i < count; i++)
		total += i + 1 < count ? table->widths[i] + strlen(gap)
			 : table->columns[i].right ? table->widths[i] : row->cells[i].columns;
	return total;
}

/* The last column of the terminal is the ellipsis's if the line does not fit. */
static size_t room_for(const struct table_style *style, size_t columns, bool *cut)
{
	*cut = style->width && columns > style->width;
	return *cut ? style->width - 1 : columns;
}

static void print_row(const struct table *table, FILE *out, const struct table_style *style,
		      const struct row *row)
{
	size_t count = filled(row, table->count), pad, room, i;
	bool cut;

	room = room_for(style, columns_of(table, row, count), &cut);
	for (i = 0; i < count; i++) {
		const struct cell *cell = &row->cells[i];

		pad = table->widths[i] - cell->columns;
		if (table->columns[i].right)
			put_blanks(out, pad, &room);
		if (cell->text)
			put(out, style, cell->paint, cell->text, &room);
		if (!table->columns[i].right)
			put_blanks(out, pad, &room);
		put_blanks(out, strlen(gap), &room);
	}
	fprintf(out, "%s%s", cut ? ellipsis : "", style->end);
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
	char *harmless = text_harmless(text);
	size_t room;
	bool cut = false;

	if (harmless) {
		room = room_for(style, text_columns(harmless), &cut);
		put(out, style, paint, harmless, &room);
	}
	fprintf(out, "%s%s", cut ? ellipsis : "", style->end);
	free(harmless);
}
