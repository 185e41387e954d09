#include <config.h>

#include "supervisor/ctl/explain.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/configuration.h"
#include "supervisor/ctl/text.h"

enum { ROWS_MAX = 12, CRASHES_MAX = 100000 };

/* The configuration, as far as it decides what follows a crash. Times are seconds. */
struct policy {
	const char *restart;
	double initial, factor, max, jitter, reset_after;
	unsigned restarts;
	double within;   /* 0: no limit */
};

/* What has happened so far. */
/* How the reason of one begins that is stopped for now only. */
#define WAITS "waits for "

struct past {
	const char *name, *state, *reason;
	unsigned epoch;
	double up;            /* seconds; < 0: it is not up */
	double again_in;      /* in backoff: seconds */
	unsigned in_row;      /* crashes without a healthy run between */
	double *restarts;     /* that count, seconds from now (<= 0), oldest first */
	size_t restart_count;
};

/* One crash of those to come. */
struct crash {
	double at;            /* seconds from now */
	double delay;         /* until it is started again */
	size_t counted;       /* restarts in the window, this one's included */
	bool fatal;
};

/* ---- reading ---- */

static const char *string(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static double seconds(const json_t *object, const char *key, double otherwise)
{
	const char *text = string(object, key);
	int64_t ns;

	return config_parse_time(text, &ns) == 0 ? (double)ns / 1e9 : otherwise;
}

static double number(const json_t *object, const char *key, double otherwise)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : otherwise;
}

/* The defaults are the configuration's own. */
static struct policy policy_of(const json_t *config)
{
	const json_t *backoff = json_object_get(config, "backoff");
	const json_t *intensity = json_object_get(config, "intensity");
	const char *restart = string(config, "restart");

	return (struct policy){
		.restart = *restart ? restart : "always",
		.initial = seconds(backoff, "initial", 0.1),
		.factor = number(backoff, "factor", 2.0),
		.max = seconds(backoff, "max", 30),
		.jitter = number(backoff, "jitter", 0.1),
		.reset_after = seconds(backoff, "reset-after", 60),
		.restarts = (unsigned)number(intensity, "restarts", 5),
		.within = seconds(intensity, "within", 60),
	};
}

/* What a person, a reload, a group or a reboot did is no fault of the application. */
static bool is_fault(const char *cause)
{
	static const char *const faults[] = { "crashed", "exited", "watchdog", "health",
					      "start_failed", "start_timeout", "unseen" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(faults); i++)
		if (strcmp(cause, faults[i]) == 0)
			return true;
	return false;
}

static bool was_healthy(const json_t *incarnation, const struct policy *policy)
{
	double up = text_parse_time(string(incarnation, "up_at"));
	double ended = text_parse_time(string(incarnation, "ended_at"));

	return up >= 0 && ended - up >= policy->reset_after;
}

static unsigned crashes_in_row(const json_t *incarnations, const struct policy *policy)
{
	const json_t *incarnation;
	unsigned count = 0;
	size_t i;

	json_array_foreach(incarnations, i, incarnation) {
		const char *cause = string(incarnation, "cause");

		if (!*cause && i == 0)
			continue;   /* it runs */
		if (!is_fault(cause))
			break;
		count++;
		if (was_healthy(incarnation, policy))
			break;
	}
	return count;
}

static int read_restarts(struct past *past, const json_t *incarnations, const struct policy *policy,
			 double now)
{
	const json_t *incarnation;
	size_t i = json_array_size(incarnations);
	double at;

	past->restarts = calloc(i + 1, sizeof *past->restarts);
	if (!past->restarts)
		return -1;
	while (i-- > 0) {
		incarnation = json_array_get(incarnations, i);
		at = text_parse_time(string(incarnation, "started_at"));
		if (at >= 0 && now - at < policy->within && is_fault(string(incarnation, "restart")))
			past->restarts[past->restart_count++] = at - now;
	}
	return 0;
}

static int past_of(struct past *past, const json_t *app, const json_t *incarnations,
		   const struct policy *policy, double now)
{
	double retry_at = text_parse_time(string(app, "retry_at"));

	*past = (struct past){
		.name = string(app, "name"),
		.state = string(app, "state"),
		.reason = string(app, "reason"),
		.epoch = (unsigned)number(app, "epoch", 0),
		.up = number(app, "up_seconds", -1),
		.again_in = retry_at > now ? retry_at - now : 0,
	};
	if (past->up < policy->reset_after)
		past->in_row = crashes_in_row(incarnations, policy);
	return read_restarts(past, incarnations, policy, now);
}

/* ---- foreseeing ---- */

static double delay_of(const struct policy *policy, unsigned in_row)
{
	double delay = policy->initial * pow(policy->factor, in_row);

	return delay < policy->max ? delay : policy->max;
}

/* If it crashes as soon as it is up, from now on. 0: it is never given up, and the crashes are those
 * until nothing changes any more. Else how many crashes it takes. *crashes is the caller's. */
