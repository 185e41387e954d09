#include <config.h>

#include "supervisor/configuration_load.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/freep.h"

#define NSS_BUFFER_MAX ((size_t)4 << 20)   /* a group of ten thousand members */
#define GROUPS_MAX 65536                   /* the kernel's NGROUPS_MAX */

static void replace(struct load *load, char **field, const char *value)
{
	free(*field);
	*field = load_strdup(load, value);
}

static int find_group(const char *name, gid_t *gid)
{
	struct group entry, *found = NULL;

	for (size_t size = 4096; size <= NSS_BUFFER_MAX; size *= 4) {
		CLEANUP(freep) char *buffer = malloc(size);
		int r = buffer ? getgrnam_r(name, &entry, buffer, size, &found) : ENOMEM;

		if (r == ERANGE)
			continue;
		if (r == 0 && found)
			*gid = entry.gr_gid;
		return r ? -r : found ? 0 : -ENOENT;
	}
	return -ERANGE;
}

/* The user's own groups, its primary one among them. */
static int find_groups(struct account *account)
{
	for (int room = 32; room <= GROUPS_MAX; room *= 4) {
		gid_t *larger = realloc(account->groups, (size_t)room * sizeof *larger);
		int count = room;

		if (!larger)
			return -ENOMEM;
		account->groups = larger;
		if (getgrouplist(account->name, account->gid, larger, &count) >= 0) {
			account->group_count = (size_t)count;
			return 0;
		}
	}
	return -E2BIG;
}

static int fill_account(struct account *account, const char *name, bool with_groups)
{
	struct passwd entry, *found = NULL;

	for (size_t size = 4096; size <= NSS_BUFFER_MAX; size *= 4) {
		CLEANUP(freep) char *buffer = malloc(size);
		int r = buffer ? getpwnam_r(name, &entry, buffer, size, &found) : ENOMEM;

		if (r == ERANGE)
			continue;
		if (r || !found)
			return r ? -r : -ENOENT;
		account->uid = entry.pw_uid;
		account->gid = entry.pw_gid;
		account->name = strdup(name);
		account->home = strdup(entry.pw_dir);
		account->shell = strdup(entry.pw_shell);
		if (!account->name || !account->home || !account->shell)
			return -ENOMEM;
		return with_groups ? find_groups(account) : 0;
	}
	return -ERANGE;
}

static void free_account(struct account *account)
{
	free(account->name);
	free(account->home);
	free(account->shell);
	free(account->groups);
}

static const struct account *find_account(struct load *load, const char *name)
{
	struct account *larger, *account;
	int r;

	for (size_t i = 0; i < load->account_count; i++)
		if (strcmp(load->accounts[i].name, name) == 0)
			return &load->accounts[i];
	larger = load_grow(load, load->accounts, &load->account_count, sizeof *larger);
	if (!larger)
		return NULL;
	load->accounts = larger;
	account = &larger[load->account_count - 1];
	r = fill_account(account, name, true);
	if (r < 0) {
		if (r == -ENOMEM)
			load->r = r;
		free_account(account);
		load->account_count--;
		return NULL;
	}
	return account;
}

void users_free(struct load *load)
{
	for (size_t i = 0; i < load->account_count; i++)
		free_account(&load->accounts[i]);
	free(load->accounts);
}

const char *store_user(struct load *load, const struct key *key, const char *value, void *field)
{
	const struct account *account = find_account(load, value);
	struct app_config *app = field;

	(void)key;
	if (!account)
		return "the name of a user of this system";
	if (geteuid() != 0 && account->uid != geteuid())
		return "epochd's own user, as only root may start programs as another one";
	app->uid = account->uid;
	replace(load, &app->user, value);
	return NULL;
}

const char *store_group(struct load *load, const struct key *key, const char *value, void *field)
{
	struct app_config *app = field;
	gid_t gid;

	(void)key;
	if (find_group(value, &gid) < 0)
		return "the name of a group of this system";
	if (geteuid() != 0 && gid != getegid())
		return "epochd's own group, as only root may start programs in another one";
	app->gid = gid;
	replace(load, &app->group, value);
	return NULL;
}

