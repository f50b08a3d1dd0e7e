/* HTTP heads: whatever is accepted must be accepted by llhttp too, and mean the same to it. */
#include <llhttp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_up(const char *head, size_t length, const char *name)
{
	const char *value;
	size_t value_length;

	if (http_head_field(head, length, name, &value, &value_length) &&
	    (value < head || value + value_length > head + length))
		abort();
}

static void check(enum http_head_kind kind, const char *head, size_t length)
{
	struct error why;

	if (http_head_check(kind, head, length, &why) < 0) {
		if (why.text[0] == '\0')
			abort();
		return;
	}
	/* No line of an accepted head is folded, and each ends in CR LF. */
	for (size_t i = 1; i < length; i++)
		if (head[i] == '\n' &&
		    (head[i - 1] != '\r' || (i + 1 < length && (head[i + 1] == ' ' || head[i + 1] == '\t'))))
			abort();
	look_up(head, length, "Content-Length");
	look_up(head, length, "Host");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	llhttp_settings_t settings;
	llhttp_t parser;
	ssize_t length = http_head_find(bytes, size);

	if (length > 0) {
		check(HTTP_HEAD_REQUEST, bytes, (size_t)length);
		check(HTTP_HEAD_RESPONSE, bytes, (size_t)length);
		llhttp_settings_init(&settings);
		llhttp_init(&parser, HTTP_BOTH, &settings);
		(void)llhttp_execute(&parser, bytes, size);
	}
	look_up(bytes, size, "Host");
	return 0;
}
