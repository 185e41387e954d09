/* `epochctl trace replay`: what an application received is sent to it once more, by a client for each that there was, in the
 * order of the trace; and what it replies is compared with what it replied then. Connections are made as they are needed
 * and never replayed: a trace holds messages only. */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "apilib/layout.h"
#include "supervisor/ctl/from_json.h"
#include "supervisor/ctl/text.h"
#include "supervisor/ctl/trace.h"
#include "supervisor/freep.h"

enum { ASKED_BUCKETS = 1 << 16, SAID = 20, MISSED_IN_A_ROW = 3 };

/* epochd_call()'s contexts are its own: they are sent under another number. */
#define CALL_BIT (1ull << 63)
#define INSTEAD_BIT (1ull << 62)

/* A reply that has come and is yet to be compared. */
struct reply {
	STAILQ_ENTRY(reply) link;
	uint32_t type, size;
	unsigned char payload[];
};

/* What a client asked under one context. */
struct asked {
	SLIST_ENTRY(asked) link;
	uint32_t client;
	uint64_t context;
	bool recorded;                   /* the trace has a reply */
	STAILQ_HEAD(, reply) replies;
};

struct player {
	struct epochd_client *client;
	uint64_t handle;                 /* in the trace */
};

struct replay {
	struct ctl *ctl;
	const struct trace_file *file;
	const char *app;
	int64_t timeout;                 /* ns */
	struct player *players;
	uint32_t player_count;
	uint32_t *number_of;             /* by type of the file: of the application's, as an ADOPT client has it */
	SLIST_HEAD(, asked) asked[ASKED_BUCKETS];

	uint64_t sent, replies, cut, unasked, unrecorded, differ;
	unsigned missed_in_a_row;
	json_t *differences;             /* the first of them */
};

/* ---- clients ---- */

static struct epochd_client *client_of(const struct replay *replay, uint32_t player)
{
	return player < replay->player_count ? replay->players[player].client : NULL;
}

/* All have the same. */
static const struct epochd_type *type_of(const struct replay *replay, uint32_t number)
{
	const struct epochd_client *client = client_of(replay, 0);

	return client ? epochd_client_type(client, number) : NULL;
}

static int connect_player(struct replay *replay, uint64_t handle)
{
	struct player *grown = realloc(replay->players, (replay->player_count + 1) * sizeof *grown);
	char why[300] = "";
	const struct epochd_options options = { .instance = replay->ctl->name, .runtime_dir = replay->ctl->base,
						.name = "epochctl replay", .flags = EPOCHD_ADOPT,
						.timeout = replay->timeout, .why = why, .why_size = sizeof why };
	int r;

	if (!grown)
		return ctl_no_memory();
	replay->players = grown;
	grown[replay->player_count] = (struct player){ .handle = handle };
	r = epochd_connect(&grown[replay->player_count].client, replay->app, NULL, 0, &options);
	if (r < 0) {
		ctl_complain("%s: %s", replay->app, why);
		return r == -ETIMEDOUT ? EXIT_TIMEOUT : EXIT_REFUSED;
	}
	replay->player_count++;
	return EXIT_GOOD;
}

/* UINT32_MAX: it has none. The last one is asked for again and again. */
static uint32_t player_of(const struct replay *replay, uint64_t handle)
{
	for (uint32_t i = replay->player_count; i-- > 0;)
		if (replay->players[i].handle == handle)
			return i;
	return UINT32_MAX;
}

static uint64_t context_of(uint64_t context)
{
	return context & CALL_BIT ? (context & ~CALL_BIT) | INSTEAD_BIT : context;
}

/* ---- what was asked ---- */

static size_t bucket_of(uint32_t client, uint64_t context)
{
	return (context * 0x9e3779b97f4a7c15 + client * 0xff51afd7ed558ccd) >> 48;
}

static struct asked *find(const struct replay *replay, uint32_t client, uint64_t context)
{
	struct asked *asked;

	SLIST_FOREACH(asked, &replay->asked[bucket_of(client, context)], link)
		if (asked->client == client && asked->context == context)
			return asked;
	return NULL;
}

static struct asked *find_or_add(struct replay *replay, uint32_t client, uint64_t context)
{
	struct asked *asked = find(replay, client, context);

	if (asked)
		return asked;
	asked = calloc(1, sizeof *asked);
	if (!asked)
		return NULL;
	asked->client = client;
	asked->context = context;
	STAILQ_INIT(&asked->replies);
	SLIST_INSERT_HEAD(&replay->asked[bucket_of(client, context)], asked, link);
	return asked;
}

