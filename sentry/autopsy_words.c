#include "sentry/autopsy_words.h"

#include <string.h>

#include "format/utf8.h"
#include "sentry/autopsy.h"

#define SHOWN_PATH    72
#define SHOWN_COMMAND 60

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
		if (utf8_is_shown(character)) {
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
