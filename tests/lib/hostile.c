/* `hostile PROGRESS APPLICATION-PID SECONDS [ACT]`: does every act once, then any for so long, or that one alone, and
 * says what became of them. EPOCHD_TEST_SEED makes it do the same again. Linked with all of the library's inside. */
#include <config.h>

#include "tests/lib/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apilib/epochd.h"
#include "apilib/fd.h"
#include "apilib/now.h"
#include "apilib/place.h"

enum { SILENT = 4, SERVED = 50, HIGHEST_INDEX = 32 };

static const char *acting = "nothing";
static uint64_t seed;
static const char *const end_names[FOE_ENDS] = {
	[FOE_STAYS] = "stayed", [FOE_SENT_AWAY] = "sent_away", [FOE_REFUSED] = "refused",
	[FOE_ENDED] = "ended", [FOE_ANY] = "any",
};

void foe_expect(bool truth, const char *format, ...)
{
	va_list values;

	if (truth)
		return;
	fprintf(stderr, "hostile: EPOCHD_TEST_SEED=%llu: %s: ", (unsigned long long)seed, acting);
	va_start(values, format);
	vfprintf(stderr, format, values);
	va_end(values);
	fputc('\n', stderr);
	exit(1);
}

/* splitmix64 */
static uint64_t next_random(struct foe_run *run)
{
	uint64_t z = run->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t foe_random(struct foe_run *run, uint64_t below) { return next_random(run) % below; }

void foe_fill(struct foe_run *run, void *memory, size_t size)
{
	unsigned char *at = memory;

	for (size_t done = 0; done < size; done += sizeof(uint64_t)) {
		uint64_t value = next_random(run);

		memcpy(at + done, &value, size - done < sizeof value ? size - done : sizeof value);
	}
}

/* ---- a session ---- */

void foe_connect(struct foe_run *run, struct foe *foe)
{
	char why[256] = "";

	foe->session = ep_place_connect(run->folder, ep_deadline(run->patience), why, sizeof why);
	foe_expect(foe->session >= 0, "cannot connect: %s", why);
}

void foe_say(struct foe *foe, const void *bytes, size_t size, const int *fds, unsigned count)
{
	union { char bytes[CMSG_SPACE(253 * sizeof(int))]; struct cmsghdr align; } control = { .bytes = { 0 } };
	struct iovec part = { .iov_len = size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	memcpy(&part.iov_base, &bytes, sizeof bytes);   /* which is only read */
	if (count) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, count * sizeof(int));
	}
	/* It may be full, or at its end already: what became of it is looked at later. */
	if (sendmsg(foe->session, &message, MSG_NOSIGNAL) >= 0)
		return;
	if (errno == EPERM && count) {   /* since Linux 6.16 descriptors do not even come so far: then it is said without */
		const uint64_t nonsense = UINT64_MAX;

		foe_say(foe, &nonsense, sizeof nonsense, NULL, 0);
	} else {
		foe_expect(errno == EPIPE || errno == ECONNRESET || errno == EAGAIN, "sendmsg: %s",
			   strerrordesc_np(errno));
	}
}

int foe_hear(struct foe_run *run, struct foe *foe, union ep_wire_packet *packet)
{
	struct pollfd session = { .fd = foe->session, .events = POLLIN };
	int64_t deadline = ep_deadline(run->patience);
	int fds[EP_WIRE_FDS_MAX];
	struct timespec left;
	unsigned count;
	int r;

	while ((r = ep_wire_receive(foe->session, packet, fds, &count, EP_WIRE_FDS_MAX)) == -EAGAIN)
		foe_expect(ppoll(&session, 1, ep_until(deadline, &left), NULL) != 0,
			   "the supervisor says nothing");
	if (r == 0 || r == -ECONNRESET)
		return 0;
	foe_expect(r == 1, "what the supervisor says: %s", strerrordesc_np(-r));
	for (unsigned i = 0; i < count; i++)
		if (packet->head.kind == EP_WIRE_WELCOME)
			foe->fds[i] = fds[i];
		else
			close(fds[i]);
	return packet->head.kind;
}

