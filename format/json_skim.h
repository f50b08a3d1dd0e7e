/* The members of one JSON object, read where they lie: what is not asked for is skipped, not parsed. For
 * streams of which only a few members of each document matter.
 *
 * Nothing is allocated and nothing is read beyond the bytes lent; any document costs time linear in its
 * length. What is skipped is not checked: a document that json_parse() accepts has the same members here, but
 * not the other way round. Of duplicates each comes; the caller chooses.
 *
 *   json_skim_begin(&skim, bytes, length);
 *   while (json_skim_next(&skim, &key, &value))
 *           if (json_span_is(&key, "name")) ...
 *   if (!json_skim_is_whole(&skim)) ... */
#ifndef HOLDFAST_FORMAT_JSON_SKIM_H
#define HOLDFAST_FORMAT_JSON_SKIM_H

#include <stdbool.h>
#include <stddef.h>

/* A key or a value as it is spelled, strings with their quotes. The first byte tells the type. */
struct json_span {
	const char *bytes; /* borrowed; NULL: none */
	size_t length;
};

struct json_skim {
	const char *next, *end; /* `next`: behind the object once it has `ended` */
	bool begun;             /* a member was read: a comma comes before the next */
	bool ended;             /* its closing brace was read */
	bool cut;               /* the bytes ended before the object did */
	bool broken;            /* it is no JSON object */
};

/* Borrows `bytes`. */
void json_skim_begin(struct json_skim *skim, const char *bytes, size_t length);

/* The next member. Returns false when there is none: see `ended`, `cut` and `broken`. Of a value that is cut,
 * *value holds what there is of it, and its key was read; else *value is empty. */
bool json_skim_next(struct json_skim *skim, struct json_span *key, struct json_span *value);

/* The same in two steps: each key is followed by its value, or by json_skim_into(). */
bool json_skim_key(struct json_skim *skim, struct json_span *key);
bool json_skim_value(struct json_skim *skim, struct json_span *value);

/* Begins to read the object that is the value to come, which need not be skipped first. *skim is of no use
 * then. */
void json_skim_into(const struct json_skim *skim, struct json_skim *inner);

/* Whether the object has ended, and nothing but white space follows it. */
bool json_skim_is_whole(const struct json_skim *skim);

bool json_span_is_string(const struct json_span *span);

/* Whether it is the string `text`, however it is spelled. */
bool json_span_is(const struct json_span *span, const char *text);

/* Whether it is spelled so: for `true`, `false`, `null`, and for spans of one writer. */
bool json_span_spells(const struct json_span *span, const char *word);

/* The string, NUL-terminated. Returns false, and "" in `target`, when it is no string, does not fit, is not
 * valid, or holds a control character (C0, DEL, C1). */
bool json_span_text(const struct json_span *span, char *target, size_t target_size);

#define JSON_ROUGH '\x1a'

/* The string for who reads more in it than it was made for: each control character and whatever is not valid
 * becomes JSON_ROUGH, which is in no text that json_span_text() gives. Returns false, and what fits, when it
 * does not fit; false, and "", when it is no string. */
bool json_span_rough_text(const struct json_span *span, char *target, size_t target_size);

/* A number that JSON could have (RFC 8259), of at most 63 characters. */
bool json_span_number(const struct json_span *span, double *number);

#endif
