#include "format/json5.h"

#include <string.h>

#include "format/json5_scan.h"

static int parse_value(struct scanner *scanner, uint32_t index);

static int read_key(struct scanner *scanner, struct json_value *value)
{
	value->key_place = scanner->place;
	if (scanner->character == '"' || (scanner->dialect == JSON_5 && scanner->character == '\''))
		scan_string(scanner, &value->key, &value->key_length);
	else if (scanner->dialect == JSON_5)
		scan_identifier(scanner, &value->key, &value->key_length);
	else
		scan_fail_expected(scanner, "a key in double quotes");
	scan_space(scanner);
	if (scanner->result == 0 && !scan_accept(scanner, ':'))
		scan_fail_expected(scanner, "\":\"");
	return scan_space(scanner);
}

static int parse_word(struct scanner *scanner, struct json_value *value)
{
	value->type = JSON_BOOL;
	value->boolean = scanner->character == 't';
	if (scan_word(scanner, "true") || scan_word(scanner, "false"))
		return scanner->result;
	value->type = JSON_NULL;
	if (scan_word(scanner, "null"))
		return scanner->result;
	return scan_fail_expected(scanner, "a value");
}

/* --- Arrays and objects. --- */

static uint32_t new_value(struct scanner *scanner)
{
	struct json_document *document = scanner->document;

	if (document->value_count == document->value_max) {
		scan_fail_at(
		    scanner, scanner->place, -ENOBUFS, "there are more values than there is room for");
		return 0;
	}
	document->values[document->value_count] = (struct json_value){0};
	return document->value_count++;
}

static int parse_children(struct scanner *scanner, uint32_t index, uint32_t close)
{
	struct json_value *values = scanner->document->values;
	uint32_t previous = 0;

	scan_advance(scanner);
	scan_space(scanner);
	while (scanner->result == 0 && !scan_accept(scanner, close)) {
		uint32_t child = new_value(scanner);

		if (child == 0)
			break;
		*(previous != 0 ? &values[previous].next : &values[index].children.first) = child;
		values[index].children.count++;
		previous = child;
		if (close == '}' && read_key(scanner, &values[child]) < 0)
			break;
		if (parse_value(scanner, child) < 0)
			break;
		scan_space(scanner);
		if (scan_accept(scanner, close))
			break;
		if (!scan_accept(scanner, ','))
			return scan_fail_expected(
			    scanner, close == '}' ? "\",\" or \"}\"" : "\",\" or \"]\"");
		scan_space(scanner);
		if (scanner->dialect == JSON_STRICT && scanner->character == close)
			return scan_fail_expected(scanner, "another value after the comma");
	}
	return scanner->result;
}

static int parse_nested(struct scanner *scanner, uint32_t index)
{
	bool is_object = scanner->character == '{';

	if (scanner->depth == JSON_DEPTH_MAX)
		return scan_fail(scanner, "this is nested more than %d deep", JSON_DEPTH_MAX);
	scanner->document->values[index].type = is_object ? JSON_OBJECT : JSON_ARRAY;
	scanner->depth++;
	parse_children(scanner, index, is_object ? '}' : ']');
	scanner->depth--;
	return scanner->result;
}

static int parse_value(struct scanner *scanner, uint32_t index)
{
	struct json_value *value = &scanner->document->values[index];
	uint32_t character = scanner->character;

	value->place = scanner->place;
	value->start = (uint32_t)scanner->offset;
	if (character == '{' || character == '[') {
		parse_nested(scanner, index);
	} else if (character == '"' || (scanner->dialect == JSON_5 && character == '\'')) {
		value->type = JSON_STRING;
		scan_string(scanner, &value->string.bytes, &value->string.length);
	} else if (scan_is_digit(character) || character == '-' ||
	           (scanner->dialect == JSON_5 &&
	               (character == '+' || character == '.' || character == 'I' || character == 'N'))) {
		scan_number(scanner, value);
	} else {
		parse_word(scanner, value);
	}
	value->end = (uint32_t)scanner->offset;
	return scanner->result;
}

int json_parse(struct json_document *document, const char *bytes, size_t length, enum json_dialect dialect,
    struct json_fault *fault)
{
	struct scanner scanner = {.document = document,
	    .bytes = bytes,
	    .length = length,
	    .place = {1, 1},
	    .dialect = dialect,
	    .fault = fault};

	document->value_count = 0;
	document->string_used = 0;
	if (length > JSON_LENGTH_MAX)
		return scan_fail_at(&scanner, scanner.place, -EFBIG, "this is too long");
	if (document->value_max == 0)
		return scan_fail_at(
		    &scanner, scanner.place, -ENOBUFS, "there are more values than there is room for");
	new_value(&scanner);
	scan_start(&scanner);
	if (dialect == JSON_5 && scanner.character == 0xfeff) {
		/* A byte order mark is nothing that an editor would show as a column. */
		scan_advance(&scanner);
		scanner.place.column = 1;
	}
	scan_space(&scanner);
	parse_value(&scanner, 0);
	scan_space(&scanner);
	if (scanner.result == 0 && scanner.character != SCAN_END)
		scan_fail_expected(&scanner, "the end of the file");
	return scanner.result;
}

/* --- Reading the tape. --- */

const struct json_value *json_root(const struct json_document *document)
{
	return &document->values[0];
}

const struct json_value *json_first(const struct json_document *document, const struct json_value *parent)
{
	if ((parent->type != JSON_ARRAY && parent->type != JSON_OBJECT) || parent->children.first == 0)
		return NULL;
	return &document->values[parent->children.first];
}

const struct json_value *json_next(const struct json_document *document, const struct json_value *value)
{
	return value->next != 0 ? &document->values[value->next] : NULL;
}

const struct json_value *json_find(
    const struct json_document *document, const struct json_value *object, const char *key)
{
	const struct json_value *last = NULL;

	if (object->type != JSON_OBJECT)
		return NULL;
	for (const struct json_value *member = json_first(document, object); member != NULL;
	     member = json_next(document, member))
		if (json_key_is(member, key))
			last = member;
	return last;
}

bool json_key_is(const struct json_value *value, const char *text)
{
	return value->key != NULL && strlen(text) == value->key_length &&
	       memcmp(value->key, text, value->key_length) == 0;
}

bool json_string_is(const struct json_value *value, const char *text)
{
	return value->type == JSON_STRING && strlen(text) == value->string.length &&
	       memcmp(value->string.bytes, text, value->string.length) == 0;
}

const char *json_type_name(enum json_type type)
{
	static const char *const names[] = {
	    "null", "true or false", "a number", "text", "a list", "an object"};

	return names[type];
}
