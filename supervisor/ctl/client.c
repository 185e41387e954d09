#include <config.h>

#include "supervisor/ctl/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BODY_MAX = 256 << 20 };   /* more than that is no answer of ours */

struct buffer {
	char *data;
	size_t size;
};

struct client {
	char *socket;          /* as libcurl gets it: short enough for a sockaddr_un */
	int directory;         /* it stands in, where its path was too long; -1 */
	CURL *easy;            /* for client_ask() */
	char why[CURL_ERROR_SIZE];
};

struct stream {
	struct client *client;
	CURLM *multi;
	CURL *easy;            /* NULL: not open */
	char *url;
	struct buffer waiting; /* what is not a whole line yet, or the body of a refusal */
	char why[CURL_ERROR_SIZE];
	bool opened;           /* its reader was told so */
	int signals;
	double tick, next_tick;
	stream_fn *fn;
	void *user;
};

static int short_socket(struct client *client, const char *socket)
{
	char *copy, *directory;
	struct sockaddr_un address;

	if (strlen(socket) < sizeof address.sun_path) {
		client->socket = strdup(socket);
		return client->socket ? 0 : -ENOMEM;
	}
	copy = strdup(socket);
	if (!copy)
		return -ENOMEM;
	directory = dirname(copy);
	client->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	if (client->directory < 0)
		return -errno;
	return asprintf(&client->socket, "/proc/self/fd/%d%s", client->directory,
			strrchr(socket, '/')) < 0 ? -ENOMEM : 0;
}

int client_open(struct client **out, const char *socket)
{
	struct client *client = calloc(1, sizeof *client);
	int r;

	if (!client)
		return -ENOMEM;
	client->directory = -1;
	r = short_socket(client, socket);
	if (r == 0 && curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK)
		r = -ENOMEM;
	if (r == 0 && !(client->easy = curl_easy_init()))
		r = -ENOMEM;
	if (r < 0) {
		client_close(client);
		return r;
	}
	*out = client;
	return 0;
}

void client_close(struct client *client)
{
	if (!client)
		return;
	curl_easy_cleanup(client->easy);
	if (client->directory >= 0)
		close(client->directory);
	free(client->socket);
	free(client);
}

void answer_clear(struct answer *answer)
{
	free(answer->body);
	json_decref(answer->json);
	*answer = (struct answer){ 0 };
}

const char *client_why(const struct client *client)
{
	return *client->why ? client->why : "no reason is known";
}

char *client_escape(const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0), *copy = escaped ? strdup(escaped) : NULL;

	curl_free(escaped);
	return copy;
}

static size_t append(char *data, size_t one, size_t count, void *user)
{
	struct buffer *buffer = user;
	size_t size = one * count;
	char *grown;

	if (size > BODY_MAX - buffer->size)
		return 0;
	grown = realloc(buffer->data, buffer->size + size + 1);
	if (!grown)
		return 0;
	memcpy(grown + buffer->size, data, size);
	buffer->data = grown;
	buffer->size += size;
	grown[buffer->size] = '\0';
	return size;
}

static char *url_of(const char *path)
{
	char *url;

	return asprintf(&url, "http://localhost%s", path) < 0 ? NULL : url;
}

static void set_common(CURL *easy, const struct client *client, const char *url,
		       struct buffer *buffer, char *why)
{
	curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "epochctl/" VERSION);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, why);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, append);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, buffer);
}

static int error_of(CURL *easy, CURLcode code)
{
	long os = 0;

	curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os);
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_CONNECT:
		return os == EACCES || os == EPERM ? -EACCES : -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
		return -ECONNRESET;   /* it ended while we asked */
	default:
		return -EPROTO;
	}
}

int client_ask(struct client *client, const char *method, const char *path, double timeout,
	       struct answer *out)
{
	struct buffer body = { .data = calloc(1, 1) };
	CURL *easy = client->easy;
	char *url = url_of(path);
	CURLcode code;

	if (!url || !body.data) {
		free(body.data);
		free(url);
		return -ENOMEM;
	}
	curl_easy_reset(easy);   /* keeps the connection */
	*client->why = '\0';
	set_common(easy, client, url, &body, client->why);
	if (strcmp(method, "GET") != 0) {
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	}
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(timeout * 1000));
	code = curl_easy_perform(easy);
	if (code != CURLE_OK && !*client->why)
		snprintf(client->why, sizeof client->why, "%s", curl_easy_strerror(code));
	free(url);
	if (code != CURLE_OK) {
		free(body.data);
		return error_of(easy, code);
	}
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &out->status);
	out->body = body.data;
	out->size = body.size;
	out->json = json_loadb(body.data, body.size, 0, NULL);
	return 0;
}

/* ---- the stream ---- */

static double monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void stream_shut(struct stream *stream)
{
	if (stream->easy) {
		curl_multi_remove_handle(stream->multi, stream->easy);
		curl_easy_cleanup(stream->easy);
	}
	free(stream->waiting.data);
	stream->waiting = (struct buffer){ 0 };
	stream->easy = NULL;
	stream->opened = false;
}

