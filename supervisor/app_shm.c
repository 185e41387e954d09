/* What earlier runs of an application have left in /dev/shm, and its `shm` patterns name: removed before it is started,
 * and when it has ended for good. */
#include <config.h>

#include "supervisor/app_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "apilib/registry.h"
#include "store/store.h"
#include "supervisor/configuration.h"
#include "supervisor/epochd.h"
#include "supervisor/log.h"
#include "supervisor/printable.h"
#include "supervisor/shm.h"

enum { NAMES_SIZE = 3600, SAID = 16 };   /* bytes of names that are listed; lines about what was left */

struct cleaning {
	struct app *app;
	uint64_t files, bytes;
	json_t *names;
	size_t names_size;
	unsigned left;
};

static void count(struct app *app, enum ep_total_id which, uint64_t more)
{
	_Atomic uint64_t *total = &app->registry->total[which];

	/* Relaxed: an odometer, and this thread is its only writer (I4). */
	atomic_store_explicit(total, atomic_load_explicit(total, memory_order_relaxed) + more, memory_order_relaxed);
}

static void say_left(struct cleaning *cleaning, const struct shm_found *found, const char *name)
{
	const struct app *app = cleaning->app;

	if (++cleaning->left > SAID)
		return;
	if (found->outcome == SHM_HELD && found->holder)
		log_notice(0, "app %s: /dev/shm/%s: held by pid %d: left", app_name(app), name, (int)found->holder);
	else if (found->outcome == SHM_HELD)
		log_notice(0, "app %s: /dev/shm/%s: held by somebody: left", app_name(app), name);
	else if (found->outcome == SHM_FAILED)
		log_error(found->error, "app %s: /dev/shm/%s: left", app_name(app), name);
	else
		log_notice(0, "app %s: /dev/shm/%s: %s: left", app_name(app), name,
			   found->outcome == SHM_OTHERS ? "another user's" : "no regular file");
}

static void on_found(const struct shm_found *found, void *user)
{
	struct cleaning *cleaning = user;
	char name[256];

	snprintf(name, sizeof name, "%s", found->name);
	make_printable(name, sizeof name - 1);
	if (found->outcome != SHM_REMOVED) {
		say_left(cleaning, found, name);
		return;
	}
	count(cleaning->app, EP_TOTAL_SHM_CLEANED_FILES, 1);
	count(cleaning->app, EP_TOTAL_SHM_CLEANED_BYTES, found->bytes);
	cleaning->files++;
	cleaning->bytes += found->bytes;
	/* As JSON it can be longer: "\"" and "\\" are two bytes each. */
	cleaning->names_size += 2 * strlen(name) + 4;
	if (cleaning->names_size < NAMES_SIZE)
		json_array_append_new(cleaning->names, json_sprintf("/%s", name));
}

static void list(struct cleaning *cleaning, uint32_t epoch)
{
	struct app *app = cleaning->app;
	json_t *json = json_pack("{s:I, s:I, s:O}", "files", (json_int_t)cleaning->files, "bytes",
				 (json_int_t)cleaning->bytes, "names", cleaning->names);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	const struct store_incarnation row = { .epoch = epoch, .code = -1, .oom = -1, .shm = text };

	log_notice(0, "app %s: %llu stale files removed from /dev/shm, %llu bytes", app_name(app),
		   (unsigned long long)cleaning->files, (unsigned long long)cleaning->bytes);
	if (text)
		app_post(app, "shm_cleaned", text);
	if (text && epoch && store_app_incarnation(app->stored, &row) < 0)
		log_error(-ENOMEM, "app %s epoch %u: what was removed is in the totals only", app_name(app), epoch);
	free(text);
	json_decref(json);
	app_save(app);
}

void app_clean_shm(struct app *app, uint32_t epoch)
{
	struct cleaning cleaning = { .app = app };
	uid_t owner = app->config->uid == (uid_t)-1 ? geteuid() : app->config->uid;
	int r;

	if (!app->config->shm || !app->registry)
		return;
	cleaning.names = json_array();
	r = shm_clean("/dev/shm", app->config->shm, owner, on_found, &cleaning);
	if (r < 0)
		log_error(r, "app %s: /dev/shm cannot be looked through", app_name(app));
	if (cleaning.left > SAID)
		log_notice(0, "app %s: %u more files of those in `shm` are left", app_name(app), cleaning.left - SAID);
	if (cleaning.files)
		list(&cleaning, epoch);
	json_decref(cleaning.names);
}
