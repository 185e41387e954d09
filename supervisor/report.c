#include <config.h>

#include "supervisor/report.h"

#include "supervisor/refusals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "supervisor/configuration.h"

enum { NS_PER_S = 1000000000, NS_PER_MS = 1000000 };

json_t *report_time(int64_t realtime_ns)
{
	int64_t ms = realtime_ns / NS_PER_S * 1000 + realtime_ns % NS_PER_S / NS_PER_MS;
	char text[64];
	struct tm tm;
	time_t seconds;
	size_t length;

	if (realtime_ns == 0)
		return json_null();
	seconds = (time_t)(ms / 1000 - (ms % 1000 < 0));
	if (!gmtime_r(&seconds, &tm))
		return json_null();
	length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + length, sizeof text - length, ".%03dZ",
		 (int)(ms - (int64_t)seconds * 1000));
	return json_string(text);
}

/* Length of the UTF-8 character that begins at `at`; 0: none does. What is longer than the string
 * is stopped by its NUL, which continues nothing. */
static size_t utf8_length(const unsigned char *at)
{
	size_t length = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 :
			at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;   /* too long a form, a surrogate, or beyond Unicode */
	return length;
}

static json_t *mended_text(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	char *mended = malloc(3 * strlen(text) + 1);   /* U+FFFD is three bytes for one */
	size_t used = 0, length;
	json_t *string;

	if (!mended)
		return NULL;
	for (; *at; at += length ? length : 1) {
		length = utf8_length(at);
		memcpy(mended + used, length ? (const char *)at : "\xef\xbf\xbd", length ? length : 3);
		used += length ? length : 3;
	}
	mended[used] = '\0';
	string = json_string(mended);
	free(mended);
	return string;
}

/* Text from outside is made printable where it enters, but file names and commands are shown as they
 * are: one odd byte in a path must not cost the whole answer. */
json_t *report_text(const char *text)
{
	json_t *string;

	if (!text)
		return json_null();
	string = json_string(text);
	return string ? string : mended_text(text);
}

static json_t *count_or_null(uint64_t count, bool known)
{
	return known ? json_integer((json_int_t)count) : json_null();
}

static json_t *warnings_json(const struct report_supervisor *supervisor)
{
	json_auto_t *array = json_array();

	for (size_t i = 0; array && i < supervisor->warning_count; i++) {
		const struct report_warning *warning = &supervisor->warnings[i];

		if (json_array_append_new(array, json_pack("{s:o, s:o, s:o}",
				"code", report_text(warning->code),
				"since", report_time(warning->since),
				"text", report_text(warning->text))) < 0)
			return NULL;
	}
	return json_incref(array);
}

static json_t *instance_json(const struct report_supervisor *supervisor)
{
	return json_pack("{s:o, s:o, s:o}",
			 "name", report_text(supervisor->instance),
			 "uuid", report_text(supervisor->uuid),
			 "boot_id", report_text(supervisor->boot_id));
}

static json_t *refusals_json(const struct refusals *refusals)
{
	json_t *object = refusals ? json_object() : json_null();

	for (int i = 0; refusals && i < REFUSALS_COUNT; i++)
		json_object_set_new(object, refusal_name((enum refusal)i), json_integer((json_int_t)refusals->count[i]));
	return object;
}

static json_t *supervisor_json(const struct report_supervisor *supervisor)
{
	return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o}",
			 "pid", count_or_null((uint64_t)supervisor->pid, supervisor->pid > 0),
			 "version", report_text(supervisor->version),
			 "started_at", report_time(supervisor->started_at),
			 "runs", (json_int_t)supervisor->runs,
			 "unclean_runs", (json_int_t)supervisor->unclean_runs,
			 "segments_cleaned", (json_int_t)supervisor->segments_cleaned,
			 "warnings", warnings_json(supervisor),
			 "refused", refusals_json(supervisor->refusals));
}

json_t *report_stats_json(const struct report_supervisor *supervisor, json_t *apps)
{
	return json_pack("{s:o, s:o, s:o}",
			 "instance", instance_json(supervisor),
			 "supervisor", supervisor_json(supervisor),
			 "apps", apps);
}

#define TOTAL(name) ((json_int_t)app->totals[STORE_TOTAL_##name])

static json_int_t restarts_total(const struct report_app *app)
{
	json_int_t total = 0;

	for (int i = STORE_TOTAL_restarts_crashed; i <= STORE_TOTAL_restarts_unseen; i++)
		total += (json_int_t)app->totals[i];
	return total;
}

static json_t *restarts_json(const struct report_app *app)
{
	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}",
			 "since", report_time(app->since),
			 "total", restarts_total(app),
			 "crashed", TOTAL(restarts_crashed),
			 "exited", TOTAL(restarts_exited),
			 "watchdog", TOTAL(restarts_watchdog),
			 "health", TOTAL(restarts_health),
			 "start_failed", TOTAL(restarts_start_failed),
			 "start_timeout", TOTAL(restarts_start_timeout),
			 "asked", TOTAL(restarts_asked),
			 "reconfigured", TOTAL(restarts_reconfigured),
			 "group", TOTAL(restarts_group),
			 "boot", TOTAL(restarts_boot),
			 "unseen", TOTAL(restarts_unseen),
			 "last_hour", count_or_null(app->last_hour, app->last_hour != UINT64_MAX),
			 "last_day", count_or_null(app->last_day, app->last_day != UINT64_MAX));
}

static json_t *signal_json(int signal)
{
	const char *name = signal > 0 ? config_signal_name(signal) : NULL;
	char number[16];

	if (signal <= 0)
		return json_null();
	if (name)
		return json_string(name);
	snprintf(number, sizeof number, "%d", signal);
	return json_string(number);
}

