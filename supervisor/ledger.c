#include <config.h>

#include "supervisor/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/identity.h"

#define LEDGER_FILE ".ledger"
#define LEDGER_MAGIC 0x3172646c64637045ull   /* "Epcdldr1" */

enum { RECORDS_AT = 4096 };

struct ledger_header {
	_Atomic uint64_t magic;   /* last */
	uint32_t layout;
	uint32_t record_size;
	char uuid[40];
	char boot_id[40];
	char cgroup[512];
	struct ledger_count count;
};

struct ledger {
	int fd;
	unsigned char *page;      /* the whole range that it may ever have, so that no record moves */
	uint32_t backed;          /* records that are allocated */
	uint32_t *hash;           /* of each one's name, so that a search reads few of them; 0: it is free */
};

static size_t range_size(void)
{
	return RECORDS_AT + (size_t)LEDGER_RECORDS_MAX * sizeof(struct ledger_record);
}

static struct ledger_header *header_of(const struct ledger *ledger)
{
	return (struct ledger_header *)ledger->page;
}

static struct ledger_record *record_at(const struct ledger *ledger, uint32_t index)
{
	return (struct ledger_record *)(ledger->page + RECORDS_AT) + index;
}

/* FNV-1a; never 0. */
static uint32_t hash_of(const struct ledger_record *record)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < sizeof record->app && record->app[i]; i++)
		hash = (hash ^ (unsigned char)record->app[i]) * 16777619u;
	return hash | 1;
}

static bool is_good(const struct ledger_header *header, const struct stat *st, const char **why)
{
	*why = NULL;
	if (!S_ISREG(st->st_mode) || st->st_uid != geteuid() || st->st_size < RECORDS_AT ||
	    st->st_size > (off_t)range_size())
		*why = "it is not a ledger of ours";
	else if (atomic_load_explicit(&header->magic, memory_order_relaxed) != LEDGER_MAGIC)
		*why = "it has no ledger's magic";   /* relaxed: a private copy */
	else if (header->layout != LEDGER_LAYOUT ||
		 header->record_size != sizeof(struct ledger_record))
		*why = "its layout is of another version";
	else if (!memchr(header->uuid, '\0', sizeof header->uuid) ||
		 !memchr(header->boot_id, '\0', sizeof header->boot_id) ||
		 !memchr(header->cgroup, '\0', sizeof header->cgroup))
		*why = "its texts have no end";
	return !*why;
}

