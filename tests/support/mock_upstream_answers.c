/* The mock upstream's answers of providers that are well, busy, or break off. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/mock_upstream.h"
#include "tests/support/mock_upstream_manners.h"

#define JSON   "application/json"
#define EVENTS "text/event-stream; charset=utf-8"
#define CHUNKS "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n"

static const struct usage usual = {.input = 10, .output = 5};
static struct bytes event; /* what is being put together */

void step_add(struct connection *connection, enum step_kind kind, size_t from, int64_t ms)
{
	struct step *step = &connection->steps[connection->step_count];

	if (connection->step_count == STEPS_MAX)
		return;
	*step = (struct step){.kind = kind, .at = from, .length = connection->words.length - from, .ms = ms};
	connection->step_count++;
}

/* The text says which key was asked with. */
static void text_make(const struct connection *connection, char *text, size_t room)
{
	size_t length = (size_t)snprintf(text, room, "Answer of %s", connection->request.key);

	for (char *at = text; *at != '\0'; at++)
		if (!isalnum((unsigned char)*at) && *at != '-' && *at != ' ')
			*at = '_';
	(void)length;
}

/* What is in `event` goes out as one chunk. */
static void chunk_send(struct connection *connection)
{
	size_t from = connection->words.length;

	words_chunk(&connection->words, &event);
	event.length = 0;
	step_add(connection, STEP_SEND, from, 0);
}

static void last_chunk_send(struct connection *connection)
{
	size_t from = connection->words.length;

	bytes_print(&connection->words, "0\r\n\r\n");
	step_add(connection, STEP_SEND, from, 0);
}

static void stream_begin(struct connection *connection, const struct usage *usage)
{
	const struct request *request = &connection->request;

	words_head(&connection->words, request->api, 200, EVENTS, CHUNKS);
	step_add(connection, STEP_SEND, 0, 0);
	words_preamble(&event, request, usage);
	chunk_send(connection);
}

static void content_send(struct connection *connection, const char *text)
{
	words_content(&event, &connection->request, text);
	chunk_send(connection);
}

static void stream_end(struct connection *connection, const char *reason, const struct usage *usage)
{
	words_end(&event, &connection->request, reason, usage);
	chunk_send(connection);
	last_chunk_send(connection);
}

static void whole_send(struct connection *connection, const char *reason, const struct usage *usage)
{
	char text[KEY_MAX + 32], more[64];
	size_t from = connection->words.length;

	text_make(connection, text, sizeof(text));
	words_answer(&event, &connection->request, text, reason, usage);
	snprintf(more, sizeof(more), "content-length: %zu\r\n", event.length);
	words_head(&connection->words, connection->request.api, 200, JSON, more);
	bytes_add(&connection->words, event.data, event.length);
	event.length = 0;
	step_add(connection, STEP_SEND, from, 0);
}

static void answer_with(struct connection *connection, const char *reason, const struct usage *usage)
{
	char text[KEY_MAX + 32];

	if (!connection->request.is_stream) {
		whole_send(connection, reason, usage);
		return;
	}
	text_make(connection, text, sizeof(text));
	stream_begin(connection, usage);
	content_send(connection, text);
	content_send(connection, ".");
	stream_end(connection, reason, usage);
}

/* Whoever measures gets the same bytes each time, made once for each API. */
void answer_ok(struct connection *connection, const char *words, int64_t number)
{
	static struct bytes made[API_OTHER + 1];
	struct bytes *bytes = &made[connection->request.api];

	if (connection->request.is_stream || mock.keeps_requests) {
		answer_with(connection, NULL, &usual);
		return;
	}
	if (bytes->length == 0) {
		snprintf(connection->request.key, KEY_MAX, "sk-ok-%0170d", 0);
		words_speak_for(""); /* the same bytes are for every key */
		whole_send(connection, NULL, &usual);
		bytes_add(bytes, connection->words.data, connection->words.length);
		connection->step_count = 0;
	}
	connection->fixed = bytes->data;
	connection->fixed_length = bytes->length;
	step_add(connection, STEP_SEND, connection->words.length, 0);
}

void answer_usage(struct connection *connection, const char *words, int64_t number)
{
	answer_with(connection, NULL, &(struct usage){.input = 1000 + number, .output = 100 + number});
}

void answer_error(struct connection *connection, const char *words, int64_t number)
{
	words_error(&connection->words, connection->request.api, words, number);
	step_add(connection, STEP_SEND, 0, 0);
}

void answer_filtered(struct connection *connection, const char *words, int64_t number)
{
	answer_with(
	    connection, connection->request.api == API_ANTHROPIC ? "refusal" : "content_filter", &usual);
}

void answer_reset(struct connection *connection, const char *words, int64_t number)
{
	step_add(connection, STEP_RESET, 0, 0);
}

void answer_closed(struct connection *connection, const char *words, int64_t number)
{
	step_add(connection, STEP_CLOSE, 0, 0);
}

void answer_silent(struct connection *connection, const char *words, int64_t number)
{
	step_add(connection, STEP_HANG, 0, 0);
}

