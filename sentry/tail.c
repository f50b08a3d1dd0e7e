#include "sentry/tail.h"

#include <string.h>

void tail_add(struct tail *tail, const char *bytes, size_t length)
{
	size_t at, first;

	if (length > TAIL_BYTES) {
		tail->end += length - TAIL_BYTES;
		bytes += length - TAIL_BYTES;
		length = TAIL_BYTES;
	}
	at = (size_t)(tail->end % TAIL_BYTES);
	first = TAIL_BYTES - at < length ? TAIL_BYTES - at : length;
	memcpy(tail->bytes + at, bytes, first);
	memcpy(tail->bytes, bytes + first, length - first);
	tail->end += length;
}

/* Where the last TAIL_LINES_MAX lines begin. */
static size_t last_lines(const char *bytes, size_t length)
{
	size_t at = length;

	if (at > 0 && bytes[at - 1] == '\n')
		at--;
	for (int lines = 0; lines < TAIL_LINES_MAX; lines++) {
		const char *end = memrchr(bytes, '\n', at);

		if (end == NULL)
			return 0;
		at = (size_t)(end - bytes);
	}
	return at + 1;
}

size_t tail_copy(const struct tail *tail, uint64_t begin, uint64_t end, char *target)
{
	uint64_t oldest = tail->end > TAIL_BYTES ? tail->end - TAIL_BYTES : 0;
	size_t length, at, first, skipped;

	if (end > tail->end)
		end = tail->end;
	if (begin < oldest)
		begin = oldest;
	if (begin >= end)
		return 0;
	length = (size_t)(end - begin);
	at = (size_t)(begin % TAIL_BYTES);
	first = TAIL_BYTES - at < length ? TAIL_BYTES - at : length;
	memcpy(target, tail->bytes + at, first);
	memcpy(target + first, tail->bytes, length - first);
	skipped = last_lines(target, length);
	memmove(target, target + skipped, length - skipped);
	return length - skipped;
}
