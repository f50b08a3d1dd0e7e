#include "relay/decoding.h"

#include <brotli/decode.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/types.h>
#include <zlib.h>

#define PIECE_BYTES  (16 * 1024)
#define ANY_WRAPPING (15 + 32) /* zlib's: the largest window, a zlib or a gzip head */

struct decoding {
	BrotliDecoderState *brotli; /* NULL: zlib */
	z_stream zlib;
	bool may_be_raw; /* "deflate" is sent without its head by some */
	int result;      /* once it is negative nothing more is read */
	size_t total;
};

static bool is(const char *encoding, size_t length, const char *name, size_t name_length)
{
	return length == name_length && strncasecmp(encoding, name, length) == 0;
}

struct decoding *decoding_begin(const char *encoding, size_t length, bool *known)
{
	bool brotli = is(encoding, length, "br", 2), deflate = is(encoding, length, "deflate", 7);
	struct decoding *decoding;

	*known = is(encoding, length, "identity", 8) || length == 0;
	if (*known ||
	    (!brotli && !deflate && !is(encoding, length, "gzip", 4) && !is(encoding, length, "x-gzip", 6)))
		return NULL;
	decoding = calloc(1, sizeof(*decoding));
	if (decoding == NULL)
		return NULL;
	decoding->may_be_raw = deflate;
	if (brotli)
		decoding->brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL);
	if (brotli ? decoding->brotli == NULL : inflateInit2(&decoding->zlib, ANY_WRAPPING) != Z_OK) {
		free(decoding);
		return NULL;
	}
	*known = true;
	return decoding;
}

void decoding_end(struct decoding *decoding)
{
	if (decoding == NULL)
		return;
	if (decoding->brotli != NULL)
		BrotliDecoderDestroyInstance(decoding->brotli);
	else
		inflateEnd(&decoding->zlib);
	free(decoding);
}

/* Decodes once. Returns how much came out, or a negative errno; *input moves on. */
static ssize_t decode(
    struct decoding *decoding, const uint8_t **input, size_t *left, uint8_t *output, size_t size)
{
	size_t room = size;
	int result;

	if (decoding->brotli != NULL) {
		BrotliDecoderResult said =
		    BrotliDecoderDecompressStream(decoding->brotli, left, input, &room, &output, NULL);

		return said == BROTLI_DECODER_RESULT_ERROR ? -EBADMSG : (ssize_t)(size - room);
	}
	decoding->zlib.next_in = (uint8_t *)*input;
	decoding->zlib.avail_in = (uInt)*left;
	decoding->zlib.next_out = output;
	decoding->zlib.avail_out = (uInt)size;
	result = inflate(&decoding->zlib, Z_SYNC_FLUSH);
	if (result == Z_DATA_ERROR && decoding->may_be_raw && decoding->total == 0) {
		decoding->may_be_raw = false;
		if (inflateReset2(&decoding->zlib, -15) != Z_OK)
			return -EBADMSG;
		return 0; /* the same bytes again, without a head */
	}
	*input = decoding->zlib.next_in;
	*left = decoding->zlib.avail_in;
	if (result == Z_STREAM_END)
		*left = 0;
	return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR
	           ? (ssize_t)(size - decoding->zlib.avail_out)
	           : -EBADMSG;
}

int decoding_feed(struct decoding *decoding, const char *bytes, size_t length,
    void (*came)(void *context, const char *bytes, size_t length), void *context)
{
	const uint8_t *input = (const uint8_t *)bytes;
	uint8_t output[PIECE_BYTES];
	ssize_t got = 1;

	while (decoding->result == 0 && (length > 0 || got == PIECE_BYTES)) {
		size_t before = length;
		bool could_be_raw = decoding->may_be_raw;

		got = decode(decoding, &input, &length, output, sizeof(output));
		if (got < 0) {
			decoding->result = (int)got;
			break;
		}
		decoding->total += (size_t)got;
		if (decoding->total > DECODING_MAX)
			decoding->result = -EFBIG;
		if (got > 0)
			came(context, (const char *)output, (size_t)got);
		else if (length == before && could_be_raw == decoding->may_be_raw)
			break;
	}
	return decoding->result;
}
