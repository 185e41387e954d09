/* The supervised program of the benches: reads the clock as the first thing in main(), sends it to the
 * bench's socket, and stays. Static, so that no dynamic linker is charged to whoever starts it.
 *
 *   beacon SOCKET INDEX */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/beacon.h"

int main(int argc, char **argv)
{
	struct timespec now;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct beacon beacon;
	int fd;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (argc != 3 || strlen(argv[1]) >= sizeof address.sun_path)
		return 112;
	memcpy(address.sun_path, argv[1], strlen(argv[1]));
	beacon = (struct beacon){ .at = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
				  .pid = getpid(),
				  .index = (uint32_t)atoi(argv[2]) };
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, &beacon, sizeof beacon, MSG_NOSIGNAL,
			     (struct sockaddr *)&address, sizeof address) < 0)
		return 112;
	close(fd);
	for (;;)
		pause();
}
