#include <config.h>

#include "supervisor/notify.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <ev.h>

#include "supervisor/log.h"
#include "supervisor/printable.h"

enum {
	DATAGRAM_MAX = 64 * 1024,   /* a longer one is malformed */
	STATUS_MAX = 512,           /* bytes that are kept of a STATUS= */
	FDS_MAX = 253,              /* SCM_MAX_FD: no datagram can carry more */
	BUDGET = 64,                /* datagrams for one turn of the loop; the rest has the next one */
	DRAIN_BUDGET = 1024,        /* more than net.unix.max_dgram_qlen ever is, yet bounded */
	CLOSERS_MAX = 8,
	STACK_SIZE = 256 * 1024,
};

struct junk {
	struct junk *next;
	size_t count;
	int fds[FDS_MAX];
};

/* Closing a descriptor that somebody sent may block for seconds (a socket that lingers), so what is not
 * a pipe is closed by a thread (I9). While too many are stuck at it, the socket is not read. */
struct closers {
	pthread_mutex_t lock;
	unsigned references;      /* one of the socket, one of each thread */
	struct junk *junk;        /* one for each thread that has not begun */
};

struct notify {
	struct ev_loop *loop;
	ev_io readable;
	ev_timer resume;          /* looks whether the closers got on; only while paused */
	struct closers *closers;
	notify_sender_fn *sender;
	notify_fn *fn;
	void *user;
	char *path;
	int fd;
	unsigned busy;            /* calls of receive() that are under way: freed by the last of them */
	bool closed;
	bool strangers_logged, malformed_logged;
};

static struct closers *closers_new(void)
{
	struct closers *closers = calloc(1, sizeof *closers);

	if (!closers)
		return NULL;
	pthread_mutex_init(&closers->lock, NULL);
	closers->references = 1;
	return closers;
}

static void closers_unref(struct closers *closers)
{
	unsigned left;

	if (!closers)
		return;
	pthread_mutex_lock(&closers->lock);
	left = --closers->references;
	pthread_mutex_unlock(&closers->lock);
	if (left > 0)
		return;
	pthread_mutex_destroy(&closers->lock);
	free(closers);
}

static bool closers_are_stuck(struct closers *closers)
{
	bool stuck;

	pthread_mutex_lock(&closers->lock);
	stuck = closers->references > CLOSERS_MAX;
	pthread_mutex_unlock(&closers->lock);
	return stuck;
}

static void *close_junk(void *argument)
{
	struct closers *closers = argument;
	struct junk *junk;

	pthread_mutex_lock(&closers->lock);
	junk = closers->junk;
	closers->junk = junk->next;
	pthread_mutex_unlock(&closers->lock);
	for (size_t i = 0; i < junk->count; i++)
		close(junk->fds[i]);
	free(junk);
	closers_unref(closers);
	return NULL;
}

/* Detached, since it may hang for longer than we live. A small stack is enough for close(). */
static int start_closer(struct closers *closers)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, &attr, close_junk, closers);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

static void close_off_the_loop(struct closers *closers, const int *fds, size_t count)
{
	struct junk *junk = malloc(sizeof *junk);

	if (!junk) {   /* nothing better is left */
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
		return;
	}
	junk->count = count;
	memcpy(junk->fds, fds, count * sizeof fds[0]);
	pthread_mutex_lock(&closers->lock);
	junk->next = closers->junk;
	closers->junk = junk;
	closers->references++;
	pthread_mutex_unlock(&closers->lock);
	if (start_closer(closers) < 0)
		close_junk(closers);
}

/* The pipe of a BARRIER=1 is answered by being closed, at once. */
static void close_received(struct notify *notify, struct msghdr *header)
{
	int others[FDS_MAX];
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t received = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < received; i++) {
			struct stat st;
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if ((fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)) || count == FDS_MAX)
				close(fd);
			else
				others[count++] = fd;
		}
	}
	if (count > 0)
		close_off_the_loop(notify->closers, others, count);
}

static bool find_sender(struct msghdr *header, struct ucred *out)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
		    c->cmsg_len == CMSG_LEN(sizeof *out)) {
			memcpy(out, CMSG_DATA(c), sizeof *out);
			return out->pid > 0;   /* 0: in a pid namespace that is not below ours */
		}
	return false;
}

