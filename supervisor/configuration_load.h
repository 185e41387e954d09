/* Inside of config_load(), for the files configuration*.c alone: one load in progress.
 *
 * The text of a file is cut into tokens first (configuration_text.c), because libconfuse lets
 * things pass that we must not: what is not closed, what is given twice, ${VAR}. What survives that
 * is parsed by libconfuse, which hands each value to the function that configuration_keys.c names
 * for it. */
#ifndef EPOCHD_CONFIGURATION_LOAD_H
#define EPOCHD_CONFIGURATION_LOAD_H

#include <stdbool.h>
#include <stddef.h>

#include <confuse.h>

#include "supervisor/configuration.h"

/* A section of the configuration, and the text around the sections. */
enum scope {
	IN_ROOT, IN_API, IN_SEGMENTS, IN_CONTROL, IN_HTTP, IN_EVENTS, IN_INCARNATIONS,
	IN_GROUP,
	IN_APPLICATION, IN_BACKOFF, IN_INTENSITY, IN_HEALTH, IN_OUTPUT, IN_LIMITS,
	IN_CLIENTS, IN_CHANNEL, IN_KEEPALIVE, IN_TRACE,
	SCOPES
};

struct load;
struct key;
/* Stores one value (of a list: one element) in the field; NULL, or what was expected instead. */
typedef const char *store_fn(struct load *load, const struct key *key, const char *value,
			     void *field);

struct key {
	const char *name;
	store_fn *store;
	size_t offset;      /* in struct config, app_config or group_config, as the scope says */
	bool list;
	int resource;       /* RLIMIT_..., in limits */
};

struct section {
	const char *name;
	bool titled;
	enum scope parent;
	const struct key *keys;
	size_t key_count;
};
extern const struct section config_sections[SCOPES];
bool scope_is_global(enum scope scope);       /* fields of struct config */

const struct key *key_find(enum scope scope, const char *name, size_t length);   /* or NULL */
/* The section of that name within `parent`, or SCOPES. */
enum scope scope_find(enum scope parent, const char *name, size_t length);
/* Of a word that is unknown in the scope: what to say of it. Into `text`, which is returned. */
const char *key_unknown(enum scope scope, const char *name, char *text, size_t size);

/* Where a key was given. */
struct given {
	const struct key *key;
	size_t file;
	int line;
};

/* A name that can be looked up only when all files are read. */
struct reference {
	enum { AFTER, GROUP_OF } kind;
	size_t app;             /* its place in config->apps */
	const char *name;       /* the app's */
	size_t file;
	int line;
	size_t target;          /* AFTER: the place of the other one; SIZE_MAX: there is none */
};

struct mistake {
	size_t file;
	int line;               /* 0: of the whole file */
	size_t order;
	char *text;
};

struct account {
	char *name;             /* NULL: not there */
	char *home, *shell;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t group_count;
};

struct load {
	char *scratch;          /* what libconfuse believes to be its values: leads back to us */
	struct config *config;
	int r;                  /* -ENOMEM: what is here is not whole */
	bool unread;            /* a text was not understood: what is missing may stand there */

	size_t file;            /* being read: its place in config->files */
	const char *title;      /* of the application or group being read, or NULL */
	int section_line;       /* where it begins */
	struct app_config *app;
	struct group_config *group;

	struct given *given_here;       /* in that application or group */
	size_t given_here_count;
	struct given *given;            /* everywhere else */
	size_t given_count;
	struct given *group_places;     /* of config->groups */
	size_t group_place_count;
	struct reference *references;
	size_t reference_count;
	struct mistake *mistakes;
	size_t mistake_count;
	cfg_t *root;            /* libconfuse's, while it parses */
	struct account *accounts;       /* looked up already: a thousand may share one */
	size_t account_count;
	const struct app_config *buffers_of;   /* whose classes are its own, and no more the default */
};

/* A place for one more at the end of *array, all zero; NULL (and load->r) without memory. */
void *load_grow(struct load *load, void *array, size_t *count, size_t size);
char *load_strdup(struct load *load, const char *text);   /* likewise */
void load_append(struct load *load, char ***list, const char *text);
int load_line_of(const struct load *load, enum scope scope, const char *name);

/* Names a mistake at FILE:LINE, in what is being read, of that key (NULL: of the section). */
void mistake_at(struct load *load, int line, enum scope scope, const char *key,
		const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same without a subject. file: its place in config->files. */
void mistake_in(struct load *load, size_t file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void mistakes_tell(struct load *load, config_mistake_fn *mistake, void *user);
void mistakes_free(struct load *load);

/* A file, ready for libconfuse. */
struct token {
	char kind;              /* one of = , { } ( or 'w' a word, 's' a quoted string */
	int line;
	size_t start, length;   /* without the quotes */
};

struct text {
	char *bytes;
	size_t size;
	struct token *tokens;
	size_t count;
	bool spoilt;            /* not to be parsed; mistakes say why */
	int stopped;            /* the line from which on it makes no sense; 0: there is none */
};
int text_read(struct load *load, const char *path, struct text *text);   /* negative errno */
void text_check(struct load *load, struct text *text);
void text_free(struct text *text);

/* Users and groups of the system. What was expected, or NULL. */
const char *store_user(struct load *load, const struct key *key, const char *value, void *field);
const char *store_group(struct load *load, const struct key *key, const char *value, void *field);
const char *store_groups(struct load *load, const struct key *key, const char *value, void *field);
const char *store_control_group(struct load *load, const struct key *key, const char *value,
				void *field);
const char *store_group_choice(struct load *load, const struct key *key, const char *value,
			       void *field);
const char *store_principal(struct load *load, const struct key *key, const char *value,
			    void *field);
/* Once its section is whole: the groups that go with its user; whether we may. */
void users_finish(struct load *load, struct app_config *app);
void users_free(struct load *load);
#endif
