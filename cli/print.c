#include "cli/print.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/command.h"
#include "format/utf8.h"

/* The length of the character at `text`, and whether it can be shown. What is no UTF-8 is taken byte by byte:
 * some terminals obey such bytes as well. */
static size_t read_character(const char *text, bool *is_plain)
{
	uint32_t character;
	size_t length = utf8_decode(text, strnlen(text, UTF8_MAX), &character);

	*is_plain = length > 0 && utf8_is_shown(character);
	return length > 0 ? length : 1;
}

static void write_plain(FILE *out, const char *text, char kept)
{
	while (*text != '\0') {
		bool is_plain;
		size_t length = read_character(text, &is_plain);

		if (is_plain || *text == kept)
			fwrite(text, 1, length, out);
		else
			putc('?', out);
		text += length;
	}
}

void complain(const char *format, ...)
{
	char sentence[ERROR_TEXT_MAX + 128];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	fflush(stdout);
	fputs("holdfast: ", stderr);
	write_plain(stderr, sentence, '\0');
	putc('\n', stderr);
}

bool terminal_has_colours(int fd)
{
	const char *unwanted = getenv("NO_COLOR");
	const char *terminal = getenv("TERM");

	if (unwanted != NULL && *unwanted != '\0')
		return false;
	return terminal != NULL && *terminal != '\0' && strcmp(terminal, "dumb") != 0 && isatty(fd);
}

void print_text(const char *text)
{
	write_plain(stdout, text, '\0');
}

void print_lines(const char *text)
{
	write_plain(stdout, text, '\n');
}

void print_coloured(enum colour colour, const char *text)
{
	static const char *const codes[] = {"", "\033[32m", "\033[33m", "\033[31m", "\033[2m"};
	bool coloured = colour != COLOUR_NONE && terminal_has_colours(STDOUT_FILENO);

	if (coloured)
		fputs(codes[colour], stdout);
	print_text(text);
	if (coloured)
		fputs("\033[0m", stdout);
}

size_t text_width(const char *text)
{
	size_t width = 0;
	bool is_plain;

	for (; *text != '\0'; width++)
		text += read_character(text, &is_plain);
	return width;
}

void print_padded(enum colour colour, const char *text, size_t width)
{
	size_t used = text_width(text);

	print_coloured(colour, text);
	printf("%*s", used < width ? (int)(width - used) : 0, "");
}

int print_finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	/* Whoever closed the pipe has read enough. */
	if (errno != EPIPE)
		complain("The output could not be written: %s.", strerror(errno));
	return errno == EPIPE ? status : EXIT_FAILED;
}

bool text_is_plain(const char *text)
{
	bool is_plain = true;

	while (*text != '\0' && is_plain)
		text += read_character(text, &is_plain);
	return is_plain;
}
