#include "format/json5_scan.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/utf8.h"

int scan_fail_at(struct scanner *scanner, struct json_place place, int code, const char *format, ...)
{
	va_list arguments;

	if (scanner->result < 0)
		return scanner->result;
	scanner->result = code;
	scanner->fault->place = place;
	va_start(arguments, format);
	vsnprintf(scanner->fault->text, sizeof(scanner->fault->text), format, arguments);
	va_end(arguments);
	return code;
}

/* How the current character is called in a fault. */
static const char *found(const struct scanner *scanner, char name[16])
{
	if (scanner->character == SCAN_END)
		return "the end of the file";
	if (scanner->character == '\n' || scanner->character == '\r')
		return "the end of the line";
	if (scanner->character < 0x20 || (scanner->character >= 0x7f && scanner->character < 0xa1))
		snprintf(name, 16, "U+%04X", (unsigned)scanner->character);
	else if (scanner->character == '"')
		snprintf(name, 16, "'\"'");
	else
		snprintf(name, 16, "\"%.*s\"", (int)scanner->size, scanner->bytes + scanner->offset);
	return name;
}

int scan_fail_expected(struct scanner *scanner, const char *expected)
{
	char name[16];

	return scan_fail(scanner, "expected %s, but found %s", expected, found(scanner, name));
}

/* --- Reading characters. --- */

void scan_start(struct scanner *scanner)
{
	scanner->size = 0;
	if (scanner->offset == scanner->length || scanner->result < 0) {
		scanner->character = SCAN_END;
		return;
	}
	scanner->size = utf8_decode(
	    scanner->bytes + scanner->offset, scanner->length - scanner->offset, &scanner->character);
	if (scanner->size == 0) {
		scan_fail(scanner, "the byte 0x%02X is not valid UTF-8",
		    (unsigned char)scanner->bytes[scanner->offset]);
		scanner->character = SCAN_END;
	}
}

void scan_advance(struct scanner *scanner)
{
	uint32_t left = scanner->character;

	scanner->offset += scanner->size;
	/* CR LF is one line's end: the CR is but a column. */
	if (left == '\n' || (left == '\r' && (scanner->offset == scanner->length ||
	                                         scanner->bytes[scanner->offset] != '\n'))) {
		scanner->place.line++;
		scanner->place.column = 1;
	} else {
		scanner->place.column++;
	}
	scan_start(scanner);
}

bool scan_accept(struct scanner *scanner, uint32_t character)
{
	if (scanner->character != character)
		return false;
	scan_advance(scanner);
	return true;
}

bool scan_is_line_end(uint32_t character)
{
	return character == '\n' || character == '\r' || character == 0x2028 || character == 0x2029;
}

bool scan_is_digit(uint32_t character)
{
	return character >= '0' && character <= '9';
}

static int scan_hex_digit(uint32_t character)
{
	if (scan_is_digit(character))
		return (int)character - '0';
	character |= 0x20;
	return character >= 'a' && character <= 'f' ? (int)character - 'a' + 10 : -1;
}

static bool is_space(const struct scanner *scanner, uint32_t character)
{
	if (character == ' ' || character == '\t' || character == '\n' || character == '\r')
		return true;
	if (scanner->dialect == JSON_STRICT)
		return false;
	return character == '\v' || character == '\f' || character == 0xa0 || character == 0xfeff ||
	       character == 0x1680 || (character >= 0x2000 && character <= 0x200a) || character == 0x2028 ||
	       character == 0x2029 || character == 0x202f || character == 0x205f || character == 0x3000;
}

static int skip_comment(struct scanner *scanner)
{
	struct json_place start = scanner->place;

	scan_advance(scanner);
	if (scan_accept(scanner, '/')) {
		while (scanner->character != SCAN_END && !scan_is_line_end(scanner->character))
			scan_advance(scanner);
		return scanner->result;
	}
	if (!scan_accept(scanner, '*'))
		return scan_fail_at(scanner, start, -EBADMSG, "a comment begins with \"//\" or \"/*\"");
	for (;;) {
		if (scanner->character == SCAN_END)
			return scan_fail_at(scanner, start, -EBADMSG, "this comment is never closed");
		if (scan_accept(scanner, '*')) {
			if (scan_accept(scanner, '/'))
				return scanner->result;
		} else {
			scan_advance(scanner);
		}
	}
}

