/* The quoted texts and unquoted keys of JSON5. */
#include "format/json5_scan.h"

#include <string.h>

#include "format/utf8.h"

/* --- Strings. --- */

static void put_byte(struct scanner *scanner, char byte)
{
	struct json_document *document = scanner->document;

	if (document->string_used == document->string_size)
		scan_fail_at(scanner, scanner->place, -ENOBUFS, "there is more text than there is room for");
	else
		document->strings[document->string_used++] = byte;
}

static void put_encoded(struct scanner *scanner, uint32_t character)
{
	char bytes[UTF8_MAX];
	size_t size = utf8_encode(character, bytes);

	for (size_t i = 0; i < size; i++)
		put_byte(scanner, bytes[i]);
}

/* Escapes spell UTF-16: two halves make one character, and half of one alone becomes U+FFFD. */
static void put_character(struct scanner *scanner, uint32_t character)
{
	uint32_t high = scanner->high_surrogate;

	scanner->high_surrogate = 0;
	if (high != 0 && character >= 0xdc00 && character <= 0xdfff) {
		put_encoded(scanner, 0x10000 + ((high - 0xd800) << 10) + (character - 0xdc00));
		return;
	}
	if (high != 0)
		put_encoded(scanner, UTF8_REPLACEMENT);
	if (character >= 0xd800 && character <= 0xdbff)
		scanner->high_surrogate = character;
	else
		put_encoded(scanner, character);
}

static void put_end(struct scanner *scanner)
{
	if (scanner->high_surrogate != 0)
		put_encoded(scanner, UTF8_REPLACEMENT);
	scanner->high_surrogate = 0;
}

static int read_simple_escape(struct scanner *scanner, struct json_place start)
{
	static const char names[] = "bfnrtv", meanings[] = "\b\f\n\r\t\v";
	uint32_t escaped = scanner->character;
	const char *known = escaped != 0 && escaped < 0x80 ? strchr(names, (int)escaped) : NULL;
	bool is_quote = escaped == '"' || escaped == '\\' || escaped == '/';

	if (escaped == SCAN_END)
		return scan_fail(scanner, "this text is never closed");
	if (scanner->dialect == JSON_STRICT && !is_quote && (known == NULL || escaped == 'v'))
		return scan_fail_at(scanner, start, -EBADMSG, "no such escape in JSON");
	if (escaped >= '1' && escaped <= '9')
		return scan_fail_at(scanner, start, -EBADMSG, "\"\\%c\" is no escape", (char)escaped);
	scan_advance(scanner);
	if (escaped == '0') {
		if (scan_is_digit(scanner->character))
			return scan_fail_at(
			    scanner, start, -EBADMSG, "\"\\0\" cannot be followed by a digit");
		put_character(scanner, 0);
	} else if (escaped == '\r') {
		scan_accept(scanner, '\n'); /* a line continued */
	} else if (!scan_is_line_end(escaped)) {
		put_character(scanner, known != NULL ? (uint32_t)meanings[known - names] : escaped);
	}
	return scanner->result;
}

static int read_escape(struct scanner *scanner)
{
	struct json_place start = scanner->place;
	uint32_t character = 0;

	scan_advance(scanner);
	if (scan_accept(scanner, 'u'))
		scan_hex(scanner, 4, &character);
	else if (scanner->dialect == JSON_5 && scan_accept(scanner, 'x'))
		scan_hex(scanner, 2, &character);
	else
		return read_simple_escape(scanner, start);
	if (scanner->result == 0)
		put_character(scanner, character);
	return scanner->result;
}

/* The current character is the opening quote. */
int scan_string(struct scanner *scanner, const char **bytes, uint32_t *length)
{
	struct json_document *document = scanner->document;
	struct json_place start = scanner->place;
	uint32_t quote = scanner->character;
	size_t first = document->string_used;

	scan_advance(scanner);
	while (scanner->result == 0 && !scan_accept(scanner, quote)) {
		if (scanner->character == SCAN_END || scanner->character == '\n' ||
		    scanner->character == '\r')
			return scan_fail_at(scanner, start, -EBADMSG, "this text is never closed");
		if (scanner->dialect == JSON_STRICT && scanner->character < 0x20)
			return scan_fail(scanner, "a control character must be escaped");
		if (scanner->character == '\\') {
			read_escape(scanner);
		} else {
			put_character(scanner, scanner->character);
			scan_advance(scanner);
		}
	}
	put_end(scanner);
	*bytes = document->strings + first;
	*length = (uint32_t)(document->string_used - first);
	put_byte(scanner, '\0');
	return scanner->result;
}

/* --- Keys. --- */

/* JSON5 wants Unicode's letters; any character but spaces, controls and punctuation will do, without a table
 * of them all: what JSON5 allows is allowed. */
static bool is_identifier(uint32_t character, bool first)
{
	if (character < 0x80)
		return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
		       character == '$' || character == '_' || (!first && scan_is_digit(character));
	if (character < 0xc0)
		return character == 0xaa || character == 0xb5 || character == 0xba ||
		       (character == 0xb7 && !first);
	if (character >= 0xd800 && character <= 0xdfff)
		return false;
	if (character >= 0x2000 && character <= 0x206f)
		return !first && (character == 0x200c || character == 0x200d || character == 0x203f ||
		                     character == 0x2040 || character == 0x2054);
	return character != 0xd7 && character != 0xf7 && character != 0x1680 && character != 0xfeff &&
	       character <= 0x10ffff && (character < 0x3000 || character > 0x3004) &&
	       (character < 0x3008 || character > 0x3020);
}

int scan_identifier(struct scanner *scanner, const char **bytes, uint32_t *length)
{
	struct json_document *document = scanner->document;
	size_t first = document->string_used;

	for (;;) {
		struct json_place start = scanner->place;
		uint32_t character = scanner->character;

		if (character == '\\') {
			scan_advance(scanner);
			if (!scan_accept(scanner, 'u'))
				return scan_fail_at(
				    scanner, start, -EBADMSG, "expected a key, but found \"\\\"");
			if (scan_hex(scanner, 4, &character) < 0)
				return scanner->result;
			if (!is_identifier(character, document->string_used == first))
				return scan_fail_at(
				    scanner, start, -EBADMSG, "a key with this character must be in quotes");
		} else if (is_identifier(character, document->string_used == first)) {
			scan_advance(scanner);
		} else {
			break;
		}
		put_character(scanner, character);
		if (scanner->result < 0)
			return scanner->result;
	}
	if (document->string_used == first)
		return scan_fail_expected(scanner, "a key or \"}\"");
	*bytes = document->strings + first;
	*length = (uint32_t)(document->string_used - first);
	put_byte(scanner, '\0');
	return scanner->result;
}
