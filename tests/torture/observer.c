/* `observer REGISTRY DATABASE APPLICATION CONTROL`: holds the invariants against what anybody can read, the registry, the
 * database and what the peers write down for the driver, until SIGTERM, whoever is killed meanwhile. Status 0: none was broken,
 * and how much was seen. What stands in the channels themselves (I5, I8) the driver compares; that nobody is waited for (I9)
 * shows in that messages and epochs go on. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "apilib/registry.h"
#include "tests/torture/torture.h"

static volatile sig_atomic_t over;
static const char *path, *app;
static const struct ep_page *page;
static struct stat mapped;
static sqlite3 *db;
static uint32_t epoch, asked_epoch;
static uint64_t totals[EP_TOTALS], last[EP_SLOTS_MIN];
static uint64_t looks, epochs, handles, questions, words, received_most;
static const struct control *control;
static const time_t patience = 90;   /* s: more than any deadline there is */

static void on_term(int signal)
{
	(void)signal;
	over = 1;
}

__attribute__((format(printf, 1, 2), noreturn)) static void broken(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("observer: BROKEN: ", stderr);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

/* ---- the registry ---- */

static void map_file(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && (!page || st.st_ino != mapped.st_ino)) {
		if (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
			broken("I4: others than the supervisor may write the registry: mode %o, uid %u",
			       (unsigned)st.st_mode & 07777, (unsigned)st.st_uid);
		/* I3: none is left behind that says it serves. */
		if (page && ep_fence_is_serving(atomic_load(&page->fence)))
			broken("I3: a registry was replaced whose fence serves epoch %u",
			       ep_fence_epoch(atomic_load(&page->fence)));
		page = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
		if (page == MAP_FAILED)
			broken("mmap: %s", strerrorname_np(errno));
		mapped = st;
	}
	close(fd);
}

static void look_at_fence(void)
{
	uint64_t fence = atomic_load(&page->fence);

	if (!ep_fence_is_sane(fence))
		broken("the fence word %#" PRIx64 " contradicts itself", fence);
	if (ep_fence_epoch(fence) < epoch)
		broken("I2: epoch %u after %u", ep_fence_epoch(fence), epoch);
	epochs += ep_fence_epoch(fence) != epoch;
	epoch = ep_fence_epoch(fence);
}

static void look_at_totals(void)
{
	for (int i = 0; i < EP_TOTALS; i++) {
		uint64_t total = atomic_load(&page->total[i]);

		if (total < totals[i])
			broken("I8: total %d is %" PRIu64 ", and was %" PRIu64, i, total, totals[i]);
		totals[i] = total;
	}
}

/* I3: a handle is given once. The fence is read after it: it is of that epoch or an earlier one. */
static void look_at_slots(void)
{
	uint32_t backed = atomic_load(&page->slots_backed);

	for (uint32_t i = 0; i < backed && i < EP_SLOTS_MIN; i++) {
		uint64_t handle = atomic_load(&ep_registry_slots(page)[i].handle);

		if (!handle || handle == last[i])
			continue;
		if (ep_handle_index(handle) != i || !ep_handle_generation(handle) || handle < last[i])
			broken("I3: slot %u has handle %#" PRIx64 " after %#" PRIx64, i, handle, last[i]);
		if (ep_handle_epoch(handle) > ep_fence_epoch(atomic_load(&page->fence)))
			broken("I3: handle %#" PRIx64 " is of an epoch to come", handle);
		last[i] = handle;
		handles++;
	}
}

/* I5, I6: a slot whose handle is good names a whole client, at whichever store its writer was killed. */
static void look_at_words(void)
{
	uint32_t backed = atomic_load(&page->slots_backed);

	for (uint32_t i = 0; i < backed && i < EP_SLOTS_MIN; i++) {
		const struct ep_slot *slot = &ep_registry_slots(page)[i];
		uint64_t handle = atomic_load(&slot->handle), owed, latest;
		struct ep_slot copy;

		if (!handle)
			continue;
		owed = atomic_load(&slot->owed);
		latest = atomic_load(&slot->last);
		memcpy(&copy, (const void *)slot, sizeof copy);
		if (atomic_load(&slot->handle) != handle)   /* it was ended meanwhile */
			continue;
		if (owed != handle || latest != handle)
			broken("I5: slot %u has handle %#" PRIx64 ", owes %#" PRIx64 ", last given %#" PRIx64, i, handle, owed,
			       latest);
		if (copy.pid <= 0 || !copy.channel_inode || !memchr(copy.name, 0, sizeof copy.name) || i >= page->slot_count)
			broken("I6: slot %u of handle %#" PRIx64 " makes no sense", i, handle);
		words++;
	}
}

static time_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

/* I10, and that nobody waits for anybody for ever: whatever is killed, messages are received. */
static void look_at_traffic(void)
{
	static time_t moved;
	uint64_t sum = 0;

	for (int i = 0; i < CLIENTS; i++)
		sum += atomic_load(&control->client[i].received) + atomic_load(&control->client[i].sent);
	if (sum != received_most || !moved) {
		received_most = sum;
		moved = now();
	}
	if (now() - moved > patience)
		broken("I10: no message for %d s", (int)patience);
}

static void map_control(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	control = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, fd, 0);
	if (control == MAP_FAILED)
		broken("%s: %s", file, strerrorname_np(errno));
	close(fd);
}

