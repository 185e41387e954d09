/* A table that people like to read: columns as wide as their widest cell, cut to the terminal. */
#ifndef EPOCHD_CTL_TABLE_H
#define EPOCHD_CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 12 };

enum paint { PAINT_NONE, PAINT_GOOD, PAINT_WAIT, PAINT_BAD, PAINT_DIM, PAINT_HEAD };

struct table_column {
	const char *title;
	bool right;   /* numbers */
};

struct table;

/* columns: stay the caller's, and static. */
int table_new(struct table **out, const struct table_column *columns, size_t count);
void table_free(struct table *table);   /* NULL is fine */

static inline void table_freep(struct table **table)   /* for CLEANUP */
{
	table_free(*table);
}

/* Begins a row; the cells follow from left to right, cells that are missing stay empty. */
int table_row(struct table *table);
/* The text is made harmless and copied; NULL or "" is shown as "-". -ENOMEM. */
int table_cell(struct table *table, enum paint paint, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
size_t table_rows(const struct table *table);

struct table_style {
	size_t width;      /* columns of the terminal; 0: no limit */
	size_t height;     /* lines to use, the title's included; 0: no limit */
	bool colour;
	const char *end;   /* of each line: "\n", or with what clears the rest of the line before it */
};
void table_print(const struct table *table, FILE *out, const struct table_style *style);

/* One line of other text, made harmless and cut in the same way. */
void table_line(FILE *out, const struct table_style *style, enum paint paint, const char *text);
#endif
