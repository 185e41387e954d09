/* An input, taken out from its begin; what is beyond its end is 0. */
#ifndef EPOCHD_TESTS_BYTES_H
#define EPOCHD_TESTS_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *at;
	size_t left;
};

static inline void bytes_take(struct bytes *bytes, void *out, size_t size)
{
	size_t some = size < bytes->left ? size : bytes->left;

	memset(out, 0, size);
	if (some)
		memcpy(out, bytes->at, some);
	bytes->at += some;
	bytes->left -= some;
}

static inline uint8_t bytes_u8(struct bytes *bytes)
{
	uint8_t value;

	bytes_take(bytes, &value, sizeof value);
	return value;
}

static inline uint32_t bytes_u32(struct bytes *bytes)
{
	uint32_t value;

	bytes_take(bytes, &value, sizeof value);
	return value;
}

/* libFuzzer's, and replay.c's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif
