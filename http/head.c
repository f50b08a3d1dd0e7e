#include "http/head.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

struct seen {
	unsigned fields, host, content_length, transfer_encoding;
};

ssize_t http_head_find(const char *bytes, size_t length)
{
	size_t searched = length < HTTP_HEAD_MAX ? length : HTTP_HEAD_MAX;
	const char *line = bytes, *end = bytes + searched;

	/* Line by line is faster than looking for the four bytes. */
	while (line < end && (line = memchr(line, '\n', (size_t)(end - line))) != NULL) {
		if (end - line > 2 && line > bytes && line[-1] == '\r' && line[1] == '\r' && line[2] == '\n')
			return line + 3 - bytes;
		line++;
	}
	return length >= HTTP_HEAD_MAX ? -EMSGSIZE : 0;
}

/* The characters of a token (RFC 9110, 5.6.2). A table, because each byte of each head is asked. */
static const bool token[256] = {
    ['0' ... '9'] = true,
    ['a' ... 'z'] = true,
    ['A' ... 'Z'] = true,
    ['!'] = true,
    ['#'] = true,
    ['$'] = true,
    ['%'] = true,
    ['&'] = true,
    ['\''] = true,
    ['*'] = true,
    ['+'] = true,
    ['-'] = true,
    ['.'] = true,
    ['^'] = true,
    ['_'] = true,
    ['`'] = true,
    ['|'] = true,
    ['~'] = true,
};

/* Text as RFC 9110 allows it in a field value: visible characters, blanks, bytes above ASCII. */
static const bool visible[256] = {
    ['\t'] = true,
    [0x20 ... 0x7e] = true,
    [0x80 ... 0xff] = true,
};

static bool is_text(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!visible[(unsigned char)bytes[i]])
			return false;
	return true;
}

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

static void trim(struct http_field *field)
{
	while (field->value_length > 0 && is_blank(field->value[0])) {
		field->value++;
		field->value_length--;
	}
	while (field->value_length > 0 && is_blank(field->value[field->value_length - 1]))
		field->value_length--;
}

static bool split_field(const char *line, size_t length, struct http_field *field)
{
	size_t at = 0;

	while (at < length && token[(unsigned char)line[at]])
		at++;
	if (at == 0 || at == length || line[at] != ':')
		return false;
	field->name = line;
	field->name_length = at;
	field->value = line + at + 1;
	field->value_length = length - at - 1;
	trim(field);
	return is_text(field->value, field->value_length);
}

bool http_field_is(const struct http_field *field, const char *name, size_t name_length)
{
	if (name_length != field->name_length)
		return false;
	/* Of a token and a name of letters and dashes this is the comparison without regard to case;
	 * strncasecmp() asks the locale for every byte. */
	for (size_t i = 0; i < name_length; i++)
		if ((field->name[i] | 0x20) != (name[i] | 0x20))
			return false;
	return true;
}

unsigned http_head_status(const char *head)
{
	return (unsigned)(head[9] - '0') * 100 + (unsigned)(head[10] - '0') * 10 + (unsigned)(head[11] - '0');
}

bool http_head_next(const char *head, size_t length, size_t *offset, struct http_field *field)
{
	const char *line = head + *offset, *end = head + length, *stop, *colon;

	if (*offset == 0) {
		line = memchr(head, '\n', length);
		if (line == NULL)
			return false;
		line++;
	}
	stop = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;
	if (stop == NULL || stop - line < 2)
		return false;
	colon = memchr(line, ':', (size_t)(stop - line));
	if (colon == NULL || stop[-1] != '\r') /* of a head that was not checked */
		return false;
	*offset = (size_t)(stop + 1 - head);
	*field = (struct http_field){.name = line,
	    .name_length = (size_t)(colon - line),
	    .value = colon + 1,
	    .value_length = (size_t)(stop - colon) - 2,
	    .line = line,
	    .line_length = (size_t)(stop + 1 - line)};
	trim(field);
	return true;
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
	return length > 9 && token[(unsigned char)line[0]] &&
	       (memcmp(line + length - 9, " HTTP/1.1", 9) == 0 ||
	           memcmp(line + length - 9, " HTTP/1.0", 9) == 0);
}

static const char *count_field(struct seen *seen, const struct http_field *field)
{
	if (++seen->fields > HTTP_FIELDS_MAX)
		return "it has too many header fields";
	switch (field->name_length) {
	case 4:
		if (http_field_is(field, "Host", 4) && ++seen->host > 1)
			return "it has two Host fields";
		return NULL;
	case 14:
		if (!http_field_is(field, "Content-Length", 14))
			return NULL;
		if (++seen->content_length > 1)
			return "it has two Content-Length fields";
		if (!is_number(field->value, field->value_length))
			return "its Content-Length is not a number";
		break;
	case 17:
		if (http_field_is(field, "Transfer-Encoding", 17) && ++seen->transfer_encoding > 1)
			return "it has two Transfer-Encoding fields";
		break;
	default:
		return NULL;
	}
	return seen->content_length > 0 && seen->transfer_encoding > 0
	           ? "it has both Content-Length and Transfer-Encoding"
	           : NULL;
}

static const char *find_fault(
    enum http_head_kind kind, const char *head, size_t length, http_field_visitor *visit, void *context)
{
	struct seen seen = {0};
	const char *line = head, *end = head + length;

	while (line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		struct http_field field;
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
		} else if (visit != NULL) {
			field.line = line;
			field.line_length = line_length + 2;
			visit(context, &field);
		}
		line = stop + 1;
	}
	return "it has no end";
}

int http_head_read(enum http_head_kind kind, const char *head, size_t length, http_field_visitor *visit,
    void *context, struct error *why)
{
	const char *fault = find_fault(kind, head, length, visit, context);

	if (fault == NULL)
		return 0;
	return error_set(why, -EBADMSG, "The HTTP %s was refused: %s.",
	    kind == HTTP_HEAD_REQUEST ? "request" : "answer", fault);
}

int http_head_check(enum http_head_kind kind, const char *head, size_t length, struct error *why)
{
	return http_head_read(kind, head, length, NULL, NULL, why);
}

bool http_head_field(
    const char *head, size_t length, const char *name, const char **value, size_t *value_length)
{
	size_t offset = 0, name_length = strlen(name);
	struct http_field field;

	while (http_head_next(head, length, &offset, &field)) {
		if (http_field_is(&field, name, name_length)) {
			*value = field.value;
			*value_length = field.value_length;
			return true;
		}
	}
	return false;
}