static void free_asked(struct asked *asked)
{
	struct reply *reply;

	while ((reply = STAILQ_FIRST(&asked->replies))) {
		STAILQ_REMOVE_HEAD(&asked->replies, link);
		free(reply);
	}
	free(asked);
}

/* ---- what is replied ---- */

static int take(struct replay *replay, uint32_t client, const struct epochd_message *message)
{
	struct asked *asked = find(replay, client, message->context);
	struct reply *reply = asked ? malloc(sizeof *reply + message->size) : NULL;

	if (!asked) {
		replay->unasked++;
		return EXIT_GOOD;
	}
	if (!reply)
		return ctl_no_memory();
	reply->type = message->type;
	reply->size = message->size;
	memcpy(reply->payload, message->payload, message->size);
	STAILQ_INSERT_TAIL(&asked->replies, reply, link);
	return EXIT_GOOD;
}

static int failed(const struct replay *replay, uint32_t client, int r)
{
	const char *why = epochd_client_why(client_of(replay, client));

	if (r == -ESTALE)
		ctl_complain("%s ended amid the replay, after %" PRIu64 " messages", replay->app, replay->sent);
	else
		ctl_complain("%s: %s", replay->app, *why ? why : strerror(-r));
	return EXIT_REFUSED;
}

/* One message, whatever it is. EXIT_TIMEOUT: none has come, and nothing was told. */
static int receive(struct replay *replay, uint32_t client, int64_t timeout)
{
	struct epochd_client *from = client_of(replay, client);
	struct epochd_message message;
	int r = epochd_receive(from, &message, timeout);

	if (r == -ETIMEDOUT || r == -EAGAIN)
		return EXIT_TIMEOUT;
	if (r < 0)
		return failed(replay, client, r);
	r = take(replay, client, &message);
	epochd_release(from, &message);
	return r;
}

static char *json_or_null(const struct epochd_type *type, const void *payload, uint32_t size)
{
	char *text = type ? message_to_json(type, payload, size) : NULL;

	return text ? text : strdup("null");
}

static json_t *side_json(const struct epochd_type *type, const void *payload, uint32_t size, bool whole)
{
	CLEANUP(freep) char *text = json_or_null(type, payload, size);
	json_t *fields = whole && text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

	return json_pack("{s:s, s:I, s:o}", "message", type ? type->name : "?", "size", (json_int_t)size, "fields",
			 fields ? fields : json_null());
}

/* reply: NULL: none came. */
static void differs(struct replay *replay, const struct trace_entry *entry, const struct reply *reply)
{
	json_t *recorded, *now;

	if (++replay->differ > SAID)
		return;
	recorded = side_json(replay->file->types[entry->type], entry->payload, entry->size, entry->kept == entry->size);
	now = reply ? side_json(type_of(replay, reply->type), reply->payload, reply->size, true) : json_null();
	json_array_append_new(replay->differences, json_pack("{s:I, s:o, s:o}", "number", (json_int_t)entry->number,
							     "recorded", recorded, "now", now));
}

static bool is_same(const struct replay *replay, const struct trace_entry *entry, const struct reply *reply)
{
	return reply->type == replay->number_of[entry->type] && reply->size == entry->size &&
	       memcmp(reply->payload, entry->payload, entry->kept) == 0;
}

/* The trace has a reply here: it is awaited, and compared. */
static int expect(struct replay *replay, const struct trace_entry *entry)
{
	uint32_t client = player_of(replay, entry->handle);
	struct asked *asked = client == UINT32_MAX ? NULL : find(replay, client, context_of(entry->context));
	struct reply *reply;
	int r = EXIT_GOOD;

	if (!asked) {   /* said by itself, or asked before the range */
		replay->unasked += entry->kind == EP_TRACE_SENT;
		return EXIT_GOOD;
	}
	asked->recorded = true;
	while (r == EXIT_GOOD && STAILQ_EMPTY(&asked->replies))
		r = receive(replay, client, replay->timeout);
	if (r && r != EXIT_TIMEOUT)
		return r;
	reply = STAILQ_FIRST(&asked->replies);
	replay->replies += reply != NULL;
	replay->missed_in_a_row = reply ? 0 : replay->missed_in_a_row + 1;
	if (!reply || !is_same(replay, entry, reply))
		differs(replay, entry, reply);
	if (reply) {
		STAILQ_REMOVE_HEAD(&asked->replies, link);
		free(reply);
	}
	return EXIT_GOOD;
}