static size_t foresee(struct crash **out, const struct policy *policy, const struct past *past,
		      size_t most)
{
	size_t window = past->restart_count + most + 1, head = 0, tail = past->restart_count, i;
	struct crash *crashes = calloc(most, sizeof *crashes);
	double *at = calloc(window, sizeof *at), t = 0;

	*out = crashes;
	if (!crashes || !at) {
		free(crashes);
		free(at);
		*out = NULL;
		return 0;
	}
	memcpy(at, past->restarts, past->restart_count * sizeof *at);
	if (strcmp(past->state, "backoff") == 0) {
		t = past->again_in;
		at[tail++] = t;
	}
	for (i = 0; i < most; i++) {
		while (head < tail && at[head] <= t - policy->within)
			head++;
		crashes[i].at = t;
		crashes[i].fatal = policy->within > 0 && tail - head >= policy->restarts;
		if (crashes[i].fatal)
			break;
		crashes[i].delay = delay_of(policy, past->in_row + (unsigned)i);
		crashes[i].counted = tail - head + 1;
		t += crashes[i].delay;
		at[tail++] = t;
	}
	free(at);
	return i < most ? i + 1 : 0;
}

/* ---- saying ---- */

static const char *ordinal(size_t n)
{
	size_t tens = n % 100;

	if (tens >= 11 && tens <= 13)
		return "th";
	return n % 10 == 1 ? "st" : n % 10 == 2 ? "nd" : n % 10 == 3 ? "rd" : "th";
}

static void say_state(FILE *out, const struct past *past, const json_t *app)
{
	const json_t *pid = json_object_get(app, "pid");
	const char *reason = string(app, "reason");
	char buffer[32];

	fprintf(out, "%s is %s%s", past->name, strcmp(past->state, "backoff") == 0 ? "in " : "",
		past->state);
	if (past->epoch)
		fprintf(out, ", in epoch %u", past->epoch);
	if (json_is_integer(pid))
		fprintf(out, " (pid %" JSON_INTEGER_FORMAT ")", json_integer_value(pid));
	if (past->up >= 0)
		fprintf(out, ", for %s", text_duration(buffer, past->up));
	fprintf(out, "%s%s.\n", *reason ? ": " : "", reason);
}

/* Whether there is a next crash to speak of. */
/* For a process, or for another application: its reason, which is told above, says for what. */
static bool is_waiting(const struct past *past)
{
	return past->reason && strncmp(past->reason, WAITS, strlen(WAITS)) == 0;
}

static bool say_where_it_stands(FILE *out, const struct past *past)
{
	char buffer[32];

	if (strcmp(past->state, "fatal") == 0)
		fprintf(out, "Nothing starts it again until a person says so: `epochctl reset %s`.\n",
			past->name);
	else if (strcmp(past->state, "stopped") == 0 && !is_waiting(past))
		fprintf(out, "Nothing starts it until a person says so: `epochctl start %s`.\n",
			past->name);
	else if (strcmp(past->state, "stopping") == 0)
		fputs("Its end is awaited, so it is no crash.\n", out);
	else if (strcmp(past->state, "held") == 0)
		fputs("It starts again by itself as soon as a further epoch is durable: see that the "
		      "state directory can be written.\n", out);
	else if (strcmp(past->state, "backoff") == 0)
		fprintf(out, "It is started again in %s.\n", text_duration(buffer, past->again_in));
	return strcmp(past->state, "stopping") != 0;
}

static bool say_policy(FILE *out, const struct policy *policy)
{
	if (strcmp(policy->restart, "never") == 0) {
		fputs("restart = never: however it ends, it is not started again.\n", out);
		return false;
	}
	if (strcmp(policy->restart, "on-failure") == 0)
		fputs("restart = on-failure: if it exits with code 0, or ends by HUP, INT, TERM or "
		      "PIPE, it stays\nstopped; any other end is a crash, and it is started again.\n",
		      out);
	else
		fputs("restart = always: however it ends, it is started again. Each end that nobody "
		      "asked for\nis a crash.\n", out);
	return true;
}

/* What ends it, beside itself. */
static void say_also(FILE *out, const json_t *config)
{
	const json_t *health = json_object_get(config, "health");
	double watchdog = seconds(config, "watchdog", 0), start = seconds(config, "start-timeout", 30);
	const char *readiness = string(config, "readiness"), *group = string(config, "group-of");
	char buffer[32];

	if (watchdog > 0)
		fprintf(out, "Silence of its watchdog for %s ends it, as a crash.\n",
			text_duration(buffer, watchdog));
	if (json_array_size(json_object_get(health, "command")) > 0)
		fprintf(out, "%.0f failures in a row of its health command end it, as a crash.\n",
			number(health, "failures", 3));
	if (start > 0 && *readiness && strcmp(readiness, "none") != 0)
		fprintf(out, "Not being ready %s after its start ends it, as a crash.\n",
			text_duration(buffer, start));
	if (*group)
		fprintf(out, "It belongs to the group %s: by its strategy a crash of one may restart "
			"others.\n", group);
}