/* ---- the database ---- */

static int64_t ask(const char *query)
{
	sqlite3_stmt *stmt = NULL;
	int64_t answer = -1;

	if (sqlite3_prepare_v2(db, query, -1, &stmt, NULL) == SQLITE_OK) {
		sqlite3_bind_text(stmt, 1, app, -1, SQLITE_STATIC);
		if (sqlite3_step(stmt) == SQLITE_ROW)
			answer = sqlite3_column_int64(stmt, 0);
	}
	sqlite3_finalize(stmt);
	questions++;
	return answer;   /* -1: not now */
}

/* What was seen in shared memory before is in the database by now, if it had to be. */
static void look_at_database(void)
{
	static int64_t restarts_before;
	static time_t ran_alone;   /* when that was so */

	int64_t reserved, running, restarts;

	if (epoch != asked_epoch) {
		reserved = ask("SELECT reserved FROM application WHERE name = ?");
		if (reserved >= 0 && reserved < epoch)
			broken("I1: epoch %u was seen, and %" PRId64 " are durable", epoch, reserved);
		if (reserved >= 0)
			asked_epoch = epoch;
	}
	running = ask("SELECT count(*) FROM incarnation WHERE app = ? AND started_at IS NOT NULL AND cause IS NULL");
	/* The row of one that ended is left out of a commit while it grows, for what was reclaimed of it, and is in the
	 * next one: so for a moment it can look as if it ran. */
	if (running <= 1 || !ran_alone)
		ran_alone = now();
	else if (now() - ran_alone > 20)
		broken("I7: %" PRId64 " incarnations have not ended", running);
	/* The registry is first: read the other one first. */
	restarts = ask("SELECT crashed + unseen FROM application WHERE name = ?");
	look_at_totals();
	if (restarts >= 0 && (uint64_t)restarts > totals[ep_total_of_restart(EP_CRASHED)] +
						    totals[ep_total_of_restart(EP_UNSEEN)])
		broken("I8: %" PRId64 " restarts in the database, fewer in the registry", restarts);
	if (restarts >= 0 && restarts < restarts_before)
		broken("I8: %" PRId64 " restarts in the database, and there were %" PRId64, restarts, restarts_before);
	restarts_before = restarts > restarts_before ? restarts : restarts_before;
}

int main(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = 200000 };

	if (argc != 5)
		return 2;
	path = argv[1];
	app = argv[3];
	map_control(argv[4]);
	signal(SIGTERM, on_term);
	while (sqlite3_open_v2(argv[2], &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK && !over) {
		sqlite3_close(db);
		nanosleep(&pause, NULL);
	}
	while (!over) {
		if (looks % 64 == 0)
			map_file();
		if (page) {
			look_at_fence();
			look_at_totals();
			look_at_slots();
			look_at_words();
			look_at_traffic();
			if (looks % 256 == 0 || epoch != asked_epoch)
				look_at_database();
		}
		looks++;
		nanosleep(&pause, NULL);
	}
	sqlite3_close(db);
	printf("observer: %" PRIu64 " looks, %" PRIu64 " epochs, %" PRIu64 " handles, %" PRIu64
	       " questions to the database, %" PRIu64 " slots; no invariant was broken\n", looks, epochs, handles, questions,
	       words);
	return epochs ? 0 : 1;
}
