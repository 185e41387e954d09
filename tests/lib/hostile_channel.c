/* Hostile over what is shared with the application: the channel's memory, and the bells. */
#include <config.h>

#include "tests/lib/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apilib/doorbell.h"
#include "apilib/fd.h"
#include "apilib/now.h"
#include "tests/lib/api_messages.h"

enum { TIMES = 20, LARGE = 200, PATIENT_LOOKS = 1000, PIPE_MOST = 1 << 16 };

/* The application numbers its messages by their place in its table. */
static uint16_t wire_of(uint32_t type) { return (uint16_t)(type + 1); }

static void ring(const struct foe *foe)
{
	(void)ep_bell_ring_index(foe->fds[EP_WELCOME_RING], ep_handle_index(foe->handle));
}

static bool is_over(const struct foe *foe)
{
	struct pollfd session = { .fd = foe->session };

	return poll(&session, 1, 0) > 0 && session.revents & (POLLHUP | POLLERR);
}

static void put_word(struct foe *foe, const struct ep_content *content, uint64_t word)
{
	struct ep_line *line = &foe->out.lines[foe->next & foe->out.mask];

	line->content = *content;
	/* Release, as an honest one: what is nonsense shall be nothing but what is meant to be. */
	atomic_store_explicit(&line->word, word, memory_order_release);
	foe->next++;
	ring(foe);
}

/* In turn, and when there is room. */
static void put(struct foe_run *run, struct foe *foe, const struct ep_content *content)
{
	int64_t deadline = ep_deadline(run->patience);

	while (foe->next - atomic_load(&foe->out.head->consumed) > foe->out.mask && !is_over(foe)) {
		foe_expect(ep_now() < deadline, "its lines are not taken");
		ring(foe);
		sched_yield();
	}
	put_word(foe, content, ep_line_word(foe->next, EP_LINE_SENT));
}

/* Where it may have spoilt that for itself: only for a while. */
static void put_anyway(struct foe *foe, const struct ep_content *content)
{
	for (int i = 0; i < PATIENT_LOOKS; i++) {
		if (foe->next - atomic_load(&foe->out.head->consumed) <= foe->out.mask)
			break;
		ring(foe);
		sched_yield();
	}
	put_word(foe, content, ep_line_word(foe->next, EP_LINE_SENT));
}

static struct ep_content some_echo(uint64_t number)
{
	struct ep_content content = { .id = wire_of(echo_id), .kind = EP_KIND_INLINE,
				      .size = sizeof number, .context = number };

	memcpy(content.bytes, &number, sizeof number);
	return content;
}

/* One that is to come back in a buffer, and is sent in one of ours. After as many as there are it is nonsense, unless
 * the application has read the one before: it is in the same. */
static struct ep_content large_echo(struct foe *foe, uint64_t number)
{
	struct ep_buffer buffer = { .class = 0, .index = (uint32_t)(number % foe->offered.class[0].count) };
	struct ep_content content = { .id = wire_of(echo_id), .kind = EP_KIND_BUFFER, .size = LARGE,
				      .context = number };

	buffer.generation = atomic_load(&foe->out.released[0][buffer.index]) + 1;
	atomic_store(&foe->out.allocated[0][buffer.index], ep_allocated_word(buffer.generation, true));
	content.buffer = buffer;
	return content;
}

/* Whatever the application looks at next is wrong: so that what becomes of this client is known. */
static void end_in_nonsense(struct foe_run *run, struct foe *foe)
{
	for (uint64_t i = 0; i <= foe->out.mask; i++)
		atomic_store(&foe->out.lines[i].word, 1ull << 63 | foe_random(run, UINT32_MAX));
	ring(foe);
}

/* ---- lines ---- */

static void wrong_number(struct foe_run *run, struct foe *foe)
{
	const struct ep_content content = some_echo(1);

	put_word(foe, &content, ep_line_word(1 + foe_random(run, foe->out.mask), EP_LINE_SENT));
}

