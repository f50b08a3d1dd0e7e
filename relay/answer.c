/* What comes back: held until the first content, then passed on as it comes. Of an event stream only whole
 * events go out, so that it can always be ended with one of ours. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "relay/answer.h"

void answer_clear(struct call *call)
{
	struct answer *answer = &call->answer;

	chain_clear(&answer->held, &call->relay->segments);
	chain_clear(&answer->tail, &call->relay->segments);
	free(answer->head);
	decoding_end(answer->decoding);
	scan_release(&answer->scan);
	memset(answer, 0, sizeof(*answer));
}

static struct failover_report report_of(enum failover_outcome outcome)
{
	return (struct failover_report){.outcome = outcome, .scope = FAILOVER_MODEL, .retry_after_ms = -1};
}

/* Before content another profile may do better; after it the answer can only be ended. */
static void go_wrong(struct call *call, enum failover_outcome outcome, const char *sentence)
{
	struct failover_report report = report_of(outcome);

	if (call->answer.committed) {
		report.outcome = outcome == FAILOVER_RESET ? FAILOVER_CUT : outcome;
		answer_break(call, &report, sentence);
	} else {
		call->answer.may_be_kept = false;
		call_failed(call, &report, sentence);
	}
}

/* From here on it goes out. */
static void commit(struct call *call)
{
	call->answer.committed = true;
	call_content(call);
}

static int hold(struct call *call, const struct batch *batch)
{
	for (uint32_t i = 0; i < batch->count; i++)
		if (chain_add(&call->answer.held, &call->relay->segments, batch->pieces[i].iov_base,
		        batch->pieces[i].iov_len) < 0)
			return -ENOMEM;
	return 0;
}

static size_t length_of(const struct batch *batch)
{
	size_t length = 0;

	for (uint32_t i = 0; i < batch->count; i++)
		length += batch->pieces[i].iov_len;
	return length;
}

/* Whether what has come, with this, is to be passed on rather than held. */
static bool is_to_go_out(const struct call *call, const struct batch *batch)
{
	const struct answer *answer = &call->answer;
	size_t length = answer->held.length + length_of(batch);

	if (answer->is_error)
		return false;
	if (answer->is_stream || answer->scan.opaque)
		return batch->content || length > RELAY_PREAMBLE_MAX;
	return length > RELAY_HOLD_MAX;
}

/* Returns false when the call, or this attempt, is over. */
static bool settle(struct call *call, struct batch *batch)
{
	struct answer *answer = &call->answer;

	if (batch->failed && !answer->committed && !batch->content) {
		answer->may_be_kept = false;
		call_failed(call, &batch->report, "an error came within its answer");
		return false;
	}
	if (!answer->committed && is_to_go_out(call, batch))
		commit(call);
	else if (batch->content && answer->committed)
		call_heard(call);
	if (answer->committed)
		return answer_send(call, batch);
	if (answer->is_error && answer->held.length + length_of(batch) > RELAY_ERROR_MAX) {
		go_wrong(call, FAILOVER_SERVER_ERROR, "its error is too long to be read");
		return false;
	}
	if (hold(call, batch) < 0) {
		go_wrong(call, FAILOVER_RESET, "the relay has no memory for its answer");
		return false;
	}
	if (!answer->is_stream && !answer->is_error && batch->count > 0)
		deadline_set(&call->relay->deadlines, &call->clock, call->attempt.gap_ms);
	return true;
}

/* What a part of a stream brought. */
static void note(struct call *call, struct batch *batch, const struct scan_found *found)
{
	batch->content |= found->content;
	if (found->error && !batch->failed) {
		batch->failed = true;
		batch->report = call->answer.report = found->report;
	}
}

struct decoded {
	struct call *call;
	struct batch *batch;
};

static void decoded_came(void *context, const char *bytes, size_t length)
{
	struct decoded *decoded = context;
	struct scan_found found = {0};

	scan_feed(&decoded->call->answer.scan, bytes, length, &found);
	note(decoded->call, decoded->batch, &found);
}

static void examine(struct call *call, struct batch *batch, const char *data, size_t length)
{
	struct answer *answer = &call->answer;
	struct scan_found found = {.complete = length};

	answer->bytes += length;
	batch->pieces[batch->count] = (struct iovec){(void *)data, length};
	if (answer->is_stream && answer->decoding != NULL && !answer->scan.opaque) {
		struct decoded decoded = {call, batch};

		/* What cannot be read is passed on as it comes. */
		if (decoding_feed(answer->decoding, data, length, decoded_came, &decoded) < 0)
			answer->scan.opaque = batch->content = true;
	} else if (!answer->is_error && (answer->is_stream || answer->scan.opaque)) {
		scan_feed(&answer->scan, data, length, &found);
		note(call, batch, &found);
	}
	if (found.complete == length) {
		batch->ready = batch->count + 1;
		batch->ready_bytes = 0;
	} else if (found.complete > 0) {
		batch->ready = batch->count;
		batch->ready_bytes = found.complete;
	}
	batch->count++;
}

struct readable {
	char *bytes;
	size_t length, size;
};

static void readable_came(void *context, const char *bytes, size_t length)
{
	struct readable *readable = context;

	if (length > readable->size - readable->length)
		length = readable->size - readable->length;
	memcpy(readable->bytes + readable->length, bytes, length);
	readable->length += length;
}

