#include "http/head.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* One field line, cut at its colon; the value without the blanks around it. */
struct field {
	const char *name, *value;
	size_t name_length, value_length;
};

struct seen {
	unsigned fields, host, content_length, transfer_encoding;
};

ssize_t http_head_find(const char *bytes, size_t length)
{
	size_t searched = length < HTTP_HEAD_MAX ? length : HTTP_HEAD_MAX;
	const char *end = memmem(bytes, searched, "\r\n\r\n", 4);

	if (end != NULL)
		return end + 4 - bytes;
	return length >= HTTP_HEAD_MAX ? -EMSGSIZE : 0;
}

static bool is_token(unsigned char byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

/* Text as RFC 9110 allows it in a field value: visible characters, blanks, bytes above ASCII. */
static bool is_text(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
			return false;
	}
	return true;
}

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

static bool split_field(const char *line, size_t length, struct field *field)
{
	const char *colon = memchr(line, ':', length);

	if (colon == NULL || colon == line)
		return false;
	field->name = line;
	field->name_length = (size_t)(colon - line);
	for (size_t i = 0; i < field->name_length; i++)
		if (!is_token((unsigned char)line[i]))
			return false;
	field->value = colon + 1;
	field->value_length = length - field->name_length - 1;
	while (field->value_length > 0 && is_blank(field->value[0])) {
		field->value++;
		field->value_length--;
	}
	while (field->value_length > 0 && is_blank(field->value[field->value_length - 1]))
		field->value_length--;
	return is_text(field->value, field->value_length);
}

static bool is_named(const struct field *field, const char *name)
{
	return strlen(name) == field->name_length && strncasecmp(field->name, name, field->name_length) == 0;
}

static bool is_number(const char *digits, size_t length)
{
	if (length == 0 || length > 18)
		return false;
	for (size_t i = 0; i < length; i++)
		if (digits[i] < '0' || digits[i] > '9')
			return false;
	return true;
}

/* Both kinds of first line in outline; llhttp reads what is in it. */
static bool is_first_line(enum http_head_kind kind, const char *line, size_t length)
{
	if (!is_text(line, length) || memchr(line, '\t', length) != NULL)
		return false;
	if (kind == HTTP_HEAD_RESPONSE)
		return length >= 12 &&
		       (memcmp(line, "HTTP/1.1 ", 9) == 0 || memcmp(line, "HTTP/1.0 ", 9) == 0) &&
		       is_number(line + 9, 3) && (length == 12 || line[12] == ' ');
	return length > 9 && is_token((unsigned char)line[0]) &&
	       (memcmp(line + length - 9, " HTTP/1.1", 9) == 0 ||
	           memcmp(line + length - 9, " HTTP/1.0", 9) == 0);
}

static const char *count_field(struct seen *seen, const struct field *field)
{
	if (++seen->fields > HTTP_FIELDS_MAX)
		return "it has too many header fields";
	if (is_named(field, "Host") && ++seen->host > 1)
		return "it has two Host fields";
	if (is_named(field, "Transfer-Encoding") && ++seen->transfer_encoding > 1)
		return "it has two Transfer-Encoding fields";
	if (is_named(field, "Content-Length")) {
		if (++seen->content_length > 1)
			return "it has two Content-Length fields";
		if (!is_number(field->value, field->value_length))
			return "its Content-Length is not a number";
	}
	if (seen->content_length > 0 && seen->transfer_encoding > 0)
		return "it has both Content-Length and Transfer-Encoding";
	return NULL;
}

static const char *find_fault(enum http_head_kind kind, const char *head, size_t length)
{
	struct seen seen = {0};
	const char *line = head, *end = head + length;

	while (line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		struct field field;
		const char *fault;
		size_t line_length;

		if (stop == NULL || stop == line || stop[-1] != '\r')
			return "a line does not end in CR LF";
		line_length = (size_t)(stop - line) - 1;
		if (line == head) {
			if (!is_first_line(kind, line, line_length))
				return "its first line is not HTTP/1.1";
		} else if (line_length == 0) {
			if (stop + 1 != end)
				return "something follows its end";
			return kind == HTTP_HEAD_REQUEST && seen.host == 0 ? "it has no Host field" : NULL;
		} else if (is_blank(*line)) {
			return "a line is folded";
		} else if (!split_field(line, line_length, &field)) {
			return "a header field is malformed";
		} else if ((fault = count_field(&seen, &field)) != NULL) {
			return fault;
		}
		line = stop + 1;
	}
	return "it has no end";
}

int http_head_check(enum http_head_kind kind, const char *head, size_t length, struct error *why)
{
	const char *fault = find_fault(kind, head, length);

	if (fault == NULL)
		return 0;
	return error_set(why, -EBADMSG, "The HTTP %s was refused: %s.",
	    kind == HTTP_HEAD_REQUEST ? "request" : "answer", fault);
}

bool http_head_field(
    const char *head, size_t length, const char *name, const char **value, size_t *value_length)
{
	const char *line = memchr(head, '\n', length), *end = head + length;

	while (line != NULL && ++line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		struct field field;

		if (stop == NULL || stop - line < 2)
			return false;
		if (split_field(line, (size_t)(stop - line) - 1, &field) && is_named(&field, name)) {
			*value = field.value;
			*value_length = field.value_length;
			return true;
		}
		line = stop;
	}
	return false;
}
