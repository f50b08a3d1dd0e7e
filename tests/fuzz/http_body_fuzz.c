/* Bodies of HTTP messages: cut anywhere they are the same, and no span lies outside of what came. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "http/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	uint64_t hash;
	size_t taken, length;
	bool failed, ended;
};

static struct outcome feed(const char *bytes, size_t size, size_t piece)
{
	struct outcome outcome = {.hash = 1};
	struct http_body body = {.kind = HTTP_BODY_CHUNKED};

	while (outcome.taken < size && !body.ended && !outcome.failed) {
		size_t at_most = size - outcome.taken < piece ? size - outcome.taken : piece, data_length;
		const char *from = bytes + outcome.taken, *data;
		ssize_t taken = http_body_take(&body, from, at_most, &data, &data_length);

		outcome.failed = taken < 0;
		if (taken < 0)
			break;
		if (taken == 0 || (size_t)taken > at_most || data < from || data + data_length > from + taken)
			abort();
		for (size_t i = 0; i < data_length; i++)
			outcome.hash = (outcome.hash ^ (unsigned char)data[i]) * 0x100000001b3u;
		outcome.length += data_length;
		outcome.taken += (size_t)taken;
	}
	outcome.ended = body.ended;
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	struct outcome whole = feed(bytes, size, size), one = feed(bytes, size, 1),
	               seven = feed(bytes, size, 7);

	if (whole.failed != one.failed || whole.failed != seven.failed || whole.ended != one.ended ||
	    whole.ended != seven.ended)
		abort();
	if (!whole.failed && (whole.hash != one.hash || whole.hash != seven.hash ||
	                         whole.taken != one.taken || whole.length != seven.length))
		abort();
	return 0;
}
