/* FNV-1a, 64 bits: names instances and notices damage; no defence against malice. */
#ifndef HOLDFAST_BASE_HASH_H
#define HOLDFAST_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hash_bytes(const void *bytes, size_t length)
{
	const unsigned char *next = bytes;
	uint64_t hash = 0xcbf29ce484222325u;

	while (length-- > 0)
		hash = (hash ^ *next++) * 0x100000001b3u;
	return hash;
}

/* The same by words of eight bytes, several times as fast. `count` is in words; they need not be aligned. */
static inline uint64_t hash_words(const void *bytes, size_t count)
{
	const unsigned char *next = bytes;
	uint64_t hash = 0xcbf29ce484222325u, word;

	for (; count-- > 0; next += sizeof(word)) {
		memcpy(&word, next, sizeof(word));
		hash = (hash ^ word) * 0x100000001b3u;
	}
	return hash;
}

#endif
