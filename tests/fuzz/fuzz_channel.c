/* A channel, both of whose ends and the supervisor do what the input says, while somebody writes what the input says
 * anywhere into it. */
#include <config.h>

#include "apilib/channel.h"
#include "apilib/fence.h"
#include "tests/fuzz/bytes.h"
#include "tests/fuzz/guarded.h"

#include <errno.h>
#include <fcntl.h>

enum { EPOCH = 7, HANDS = 8 };

static const struct ep_geometry geometries[] = {
	{ .ring = 4, .classes = 2, .class = { { 64, 4 }, { 256, 3 } } },
	{ .ring = 2 },
	{ .ring = 16, .classes = 1, .class = { { 128, 1 } } },
};

/* Of one direction. */
struct lane {
	struct ep_producer producer;
	struct ep_consumer consumer;
	struct ep_buffer mine[HANDS], held[HANDS];   /* allocated; received */
	unsigned mine_count, held_count;
};

static struct guarded guarded;
static struct lane lanes[2];

static void must(bool truth)
{
	if (!truth)
		abort();
}

static void read_all(const volatile unsigned char *memory, size_t size)
{
	for (size_t i = 0; i < size; i++)
		(void)memory[i];
}

static struct ep_buffer take_out(struct ep_buffer *hand, unsigned *count, unsigned which)
{
	unsigned last = --*count, taken = which % (last + 1);
	struct ep_buffer buffer = hand[taken];

	hand[taken] = hand[last];
	return buffer;
}

/* ---- what the two ends do ---- */

static void receive(struct lane *lane)
{
	struct ep_received received;

	int r = ep_receive(&lane->consumer, &received);

	if (r == -ENXIO)
		must(ep_refuse_next(&lane->consumer) < 0);
	if (r != 1)
		return;
	must(guarded_is_message(&guarded, &received));
	if (!received.is_buffer)
		return;
	read_all(received.in_place, received.content.size);
	if (lane->held_count < HANDS)
		lane->held[lane->held_count++] = received.content.buffer;
}

static void release(struct lane *lane, unsigned which)
{
	struct ep_buffer buffer;

	if (!lane->held_count)
		return;
	buffer = take_out(lane->held, &lane->held_count, which);
	ep_release(&lane->consumer, &buffer);
}

static void allocate(struct lane *lane, size_t size)
{
	struct ep_buffer buffer;
	void *memory;

	if (lane->mine_count == HANDS || ep_allocate(&lane->producer, size, &buffer, &memory) < 0)
		return;
	must(guarded_is_buffer(&guarded, &buffer));
	must(guarded_has(&guarded, memory, size));
	memset(memory, 7, size);
	lane->mine[lane->mine_count++] = buffer;
}

static void free_one(struct lane *lane, unsigned which)
{
	struct ep_buffer buffer;

	if (!lane->mine_count)
		return;
	buffer = take_out(lane->mine, &lane->mine_count, which);
	ep_free(&lane->producer, &buffer);
}

static void send_one(struct lane *lane, struct bytes *bytes, bool in_buffer)
{
	unsigned char payload[EP_INLINE];
	struct ep_send send = { .id = bytes_u8(bytes), .context = bytes_u8(bytes),
				.size = bytes_u8(bytes) % (EP_INLINE + 1), .bytes = payload };
	struct ep_buffer buffer;

	bytes_take(bytes, payload, send.size);
	if (in_buffer && lane->mine_count) {
		buffer = take_out(lane->mine, &lane->mine_count, bytes_u8(bytes));
		send.buffer = &buffer;
	}
	if (ep_send(&lane->producer, &send) < 0 && send.buffer)
		ep_free(&lane->producer, &buffer);
}

static void look_at(struct lane *lane, uint32_t offset)
{
	struct ep_buffer buffer;

	/* In front of it, in it, and behind it. */
	if (ep_buffer_at(&lane->producer, guarded.channel.base + offset % (3 * guarded.channel.size) -
			 guarded.channel.size, &buffer) != 0)
		return;
	must(guarded_is_buffer(&guarded, &buffer));
	ep_free(&lane->producer, &buffer);
}

/* ---- what the supervisor does ---- */

static void count(enum ep_direction direction)
{
	struct ep_reclaimed counts = { 0 };

	ep_channel_count(&guarded.channel, direction, &counts);
	must(guarded_holds(&guarded, &counts));
}

static void reclaim(enum ep_direction direction)
{
	struct ep_reclaimed counts = { 0 };

	ep_channel_reclaim(&guarded.channel, direction, &counts);
	must(guarded_holds(&guarded, &counts));
}

