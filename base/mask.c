#include "base/mask.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

#define KEY_CHARACTERS_MIN 8

struct reader {
	const char *at, *end, *begin;
	struct text text;
};

static bool is_letter_or_digit(char byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_of_name(char byte)
{
	return is_letter_or_digit(byte) || byte == '_' || byte == '-' || byte == '.';
}

static bool is_blank(char byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool is_quote(char byte)
{
	return byte == '"' || byte == '\'' || byte == '`';
}

static bool ends_value(char byte)
{
	return byte == '\0' || is_blank(byte) || is_quote(byte);
}

static const char *end_of_word(const struct reader *reader, const char *at)
{
	const char *stop = memchr(at, '\0', (size_t)(reader->end - at));

	return stop != NULL ? stop : reader->end;
}

static void copy_until(struct reader *reader, const char *stop)
{
	text_add_bytes(&reader->text, reader->at, (size_t)(stop - reader->at));
	reader->at = stop;
}

static void mask_until(struct reader *reader, const char *stop)
{
	if (stop > reader->at)
		text_add(&reader->text, MASK_SHOWN);
	reader->at = stop;
}

/* A quote may itself be escaped, within another pair of quotes. */
static const char *quote_at(const struct reader *reader, const char *at)
{
	while (at < reader->end && *at == '\\')
		at++;
	return at < reader->end && is_quote(*at) ? at : NULL;
}

static void mask_quoted(struct reader *reader, const char *quote)
{
	const char *stop = end_of_word(reader, quote + 1), *closing;

	copy_until(reader, quote + 1);
	closing = memchr(reader->at, *quote, (size_t)(stop - reader->at));
	mask_until(reader, closing != NULL ? closing : stop);
}

/* Masks the value that begins here; one that ends with its word when `whole`, blanks and all. */
static void mask_value(struct reader *reader, bool whole)
{
	const char *quote = quote_at(reader, reader->at), *stop = reader->at;

	if (whole) {
		mask_until(reader, end_of_word(reader, reader->at));
		return;
	}
	if (quote != NULL) {
		mask_quoted(reader, quote);
		return;
	}
	while (stop < reader->end && !ends_value(*stop))
		stop++;
	mask_until(reader, stop);
}

/* Copies what is between a word and the next one, and masks that. The next word is a whole one of its own, or
 * one of several in the same. */
static void mask_next(struct reader *reader)
{
	const char *stop = reader->at;

	while (stop < reader->end && is_blank(*stop))
		stop++;
	if (stop < reader->end && *stop == '\0') {
		copy_until(reader, stop + 1);
		mask_value(reader, true);
	} else {
		copy_until(reader, stop);
		mask_value(reader, false);
	}
}

static bool contains_secret_word(const char *name, size_t length, bool at_end)
{
	static const char *const words[] = {"key", "token", "secret", "password", "passwd", NULL};

	for (const char *const *word = words; *word != NULL; word++) {
		size_t size = strlen(*word);

		for (size_t at = at_end && length >= size ? length - size : 0; at + size <= length; at++)
			if (strncasecmp(name + at, *word, size) == 0)
				return true;
	}
	return false;
}

static bool is_scheme(const char *name, size_t length)
{
	return (length == strlen("Bearer") && strncasecmp(name, "Bearer", length) == 0) ||
	       (length == strlen("Basic") && strncasecmp(name, "Basic", length) == 0);
}

static bool is_api_key(const char *name, size_t length)
{
	return length >= strlen("sk-") + KEY_CHARACTERS_MIN && strncmp(name, "sk-", strlen("sk-")) == 0;
}

/* Where the value of NAME=VALUE, NAME: VALUE or "NAME": "VALUE" begins; NULL: it is none. */
static const char *value_of(const struct reader *reader, const char *name_end)
{
	const char *quote = quote_at(reader, name_end);
	const char *at = quote != NULL ? quote + 1 : name_end;

	while (quote != NULL && at < reader->end && is_blank(*at))
		at++;
	if (at >= reader->end || (*at != '=' && *at != ':'))
		return NULL;
	for (at++; at < reader->end && at[-1] != '=' && is_blank(*at); at++)
		;
	return at;
}

/* A name, an option, a key: what stands between other characters. */
static void read_name(struct reader *reader)
{
	const char *name = reader->at, *stop = name, *value;
	bool begins_word = name == reader->begin || name[-1] == '\0';
	bool is_option = *name == '-';
	size_t length;

	while (stop < reader->end && is_of_name(*stop))
		stop++;
	length = (size_t)(stop - name);
	value = value_of(reader, stop);
	if (is_api_key(name, length)) {
		mask_until(reader, stop);
	} else if (value != NULL && contains_secret_word(name, length, false)) {
		copy_until(reader, value);
		/* "env PASSWORD='two words'" comes as one word that has lost its quotes. */
		mask_value(reader, begins_word && value[-1] == '=');
	} else if (is_scheme(name, length) || (is_option && contains_secret_word(name, length, true))) {
		bool is_followed = stop < reader->end && (is_blank(*stop) || *stop == '\0');

		copy_until(reader, stop);
		if (is_followed)
			mask_next(reader);
	} else {
		copy_until(reader, stop);
	}
}

/* After "://": what stands before an @ and before the path. One that has no end was cut: nobody knows. */
static void read_authority(struct reader *reader)
{
	const char *stop = reader->at, *at_sign = NULL;

	for (; stop < reader->end && !ends_value(*stop) && strchr("/?#", *stop) == NULL; stop++)
		if (*stop == '@')
			at_sign = stop;
	if (at_sign != NULL)
		mask_until(reader, at_sign);
	else if (stop == reader->end)
		mask_until(reader, stop);
}

size_t mask_secrets(const char *words, size_t length, char *target, size_t size)
{
	struct reader reader = {.at = words, .begin = words, .end = words + length};

	text_init(&reader.text, target, size);
	while (reader.at < reader.end && !reader.text.truncated) {
		if (is_of_name(*reader.at)) {
			read_name(&reader);
		} else if (reader.end - reader.at >= 3 && memcmp(reader.at, "://", 3) == 0) {
			copy_until(&reader, reader.at + 3);
			read_authority(&reader);
		} else {
			copy_until(&reader, reader.at + 1);
		}
	}
	return reader.text.length;
}
