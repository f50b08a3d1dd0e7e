/* Compressed bodies: cut anywhere they are the same. The first byte chooses the coding. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "relay/decoding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
	uint64_t hash;
	size_t length;
	int result;
};

static void came(void *context, const char *bytes, size_t length)
{
	struct sum *sum = context;

	for (size_t i = 0; i < length; i++)
		sum->hash = (sum->hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
	sum->length += length;
}

static struct sum feed(const char *coding, const char *bytes, size_t size, size_t piece)
{
	struct sum sum = {.hash = 1};
	bool known;
	struct decoding *decoding = decoding_begin(coding, strlen(coding), &known);

	if (decoding == NULL)
		return sum;
	for (size_t at = 0; at < size && sum.result == 0; at += piece)
		sum.result =
		    decoding_feed(decoding, bytes + at, size - at < piece ? size - at : piece, came, &sum);
	decoding_end(decoding);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const codings[] = {"gzip", "deflate", "br", "identity", "compress"};
	const char *bytes = (const char *)data + 1;
	struct sum whole, some;

	if (size < 2)
		return 0;
	whole = feed(codings[data[0] % 5], bytes, size - 1, size);
	some = feed(codings[data[0] % 5], bytes, size - 1, 5);
	if (whole.result == 0 && some.result == 0 && (whole.hash != some.hash || whole.length != some.length))
		abort();
	return 0;
}
