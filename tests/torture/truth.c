#include "tests/torture/truth.h"

#include <string.h>

struct reader {
	struct ep_lane lane;
	uint64_t taken;
	struct truth truth;
	/* The buffers that are in reclaimed lines, at most one for each line. */
	struct ep_buffer in_line[EP_RING_MAX];
	size_t in_lines;
};

static uint64_t load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_seq_cst);
}

static enum ep_line_state state_of(uint64_t word) { return (enum ep_line_state)(word & 3); }

static void read_reclaimed(struct reader *reader, const struct ep_line *line, uint64_t position)
{
	const unsigned char *payload;
	struct ep_content content;
	uint64_t number;

	ep_line_copy(&content, line);
	payload = content.bytes;
	reader->truth.reclaimed++;
	reader->truth.reclaimed_bytes += content.size;
	if (content.kind == EP_KIND_BUFFER) {
		payload = reader->lane.buffers[content.buffer.class] +
			  (size_t)content.buffer.index *
				  reader->lane.geometry->class[content.buffer.class].size;
		reader->in_line[reader->in_lines++] = content.buffer;
	}
	memcpy(&number, payload, sizeof number);
	if (number != position)
		reader->truth.in_order = false;
}

static void read_lines(struct reader *reader)
{
	bool last_taken_lost = false;

	for (uint64_t i = 0; i <= reader->lane.mask; i++) {
		const struct ep_line *line = &reader->lane.lines[i];
		uint64_t word = load(&line->word), position = ep_line_position(word);

		if (!word)
			continue;
		if (state_of(word) != EP_LINE_TAKEN_BACK && position + 1 > reader->truth.sent)
			reader->truth.sent = position + 1;
		if (state_of(word) == EP_LINE_RECLAIMED ||
		    (state_of(word) == EP_LINE_SENT && position >= reader->taken))
			read_reclaimed(reader, line, position);
		if (position + 1 == reader->taken &&
		    (state_of(word) == EP_LINE_RECLAIMED || state_of(word) == EP_LINE_TAKEN_BACK))
			last_taken_lost = true;
	}
	reader->truth.received = reader->taken - last_taken_lost;
}

static bool is_in_line(const struct reader *reader, uint32_t class, uint32_t index, uint64_t generation)
{
	for (size_t i = 0; i < reader->in_lines; i++)
		if (reader->in_line[i].class == class && reader->in_line[i].index == index &&
		    reader->in_line[i].generation == generation)
			return true;
	return false;
}

static void read_buffer(struct reader *reader, uint32_t class, uint32_t index, bool outlived)
{
	uint64_t begun = ep_allocated_generation(load(&reader->lane.allocated[class][index]));
	uint64_t ended = load(&reader->lane.released[class][index]);

	reader->truth.allocated += begun;
	if (!(ended & EP_ENDED_BY_SUPERVISOR) && ended == begun) {
		reader->truth.released += begun;
		return;
	}
	if (!(ended & EP_ENDED_BY_SUPERVISOR) && outlived) {
		reader->truth.allocated--;
		reader->truth.released += begun - 1;
		return;
	}
	reader->truth.released += begun - 1;   /* all but its last use, which nobody ended, or the supervisor */
	if (is_in_line(reader, class, index, begun)) {
		reader->truth.in_reclaimed++;
		return;
	}
	reader->truth.collected++;
	reader->truth.collected_bytes += reader->lane.geometry->class[class].size;
}

struct truth truth_of(const struct ep_channel *channel, enum ep_direction direction, bool outlived)
{
	static struct reader reader;

	reader = (struct reader){ .lane = ep_channel_lane(channel, direction), .truth.in_order = true };
	reader.taken = load(&reader.lane.head->taken);
	read_lines(&reader);
	for (uint32_t class = 0; class < channel->geometry.classes; class++)
		for (uint32_t i = 0; i < channel->geometry.class[class].count; i++)
			read_buffer(&reader, class, i, outlived);
	return reader.truth;
}
