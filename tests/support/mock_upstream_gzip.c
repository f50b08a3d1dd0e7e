/* gzip (RFC 1952) without a library: one deflate block with the fixed codes (RFC 1951, 3.2.6), every byte a
 * literal. No smaller than what it came from, but no longer to be read by who does not decode it. */
#include <string.h>

#include "tests/support/mock_upstream.h"

struct bits {
	struct bytes *words;
	uint32_t held;
	int count;
};

static void bits_put(struct bits *bits, uint32_t value, int count)
{
	bits->held |= value << bits->count;
	for (bits->count += count; bits->count >= 8; bits->count -= 8) {
		bytes_add(bits->words, &(unsigned char){bits->held & 0xff}, 1);
		bits->held >>= 8;
	}
}

/* Codes go out with their first bit first. */
static void bits_put_code(struct bits *bits, uint32_t code, int count)
{
	uint32_t turned = 0;

	for (int i = 0; i < count; i++)
		turned |= (code >> i & 1) << (count - 1 - i);
	bits_put(bits, turned, count);
}

static void put_number(struct bytes *words, uint32_t number)
{
	for (int i = 0; i < 4; i++)
		bytes_add(words, &(unsigned char){number >> (8 * i) & 0xff}, 1);
}

static uint32_t crc(const unsigned char *data, size_t length)
{
	uint32_t value = 0xffffffffu;

	for (size_t i = 0; i < length; i++) {
		value ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
	}
	return ~value;
}

void words_gzip(struct bytes *words, const char *data, size_t length)
{
	struct bits bits = {.words = words};

	bytes_add(words, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
	bits_put(&bits, 3, 3); /* the last block, fixed codes */
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)data[i];

		if (byte < 144)
			bits_put_code(&bits, 0x30u + byte, 8);
		else
			bits_put_code(&bits, 0x190u + byte - 144u, 9);
	}
	bits_put_code(&bits, 0, 7); /* the block's end */
	if (bits.count > 0)
		bits_put(&bits, 0, 8 - bits.count);
	put_number(words, crc((const unsigned char *)data, length));
	put_number(words, (uint32_t)length);
}
