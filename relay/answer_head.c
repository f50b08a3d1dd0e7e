/* The head of an answer: what it says of the body, and what of it goes to the client. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "relay/answer.h"

static bool value_begins(const char *value, size_t length, const char *with)
{
	return length >= strlen(with) && strncasecmp(value, with, strlen(with)) == 0;
}

/* What is gathered from the fields of a head on the way. */
struct reading {
	struct answer *answer;
	const char *head;
	struct http_framing framing;
	bool is_stream, closes, unknown_coding, too_many;
};

static bool is_dropped(const struct http_field *field)
{
	switch (field->name_length) {
	case 2:
		return http_field_is(field, "te", 2);
	case 7:
		return http_field_is(field, "trailer", 7) || http_field_is(field, "upgrade", 7);
	case 10:
		return http_field_is(field, "connection", 10) || http_field_is(field, "keep-alive", 10);
	case 16:
		return http_field_is(field, "proxy-connection", 16);
	case 17:
		return http_field_is(field, "transfer-encoding", 17);
	default:
		return false;
	}
}

static void field_came(void *context, const struct http_field *field)
{
	struct reading *reading = context;
	struct answer *answer = reading->answer;
	bool known = true;

	if (is_dropped(field) && answer->dropped_count == RELAY_SPECIALS_MAX)
		reading->too_many = true;
	else if (is_dropped(field))
		answer->dropped[answer->dropped_count++] =
		    (struct special){.start = (uint16_t)(field->line - reading->head),
		        .end = (uint16_t)(field->line + field->line_length - reading->head)};
	if (field->name_length == 12 && http_field_is(field, "content-type", 12))
		reading->is_stream = value_begins(field->value, field->value_length, "text/event-stream");
	else if (field->name_length == 10 && http_field_is(field, "connection", 10))
		reading->closes |= value_begins(field->value, field->value_length, "close");
	else if (field->name_length == 16 && http_field_is(field, "content-encoding", 16) &&
	         answer->decoding == NULL)
		answer->decoding = decoding_begin(field->value, field->value_length, &known);
	else
		http_framing_note(&reading->framing, field);
	reading->unknown_coding |= !known;
}

/* Reads a whole head. Returns 0 or -EBADMSG. */
static int read_head(struct call *call, const char *head, size_t length)
{
	struct answer *answer = &call->answer;
	struct reading reading = {.answer = answer, .head = head};
	unsigned status;

	answer->dropped_count = 0;
	if (http_head_read(HTTP_HEAD_RESPONSE, head, length, field_came, &reading, NULL) < 0 ||
	    reading.too_many)
		return -EBADMSG;
	status = http_head_status(head);
	if (status < 200)
		return status == 101 ? -EBADMSG : 0; /* there is another one to come */
	if (http_body_of_answer_framing(&answer->body, &reading.framing, status, call->is_head) < 0)
		return -EBADMSG;
	answer->head = malloc(length);
	if (answer->head == NULL)
		return -EBADMSG;
	memcpy(answer->head, head, length);
	answer->head_length = length;
	answer->status = status;
	answer->is_error = status >= 400;
	answer->is_stream = reading.is_stream && !answer->is_error;
	answer->may_be_kept = head[7] != '0' && answer->body.kind != HTTP_BODY_UNTIL_CLOSE && !reading.closes;
	scan_init(&answer->scan, call->provider->api, answer->is_stream);
	answer->scan.opaque = reading.unknown_coding || call->provider->api == API_OTHER;
	answer->chunked_out = !call->client->plain && answer->body.kind >= HTTP_BODY_CHUNKED;
	if (call->client->plain)
		call->client->closing = true;
	if (answer->is_error)
		call_reading_error(call);
	return 0;
}

/* Takes heads until the one that counts is there. Returns how many bytes were used, or -EBADMSG. */
static ssize_t take_heads(struct call *call, const char *bytes, size_t length)
{
	size_t used = 0;

	for (int heads = 0; call->answer.status == 0 && used < length; heads++) {
		ssize_t found = http_head_find(bytes + used, length - used);

		if (found < 0 || heads > 8)
			return -EBADMSG;
		if (found == 0)
			break;
		if (read_head(call, bytes + used, (size_t)found) < 0)
			return -EBADMSG;
		used += (size_t)found;
	}
	return (ssize_t)used;
}

ssize_t answer_take_head(struct call *call, const char *bytes, size_t length)
{
	struct upstream *upstream = call->upstream;
	size_t kept = upstream->partial_length, all = kept + length;
	char *together = NULL;
	ssize_t used;

	if (kept > 0) {
		together = realloc(upstream->partial, all);
		if (together == NULL)
			return -EBADMSG;
		memcpy(together + kept, bytes, length);
		upstream->partial = together;
		bytes = together;
	}
	used = take_heads(call, bytes, all);
	if (used < 0)
		return used;
	if (call->answer.status != 0) {
		free(upstream->partial);
		upstream->partial = NULL;
		upstream->partial_length = 0;
		return used - (ssize_t)kept;
	}
	if (together == NULL) {
		together = malloc(all);
		if (together == NULL)
			return -EBADMSG;
		upstream->partial = together;
	}
	memmove(together, bytes + used, all - (size_t)used);
	upstream->partial_length = all - (size_t)used;
	return (ssize_t)length;
}
