/* Small changes to a JSON5 document that leave every other byte as it is: comments, order, blanks, commas.
 *
 * Pure: the source and its parsed values come in, the changed source goes out. Each change takes a document
 * that was parsed from these very bytes; for the next one the result is parsed anew. What is spelled by the
 * caller (`spelling`, `member`) is JSON5 without comments, on one line.
 *
 * All append to `out` and return 0; -EINVAL when the value is not what it must be, or not of this document;
 * -ENOBUFS when `out` was too small: then it is of no use. */
#ifndef HOLDFAST_FORMAT_JSON5_EDIT_H
#define HOLDFAST_FORMAT_JSON5_EDIT_H

#include "base/text.h"
#include "format/json5.h"

/* At most so many bytes more than before, besides the member's own. */
#define JSON_EDIT_ADDED_MAX(length) ((length) + 64)

struct json_source {
	const char *bytes;
	size_t length;
	const struct json_document *document;
};

/* `value` is spelled anew. */
int json_edit_replace(
    const struct json_source *source, const struct json_value *value, const char *spelling, struct text *out);

/* `object` gets another member behind its last one: `member` is "key: value". It stands on a line of its own
 * where the others do, as deep as they, with a comma behind it where the last one had one. */
int json_edit_insert(
    const struct json_source *source, const struct json_value *object, const char *member, struct text *out);

/* `member` is taken out of `object`, with its comma. What was inserted into an object that had members before
 * leaves no trace. */
int json_edit_remove(const struct json_source *source, const struct json_value *object,
    const struct json_value *member, struct text *out);

/* Whether keys are quoted in this document, as in all strict JSON: so is its first one. */
bool json_edit_quotes_keys(const struct json_source *source);

/* Where the key of a member begins, and where it and its value end. Returns false when it is no member of
 * `object`. */
bool json_edit_span(const struct json_source *source, const struct json_value *object,
    const struct json_value *member, uint32_t *start, uint32_t *end);

#endif
