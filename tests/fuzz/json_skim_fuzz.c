/* What the JSON parser accepts has the same members for who only skims it; what it refuses breaks nothing. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/json5.h"
#include "format/json_skim.h"

#define LENGTH_MAX (16 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct json_value values[JSON_VALUES_FOR(LENGTH_MAX)];
static char strings[JSON_STRINGS_FOR(LENGTH_MAX)];

static void need(bool so)
{
	if (!so)
		abort();
}

static bool has_control(const char *bytes, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		if (byte < ' ' || byte == 0x7f ||
		    (byte == 0xc2 && i + 1 < length && (unsigned char)bytes[i + 1] < 0xa0))
			return true;
	}
	return false;
}

/* The parser puts U+FFFD for half a character that is spelled by an escape; here such a text is none. */
static void same_text(const struct json_span *span, const char *bytes, uint32_t length)
{
	static char text[LENGTH_MAX + 1];
	bool is_text = json_span_text(span, text, sizeof(text));

	if (!is_text && memmem(bytes, length, "\xef\xbf\xbd", 3) != NULL)
		return;
	need(is_text == !has_control(bytes, length));
	if (is_text)
		need(strlen(text) == length && memcmp(text, bytes, length) == 0 && json_span_is(span, text));
	need(memchr(bytes, '\0', length) != NULL || json_span_is(span, bytes));
}

static void same_value(const struct json_span *span, const struct json_value *value, const char *data)
{
	double number;

	need(span->bytes == data + value->start && span->length == value->end - value->start);
	if (value->type == JSON_STRING)
		same_text(span, value->string.bytes, value->string.length);
	if (value->type == JSON_NUMBER && span->length < 64)
		need(json_span_number(span, &number) && number == value->number);
	if (value->type == JSON_BOOL)
		need(json_span_spells(span, value->boolean ? "true" : "false"));
}

static void compare(const struct json_document *document, const char *data, size_t size)
{
	const struct json_value *root = json_root(document);
	struct json_span key, value;
	struct json_skim skim;

	json_skim_begin(&skim, data, size);
	if (root->type != JSON_OBJECT) {
		need(skim.broken);
		return;
	}
	for (const struct json_value *member = json_first(document, root); member != NULL;
	     member = json_next(document, member)) {
		need(json_skim_next(&skim, &key, &value));
		same_text(&key, member->key, member->key_length);
		same_value(&value, member, data);
	}
	need(!json_skim_next(&skim, &key, &value) && json_skim_is_whole(&skim));
}

static void skim_all(const char *data, size_t size)
{
	struct json_span key, value;
	struct json_skim skim, inner;
	char text[32];
	double number;

	json_skim_begin(&skim, data, size);
	while (json_skim_next(&skim, &key, &value) || value.bytes != NULL) {
		need(value.bytes >= data && value.bytes + value.length <= data + size && key.length >= 2);
		need(json_span_text(&value, text, sizeof(text)) || text[0] == '\0');
		json_span_rough_text(&key, text, sizeof(text));
		need(strnlen(text, sizeof(text)) < sizeof(text));
		json_span_number(&value, &number);
		json_skim_begin(&inner, value.bytes, value.length);
		while (json_skim_next(&inner, &key, &value))
			continue;
	}
	need(skim.ended + skim.cut + skim.broken == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_document document = {.values = values,
	    .value_max = sizeof(values) / sizeof(values[0]),
	    .strings = strings,
	    .string_size = sizeof(strings)};
	struct json_fault fault;

	skim_all((const char *)data, size);
	if (size <= LENGTH_MAX && json_parse(&document, (const char *)data, size, JSON_STRICT, &fault) == 0)
		compare(&document, (const char *)data, size);
	return 0;
}