void answer_late(struct connection *connection, const char *words, int64_t number)
{
	step_add(connection, STEP_WAIT, 0, number);
	answer_with(connection, NULL, &usual);
}

/* Head and preamble are there; who waits for the whole answer gets its head. */
static void half_begin(struct connection *connection, const struct usage *usage, bool with_body)
{
	char text[KEY_MAX + 32], more[64];

	if (connection->request.is_stream) {
		stream_begin(connection, usage);
		if (with_body)
			content_send(connection, "Half an");
		return;
	}
	text_make(connection, text, sizeof(text));
	words_answer(&event, &connection->request, text, NULL, usage);
	snprintf(more, sizeof(more), "content-length: %zu\r\n", event.length);
	words_head(&connection->words, connection->request.api, 200, JSON, more);
	if (with_body)
		bytes_add(&connection->words, event.data, event.length / 2);
	step_add(connection, STEP_SEND, 0, 0);
}

static void half_end(struct connection *connection, bool had_body)
{
	size_t from = connection->words.length, half = had_body ? event.length / 2 : 0;

	if (connection->request.is_stream) {
		content_send(connection, "answer");
		stream_end(connection, NULL, &usual);
		return;
	}
	bytes_add(&connection->words, event.data + half, event.length - half);
	event.length = 0;
	step_add(connection, STEP_SEND, from, 0);
}

void answer_slow(struct connection *connection, const char *words, int64_t number)
{
	half_begin(connection, &usual, false);
	step_add(connection, STEP_WAIT, 0, number);
	half_end(connection, false);
}

void answer_gap(struct connection *connection, const char *words, int64_t number)
{
	half_begin(connection, &usual, true);
	step_add(connection, STEP_WAIT, 0, number);
	half_end(connection, true);
}

void answer_drip(struct connection *connection, const char *words, int64_t number)
{
	stream_begin(connection, &usual);
	for (int i = 0; i < 10; i++) {
		content_send(connection, "word ");
		step_add(connection, STEP_WAIT, 0, number);
	}
	stream_end(connection, NULL, &usual);
}

void answer_tick(struct connection *connection, const char *words, int64_t number)
{
	stream_begin(connection, &usual);
	step_add(connection, STEP_TICK, 0, number);
}

void answer_pings(struct connection *connection, const char *words, int64_t number)
{
	size_t from;

	words_head(&connection->words, connection->request.api, 200, EVENTS, CHUNKS);
	step_add(connection, STEP_SEND, 0, 0);
	words_ping(&event, connection->request.api);
	from = connection->words.length;
	words_chunk(&connection->words, &event);
	event.length = 0;
	step_add(connection, STEP_REPEAT, from, number);
}

void answer_big(struct connection *connection, const char *words, int64_t number)
{
	static char text[1024];
	struct bytes all = {0};
	char more[64];

	memset(text, 'x', sizeof(text) - 1);
	if (connection->request.is_stream) {
		stream_begin(connection, &usual);
		for (int64_t i = 0; i < 4 * number; i++) {
			words_content(&event, &connection->request, text + 768);
			words_chunk(&all, &event);
			event.length = 0;
		}
		bytes_add(&connection->words, all.data, all.length);
		step_add(connection, STEP_SEND, connection->words.length - all.length, 0);
		stream_end(connection, NULL, &usual);
	} else {
		for (int64_t i = 0; i < number; i++)
			bytes_print(&all, "%sx", text);
		words_answer(&event, &connection->request, all.data, NULL, &usual);
		snprintf(more, sizeof(more), "content-length: %zu\r\n", event.length);
		words_head(&connection->words, connection->request.api, 200, JSON, more);
		bytes_add(&connection->words, event.data, event.length);
		event.length = 0;
		step_add(connection, STEP_SEND, 0, 0);
	}
	bytes_release(&all);
}

void answer_preamble_error(struct connection *connection, const char *words, int64_t number)
{
	if (!connection->request.is_stream) {
		answer_error(connection, words, 0);
		return;
	}
	stream_begin(connection, &usual);
	words_error_event(&event, connection->request.api, words);
	chunk_send(connection);
	last_chunk_send(connection);
}

void answer_preamble_silence(struct connection *connection, const char *words, int64_t number)
{
	half_begin(connection, &usual, false);
	event.length = 0;
	step_add(connection, STEP_HANG, 0, 0);
}

void answer_preamble_cut(struct connection *connection, const char *words, int64_t number)
{
	half_begin(connection, &usual, false);
	event.length = 0;
	step_add(connection, STEP_CLOSE, 0, 0);
}

void answer_cut(struct connection *connection, const char *words, int64_t number)
{
	half_begin(connection, &usual, true);
	event.length = 0;
	step_add(connection, STEP_CLOSE, 0, 0);
}

void answer_stall(struct connection *connection, const char *words, int64_t number)
{
	half_begin(connection, &usual, true);
	event.length = 0;
	step_add(connection, STEP_HANG, 0, 0);
}