/* What is held, decoded, at most `size` bytes. Returns how many. */
static size_t read_held(struct call *call, char *target, size_t size)
{
	struct answer *answer = &call->answer;
	struct readable readable = {.bytes = target, .size = size};

	if (answer->decoding == NULL)
		return chain_copy(&answer->held, target, size);
	for (const struct segment *segment = answer->held.first; segment != NULL; segment = segment->next)
		if (decoding_feed(answer->decoding, segment->bytes + segment->start,
		        segment->end - segment->start, readable_came, &readable) < 0)
			break;
	return readable.length;
}

/* A whole error: what it means. */
static void judge(struct call *call)
{
	struct answer *answer = &call->answer;
	struct failover_report report;
	char body[CLASSIFY_BODY_MAX], sentence[120];
	size_t length = read_held(call, body, sizeof(body));

	classify_answer(call->provider->api, answer->status, answer->head, answer->head_length, body, length,
	    clock_real_ms(), &report);
	snprintf(sentence, sizeof(sentence), "it answered %u (%s)", answer->status,
	    failover_outcome_name(report.outcome));
	call_failed(call, &report, sentence);
}

/* The answer went out. */
static void finish(struct call *call)
{
	struct answer *answer = &call->answer;
	struct failover_report report = report_of(FAILOVER_ANSWERED);

	if (answer->scan.failed)
		report = answer->report;
	if (call->upstream != NULL && answer->may_be_kept)
		upstream_keep(call->upstream);
	call_over(call, &report);
}

/* A body that is no stream is whole: an error in a 200 is one all the same. */
static bool look_at_whole(struct call *call)
{
	struct answer *answer = &call->answer;
	struct scan_found found = {0};
	size_t length = answer->held.length;
	char *copy;

	if (length == 0 || call->provider->api == API_OTHER)
		return true;
	if (answer->held.first->next == NULL && answer->decoding == NULL) {
		scan_whole(
		    &answer->scan, answer->held.first->bytes + answer->held.first->start, length, &found);
	} else if ((copy = malloc(RELAY_HOLD_MAX)) != NULL) {
		scan_whole(&answer->scan, copy, read_held(call, copy, RELAY_HOLD_MAX), &found);
		free(copy);
	}
	if (found.broken) {
		go_wrong(call, FAILOVER_RESET, "its answer is only the beginning of one");
		return false;
	}
	if (!found.error)
		return true;
	call_failed(call, &found.report, "its answer is an error");
	return false;
}

/* All of the body has come. */
static void whole(struct call *call)
{
	struct answer *answer = &call->answer;
	struct batch nothing = {0};

	if (answer->is_error) {
		judge(call);
		return;
	}
	if (answer->committed && !answer_is_whole(answer)) {
		go_wrong(call, FAILOVER_RESET, "its answer ended before its end marker");
		return;
	}
	if (!answer_is_whole(answer)) {
		go_wrong(call, FAILOVER_RESET, "its answer ended without any content");
		return;
	}
	if (!answer->committed) {
		if (!answer->is_stream && !answer->scan.opaque && !look_at_whole(call))
			return;
		commit(call);
	}
	if (answer_send(call, &nothing))
		finish(call);
}

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

/* The head, or a part of it. Returns how many of these bytes were used; -EBADMSG. */
static ssize_t take_head(struct call *call, const char *bytes, size_t length)
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

bool answer_take(struct call *call, const char *bytes, size_t length)
{
	struct answer *answer = &call->answer;
	struct batch batch = {0};
	size_t used = 0;

	if (answer->status == 0) {
		ssize_t head = take_head(call, bytes, length);

		if (head < 0) {
			go_wrong(call, FAILOVER_SERVER_ERROR, "its answer is no HTTP/1.1");
			return false;
		}
		if (answer->status == 0)
			return true;
		used = (size_t)head;
	}
	while (used < length && !answer->body.ended) {
		const char *data;
		size_t data_length;
		ssize_t taken =
		    http_body_take(&answer->body, bytes + used, length - used, &data, &data_length);

		if (taken < 0) {
			if (settle(call, &batch))
				go_wrong(call, FAILOVER_RESET, "its answer has a malformed chunk");
			return false;
		}
		used += (size_t)taken;
		if (data_length > 0)
			examine(call, &batch, data, data_length);
		if (batch.count == PIECES_MAX) {
			if (!settle(call, &batch))
				return false;
			batch = (struct batch){0};
		}
	}
	if (used < length)
		answer->may_be_kept = false;
	if (!settle(call, &batch))
		return false;
	if (!answer->body.ended)
		return true;
	whole(call);
	return false;
}

void answer_closed(struct call *call, bool clean)
{
	struct answer *answer = &call->answer;

	if (answer->status == 0) {
		call_lost(call, FAILOVER_RESET,
		    clean ? "it closed the connection without an answer" : "it reset the connection");
		return;
	}
	answer->may_be_kept = false;
	if (answer->is_error) {
		judge(call);
		return;
	}
	if ((clean || answer->scan.ended) && http_body_closed(&answer->body))
		whole(call);
	else
		go_wrong(call, FAILOVER_RESET, "the connection broke in the middle of its answer");
}