static int stream_start(struct stream *stream)
{
	stream->easy = curl_easy_init();
	if (!stream->easy)
		return -ENOMEM;
	*stream->why = '\0';
	set_common(stream->easy, stream->client, stream->url, &stream->waiting, stream->why);
	return curl_multi_add_handle(stream->multi, stream->easy) == CURLM_OK ? 0 : -ENOMEM;
}

static long stream_status(const struct stream *stream)
{
	long status = 0;

	curl_easy_getinfo(stream->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* The whole lines that came, each to its reader. */
static int stream_lines(struct stream *stream)
{
	struct buffer *waiting = &stream->waiting;
	char *newline;
	size_t size;
	int r = 0;

	while (r == 0 && waiting->size &&
	       (newline = memchr(waiting->data, '\n', waiting->size))) {
		*newline = '\0';
		if (newline > waiting->data)   /* empty ones keep a connection warm */
			r = stream->fn(STREAM_LINE, waiting->data, stream->user);
		size = (size_t)(newline + 1 - waiting->data);
		waiting->size -= size;
		memmove(waiting->data, newline + 1, waiting->size);
		waiting->data[waiting->size] = '\0';
	}
	return r;
}

static int stream_news(struct stream *stream)
{
	int r = 0;

	if (!stream->easy || stream_status(stream) != 200)
		return 0;
	if (!stream->opened) {
		stream->opened = true;
		r = stream->fn(STREAM_OPENED, NULL, stream->user);
	}
	return r ? r : stream_lines(stream);
}

static int stream_over(struct stream *stream, CURLcode code)
{
	long status = stream_status(stream);
	char *body;
	int r;

	if (status != 200 && status != 0) {
		body = STEAL(stream->waiting.data);
		stream_shut(stream);
		r = stream->fn(STREAM_REFUSED, body ? body : "", stream->user);
		free(body);
		return r;
	}
	if (!*stream->why)
		snprintf(stream->why, sizeof stream->why, "%s",
			 code == CURLE_OK ? "the stream has ended" : curl_easy_strerror(code));
	stream_shut(stream);
	return stream->fn(STREAM_ENDED, stream->why, stream->user);
}

static int stream_messages(struct stream *stream)
{
	CURLMsg *message;
	int left, r;

	while ((message = curl_multi_info_read(stream->multi, &left)))
		if (message->msg == CURLMSG_DONE) {
			r = stream_over(stream, message->data.result);
			if (r)
				return r;
		}
	return 0;
}

/* -EINTR: a person wants it to end. */
static int stream_signals(struct stream *stream)
{
	struct signalfd_siginfo info;
	int r = 0;

	while (r == 0 && read(stream->signals, &info, sizeof info) == (ssize_t)sizeof info)
		r = info.ssi_signo == SIGWINCH ?
			stream->fn(STREAM_RESIZED, NULL, stream->user) : -EINTR;
	return r;
}

static int stream_tick(struct stream *stream)
{
	double now = monotonic();
	int r = 0;

	if (now < stream->next_tick)
		return 0;
	stream->next_tick = now + stream->tick;
	if (!stream->easy)
		r = stream_start(stream);
	return r ? r : stream->fn(STREAM_TICK, NULL, stream->user);
}

static int stream_turn(struct stream *stream)
{
	struct curl_waitfd extra = { .fd = stream->signals, .events = CURL_WAIT_POLLIN };
	double wait = stream->next_tick - monotonic();
	int running, r;

	if (curl_multi_poll(stream->multi, &extra, 1, wait > 0 ? (int)(wait * 1000) + 1 : 0,
			    NULL) != CURLM_OK ||
	    curl_multi_perform(stream->multi, &running) != CURLM_OK)
		return -EPROTO;
	r = stream_signals(stream);
	if (r == 0)
		r = stream_news(stream);
	if (r == 0)
		r = stream_messages(stream);
	return r ? r : stream_tick(stream);
}

int client_follow(struct client *client, const char *path, double tick, stream_fn *fn, void *user)
{
	struct stream stream = { .client = client, .tick = tick, .fn = fn, .user = user };
	sigset_t mask, before;
	int r = 0;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGWINCH);
	sigprocmask(SIG_BLOCK, &mask, &before);
	stream.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	stream.multi = curl_multi_init();
	stream.url = url_of(path);
	stream.next_tick = monotonic() + tick;
	if (stream.signals < 0)
		r = -errno;
	else if (!stream.multi || !stream.url)
		r = -ENOMEM;
	if (r == 0)
		r = stream_start(&stream);
	while (r == 0)
		r = stream_turn(&stream);
	stream_shut(&stream);
	curl_multi_cleanup(stream.multi);
	if (stream.signals >= 0)
		close(stream.signals);
	free(stream.url);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r == -EINTR ? 0 : r;
}
