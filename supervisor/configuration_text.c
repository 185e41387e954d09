#include <config.h>

#include "supervisor/configuration_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#define TEXT_MAX ((size_t)64 << 20)   /* a configuration of a thousand applications is 1 MiB */
#define DEPTH_MAX 8                   /* sections within sections; ours are two deep */

static void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static int read_all(struct text *text, int fd)
{
	size_t room = 0;

	for (;;) {
		ssize_t n;

		if (text->size + 1 >= room) {
			char *larger;

			room = room ? 2 * room : 64 << 10;
			larger = realloc(text->bytes, room);
			if (!larger)
				return -ENOMEM;
			text->bytes = larger;
		}
		n = read(fd, text->bytes + text->size, room - text->size - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text->size += (size_t)n;
		if (text->size > TEXT_MAX)
			return -EFBIG;
		if (n == 0)
			break;
	}
	text->bytes[text->size] = '\0';
	return 0;
}

int text_read(struct load *load, const char *path, struct text *text)
{
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : read_all(text, fd);

	if (r < 0)
		mistake_in(load, load->file, 0, "cannot be read: %s", strerror(-r));
	return r;
}

void text_free(struct text *text)
{
	free(text->bytes);
	free(text->tokens);
	*text = (struct text){ 0 };
}

/* Where the scanner is. */
struct scan {
	struct load *load;
	struct text *text;
	size_t at;
	int line;
	size_t room;            /* for tokens */
};

static void spoil(struct scan *scan, int line, const char *what)
{
	scan->text->spoilt = true;
	mistake_in(scan->load, scan->load->file, line, "%s", what);
}

static char here(const struct scan *scan, size_t ahead)
{
	size_t at = scan->at + ahead;

	if (at >= scan->text->size)
		return '\0';
	return scan->text->bytes[at];
}

static void push(struct scan *scan, char kind, int line, size_t start, size_t length)
{
	struct text *text = scan->text;

	if (text->count == scan->room) {
		size_t room = scan->room ? 2 * scan->room : 256;
		struct token *larger = realloc(text->tokens, room * sizeof *larger);

		if (!larger) {
			scan->load->r = -ENOMEM;
			text->spoilt = true;
			return;
		}
		text->tokens = larger;
		scan->room = room;
	}
	text->tokens[text->count++] = (struct token){ kind, line, start, length };
}

/* libconfuse never sees a comment: it counts lines wrongly over them, and one that is not closed
 * silently swallows the rest. */
static void blank(struct text *text, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (text->bytes[i] != '\n')
			text->bytes[i] = ' ';
}

static void line_comment(struct scan *scan)
{
	size_t start = scan->at;

	while (scan->at < scan->text->size && here(scan, 0) != '\n')
		scan->at++;
	blank(scan->text, start, scan->at);
}

static void block_comment(struct scan *scan)
{
	size_t start = scan->at;
	int line = scan->line;

	for (scan->at += 2; scan->at < scan->text->size; scan->at++) {
		if (here(scan, 0) == '*' && here(scan, 1) == '/') {
			scan->at += 2;
			blank(scan->text, start, scan->at);
			return;
		}
		if (here(scan, 0) == '\n')
			scan->line++;
	}
	spoil(scan, line, "this comment is not closed: expected */");
}

/* \0, \00, \000, \x0 and \x00: what follows a NUL would be lost. */
static bool escapes_nul(const struct scan *scan)
{
	size_t n = 1, digits = 0;
	bool zero = true;

	if (here(scan, 1) == 'x')
		n = 2;
	for (; digits < (n == 1 ? 3 : 2); digits++) {
		char c = here(scan, n + digits);

		if (!(c >= '0' && c <= '7') && !(n == 2 && c && strchr("89abcdefABCDEF", c)))
			break;
		zero = zero && c == '0';
	}
	return digits > 0 && zero;
}

static void string_escape(struct scan *scan, char quote)
{
	if (quote == '"' && escapes_nul(scan))
		spoil(scan, scan->line, "a NUL cannot be part of a value");
	if (here(scan, 1) == '\n')   /* goes on in the next line */
		scan->line++;
	scan->at += 2;
}

/* A string that goes on in the next line is a forgotten quote more often than not; who means it
 * writes a backslash before the end of the line. */
static void string(struct scan *scan)
{
	size_t start = scan->at + 1;
	char quote = here(scan, 0);
	int line = scan->line;

	for (scan->at++; scan->at < scan->text->size; ) {
		char c = here(scan, 0);

		if (c == quote) {
			push(scan, 's', line, start, scan->at++ - start);
			return;
		}
		if (c == '\n')
			break;
		if (c == '\\') {
			string_escape(scan, quote);
			continue;
		}
		if (c == '$' && quote == '"' && here(scan, 1) == '{')
			spoil(scan, scan->line, "\"${\" stands for a variable of the environment, "
			      "which is not replaced here; put the text in single quotes");
		scan->at++;
	}
	spoil(scan, line, "this string is not closed: expected a quote before the end of the line");
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* What libconfuse skips without a word, or takes for what it is not here: |, its path separator. */
static bool is_odd(char c)
{
	return c && (strchr("+*()|", c) || (unsigned char)c < ' ' || c == 127);
}

static void word(struct scan *scan)
{
	size_t start = scan->at;
	char c;

	while ((c = here(scan, 0)) && !is_space(c) && !is_odd(c) && !strchr("\"'{}=,#", c)) {
		if (c == '$' && here(scan, 1) == '{') {
			spoil(scan, scan->line, "\"${\" stands for a variable of the environment, "
			      "which is not replaced here; put the text in single quotes");
			scan->at++;   /* over the brace, which opens nothing */
		}
		if (c == '/' && here(scan, 1) == '/')
			spoil(scan, scan->line, "\"//\" within a word: put the word in quotes");
		scan->at++;
	}
	push(scan, 'w', scan->line, start, scan->at - start);
}

static void odd(struct scan *scan)
{
	char text[] = "unexpected \"?\"; a value that has it goes in quotes";

	if (here(scan, 0) > ' ' && here(scan, 0) < 127)
		text[12] = here(scan, 0);
	spoil(scan, scan->line, text);
	scan->at++;
}

static void scan_one(struct scan *scan)
{
	char c = here(scan, 0);

	if (c == '\n')
		scan->line++;
	if (c == '\r')   /* of another system's line end */
		scan->text->bytes[scan->at] = ' ';
	if (is_space(c))
		scan->at++;
	else if (c == '#' || (c == '/' && here(scan, 1) == '/'))
		line_comment(scan);
	else if (c == '/' && here(scan, 1) == '*')
		block_comment(scan);
	else if (c == '"' || c == '\'')
		string(scan);
	else if (strchr("{}=,", c))
		push(scan, c, scan->line, scan->at++, 1);
	else if (is_odd(c))
		odd(scan);
	else
		word(scan);
}

static bool is_text(struct load *load, const struct text *text)
{
	const char *nul = memchr(text->bytes, '\0', text->size);
	json_t *utf8;

	if (nul) {
		mistake_in(load, load->file, 0, "expected a text, but it has a NUL in it");
		return false;
	}
	utf8 = json_stringn(text->bytes, text->size);   /* NULL unless it is UTF-8 */
	if (!utf8)
		mistake_in(load, load->file, 0, "expected a text in UTF-8");
	json_decref(utf8);
	return utf8 != NULL;
}

/* One open section of the walk over the tokens. */
struct open {
	enum scope scope;
	int line;
	size_t title, title_length;
	struct {
		size_t token;
	} given[64];
	size_t given_count;
};

struct walk {
	struct load *load;
	struct text *text;
	struct open open[DEPTH_MAX];
	size_t depth;           /* open[depth] is where we are */
	char title[80];
};

static const struct token *token(const struct walk *walk, size_t i)
{
	static const struct token end = { .kind = '\0' };

	return i < walk->text->count ? &walk->text->tokens[i] : &end;
}

static bool is_value(const struct token *t)
{
	return t->kind == 'w' || t->kind == 's';
}

/* The place behind the brace that closes the one at i. */
static size_t behind_brace(const struct walk *walk, size_t i)
{
	size_t depth = 0;

	for (; i < walk->text->count; i++) {
		depth += token(walk, i)->kind == '{';
		if (token(walk, i)->kind == '}' && --depth == 0)
			return i + 1;
	}
	return i;
}

/* The statement [from, to) is told as a mistake already; libconfuse would stop there. */
static void drop(struct walk *walk, size_t from, size_t to)
{
	const struct token *first = token(walk, from), *last = token(walk, to - 1);
	size_t start = first->start - (first->kind == 's');

	blank(walk->text, start, last->start + last->length + (last->kind == 's'));
}

static void name_of(const struct walk *walk, size_t i, char *name, size_t size)
{
	const struct token *t = token(walk, i);
	size_t length = t->length < size - 1 ? t->length : size - 1;

	memcpy(name, walk->text->bytes + t->start, length);
	name[length] = '\0';
}

static bool same_word(const struct walk *walk, size_t i, size_t j)
{
	const struct token *a = token(walk, i), *b = token(walk, j);

	return a->length == b->length &&
	       memcmp(walk->text->bytes + a->start, walk->text->bytes + b->start, a->length) == 0;
}

/* True if it stands in this section already, which is told. libconfuse would let the later value
 * win, and merge the sections. */
static bool given_twice(struct walk *walk, size_t i)
{
	struct open *open = &walk->open[walk->depth];
	char name[80];

	for (size_t k = 0; k < open->given_count; k++) {
		size_t earlier = open->given[k].token;

		if (!same_word(walk, i, earlier))
			continue;
		name_of(walk, i, name, sizeof name);
		mistake_at(walk->load, token(walk, i)->line, open->scope, name,
			   "given already in line %d", token(walk, earlier)->line);
		return true;
	}
	if (open->given_count < ARRAY_SIZE(open->given))
		open->given[open->given_count++].token = i;
	return false;
}

static void unknown(struct walk *walk, size_t i, enum scope scope)
{
	char name[80], text[200];

	name_of(walk, i, name, sizeof name);
	mistake_at(walk->load, token(walk, i)->line, scope, name, "%s",
		   key_unknown(scope, name, text, sizeof text));
}

/* The place behind the list of the key at i: there are values and commas in it, and nothing else.
 * Where one that is not closed ends is anybody's guess: nothing behind it is looked at. */
static size_t behind_list(struct walk *walk, size_t i)
{
	char name[80];
	size_t k = i + 3;

	while (is_value(token(walk, k)) || token(walk, k)->kind == ',')
		k++;
	if (token(walk, k)->kind == '}')
		return k + 1;
	name_of(walk, i, name, sizeof name);
	mistake_at(walk->load, token(walk, i)->line, walk->open[walk->depth].scope, name,
		   "this list is not closed: expected a \"}\"");
	walk->text->spoilt = true;
	walk->depth = 0;
	return walk->text->count;
}

/* `KEY = VALUE` or `KEY = { ... }` at i; the place behind it. */
static size_t walk_value(struct walk *walk, size_t i)
{
	enum scope scope = walk->open[walk->depth].scope;
	const struct token *t = token(walk, i), *value = token(walk, i + 2);
	const char *name = walk->text->bytes + t->start;
	size_t behind = value->kind == '{' ? behind_list(walk, i)
					   : i + 2 + (size_t)is_value(value);

	if (behind == walk->text->count && scope != walk->open[walk->depth].scope)
		return behind;
	if (scope_find(scope, name, t->length) != SCOPES) {
		char text[80];

		name_of(walk, i, text, sizeof text);
		mistake_at(walk->load, t->line, scope, text, "expected a section: %s { ... }",
			   text);
		drop(walk, i, behind);
	} else if (!key_find(scope, name, t->length)) {
		unknown(walk, i, scope);
		drop(walk, i, behind);
	} else if (given_twice(walk, i)) {
		drop(walk, i, behind);
	} else if (scope == IN_HEALTH && value->kind == '{' && behind == i + 4) {
		mistake_at(walk->load, t->line, scope, "command",
			   "expected a program and its arguments, not an empty list");
	} else if (scope == IN_CHANNEL && value->kind == '{' && behind == i + 4) {
		mistake_at(walk->load, t->line, scope, "buffers",
			   "expected COUNTxBYTES such as 64x256, not an empty list");
	}
	return behind;
}

/* What messages name as their subject. */
static void note_title(struct walk *walk)
{
	const struct open *open = NULL;

	for (size_t d = 0; d <= walk->depth; d++)
		if (walk->open[d].title_length)
			open = &walk->open[d];
	walk->load->title = NULL;
	if (open) {
		size_t length = open->title_length;

		if (length > sizeof walk->title - 1)
			length = sizeof walk->title - 1;
		memcpy(walk->title, walk->text->bytes + open->title, length);
		walk->title[length] = '\0';
		walk->load->title = walk->title;
	}
}

static void enter(struct walk *walk, enum scope scope, size_t i, size_t title)
{
	struct open *open = &walk->open[++walk->depth];

	open->scope = scope;
	open->line = token(walk, i)->line;
	open->title = token(walk, title)->start;
	open->title_length = title != i ? token(walk, title)->length : 0;
	open->given_count = 0;
	note_title(walk);
}

static void not_closed(struct walk *walk, int line)
{
	const struct open *open = &walk->open[walk->depth];

	walk->text->spoilt = true;
	if (line)
		mistake_at(walk->load, open->line, open->scope, NULL,
			   "not closed: expected a \"}\" before line %d", line);
	else
		mistake_at(walk->load, open->line, open->scope, NULL,
			   "not closed: expected a \"}\" before the end of the file");
}

/* `SECTION {` or `SECTION TITLE {` at i; the place behind the brace, or behind all of it. */
static size_t walk_section(struct walk *walk, size_t i)
{
	const struct token *t = token(walk, i);
	const char *name = walk->text->bytes + t->start;
	size_t title = is_value(token(walk, i + 1)) ? i + 1 : i;
	enum scope outer = walk->open[walk->depth].scope;
	enum scope scope = scope_find(outer, name, t->length);

	/* Of what stands nowhere but outside of all sections, the brace before it was forgotten. */
	while (scope == SCOPES && outer != IN_ROOT && title != i &&
	       scope_find(IN_ROOT, name, t->length) != SCOPES) {
		not_closed(walk, t->line);
		walk->depth--;
		note_title(walk);
		outer = walk->open[walk->depth].scope;
		scope = scope_find(outer, name, t->length);
	}
	if (scope == SCOPES && key_find(outer, name, t->length)) {
		char text[80];

		name_of(walk, i, text, sizeof text);
		mistake_at(walk->load, t->line, outer, text, "expected \"=\" and a value");
	} else if (scope == SCOPES) {
		unknown(walk, i, outer);
	} else if (config_sections[scope].titled || !given_twice(walk, i)) {
		enter(walk, scope, i, title);
		return title + 2;
	}
	drop(walk, i, behind_brace(walk, title + 1));
	return behind_brace(walk, title + 1);
}

/* Whether i is followed by a brace, with a title or without. A title stands in the same line:
 * behind a line end it is rather the next statement, and this one lacks its value. */
static bool opens_section(const struct walk *walk, size_t i)
{
	const struct token *t = token(walk, i), *next = token(walk, i + 1);
	enum scope scope = scope_find(IN_ROOT, walk->text->bytes + t->start, t->length);

	if (next->kind == '{')
		return true;
	return is_value(next) && token(walk, i + 2)->kind == '{' &&
	       (next->line == t->line || (scope != SCOPES && config_sections[scope].titled));
}

/* Everything in its place, or told. What is no statement at all is left to libconfuse. */
static void walk_tokens(struct walk *walk)
{
	size_t i = 0;

	while (i < walk->text->count) {
		if (token(walk, i)->kind == '}' && walk->depth > 0) {
			walk->depth--;
			note_title(walk);
			i++;
		} else if (is_value(token(walk, i)) && token(walk, i + 1)->kind == '=') {
			i = walk_value(walk, i);
		} else if (is_value(token(walk, i)) && opens_section(walk, i)) {
			i = walk_section(walk, i);
		} else {
			walk->text->stopped = token(walk, i)->line;
			return;
		}
	}
	for (; walk->depth > 0; walk->depth--) {
		note_title(walk);
		not_closed(walk, 0);
	}
}

void text_check(struct load *load, struct text *text)
{
	struct scan scan = { .load = load, .text = text, .line = 1 };
	struct walk walk = { .load = load, .text = text, .open = { { .scope = IN_ROOT } } };

	if (!is_text(load, text)) {
		text->spoilt = true;
		return;
	}
	if (text->size >= 3 && memcmp(text->bytes, "\xef\xbb\xbf", 3) == 0)
		blank(text, 0, 3);   /* a byte order mark */
	while (scan.at < text->size)
		scan_one(&scan);
	if (!text->spoilt)
		walk_tokens(&walk);
	load->title = NULL;
}
