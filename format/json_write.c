#include "format/json_write.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/utf8.h"

static void separate(struct text *text)
{
	char last = text->length > 0 ? text->data[text->length - 1] : '\n';

	if (strchr("{[:,\n ", last) == NULL)
		text_add_bytes(text, ",", 1);
}

void json_write_begin(struct text *text, char bracket)
{
	separate(text);
	text_add_bytes(text, &bracket, 1);
}

void json_write_end(struct text *text, char bracket)
{
	text_add_bytes(text, &bracket, 1);
}

static void write_character(struct text *text, const char *bytes, size_t length, uint32_t character)
{
	static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	const char *found = character != 0 && character < 0x80 ? strchr(plain, (int)character) : NULL;

	if (found != NULL)
		text_addf(text, "\\%c", letters[found - plain]);
	else if (character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x2028 ||
	         character == 0x2029)
		text_addf(text, "\\u%04x", (unsigned)character);
	else
		text_add_bytes(text, bytes, length);
}

static void write_quoted(struct text *text, const char *bytes, size_t length)
{
	text_add_bytes(text, "\"", 1);
	while (length > 0) {
		uint32_t character;
		size_t size = utf8_decode(bytes, length, &character);

		if (size == 0) {
			text_add(text, "\xef\xbf\xbd");
			size = 1;
		} else {
			write_character(text, bytes, size, character);
		}
		bytes += size;
		length -= size;
	}
	text_add_bytes(text, "\"", 1);
}

void json_write_key(struct text *text, const char *key)
{
	separate(text);
	write_quoted(text, key, strlen(key));
	text_add_bytes(text, ":", 1);
}

void json_write_bytes(struct text *text, const char *bytes, size_t length)
{
	separate(text);
	write_quoted(text, bytes, length);
}

void json_write_string(struct text *text, const char *string)
{
	if (string == NULL)
		json_write_null(text);
	else
		json_write_bytes(text, string, strlen(string));
}

void json_write_integer(struct text *text, int64_t value)
{
	separate(text);
	text_addf(text, "%" PRId64, value);
}

void json_write_unsigned(struct text *text, uint64_t value)
{
	separate(text);
	text_addf(text, "%" PRIu64, value);
}

void json_write_number(struct text *text, double value)
{
	char digits[32];

	if (!isfinite(value)) {
		json_write_null(text);
		return;
	}
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(digits, sizeof(digits), "%.*g", precision, value);
		if (strtod(digits, NULL) == value)
			break;
	}
	json_write_raw(text, digits);
}

void json_write_bool(struct text *text, bool value)
{
	json_write_raw(text, value ? "true" : "false");
}

void json_write_null(struct text *text)
{
	json_write_raw(text, "null");
}

void json_write_raw(struct text *text, const char *json)
{
	separate(text);
	text_add(text, json);
}

void json_write_bits(struct text *text, uint32_t bits, uint32_t count, const char *(*name)(uint32_t bit))
{
	json_write_begin(text, '[');
	for (uint32_t i = 0; i < count; i++)
		if (bits & (1u << i))
			json_write_string(text, name(1u << i));
	json_write_end(text, ']');
}
