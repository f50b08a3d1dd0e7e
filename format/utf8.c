#include "format/utf8.h"

size_t utf8_decode(const char *bytes, size_t length, uint32_t *character)
{
	static const uint32_t smallest[UTF8_MAX + 1] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first;
	uint32_t value;
	size_t size;

	if (length == 0)
		return 0;
	first = (unsigned char)bytes[0];
	if (first < 0x80) {
		*character = first;
		return 1;
	}
	size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	if (first < 0xc2 || first > 0xf4 || length < size)
		return 0;
	value = first & (0xffu >> (size + 1));
	for (size_t i = 1; i < size; i++) {
		if (((unsigned char)bytes[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | ((unsigned char)bytes[i] & 0x3f);
	}
	if (value < smallest[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	*character = value;
	return size;
}

size_t utf8_encode(uint32_t character, char target[UTF8_MAX])
{
	size_t size;

	if (character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff))
		character = UTF8_REPLACEMENT;
	if (character < 0x80) {
		target[0] = (char)character;
		return 1;
	}
	size = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
	for (size_t i = size - 1; i > 0; i--) {
		target[i] = (char)(0x80 | (character & 0x3f));
		character >>= 6;
	}
	target[0] = (char)((0xf00u >> size & 0xf0) | character);
	return size;
}

size_t utf8_whole(const char *bytes, size_t length)
{
	static const size_t lengths[] = {
	    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4}; /* by the first four bits */
	size_t start = length;

	while (start > 0 && length - start < UTF8_MAX) {
		unsigned char byte = (unsigned char)bytes[--start];

		if ((byte & 0xc0) != 0x80)
			return lengths[byte >> 4] > length - start ? start : length;
	}
	return length;
}

bool utf8_is_shown(uint32_t character)
{
	return !(character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x061c ||
	         character == 0x200b || character == 0x200e || character == 0x200f ||
	         (character >= 0x2028 && character <= 0x202e) ||
	         (character >= 0x2060 && character <= 0x206f) || character == 0xfeff);
}
