#include <config.h>

#include "supervisor/metrics.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "apilib/meter.h"
#include "supervisor/app.h"
#include "supervisor/epochd.h"
#include "supervisor/latency.h"
#include "supervisor/messages.h"
#include "supervisor/report.h"

enum kind { GAUGE, COUNTER, INFO, HISTOGRAM };

/* What is being written, and from what. */
struct metrics {
	FILE *stream;
	enum metrics_format format;
	const struct report_app *apps;
	size_t app_count;
};

const char *metrics_content_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS ?
	       "application/openmetrics-text; version=1.0.0; charset=utf-8" :
	       "text/plain; version=0.0.4; charset=utf-8";
}

enum metrics_format metrics_negotiate(const char *accept)
{
	return accept && strcasestr(accept, "application/openmetrics-text") ? METRICS_OPENMETRICS :
									      METRICS_TEXT;
}

/* name: as its samples are called, but for the _total and _info that `kind` adds. */
static const char *suffix(enum kind kind)
{
	return kind == COUNTER ? "_total" : kind == INFO ? "_info" : "";
}

static void family(const struct metrics *m, const char *name, enum kind kind, const char *help)
{
	static const char *const types[] = { "gauge", "counter", "info", "histogram" };
	bool open = m->format == METRICS_OPENMETRICS;
	const char *end = open ? "" : suffix(kind);

	fprintf(m->stream, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, end, help, name, end,
		kind == INFO && !open ? "gauge" : types[kind]);
}

static void put_label(const struct metrics *m, const char *key, const char *value)
{
	fprintf(m->stream, "%s=\"", key);
	for (;;) {
		size_t plain = strcspn(value, "\n\"\\");

		fwrite(value, 1, plain, m->stream);
		value += plain;
		if (!*value)
			break;
		fprintf(m->stream, "\\%c", *value == '\n' ? 'n' : *value);
		value++;
	}
	fputc('"', m->stream);
}

static void put_app(const struct metrics *m, const char *name, enum kind kind, const char *app,
		    const char *key, const char *value, uint64_t number)
{
	fprintf(m->stream, "%s%s{", name, suffix(kind));
	put_label(m, "app", app);
	if (key && value) {
		fputc(',', m->stream);
		put_label(m, key, value);
	}
	fprintf(m->stream, "} %" PRIu64 "\n", number);
}

static void one(const struct metrics *m, const char *name, enum kind kind, const char *help,
		uint64_t number)
{
	family(m, name, kind, help);
	fprintf(m->stream, "%s%s %" PRIu64 "\n", name, suffix(kind), number);
}

/* A total of each application: one family, one sample each. */
static const struct {
	const char *name, *help;
	enum store_total total;
} totals[] = {
	{ "epochd_app_reclaimed_messages", "Messages in flight that a restart or a death took back.",
	  STORE_TOTAL_reclaimed_messages },
	{ "epochd_app_reclaimed_bytes", "Bytes of the messages taken back.",
	  STORE_TOTAL_reclaimed_bytes },
	{ "epochd_app_reclaimed_channels_lost", "Channels that nobody held any more.",
	  STORE_TOTAL_reclaimed_channels_lost },
	{ "epochd_app_clients_registered", "Registrations of clients.",
	  STORE_TOTAL_clients_registered },
	{ "epochd_app_clients_reaped", "Clients that died without a goodbye.",
	  STORE_TOTAL_clients_reaped },
	{ "epochd_app_clients_confused", "Slots that contradicted themselves and were cleared.",
	  STORE_TOTAL_clients_confused },
	{ "epochd_app_shm_cleaned_files", "Stale files removed from the segment directory.",
	  STORE_TOTAL_shm_cleaned_files },
	{ "epochd_app_shm_cleaned_bytes", "Bytes of the stale files removed.",
	  STORE_TOTAL_shm_cleaned_bytes },
};

/* A total for each value of a label. */
struct labelled {
	const char *value;
	enum store_total total;
};

static const struct labelled causes[] = {
	{ "crashed", STORE_TOTAL_restarts_crashed },
	{ "exited", STORE_TOTAL_restarts_exited },
	{ "watchdog", STORE_TOTAL_restarts_watchdog },
	{ "health", STORE_TOTAL_restarts_health },
	{ "start_failed", STORE_TOTAL_restarts_start_failed },
	{ "start_timeout", STORE_TOTAL_restarts_start_timeout },
	{ "asked", STORE_TOTAL_restarts_asked },
	{ "reconfigured", STORE_TOTAL_restarts_reconfigured },
	{ "group", STORE_TOTAL_restarts_group },
	{ "boot", STORE_TOTAL_restarts_boot },
	{ "unseen", STORE_TOTAL_restarts_unseen },
};

static const struct labelled refusals[] = {
	{ "stale_epoch", STORE_TOTAL_refused_stale_epoch },
	{ "stale_generation", STORE_TOTAL_refused_stale_generation },
	{ "free_slot", STORE_TOTAL_refused_free_slot },
	{ "down", STORE_TOTAL_refused_down },
	{ "not_a_handle", STORE_TOTAL_refused_not_a_handle },
};

