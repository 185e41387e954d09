/* kv-server: a small key-value service over libepochd. epochd starts it:
 *
 *   application "kv" {
 *           command = { "kv-server" }
 *           readiness = attach
 *   }
 *
 * With a name, `kv-server kv`, it is an external application, which somebody else starts:
 *
 *   application "kv" { external = true }
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "kv.h"

static struct epochd_app *app;

struct store {
	uint64_t value[KV_KEYS];
	unsigned char there[KV_KEYS];
};

static void reply(const struct epochd_message *message, const struct store *store, uint64_t key)
{
	struct kv_value value = { .key = key, .epoch = epochd_app_epoch(app) };

	if (key < KV_KEYS) {
		value.found = store->there[key];
		value.value = store->value[key];
	}
	/* -EAGAIN: it does not read its replies; then it goes without. */
	epochd_reply(app, message, kv_value_id, &value, sizeof value);
}

static void on_get(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const struct kv_get *get = message->payload;

	(void)of;
	reply(message, user, get->key);
}

static void on_put(struct epochd_app *of, const struct epochd_message *message, void *user)
{
	const struct kv_put *put = message->payload;
	struct store *store = user;

	(void)of;
	if (put->key < KV_KEYS) {
		store->value[put->key] = put->value;
		store->there[put->key] = 1;
	}
	reply(message, store, put->key);
}

static void on_gone(struct epochd_app *of, const struct epochd_peer *peer, int why, void *user)
{
	(void)of;
	(void)user;
	if (why != EPOCHD_GONE_GOODBYE)
		fprintf(stderr, "kv-server: client %s, pid %d, is gone\n", peer->name, (int)peer->pid);
}

static void on_signal(int signal)
{
	(void)signal;
	epochd_stop(app);
}

int main(int argc, char **argv)
{
	static struct store store;
	char why[256] = "";
	struct epochd_options options = { .why = why, .why_size = sizeof why, .name = argc > 1 ? argv[1] : NULL };
	struct sigaction end = { .sa_handler = on_signal };
	int r = epochd_attach(&app, kv_messages, kv_count, &options);

	if (r < 0) {
		fprintf(stderr, "kv-server: %s\n", why);
		return 1;
	}
	epochd_handle(app, kv_get_id, on_get, &store);
	epochd_handle(app, kv_put_id, on_put, &store);
	epochd_on_gone(app, on_gone, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	r = epochd_run(app);
	if (r < 0)
		fprintf(stderr, "kv-server: epoch %u: %s\n", (unsigned)epochd_app_epoch(app), strerror(-r));
	epochd_detach(app);
	return r < 0;
}