/* The fd of a good one, with its header copied (I6); -ENOENT; -EBADMSG and *why. */
static int open_good(int directory, struct ledger_header *copy, struct stat *st, const char **why)
{
	int fd = openat(directory, LEDGER_FILE, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	*why = NULL;
	if (fd < 0)
		return -errno;
	if (fstat(fd, st) == 0 && pread(fd, copy, sizeof *copy, 0) == (ssize_t)sizeof *copy) {
		if (is_good(copy, st, why))
			return fd;
	} else {
		*why = "it cannot be read";
	}
	close(fd);
	return -EBADMSG;
}

int ledger_peek(int directory, char uuid[static 40])
{
	struct ledger_header copy;
	const char *why;
	struct stat st;
	int fd = open_good(directory, &copy, &st, &why);

	if (fd < 0)
		return 0;
	close(fd);
	memcpy(uuid, copy.uuid, sizeof copy.uuid);
	return 1;
}

uint32_t ledger_other_layout(int directory, const char *boot_id)
{
	int fd = openat(directory, LEDGER_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct ledger_header copy;
	bool other;

	if (fd < 0)
		return 0;
	other = pread(fd, &copy, sizeof copy, 0) == (ssize_t)sizeof copy &&
		/* Relaxed: a private copy. What stands up to boot_id is the same in every layout. */
		atomic_load_explicit(&copy.magic, memory_order_relaxed) == LEDGER_MAGIC &&
		copy.layout != LEDGER_LAYOUT && copy.layout && copy.layout < 1000 &&
		memchr(copy.boot_id, '\0', sizeof copy.boot_id) && strcmp(copy.boot_id, boot_id) == 0;
	close(fd);
	return other ? copy.layout : 0;
}

static int map_range(struct ledger *ledger)
{
	ledger->hash = calloc(LEDGER_RECORDS_MAX, sizeof *ledger->hash);
	if (!ledger->hash)
		return -ENOMEM;
	ledger->page = mmap(NULL, range_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			    ledger->fd, 0);
	if (ledger->page == MAP_FAILED)
		return -errno;
	for (uint32_t i = 0; i < ledger->backed; i++)
		if (record_at(ledger, i)->app[0])
			ledger->hash[i] = hash_of(record_at(ledger, i));
	return 0;
}

static int make(struct ledger *ledger, int directory, const char *uuid, const char *boot_id)
{
	struct ledger_header *header;
	int r;

	unlinkat(directory, LEDGER_FILE, 0);
	ledger->fd = openat(directory, LEDGER_FILE, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0600);
	if (ledger->fd < 0)
		return -errno;
	r = posix_fallocate(ledger->fd, 0, RECORDS_AT);
	if (r)
		return -r;
	r = map_range(ledger);
	if (r < 0)
		return r;
	header = header_of(ledger);
	header->layout = LEDGER_LAYOUT;
	header->record_size = sizeof(struct ledger_record);
	snprintf(header->uuid, sizeof header->uuid, "%s", uuid);
	snprintf(header->boot_id, sizeof header->boot_id, "%s", boot_id);
	/* Release: a supervisor after us that sees the magic sees the rest. */
	atomic_store_explicit(&header->magic, LEDGER_MAGIC, memory_order_release);
	return 0;
}

int ledger_open(struct ledger **out, int directory, const char *uuid, const char *boot_id, bool *fresh,
		const char **why)
{
	struct ledger *ledger = calloc(1, sizeof *ledger);
	struct ledger_header copy;
	struct stat st = { 0 };
	int r;

	if (!ledger)
		return -ENOMEM;
	ledger->page = MAP_FAILED;
	ledger->fd = open_good(directory, &copy, &st, why);
	*fresh = ledger->fd < 0 || strcmp(copy.uuid, uuid) != 0 ||
		 strcmp(copy.boot_id, boot_id) != 0;
	if (*fresh) {
		if (ledger->fd >= 0)
			close(ledger->fd);
		r = make(ledger, directory, uuid, boot_id);
	} else {
		ledger->backed = (uint32_t)(((size_t)st.st_size - RECORDS_AT) /
					    sizeof(struct ledger_record));
		r = map_range(ledger);
	}
	if (r < 0) {
		ledger_close(ledger);
		return r;
	}
	*out = ledger;
	return 0;
}

void ledger_close(struct ledger *ledger)
{
	if (!ledger)
		return;
	if (ledger->page != MAP_FAILED)
		munmap(ledger->page, range_size());
	if (ledger->fd >= 0)
		close(ledger->fd);
	free(ledger->hash);
	free(ledger);
}

void ledger_unlink(int directory)
{
	unlinkat(directory, LEDGER_FILE, 0);
}

/* A hole of a full tmpfs is SIGBUS: allocated before it is touched, in steps of a page or more. */
static int back_more(struct ledger *ledger)
{
	enum { STEP = 16 };
	int r;

	if (ledger->backed + STEP > LEDGER_RECORDS_MAX)
		return -ENOSPC;
	r = posix_fallocate(ledger->fd, 0,
			    (off_t)(RECORDS_AT + (ledger->backed + STEP) *
						 sizeof(struct ledger_record)));
	if (r)
		return -r;
	ledger->backed += STEP;
	return 0;
}

int ledger_record_get(struct ledger_record **out, struct ledger *ledger, const char *app)
{
	struct ledger_record wanted = { 0 };
	uint32_t i, hash, free_one = UINT32_MAX;
	int r;

	snprintf(wanted.app, sizeof wanted.app, "%s", app);
	hash = hash_of(&wanted);
	for (i = 0; i < ledger->backed; i++) {
		*out = record_at(ledger, i);
		if (ledger->hash[i] == hash &&
		    strncmp((*out)->app, wanted.app, sizeof wanted.app) == 0)
			return 0;
		if (!ledger->hash[i] && free_one == UINT32_MAX)
			free_one = i;
	}
	if (free_one == UINT32_MAX) {
		free_one = ledger->backed;
		r = back_more(ledger);
		if (r < 0)
			return r;
	}
	*out = record_at(ledger, free_one);
	**out = wanted;
	ledger->hash[free_one] = hash;
	return 0;
}

void ledger_record_free(struct ledger *ledger, struct ledger_record *record)
{
	ledger->hash[ledger_index(ledger, record) - 1] = 0;
	memset(record, 0, sizeof *record);
}

uint32_t ledger_index(const struct ledger *ledger, const struct ledger_record *record)
{
	return 1 + (uint32_t)(record - record_at(ledger, 0));
}

const struct ledger_record *ledger_record_of(const struct ledger *ledger, uint32_t index)
{
	const struct ledger_record *record;

	if (index == 0 || index > ledger->backed)
		return NULL;
	record = record_at(ledger, index - 1);
	return record->app[0] && memchr(record->app, '\0', sizeof record->app) ? record : NULL;
}

void ledger_each(struct ledger *ledger, ledger_fn *fn, void *user)
{
	for (uint32_t i = 0; i < ledger->backed; i++) {
		struct ledger_record *record = record_at(ledger, i);

		if (record->app[0] && memchr(record->app, '\0', sizeof record->app))
			fn(record, user);
	}
}

struct ledger_count *ledger_count(struct ledger *ledger)
{
	return &header_of(ledger)->count;
}

const char *ledger_cgroup(const struct ledger *ledger)
{
	return header_of(ledger)->cgroup;
}

void ledger_set_cgroup(struct ledger *ledger, const char *path)
{
	snprintf(header_of(ledger)->cgroup, sizeof header_of(ledger)->cgroup, "%s", path ? path : "");
}

/* The identity word: see struct ledger_record. Whatever it is, nothing beyond them is touched. */
static unsigned index_now(uint64_t word) { return (word & 15) % LEDGER_IDENTITIES; }
static unsigned index_first(uint64_t word) { return (word >> 4 & 15) % LEDGER_IDENTITIES; }

void ledger_identity_set(struct ledger_record *record, uint32_t epoch, const struct identity *identity)
{
	/* Relaxed: this thread alone writes it. */
	uint64_t word = atomic_load_explicit(&record->identity_word, memory_order_relaxed);
	unsigned first = index_first(word), now = index_now(word), index = 0;

	while (index == first || index == now)
		index++;
	if (word >> 8 != epoch || record->identity[first].pid == identity->pid)
		first = index;
	record->identity[index] = (struct ledger_identity){
		.pid = identity->pid, .start_ticks = identity->start_ticks,
		.pidfd_inode = identity->pidfd_inode,
	};
	/* Release: whoever finds the word after a kill finds the ones that it names whole (I5). */
	atomic_store_explicit(&record->identity_word, (uint64_t)epoch << 8 | first << 4 | index,
			      memory_order_release);
}

static struct identity identity_at(const struct ledger_record *record, unsigned index)
{
	const struct ledger_identity *known = &record->identity[index];

	return (struct identity){ .pid = known->pid, .start_ticks = known->start_ticks,
				  .pidfd_inode = known->pidfd_inode };
}

bool ledger_identity_get(const struct ledger_record *record, uint32_t epoch, struct identity *out)
{
	/* Acquire, with the release in ledger_identity_set(). */
	uint64_t word = atomic_load_explicit(&record->identity_word, memory_order_acquire);
	bool known = epoch && word >> 8 == epoch;

	*out = known ? identity_at(record, index_now(word)) : (struct identity){ 0 };
	return known;
}

bool ledger_identity_first(const struct ledger_record *record, uint32_t epoch, struct identity *out)
{
	/* Acquire, as above. */
	uint64_t word = atomic_load_explicit(&record->identity_word, memory_order_acquire);
	bool other = epoch && word >> 8 == epoch && index_first(word) != index_now(word);

	*out = other ? identity_at(record, index_first(word)) : (struct identity){ 0 };
	return other;
}

struct ledger_incarnation *ledger_incarnation_find(struct ledger_record *record, uint32_t epoch)
{
	for (int i = 0; i < LEDGER_INCARNATIONS; i++)
		/* Relaxed: one thread writes and reads; only a kill can come between (I5). */
		if (epoch && atomic_load_explicit(&record->incarnation[i].epoch,
						  memory_order_relaxed) == epoch)
			return &record->incarnation[i];
	return NULL;
}

struct ledger_incarnation *ledger_incarnation_add(struct ledger_record *record, uint32_t epoch,
						  int64_t started_at, enum ep_cause restart)
{
	struct ledger_incarnation *entry = ledger_incarnation_find(record, epoch);

	for (int i = 0; !entry && i < LEDGER_INCARNATIONS; i++)
		/* Relaxed: as above. */
		if (!atomic_load_explicit(&record->incarnation[i].epoch, memory_order_relaxed))
			entry = &record->incarnation[i];
	if (!entry)
		return NULL;
	memset(entry, 0, sizeof *entry);
	entry->started_at = started_at;
	entry->restart = (uint16_t)restart;
	/* Release: whoever reads the epoch after a kill finds the rest written (I5). */
	atomic_store_explicit(&entry->epoch, epoch, memory_order_release);
	return entry;
}

/* The low half of a fence word holds all of an end but its cause, which stands above it. */
static uint32_t pack_end(struct ep_end end)
{
	return (uint32_t)end.cause << 16 | (uint32_t)(ep_fence_pack(0, EP_DOWN, end) & 0xffff);
}

void ledger_incarnation_end(struct ledger_incarnation *incarnation, struct ep_end end, int64_t ended_at)
{
	incarnation->ended_at = ended_at;
	/* Release: as in ledger_incarnation_add(). */
	atomic_store_explicit(&incarnation->ended, 1u << 31 | pack_end(end), memory_order_release);
}

bool ledger_incarnation_has_ended(const struct ledger_incarnation *incarnation, struct ep_end *end)
{
	/* Acquire, with the release in ledger_incarnation_end(). */
	uint32_t ended = atomic_load_explicit(&incarnation->ended, memory_order_acquire);

	if (!ended)
		return false;
	*end = ep_fence_end((uint64_t)(ended >> 16 & 15) << 32 | (ended & 0xffff));
	return true;
}

void ledger_incarnations_drop(struct ledger_record *record, uint32_t durable_through)
{
	for (int i = 0; i < LEDGER_INCARNATIONS; i++) {
		struct ledger_incarnation *entry = &record->incarnation[i];
		/* Relaxed: as above. */
		uint32_t epoch = atomic_load_explicit(&entry->epoch, memory_order_relaxed);
		struct ep_end end;

		if (epoch && epoch <= durable_through && ledger_incarnation_has_ended(entry, &end))
			atomic_store_explicit(&entry->epoch, 0, memory_order_relaxed);
	}
}

void ledger_peek_identities(int directory, const char *boot_id, ledger_identity_fn *fn, void *user)
{
	struct ledger_record record;
	struct ledger_header copy;
	struct identity identity;
	const char *why;
	struct stat st;
	int fd = open_good(directory, &copy, &st, &why);

	if (fd < 0)
		return;
	for (off_t at = RECORDS_AT; strcmp(copy.boot_id, boot_id) == 0 &&
				    pread(fd, &record, sizeof record, at) == (ssize_t)sizeof record;
	     at += (off_t)sizeof record) {
		/* Relaxed: a private copy (I6). */
		uint32_t epoch = (uint32_t)(atomic_load_explicit(&record.identity_word, memory_order_relaxed) >> 8);

		if (record.app[0] && ledger_identity_get(&record, epoch, &identity))
			fn(&identity, user);
	}
	close(fd);
}