/* ---- what is sent ---- */

static int send_entry(struct replay *replay, const struct trace_entry *entry)
{
	uint32_t client = player_of(replay, entry->handle);
	int r = client == UINT32_MAX ? connect_player(replay, entry->handle) : EXIT_GOOD;

	if (r)
		return r;
	if (entry->kept < entry->size) {
		replay->cut++;
		return EXIT_GOOD;
	}
	if (client == UINT32_MAX)
		client = replay->player_count - 1;
	if (!find_or_add(replay, client, context_of(entry->context)))
		return ctl_no_memory();
	while ((r = epochd_send(client_of(replay, client), replay->number_of[entry->type],
				context_of(entry->context), entry->payload, entry->size)) == -EAGAIN) {
		r = receive(replay, client, 1000000);   /* room comes as it reads */
		if (r && r != EXIT_TIMEOUT)
			return r;
	}
	if (r < 0)
		return failed(replay, client, r);
	replay->sent++;
	return EXIT_GOOD;
}

/* ---- before anything is sent ---- */

static uint32_t number_named(const struct replay *replay, const char *name)
{
	const struct epochd_type *type;

	for (uint32_t i = 0; (type = type_of(replay, i)); i++)
		if (strcmp(type->name, name) == 0)
			return i;
	return UINT32_MAX;
}

static int check_type(struct replay *replay, uint32_t i)
{
	const struct epochd_type *then = replay->file->types[i], *now;
	char was[EP_TYPE_LAYOUT_MAX + 1], is[EP_TYPE_LAYOUT_MAX + 1];
	uint32_t number = number_named(replay, then->name);

	replay->number_of[i] = number;
	now = number == UINT32_MAX ? NULL : type_of(replay, number);
	if (!now) {
		ctl_complain("%s has no message %s any more, which the trace has", replay->app, then->name);
		return EXIT_REFUSED;
	}
	if (ep_type_layout(then, was, sizeof was) < 0 || ep_type_layout(now, is, sizeof is) < 0)
		return EXIT_TROUBLE;
	if (ep_layout_crc(was) == ep_layout_crc(is))
		return EXIT_GOOD;
	ctl_complain("%s is another message by now: the trace has %s, %s has %s", then->name, was, replay->app, is);
	return EXIT_REFUSED;
}

/* Of the range, which types there are: all of them must be what they were. Connects the first client. */
static int prepare(struct replay *replay, const struct range *range)
{
	CLEANUP(freep) char *seen = calloc(replay->file->type_count + 1u, 1);
	struct trace_cursor cursor = { 0 };
	struct trace_entry entry;
	int r = EXIT_GOOD;

	replay->number_of = calloc(replay->file->type_count + 1u, sizeof *replay->number_of);
	replay->differences = json_array();
	if (!seen || !replay->number_of || !replay->differences)
		return ctl_no_memory();
	while (r == EXIT_GOOD && trace_file_next(replay->file, &cursor, &entry) > 0 && entry.number <= range->last) {
		if (entry.number < range->first || seen[entry.type])
			continue;
		if (!replay->player_count)
			r = connect_player(replay, entry.handle);
		if (r == EXIT_GOOD)
			r = check_type(replay, entry.type);
		seen[entry.type] = 1;
	}
	return r;
}

/* ---- the outcome ---- */

static void look_for_more(struct replay *replay)
{
	for (uint32_t i = 0; i < replay->player_count; i++)
		while (receive(replay, i, 0) == EXIT_GOOD)
			;
	for (size_t i = 0; i < ASKED_BUCKETS; i++) {
		const struct asked *asked;
		const struct reply *reply;

		SLIST_FOREACH(asked, &replay->asked[i], link)
			STAILQ_FOREACH(reply, &asked->replies, link)
				*(asked->recorded ? &replay->differ : &replay->unrecorded) += 1;
	}
}

static void say_side(const char *what, const json_t *side)
{
	CLEANUP(freep) char *json = json_dumps(json_object_get(side, "fields"), JSON_ENCODE_ANY | JSON_COMPACT);
	CLEANUP(freep) char *text = json ? text_harmless(json) : NULL;

	if (json_is_object(side))
		printf("    %-8s %s %s\n", what, ctl_string(side, "message"), text ? text : "");
	else
		printf("    %-8s nothing\n", what);
}