static void random_word(struct foe_run *run, struct foe *foe)
{
	const struct ep_content content = some_echo(1);
	uint64_t word;

	foe_fill(run, &word, sizeof word);
	put_word(foe, &content, word | 1ull << 63);
}

static void unknown_kind(struct foe_run *run, struct foe *foe)
{
	struct ep_content content = some_echo(1);

	content.kind = (uint8_t)(2 + foe_random(run, 254));
	put(run, foe, &content);
}

static void too_large_for_a_line(struct foe_run *run, struct foe *foe)
{
	struct ep_content content = some_echo(1);

	content.size = EP_INLINE + 1 + (uint32_t)foe_random(run, UINT32_MAX - EP_INLINE);
	put(run, foe, &content);
}

static void too_small_for_its_type(struct foe_run *run, struct foe *foe)
{
	struct ep_content content = some_echo(1);

	content.size = (uint32_t)foe_random(run, sizeof(uint64_t));
	put(run, foe, &content);
}

static void no_such_class(struct foe_run *run, struct foe *foe)
{
	struct ep_content content = large_echo(foe, 0);

	content.buffer.class = foe->offered.classes + (uint32_t)foe_random(run, 1u << 31);
	put(run, foe, &content);
}

static void no_such_buffer(struct foe_run *run, struct foe *foe)
{
	struct ep_content content = large_echo(foe, 0);

	content.buffer.index = foe->offered.class[0].count + (uint32_t)foe_random(run, 1u << 31);
	put(run, foe, &content);
}

static void too_large_for_its_buffer(struct foe_run *run, struct foe *foe)
{
	struct ep_content content = large_echo(foe, 0);

	content.size = foe->offered.class[0].size + 1 + (uint32_t)foe_random(run, 1u << 31);
	put(run, foe, &content);
}

static struct ep_content in_large(struct foe_run *run, struct foe *foe, uint32_t index)
{
	struct ep_content content = { .id = wire_of(sum_id), .kind = EP_KIND_BUFFER, .size = LARGE };

	content.buffer = (struct ep_buffer){
		.class = EP_CLASS_LARGE, .index = index,
		.generation = atomic_load(&foe->out.released[EP_CLASS_LARGE][index]) + 1 };
	atomic_store(&foe->out.allocated[EP_CLASS_LARGE][index], ep_allocated_word(content.buffer.generation, true));
	(void)run;
	return content;
}

/* The supervisor never made it. */
static void no_such_large_buffer(struct foe_run *run, struct foe *foe)
{
	struct ep_content content = in_large(run, foe, (uint32_t)foe_random(run, EP_LARGE_SLOTS));

	put(run, foe, &content);
}

static void ask_for_large(struct foe_run *run, struct foe *foe, uint64_t size, union ep_wire_packet *packet)
{
	const struct ep_wire_large large = { .head = ep_wire_make(EP_WIRE_LARGE, sizeof large), .handle = foe->handle,
					     .size = size };
	int kind;

	foe_say(foe, &large, sizeof large, NULL, 0);
	while ((kind = foe_hear(run, foe, packet)) != EP_WIRE_SLOT)
		foe_expect(kind == EP_WIRE_PING, "kind %d in place of a SLOT", kind);
}

/* It made it, of 64 KiB. */
static void lies_about_its_large_size(struct foe_run *run, struct foe *foe)
{
	union ep_wire_packet packet;
	struct ep_content content;

	ask_for_large(run, foe, 1, &packet);
	foe_expect(packet.slot.error == 0 && packet.slot.log == EP_LARGE_LOG_MIN, "%s", strerrordesc_np(-packet.slot.error));
	content = in_large(run, foe, packet.slot.index);
	content.size = (1u << EP_LARGE_LOG_MIN) + 1 + (uint32_t)foe_random(run, 1u << 31);
	put(run, foe, &content);
}

