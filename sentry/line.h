/* Console lines: what is in them once the colours are gone. Input is hostile; nothing here allocates. */
#ifndef HOLDFAST_SENTRY_LINE_H
#define HOLDFAST_SENTRY_LINE_H

#include <stddef.h>
#include <stdint.h>

/* Longer lines are passed through in pieces of this size. */
#define LINE_MAX_BYTES (16 * 1024)

/* Copies a line without escape sequences (ECMA-48: CSI, OSC and other strings, single escapes) and without
 * control characters; a tab becomes a blank. Cut to fit and NUL-terminated. Returns the length of the copy.
 */
size_t line_strip(char *target, size_t target_size, const char *bytes, size_t length);

/* How many line ends there are, several bytes at a time. */
uint64_t line_count(const char *bytes, size_t length);

/* "999 bytes", "1.2 MB": a size for people. `target` is at least 24 bytes. */
const char *line_size(char *target, size_t target_size, uint64_t bytes);

#endif
