/* `epochctl trace APP on|off|status|save FILE`: what an application receives and sends is written down. */
#include <config.h>

#include "supervisor/ctl/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apilib/fd.h"
#include "supervisor/ctl/text.h"
#include "supervisor/freep.h"

void trace_close_file(struct trace_file **file)
{
	trace_file_close(*file);
}

int trace_open_file(struct trace_file **out, const char *path)
{
	char why[160] = "";
	int r = trace_file_open(out, path, why, sizeof why);

	if (r < 0)
		ctl_complain("%s: %s", path, why);
	return r < 0 ? EXIT_USAGE : EXIT_GOOD;
}

int trace_range(const struct ctl *ctl, struct range *out)
{
	const char *text = ctl->range;
	char *end = NULL;

	*out = (struct range){ 1, UINT64_MAX };
	if (!text)
		return EXIT_GOOD;
	errno = 0;
	if (*text >= '0' && *text <= '9')
		out->first = out->last = strtoull(text, &end, 10);
	if (end && *end == '-') {
		const char *last = end + 1;

		out->last = UINT64_MAX;
		end += 1;
		if (*last >= '0' && *last <= '9')
			out->last = strtoull(last, &end, 10);
	}
	if (!end || *end || errno || out->first == 0 || out->last < out->first) {
		ctl_complain("--range: expected numbers of messages such as 10-20, 10- or 10, not \"%s\"", text);
		return EXIT_USAGE;
	}
	return EXIT_GOOD;
}

/* ---- status ---- */

static void say_file(const json_t *file)
{
	double messages = ctl_number(file, "messages"), first = ctl_number(file, "first");
	char at[32], most[40] = "";

	if (ctl_number(file, "messages_max") > 0)
		snprintf(most, sizeof most, ", %.0f at most", ctl_number(file, "messages_max"));
	printf("  %-10s of epoch %.0f, since %s\n", "trace", ctl_number(file, "epoch"),
	       text_time(at, ctl_string(file, "began_at")));
	printf("  %-10s %.0f, of which the %s are kept: number %.0f to %.0f%s\n", "messages", messages,
	       ctl_string(file, "keeps"), messages > first ? first + 1 : 0, messages, most);
	if (ctl_number(file, "missed") > 0)
		printf("  %-10s %.0f, since it is full of the first\n", "missed", ctl_number(file, "missed"));
	printf("  %-10s %.0f bytes, %.0f in use\n", "ring", ctl_number(file, "size"),
	       ctl_number(file, "head") - ctl_number(file, "tail"));
}

static int say_status(struct ctl *ctl, const struct answer *answer)
{
	const json_t *saved = json_object_get(answer->json, "saved"), *file = json_object_get(answer->json, "trace"), *epoch;
	CLEANUP(freep) char *name = text_harmless(ctl_string(answer->json, "app"));
	bool on = json_is_true(json_object_get(answer->json, "on"));
	size_t i;

	if (ctl->json)
		return ctl_print_json(ctl, answer);
	printf("%s is %straced%s\n", name ? name : "?", on ? "" : "not ",
	       on && !json_is_object(file) ? " as soon as it attaches" : "");
	if (json_is_object(file))
		say_file(file);
	if (json_array_size(saved)) {
		printf("  %-10s", "saved");
		json_array_foreach(saved, i, epoch)
			printf("%s %" JSON_INTEGER_FORMAT, i ? "," : " epoch", json_integer_value(epoch));
		printf(": `epochctl incarnations %s` names the files\n", name ? name : "?");
	}
	return EXIT_GOOD;
}

static int ask(struct ctl *ctl, const char *method, const char *app, const char *what)
{
	CLEANUP(answer_clear) struct answer answer = { 0 };
	int r = ctl_ask_app(ctl, method, app, what, &answer);

	return r ? r : say_status(ctl, &answer);
}

/* False: memory is out. A value that is too long becomes one that is refused. */
static bool add_query(char *path, size_t size, const char *key, const char *value)
{
	CLEANUP(freep) char *escaped = client_escape(value);
	size_t used = strlen(path);

	if (escaped)
		snprintf(path + used, size - used, "%c%s%.100s", strchr(path, '?') ? '&' : '?', key, escaped);
	return escaped != NULL;
}

