#include <config.h>

#include "supervisor/recovery.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apilib/registry.h"
#include "supervisor/app_private.h"
#include "supervisor/cgroups.h"
#include "supervisor/clock.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/fault.h"
#include "supervisor/ledger.h"
#include "supervisor/log.h"
#include "supervisor/output.h"
#include "supervisor/sessions.h"

/* ---- the directory ---- */

typedef void name_fn(int directory, const char *name, void *user);

/* Names that an application may have; what begins with a dot is epochd's own. */
static int each_name(int directory, name_fn *fn, void *user)
{
	int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *entry;

	if (!dir) {
		if (copy >= 0)
			close(copy);
		return -errno;
	}
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			fn(directory, entry->d_name, user);
	closedir(dir);
	return 0;
}

static void look_at_registry(int directory, const char *name, void *user)
{
	struct recovery_peek *peek = user;
	int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct ep_page page;
	uint64_t reserved;
	uint32_t epoch;

	if (fd < 0)
		return;
	if (pread(fd, &page, sizeof page, 0) == (ssize_t)sizeof page &&
	    atomic_load_explicit(&page.magic, memory_order_relaxed) == EP_REGISTRY_MAGIC) {
		/* Relaxed: a private copy (I6). */
		reserved = atomic_load_explicit(&page.highest, memory_order_relaxed);
		epoch = ep_fence_epoch(atomic_load_explicit(&page.fence, memory_order_relaxed));
		if (reserved <= EP_EPOCH_MAX && reserved > peek->highest)
			peek->highest = (uint32_t)reserved;
		if (epoch > peek->highest)
			peek->highest = epoch;
		if (!peek->other_layout && memcmp(page.boot_id, peek->boot_id, strlen(peek->boot_id) + 1) == 0) {
			peek->other_layout = ep_registry_other_layout(&page);
			snprintf(peek->name, sizeof peek->name, "%s", name);
		}
	}
	close(fd);
}

int recovery_peek(struct recovery_peek *peek, int directory, const char *path)
{
	uint32_t layout;

	each_name(directory, look_at_registry, peek);
	layout = peek->other_layout;
	if (!layout) {
		layout = ledger_other_layout(directory, peek->boot_id);
		snprintf(peek->name, sizeof peek->name, "the ledger");
	}
	if (!layout)
		return 0;
	return log_error(-EPROTO, "%s: %s is of layout %u, which another version of epochd made: nothing was touched. "
			 "Start that version, and end it (epochctl shutdown); or, if nothing of it runs any more, "
			 "remove that folder", path, peek->name, layout);
}

/* ---- what is there and belongs to nobody ---- */

/* Of a configured application, but nothing that can be replaced: a folder, or a file of another user. */
static void set_aside(struct epochd *epochd, const char *name)
{
	char aside[300];

	for (int i = 0; i < 1000; i++) {
		snprintf(aside, sizeof aside, ".%.200s.aside-%d", name, i);
		if (renameat2(epochd->segments, name, epochd->segments, aside, RENAME_NOREPLACE) == 0) {
			log_error(0, "segment %s/%s: not ours to replace: set aside as %s", epochd->segment_dir, name,
				  aside);
			return;
		}
	}
}

void recovery_make_way(struct epochd *epochd, const char *name)
{
	struct stat st;

	if (fstatat(epochd->segments, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (st.st_uid != geteuid() || S_ISDIR(st.st_mode)))
		set_aside(epochd, name);
}

static void clean_if_unknown(int directory, const char *name, void *user)
{
	struct epochd *epochd = user;
	const char *why;
	struct stat st;

	if (epochd_app(epochd, name))
		return;
	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_uid != geteuid() ||
	    S_ISDIR(st.st_mode))
		return;   /* not ours: never touched */
	if (ep_registry_retire(directory, name, &why) < 0)   /* I3: whoever has it mapped */
		return;
	if (unlinkat(directory, name, 0) == 0) {
		epochd->segments_cleaned++;
		log_notice(0, "segment %s/%s: %s: removed", epochd->segment_dir, name,
			   why ? why : "of no application that is configured");
	}
}

static void unlink_own(int directory, const char *name, void *user)
{
	(void)user;
	unlinkat(directory, name, 0);
}

/* The FIFO of one that lives is read, by now. */
static void unlink_if_unread(int directory, const char *name, void *user)
{
	const struct epochd *epochd = user;
	const char *end = strrchr(name, '.');
	char app_name[64] = "";
	const struct app *app;

	if (end && (size_t)(end - name) < sizeof app_name)
		memcpy(app_name, name, (size_t)(end - name));
	app = epochd_app(epochd, app_name);
	if (!app || !app->output)
		unlinkat(directory, name, 0);
}

/* In a folder of the runtime directory. */
static void each_of_runtime(struct epochd *epochd, const char *folder, name_fn *fn)
{
	char path[4200];
	int directory;

	snprintf(path, sizeof path, "%s/%s", epochd->runtime_dir, folder);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (directory < 0)
		return;
	each_name(directory, fn, epochd);
	close(directory);
}

/* ---- applications ---- */

