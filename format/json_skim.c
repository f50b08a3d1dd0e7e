#include "format/json_skim.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/json5.h"
#include "format/utf8.h"

#define NUMBER_MAX   64
#define EXACT_DIGITS 15 /* so many are a double without a rounding */
#define NEAR_BYTES   64 /* most strings end sooner than a call to memchr would pay for */

static bool is_space(char byte)
{
	return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static bool is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/* Nothing more can be read. */
static bool stop(struct json_skim *skim, bool cut)
{
	skim->next = skim->end;
	skim->cut = cut;
	skim->broken = !cut;
	return false;
}

/* Whether a byte comes after white space. */
static bool skip_space(struct json_skim *skim)
{
	while (skim->next < skim->end && is_space(*skim->next))
		skim->next++;
	return skim->next < skim->end;
}

/* 0 when none of the eight bytes is `byte`. */
static uint64_t with_byte(uint64_t word, char byte)
{
	uint64_t zero = word ^ 0x0101010101010101u * (unsigned char)byte;

	return (zero - 0x0101010101010101u) & ~zero & 0x8080808080808080u;
}

/* Past what is neither a quote nor a backslash, as far as `near`. */
static const char *skip_ordinary(const char *text, const char *near)
{
	uint64_t word;

	while ((size_t)(near - text) >= sizeof(word)) {
		memcpy(&word, text, sizeof(word));
		if ((with_byte(word, '"') | with_byte(word, '\\')) != 0)
			break;
		text += sizeof(word);
	}
	while (text < near && *text != '"' && *text != '\\')
		text++;
	return text;
}

/* `text` is behind the opening quote. Returns what is behind the closing one, or NULL. */
static const char *string_end(const char *text, const char *end)
{
	const char *from = skip_ordinary(text, (size_t)(end - text) > NEAR_BYTES ? text + NEAR_BYTES : end);

	while (from < end) {
		const char *quote = *from == '"' ? from : memchr(from, '"', (size_t)(end - from)),
		           *before = quote;

		if (quote == NULL)
			return NULL;
		/* No run of backslashes goes beyond a quote: each is counted once. */
		while (before > text && before[-1] == '\\')
			before--;
		if ((quote - before) % 2 == 0)
			return quote + 1;
		from = quote + 1;
	}
	return NULL;
}

/* Returns what is behind the object or array that `text` begins with; NULL when it is cut, or (*broken) no
 * such. */
static const char *nested_end(const char *text, const char *end, bool *broken)
{
	uint64_t kinds = 0; /* the brackets that are open; bit 0: the innermost; 1: an object */
	unsigned depth = 0;

	while (text < end) {
		char byte = *text++;

		if (byte == '"') {
			text = string_end(text, end);
			if (text == NULL)
				return NULL;
		} else if (byte == '{' || byte == '[') {
			*broken = depth++ == JSON_DEPTH_MAX;
			kinds = kinds << 1 | (byte == '{');
		} else if (byte == '}' || byte == ']') {
			*broken = (kinds & 1) != (byte == '}');
			kinds >>= 1;
			depth--;
		}
		if (*broken || depth == 0)
			return *broken ? NULL : text;
	}
	return NULL;
}

/* A number or a word. One that the bytes end with may be longer. */
static const char *plain_end(const char *text, const char *end, bool *broken)
{
	*broken = !is_digit(*text) && *text != '-' && *text != 't' && *text != 'f' && *text != 'n';
	if (*broken)
		return NULL;
	while (text < end && *text != ',' && *text != '}' && *text != ']' && *text != '"' && *text != ':' &&
	       !is_space(*text))
		text++;
	return text < end ? text : NULL;
}

void json_skim_begin(struct json_skim *skim, const char *bytes, size_t length)
{
	*skim = (struct json_skim){.next = bytes, .end = bytes + length};
	if (!skip_space(skim))
		stop(skim, true);
	else if (*skim->next == '{')
		skim->next++;
	else
		stop(skim, false);
}

/* To the next key, past the comma. */
static bool find_member(struct json_skim *skim)
{
	if (skim->ended || skim->cut || skim->broken)
		return false;
	if (!skip_space(skim))
		return stop(skim, true);
	if (*skim->next == '}') {
		skim->next++;
		skim->ended = true;
		return false;
	}
	if (skim->begun) {
		if (*skim->next++ != ',')
			return stop(skim, false);
		if (!skip_space(skim))
			return stop(skim, true);
	}
	skim->begun = true;
	return *skim->next == '"' || stop(skim, false);
}

bool json_skim_key(struct json_skim *skim, struct json_span *key)
{
	const char *end;

	*key = (struct json_span){0};
	if (!find_member(skim))
		return false;
	end = string_end(skim->next + 1, skim->end);
	if (end == NULL)
		return stop(skim, true);
	*key = (struct json_span){skim->next, (size_t)(end - skim->next)};
	skim->next = end;
	if (!skip_space(skim))
		return stop(skim, true);
	if (*skim->next++ != ':')
		return stop(skim, false);
	return skip_space(skim) || stop(skim, true);
}

bool json_skim_value(struct json_skim *skim, struct json_span *value)
{
	const char *begin = skim->next, *end;
	bool broken = false;

	*value = (struct json_span){0};
	if (begin == skim->end)
		return false;
	if (*begin == '"')
		end = string_end(begin + 1, skim->end);
	else if (*begin == '{' || *begin == '[')
		end = nested_end(begin, skim->end, &broken);
	else
		end = plain_end(begin, skim->end, &broken);
	if (broken)
		return stop(skim, false);
	*value = (struct json_span){begin, (size_t)((end != NULL ? end : skim->end) - begin)};
	skim->next = end;
	return end != NULL || stop(skim, true);
}

bool json_skim_next(struct json_skim *skim, struct json_span *key, struct json_span *value)
{
	*value = (struct json_span){0};
	return json_skim_key(skim, key) && json_skim_value(skim, value);
}

void json_skim_into(const struct json_skim *skim, struct json_skim *inner)
{
	json_skim_begin(inner, skim->next, (size_t)(skim->end - skim->next));
}

bool json_skim_is_whole(const struct json_skim *skim)
{
	struct json_skim rest = *skim;

	return skim->ended && !skip_space(&rest);
}

bool json_span_is_string(const struct json_span *span)
{
	return span->length >= 2 && span->bytes[0] == '"' && span->bytes[span->length - 1] == '"';
}

static bool read_hex(const char *text, const char *end, uint32_t *unit)
{
	*unit = 0;
	if (end - text < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char byte = text[i];
		uint32_t digit = is_digit(byte)               ? (uint32_t)(byte - '0')
		                 : byte >= 'a' && byte <= 'f' ? (uint32_t)(byte - 'a' + 10)
		                 : byte >= 'A' && byte <= 'F' ? (uint32_t)(byte - 'A' + 10)
		                                              : 16;

		if (digit == 16)
			return false;
		*unit = *unit << 4 | digit;
	}
	return true;
}

/* `text` is behind \u. Returns how many bytes spell the character; 0: none. */
static size_t read_unit(const char *text, const char *end, uint32_t *character)
{
	uint32_t low;

	if (!read_hex(text, end, character) || (*character >= 0xdc00 && *character <= 0xdfff))
		return 0;
	if (*character < 0xd800 || *character > 0xdbff)
		return 4;
	if (end - text < 10 || text[4] != '\\' || text[5] != 'u' || !read_hex(text + 6, end, &low) ||
	    low < 0xdc00 || low > 0xdfff)
		return 0;
	*character = 0x10000 + ((*character - 0xd800) << 10 | (low - 0xdc00));
	return 10;
}

/* One character as it is spelled within a string. Returns how many bytes spell it; 0: it is not valid. */
static size_t read_character(const char *text, const char *end, uint32_t *character)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *name;
	size_t length;

	if (*text != '\\')
		return (unsigned char)*text < ' ' ? 0 : utf8_decode(text, (size_t)(end - text), character);
	if (end - text < 2)
		return 0;
	if (text[1] == 'u') {
		length = read_unit(text + 2, end, character);
		return length > 0 ? length + 2 : 0;
	}
	name = memchr(names, text[1], sizeof(names) - 1);
	if (name == NULL)
		return 0;
	*character = (uint32_t)values[name - names];
	return 2;
}

