/* For the comparison with other parsers: reads documents (a length of 4 bytes, little-endian, and so many
 * bytes of JSON5) and writes a line for each: "ok " and the same as JSON, or "bad " and why. What JSON cannot
 * say is a text that begins with U+0000: Infinity, -Infinity, NaN, -0. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/json5.h"
#include "format/json_write.h"

#define LENGTH_MAX (64 * 1024)

static struct json_value values[JSON_VALUES_FOR(LENGTH_MAX)];
static char strings[JSON_STRINGS_FOR(LENGTH_MAX)], bytes[LENGTH_MAX], output[LENGTH_MAX * 8];

static void write_number(struct text *text, double number)
{
	char special[16];

	if (isfinite(number) && !(number == 0 && signbit(number))) {
		json_write_number(text, number);
		return;
	}
	snprintf(special, sizeof(special), "\001%s",
	    isnan(number) ? "NaN"
	    : number == 0 ? "-0"
	    : number < 0  ? "-Infinity"
	                  : "Infinity");
	special[0] = '\0';
	json_write_bytes(text, special, 1 + strlen(special + 1));
}

static void write_value(
    const struct json_document *document, const struct json_value *value, struct text *text)
{
	bool is_object = value->type == JSON_OBJECT;

	switch (value->type) {
	case JSON_NULL:
		json_write_null(text);
		return;
	case JSON_BOOL:
		json_write_bool(text, value->boolean);
		return;
	case JSON_NUMBER:
		write_number(text, value->number);
		return;
	case JSON_STRING:
		json_write_bytes(text, value->string.bytes, value->string.length);
		return;
	default:
		break;
	}
	json_write_begin(text, is_object ? '{' : '[');
	for (const struct json_value *child = json_first(document, value); child != NULL;
	     child = json_next(document, child)) {
		if (is_object) {
			json_write_bytes(text, child->key, child->key_length);
			text_add(text, ":");
		}
		write_value(document, child, text);
	}
	json_write_end(text, is_object ? '}' : ']');
}

int main(void)
{
	unsigned char header[4];

	while (fread(header, 1, sizeof(header), stdin) == sizeof(header)) {
		size_t length =
		    header[0] | (size_t)header[1] << 8 | (size_t)header[2] << 16 | (size_t)header[3] << 24;
		struct json_document document = {.values = values,
		    .value_max = JSON_VALUES_FOR(LENGTH_MAX),
		    .strings = strings,
		    .string_size = sizeof(strings)};
		struct json_fault fault;
		struct text text;

		if (length > LENGTH_MAX || fread(bytes, 1, length, stdin) != length)
			return 1;
		text_init(&text, output, sizeof(output));
		if (json_parse(&document, bytes, length, JSON_5, &fault) < 0) {
			printf("bad %u:%u: %s\n", fault.place.line, fault.place.column, fault.text);
			continue;
		}
		write_value(&document, json_root(&document), &text);
		if (text.truncated)
			return 1;
		printf("ok %s\n", output);
	}
	return 0;
}
