/* Reads requests for the mock upstream: a head, and a body by its length or in chunks. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hash.h"
#include "tests/support/mock_upstream.h"

/* How much of a body is looked at for "stream" where it is not kept. */
#define LOOKED_AT 2048

const char *head_find(const struct bytes *head, const char *name, size_t *length)
{
	const char *at = head->data, *end = head->data + head->length;
	size_t name_length = strlen(name);

	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL && ++at < end) {
		const char *stop = memchr(at, '\r', (size_t)(end - at));

		if (stop == NULL || (size_t)(stop - at) <= name_length || at[name_length] != ':' ||
		    strncasecmp(at, name, name_length) != 0)
			continue;
		for (at += name_length + 1; at < stop && *at == ' '; at++)
			;
		*length = (size_t)(stop - at);
		return at;
	}
	return NULL;
}

static void copy_word(char *to, size_t room, const char *from, size_t length)
{
	length = length < room - 1 ? length : room - 1;
	memcpy(to, from, length);
	to[length] = '\0';
}

static bool path_ends(const char *path, const char *end)
{
	size_t length = strcspn(path, "?");

	return length >= strlen(end) && strncmp(path + length - strlen(end), end, strlen(end)) == 0;
}

static void read_key(struct request *request, const struct bytes *head)
{
	size_t length;
	const char *value = head_find(head, "x-api-key", &length);

	request->key[0] = '\0';
	if (value == NULL && (value = head_find(head, "authorization", &length)) != NULL) {
		if (length < 7 || strncasecmp(value, "bearer ", 7) != 0)
			return;
		value += 7;
		length -= 7;
	}
	if (value != NULL)
		copy_word(request->key, sizeof(request->key), value, length);
}

static bool head_read(struct request *request, const struct bytes *head)
{
	const char *space = memchr(head->data, ' ', head->length), *value, *end;
	size_t length;

	if (space == NULL)
		return false;
	copy_word(request->method, sizeof(request->method), head->data, (size_t)(space - head->data));
	end = memchr(space + 1, ' ', head->length - (size_t)(space + 1 - head->data));
	if (end == NULL || strncmp(end, " HTTP/1.", 8) != 0)
		return false;
	copy_word(request->path, sizeof(request->path), space + 1, (size_t)(end - space - 1));
	request->api = path_ends(request->path, "/messages")           ? API_ANTHROPIC
	               : path_ends(request->path, "/chat/completions") ? API_OPENAI
	                                                               : API_OTHER;
	read_key(request, head);
	value = head_find(head, "transfer-encoding", &length);
	request->is_chunked = value != NULL && length == 7 && strncasecmp(value, "chunked", 7) == 0;
	value = head_find(head, "content-length", &length);
	request->has_length = value != NULL;
	request->length = value != NULL ? strtoll(value, NULL, 10) : 0;
	value = head_find(head, "connection", &length);
	request->closes = value != NULL && length == 5 && strncasecmp(value, "close", 5) == 0;
	request->is_stream = false;
	request->model[0] = '\0';
	return request->length >= 0;
}

static const char *after_member(const struct bytes *body, const char *name)
{
	const char *at = memmem(body->data, body->length, name, strlen(name));

	if (at == NULL)
		return NULL;
	for (at += strlen(name); *at == ' ' || *at == ':'; at++) /* a NUL follows the body */
		;
	return at;
}

static void body_look(struct connection *connection)
{
	const char *at;

	bytes_add(&connection->body, "", 1);
	connection->body.length--;
	at = after_member(&connection->body, "\"stream\"");
	connection->request.is_stream = at != NULL && strncmp(at, "true", 4) == 0;
	at = after_member(&connection->body, "\"model\"");
	if (at != NULL && *at == '"')
		copy_word(connection->request.model, sizeof(connection->request.model), at + 1,
		    strcspn(at + 1, "\"\\\r\n"));
}

static void body_take(struct connection *connection, const char *data, size_t length)
{
	size_t most = mock.keeps_requests ? BODY_KEPT_MAX : LOOKED_AT;
	size_t room = most - connection->body.length;

	bytes_add(&connection->body, data, length < room ? length : room);
	if (mock.keeps_requests)
		for (size_t i = 0; i < length; i++)
			connection->body_hash =
			    (connection->body_hash ^ (unsigned char)data[i]) * 0x100000001b3u;
	connection->body_length += length;
}

static int body_read_chunks(struct connection *connection, const char *data, size_t length, size_t *used)
{
	size_t at = 0;

	while (at < length) {
		if (connection->body_left > 0) {
			size_t part = length - at < (size_t)connection->body_left
			                  ? length - at
			                  : (size_t)connection->body_left;

			body_take(connection, data + at, part);
			connection->body_left -= (int64_t)part;
			at += part;
			continue;
		}
		/* A chunk's size, or the empty line before it. No trailers. */
		bytes_add(&connection->input, data + at, 1);
		if (data[at++] != '\n')
			continue;
		bytes_add(&connection->input, "", 1);
		if (isxdigit((unsigned char)connection->input.data[0])) {
			connection->body_left = strtoll(connection->input.data, NULL, 16);
			if (connection->body_left == 0)
				connection->body_left = -2;
		} else if (connection->body_left == -2) {
			connection->input.length = 0;
			*used = at;
			return 1;
		}
		connection->input.length = 0;
	}
	*used = at;
	return 0;
}

static int body_read(struct connection *connection, const char *data, size_t length, size_t *used)
{
	size_t part = length;
	int result;

	if (connection->request.is_chunked) {
		result = body_read_chunks(connection, data, length, used);
	} else {
		if ((int64_t)part > connection->body_left)
			part = (size_t)connection->body_left;
		body_take(connection, data, part);
		connection->body_left -= (int64_t)part;
		*used = part;
		result = connection->body_left == 0;
	}
	if (result == 1)
		body_look(connection);
	return result;
}

static void body_begin(struct connection *connection)
{
	connection->phase = PHASE_BODY;
	connection->body_left = connection->request.is_chunked ? -1 : connection->request.length;
	connection->body_length = 0;
	connection->body_hash = hash_bytes("", 0);
	connection->body.length = 0;
}

/* `data` ends the head that is in `input` so far, or not. */
static int head_take(struct connection *connection, const char *data, size_t length, size_t *used)
{
	size_t before = connection->input.length, from = before > 3 ? before - 3 : 0;
	const char *end;

	if (before + length > HEAD_MAX)
		length = HEAD_MAX - before;
	bytes_add(&connection->input, data, length);
	end = memmem(connection->input.data + from, connection->input.length - from, "\r\n\r\n", 4);
	if (end == NULL) {
		*used = length;
		return connection->input.length == HEAD_MAX ? -1 : 0;
	}
	connection->input.length = (size_t)(end + 4 - connection->input.data);
	*used = connection->input.length - before;
	if (!head_read(&connection->request, &connection->input))
		return -1;
	connection->asked = record_begin(connection);
	body_begin(connection);
	connection->input.length = 0;
	return 1;
}

int request_read(struct connection *connection, const char *data, size_t length, size_t *used)
{
	size_t part = 0;
	int result;

	*used = 0;
	if (connection->phase == PHASE_HEAD) {
		result = head_take(connection, data, length, used);
		if (result != 1)
			return result;
		if (manner_answer(connection, true))
			return 1;
	}
	result = body_read(connection, data + *used, length - *used, &part);
	*used += part;
	return result;
}