bool json_span_is(const struct json_span *span, const char *text)
{
	const char *next, *end;
	size_t length;

	if (!json_span_is_string(span))
		return false;
	next = span->bytes + 1;
	end = span->bytes + span->length - 1;
	/* Most are told apart by their first byte. What is spelled with escapes is longer than what it says.
	 */
	if (next < end && *next != *text && *next != '\\')
		return false;
	length = strlen(text);
	if ((size_t)(end - next) < length)
		return false;
	if ((size_t)(end - next) == length)
		return memcmp(next, text, length) == 0 && memchr(text, '\\', length) == NULL;
	if (memchr(next, '\\', (size_t)(end - next)) == NULL)
		return false;
	while (next < end) {
		char bytes[UTF8_MAX];
		uint32_t character;
		size_t spelled = read_character(next, end, &character), wanted;

		if (spelled == 0)
			return false;
		wanted = utf8_encode(character, bytes);
		if (strnlen(text, wanted) < wanted || memcmp(text, bytes, wanted) != 0)
			return false;
		text += wanted;
		next += spelled;
	}
	return *text == '\0';
}

bool json_span_spells(const struct json_span *span, const char *word)
{
	size_t length = strlen(word);

	return span->bytes != NULL && span->length == length && memcmp(span->bytes, word, length) == 0;
}

