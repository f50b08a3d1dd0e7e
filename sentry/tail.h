/* The last bytes of the console, kept in memory, to be read again when the gateway has ended. A position
 * counts bytes since the beginning, so that "since this gateway's start" is a range that survives forgetting.
 */
#ifndef HOLDFAST_SENTRY_TAIL_H
#define HOLDFAST_SENTRY_TAIL_H

#include <stddef.h>
#include <stdint.h>

#define TAIL_BYTES     (64 * 1024)
#define TAIL_LINES_MAX 200

struct tail {
	uint64_t end; /* position after the newest byte */
	char bytes[TAIL_BYTES];
};

void tail_add(struct tail *tail, const char *bytes, size_t length);

/* Copies what is still kept of the range into `target` (TAIL_BYTES long), but no more than its last
 * TAIL_LINES_MAX lines. Returns the length. */
size_t tail_copy(const struct tail *tail, uint64_t begin, uint64_t end, char *target);

#endif