static const struct labelled collected[] = {
	{ "abandoned", STORE_TOTAL_abandoned_buffers },
	{ "held", STORE_TOTAL_held_buffers },
	{ "overdue", STORE_TOTAL_overdue_buffers },
};

static const struct labelled collected_bytes[] = {
	{ "abandoned", STORE_TOTAL_abandoned_bytes },
	{ "held", STORE_TOTAL_held_bytes },
	{ "overdue", STORE_TOTAL_overdue_bytes },
};

static void put_labelled(const struct metrics *m, const char *name, const char *help,
			 const char *key, const struct labelled *labels, size_t count)
{
	family(m, name, COUNTER, help);
	for (size_t i = 0; i < m->app_count; i++)
		for (size_t k = 0; k < count; k++)
			put_app(m, name, COUNTER, m->apps[i].name, key, labels[k].value,
				m->apps[i].totals[labels[k].total]);
}

static void put_totals(const struct metrics *m)
{
	put_labelled(m, "epochd_app_restarts", "Restarts by the cause that ended the one before.",
		     "cause", causes, ARRAY_SIZE(causes));
	put_labelled(m, "epochd_app_refused_handles", "Handles that were refused, by reason.",
		     "reason", refusals, ARRAY_SIZE(refusals));
	put_labelled(m, "epochd_app_garbage_collected_buffers", "Message buffers collected, by cause.",
		     "cause", collected, ARRAY_SIZE(collected));
	put_labelled(m, "epochd_app_garbage_collected_bytes", "Bytes of the buffers collected, by cause.",
		     "cause", collected_bytes, ARRAY_SIZE(collected_bytes));
	for (size_t t = 0; t < ARRAY_SIZE(totals); t++) {
		family(m, totals[t].name, COUNTER, totals[t].help);
		for (size_t i = 0; i < m->app_count; i++)
			put_app(m, totals[t].name, COUNTER, m->apps[i].name, NULL, NULL,
				m->apps[i].totals[totals[t].total]);
	}
}

static void put_states(const struct metrics *m)
{
	const char *name = "epochd_app_state";

	family(m, name, GAUGE, "1 for the state the application is in, 0 for the others.");
	for (size_t i = 0; i < m->app_count; i++)
		for (enum app_state s = 0; s < APP_STATES; s++)
			if (s != APP_SWEEPING)   /* it has stopping's name */
				put_app(m, name, GAUGE, m->apps[i].name, "state", app_state_name(s),
					strcmp(m->apps[i].state, app_state_name(s)) == 0);
}

static void put_gauges(const struct metrics *m)
{
	family(m, "epochd_app_up", GAUGE, "Whether the application is up.");
	for (size_t i = 0; i < m->app_count; i++)
		put_app(m, "epochd_app_up", GAUGE, m->apps[i].name, NULL, NULL,
			strcmp(m->apps[i].state, app_state_name(APP_UP)) == 0);
	family(m, "epochd_app_epoch", GAUGE, "The epoch, current or last used; 0 before the first.");
	for (size_t i = 0; i < m->app_count; i++)
		put_app(m, "epochd_app_epoch", GAUGE, m->apps[i].name, NULL, NULL,
			m->apps[i].epoch);
	family(m, "epochd_app_clients", GAUGE, "Clients that are connected.");
	for (size_t i = 0; i < m->app_count; i++)
		put_app(m, "epochd_app_clients", GAUGE, m->apps[i].name, NULL, NULL,
			m->apps[i].clients_connected);
	family(m, "epochd_app_clients_lazy", GAUGE, "Clients that live and do not answer pings.");
	for (size_t i = 0; i < m->app_count; i++)
		put_app(m, "epochd_app_clients_lazy", GAUGE, m->apps[i].name, NULL, NULL,
			m->apps[i].clients_lazy);
}

/* ---- messages ---- */

/* One family at a time: what is written of each type of message of each application. */
struct message_metrics {
	const struct metrics *m;
	const struct app *app;
	const char *name;
	size_t at;   /* in struct ep_meter */
};

static void put_message(const struct message_metrics *of, const char *suffix, const char *message)
{
	fprintf(of->m->stream, "%s%s{", of->name, suffix);
	put_label(of->m, "app", app_name(of->app));
	fputc(',', of->m->stream);
	put_label(of->m, "message", message);
}

static void put_count(uint32_t id, const char *message, void *user)
{
	const struct message_metrics *of = user;
	const struct ep_meter *meter = latency_meter(of->app, id);

	if (!meter)
		return;
	put_message(of, "_total", message);
	fprintf(of->m->stream, "} %" PRIu64 "\n",
		ep_meter_read((const _Atomic uint64_t *)(const void *)((const char *)meter + of->at)));
}

