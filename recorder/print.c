#include "recorder/print.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "channel/message.h"
#include "format/json_write.h"
#include "format/utf8.h"

/* C0, DEL, C1, and the marks that make a terminal show text in another order than it has. */
static bool is_unsafe(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x200e ||
	       character == 0x200f || (character >= 0x2028 && character <= 0x202e) ||
	       (character >= 0x2066 && character <= 0x2069) || character == 0xfeff;
}

void print_plain(FILE *out, const char *string)
{
	size_t left = strlen(string);

	while (left > 0) {
		uint32_t character = 0;
		size_t length = utf8_decode(string, left, &character);

		if (length == 0) {
			fprintf(out, "\\x%02x", (unsigned char)*string);
			length = 1;
		} else if (is_unsafe(character)) {
			fprintf(out, character < 0x80 ? "\\x%02x" : "\\u%04x", character);
		} else {
			fwrite(string, 1, length, out);
		}
		string += length;
		left -= length;
	}
}

/* Outside of ASCII there are only strings, so the same characters can be escaped in place. */
void print_json(FILE *out, const char *json)
{
	size_t left = strlen(json);

	while (left > 0) {
		uint32_t character = 0;
		size_t length = utf8_decode(json, left, &character);

		if (length == 0) {
			fputs("\\ufffd", out);
			length = 1;
		} else if (is_unsafe(character)) {
			fprintf(out, "\\u%04x", character);
		} else {
			fwrite(json, 1, length, out);
		}
		json += length;
		left -= length;
	}
}

static const char *severity_colour(uint32_t severity)
{
	switch (severity) {
	case SEVERITY_WARNING:
		return "\033[33m";
	case SEVERITY_ERROR:
		return "\033[31m";
	case SEVERITY_CRITICAL:
		return "\033[1;31m";
	default:
		return "\033[32m";
	}
}

static void print_padded(FILE *out, const char *string, int width)
{
	print_plain(out, string);
	for (int length = (int)strlen(string); length < width; length++)
		putc(' ', out);
}

void event_print_text(FILE *out, const struct event_row *row, bool colours)
{
	char time_text[CLOCK_TEXT_MAX], incident[32] = "";

	clock_format(time_text, sizeof(time_text), row->time_ms);
	fprintf(out, "%.19sZ  ", time_text);
	if (colours)
		fputs(severity_colour(row->severity), out);
	print_padded(out, event_severity_name(row->severity), 8);
	if (colours)
		fputs("\033[0m", out);
	fputs("  ", out);
	print_padded(out, row->kind, 24);
	if (row->incident != 0)
		snprintf(incident, sizeof(incident), "#%" PRIu64, row->incident);
	fprintf(out, "  %-5s  ", incident);
	print_plain(out, row->reason);
	putc('\n', out);
}

void event_print_object(FILE *out, const struct event_row *row)
{
	char buffer[8 * (READER_KIND_SIZE + READER_REASON_SIZE)], time_text[CLOCK_TEXT_MAX];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	json_write_begin(&text, '{');
	json_write_key(&text, "id");
	json_write_integer(&text, row->id);
	json_write_key(&text, "time");
	json_write_string(&text, clock_format(time_text, sizeof(time_text), row->time_ms));
	json_write_key(&text, "kind");
	json_write_string(&text, row->kind);
	json_write_key(&text, "severity");
	json_write_string(&text, event_severity_name(row->severity));
	json_write_key(&text, "incident");
	if (row->incident != 0)
		json_write_unsigned(&text, row->incident);
	else
		json_write_null(&text);
	json_write_key(&text, "reason");
	json_write_string(&text, row->reason);
	json_write_key(&text, "evidence");
	print_json(out, buffer);
	print_json(out, row->evidence);
	putc('}', out);
}

void event_print_json(FILE *out, const struct event_row *row)
{
	event_print_object(out, row);
	putc('\n', out);
}
