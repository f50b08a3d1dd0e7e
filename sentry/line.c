#include "sentry/line.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { ESCAPE = 0x1b, BELL = 0x07 };

static bool is_string_introducer(char byte)
{
	return byte == ']' || byte == 'P' || byte == 'X' || byte == '^' || byte == '_';
}

/* The length of the escape sequence at bytes[0] == ESC; at least 1, at most `length`. */
static size_t escape_length(const char *bytes, size_t length)
{
	size_t at = 1;

	if (length < 2)
		return length;
	if (bytes[1] == '[') {
		for (at = 2; at < length && bytes[at] >= 0x20 && bytes[at] <= 0x3f; at++)
			;
		return at < length && bytes[at] >= 0x40 && bytes[at] <= 0x7e ? at + 1 : at;
	}
	if (is_string_introducer(bytes[1])) {
		for (at = 2; at < length && bytes[at] != BELL && bytes[at] != ESCAPE; at++)
			;
		if (at < length && bytes[at] == BELL)
			return at + 1;
		return at + 1 < length && bytes[at] == ESCAPE && bytes[at + 1] == '\\' ? at + 2 : at;
	}
	while (at < length && bytes[at] >= 0x20 && bytes[at] <= 0x2f)
		at++;
	return at < length && bytes[at] >= 0x30 && bytes[at] <= 0x7e ? at + 1 : at;
}

size_t line_strip(char *target, size_t target_size, const char *bytes, size_t length)
{
	size_t filled = 0;

	for (size_t at = 0; at < length && filled + 1 < target_size;) {
		unsigned char byte = (unsigned char)bytes[at];

		if (byte == ESCAPE) {
			at += escape_length(bytes + at, length - at);
			continue;
		}
		if (byte == '\t')
			target[filled++] = ' ';
		else if (byte >= 0x20 && byte != 0x7f)
			target[filled++] = (char)byte;
		at++;
	}
	target[filled] = '\0';
	return filled;
}

uint64_t line_count(const char *bytes, size_t length)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), low = UINT64_C(0x7f7f7f7f7f7f7f7f);
	uint64_t count = 0;

	for (; length >= sizeof(uint64_t); bytes += sizeof(uint64_t), length -= sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, bytes, sizeof(word));
		word ^= ones * '\n';
		/* The top bit of each byte that is zero now, exactly. */
		word = ~(((word & low) + low) | word | low);
		count += (uint64_t)__builtin_popcountll(word);
	}
	for (; length > 0; bytes++, length--)
		count += *bytes == '\n';
	return count;
}

const char *line_size(char *target, size_t target_size, uint64_t bytes)
{
	if (bytes < 1000)
		snprintf(target, target_size, "%" PRIu64 " bytes", bytes);
	else if (bytes < 1000 * 1000)
		snprintf(target, target_size, "%" PRIu64 ".%" PRIu64 " kB", bytes / 1000, bytes / 100 % 10);
	else if (bytes < UINT64_C(1000000000))
		snprintf(
		    target, target_size, "%" PRIu64 ".%" PRIu64 " MB", bytes / 1000000, bytes / 100000 % 10);
	else
		snprintf(target, target_size, "%" PRIu64 ".%" PRIu64 " GB", bytes / 1000000000,
		    bytes / 100000000 % 10);
	return target;
}