static void put_histogram(uint32_t id, const char *message, void *user)
{
	const struct message_metrics *of = user;
	const struct ep_meter *meter = latency_meter(of->app, id);
	struct latency latency;

	if (!meter)
		return;
	latency_read(&latency, (const struct ep_histogram *)(const void *)((const char *)meter + of->at));
	if (!latency.count)
		return;
	for (uint32_t i = 0; i < LATENCY_BOUNDS; i++) {
		put_message(of, "_bucket", message);
		fprintf(of->m->stream, ",le=\"%.9g\"} %" PRIu64 "\n", (double)latency_bound_ns(i) / 1e9,
			latency.up_to[i]);
	}
	put_message(of, "_bucket", message);
	fprintf(of->m->stream, ",le=\"+Inf\"} %" PRIu64 "\n", latency.count);
	put_message(of, "_sum", message);
	fprintf(of->m->stream, "} %.9f\n", (double)latency.sum_ns / 1e9);
	put_message(of, "_count", message);
	fprintf(of->m->stream, "} %" PRIu64 "\n", latency.count);
}

static const struct {
	const char *name, *help;
	enum kind kind;
	size_t at;
} message_families[] = {
	{ "epochd_message_received", "Messages received, by type, in this epoch.", COUNTER,
	  offsetof(struct ep_meter, received) },
	{ "epochd_message_sent", "Messages sent, by type, in this epoch.", COUNTER, offsetof(struct ep_meter, sent) },
	{ "epochd_message_unhandled", "Messages received that have no handler.", COUNTER,
	  offsetof(struct ep_meter, unhandled) },
	{ "epochd_message_would_block", "Messages not sent for want of room.", COUNTER,
	  offsetof(struct ep_meter, would_block) },
	{ "epochd_message_wait_seconds", "From sending to handling, of the messages that were timed.", HISTOGRAM,
	  offsetof(struct ep_meter, wait) },
	{ "epochd_message_handling_seconds", "In the handler, of the messages that were timed.", HISTOGRAM,
	  offsetof(struct ep_meter, handling) },
};

static void put_messages(const struct metrics *m, const struct epochd *epochd)
{
	for (size_t i = 0; i < ARRAY_SIZE(message_families); i++) {
		family(m, message_families[i].name, message_families[i].kind, message_families[i].help);
		for (size_t j = 0; j < epochd->app_count; j++) {
			struct message_metrics of = { m, epochd->apps[j], message_families[i].name,
						      message_families[i].at };

			messages_each(epochd->apps[j],
				      message_families[i].kind == HISTOGRAM ? put_histogram : put_count, &of);
		}
	}
}

static void put_supervisor(const struct metrics *m, const struct epochd *epochd)
{
	struct store_health health = { 0 };

	family(m, "epochd_build", INFO, "The version of the supervisor.");
	fputs("epochd_build_info{", m->stream);
	put_label(m, "version", PACKAGE_VERSION);
	fputs("} 1\n", m->stream);
	family(m, "epochd_start_time_seconds", GAUGE, "When the supervisor started, Unix time.");
	fprintf(m->stream, "epochd_start_time_seconds %" PRId64 ".%03d\n",
		epochd->started_at / 1000000000,
		(int)(epochd->started_at % 1000000000 / 1000000));
	one(m, "epochd_runs", COUNTER, "Runs of the supervisor, this one counted.", epochd->runs);
	one(m, "epochd_unclean_runs", COUNTER, "Runs of the supervisor that did not end clean.",
	    epochd->unclean_runs);
	one(m, "epochd_segments_cleaned", COUNTER, "Segments removed at the start of a run.",
	    epochd->segments_cleaned);
	family(m, "epochd_refused", COUNTER, "What was refused on api.sock and over channels in this run, by reason.");
	for (int i = 0; i < REFUSALS_COUNT; i++) {
		fputs("epochd_refused_total{", m->stream);
		put_label(m, "reason", refusal_name((enum refusal)i));
		fprintf(m->stream, "} %" PRIu64 "\n", epochd->refusals.count[i]);
	}
	one(m, "epochd_warnings", GAUGE, "Warnings that stand in the stats.",
	    epochd->warning_count);
	store_health(epochd->store, &health);
	one(m, "epochd_store_writable", GAUGE, "Whether the last commit went through.",
	    health.writable);
	one(m, "epochd_store_commits", COUNTER, "Commits of the store in this run.",
	    health.commits);
	one(m, "epochd_store_events_dropped", COUNTER,
	    "Events dropped because the disk did not take them.", health.events_dropped);
}

char *metrics_text(const struct epochd *epochd, enum metrics_format format, size_t *size)
{
	struct report_app *apps = calloc(epochd->app_count + 1, sizeof *apps);
	struct metrics m = { .format = format, .apps = apps, .app_count = epochd->app_count };
	char *text = NULL;
	bool failed;

	if (!apps)
		return NULL;
	m.stream = open_memstream(&text, size);
	if (!m.stream) {
		free(apps);
		return NULL;
	}
	for (size_t i = 0; i < epochd->app_count; i++)
		app_report(epochd->apps[i], &apps[i]);
	put_supervisor(&m, epochd);
	put_gauges(&m);
	put_states(&m);
	put_totals(&m);
	put_messages(&m, epochd);
	fputs("# EOF\n", m.stream);   /* a comment in the older format */
	free(apps);
	failed = ferror(m.stream) != 0;
	if (fclose(m.stream) != 0 || failed) {
		free(text);
		return NULL;
	}
	return text;
}