static void wants_all_memory(struct foe_run *run, struct foe *foe)
{
	union ep_wire_packet packet;
	uint64_t given = 0;

	for (int i = 0; i < TIMES; i++) {
		ask_for_large(run, foe, foe_random(run, 2) ? 1u << 20 : foe_random(run, UINT64_MAX), &packet);
		given += packet.slot.error ? 0 : 1ull << packet.slot.log;
	}
	foe_expect(given <= 128 << 20 && packet.slot.error == -EMSGSIZE, "%llu bytes, then %s", (unsigned long long)given,
		   strerrordesc_np(-packet.slot.error));
}

static void buffer_sent_twice(struct foe_run *run, struct foe *foe)
{
	struct ep_content content = large_echo(foe, 0);

	put(run, foe, &content);
	put(run, foe, &content);
}

/* In their turn, and of any kind: some are good. */
static void random_lines(struct foe_run *run, struct foe *foe)
{
	for (int i = 0; i < 3 * TIMES && !is_over(foe); i++) {
		struct ep_content content = foe_random(run, 2) ? large_echo(foe, foe_random(run, 1000)) :
								 some_echo(foe_random(run, 1000));

		if (foe_random(run, 4) == 0)
			content.id = wire_of(foe_random(run, 2) ? silent_id : sum_id);
		if (foe_random(run, 8) == 0)
			content.id = (uint16_t)(wire_of(api_count) + foe_random(run, 60000));
		if (foe_random(run, 8) == 0)
			content.size = (uint32_t)foe_random(run, 300);
		if (foe_random(run, 16) == 0)
			foe_fill(run, content.bytes, sizeof content.bytes);
		put(run, foe, &content);
	}
	end_in_nonsense(run, foe);
}

/* While the application reads them. */
static void changing_lines(struct foe_run *run, struct foe *foe)
{
	struct ep_line *line = foe->out.lines;

	for (int i = 0; i < TIMES && !is_over(foe); i++) {
		struct ep_content content = large_echo(foe, (uint64_t)i);

		line = &foe->out.lines[foe->next & foe->out.mask];
		put(run, foe, &content);
		for (int j = 0; j < 100; j++) {
			line->content.size = (uint32_t)foe_random(run, 1u << 31);
			line->content.buffer.index = (uint32_t)foe_random(run, 1u << 31);
			line->content.kind = j & 1;
		}
	}
	end_in_nonsense(run, foe);
}

/* ---- all of it ---- */

static void random_everywhere(struct foe_run *run, struct foe *foe)
{
	for (int i = 0; i < TIMES / 4; i++) {
		foe_fill(run, foe->channel.base, foe->channel.places.backed);
		foe_fill(run, foe->in.head, foe->channel.places.lane[1] - foe->channel.places.lane[0]);
		ring(foe);
	}
}

/* Here and there, while calls go on. */
static void random_words(struct foe_run *run, struct foe *foe)
{
	for (int i = 0; i < 5 * TIMES && !is_over(foe); i++) {
		struct ep_content content = large_echo(foe, (uint64_t)i);
		size_t words = foe->channel.size / sizeof(uint64_t);

		put_anyway(foe, &content);
		for (int j = 0; j < TIMES; j++)
			foe_fill(run, foe->channel.base + foe_random(run, words) * sizeof(uint64_t),
				 sizeof(uint64_t));
	}
	end_in_nonsense(run, foe);
}

/* Each line holds what it may not: the ring went round, and is empty again. */
static void go_round(struct foe_run *run, struct foe *foe)
{
	const struct ep_content content = some_echo(1);
	int64_t deadline = ep_deadline(run->patience);

	for (uint64_t i = 0; i <= foe->out.mask; i++)
		put(run, foe, &content);
	while (atomic_load(&foe->out.head->consumed) != foe->next) {
		foe_expect(ep_now() < deadline, "its lines are not taken");
		sched_yield();
	}
}

static void punch_holes(struct foe_run *run, struct foe *foe)
{
	int memfd = foe->fds[EP_WELCOME_CHANNEL];

	go_round(run, foe);
	for (int i = 0; i < TIMES; i++) {
		foe_expect(fallocate(memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				     (off_t)foe->channel.size) == 0, "fallocate: %s", strerrordesc_np(errno));
		ring(foe);
	}
	foe_expect(ftruncate(memfd, 0) < 0 && ftruncate(memfd, (off_t)foe->channel.size * 2) < 0,
		   "a channel is not sealed");
}

