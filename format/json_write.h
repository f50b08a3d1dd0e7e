/* Writes JSON into bounded text. Commas are found from the last byte written, so there is no state to keep:
 *
 *	json_write_begin(text, '{');
 *	json_write_key(text, "pid");
 *	json_write_integer(text, 42);
 *	json_write_end(text, '}');
 *
 * A value after a space or a line's end begins anew, so a value can stand within other text.
 * What does not fit is cut, and text->truncated says so: such text is no longer JSON and must not be sent. */
#ifndef HOLDFAST_FORMAT_JSON_WRITE_H
#define HOLDFAST_FORMAT_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

void json_write_begin(struct text *text, char bracket); /* '{' or '[' */
void json_write_end(struct text *text, char bracket);   /* '}' or ']' */
void json_write_key(struct text *text, const char *key);

/* Control characters are escaped, invalid UTF-8 becomes U+FFFD. NULL is written as null. */
void json_write_string(struct text *text, const char *string);
void json_write_bytes(struct text *text, const char *bytes, size_t length);

void json_write_integer(struct text *text, int64_t value);
void json_write_unsigned(struct text *text, uint64_t value);
void json_write_number(
    struct text *text, double value); /* as short as reads back the same; not finite: null */
void json_write_bool(struct text *text, bool value);
void json_write_null(struct text *text);
/* A list of the names of those of the lowest `count` bits that are set. */
void json_write_bits(struct text *text, uint32_t bits, uint32_t count, const char *(*name)(uint32_t bit));
void json_write_raw(struct text *text, const char *json); /* a value that is JSON already */

#endif