static bool is_control(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character <= 0x9f);
}

/* Copies what is spelled as it is, in ASCII, from the beginning of a string. Returns how many bytes that
 * were. */
static size_t copy_plain(const char *text, size_t length, char *target)
{
	size_t i = 0;

	for (; i < length && text[i] >= ' ' && text[i] < 0x7f && text[i] != '\\'; i++)
		target[i] = text[i];
	return i;
}

bool json_span_text(const struct json_span *span, char *target, size_t target_size)
{
	const char *next, *end;
	size_t used = 0;

	target[0] = '\0';
	if (!json_span_is_string(span))
		return false;
	next = span->bytes + 1;
	end = span->bytes + span->length - 1;
	used = copy_plain(
	    next, (size_t)(end - next) < target_size ? (size_t)(end - next) : target_size - 1, target);
	next += used;
	while (next < end) {
		char bytes[UTF8_MAX];
		uint32_t character = 0;
		size_t spelled = read_character(next, end, &character), wanted;

		if (spelled == 0 || is_control(character))
			break;
		wanted = utf8_encode(character, bytes);
		if (wanted >= target_size - used)
			break;
		memcpy(target + used, bytes, wanted);
		used += wanted;
		next += spelled;
	}
	target[next < end ? 0 : used] = '\0';
	return next == end;
}

bool json_span_rough_text(const struct json_span *span, char *target, size_t target_size)
{
	const char *next, *end;
	size_t used = 0;

	target[0] = '\0';
	if (!json_span_is_string(span))
		return false;
	next = span->bytes + 1;
	end = span->bytes + span->length - 1;
	while (next < end) {
		char bytes[UTF8_MAX] = {JSON_ROUGH};
		uint32_t character = 0;
		size_t spelled = read_character(next, end, &character), wanted = 1;

		if (spelled > 0 && !is_control(character))
			wanted = utf8_encode(character, bytes);
		if (wanted >= target_size - used)
			break;
		memcpy(target + used, bytes, wanted);
		used += wanted;
		next += spelled > 0 ? spelled : 1;
	}
	target[used] = '\0';
	return next == end;
}

static const char *skip_digits(const char *text)
{
	while (is_digit(*text))
		text++;
	return text;
}

/* As RFC 8259 has it; strtod() does the sum. */
static bool is_number(const char *text)
{
	const char *digits = text += *text == '-';

	text = skip_digits(text);
	if (text == digits || (*digits == '0' && text - digits > 1))
		return false;
	if (*text == '.') {
		digits = text + 1;
		text = skip_digits(digits);
		if (text == digits)
			return false;
	}
	if (*text == 'e' || *text == 'E') {
		digits = text + 1 + (text[1] == '+' || text[1] == '-');
		text = skip_digits(digits);
		if (text == digits)
			return false;
	}
	return *text == '\0';
}

bool json_span_number(const struct json_span *span, double *number)
{
	char text[NUMBER_MAX];
	int64_t whole = 0;
	size_t i = 0;

	*number = 0;
	if (span->length == 0 || span->length >= sizeof(text))
		return false;
	while (i < span->length && i < EXACT_DIGITS && is_digit(span->bytes[i]))
		whole = whole * 10 + (span->bytes[i++] - '0');
	if (i == span->length && (i == 1 || span->bytes[0] != '0')) {
		*number = (double)whole;
		return true;
	}
	memcpy(text, span->bytes, span->length);
	text[span->length] = '\0';
	if (strlen(text) != span->length || !is_number(text))
		return false;
	*number = strtod(text, NULL);
	return true;
}