const char *store_groups(struct load *load, const struct key *key, const char *value, void *field)
{
	struct app_config *app = field;
	gid_t gid, *larger;

	(void)key;
	if (find_group(value, &gid) < 0)
		return "the name of a group of this system";
	if (geteuid() != 0)
		return "no supplementary groups, as only root may set them";
	larger = load_grow(load, app->groups, &app->group_count, sizeof *larger);
	if (!larger)
		return NULL;
	app->groups = larger;
	larger[app->group_count - 1] = gid;
	load_append(load, &app->group_names, value);
	app->set_groups = true;
	return NULL;
}

const char *store_control_group(struct load *load, const struct key *key, const char *value,
				void *field)
{
	struct config *config = field;

	(void)key;
	if (find_group(value, &config->control.gid) < 0)
		return "the name of a group of this system";
	replace(load, &config->control.group, value);
	config->control.set = true;
	return NULL;
}

const char *store_group_choice(struct load *load, const struct key *key, const char *value, void *field)
{
	struct group_choice *choice = field;

	(void)key;
	if (find_group(value, &choice->gid) < 0)
		return "the name of a group of this system";
	replace(load, &choice->name, value);
	return NULL;
}

static int parse_id(const char *text, uint32_t *id)
{
	uint64_t number;

	if (!*text || strspn(text, "0123456789") != strlen(text) ||
	    config_parse_size(text, &number) < 0 || number >= UINT32_MAX)   /* -1 is nobody */
		return -EINVAL;
	*id = (uint32_t)number;
	return 0;
}

static const char *parse_principal(const char *value, struct principal *principal)
{
	struct account account = { 0 };
	int r = 0;

	principal->is_group = strncmp(value, "group:", 6) == 0 || strncmp(value, "gid:", 4) == 0;
	principal->anyone = strcmp(value, "*") == 0;
	if (strncmp(value, "uid:", 4) == 0 || strncmp(value, "gid:", 4) == 0) {
		r = parse_id(value + 4, &principal->id);
	} else if (principal->is_group) {
		if (find_group(value + 6, &principal->id) < 0)
			return "the name of a group of this system after \"group:\"";
	} else if (principal->anyone) {
		principal->id = UINT32_MAX;
	} else {
		r = fill_account(&account, value, false);
		principal->id = account.uid;
		free_account(&account);
	}
	if (r < 0)
		return "the name of a user of this system, uid:N, group:NAME, gid:N or \"*\"";
	return NULL;
}

const char *store_principal(struct load *load, const struct key *key, const char *value,
			    void *field)
{
	struct config *config = load->config;
	bool of_app = strcmp(key->name, "allow") == 0;
	size_t *count = of_app ? &load->app->clients.allow_count :
			strcmp(key->name, "read") == 0 ? &config->control.read_count
						       : &config->control.act_count;
	struct principal **list = field, *larger, principal = { 0 };
	const char *expected = parse_principal(value, &principal);

	if (expected)
		return expected;
	larger = load_grow(load, *list, count, sizeof *larger);
	if (!larger)
		return NULL;
	*list = larger;
	principal.text = load_strdup(load, value);
	larger[*count - 1] = principal;
	config->control.set |= !of_app;
	return NULL;
}

/* A user brings its own groups, home and shell. Without the right to set groups there is nothing to
 * set: the user is our own. */
void users_finish(struct load *load, struct app_config *app)
{
	const struct account *account = app->user ? find_account(load, app->user) : NULL;

	if (!account)
		return;
	app->home = load_strdup(load, account->home);
	app->shell = load_strdup(load, account->shell);
	if (geteuid() != 0)
		return;
	if (app->gid == (gid_t)-1)
		app->gid = account->gid;
	if (app->set_groups)
		return;
	app->groups = calloc(account->group_count + 1, sizeof *app->groups);
	if (!app->groups) {
		load->r = -ENOMEM;
		return;
	}
	memcpy(app->groups, account->groups, account->group_count * sizeof *app->groups);
	app->group_count = account->group_count;
	app->set_groups = true;
}
