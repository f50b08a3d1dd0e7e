/* JSON5: what is accepted can be written as JSON, is then accepted as strict JSON, and is written the same
 * again. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/json5.h"
#include "format/json_write.h"

#define LENGTH_MAX  (16 * 1024)
#define WRITTEN_MAX (LENGTH_MAX * 8)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct json_value values[JSON_VALUES_FOR(WRITTEN_MAX)];
static char strings[JSON_STRINGS_FOR(WRITTEN_MAX)];

static int parse(struct json_document *document, const char *bytes, size_t length, enum json_dialect dialect)
{
	struct json_fault fault = {0};
	int result;

	/* Not a byte more than promised to be enough. */
	*document = (struct json_document){.values = values,
	    .value_max = (uint32_t)JSON_VALUES_FOR(length),
	    .strings = strings,
	    .string_size = JSON_STRINGS_FOR(length)};
	result = json_parse(document, bytes, length, dialect, &fault);
	if (result < 0 && (fault.text[0] == '\0' || fault.place.line == 0 || fault.place.column == 0))
		abort();
	if (result != 0 && result != -EBADMSG)
		abort();
	return result;
}

static void write_value(
    const struct json_document *document, const struct json_value *value, struct text *text)
{
	switch (value->type) {
	case JSON_NULL:
		json_write_null(text);
		return;
	case JSON_BOOL:
		json_write_bool(text, value->boolean);
		return;
	case JSON_NUMBER:
		json_write_number(text, value->number);
		return;
	case JSON_STRING:
		json_write_bytes(text, value->string.bytes, value->string.length);
		return;
	default:
		break;
	}
	json_write_begin(text, value->type == JSON_OBJECT ? '{' : '[');
	for (const struct json_value *child = json_first(document, value); child != NULL;
	     child = json_next(document, child)) {
		if (value->type == JSON_OBJECT) {
			json_write_bytes(text, child->key, child->key_length);
			text_add(text, ":");
		}
		write_value(document, child, text);
	}
	json_write_end(text, value->type == JSON_OBJECT ? '}' : ']');
}

static void check_places(const struct json_document *document, size_t length)
{
	for (uint32_t i = 0; i < document->value_count; i++) {
		const struct json_value *value = &document->values[i];

		if (value->start > value->end || value->end > length || value->place.line == 0 ||
		    value->place.column == 0 || (value->next != 0 && value->next <= i))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char first[WRITTEN_MAX], second[WRITTEN_MAX];
	struct json_document document;
	struct text text, again;
	bool is_json;

	if (size > LENGTH_MAX)
		return 0;
	is_json = parse(&document, (const char *)data, size, JSON_STRICT) == 0;
	if (parse(&document, (const char *)data, size, JSON_5) < 0) {
		if (is_json)
			abort();
		return 0;
	}
	check_places(&document, size);
	text_init(&text, first, sizeof(first));
	write_value(&document, json_root(&document), &text);
	if (text.truncated || parse(&document, first, text.length, JSON_STRICT) < 0)
		abort();
	text_init(&again, second, sizeof(second));
	write_value(&document, json_root(&document), &again);
	if (strcmp(first, second) != 0)
		abort();
	return 0;
}
