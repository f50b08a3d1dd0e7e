#include "http/body.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "http/head.h"

/* Where in a chunked body the next byte stands. */
enum { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_LINE, TRAILER_LF, LAST_LF };

static void begin(struct http_body *body, enum http_body_kind kind, uint64_t left)
{
	*body = (struct http_body){.kind = kind, .left = left, .state = SIZE};
	body->ended = kind == HTTP_BODY_NONE || (kind == HTTP_BODY_LENGTH && left == 0);
}

/* A checked head's Content-Length has digits only, 18 at most. */
static uint64_t number(const char *digits, size_t length)
{
	uint64_t value = 0;

	for (size_t i = 0; i < length; i++)
		value = value * 10 + (uint64_t)(digits[i] - '0');
	return value;
}

void http_framing_note(struct http_framing *framing, const struct http_field *field)
{
	if (field->name_length == 14 && http_field_is(field, "content-length", 14)) {
		framing->has_length = true;
		framing->length = number(field->value, field->value_length);
	} else if (field->name_length == 17 && http_field_is(field, "transfer-encoding", 17)) {
		framing->has_coding = true;
		framing->is_chunked =
		    field->value_length == 7 && strncasecmp(field->value, "chunked", 7) == 0;
	}
}

int http_body_of_framing(struct http_body *body, const struct http_framing *framing)
{
	if (framing->has_coding && !framing->is_chunked)
		return -EBADMSG;
	if (framing->has_coding)
		begin(body, HTTP_BODY_CHUNKED, 0);
	else if (framing->has_length)
		begin(body, HTTP_BODY_LENGTH, framing->length);
	else
		begin(body, HTTP_BODY_NONE, 0);
	return 0;
}

int http_body_of_answer_framing(
    struct http_body *body, const struct http_framing *framing, unsigned status, bool without)
{
	int result = http_body_of_framing(body, framing);

	if (result < 0)
		return result;
	if (without || status < 200 || status == 204 || status == 304)
		begin(body, HTTP_BODY_NONE, 0);
	else if (!framing->has_coding && !framing->has_length)
		begin(body, HTTP_BODY_UNTIL_CLOSE, 0);
	return 0;
}

static struct http_framing framing_of(const char *head, size_t length)
{
	struct http_framing framing = {0};
	struct http_field field;
	size_t offset = 0;

	while (http_head_next(head, length, &offset, &field))
		http_framing_note(&framing, &field);
	return framing;
}

int http_body_of_request(struct http_body *body, const char *head, size_t length)
{
	const struct http_framing framing = framing_of(head, length);

	return http_body_of_framing(body, &framing);
}

int http_body_of_answer(
    struct http_body *body, unsigned status, bool without, const char *head, size_t length)
{
	const struct http_framing framing = framing_of(head, length);

	return http_body_of_answer_framing(body, &framing, status, without);
}

static int digit(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if (byte >= 'a' && byte <= 'f')
		return byte - 'a' + 10;
	if (byte >= 'A' && byte <= 'F')
		return byte - 'A' + 10;
	return -1;
}

static int size_byte(struct http_body *body, char byte)
{
	int value = digit(byte);

	if (value >= 0) {
		if (++body->digits > 15)
			return -EBADMSG;
		body->left = body->left * 16 + (uint64_t)value;
		return 0;
	}
	if (body->digits == 0 || (byte != '\r' && byte != ';'))
		return -EBADMSG;
	body->passed = 0;
	body->state = byte == '\r' ? SIZE_LF : EXTENSION;
	return 0;
}

/* A byte that only has to be there. */
static int expect(struct http_body *body, char byte, char expected, int next)
{
	if (byte != expected)
		return -EBADMSG;
	body->state = next;
	return 0;
}

/* A byte of the lines around the data. */
static int line_byte(struct http_body *body, char byte)
{
	switch (body->state) {
	case SIZE:
		return size_byte(body, byte);
	case EXTENSION:
		if (byte == '\r')
			return expect(body, byte, '\r', SIZE_LF);
		return byte == '\n' || byte == '\0' || ++body->passed > HTTP_EXTENSION_MAX ? -EBADMSG : 0;
	case SIZE_LF:
		body->digits = 0;
		return expect(body, byte, '\n', body->left == 0 ? TRAILER : DATA);
	case DATA_CR:
		return expect(body, byte, '\r', DATA_LF);
	case DATA_LF:
		return expect(body, byte, '\n', SIZE);
	case TRAILER:
		body->state = byte == '\r' ? LAST_LF : TRAILER_LINE;
		return byte == '\n' || byte == '\0' || ++body->passed > HTTP_TRAILER_MAX ? -EBADMSG : 0;
	case TRAILER_LINE:
		if (byte == '\r')
			return expect(body, byte, '\r', TRAILER_LF);
		return byte == '\n' || byte == '\0' || ++body->passed > HTTP_TRAILER_MAX ? -EBADMSG : 0;
	case TRAILER_LF:
		return expect(body, byte, '\n', TRAILER);
	default: /* LAST_LF */
		body->ended = byte == '\n';
		return body->ended ? 0 : -EBADMSG;
	}
}

static size_t take_data(
    struct http_body *body, const char *bytes, size_t length, const char **data, size_t *data_length)
{
	*data = bytes;
	*data_length = length < body->left ? length : (size_t)body->left;
	body->left -= *data_length;
	return *data_length;
}

static ssize_t take_chunked(
    struct http_body *body, const char *bytes, size_t length, const char **data, size_t *data_length)
{
	size_t used = 0;

	while (used < length && !body->ended) {
		if (body->state == DATA) {
			used += take_data(body, bytes + used, length - used, data, data_length);
			if (body->left == 0)
				body->state = DATA_CR;
			return (ssize_t)used;
		}
		if (line_byte(body, bytes[used++]) < 0)
			return -EBADMSG;
	}
	return (ssize_t)used;
}

ssize_t http_body_take(
    struct http_body *body, const char *bytes, size_t length, const char **data, size_t *data_length)
{
	size_t used;

	*data_length = 0;
	*data = bytes;
	if (body->ended)
		return 0;
	if (body->kind == HTTP_BODY_CHUNKED)
		return take_chunked(body, bytes, length, data, data_length);
	if (body->kind == HTTP_BODY_UNTIL_CLOSE) {
		*data_length = length;
		return (ssize_t)length;
	}
	used = take_data(body, bytes, length, data, data_length);
	body->ended = body->left == 0;
	return (ssize_t)used;
}

bool http_body_closed(struct http_body *body)
{
	if (body->kind == HTTP_BODY_UNTIL_CLOSE)
		body->ended = true;
	return body->ended;
}
