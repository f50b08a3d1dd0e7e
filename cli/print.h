/* Words for people, on a terminal or not. */
#ifndef HOLDFAST_CLI_PRINT_H
#define HOLDFAST_CLI_PRINT_H

#include <stdbool.h>
#include <stddef.h>

enum colour { COLOUR_NONE, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED, COLOUR_FAINT };

/* "holdfast: SENTENCE" on standard error. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Colours are for terminals that know them, and not for those who set NO_COLOR (https://no-color.org). */
bool terminal_has_colours(int fd);

/* On standard output. What comes from elsewhere reaches no terminal with its control characters. */
void print_text(const char *text);
void print_lines(const char *text); /* as print_text, and keeps line feeds */
void print_coloured(enum colour colour, const char *text);

/* How many characters print_text() prints of it; and printing it with blanks behind it up to `width`. */
size_t text_width(const char *text);
void print_padded(enum colour colour, const char *text, size_t width);

/* Closes standard output: returns `status`, or EXIT_FAILED with a word when what was printed could not be
 * written. */
int print_finish(int status);

/* True when `text` is UTF-8 that reaches a terminal as it is: no control characters, no marks of direction.
 */
bool text_is_plain(const char *text);

#endif