static void remove_pages(struct foe_run *run, struct foe *foe)
{
	go_round(run, foe);
	for (int i = 0; i < TIMES; i++) {
		foe_expect(madvise(foe->channel.base, foe->channel.size, MADV_REMOVE) == 0, "madvise: %s",
			   strerrordesc_np(errno));
		ring(foe);
	}
}

/* Under the hands of the application, which answers in buffers. */
static void punch_while_called(struct foe_run *run, struct foe *foe)
{
	for (int i = 0; i < 5 * TIMES && !is_over(foe); i++) {
		struct ep_content content = large_echo(foe, (uint64_t)i);
		off_t page = (off_t)foe_random(run, foe->channel.size / EP_PAGE) * EP_PAGE;

		put_anyway(foe, &content);
		(void)fallocate(foe->fds[EP_WELCOME_CHANNEL], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				page, EP_PAGE * (off_t)(1 + foe_random(run, 4)));
	}
	end_in_nonsense(run, foe);
}

/* ---- before the application has seen it ---- */

static bool is_stopped(pid_t pid)
{
	char path[40], text[512] = "";
	const char *state;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	CLEANUP(ep_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (read(fd, text, sizeof text - 1) < 0)
		return false;
	state = strrchr(text, ')');
	return state && state[2] == 'T';
}

/* A second channel of the same client program, whose JOINED the application reads when it is spoilt. */
static void spoil_header(struct foe_run *run, const struct ep_channel_header *header)
{
	struct foe other = { .fds = { -1, -1, -1, -1 } };
	union ep_wire_packet packet;
	int64_t deadline = ep_deadline(run->patience);
	uint64_t handle;
	int kind;

	foe_connect(run, &other);
	foe_hello(&other);
	foe_await_offer(run, &other);
	kill(run->application, SIGSTOP);
	while (!is_stopped(run->application))
		foe_expect(ep_now() < deadline && poll(NULL, 0, 1) == 0, "the application does not stop");
	foe_say_join(&other, other.epoch, NULL);
	kind = foe_hear(run, &other, &packet);
	handle = kind == EP_WIRE_WELCOME ? packet.welcome.handle : 0;
	if (handle)
		(void)!pwrite(other.fds[EP_WELCOME_CHANNEL], header, sizeof *header, 0);
	kill(run->application, SIGCONT);
	foe_expect(kind == EP_WIRE_WELCOME, "kind %d in place of a WELCOME", kind);
	kind = header->magic == EP_CHANNEL_MAGIC ? 0 : foe_hear(run, &other, &packet);
	foe_expect(!kind || (kind == EP_WIRE_FENCED && packet.fenced.error == -ECONNABORTED),
		   "kind %d: it is not sent away", kind);
	foe_ended(run, handle, kind ? FOE_SENT_AWAY : FOE_STAYS);
	close(other.session);
	for (int i = 0; i < EP_WIRE_FDS_MAX; i++)
		ep_close_fd(&other.fds[i]);
}

static void spoilt_header(struct foe_run *run, struct foe *foe)
{
	struct ep_channel_header header = { 0 };

	(void)foe;
	foe_fill(run, &header, sizeof header);
	header.magic ^= EP_CHANNEL_MAGIC ^ 1;
	spoil_header(run, &header);
}

/* Another one of the same size, good in itself: more buffers, and smaller ones. */
static void other_geometry(struct foe_run *run, struct foe *foe)
{
	struct ep_channel_header header = { .magic = EP_CHANNEL_MAGIC, .layout = EP_CHANNEL_LAYOUT,
					    .geometry = foe->offered };
	const char *why;

	for (header.geometry.ring = EP_RING_MIN; header.geometry.ring <= EP_RING_MAX;
	     header.geometry.ring *= 2)
		for (uint32_t count = 1; count < 2000; count++) {
			header.geometry.classes = 1;
			header.geometry.class[0] = (struct ep_class){ 4096, count };
			if (ep_geometry_check(&header.geometry, &why) == 0 &&
			    ep_geometry_size(&header.geometry) == foe->channel.size) {
				spoil_header(run, &header);
				return;
			}
		}
	foe_expect(false, "no other geometry has that size");
}

/* ---- counters ---- */

static void forged_consumed(struct foe_run *run, struct foe *foe)
{
	/* The application looks when it finds the ring full. */
	for (uint64_t i = 0; i <= foe->out.mask + 1 && !is_over(foe); i++) {
		const struct ep_content content = some_echo(i);

		atomic_store(&foe->in.head->consumed, i * 2 + 5 + foe_random(run, 1u << 30) * 4096);
		put(run, foe, &content);
	}
}

static void forged_counters(struct foe_run *run, struct foe *foe)
{
	for (int i = 0; i < 3 * TIMES && !is_over(foe); i++) {
		struct ep_content content = large_echo(foe, (uint64_t)i);

		put(run, foe, &content);
		foe_fill(run, &foe->in.head->taken, sizeof(uint64_t));
		foe_fill(run, &foe->out.head->taken, sizeof(uint64_t));
		foe_fill(run, &foe->out.head->sent, sizeof(uint64_t));
		foe_fill(run, foe->in.head->hits, sizeof foe->in.head->hits);
		foe_fill(run, foe->in.head->misses, sizeof foe->in.head->misses);
	}
}

/* What the application has is said to be free, and what is free to be taken. */
static void forged_buffers(struct foe_run *run, struct foe *foe)
{
	const struct ep_geometry *geometry = &foe->offered;

	for (uint64_t i = 0; i < 5 * TIMES && !is_over(foe); i++) {
		struct ep_content content = large_echo(foe, i);
		uint32_t class = (uint32_t)foe_random(run, geometry->classes);
		uint32_t index = (uint32_t)foe_random(run, geometry->class[class].count);

		put(run, foe, &content);
		atomic_store(&foe->in.head->consumed, i / 2);
		atomic_store(&foe->in.released[class][index], foe_random(run, 3));
		atomic_store(&foe->in.allocated[class][index], foe_random(run, 6));
		atomic_store(&foe->in.released[0][i % geometry->class[0].count], 1 + i / 64);
	}
	end_in_nonsense(run, foe);
}

/* It is rung for each reply, and never listens. */
static void forged_armed(struct foe_run *run, struct foe *foe)
{
	CLEANUP(ep_close_fd) int own = -1;
	char path[40];

	snprintf(path, sizeof path, "/proc/self/fd/%d", foe->fds[EP_WELCOME_BELL]);
	own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	foe_expect(own >= 0, "%s: %s", path, strerrordesc_np(errno));
	for (int i = 0; i < PIPE_MOST && (write(own, path, sizeof path) > 0 || write(own, path, 1) > 0); i++)
		;
	for (uint64_t i = 0; i < 10 * TIMES && !is_over(foe); i++) {
		const struct ep_content content = some_echo(i);

		atomic_store(&foe->in.head->armed, i & 1 ? 1 : UINT32_MAX);
		atomic_store(&foe->out.head->armed, i & 1 ? UINT32_MAX : 0);
		atomic_store(&foe->in.head->consumed, atomic_load(&foe->in.head->sent));
		put(run, foe, &content);
	}
}

/* ---- bells ---- */

static void toggled_flags(struct foe_run *run, struct foe *foe)
{
	for (int i = 0; i < 5 * TIMES; i++) {
		const struct ep_content content = some_echo((uint64_t)i);

		atomic_store(&foe->in.head->armed, 1);
		atomic_store(&foe->in.head->consumed, atomic_load(&foe->in.head->sent));
		for (int j = 0; j < EP_WIRE_FDS_MAX; j++)
			fcntl(foe->fds[j], F_SETFL, foe_random(run, 2) ? 0 : O_NONBLOCK | O_APPEND);
		fcntl(foe->session, F_SETFL, foe_random(run, 2) ? 0 : O_NONBLOCK);
		fcntl(foe->fds[EP_WELCOME_RING], F_SETFL, O_NONBLOCK | (foe_random(run, 2) ? O_DIRECT : 0));
		put(run, foe, &content);
	}
	for (int j = 0; j < EP_WIRE_FDS_MAX; j++)
		fcntl(foe->fds[j], F_SETFL, O_NONBLOCK);
}

/* The application may take them out as fast as they come. */
static void ring_full(struct foe_run *run, struct foe *foe)
{
	(void)run;
	for (int i = 0; i < PIPE_MOST; i++)
		if (!ep_bell_ring_index(foe->fds[EP_WELCOME_RING], ep_handle_index(foe->handle)))
			return;
}

/* Each index there is, and what nobody has. */
static void ring_all(struct foe_run *run, struct foe *foe)
{
	for (int i = 0; i < PIPE_MOST; i++)
		if (!ep_bell_ring_index(foe->fds[EP_WELCOME_RING],
					(uint32_t)foe_random(run, EP_INDEX_MAX + 1)))
			return;
}

static void write_junk(struct foe_run *run, struct foe *foe)
{
	static unsigned char bytes[PIPE_MOST];

	foe_fill(run, bytes, 64);
	memset(bytes + 64, bytes[0], sizeof bytes - 64);
	(void)!write(foe->fds[EP_WELCOME_RING], bytes, sizeof bytes);
	(void)!write(foe->fds[EP_WELCOME_RING], bytes, 1);
}

static void write_junk_packets(struct foe_run *run, struct foe *foe)
{
	fcntl(foe->fds[EP_WELCOME_RING], F_SETFL, O_NONBLOCK | O_DIRECT);
	write_junk(run, foe);
	fcntl(foe->fds[EP_WELCOME_RING], F_SETFL, O_NONBLOCK);
}

/* Good ones, and few; but a pipe that holds one packet is full of each. */
static void ring_packets(struct foe_run *run, struct foe *foe)
{
	const int fd = foe->fds[EP_WELCOME_RING];

	(void)run;
	fcntl(fd, F_SETPIPE_SZ, EP_PAGE);
	fcntl(fd, F_SETFL, O_NONBLOCK | O_DIRECT);
	for (int i = 0; i < PIPE_MOST; i++)
		(void)ep_bell_ring_index(fd, ep_handle_index(foe->handle));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	fcntl(fd, F_SETPIPE_SZ, PIPE_MOST);
}

static void resize(struct foe_run *run, struct foe *foe)
{
	static const int sizes[] = { 4096, 1 << 16, 8192, 1 << 20 };

	fcntl(foe->fds[EP_WELCOME_RING], F_SETPIPE_SZ, sizes[foe_random(run, ARRAY_SIZE(sizes))]);
	write_junk(run, foe);
}

static void full_bell(struct foe_run *run, struct foe *foe) { foe_while_served(run, foe, ring_full); }
static void others_indices(struct foe_run *run, struct foe *foe) { foe_while_served(run, foe, ring_all); }
static void junk_in_bell(struct foe_run *run, struct foe *foe) { foe_while_served(run, foe, write_junk); }
static void junk_packets(struct foe_run *run, struct foe *foe)
{
	foe_while_served(run, foe, write_junk_packets);
}
static void short_packets(struct foe_run *run, struct foe *foe)
{
	foe_while_served(run, foe, ring_packets);
}
static void resized_bell(struct foe_run *run, struct foe *foe)
{
	foe_while_served(run, foe, resize);
	fcntl(foe->fds[EP_WELCOME_RING], F_SETPIPE_SZ, PIPE_MOST);
}

/* Several who write what is no index, so that there is always more to read. */
static void junk_by_many(struct foe_run *run, struct foe *foe)
{
	pid_t child[2];

	for (size_t i = 0; i < ARRAY_SIZE(child); i++) {
		child[i] = fork();
		if (child[i] == 0) {
			fcntl(foe->fds[EP_WELCOME_RING], F_SETFL, 0);   /* sleeps while it is full */
			for (;;)
				write_junk(run, foe);
		}
		foe_expect(child[i] > 0, "fork: %s", strerrordesc_np(errno));
	}
	foe_while_served(run, foe, write_junk);
	for (size_t i = 0; i < ARRAY_SIZE(child); i++) {
		kill(child[i], SIGKILL);
		waitpid(child[i], NULL, 0);
	}
	fcntl(foe->fds[EP_WELCOME_RING], F_SETFL, O_NONBLOCK);
}

/* As many as it can, of one that reads no reply. */
static void send_lines(struct foe_run *run, struct foe *foe)
{
	(void)run;
	for (int i = 0; i < TIMES && foe->next - atomic_load(&foe->out.head->consumed) <= foe->out.mask; i++) {
		const struct ep_content content = some_echo(foe->next);

		put_word(foe, &content, ep_line_word(foe->next, EP_LINE_SENT));
	}
}

static void flood_of_lines(struct foe_run *run, struct foe *foe) { foe_while_served(run, foe, send_lines); }

const struct foe_act foe_channel_acts[] = {
	{ "wrong_number", wrong_number, FOE_SENT_AWAY, true },
	{ "random_word", random_word, FOE_SENT_AWAY, true },
	{ "unknown_kind", unknown_kind, FOE_SENT_AWAY, true },
	{ "too_large_for_a_line", too_large_for_a_line, FOE_SENT_AWAY, true },
	{ "too_small_for_its_type", too_small_for_its_type, FOE_SENT_AWAY, true },
	{ "no_such_class", no_such_class, FOE_SENT_AWAY, true },
	{ "no_such_buffer", no_such_buffer, FOE_SENT_AWAY, true },
	{ "too_large_for_its_buffer", too_large_for_its_buffer, FOE_SENT_AWAY, true },
	{ "no_such_large_buffer", no_such_large_buffer, FOE_SENT_AWAY, true },
	{ "lies_about_its_large_size", lies_about_its_large_size, FOE_SENT_AWAY, true },
	{ "wants_all_memory", wants_all_memory, FOE_STAYS, true },
	{ "buffer_sent_twice", buffer_sent_twice, FOE_SENT_AWAY, true },
	{ "random_lines", random_lines, FOE_SENT_AWAY, true },
	{ "changing_lines", changing_lines, FOE_SENT_AWAY, true },
	{ "random_everywhere", random_everywhere, FOE_SENT_AWAY, true },
	{ "random_words", random_words, FOE_SENT_AWAY, true },
	{ "punch_holes", punch_holes, FOE_SENT_AWAY, true },
	{ "remove_pages", remove_pages, FOE_SENT_AWAY, true },
	{ "punch_while_called", punch_while_called, FOE_SENT_AWAY, true },
	{ "spoilt_header", spoilt_header, FOE_STAYS, true },
	{ "other_geometry", other_geometry, FOE_STAYS, true },
	{ "forged_consumed", forged_consumed, FOE_SENT_AWAY, true },
	{ "forged_counters", forged_counters, FOE_STAYS, true },
	{ "forged_buffers", forged_buffers, FOE_SENT_AWAY, true },
	{ "forged_armed", forged_armed, FOE_STAYS, true },
	{ "toggled_flags", toggled_flags, FOE_STAYS, true },
	{ "full_bell", full_bell, FOE_STAYS, true },
	{ "others_indices", others_indices, FOE_STAYS, true },
	{ "junk_in_bell", junk_in_bell, FOE_STAYS, true },
	{ "junk_packets", junk_packets, FOE_STAYS, true },
	{ "short_packets", short_packets, FOE_STAYS, true },
	{ "resized_bell", resized_bell, FOE_STAYS, true },
	{ "junk_by_many", junk_by_many, FOE_STAYS, true },
	{ "flood_of_lines", flood_of_lines, FOE_STAYS, true },
};
const size_t foe_channel_act_count = ARRAY_SIZE(foe_channel_acts);