static int turn_on(struct ctl *ctl, const char *app)
{
	char what[512] = "trace/on";

	if (ctl->size && !add_query(what, sizeof what, "size=", ctl->size))
		return ctl_no_memory();
	if (ctl->messages && !add_query(what, sizeof what, "messages=", ctl->messages))
		return ctl_no_memory();
	if (ctl->first && !add_query(what, sizeof what, "first", ""))
		return ctl_no_memory();
	return ask(ctl, "POST", app, what);
}

/* ---- save ---- */

/* What was written over while it was copied goes. */
static int trim(unsigned char *bytes, const json_t *now)
{
	struct ep_trace_header header;
	uint64_t tail = (uint64_t)ctl_number(now, "tail"), first = (uint64_t)ctl_number(now, "first");
	uint64_t head;

	memcpy(&header, bytes, sizeof header);
	head = atomic_load_explicit(&header.head, memory_order_relaxed);
	if (ctl_number(now, "epoch") != header.epoch || tail > head)
		return -ESTALE;
	if (tail > atomic_load_explicit(&header.tail, memory_order_relaxed)) {
		atomic_store_explicit(&header.tail, tail, memory_order_relaxed);
		atomic_store_explicit(&header.first, first, memory_order_relaxed);
	}
	memcpy(bytes, &header, sizeof header);
	return 0;
}

static int write_file(const char *path, const unsigned char *bytes, size_t size)
{
	CLEANUP(freep) char *fresh = NULL;
	CLEANUP(ep_close_fd) int fd = -1;
	size_t at = 0;

	if (asprintf(&fresh, "%s~", path) < 0) {
		fresh = NULL;
		return -ENOMEM;
	}
	unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	while (fd >= 0 && at < size) {
		ssize_t n = write(fd, bytes + at, size - at);

		if (n < 0)
			break;
		at += (size_t)n;
	}
	if (fd < 0 || at < size || rename(fresh, path) < 0) {
		int error = errno;

		if (fd >= 0)
			unlink(fresh);
		return -error;
	}
	return 0;
}

static int save(struct ctl *ctl, const char *app, const char *path)
{
	CLEANUP(answer_clear) struct answer file = { 0 }, now = { 0 };
	int r = ctl_fetch_app(ctl, app, "trace/file", &file);

	if (r == 0)
		r = ctl_ask_app(ctl, "GET", app, "trace", &now);
	if (r)
		return r;
	if (file.size < EP_TRACE_HEADER || trim((unsigned char *)file.body, json_object_get(now.json, "trace")) < 0) {
		ctl_complain("%s writes faster than its trace can be copied, or has ended meanwhile: a larger --size, or `epochctl "
			     "trace %s off` first; what has ended, `epochctl incarnations %s` names", app, app, app);
		return EXIT_REFUSED;
	}
	r = write_file(path, (const unsigned char *)file.body, file.size);
	if (r < 0) {
		ctl_complain("%s: %s", path, strerror(-r));
		return EXIT_TROUBLE;
	}
	return EXIT_GOOD;
}

/* ---- the command ---- */

static int usage(void)
{
	ctl_complain("trace: expected APP on, APP off, APP status, APP save FILE, show FILE or replay FILE APP");
	return EXIT_USAGE;
}

static int of_app(struct ctl *ctl, int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "status";
	bool saves = strcmp(what, "save") == 0, on = strcmp(what, "on") == 0, off = strcmp(what, "off") == 0;
	int r;

	if (argc > (saves ? 3 : 2) || (saves && argc != 3) || (!saves && !on && !off && strcmp(what, "status") != 0))
		return usage();
	if ((ctl->size || ctl->messages || ctl->first) && !on) {
		ctl_complain("--size, --messages and --first go with `trace APP on`");
		return EXIT_USAGE;
	}
	r = ctl_connect(ctl);
	if (r)
		return r;
	if (saves)
		return save(ctl, argv[0], argv[2]);
	return on ? turn_on(ctl, argv[0]) : ask(ctl, off ? "POST" : "GET", argv[0], off ? "trace/off" : "trace");
}

int ctl_trace(struct ctl *ctl, int argc, char **argv)
{
	bool shows = strcmp(argv[0], "show") == 0, replays = strcmp(argv[0], "replay") == 0;
	int r;

	if (!shows && !replays)
		return of_app(ctl, argc, argv);
	if (argc != (shows ? 2 : 3))
		return usage();
	if (shows)
		return trace_show(ctl, argv[1]);
	r = ctl_connect(ctl);
	return r ? r : trace_replay(ctl, argv[1], argv[2]);
}
