#include "tests/torture/truth.h"

#include <string.h>

struct reader {
	struct ep_lane lane;
	uint64_t taken;
	struct truth truth;
	/* The buffers that are in reclaimed lines, at most one for each line. */
	struct ep_buffer in_line[EP_RING_MAX];
	size_t in_lines;
	struct ep_buffer taken_back;   /* generation 0: none */
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

static void read_taken_back(struct reader *reader, const struct ep_line *line)
{
	struct ep_content content;

	ep_line_copy(&content, line);
	if (content.kind == EP_KIND_BUFFER)
		reader->taken_back = content.buffer;
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
		if (state_of(word) == EP_LINE_TAKEN_BACK)
			read_taken_back(reader, line);
		if (position + 1 == reader->taken &&
		    (state_of(word) == EP_LINE_RECLAIMED || state_of(word) == EP_LINE_TAKEN_BACK))
			last_taken_lost = true;
	}
	reader->truth.received = reader->taken - last_taken_lost;
}

static bool is_same(const struct ep_buffer *buffer, uint32_t class, uint32_t index, uint64_t generation)
{
	return buffer->class == class && buffer->index == index && buffer->generation == generation;
}

static bool is_in_line(const struct reader *reader, uint32_t class, uint32_t index, uint64_t generation)
{
	for (size_t i = 0; i < reader->in_lines; i++)
		if (is_same(&reader->in_line[i], class, index, generation))
			return true;
	return false;
}

static void read_buffer(struct reader *reader, uint32_t class, uint32_t index, bool outlived)
{
	uint64_t word = load(&reader->lane.allocated[class][index]), begun = ep_allocated_generation(word);
	uint64_t ended = load(&reader->lane.released[class][index]);
	struct ep_collected *cause = word & 1 ? &reader->truth.held : &reader->truth.abandoned;

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
	if (is_same(&reader->taken_back, class, index, begun))
		cause = &reader->truth.either;
	reader->truth.released += begun - 1;   /* all but its last use, which nobody ended, or the supervisor */
	if (is_in_line(reader, class, index, begun)) {
		reader->truth.in_reclaimed++;
		return;
	}
	cause->buffers++;
	cause->bytes += reader->lane.geometry->class[class].size;
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