static int say_outcome(const struct replay *replay)
{
	const json_t *difference;
	size_t i;

	printf("%" PRIu64 " messages of %u client%s sent again, %" PRIu64 " replies: ", replay->sent, replay->player_count,
	       replay->player_count == 1 ? "" : "s", replay->replies);
	if (replay->differ)
		printf("%" PRIu64 " differ\n", replay->differ);
	else
		puts("all as they were");
	json_array_foreach(replay->differences, i, difference) {
		printf("  %.0f\n", ctl_number(difference, "number"));
		say_side("was", json_object_get(difference, "recorded"));
		say_side("is", json_object_get(difference, "now"));
	}
	if (replay->unrecorded)
		printf("%" PRIu64 " replies to what had none in the trace, which ends there\n", replay->unrecorded);
	if (replay->unasked)
		printf("%" PRIu64 " messages that nobody asked for were not compared\n", replay->unasked);
	if (replay->cut)
		printf("%" PRIu64 " messages were not sent: only their begin is in the trace\n", replay->cut);
	return replay->differ ? EXIT_BAD : EXIT_GOOD;
}

static int say_outcome_json(struct replay *replay)
{
	json_auto_t *json = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "app", replay->app,
				      "clients", (json_int_t)replay->player_count, "sent", (json_int_t)replay->sent,
				      "replies", (json_int_t)replay->replies, "differ", (json_int_t)replay->differ,
				      "unrecorded", (json_int_t)replay->unrecorded,
				      "unasked", (json_int_t)replay->unasked, "cut", (json_int_t)replay->cut,
				      "differences", replay->differences);
	const struct answer answer = { .json = json };
	int r = json ? ctl_print_json(replay->ctl, &answer) : ctl_no_memory();

	return r ? r : replay->differ ? EXIT_BAD : EXIT_GOOD;
}

/* ---- the whole ---- */

static void say_progress(const struct replay *replay, bool last)
{
	if (replay->ctl->terminal && !replay->ctl->json && isatty(STDERR_FILENO) && (last || replay->sent % 4096 == 0))
		fprintf(stderr, last ? "\r\033[K" : "\r%" PRIu64 " messages", replay->sent);
}

static int play(struct replay *replay, const struct range *range)
{
	struct trace_cursor cursor = { 0 };
	struct trace_entry entry;
	int r = EXIT_GOOD, more = 0;

	while (r == EXIT_GOOD && (more = trace_file_next(replay->file, &cursor, &entry)) > 0 &&
	       entry.number <= range->last) {
		if (entry.number < range->first)
			continue;
		if (entry.kind == EP_TRACE_RECEIVED)
			r = send_entry(replay, &entry);
		else
			r = expect(replay, &entry);
		say_progress(replay, false);
		if (replay->missed_in_a_row == MISSED_IN_A_ROW) {
			ctl_complain("%s has not replied to %d messages in a row: the rest was not sent", replay->app,
				     MISSED_IN_A_ROW);
			break;
		}
	}
	say_progress(replay, true);
	if (more < 0) {
		ctl_complain("what follows message %" PRIu64 " is no record: the file is damaged", cursor.number);
		return EXIT_BAD;
	}
	return r;
}

static void free_replay(struct replay *replay)
{
	for (size_t i = 0; i < ASKED_BUCKETS; i++) {
		struct asked *asked;

		while ((asked = SLIST_FIRST(&replay->asked[i]))) {
			SLIST_REMOVE_HEAD(&replay->asked[i], link);
			free_asked(asked);
		}
	}
	for (uint32_t i = 0; i < replay->player_count; i++)
		epochd_close(replay->players[i].client);
	free(replay->players);
	free(replay->number_of);
	json_decref(replay->differences);
	free(replay);
}

int trace_replay(struct ctl *ctl, const char *path, const char *app)
{
	CLEANUP(trace_close_file) struct trace_file *file = NULL;
	struct replay *replay;
	struct range range;
	int r = trace_range(ctl, &range);

	if (r == 0)
		r = trace_open_file(&file, path);
	if (r)
		return r;
	replay = calloc(1, sizeof *replay);
	if (!replay)
		return ctl_no_memory();
	replay->ctl = ctl;
	replay->file = file;
	replay->app = app;
	replay->timeout = (int64_t)((ctl->timeout_seconds > 0 ? ctl->timeout_seconds : 10) * 1e9);
	r = prepare(replay, &range);
	if (r == EXIT_GOOD)
		r = play(replay, &range);
	if (r == EXIT_GOOD) {
		look_for_more(replay);
		r = ctl->json ? say_outcome_json(replay) : say_outcome(replay);
	}
	free_replay(replay);
	return r;
}
