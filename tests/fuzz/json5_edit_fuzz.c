/* Edits of JSON5: what was valid stays valid and says the same but for the change; and what is inserted and
 * removed again leaves no trace. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/json5_edit.h"

#define LENGTH_MAX  (8 * 1024)
#define OBJECTS_MAX 48
#define MEMBER      "holdfast_fuzz: { a: \"b\" }"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct parsed {
	struct json_document document;
	struct json_source source;
	struct json_value values[JSON_VALUES_FOR(LENGTH_MAX * 4)];
	char strings[JSON_STRINGS_FOR(LENGTH_MAX * 4)];
};

static struct parsed before, after;
static char edited[LENGTH_MAX * 4], undone[LENGTH_MAX * 4];

static bool parse(struct parsed *parsed, const char *bytes, size_t length)
{
	struct json_fault fault;

	parsed->document = (struct json_document){.values = parsed->values,
	    .value_max = (uint32_t)JSON_VALUES_FOR(length),
	    .strings = parsed->strings,
	    .string_size = JSON_STRINGS_FOR(length)};
	parsed->source = (struct json_source){bytes, length, &parsed->document};
	return json_parse(&parsed->document, bytes, length, JSON_5, &fault) == 0;
}

static void must_parse(const struct text *text)
{
	if (text->truncated || !parse(&after, text->data, text->length))
		abort();
}

static void insert_and_remove(const struct json_value *object)
{
	const struct json_value *same, *member;
	struct text text, back;

	text_init(&text, edited, sizeof(edited));
	if (json_edit_insert(&before.source, object, MEMBER, &text) < 0)
		abort();
	must_parse(&text);
	same = &after.document.values[object - before.document.values];
	if (same->type != JSON_OBJECT || same->children.count != object->children.count + 1)
		abort();
	member = json_find(&after.document, same, "holdfast_fuzz");
	if (member == NULL || member->next != 0)
		abort();
	text_init(&back, undone, sizeof(undone));
	if (json_edit_remove(&after.source, same, member, &back) < 0)
		abort();
	if (object->children.count > 0 &&
	    (back.length != before.source.length || memcmp(undone, before.source.bytes, back.length) != 0))
		abort();
	must_parse(&back);
}

static void remove_each(const struct json_value *object)
{
	struct text text;

	for (const struct json_value *member = json_first(&before.document, object); member != NULL;
	     member = json_next(&before.document, member)) {
		uint32_t start, end;

		text_init(&text, edited, sizeof(edited));
		if (json_edit_remove(&before.source, object, member, &text) < 0 ||
		    !json_edit_span(&before.source, object, member, &start, &end) || start >= end)
			abort();
		must_parse(&text);
		if (after.document.values[object - before.document.values].children.count !=
		    object->children.count - 1)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text text;
	int objects = 0;

	if (size > LENGTH_MAX || !parse(&before, (const char *)data, size))
		return 0;
	json_edit_quotes_keys(&before.source);
	for (uint32_t i = 0; i < before.document.value_count && objects < OBJECTS_MAX; i++) {
		const struct json_value *value = &before.document.values[i];

		text_init(&text, edited, sizeof(edited));
		if (json_edit_replace(&before.source, value, "\"other\"", &text) < 0)
			abort();
		must_parse(&text);
		if (value->type != JSON_OBJECT)
			continue;
		objects++;
		insert_and_remove(value);
		remove_each(value);
	}
	return 0;
}