void answer_middle_error(struct connection *connection, const char *words, int64_t number)
{
	if (!connection->request.is_stream) {
		answer_error(connection, words, 0);
		return;
	}
	half_begin(connection, &usual, true);
	words_error_event(&event, connection->request.api, words);
	chunk_send(connection);
	last_chunk_send(connection);
}

void answer_bad_chunk(struct connection *connection, const char *words, int64_t number)
{
	size_t from;

	if (connection->request.is_stream) {
		half_begin(connection, &usual, true);
	} else {
		words_head(&connection->words, connection->request.api, 200, JSON, CHUNKS);
		step_add(connection, STEP_SEND, 0, 0);
	}
	from = connection->words.length;
	bytes_print(&connection->words, "5x\r\nhello\r\n");
	step_add(connection, STEP_SEND, from, 0);
	step_add(connection, STEP_HANG, 0, 0);
}

void answer_no_end(struct connection *connection, const char *words, int64_t number)
{
	char text[KEY_MAX + 32];

	if (connection->request.is_stream) {
		half_begin(connection, &usual, true);
		last_chunk_send(connection);
		return;
	}
	text_make(connection, text, sizeof(text));
	words_head(&connection->words, connection->request.api, 200, JSON, CHUNKS);
	step_add(connection, STEP_SEND, 0, 0);
	words_answer(&event, &connection->request, text, NULL, &usual);
	chunk_send(connection);
	step_add(connection, STEP_CLOSE, 0, 0);
}

static void gzip_send(struct connection *connection, const char *type, const struct bytes *plain)
{
	char more[96];

	words_gzip(&event, plain->data, plain->length);
	snprintf(more, sizeof(more), "content-encoding: gzip\r\ncontent-length: %zu\r\n", event.length);
	words_head(&connection->words, connection->request.api, 200, type, more);
	bytes_add(&connection->words, event.data, event.length);
	event.length = 0;
	step_add(connection, STEP_SEND, 0, 0);
}

void answer_gzip(struct connection *connection, const char *words, int64_t number)
{
	const struct request *request = &connection->request;
	struct bytes plain = {0};
	char text[KEY_MAX + 32];

	text_make(connection, text, sizeof(text));
	if (request->is_stream) {
		words_preamble(&plain, request, &usual);
		words_content(&plain, request, text);
		words_end(&plain, request, NULL, &usual);
	} else {
		words_answer(&plain, request, text, NULL, &usual);
	}
	gzip_send(connection, request->is_stream ? EVENTS : JSON, &plain);
	bytes_release(&plain);
}

void answer_gzip_error(struct connection *connection, const char *words, int64_t number)
{
	struct bytes plain = {0};
	char *body, more[96];

	words_error(&plain, connection->request.api, words, 0);
	body = (char *)memmem(plain.data, plain.length, "\r\n\r\n", 4) + 4;
	words_gzip(&event, body, plain.length - (size_t)(body - plain.data));
	snprintf(more, sizeof(more), "content-encoding: gzip\r\ncontent-length: %zu\r\n", event.length);
	words_head(&connection->words, connection->request.api, 429, JSON, more);
	bytes_add(&connection->words, event.data, event.length);
	event.length = 0;
	step_add(connection, STEP_SEND, 0, 0);
	bytes_release(&plain);
}

/* The first content is a tool's call. */
void answer_tool(struct connection *connection, const char *words, int64_t number)
{
	if (!connection->request.is_stream) {
		whole_send(connection, NULL, &usual);
		return;
	}
	stream_begin(connection, &usual);
	words_tool(&event, &connection->request);
	chunk_send(connection);
	stream_end(connection, connection->request.api == API_ANTHROPIC ? "tool_use" : "tool_calls", &usual);
}

void answer_thinking(struct connection *connection, const char *words, int64_t number)
{
	if (connection->request.is_stream) {
		stream_begin(connection, &usual);
		words_thinking(&event, &connection->request);
		chunk_send(connection);
		content_send(connection, "Thought");
		stream_end(connection, NULL, &usual);
	} else {
		whole_send(connection, NULL, &usual);
	}
}

void answer_goes(struct connection *connection, const char *words, int64_t number)
{
	answer_with(connection, NULL, &usual);
	step_add(connection, STEP_CLOSE, 0, 0);
}

void answer_untold(struct connection *connection, const char *words, int64_t number)
{
	const struct request *request = &connection->request;

	words_head(&connection->words, request->api, 200, request->is_stream ? EVENTS : JSON, "");
	if (request->is_stream) {
		words_preamble(&connection->words, request, &usual);
		words_content(&connection->words, request, "Untold");
		words_end(&connection->words, request, NULL, &usual);
	} else {
		words_answer(&connection->words, request, "Untold", NULL, &usual);
	}
	step_add(connection, STEP_SEND, 0, 0);
	step_add(connection, STEP_CLOSE, 0, 0);
}

void answer_control(struct connection *connection, const char *words, int64_t number)
{
	record_control(connection);
	step_add(connection, STEP_SEND, 0, 0);
}
