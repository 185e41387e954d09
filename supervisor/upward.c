#include <config.h>

#include "supervisor/upward.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <ev.h>

#include "supervisor/log.h"

enum { TEXT_MAX = 512, WAITING_MAX = 8 };

static const ev_tstamp AGAIN = .1;

struct upward {
	struct ev_loop *loop;
	ev_timer feed;             /* the watchdog; armed if there is one */
	ev_timer again;            /* armed while something waits */
	struct sockaddr_un address;
	socklen_t address_size;
	int fd;
	char *waiting[WAITING_MAX];   /* told in vain, since its queue was full: oldest first */
	size_t waiting_count;
	bool failing;              /* and logged */
};

/* Never waits: the manager may be as busy as it likes. */
static int send_text(struct upward *upward, const char *text)
{
	ssize_t n;
	int r;

	do
		n = sendto(upward->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
			   (const struct sockaddr *)&upward->address, upward->address_size);
	while (n < 0 && errno == EINTR);
	if (n >= 0) {
		upward->failing = false;
		return 0;
	}
	r = -errno;
	if (r != -EAGAIN && r != -ENOBUFS) {
		if (!upward->failing)
			log_notice(r, "NOTIFY_SOCKET: whoever started epochd cannot be told");
		upward->failing = true;
	}
	return r;
}

static void send_waiting(struct upward *upward)
{
	size_t sent = 0;

	while (sent < upward->waiting_count) {
		int r = send_text(upward, upward->waiting[sent]);

		if (r == -EAGAIN || r == -ENOBUFS)
			break;
		free(upward->waiting[sent++]);
	}
	upward->waiting_count -= sent;
	memmove(upward->waiting, upward->waiting + sent,
		upward->waiting_count * sizeof upward->waiting[0]);
	if (upward->waiting_count == 0)
		ev_timer_stop(upward->loop, &upward->again);
}

static void wait_with(struct upward *upward, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return;
	if (upward->waiting_count == WAITING_MAX) {   /* what is newer says more */
		free(upward->waiting[0]);
		upward->waiting_count--;
		memmove(upward->waiting, upward->waiting + 1,
			upward->waiting_count * sizeof upward->waiting[0]);
	}
	upward->waiting[upward->waiting_count++] = copy;
	if (!ev_is_active(&upward->again))
		ev_timer_again(upward->loop, &upward->again);
}

/* In order: what waits goes first. */
static void tell(struct upward *upward, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void tell(struct upward *upward, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list values;
	int r = -EAGAIN;

	va_start(values, format);
	vsnprintf(text, sizeof text, format, values);
	va_end(values);
	send_waiting(upward);
	if (upward->waiting_count == 0)
		r = send_text(upward, text);
	if (r == -EAGAIN || r == -ENOBUFS)
		wait_with(upward, text);
}

static void on_feed(EV_P_ ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	/* Not kept for later: the next one is as good. */
	(void)send_text(container_of(w, struct upward, feed), "WATCHDOG=1");
}

static void on_again(EV_P_ ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	send_waiting(container_of(w, struct upward, again));
}

static bool parse_number(const char *text, uint64_t *out)
{
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && !*end;
}

/* Microseconds; 0: nobody watches us. A WATCHDOG_PID that is not ours was meant for our parent. */
static uint64_t watchdog_usec(void)
{
	const char *pid_text = getenv("WATCHDOG_PID");
	const char *usec_text = getenv("WATCHDOG_USEC");
	uint64_t usec, pid;

	if (!usec_text)
		return 0;
	if (!parse_number(usec_text, &usec) || (pid_text && !parse_number(pid_text, &pid))) {
		log_notice(0, "WATCHDOG_USEC=%s WATCHDOG_PID=%s: not understood, no watchdog is fed",
			   usec_text, pid_text ? pid_text : "");
		return 0;
	}
	return !pid_text || pid == (uint64_t)getpid() ? usec : 0;
}

static int set_address(struct upward *upward, const char *path)
{
	size_t length = strlen(path);

	if (path[0] != '/' && path[0] != '@')
		return -EAFNOSUPPORT;   /* vsock: is for a machine's first process */
	if (length < 2 || length >= sizeof upward->address.sun_path)
		return -ENAMETOOLONG;
	upward->address.sun_family = AF_UNIX;
	memcpy(upward->address.sun_path, path, length);
	upward->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	if (path[0] == '@')
		upward->address.sun_path[0] = '\0';   /* abstract: no NUL at its end */
	else
		upward->address_size++;
	return 0;
}

static void upward_closep(struct upward **upward)
{
	upward_close(*upward);
}

static int upward_new(struct upward **out, struct ev_loop *loop, const char *path, uint64_t usec)
{
	CLEANUP(upward_closep) struct upward *upward = calloc(1, sizeof *upward);
	ev_tstamp half = (double)usec / 2e6;
	int r;

	if (!upward)
		return -ENOMEM;
	upward->loop = loop;
	upward->fd = -1;
	ev_timer_init(&upward->feed, on_feed, half, half);
	ev_timer_init(&upward->again, on_again, 0., AGAIN);
	r = set_address(upward, path);
	if (r < 0)
		return log_notice(r, "NOTIFY_SOCKET=%s: cannot be used", path);
	upward->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (upward->fd < 0)
		return -errno;
	if (usec > 0)
		ev_timer_start(loop, &upward->feed);
	*out = STEAL(upward);
	return 0;
}

int upward_open(struct upward **out, struct ev_loop *loop)
{
	const char *path = getenv("NOTIFY_SOCKET");
	uint64_t usec = watchdog_usec();
	int r = 0;

	*out = NULL;
	if (path && *path)
		r = upward_new(out, loop, path, usec);
	/* They are ours: an application that found them would speak for us. */
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return r == -EAFNOSUPPORT || r == -ENAMETOOLONG ? 0 : r;
}

void upward_close(struct upward *upward)
{
	if (!upward)
		return;
	send_waiting(upward);
	ev_timer_stop(upward->loop, &upward->feed);
	ev_timer_stop(upward->loop, &upward->again);
	for (size_t i = 0; i < upward->waiting_count; i++)
		free(upward->waiting[i]);
	if (upward->fd >= 0)
		close(upward->fd);
	free(upward);
}

void upward_ready(struct upward *upward)
{
	if (upward)
		tell(upward, "READY=1");
}

/* One line, whatever the text: a newline in it would begin a command. */
void upward_status(struct upward *upward, const char *text)
{
	char line[TEXT_MAX];

	if (!upward)
		return;
	snprintf(line, sizeof line, "STATUS=%s", text);
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
	tell(upward, "%s", line);
}

void upward_reloading(struct upward *upward)
{
	struct timespec now;

	if (!upward)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	tell(upward, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
	     (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void upward_stopping(struct upward *upward)
{
	if (upward)
		tell(upward, "STOPPING=1");
}

void upward_extend(struct upward *upward, int64_t ns)
{
	if (upward && ns > 0)
		tell(upward, "EXTEND_TIMEOUT_USEC=%" PRId64, ns / 1000);
}
