/* The requests that the mock upstream remembers, and how it is asked about them and told otherwise:
 *
 *   GET  /__requests             {"counters":{...},"keys":{...},"requests":[...]}, oldest first. Bytes are
 * Latin-1. POST /__manner/KEY/MANNER    how KEY is answered from now on; "-": as it says itself POST
 * /__forget               the requests so far are forgotten */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/mock_upstream.h"

#define ASKED_MAX 512

static struct asked asked[ASKED_MAX];
static uint64_t first; /* number of the oldest that may be told */

/* NULL: nothing is kept. What is returned stays valid while ASKED_MAX others come. */
struct asked *record_begin(struct connection *connection)
{
	struct asked *one;

	if (strncmp(connection->request.path, "/__", 3) == 0)
		return NULL;
	mock.requests++;
	if (!mock.keeps_requests)
		return NULL;
	one = &asked[mock.requests % ASKED_MAX];
	free(one->head);
	bytes_release(&one->body);
	*one = (struct asked){.number = mock.requests, .connection = connection->number, .came_ns = now_ns()};
	snprintf(one->key, sizeof(one->key), "%s", connection->request.key);
	snprintf(one->manner, sizeof(one->manner), "%s", manner_of(one->key));
	one->head = malloc(connection->input.length + 1);
	if (one->head == NULL)
		abort();
	memcpy(one->head, connection->input.data, connection->input.length);
	one->head_length = connection->input.length;
	return one;
}

void record_end(struct asked *one, bool is_gone)
{
	one->ended_ns = now_ns();
	one->is_gone = is_gone;
}

static void put_string(struct bytes *words, const char *data, size_t length)
{
	bytes_add(words, "\"", 1);
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)data[i];

		if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\')
			bytes_add(words, &data[i], 1);
		else
			bytes_print(words, "\\u%04x", byte);
	}
	bytes_add(words, "\"", 1);
}

/* ["METHOD", "path"] and [[name, value], ...] as they came. */
static void put_head(struct bytes *words, const struct asked *one)
{
	const char *at = one->head, *end = one->head + one->head_length,
	           *space = memchr(at, ' ', one->head_length);
	const char *stop = memchr(space + 1, ' ', (size_t)(end - space - 1)), *separator = "";

	bytes_print(words, ",\"method\":");
	put_string(words, at, (size_t)(space - at));
	bytes_print(words, ",\"path\":");
	put_string(words, space + 1, (size_t)(stop - space - 1));
	bytes_print(words, ",\"headers\":[");
	at = (const char *)memchr(at, '\n', one->head_length) + 1;
	while (at < end && *at != '\r') {
		const char *line_end = memchr(at, '\r', (size_t)(end - at)), *colon;

		if (line_end == NULL)
			break;
		colon = memchr(at, ':', (size_t)(line_end - at));
		if (colon != NULL) {
			bytes_print(words, "%s[", separator);
			put_string(words, at, (size_t)(colon - at));
			for (colon++; colon < line_end && *colon == ' '; colon++)
				;
			bytes_print(words, ",");
			put_string(words, colon, (size_t)(line_end - colon));
			bytes_print(words, "]");
			separator = ",";
		}
		at = line_end + 2;
	}
	bytes_print(words, "]");
}

static void put_asked(struct bytes *words, const struct asked *one)
{
	bytes_print(words,
	    "{\"number\":%" PRIu64 ",\"connection\":%" PRIu64 ",\"came_ns\":%" PRId64 ",\"ended_ns\":%" PRId64
	    ",\"gone\":%s,\"body_length\":%" PRIu64 ",\"body_hash\":\"%016" PRIx64 "\",\"key\":",
	    one->number, one->connection, one->came_ns, one->ended_ns, one->is_gone ? "true" : "false",
	    one->body_length, one->body_hash);
	put_string(words, one->key, strlen(one->key));
	bytes_print(words, ",\"manner\":");
	put_string(words, one->manner, strlen(one->manner));
	put_head(words, one);
	bytes_print(words, ",\"body\":");
	if (one->body.length == one->body_length)
		put_string(words, one->body.data, one->body.length);
	else
		bytes_print(words, "null");
	bytes_print(words, "}");
}

static void put_all(struct bytes *words)
{
	const char *separator = "";
	uint64_t from = mock.requests >= ASKED_MAX ? mock.requests - ASKED_MAX + 1 : 1;

	bytes_print(words,
	    "{\"counters\":{\"open\":%" PRIu64 ",\"accepted\":%" PRIu64 ",\"requests\":%" PRIu64
	    ",\"answered\":%" PRIu64 ",\"gone\":%" PRIu64 ",\"handshakes\":%" PRIu64 ",\"resumed\":%" PRIu64
	    "},\"keys\":{",
	    mock.open, mock.accepted, mock.requests, mock.answered, mock.gone, mock.handshakes, mock.resumed);
	manner_tell(words);
	bytes_print(words, "},\"requests\":[");
	for (uint64_t number = from > first ? from : first; number <= mock.requests; number++) {
		const struct asked *one = &asked[number % ASKED_MAX];

		if (one->number != number)
			continue;
		bytes_print(words, "%s", separator);
		put_asked(words, one);
		separator = ",";
	}
	bytes_print(words, "]}");
}

void record_control(struct connection *connection)
{
	char path[sizeof(connection->request.path)], more[64], *manner;
	struct bytes body = {0};

	snprintf(path, sizeof(path), "%s", connection->request.path);
	if (strcmp(path, "/__requests") == 0) {
		put_all(&body);
	} else if (strcmp(path, "/__forget") == 0) {
		first = mock.requests + 1;
	} else if (strncmp(path, "/__manner/", 10) == 0 && (manner = strchr(path + 10, '/')) != NULL) {
		*manner++ = '\0';
		manner_set(path + 10, manner);
	}
	snprintf(more, sizeof(more), "content-length: %zu\r\n", body.length);
	words_head(&connection->words, API_OTHER, 200, "application/json", more);
	bytes_add(&connection->words, body.data, body.length);
	bytes_release(&body);
}
