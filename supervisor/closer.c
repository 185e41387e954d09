#include <config.h>

#include "supervisor/closer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS_MOST = 253 };   /* in one packet: SCM_MAX_FD */

struct item {
	struct item *next;
	int fd;
	bool ours;   /* then what is unread in it is taken out first; another's is its own to read */
};

struct closer {
	pthread_mutex_t lock;
	pthread_cond_t some;
	struct item *first, **end;
	bool started, over;
};

/* ---- the thread ---- */

static void close_one(int fd)
{
	const struct linger none = { 0 };

	/* That takes the wait away from most of what could make us wait; what is no socket refuses it. */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	close(fd);
}

static void close_all(const struct msghdr *message)
{
	const struct cmsghdr *item = CMSG_FIRSTHDR(message);
	int fd;

	if (!item || item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
		return;
	for (size_t at = 0; CMSG_LEN(at + sizeof fd) <= item->cmsg_len; at += sizeof fd) {
		memcpy(&fd, CMSG_DATA(item) + at, sizeof fd);
		close_one(fd);
	}
}

/* False: nothing is unread any more. */
static bool take_one(int fd)
{
	union { char bytes[CMSG_SPACE(FDS_MOST * sizeof(int))]; struct cmsghdr align; } control;
	char byte;
	struct iovec part = { &byte, sizeof byte };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
				  .msg_controllen = sizeof control.bytes };
	ssize_t n;

	do
		n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		close_all(&message);
	return n > 0;
}

static void free_closer(struct closer *closer)
{
	pthread_mutex_destroy(&closer->lock);
	pthread_cond_destroy(&closer->some);
	free(closer);
}

/* NULL: it is over. */
static struct item *await_item(struct closer *closer)
{
	struct item *item;

	pthread_mutex_lock(&closer->lock);
	while (!closer->first && !closer->over)
		pthread_cond_wait(&closer->some, &closer->lock);
	item = closer->first;
	if (item)
		closer->first = item->next;
	if (!closer->first)
		closer->end = &closer->first;
	pthread_mutex_unlock(&closer->lock);
	return item;
}

static void *run(void *user)
{
	struct closer *closer = user;
	struct item *item;

	while ((item = await_item(closer))) {
		while (item->ours && take_one(item->fd))
			;
		close_one(item->fd);
		free(item);
	}
	free_closer(closer);
	return NULL;
}

/* ---- the loop ---- */

int closer_new(struct closer **out)
{
	struct closer *closer = calloc(1, sizeof *closer);

	if (!closer)
		return -ENOMEM;
	pthread_mutex_init(&closer->lock, NULL);
	pthread_cond_init(&closer->some, NULL);
	closer->end = &closer->first;
	*out = closer;
	return 0;
}

void closer_free(struct closer *closer)
{
	if (!closer)
		return;
	if (!closer->started) {
		free_closer(closer);
		return;
	}
	pthread_mutex_lock(&closer->lock);
	closer->over = true;   /* the thread frees it */
	pthread_cond_signal(&closer->some);
	pthread_mutex_unlock(&closer->lock);
}

/* Signals are the loop's. */
static bool start(struct closer *closer)
{
	sigset_t all, before;
	pthread_t thread;
	int r;

	if (closer->started)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, NULL, run, closer);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0)
		return false;
	pthread_detach(thread);
	closer->started = true;
	return true;
}

static bool hand_over(struct closer *closer, int fd, bool ours)
{
	struct item *item = calloc(1, sizeof *item);

	if (!item || !start(closer)) {
		free(item);
		return false;
	}
	item->fd = fd;
	item->ours = ours;
	pthread_mutex_lock(&closer->lock);
	*closer->end = item;
	closer->end = &item->next;
	pthread_cond_signal(&closer->some);
	pthread_mutex_unlock(&closer->lock);
	return true;
}

/* A socket that is closed with something unread in it resets the other side, which then may not hear what it
 * was told last. After the shutdown nothing more comes in, so what is read here is all. */
void closer_close(struct closer *closer, int fd)
{
	char byte;

	shutdown(fd, SHUT_RDWR);
	if (recv(fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) > 0 && hand_over(closer, fd, true))
		return;
	close(fd);
}

void closer_drop(struct closer *closer, int fd)
{
	if (!hand_over(closer, fd, false))
		close(fd);
}
