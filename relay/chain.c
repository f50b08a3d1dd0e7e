#include "relay/chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct segment *segment_take(struct segments *segments, bool large)
{
	size_t size = (large ? SEGMENT_LARGE_BYTES : SEGMENT_SMALL_BYTES) - sizeof(struct segment);
	struct segment *segment = segments->spare;

	if (large && segment != NULL) {
		segments->spare = segment->next;
		segments->spare_count--;
	} else {
		segment = malloc(sizeof(*segment) + size);
		if (segment == NULL)
			return NULL;
	}
	segment->next = NULL;
	segment->start = segment->end = 0;
	segment->size = (uint32_t)size;
	return segment;
}

void segment_give(struct segments *segments, struct segment *segment)
{
	if (segment->size + sizeof(*segment) < SEGMENT_LARGE_BYTES ||
	    segments->spare_count == SEGMENTS_SPARE_MAX) {
		free(segment);
		return;
	}
	segment->next = segments->spare;
	segments->spare = segment;
	segments->spare_count++;
}

void segments_release(struct segments *segments)
{
	struct segment *segment;

	while ((segment = segments->spare) != NULL) {
		segments->spare = segment->next;
		free(segment);
	}
	segments->spare_count = 0;
}

void chain_append(struct chain *chain, struct segment *segment)
{
	segment->next = NULL;
	if (chain->last != NULL)
		chain->last->next = segment;
	else
		chain->first = segment;
	chain->last = segment;
	chain->length += segment->end - segment->start;
}

char *chain_room(struct chain *chain, struct segments *segments, size_t wanted, size_t *size)
{
	struct segment *last = chain->last;

	if (last == NULL || last->end == last->size) {
		last = segment_take(
		    segments, chain->length > 0 || wanted > SEGMENT_SMALL_BYTES - sizeof(struct segment));
		if (last == NULL)
			return NULL;
		chain_append(chain, last);
	}
	*size = last->size - last->end;
	return last->bytes + last->end;
}

void chain_grew(struct chain *chain, size_t bytes)
{
	chain->last->end += (uint32_t)bytes;
	chain->length += bytes;
}

int chain_add(struct chain *chain, struct segments *segments, const char *bytes, size_t length)
{
	while (length > 0) {
		size_t size;
		char *room = chain_room(chain, segments, length, &size);

		if (room == NULL)
			return -ENOMEM;
		if (size > length)
			size = length;
		memcpy(room, bytes, size);
		chain_grew(chain, size);
		bytes += size;
		length -= size;
	}
	return 0;
}

void chain_drop(struct chain *chain, struct segments *segments, size_t bytes)
{
	chain->length -= bytes;
	while (chain->first != NULL) {
		struct segment *first = chain->first;
		size_t has = first->end - first->start;

		if (bytes < has) {
			first->start += (uint32_t)bytes;
			return;
		}
		bytes -= has;
		chain->first = first->next;
		if (chain->first == NULL)
			chain->last = NULL;
		segment_give(segments, first);
	}
}

void chain_clear(struct chain *chain, struct segments *segments)
{
	chain_drop(chain, segments, chain->length);
}

uint32_t chain_spans(
    const struct chain *chain, const struct chain_cursor *cursor, struct iovec *spans, uint32_t max)
{
	struct segment *segment = cursor->segment != NULL ? cursor->segment : chain->first;
	uint32_t count = 0, offset = cursor->offset;

	for (; segment != NULL && count < max; segment = segment->next, offset = 0) {
		size_t has = segment->end - segment->start - offset;

		if (has > 0)
			spans[count++] = (struct iovec){segment->bytes + segment->start + offset, has};
	}
	return count;
}

void chain_pass(const struct chain *chain, struct chain_cursor *cursor, size_t bytes)
{
	if (cursor->segment == NULL)
		cursor->segment = chain->first;
	cursor->passed += bytes;
	while (bytes > 0) {
		struct segment *segment = cursor->segment;
		size_t has = segment->end - segment->start - cursor->offset;

		/* It stays in the last one, which may still grow. */
		if (bytes < has || segment->next == NULL) {
			cursor->offset += (uint32_t)bytes;
			return;
		}
		bytes -= has;
		cursor->segment = segment->next;
		cursor->offset = 0;
	}
}

size_t chain_copy(const struct chain *chain, char *target, size_t size)
{
	size_t copied = 0;

	for (struct segment *segment = chain->first; segment != NULL && copied < size;
	     segment = segment->next) {
		size_t has = segment->end - segment->start;

		if (has > size - copied)
			has = size - copied;
		memcpy(target + copied, segment->bytes + segment->start, has);
		copied += has;
	}
	return copied;
}