/* What is started by a person begins with a clean sheet, whatever was before: `fatal` too. */
static void say_count(FILE *out, const struct policy *policy, const struct past *past)
{
	const char *when = strcmp(past->state, "fatal") == 0 ? "after a reset" : "so far";

	char buffer[32];

	fputc('\n', out);
	if (policy->within <= 0) {
		fputs("However often it crashes, it is never given up (intensity is off).\n", out);
		return;
	}
	text_duration(buffer, policy->within);
	fprintf(out, "More than %u restart%s within %s make%s it fatal; %s there %s %zu.\n",
		policy->restarts, policy->restarts == 1 ? "" : "s", buffer,
		policy->restarts == 1 ? "s" : "", when, past->restart_count == 1 ? "is" : "are",
		past->restart_count);
}

static void say_crash(FILE *out, const struct policy *policy, const struct past *past,
		      const struct crash *crash, size_t n, double first)
{
	char buffer[32];

	fprintf(out, "  %3zu%s crash  ", n, ordinal(n));
	if (crash->fatal) {
		if (crash->at > first)
			fprintf(out, "fatal, %s after the first", text_duration(buffer, crash->at - first));
		else
			fputs("fatal", out);
		fprintf(out, ": nothing starts it until `epochctl reset %s`\n", past->name);
		return;
	}
	if (crash->delay > 0) {
		fprintf(out, "again after %s", text_duration(buffer, crash->delay));
		if (policy->jitter > 0)
			fprintf(out, " (\xc2\xb1%.0f%%)", policy->jitter * 100);
	} else {
		fputs("again at once", out);
	}
	if (policy->within > 0)
		fprintf(out, ", restart %zu of %u", crash->counted, policy->restarts);
	fputc('\n', out);
}

static void say_rows(FILE *out, const struct policy *policy, const struct past *past,
		     const struct crash *crashes, size_t total, size_t shown)
{
	size_t i, skip_from = total > ROWS_MAX ? ROWS_MAX - 3 : total;

	for (i = 0; i < total && i < shown; i++) {
		if (i == skip_from) {
			fputs("       ...\n", out);
			i = total - 2;
		}
		say_crash(out, policy, past, &crashes[i], i + 1, crashes[0].at);
	}
}

static const char *introduction(const struct past *past)
{
	if (strcmp(past->state, "up") == 0 || strcmp(past->state, "starting") == 0)
		return "If it crashes now, and again each time as soon as it is started:";
	return "If it then crashes each time as soon as it is started:";
}

static void say_never(FILE *out, const struct policy *policy)
{
	char within[32];

	if (policy->within > 0)
		fprintf(out, "So it is never given up: with such delays there are never more than %u "
			"restarts within %s.\n", policy->restarts,
			text_duration(within, policy->within));
}

static void say_forgetting(FILE *out, const struct policy *policy, const struct past *past)
{
	char after[32], begin[32], left[32];

	if (policy->initial <= 0 || policy->factor <= 1)
		return;
	text_duration(after, policy->reset_after);
	text_duration(begin, policy->initial);
	if (past->up >= policy->reset_after)
		fprintf(out, "It has been up for %s, so the delays begin at %s again.\n", after, begin);
	else if (past->up >= 0 && past->in_row > 0)
		fprintf(out, "Once it has been up for %s, in %s, the delays begin at %s again.\n", after,
			text_duration(left, policy->reset_after - past->up), begin);
	else
		fprintf(out, "Once it has been up for %s, the delays begin at %s again.\n", after, begin);
}

/* What a person starts anew begins without a past. */
static void forget(struct past *past)
{
	past->in_row = 0;
	past->restart_count = 0;
}

static int say_all(FILE *out, const json_t *app, struct past *past, const struct policy *policy)
{
	const json_t *config = json_object_get(app, "config");
	struct crash *crashes = NULL;
	size_t most, total;

	say_state(out, past, app);
	if (!say_where_it_stands(out, past) || !say_policy(out, policy))
		return 0;
	say_also(out, config);
	if (strcmp(past->state, "fatal") == 0 || strcmp(past->state, "stopped") == 0)
		forget(past);
	say_count(out, policy, past);
	/* When the delays do not grow any more, one more window shows all there is to come. */
	most = policy->restarts < CRASHES_MAX - 64 ? policy->restarts + 64 : CRASHES_MAX;
	total = foresee(&crashes, policy, past, most);
	if (!crashes)
		return -1;
	fprintf(out, "%s\n", introduction(past));
	say_rows(out, policy, past, crashes, total ? total : most, total ? total : ROWS_MAX - 4);
	if (!total) {
		fputs("       ... and so on.\n", out);
		say_never(out, policy);
	}
	say_forgetting(out, policy, past);
	free(crashes);
	return 0;
}

char *explain_app(const json_t *app, const json_t *incarnations, double now)
{
	struct policy policy = policy_of(json_object_get(app, "config"));
	struct past past;
	char *text = NULL;
	size_t size;
	FILE *out;
	int r = past_of(&past, app, incarnations, &policy, now);

	out = r < 0 ? NULL : open_memstream(&text, &size);
	if (out) {
		r = say_all(out, app, &past, &policy);
		if (fclose(out) != 0 || r < 0) {
			free(text);
			text = NULL;
		}
	}
	free(past.restarts);
	return text;
}