int scan_space(struct scanner *scanner)
{
	for (;;) {
		if (is_space(scanner, scanner->character))
			scan_advance(scanner);
		else if (scanner->dialect == JSON_5 && scanner->character == '/')
			skip_comment(scanner);
		else
			return scanner->result;
	}
}

int scan_hex(struct scanner *scanner, int digits, uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < digits; i++) {
		int digit = scan_hex_digit(scanner->character);

		if (digit < 0)
			return scan_fail_expected(
			    scanner, digits == 2 ? "two hexadecimal digits" : "four hexadecimal digits");
		*value = *value << 4 | (uint32_t)digit;
		scan_advance(scanner);
	}
	return scanner->result;
}

/* --- Numbers and words. --- */

static size_t skip_digits(struct scanner *scanner)
{
	size_t count = 0;

	while (scan_is_digit(scanner->character)) {
		scan_advance(scanner);
		count++;
	}
	return count;
}

static int skip_hex_digits(struct scanner *scanner)
{
	scan_advance(scanner);
	if (scan_hex_digit(scanner->character) < 0)
		return scan_fail_expected(scanner, "a hexadecimal digit");
	while (scan_hex_digit(scanner->character) >= 0)
		scan_advance(scanner);
	return scanner->result;
}

/* Checks the spelling of a number without its sign; strtod does the sum. */
static int skip_number(struct scanner *scanner)
{
	bool relaxed = scanner->dialect == JSON_5;
	bool zero = scanner->character == '0';
	size_t whole = zero ? 1 : skip_digits(scanner);

	if (zero) {
		scan_advance(scanner);
		if (relaxed && (scanner->character == 'x' || scanner->character == 'X'))
			return skip_hex_digits(scanner);
		if (scan_is_digit(scanner->character))
			return scan_fail(scanner, "a number cannot begin with 0");
	}
	if (scanner->character == '.' && (relaxed || whole > 0)) {
		scan_advance(scanner);
		if (skip_digits(scanner) == 0 && (!relaxed || whole == 0))
			return scan_fail_expected(scanner, "a digit");
	} else if (whole == 0) {
		return scan_fail_expected(scanner, "a digit");
	}
	if (scanner->character == 'e' || scanner->character == 'E') {
		scan_advance(scanner);
		if (scanner->character == '+' || scanner->character == '-')
			scan_advance(scanner);
		if (skip_digits(scanner) == 0)
			return scan_fail_expected(scanner, "a digit");
	}
	return scanner->result;
}

bool scan_word(struct scanner *scanner, const char *word)
{
	size_t length = strlen(word);

	if (scanner->length - scanner->offset < length ||
	    memcmp(scanner->bytes + scanner->offset, word, length) != 0)
		return false;
	while (length-- > 0)
		scan_advance(scanner);
	return true;
}

int scan_number(struct scanner *scanner, struct json_value *value)
{
	bool negative = scanner->character == '-';
	size_t start, length, room;
	char *scratch;

	if (negative || (scanner->dialect == JSON_5 && scanner->character == '+'))
		scan_advance(scanner);
	value->type = JSON_NUMBER;
	if (scanner->dialect == JSON_5 && scan_word(scanner, "Infinity")) {
		value->number = negative ? -INFINITY : INFINITY;
		return scanner->result;
	}
	if (scanner->dialect == JSON_5 && scan_word(scanner, "NaN")) {
		value->number = NAN;
		return scanner->result;
	}
	start = scanner->offset;
	if (skip_number(scanner) < 0)
		return scanner->result;
	/* strtod wants a NUL behind the digits: the unused strings are room enough to put one. */
	length = scanner->offset - start;
	room = scanner->document->string_size - scanner->document->string_used;
	if (room <= length)
		return scan_fail_at(
		    scanner, scanner->place, -ENOBUFS, "there is more text than there is room for");
	scratch = scanner->document->strings + scanner->document->string_used;
	memcpy(scratch, scanner->bytes + start, length);
	scratch[length] = '\0';
	value->number = strtod(scratch, NULL);
	if (negative)
		value->number = -value->number;
	return 0;
}