static int add_app(struct epochd *epochd, const struct found_at_start *at_start,
		   const struct app_config *config, bool removed)
{
	struct app **grown = realloc(epochd->apps, (epochd->app_count + 1) * sizeof *grown);
	struct app *app;
	int r;

	if (!grown)
		return log_error(-ENOMEM, "app %s: not supervised", config->name);
	epochd->apps = grown;
	r = app_new(&app, epochd, config);
	if (r < 0)
		return log_error(r, "app %s: not supervised", config->name);
	app->removed = removed;
	r = app_recover(app, at_start);
	if (r < 0) {
		app_free(app);
		return r;
	}
	epochd->apps[epochd->app_count++] = app;
	epochd->had_several |= epochd->app_count > 1;
	return 0;
}

struct unconfigured {
	struct epochd *epochd;
	const struct found_at_start *at_start;
};

/* Of a supervisor with another configuration: what still runs is ended, as a reload would. */
static void add_unconfigured(struct ledger_record *record, void *user)
{
	struct unconfigured *it = user;
	char *command[] = { record->app, NULL };
	struct config *config;

	if (config_app(it->epochd->config, record->app) || !config_name_is_good(record->app))
		return;
	if (config_for_run(&config, record->app, command, NULL, NULL) < 0)
		return;
	epochd_retire(it->epochd, config);   /* freed when it is gone */
	log_notice(0, "app %s: not configured any more", record->app);
	add_app(it->epochd, it->at_start, config->apps[0], true);
}

static void remember_restart(struct store_app *stored, uint32_t epoch, int64_t started_at,
			     const char *restart, void *user)
{
	struct app *app = store_app_owner(stored);

	(void)user;
	if (app)
		app_remember_restart(app, epoch, started_at, app_cause_named(restart));
}

/* One that is not configured now may be so again: what it had reserved counts as used, as it would for the
 * others, since the last run may not have told all (I2). */
static void use_up(struct store_app *stored, void *user)
{
	struct store_state state;

	(void)user;
	if (store_app_owner(stored))
		return;
	store_app_state(stored, &state);
	if (state.used == state.reserved)
		return;
	state.used = state.reserved;
	store_app_put(stored, &state);
}

/* For the last day's count, and for the longest intensity window. */
static int64_t window_to_remember(const struct epochd *epochd)
{
	int64_t window = 24 * 3600 * NS_PER_S;

	for (size_t i = 0; i < epochd->config->app_count; i++)
		if (epochd->config->apps[i]->intensity.within > window)
			window = epochd->config->apps[i]->intensity.within;
	return window;
}

int recovery_look(struct epochd *epochd, const struct found_at_start *at_start)
{
	struct unconfigured unconfigured = { epochd, at_start };
	int r;

	for (size_t i = 0; i < epochd->config->app_count; i++) {
		r = add_app(epochd, at_start, epochd->config->apps[i], false);
		if (r < 0)
			return r;
	}
	if (!at_start->ledger_fresh)
		ledger_each(epochd->ledger, add_unconfigured, &unconfigured);
	if (!at_start->clean)
		store_each_app(epochd->store, use_up, NULL);
	each_name(at_start->directory, clean_if_unknown, epochd);
	r = store_restarts_since(epochd->store, clock_real() - window_to_remember(epochd),
				 remember_restart, NULL);
	if (r < 0)   /* a page of it is bad: that is found, and the file rebuilt, while all runs */
		log_error(r, "%s: the restarts of before cannot be read: intensity and the last day's counts "
			  "begin anew", epochd->state_dir);
	for (size_t i = 0; i < epochd->app_count; i++)
		app_remember_ledger(epochd->apps[i]);
	return 0;
}

void recovery_go_on(struct epochd *epochd)
{
	/* One that goes on lets go the others of its group, which may have left something behind. */
	for (size_t i = 0; i < epochd->app_count; i++)
		epochd->apps[i]->to_resume = true;
	group_recover(epochd);
	trace_recover(epochd);
	/* Nobody listens there any more; for one that lives it is bound again. */
	each_of_runtime(epochd, "notify", unlink_own);
	/* What runs first, so that `after` sees it. */
	for (size_t i = 0; i < epochd->app_count; i++)
		if (epochd->apps[i]->found == FOUND_ALIVE)
			app_resume(epochd->apps[i]);
	for (size_t i = 0; i < epochd->app_count; i++)
		if (epochd->apps[i]->found != FOUND_ALIVE)
			app_resume(epochd->apps[i]);
	each_of_runtime(epochd, "output", unlink_if_unread);
	FAULT(recovered);
}

/* ---- ends ---- */

void recovery_forget(struct epochd *epochd, struct app *app)
{
	const char *name = app->config->name;

	log_notice(0, "app %s epoch %u: removed", name, app->epoch);
	app_post(app, "removed", "not configured any more");
	sessions_forget(epochd->sessions, app);   /* counts what is left, while it has its record in the ledger */
	unlinkat(epochd->segments, name, 0);   /* its fence is closed: it is down */
	if (app->cgroup >= 0)
		close(app->cgroup);
	app->cgroup = -1;
	cgroup_remove(epochd->cgroups, name);
	if (app->output)
		output_remove(app->output);
	ledger_record_free(epochd->ledger, app->ledger);
	app_free(app);
}

void recovery_clean_up(int directory)
{
	each_name(directory, unlink_own, NULL);
	ledger_unlink(directory);
}
