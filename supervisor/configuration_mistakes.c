#include <config.h>

#include "supervisor/configuration_load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A message is one line, whatever was typed. */
static void one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = ' ';
}

static void add(struct load *load, size_t file, int line, char *text)
{
	struct mistake *larger = load_grow(load, load->mistakes, &load->mistake_count,
					   sizeof *larger);

	if (!larger || !text) {
		load->mistake_count -= larger != NULL;
		free(text);
		load->r = -ENOMEM;
		return;
	}
	one_line(text);
	load->mistakes = larger;
	larger[load->mistake_count - 1] = (struct mistake){ file, line, load->mistake_count, text };
}

/* "FILE:LINE: SUBJECT" and the message behind it. */
static char *compose(const struct load *load, size_t file, int line, const char *subject,
		     const char *format, va_list values)
{
	const char *path = load->config->files[file];
	char *text = NULL, *message = NULL;
	int n;

	if (vasprintf(&message, format, values) < 0)
		return NULL;
	n = line > 0 ? asprintf(&text, "%s:%d: %s%s", path, line, subject, message)
		     : asprintf(&text, "%s: %s%s", path, subject, message);
	free(message);
	return n < 0 ? NULL : text;
}

void mistake_in(struct load *load, size_t file, int line, const char *format, ...)
{
	va_list values;
	char *text;

	va_start(values, format);
	text = compose(load, file, line, "", format, values);
	va_end(values);
	add(load, file, line, text);
}

void mistake_at(struct load *load, int line, enum scope scope, const char *key, const char *format,
		...)
{
	const struct section *section = &config_sections[scope];
	const struct section *outer = scope_is_global(scope) ? NULL :
		section->titled ? section : &config_sections[section->parent];
	char subject[400], title[120] = "", inner[40] = "";
	va_list values;
	char *text;

	if (outer && load->title)
		snprintf(title, sizeof title, "%s \"%.90s\": ", outer->name, load->title);
	else if (outer)
		snprintf(title, sizeof title, "%s: ", outer->name);
	if (scope != IN_ROOT && !section->titled)
		snprintf(inner, sizeof inner, "%s%s", section->name, key ? " " : ": ");
	snprintf(subject, sizeof subject, "%s%s%.80s%s", title, inner, key ? key : "",
		 key ? ": " : "");
	va_start(values, format);
	text = compose(load, load->file, line, subject, format, values);
	va_end(values);
	add(load, load->file, line, text);
}

static int by_place(const void *a, const void *b)
{
	const struct mistake *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

void mistakes_tell(struct load *load, config_mistake_fn *mistake, void *user)
{
	if (load->mistake_count)
		qsort(load->mistakes, load->mistake_count, sizeof *load->mistakes, by_place);
	for (size_t i = 0; i < load->mistake_count; i++)
		mistake(load->mistakes[i].text, user);
}

void mistakes_free(struct load *load)
{
	for (size_t i = 0; i < load->mistake_count; i++)
		free(load->mistakes[i].text);
	free(load->mistakes);
}
