#include "cli/print.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/command.h"

/* The length of the control character at `text`, 0 if it is none. C1 is two bytes in UTF-8. */
static size_t control_length(const char *text)
{
	const unsigned char *bytes = (const unsigned char *)text;

	if (bytes[0] != '\0' && (bytes[0] < 0x20 || bytes[0] == 0x7f))
		return 1;
	return bytes[0] == 0xc2 && bytes[1] >= 0x80 && bytes[1] < 0xa0 ? 2 : 0;
}

static void write_plain(FILE *out, const char *text, char kept)
{
	while (*text != '\0') {
		size_t length = control_length(text);

		if (length > 0 && *text != kept) {
			putc('?', out);
			text += length;
		} else {
			putc(*text++, out);
		}
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
	for (; *text != '\0'; text++)
		if (control_length(text) > 0)
			return false;
	return true;
}
