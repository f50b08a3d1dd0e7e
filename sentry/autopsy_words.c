#include "sentry/autopsy_words.h"

#include <string.h>

#include "format/utf8.h"
#include "sentry/autopsy.h"

#define SHOWN_PATH    72
#define SHOWN_COMMAND 60

/* Control characters, and those that reorder a line of text. */
static bool is_unfit(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0) ||
	       (character >= 0x200b && character <= 0x200f) || (character >= 0x2028 && character <= 0x202e) ||
	       (character >= 0x2060 && character <= 0x206f) || character == 0xfeff;
}

void autopsy_clean(char *text)
{
	size_t length = strlen(text), kept = 0;

	for (size_t at = 0; at < length;) {
		uint32_t character;
		size_t size = utf8_decode(text + at, length - at, &character);

		if (size == 0) {
			text[kept++] = '?';
			at++;
			continue;
		}
		if (!is_unfit(character)) {
			memmove(text + kept, text + at, size);
			kept += size;
		}
		at += size;
	}
	text[kept] = '\0';
}

void autopsy_add_start(struct text *text, const char *string, size_t max)
{
	size_t length = strlen(string);

	if (length > max) {
		length = max;
		while (length > 0 && ((unsigned char)string[length] & 0xc0) == 0x80)
			length--;
	}
	text_add_bytes(text, string, length);
	if (string[length] != '\0')
		text_add(text, "...");
}

void autopsy_add_path(struct text *text, const char *path)
{
	size_t length = strlen(path);
	const char *at = path;

	if (length > SHOWN_PATH) {
		at = path + length - SHOWN_PATH;
		while (((unsigned char)*at & 0xc0) == 0x80)
			at++;
		text_add(text, "...");
	}
	text_add(text, at);
}

void autopsy_add_process(struct text *text, const char *command, int pid)
{
	text_add(text, "`");
	autopsy_add_start(text, *command != '\0' ? command : "?", SHOWN_COMMAND);
	text_addf(text, "` (pid %d", pid);
}