void foe_hello(struct foe *foe)
{
	static const struct ep_wire_hello hello = {
		.head = { EP_WIRE_VERSION, EP_WIRE_HELLO, sizeof hello }, .app = "api", .name = "foe",
	};

	foe_say(foe, &hello, sizeof hello, NULL, 0);
}

void foe_await_offer(struct foe_run *run, struct foe *foe)
{
	union ep_wire_packet packet;
	int kind;

	while ((kind = foe_hear(run, foe, &packet)) != EP_WIRE_OFFER)
		foe_expect(kind == EP_WIRE_TABLE || kind == EP_WIRE_WAIT, "kind %d in place of an OFFER", kind);
	foe->epoch = packet.offer.epoch;
	foe->offered = packet.offer.geometry;
}

void foe_say_join(struct foe *foe, uint32_t epoch, const struct ep_geometry *wanted)
{
	struct ep_wire_join join = { .head = ep_wire_make(EP_WIRE_JOIN, sizeof join), .epoch = epoch };

	if (wanted)
		join.wanted = *wanted;
	foe_say(foe, &join, sizeof join, NULL, 0);
}

static void join(struct foe_run *run, struct foe *foe)
{
	union ep_wire_packet packet;
	const char *why = "";
	int kind;

	foe_hello(foe);
	foe_await_offer(run, foe);
	foe_say_join(foe, foe->epoch, NULL);
	kind = foe_hear(run, foe, &packet);
	foe_expect(kind == EP_WIRE_WELCOME, "kind %d in place of a WELCOME", kind);
	foe->handle = packet.welcome.handle;
	foe_expect(ep_view_map(&foe->view, foe->fds[EP_WELCOME_REGISTRY], &why) == 0, "registry: %s", why);
	foe_expect(ep_channel_map(&foe->channel, foe->fds[EP_WELCOME_CHANNEL], &why) == 0, "channel: %s", why);
	foe->out = ep_channel_lane(&foe->channel, EP_TO_APPLICATION);
	foe->in = ep_channel_lane(&foe->channel, EP_TO_CLIENT);
	/* One that is lost is not given out again. */
	foe_expect(ep_handle_index(foe->handle) < HIGHEST_INDEX, "slot %u: some are lost",
		   ep_handle_index(foe->handle));
}

/* ---- an act ---- */

void foe_while_served(struct foe_run *run, struct foe *foe, void (*keep)(struct foe_run *, struct foe *))
{
	int64_t deadline = ep_deadline(run->patience);
	uint64_t before = atomic_load(run->progress);

	do {
		foe_expect(ep_now() < deadline, "the honest client is not served meanwhile");
		keep(run, foe);
	} while (atomic_load(run->progress) - before < SERVED);
}

static enum foe_end await_end(struct foe_run *run, struct foe *foe)
{
	union ep_wire_packet packet;
	enum foe_end end = FOE_ENDED;
	int kind;

	while ((kind = foe_hear(run, foe, &packet))) {
		if (kind == EP_WIRE_FENCED && packet.fenced.error == -ECONNABORTED && packet.fenced.text[0])
			end = FOE_SENT_AWAY;
		if (kind == EP_WIRE_REFUSED && packet.refused.error < 0 && packet.refused.text[0])
			end = FOE_REFUSED;
	}
	return end;
}

void foe_ended(struct foe_run *run, uint64_t handle, enum foe_end end)
{
	run->ended[end]++;
	if (handle)
		printf("0x%016llx %s: %s\n", (unsigned long long)handle, acting, end_names[end]);
}

static bool is_at_its_end(struct foe *foe)
{
	struct pollfd session = { .fd = foe->session };

	return poll(&session, 1, 0) > 0 && session.revents & (POLLHUP | POLLERR);
}