static void stranger(struct notify *notify, const struct ucred *from)
{
	if (!notify->strangers_logged)
		log_notice(0, "%s: pid %d (uid %u) is not of the application: not heard",
			   notify->path, (int)from->pid, (unsigned)from->uid);
	notify->strangers_logged = true;
}

static void malformed(struct notify *notify, pid_t sender, const char *what)
{
	if (!notify->malformed_logged)
		log_notice(0, "%s: pid %d sent what is malformed (%.60s); this is said once",
			   notify->path, (int)sender, what);
	notify->malformed_logged = true;
}

/* Digits and nothing else. */
static bool parse_number(const char *text, int64_t most, int64_t *out)
{
	int64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		int digit = *text - '0';

		if (digit < 0 || digit > 9 || value > (most - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}

/* At most what can be added to a time of day without care: 73 years. */
static bool parse_usec(const char *text, int64_t *ns)
{
	int64_t usec;

	if (!parse_number(text, INT64_MAX / 4 / 1000, &usec))
		return false;
	*ns = usec * 1000;
	return true;
}

static bool parse_pid(const char *text, pid_t *pid)
{
	int64_t number;

	if (!parse_number(text, INT_MAX, &number) || number == 0)
		return false;
	*pid = (pid_t)number;
	return true;
}

/* The value, if this is the key. */
static char *after(char *line, const char *key)
{
	size_t length = strlen(key);

	return strncmp(line, key, length) == 0 && line[length] == '=' ? line + length + 1 : NULL;
}

static bool set_flag(const char *value, bool *flag)
{
	*flag = strcmp(value, "1") == 0 || *flag;
	return true;   /* another value means nothing, and is not wrong */
}

static bool parse_watchdog(const char *value, struct notify_message *out)
{
	if (strcmp(value, "trigger") == 0)
		out->watchdog_trigger = true;
	return set_flag(value, &out->watchdog);
}

/* False: malformed. Keys we do not know are for other managers. */
static bool parse_line(char *line, struct notify_message *out)
{
	char *value;

	if ((value = after(line, "READY")))
		return set_flag(value, &out->ready);
	if ((value = after(line, "STOPPING")))
		return set_flag(value, &out->stopping);
	if ((value = after(line, "RELOADING")))
		return set_flag(value, &out->reloading);
	if ((value = after(line, "WATCHDOG")))
		return parse_watchdog(value, out);
	if ((value = after(line, "WATCHDOG_USEC")))
		return parse_usec(value, &out->watchdog_ns);
	if ((value = after(line, "EXTEND_TIMEOUT_USEC")))
		return parse_usec(value, &out->extend_ns);
	if ((value = after(line, "MAINPID")))
		return parse_pid(value, &out->main_pid);
	if ((value = after(line, "STATUS"))) {
		make_printable(value, STATUS_MAX);
		out->status = value;
		return true;
	}
	return !*line || strchr(line, '=');
}

/* A line that is malformed does not spoil the others. From the last to the first, so that of a key
 * that comes twice the first counts, as with systemd. */
static void parse(struct notify *notify, char *text, struct notify_message *out)
{
	for (;;) {
		char *newline = strrchr(text, '\n');
		char *line = newline ? newline + 1 : text;

		if (!parse_line(line, out)) {
			make_printable(line, STATUS_MAX);
			malformed(notify, out->sender, line);
		}
		if (!newline)
			return;
		*newline = '\0';
	}
}

static bool says_something(const struct notify_message *message)
{
	return message->ready || message->stopping || message->reloading || message->watchdog ||
	       message->watchdog_trigger || message->watchdog_ns >= 0 || message->extend_ns >= 0 ||
	       message->main_pid != 0 || message->status;
}

/* text has room for a NUL at `length`. */
static void understand(struct notify *notify, const struct ucred *from, char *text, size_t length,
		       bool truncated)
{
	struct notify_message message = {
		.sender = from->pid, .uid = from->uid, .watchdog_ns = -1, .extend_ns = -1,
	};

	if (truncated) {
		malformed(notify, from->pid, "too long");
		return;
	}
	text[length] = '\0';
	if (length > 0 && strlen(text) < length - 1) {   /* one at the very end is a habit of some */
		malformed(notify, from->pid, "a NUL in the text");
		return;
	}
	parse(notify, text, &message);
	if (says_something(&message))
		notify->fn(&message, notify->user);
}

/* True: there was one. Whatever it was, nothing of it is left. */
static bool receive_one(struct notify *notify)
{
	char text[DATAGRAM_MAX + 1];
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { text, DATAGRAM_MAX };
	struct msghdr header = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof control,
	};
	struct ucred from = { 0 };
	ssize_t n;
	bool known;

	do
		n = recvmsg(notify->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return false;
	known = find_sender(&header, &from);
	close_received(notify, &header);
	if (known && notify->sender(from.pid, from.uid, notify->user))
		understand(notify, &from, text, (size_t)n, header.msg_flags & MSG_TRUNC);
	else
		stranger(notify, &from);
	return true;
}

static void release(struct notify *notify)
{
	closers_unref(notify->closers);
	free(notify->path);
	free(notify);
}

static void receive(struct notify *notify, unsigned budget)
{
	notify->busy++;
	while (!notify->closed && budget-- > 0) {
		if (closers_are_stuck(notify->closers)) {
			ev_io_stop(notify->loop, &notify->readable);
			ev_timer_again(notify->loop, &notify->resume);
			break;
		}
		if (!receive_one(notify))
			break;
	}
	if (--notify->busy == 0 && notify->closed)
		release(notify);
}

static void on_readable(EV_P_ ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	receive(container_of(w, struct notify, readable), BUDGET);
}

static void on_resume(EV_P_ ev_timer *w, int revents)
{
	struct notify *notify = container_of(w, struct notify, resume);

	(void)revents;
	if (closers_are_stuck(notify->closers))
		return;   /* it repeats */
	ev_timer_stop(EV_A_ w);
	ev_io_start(EV_A_ &notify->readable);
}

/* Beside its place, then renamed: at `path` there is never one that refuses whom it should hear. */
static int bind_at(int fd, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int n = snprintf(address.sun_path, sizeof address.sun_path, "%s~", path);
	int r;

	if (n < 0 || (size_t)n >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	if (unlink(address.sun_path) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	if (chmod(address.sun_path, 0666) == 0 && rename(address.sun_path, path) == 0)
		return 0;
	r = -errno;
	unlink(address.sun_path);
	return r;
}

static int open_socket(struct notify *notify, const char *path)
{
	int r;

	notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (notify->fd < 0)
		return -errno;
	/* Before it can be reached: a datagram that came earlier would have no sender. */
	if (setsockopt(notify->fd, SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)) < 0)
		return -errno;
	r = bind_at(notify->fd, path);
	if (r < 0)
		return r;
	notify->path = strdup(path);
	if (!notify->path) {
		unlink(path);
		return -ENOMEM;
	}
	return 0;
}

static void notify_closep(struct notify **notify)
{
	notify_close(*notify);
}

int notify_open(struct notify **out, struct ev_loop *loop, const char *path,
		notify_sender_fn *sender, notify_fn *fn, void *user)
{
	CLEANUP(notify_closep) struct notify *notify = calloc(1, sizeof *notify);
	int r;

	if (!notify)
		return -ENOMEM;
	*notify = (struct notify){ .loop = loop, .sender = sender, .fn = fn, .user = user, .fd = -1 };
	ev_init(&notify->readable, on_readable);
	ev_timer_init(&notify->resume, on_resume, 0., .1);
	notify->closers = closers_new();
	if (!notify->closers)
		return -ENOMEM;
	r = open_socket(notify, path);
	if (r < 0)
		return r;
	ev_io_set(&notify->readable, notify->fd, EV_READ);
	ev_io_start(loop, &notify->readable);
	*out = STEAL(notify);
	return 0;
}

void notify_drain(struct notify *notify)
{
	receive(notify, DRAIN_BUDGET);
}

void notify_close(struct notify *notify)
{
	if (!notify)
		return;
	ev_io_stop(notify->loop, &notify->readable);
	ev_timer_stop(notify->loop, &notify->resume);
	if (notify->path)
		unlink(notify->path);
	if (notify->fd >= 0)
		close(notify->fd);
	notify->fd = -1;
	notify->closed = true;
	if (notify->busy == 0)
		release(notify);
}

const char *notify_path(const struct notify *notify)
{
	return notify->path;
}
