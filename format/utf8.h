/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef HOLDFAST_FORMAT_UTF8_H
#define HOLDFAST_FORMAT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT 0xfffdu
#define UTF8_MAX         4

/* Decodes the first character of `bytes`. Returns its length, or 0 when there is none or it is not valid. */
size_t utf8_decode(const char *bytes, size_t length, uint32_t *character);

/* Writes `character` (U+FFFD where it is a surrogate or too large) into `target`. Returns its length. */
size_t utf8_encode(uint32_t character, char target[UTF8_MAX]);

/* The length of `bytes` without a character at their end that was cut. */
size_t utf8_whole(const char *bytes, size_t length);

/* Whether a terminal shows the character, and obeys nothing: false for C0, DEL, C1, and for what is not seen
 * itself but changes how the rest looks (marks of direction, separators, blanks of no width). The joiners
 * that scripts need are shown. */
bool utf8_is_shown(uint32_t character);

#endif