/* Its slot is given back, and what it owed is counted. */
static void await_slot(struct foe_run *run, const struct foe *foe)
{
	const struct ep_slot *slot = ep_view_slot(&foe->view, ep_handle_index(foe->handle));
	int64_t deadline = ep_deadline(run->patience);

	while (atomic_load(&slot->handle) == foe->handle || atomic_load(&slot->owed) == foe->handle) {
		foe_expect(ep_now() < deadline, "its slot is not given back");
		poll(NULL, 0, 1);
	}
}

static void leave(struct foe_run *run, struct foe *foe)
{
	close(foe->session);
	if (foe->handle)
		await_slot(run, foe);
	for (int i = 0; i < EP_WIRE_FDS_MAX; i++)
		ep_close_fd(&foe->fds[i]);
	ep_channel_unmap(&foe->channel);
	ep_view_unmap(&foe->view);
}

static void perform(struct foe_run *run, const struct foe_act *act)
{
	struct foe foe = { .fds = { -1, -1, -1, -1 } };
	enum foe_end end = FOE_STAYS;

	acting = act->name;
	foe_connect(run, &foe);
	if (act->joined)
		join(run, &foe);
	act->act(run, &foe);
	if ((act->end != FOE_STAYS && act->end != FOE_ANY) || is_at_its_end(&foe))
		end = await_end(run, &foe);
	foe_expect(end == act->end || (act->end == FOE_ANY && end != FOE_SENT_AWAY), "it %s", end_names[end]);
	foe_ended(run, foe.handle, end);
	leave(run, &foe);
}

/* only: NULL, or the one that is meant */
static void perform_all(struct foe_run *run, const struct foe_act *acts, size_t count, const char *only)
{
	for (size_t i = 0; i < count; i++)
		if (!only || strcmp(acts[i].name, only) == 0)
			perform(run, &acts[i]);
}

static void perform_any(struct foe_run *run)
{
	uint64_t i = foe_random(run, foe_channel_act_count + foe_session_act_count);

	perform(run, i < foe_channel_act_count ? &foe_channel_acts[i] :
						 &foe_session_acts[i - foe_channel_act_count]);
}

/* ---- the whole ---- */

static const _Atomic uint64_t *map_progress(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *page = mmap(NULL, sizeof(uint64_t), PROT_READ, MAP_SHARED, fd, 0);

	foe_expect(page != MAP_FAILED, "%s: %s", path, strerrordesc_np(errno));
	close(fd);
	return page;
}

int main(int argc, char **argv)
{
	static const struct epochd_options usual;
	char folder[108], why[256] = "";
	struct foe_run run = { .folder = folder, .patience = 60000000000 };
	struct foe silent[SILENT] = { 0 };
	const char *given = getenv("EPOCHD_TEST_SEED");
	const char *only = argc == 5 ? argv[4] : NULL;
	int64_t until;

	foe_expect(argc == 4 || only, "hostile PROGRESS APPLICATION-PID SECONDS [ACT]");
	seed = run.random = given && *given ? strtoull(given, NULL, 10) : 20261127;
	signal(SIGPIPE, SIG_IGN);
	run.progress = map_progress(argv[1]);
	run.application = (pid_t)strtol(argv[2], NULL, 10);
	until = ep_deadline(strtoll(argv[3], NULL, 10) * 1000000000);
	foe_expect(ep_place_find(folder, sizeof folder, &usual, why, sizeof why) == 0, "%s", why);
	acting = "saying nothing";
	for (int i = 0; i < SILENT; i++)
		foe_connect(&run, &silent[i]);
	do {
		perform_all(&run, foe_channel_acts, foe_channel_act_count, only);
		perform_all(&run, foe_session_acts, foe_session_act_count, only);
	} while (only && ep_now() < until);
	while (ep_now() < until)
		perform_any(&run);
	acting = "saying nothing";
	for (int i = 0; i < SILENT; i++) {
		foe_expect(await_end(&run, &silent[i]) == FOE_ENDED, "it was told something");
		close(silent[i].session);
	}
	for (int i = 0; i < FOE_ENDS; i++)
		if (i != FOE_ANY)
			printf("%s %llu\n", end_names[i], (unsigned long long)run.ended[i]);
	return 0;
}