static json_t *oom_json(int oom)
{
	return oom < 0 ? json_null() : json_boolean(oom);
}

static json_t *last_exit_json(const struct report_app *app)
{
	const struct store_incarnation *last = &app->last_exit;

	if (!app->has_ended)
		return json_null();
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}",
			 "epoch", (json_int_t)last->epoch,
			 "at", report_time(last->ended_at),
			 "cause", report_text(last->cause),
			 "code", count_or_null((uint64_t)last->code, last->code >= 0),
			 "signal", signal_json(last->signal),
			 "oom", oom_json(last->oom));
}

/* Of one epoch, where it may be not known; and of an application, since its first one. */
static json_t *reclaimed_json(const struct store_reclaimed *of)
{
	if (!of->is_known)
		return json_null();
	return json_pack("{s:I, s:I, s:I}", "messages", (json_int_t)of->messages, "bytes", (json_int_t)of->bytes,
			 "channels_lost", (json_int_t)of->channels_lost);
}

static json_t *collected_json(const struct store_reclaimed *of)
{
	if (!of->is_known)
		return json_null();
	return json_pack("{s:I, s:I}", "buffers", (json_int_t)of->collected_buffers,
			 "bytes", (json_int_t)of->collected_bytes);
}

static json_t *all_reclaimed_json(const struct report_app *app)
{
	const struct store_reclaimed all = {
		.is_known = true,
		.messages = app->totals[STORE_TOTAL_reclaimed_messages],
		.bytes = app->totals[STORE_TOTAL_reclaimed_bytes],
		.channels_lost = app->totals[STORE_TOTAL_reclaimed_channels_lost],
	};

	return reclaimed_json(&all);
}

static json_t *all_collected_json(const struct report_app *app)
{
	json_int_t abandoned = TOTAL(abandoned_buffers), abandoned_bytes = TOTAL(abandoned_bytes);
	json_int_t held = TOTAL(held_buffers), held_bytes = TOTAL(held_bytes);
	json_int_t overdue = TOTAL(overdue_buffers), overdue_bytes = TOTAL(overdue_bytes);

	return json_pack("{s:I, s:I, s:{s:I, s:I}, s:{s:I, s:I}, s:{s:I, s:I}}",
			 "buffers", abandoned + held + overdue,
			 "bytes", abandoned_bytes + held_bytes + overdue_bytes,
			 "abandoned", "buffers", abandoned, "bytes", abandoned_bytes,
			 "held", "buffers", held, "bytes", held_bytes,
			 "overdue", "buffers", overdue, "bytes", overdue_bytes);
}

static json_t *clients_json(const struct report_app *app)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}",
			 "connected", (json_int_t)app->clients_connected,
			 "registered", TOTAL(clients_registered),
			 "reaped", TOTAL(clients_reaped),
			 "lazy", (json_int_t)app->clients_lazy,
			 "confused", TOTAL(clients_confused));
}

static json_t *refused_json(const struct report_app *app)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}",
			 "stale_epoch", TOTAL(refused_stale_epoch),
			 "stale_generation", TOTAL(refused_stale_generation),
			 "free_slot", TOTAL(refused_free_slot),
			 "down", TOTAL(refused_down),
			 "not_a_handle", TOTAL(refused_not_a_handle));
}

static json_t *shm_cleaned_json(const struct report_app *app)
{
	return json_pack("{s:I, s:I}",
			 "files", TOTAL(shm_cleaned_files),
			 "bytes", TOTAL(shm_cleaned_bytes));
}

static json_t *seconds_json(double seconds)
{
	return seconds < 0 ? json_null() : json_real(floor(seconds * 1000) / 1000);
}

json_t *report_app_json(const struct report_app *app)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "name", report_text(app->name),
			 "state", report_text(app->state),
			 "reason", report_text(app->reason),
			 "status_text", report_text(app->status_text),
			 "epoch", (json_int_t)app->epoch,
			 "pid", count_or_null((uint64_t)app->pid, app->pid > 0),
			 "up_seconds", seconds_json(app->up_seconds),
			 "retry_at", report_time(app->retry_at),
			 "restarts", restarts_json(app),
			 "last_exit", last_exit_json(app),
			 "reclaimed", all_reclaimed_json(app),
			 "garbage_collected", all_collected_json(app),
			 "clients", clients_json(app),
			 "refused", refused_json(app),
			 "shm_cleaned", shm_cleaned_json(app));
}

/* As app_shm.c made it. */
static json_t *shm_json(const char *text)
{
	json_t *json = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

	return json ? json : json_null();
}

json_t *report_incarnation_json(const struct store_incarnation *row, const char *trace)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "epoch", (json_int_t)row->epoch,
			 "pid", count_or_null((uint64_t)row->pid, row->pid > 0),
			 "started_at", report_time(row->started_at),
			 "up_at", report_time(row->up_at),
			 "ended_at", report_time(row->ended_at),
			 "restart", report_text(row->restart),
			 "cause", report_text(row->cause),
			 "code", count_or_null((uint64_t)row->code, row->code >= 0),
			 "signal", signal_json(row->signal),
			 "oom", oom_json(row->oom),
			 "detail", report_text(row->detail),
			 "reclaimed", reclaimed_json(&row->reclaimed),
			 "garbage_collected", collected_json(&row->reclaimed),
			 "shm_cleaned", shm_json(row->shm),
			 "trace", report_text(trace));
}

json_t *report_event_json(const struct store_event *event)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}",
			 "number", (json_int_t)event->number,
			 "at", report_time(event->at),
			 "app", report_text(event->app),
			 "epoch", count_or_null(event->epoch, event->epoch > 0),
			 "event", report_text(event->event),
			 "reason", report_text(event->reason));
}
