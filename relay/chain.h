/* Bytes that must be kept: a request's body for another attempt, an answer that is held, what a slow reader
 * has not taken. Kept in segments of two sizes, the larger ones reused while they are warm: a body of a few
 * hundred kilobytes costs no new page. */
#ifndef HOLDFAST_RELAY_CHAIN_H
#define HOLDFAST_RELAY_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define SEGMENT_SMALL_BYTES (2 * 1024)
#define SEGMENT_LARGE_BYTES (256 * 1024)
#define SEGMENTS_SPARE_MAX  4 /* large ones kept for reuse */

struct segment {
	struct segment *next;
	uint32_t start, end, size; /* what is used of `bytes` */
	char bytes[];
};

/* The large segments that nobody uses. All zero: none. */
struct segments {
	struct segment *spare;
	uint32_t spare_count;
};

struct chain {
	struct segment *first, *last;
	size_t length; /* of all segments together */
};

/* Where a reader of a chain stands. All zero: at its beginning. */
struct chain_cursor {
	struct segment *segment;
	uint32_t offset; /* within it, from its start */
	size_t passed;
};

/* NULL: no memory. */
struct segment *segment_take(struct segments *segments, bool large);
void segment_give(struct segments *segments, struct segment *segment);
void segments_release(struct segments *segments);

/* Room at the end of the chain, at least one byte; a new segment where the last is full: a large one when
 * `wanted` is more than a small one has, or when there is one already. Returns NULL without memory.
 * chain_grew() says how much was used. */
char *chain_room(struct chain *chain, struct segments *segments, size_t wanted, size_t *size);
void chain_grew(struct chain *chain, size_t bytes);

/* Returns 0 or -ENOMEM; then as much was added as there was room for. */
int chain_add(struct chain *chain, struct segments *segments, const char *bytes, size_t length);

/* Takes the segment; it must not be empty. */
void chain_append(struct chain *chain, struct segment *segment);

/* The first bytes are no longer needed. */
void chain_drop(struct chain *chain, struct segments *segments, size_t bytes);
void chain_clear(struct chain *chain, struct segments *segments);

/* Up to `max` spans of what follows the cursor. Returns how many. */
uint32_t chain_spans(
    const struct chain *chain, const struct chain_cursor *cursor, struct iovec *spans, uint32_t max);
void chain_pass(const struct chain *chain, struct chain_cursor *cursor, size_t bytes);

/* Copies the first bytes of the chain, at most `size`. Returns how many. */
size_t chain_copy(const struct chain *chain, char *target, size_t size);

#endif