static void set_fence(bool serves)
{
	atomic_store(&guarded.fence, ep_fence_pack(EPOCH, serves ? EP_UP : EP_DOWN, (struct ep_end){ 0 }));
}

/* ---- what somebody writes ---- */

static void poke(struct bytes *bytes)
{
	unsigned char some[64];
	size_t size = bytes_u8(bytes) % sizeof some + 1;
	size_t at = bytes_u32(bytes) % guarded.channel.size;

	bytes_take(bytes, some, size);
	if (size > guarded.channel.size - at)
		size = guarded.channel.size - at;
	memcpy(guarded.channel.base + at, some, size);
}

/* Near to what is expected there. */
static void poke_line(struct lane *lane, struct bytes *bytes)
{
	uint8_t near = bytes_u8(bytes), state = bytes_u8(bytes), kind = bytes_u8(bytes), place = bytes_u8(bytes);
	uint64_t position = lane->consumer.next + (near < 192 ? 0 : near % 16 - 1);
	struct ep_line *line = &lane->consumer.lane.lines[position & lane->consumer.lane.mask];

	line->content.id = kind;
	line->content.kind = kind < 240 ? kind & 1 : kind;
	line->content.flags = near & EP_STAMPED;
	line->content.size = bytes_u8(bytes) * 2u;
	if (line->content.kind == EP_KIND_BUFFER)
		line->content.buffer = (struct ep_buffer){
			.class = place & 3, .index = place >> 2 & 7, .generation = place >> 5,
		};
	if (place == UINT8_MAX)
		bytes_take(bytes, &line->content, sizeof line->content);
	atomic_store(&line->word, ep_line_word(position, state < 192 ? EP_LINE_SENT : state & 3));
}

static void poke_word(struct lane *lane, struct bytes *bytes)
{
	const struct ep_geometry *geometry = &guarded.channel.geometry;
	uint8_t which = bytes_u8(bytes), index = bytes_u8(bytes), value = bytes_u8(bytes);
	uint32_t class = which >> 4;

	if (which & 1)
		atomic_store(&lane->producer.lane.head->consumed, lane->producer.next + value - 128);
	else if (class < geometry->classes)
		atomic_store(which & 2 ? &lane->producer.lane.released[class][index % geometry->class[class].count] :
					 &lane->producer.lane.allocated[class][index % geometry->class[class].count],
			     value);
}

static void punch(struct bytes *bytes)
{
	off_t page = (off_t)(bytes_u8(bytes) % (guarded.channel.size / EP_PAGE)) * EP_PAGE;

	must(fallocate(guarded.memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page, EP_PAGE) == 0);
}

/* ---- one input ---- */

static void step(uint8_t what, struct bytes *bytes)
{
	enum ep_direction direction = what & 0x80 ? EP_TO_CLIENT : EP_TO_APPLICATION;
	struct lane *lane = &lanes[direction];

	switch (what % 16) {
	case 0: poke(bytes); break;
	case 1:
	case 2: poke_line(lane, bytes); break;
	case 3: poke_word(lane, bytes); break;
	case 4: punch(bytes); break;
	case 5:
	case 6: receive(lane); break;
	case 7: release(lane, bytes_u8(bytes)); break;
	case 8: allocate(lane, bytes_u8(bytes) * 2u); break;
	case 9: free_one(lane, bytes_u8(bytes)); break;
	case 10: send_one(lane, bytes, false); break;
	case 11: send_one(lane, bytes, true); break;
	case 12: look_at(lane, bytes_u32(bytes)); break;
	case 13: count(direction); break;
	case 14:
		if (bytes_u8(bytes) % 8 == 0)
			set_fence(false);
		else
			ep_arm(&lane->consumer);
		break;
	case 15:
		if (bytes_u8(bytes) % 8 == 0)
			reclaim(direction);
		else
			ep_disarm(&lane->consumer);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ep_fencing fencing = { .word = &guarded.fence, .epoch = EPOCH };
	struct bytes bytes = { data, size };

	guarded_open(&guarded, &geometries[bytes_u8(&bytes) % ARRAY_SIZE(geometries)]);
	set_fence(true);
	for (int i = 0; i < 2; i++) {
		lanes[i] = (struct lane){ 0 };
		must(ep_producer_init(&lanes[i].producer, &guarded.channel, (enum ep_direction)i, fencing) == 0);
		ep_consumer_init(&lanes[i].consumer, &guarded.channel, (enum ep_direction)i, fencing);
	}
	while (bytes.left)
		step(bytes_u8(&bytes), &bytes);
	for (int i = 0; i < 2; i++) {
		count((enum ep_direction)i);
		reclaim((enum ep_direction)i);
		ep_producer_deinit(&lanes[i].producer);
	}
	guarded_close(&guarded);
	return 0;
}
