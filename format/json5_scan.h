/* Inside the parser: the characters, words, numbers and texts of a JSON5 document, with their places. */
#ifndef HOLDFAST_FORMAT_JSON5_SCAN_H
#define HOLDFAST_FORMAT_JSON5_SCAN_H

#include <errno.h>

#include "format/json5.h"

#define SCAN_END UINT32_MAX /* the character past the last one */

struct scanner {
	struct json_document *document;
	const char *bytes;
	size_t length, offset; /* of the current character */
	size_t size;           /* bytes of the current character; 0 at the end */
	uint32_t character;
	struct json_place place;
	uint32_t high_surrogate; /* the first half of a character spelled by two escapes; 0: none */
	enum json_dialect dialect;
	unsigned depth;
	struct json_fault *fault;
	int result; /* the first failure: it stands, and everything after it sees SCAN_END and falls through
	             */
};

/* Both return the failure that stands. */
int scan_fail_at(struct scanner *scanner, struct json_place place, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int scan_fail_expected(struct scanner *scanner, const char *expected);

#define scan_fail(scanner, ...) scan_fail_at(scanner, (scanner)->place, -EBADMSG, __VA_ARGS__)

bool scan_is_digit(uint32_t character);
bool scan_is_line_end(uint32_t character);

void scan_start(struct scanner *scanner); /* makes the character at `offset` the current one */
void scan_advance(struct scanner *scanner);
bool scan_accept(struct scanner *scanner, uint32_t character);
bool scan_word(struct scanner *scanner, const char *word);
int scan_space(struct scanner *scanner); /* and comments */
int scan_hex(struct scanner *scanner, int digits, uint32_t *value);
int scan_number(struct scanner *scanner, struct json_value *value);

/* A quoted text (the current character is its quote) and an unquoted key, into the document's strings. */
int scan_string(struct scanner *scanner, const char **bytes, uint32_t *length);
int scan_identifier(struct scanner *scanner, const char **bytes, uint32_t *length);

#endif
