/* Reading along in a compressed body: gzip, deflate and br, as the gateway's HTTP client asks for them. What
 * passes stays compressed; only what is read of it is decoded. */
#ifndef HOLDFAST_RELAY_DECODING_H
#define HOLDFAST_RELAY_DECODING_H

#include <stdbool.h>
#include <stddef.h>

#define DECODING_MAX (64u * 1024 * 1024) /* of one body; what grows beyond is read no further */

struct decoding;

/* For a value of Content-Encoding. NULL with *known true for "identity"; NULL with *known false for what
 * cannot be decoded, or without memory. Free with decoding_end. */
struct decoding *decoding_begin(const char *encoding, size_t length, bool *known);
void decoding_end(struct decoding *decoding);

/* Calls `came` with what these bytes bring, in pieces. Returns 0; -EBADMSG when they are not so encoded,
 * -EFBIG beyond DECODING_MAX: nothing more can be read then. */
int decoding_feed(struct decoding *decoding, const char *bytes, size_t length,
    void (*came)(void *context, const char *bytes, size_t length), void *context);

#endif
