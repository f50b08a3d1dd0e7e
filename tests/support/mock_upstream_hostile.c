/* The mock upstream's answers that no provider should give. */
#include <stdio.h>
#include <string.h>

#include "tests/support/mock_upstream.h"
#include "tests/support/mock_upstream_manners.h"

#define PIECE 16384

static void text_send(struct connection *connection, const char *text, size_t length)
{
	size_t from = connection->words.length;

	bytes_add(&connection->words, text, length);
	step_add(connection, STEP_SEND, from, 0);
}

void answer_raw(struct connection *connection, const char *words, int64_t number)
{
	text_send(connection, words, strlen(words));
}

void answer_nul(struct connection *connection, const char *words, int64_t number)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nx-a: \0\r\ncontent-length: 2\r\n\r\n{}";

	text_send(connection, text, sizeof(text) - 1);
}

static const char hint[] = "HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n";

void answer_info(struct connection *connection, const char *words, int64_t number)
{
	static const char more[] =
	    "HTTP/1.1 100 Continue\r\n\r\n"
	    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

	text_send(connection, hint, sizeof(hint) - 1);
	text_send(connection, more, sizeof(more) - 1);
}

void answer_infoflood(struct connection *connection, const char *words, int64_t number)
{
	bytes_add(&connection->words, hint, sizeof(hint) - 1);
	step_add(connection, STEP_REPEAT, 0, 0);
}

void answer_headbomb(struct connection *connection, const char *words, int64_t number)
{
	char value[1000];

	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	bytes_print(&connection->words, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 1024; i++)
		bytes_print(&connection->words, "x-bomb-%d: %s\r\n", i, value);
	bytes_print(&connection->words, "content-length: 2\r\n\r\n{}");
	step_add(connection, STEP_SEND, 0, 0);
}

static void repeat(struct connection *connection, const char *text)
{
	size_t from = connection->words.length;

	while (connection->words.length - from < PIECE)
		bytes_print(&connection->words, "%s", text);
	step_add(connection, STEP_REPEAT, from, 0);
}

void answer_endlesshead(struct connection *connection, const char *words, int64_t number)
{
	text_send(connection, "HTTP/1.1 200 OK\r\n", 17);
	repeat(connection, "x-endless: x\r\n");
}

void answer_endlessline(struct connection *connection, const char *words, int64_t number)
{
	text_send(connection, "HTTP/1.1 200 OK\r\nx-endless: ", 28);
	repeat(connection, "x");
}

void answer_slowhead(struct connection *connection, const char *words, int64_t number)
{
	bytes_print(&connection->words,
	    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
	step_add(connection, STEP_DRIP, 0, number);
}

static void stream_head_send(struct connection *connection, int status)
{
	words_head(&connection->words, connection->request.api, status,
	    status == 200 ? "text/event-stream" : "application/json", "transfer-encoding: chunked\r\n");
	step_add(connection, STEP_SEND, 0, 0);
}

void answer_endlessbody(struct connection *connection, const char *words, int64_t number)
{
	struct bytes event = {0}, chunk = {0};

	stream_head_send(connection, 200);
	words_content(&event, &connection->request, "for ever and ever");
	words_chunk(&chunk, &event);
	bytes_add(&chunk, "", 1);
	repeat(connection, chunk.data);
	bytes_release(&event);
	bytes_release(&chunk);
}

void answer_endlessevent(struct connection *connection, const char *words, int64_t number)
{
	stream_head_send(connection, 200);
	text_send(connection, "6\r\ndata: \r\n", 11);
	repeat(connection, "10\r\nxxxxxxxxxxxxxxxx\r\n");
}

void answer_endlesserror(struct connection *connection, const char *words, int64_t number)
{
	stream_head_send(connection, 429);
	repeat(connection, "10\r\nxxxxxxxxxxxxxxxx\r\n");
}

void answer_early(struct connection *connection, const char *words, int64_t number)
{
	static const char body[] =
	    "{\"type\":\"error\",\"error\":{\"type\":\"request_too_large\",\"message\":"
	    "\"Request exceeds the maximum size\"}}";
	char more[64];

	snprintf(more, sizeof(more), "connection: close\r\ncontent-length: %zu\r\n", sizeof(body) - 1);
	words_head(&connection->words, connection->request.api, 413, "application/json", more);
	bytes_add(&connection->words, body, sizeof(body) - 1);
	step_add(connection, STEP_SEND, 0, 0);
	step_add(connection, STEP_HANG, 0, 0);
}
