/* `honest PROGRESS`: calls the application of hostile.sh at full rate, with what fits into a line and what needs a
 * buffer, and looks at each byte that comes back. PROGRESS is a file of 8 bytes: how many calls were answered.
 * SIGTERM: it ends, with status 0 if all was as it should be. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/api_messages.h"

enum { AT_ONCE = 16 };

static const int64_t long_enough = 120000000000;   /* ns */
static volatile sig_atomic_t over;

static void on_signal(int signal_number)
{
	(void)signal_number;
	over = 1;
}

static void expect(bool truth, struct epochd_client *client, const char *what, int r)
{
	if (truth)
		return;
	fprintf(stderr, "honest: %s: %s (%s)\n", what, r < 0 ? strerror(-r) : "wrong",
		client ? epochd_client_why(client) : "");
	exit(1);
}

static size_t size_of(uint64_t number)
{
	static const size_t sizes[] = { 8, 40, 41, 256, 300, 2048, 3000, 20, 8, 16 };

	return sizes[number % (sizeof sizes / sizeof sizes[0])];
}

static void fill(unsigned char *bytes, uint64_t number)
{
	for (size_t i = 0; i < size_of(number); i++)
		bytes[i] = (unsigned char)(number * 31 + i * 7);
	memcpy(bytes, &number, sizeof number);
}

/* As one who has a loop of its own. */
static int receive_by_fd(struct epochd_client *client, struct epochd_message *reply)
{
	struct pollfd readable = { .fd = epochd_client_fd(client), .events = POLLIN };
	int r;

	while ((r = epochd_receive(client, reply, 0)) == -EAGAIN)
		if (poll(&readable, 1, (int)(long_enough / 1000000)) == 0)
			return -ETIMEDOUT;
	return r;
}

static void receive(struct epochd_client *client, uint64_t number)
{
	static unsigned char wanted[ECHO_MOST];
	struct epochd_message reply;
	int r = number / AT_ONCE & 1 ? receive_by_fd(client, &reply) :
				       epochd_receive(client, &reply, long_enough);

	expect(r == 0, client, "receive", r);
	fill(wanted, number);
	expect(reply.type == echo_id && reply.context == number && reply.size == size_of(number), client,
	       "the reply", 0);
	expect(memcmp(reply.payload, wanted, reply.size) == 0, client, "a byte of the reply", 0);
	r = epochd_release(client, &reply);
	expect(r == 0, client, "release", r);
}

int main(int argc, char **argv)
{
	static unsigned char bytes[ECHO_MOST];
	struct epochd_client *client = NULL;
	int fd = argc == 2 ? open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	_Atomic uint64_t *progress;
	uint64_t number = 0;
	int r = fd < 0 || ftruncate(fd, sizeof *progress) < 0 ? -1 : 0;

	expect(r == 0, NULL, "PROGRESS", r);
	progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	expect(progress != MAP_FAILED, NULL, "mmap", 0);
	close(fd);
	signal(SIGTERM, on_signal);
	r = epochd_connect(&client, "api", api_messages, api_count, NULL);
	expect(r == 0, NULL, "connect", r);
	while (!over) {
		for (uint64_t i = 0; i < AT_ONCE; i++) {
			fill(bytes, number + i);
			r = epochd_send(client, echo_id, number + i, bytes, size_of(number + i));
			expect(r == 0, client, "send", r);
		}
		for (uint64_t i = 0; i < AT_ONCE; i++)
			receive(client, number + i);
		number += AT_ONCE;
		atomic_store(progress, number);
	}
	epochd_close(client);
	printf("honest: %llu calls\n", (unsigned long long)number);
	return 0;
}
