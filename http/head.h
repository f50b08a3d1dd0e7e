/* The strict layer before llhttp: which bytes may be an HTTP/1.1 head at all (RFC 9112).
 *
 * llhttp accepts what some programs once sent: folded lines, "Name : value", two Host headers. Two readers
 * that disagree on such a head can be played against each other, so it is refused here, before anything is
 * parsed. */
#ifndef HOLDFAST_HTTP_HEAD_H
#define HOLDFAST_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

#define HTTP_HEAD_MAX   (16 * 1024)
#define HTTP_FIELDS_MAX 100

enum http_head_kind { HTTP_HEAD_REQUEST, HTTP_HEAD_RESPONSE };

/* Looks for the end of the head in what has come so far. Returns the head's length with its empty line, 0
 * while it is not complete, or -EMSGSIZE when it is longer than HTTP_HEAD_MAX. */
ssize_t http_head_find(const char *bytes, size_t length);

/* Checks a whole head as found by http_head_find: every line ends in CRLF; no bare CR, LF, NUL or other
 * control character; no folded line; a name is a token directly followed by a colon; at most HTTP_FIELDS_MAX
 * fields; at most one Host, Content-Length and Transfer-Encoding, never the last two together; Content-Length
 * is a plain number; a request has exactly one Host. Returns 0 or -EBADMSG with *why (may be NULL). */
int http_head_check(enum http_head_kind kind, const char *head, size_t length, struct error *why);

struct http_field;
typedef void http_field_visitor(void *context, const struct http_field *field);

/* The same, and calls `visit` for each field on the way, in order: of a head that is refused some have been
 * visited. */
int http_head_read(enum http_head_kind kind, const char *head, size_t length, http_field_visitor *visit,
    void *context, struct error *why);

/* One field line, cut at its colon; the value without the blanks around it. Into the head. */
struct http_field {
	const char *name, *value;
	size_t name_length, value_length;
	const char *line; /* the whole line, with its CR LF */
	size_t line_length;
};

/* The next field of a checked head. *offset is 0 before the first. Returns false after the last. */
bool http_head_next(const char *head, size_t length, size_t *offset, struct http_field *field);

/* Whether the field has this name, which is of letters and dashes, in any case of letters. */
bool http_field_is(const struct http_field *field, const char *name, size_t name_length);

/* The status of a checked head of an answer. */
unsigned http_head_status(const char *head);

/* The value of the first field of this name (any case) in a checked head, without surrounding blanks. Returns
 * false when there is none. *value points into `head`. */
bool http_head_field(
    const char *head, size_t length, const char *name, const char **value, size_t *value_length);

#endif
