/* The body of an HTTP/1.1 message, out of the bytes that carry it (RFC 9112, 6 and 7): bytes in, spans of
 * them out. Nothing is copied and nothing is kept but where the reading stands.
 *
 * Strict, because a body whose end two readers see at different places can be played against them: chunk
 * sizes are hexadecimal digits and nothing else, lines end in CR LF, extensions and trailers are read past
 * within a bound. */
#ifndef HOLDFAST_HTTP_BODY_H
#define HOLDFAST_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HTTP_EXTENSION_MAX 256
#define HTTP_TRAILER_MAX   (8 * 1024)

enum http_body_kind { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED, HTTP_BODY_UNTIL_CLOSE };

struct http_body {
	enum http_body_kind kind;
	bool ended;    /* nothing of it is to come */
	uint64_t left; /* of a LENGTH, or of the chunk being read */

	/* Private. */
	int state;
	uint32_t digits, passed;
};

/* What a head says of its body. All zero: nothing. */
struct http_framing {
	bool has_length, has_coding, is_chunked;
	uint64_t length;
};

struct http_field;

/* For each field of a head (http_head_read). */
void http_framing_note(struct http_framing *framing, const struct http_field *field);

/* How long the body of a message with this head is. Returns 0, or -EBADMSG for a Transfer-Encoding other than
 * chunked. An answer to HEAD has none: `without`. */
int http_body_of_framing(struct http_body *body, const struct http_framing *framing);
int http_body_of_answer_framing(
    struct http_body *body, const struct http_framing *framing, unsigned status, bool without);

/* How long the body of this message is, by its checked head (http/head.h). Returns 0, or -EBADMSG for a
 * Transfer-Encoding other than chunked. */
int http_body_of_request(struct http_body *body, const char *head, size_t length);

/* The same for an answer; `without` is true for answers to HEAD, which have none. */
int http_body_of_answer(
    struct http_body *body, unsigned status, bool without, const char *head, size_t length);

/* Takes up to `length` bytes, and gives at most one span of the body that lies among them: *data and
 * *data_length (0: none). Returns how many bytes were taken, more than none unless the body has ended; or
 * -EBADMSG when they are no such body. What follows a body that has ended is left. */
ssize_t http_body_take(
    struct http_body *body, const char *bytes, size_t length, const char **data, size_t *data_length);

/* The connection ended. Returns whether that is how the body may end. */
bool http_body_closed(struct http_body *body);

#endif
