/* The bodies of HTTP messages: where they end, however the bytes come, and what is no body. */
#include "http/body.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "support/tap.h"

static char taken_data[256];

/* Feeds `bytes` in pieces of `piece` bytes; returns how many were taken, or the error. */
static ssize_t feed(struct http_body *body, const char *bytes, size_t length, size_t piece)
{
	struct text text;
	size_t used = 0, at_most;

	text_init(&text, taken_data, sizeof(taken_data));
	while (used < length && !body->ended) {
		const char *data;
		size_t data_length;
		ssize_t taken;

		at_most = length - used < piece ? length - used : piece;
		taken = http_body_take(body, bytes + used, at_most, &data, &data_length);
		if (taken < 0)
			return taken;
		text_add_bytes(&text, data, data_length);
		used += (size_t)taken;
	}
	return (ssize_t)used;
}

static struct http_body of_answer(unsigned status, const char *head)
{
	struct http_body body;

	CHECK(http_body_of_answer(&body, status, false, head, strlen(head)) == 0);
	return body;
}

#define ANSWER  "HTTP/1.1 200 OK\r\n"
#define CHUNKED ANSWER "Transfer-Encoding: chunked\r\n\r\n"

TEST("a chunked body is the same however it is cut, and what follows is left")
{
	static const char bytes[] = "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nTrailer: x\r\n\r\nHTTP/1.1";

	for (size_t piece = 1; piece < sizeof(bytes); piece++) {
		struct http_body body = of_answer(200, CHUNKED);
		ssize_t taken = feed(&body, bytes, sizeof(bytes) - 1, piece);

		CHECK(taken == (ssize_t)sizeof(bytes) - 1 - 8 && body.ended);
		CHECK(strcmp(taken_data, "hello world") == 0);
	}
}

TEST("a length counts, and what follows is left")
{
	struct http_body body = of_answer(200, ANSWER "Content-Length: 5\r\n\r\n");

	CHECK(feed(&body, "hello world", 11, 3) == 5 && body.ended);
	CHECK(strcmp(taken_data, "hello") == 0);
}

TEST("without a length an answer goes on to the end of its connection, and a request has no body")
{
	struct http_body body = of_answer(200, ANSWER "\r\n");
	struct http_body chunked = of_answer(200, CHUNKED);
	struct http_body request;

	CHECK(feed(&body, "hello", 5, 5) == 5 && !body.ended);
	CHECK(http_body_closed(&body) && body.ended);
	CHECK(!http_body_closed(&chunked));
	CHECK(http_body_of_request(&request, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27) == 0 && request.ended);
}

TEST("answers that have no body have none, whatever they say")
{
	struct http_body body = of_answer(204, ANSWER "Content-Length: 5\r\n\r\n");

	CHECK(body.ended);
	CHECK(http_body_of_answer(&body, 200, true, CHUNKED, strlen(CHUNKED)) == 0 && body.ended);
}

TEST("what two readers could read differently is refused")
{
	static const char *const bodies[] = {"\r\n", " 5\r\nhello\r\n", "0x5\r\nhello\r\n", "5 \r\nhello\r\n",
	    "+5\r\nhello\r\n", "5\nhello\r\n", "5\r\nhello\n", "5\r\nhelloX\r\n", "5\r\rhello", "-1\r\n",
	    "fffffffffffffffff\r\n", "5;\n\r\nhello", "0\r\nA: b\n\r\n", "0\r\n\n"};
	struct http_body body;

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		body = of_answer(200, CHUNKED);
		if (!CHECK(feed(&body, bodies[i], strlen(bodies[i]), 100) == -EBADMSG))
			printf("# %s\n", bodies[i]);
	}
	CHECK(http_body_of_answer(&body, 200, false, ANSWER "Transfer-Encoding: gzip, chunked\r\n\r\n",
	          strlen(ANSWER "Transfer-Encoding: gzip, chunked\r\n\r\n")) == -EBADMSG);
}

TEST("extensions and trailers have a bound")
{
	static char bytes[HTTP_TRAILER_MAX + 64];
	struct http_body body = of_answer(200, CHUNKED);

	memset(bytes, 'a', sizeof(bytes));
	memcpy(bytes, "5;", 2);
	CHECK(feed(&body, bytes, sizeof(bytes), sizeof(bytes)) == -EBADMSG);

	memcpy(bytes, "0\r\n", 3);
	body = of_answer(200, CHUNKED);
	CHECK(feed(&body, bytes, sizeof(bytes), sizeof(bytes)) == -EBADMSG);
}
