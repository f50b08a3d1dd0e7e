/* One parser for JSON5 (json5.org, 1.0.0) and strict JSON (RFC 8259): bytes in, a flat tape of values out.
 *
 * The caller lends all memory; nothing is allocated, and the parser never reads or writes beyond what it was
 * lent. Every value and key knows its line and column (from 1; columns count characters), so that whoever
 * reads settings can say exactly where a bad one stands. */
#ifndef HOLDFAST_FORMAT_JSON5_H
#define HOLDFAST_FORMAT_JSON5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX  64
#define JSON_LENGTH_MAX (64u * 1024 * 1024)
#define JSON_FAULT_MAX  160

/* As much as a document of `length` bytes can ever need. */
#define JSON_VALUES_FOR(length)  ((length) / 2 + JSON_DEPTH_MAX + 2)
#define JSON_STRINGS_FOR(length) ((length) + 2)

enum json_dialect { JSON_STRICT, JSON_5 };

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_place {
	uint32_t line, column;
};

struct json_value {
	enum json_type type;
	struct json_place place, key_place;
	uint32_t start, end; /* the bytes of the source that spell this value */
	uint32_t next;       /* index of the next sibling; 0: none */
	uint32_t key_length;
	const char *key; /* in an object; NUL-terminated, but may hold NULs itself; else NULL */
	union {
		bool boolean;
		double number;
		struct {
			const char *bytes; /* valid UTF-8, NUL-terminated, but may hold NULs itself */
			uint32_t length;
		} string;
		struct {
			uint32_t first; /* index of the first child; 0: none */
			uint32_t count;
		} children;
	};
};

/* The caller fills values, value_max, strings and string_size; all are borrowed, and so are the strings that
 * the values point to. values[0] is the root. */
struct json_document {
	struct json_value *values;
	uint32_t value_max, value_count;
	char *strings;
	size_t string_size, string_used;
};

struct json_fault {
	struct json_place place;
	char text[JSON_FAULT_MAX]; /* e.g. `expected "," or "}", but found "x"` */
};

/* Returns 0; -EBADMSG when it is not such a document; -ENOBUFS when the memory lent is too small; -EFBIG when
 * it is longer than JSON_LENGTH_MAX. *fault is filled on every failure. */
int json_parse(struct json_document *document, const char *bytes, size_t length, enum json_dialect dialect,
    struct json_fault *fault);

const struct json_value *json_root(const struct json_document *document);

/* Children in source order; NULL when there is none (or no more). */
const struct json_value *json_first(const struct json_document *document, const struct json_value *parent);
const struct json_value *json_next(const struct json_document *document, const struct json_value *value);

/* The member of `object` called `key`, or NULL (also when it is no object). Of duplicates the last, as in
 * JavaScript. */
const struct json_value *json_find(
    const struct json_document *document, const struct json_value *object, const char *key);

/* Whether a member's key, or a string value, is `text`. */
bool json_key_is(const struct json_value *value, const char *text);
bool json_string_is(const struct json_value *value, const char *text);

/* "a number", "an object" ... */
const char *json_type_name(enum json_type type);

#endif
