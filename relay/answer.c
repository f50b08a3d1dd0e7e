/* What comes back: held until the first content, then passed on as it comes. Of an event stream only whole
 * events go out, so that it can always be ended with one of ours. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "relay/relay.h"
#include "relay/reply.h"

#define PIECES_MAX 24
#define SPANS_MAX  (PIECES_MAX + 40)

/* What one read brought of the body. */
struct batch {
	struct iovec pieces[PIECES_MAX];
	uint32_t count;
	uint32_t ready;       /* so many pieces ... */
	size_t ready_bytes;   /* ... and so much of the next belong to whole events */
	bool content, failed; /* failed: an error event or body, not a content */
	struct failover_report report;
};

void answer_clear(struct call *call)
{
	struct answer *answer = &call->answer;

	chain_clear(&answer->held, &call->relay->segments);
	chain_clear(&answer->tail, &call->relay->segments);
	free(answer->head);
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

static bool is_dropped(const struct http_field *field)
{
	static const char *const names[] = {
	    "connection", "keep-alive", "proxy-connection", "transfer-encoding", "trailer", "te", "upgrade"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (http_field_is(field, names[i], strlen(names[i])))
			return true;
	return false;
}

/* The head as the client gets it. `text` has room for it: it is no longer than what came, but for a few
 * lines. */
static void write_head(struct call *call, struct text *text)
{
	struct answer *answer = &call->answer;
	const char *line_end = memchr(answer->head, '\n', answer->head_length);
	struct http_field field;
	size_t offset = 0;

	text_add(text, "HTTP/1.1");
	text_add_bytes(text, answer->head + 8, (size_t)(line_end - answer->head) - 7);
	while (http_head_next(answer->head, answer->head_length, &offset, &field))
		if (!is_dropped(&field))
			text_add_bytes(text, field.line, field.line_length);
	if (answer->chunked_out)
		text_add(text, "Transfer-Encoding: chunked\r\n");
	if (!call->stored_whole) /* what is still to come of the request is thrown away */
		call->client->closing = call->client->lingering = true;
	if (call->client->closing || call->relay->draining) {
		call->client->closing = true;
		text_add(text, "Connection: close\r\n");
	}
	text_add(text, "\r\n");
}

struct sending {
	struct iovec spans[SPANS_MAX];
	uint32_t count;
	size_t bytes; /* of the body */
	char size[24];
};

static void add_span(struct sending *sending, const void *bytes, size_t length)
{
	if (length == 0)
		return;
	sending->spans[sending->count++] = (struct iovec){(void *)bytes, length};
	sending->bytes += length;
}

static void add_chain(struct sending *sending, const struct chain *chain)
{
	const struct chain_cursor start = {0};
	uint32_t count = chain_spans(
	    chain, &start, sending->spans + sending->count, SPANS_MAX - 2 - PIECES_MAX - sending->count);

	/* Large segments hold all that may be held in far fewer. */
	for (uint32_t i = 0; i < count; i++)
		sending->bytes += sending->spans[sending->count + i].iov_len;
	sending->count += count;
}

/* Frames what was gathered from spans[2] on; spans[0] is for the head, spans[1] for the chunk's size. Returns
 * 0 or a negative errno: the client is gone. */
static int send_framed(struct call *call, struct sending *sending, const struct text *head, bool last)
{
	static char line_end[] = "\r\n", last_chunk[] = "0\r\n\r\n";
	struct answer *answer = &call->answer;
	struct iovec *spans = sending->spans;
	uint32_t begin = 2, end = sending->count;

	if (answer->chunked_out && sending->bytes > 0) {
		int length = snprintf(sending->size, sizeof(sending->size), "%zx\r\n", sending->bytes);

		spans[--begin] = (struct iovec){sending->size, (size_t)length};
		spans[end++] = (struct iovec){line_end, 2};
	}
	if (answer->chunked_out && last && !answer->last_sent)
		spans[end++] = (struct iovec){last_chunk, 5};
	answer->last_sent |= last;
	if (head != NULL)
		spans[--begin] = (struct iovec){head->data, head->length};
	return begin == end ? 0 : client_send(call->client, spans + begin, end - begin);
}

/* Whether the body has ended, and in the way that its interface ends. */
static bool is_whole(const struct answer *answer)
{
	return answer->body.ended &&
	       (!answer->is_stream || answer->scan.ended || answer->scan.opaque || answer->scan.failed);
}

/* What of the batch cannot go out yet. Returns 0 or -ENOMEM. */
static int keep_tail(struct call *call, struct batch *batch)
{
	struct answer *answer = &call->answer;
	size_t skipped = batch->ready_bytes;

	for (uint32_t i = batch->ready; i < batch->count; i++, skipped = 0)
		if (chain_add(&answer->tail, &call->relay->segments,
		        (char *)batch->pieces[i].iov_base + skipped, batch->pieces[i].iov_len - skipped) < 0)
			return -ENOMEM;
	return 0;
}

/* Sends what is held, the tail, and the whole events of the batch. Returns false when the call is gone. */
static bool pass(struct call *call, struct batch *batch)
{
	struct answer *answer = &call->answer;
	struct sending sending = {.count = 2};
	char buffer[HTTP_HEAD_MAX + 128];
	struct text text, *head = NULL;
	bool all = !answer->is_stream || answer->body.ended || answer->scan.opaque;
	size_t left = 0;

	if (answer->head != NULL) {
		text_init(&text, buffer, sizeof(buffer));
		write_head(call, &text);
		head = &text;
	}
	for (uint32_t i = batch->ready; i < batch->count; i++)
		left += batch->pieces[i].iov_len;
	if (!all && answer->tail.length + left - batch->ready_bytes > RELAY_TAIL_MAX)
		all = answer->split = true;
	else if (batch->ready > 0 || batch->ready_bytes > 0)
		answer->split = false;
	if (all) {
		batch->ready = batch->count;
		batch->ready_bytes = 0;
	}
	add_chain(&sending, &answer->held);
	if (batch->ready > 0 || batch->ready_bytes > 0)
		add_chain(&sending, &answer->tail);
	for (uint32_t i = 0; i < batch->ready; i++)
		add_span(&sending, batch->pieces[i].iov_base, batch->pieces[i].iov_len);
	if (batch->ready_bytes > 0)
		add_span(&sending, batch->pieces[batch->ready].iov_base, batch->ready_bytes);
	if (send_framed(call, &sending, head, is_whole(answer)) < 0)
		return false;
	free(answer->head);
	answer->head = NULL;
	chain_clear(&answer->held, &call->relay->segments);
	if (batch->ready > 0 || batch->ready_bytes > 0)
		chain_clear(&answer->tail, &call->relay->segments);
	if (keep_tail(call, batch) < 0) {
		client_release(call->client);
		return false;
	}
	return true;
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
		return pass(call, batch);
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

static void examine(struct call *call, struct batch *batch, const char *data, size_t length)
{
	struct answer *answer = &call->answer;
	struct scan_found found = {.complete = length};

	answer->bytes += length;
	batch->pieces[batch->count] = (struct iovec){(void *)data, length};
	if (!answer->is_error && (answer->is_stream || answer->scan.opaque)) {
		scan_feed(&answer->scan, data, length, &found);
		batch->content |= found.content;
		if (found.error && !batch->failed) {
			batch->failed = true;
			batch->report = answer->report = found.report;
		}
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

/* A whole error: what it means. */
static void judge(struct call *call)
{
	struct answer *answer = &call->answer;
	struct failover_report report;
	char body[CLASSIFY_BODY_MAX], sentence[120];
	size_t length = chain_copy(&answer->held, body, sizeof(body));

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
	if (answer->held.first->next == NULL) {
		scan_whole(
		    &answer->scan, answer->held.first->bytes + answer->held.first->start, length, &found);
	} else if ((copy = malloc(length)) != NULL) {
		scan_whole(&answer->scan, copy, chain_copy(&answer->held, copy, length), &found);
		free(copy);
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
	if (answer->committed && !is_whole(answer)) {
		go_wrong(call, FAILOVER_RESET, "its answer ended before its end marker");
		return;
	}
	if (!is_whole(answer)) {
		go_wrong(call, FAILOVER_RESET, "its answer ended without any content");
		return;
	}
	if (!answer->committed) {
		if (!answer->is_stream && !answer->scan.opaque && !look_at_whole(call))
			return;
		commit(call);
	}
	if (pass(call, &nothing))
		finish(call);
}

static bool value_begins(const char *value, size_t length, const char *with)
{
	return length >= strlen(with) && strncasecmp(value, with, strlen(with)) == 0;
}

static bool connection_is_kept(const struct answer *answer)
{
	const char *value;
	size_t length;

	if (answer->head[7] == '0' || answer->body.kind == HTTP_BODY_UNTIL_CLOSE)
		return false;
	return !http_head_field(answer->head, answer->head_length, "connection", &value, &length) ||
	       !value_begins(value, length, "close");
}

/* Reads a whole head. Returns 0 or -EBADMSG. */
static int read_head(struct call *call, const char *head, size_t length)
{
	struct answer *answer = &call->answer;
	const char *value;
	size_t value_length;

	if (http_head_check(HTTP_HEAD_RESPONSE, head, length, NULL) < 0 || http_head_status(head) == 101)
		return -EBADMSG;
	if (http_head_status(head) < 200)
		return 0; /* there is another one to come */
	answer->status = http_head_status(head);
	if (http_body_of_answer(&answer->body, answer->status, call->is_head, head, length) < 0)
		return -EBADMSG;
	answer->head = malloc(length);
	if (answer->head == NULL)
		return -EBADMSG;
	memcpy(answer->head, head, length);
	answer->head_length = length;
	answer->is_error = answer->status >= 400;
	answer->is_stream = !answer->is_error &&
	                    http_head_field(head, length, "content-type", &value, &value_length) &&
	                    value_begins(value, value_length, "text/event-stream");
	answer->may_be_kept = connection_is_kept(answer);
	scan_init(&answer->scan, call->provider->api, answer->is_stream);
	if (call->provider->api == API_OTHER ||
	    http_head_field(head, length, "content-encoding", &value, &value_length))
		answer->scan.opaque = true;
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

void answer_pass_on(struct call *call)
{
	struct batch nothing = {0};

	call->answer.committed = true;
	if (pass(call, &nothing))
		call_passed_on(call);
}

void answer_break(struct call *call, const struct failover_report *report, const char *sentence)
{
	struct answer *answer = &call->answer;
	char buffer[1024], words[300];
	struct sending sending = {.count = 2};
	struct text text;

	call->outcome = report->outcome;
	snprintf(call->sentence, sizeof(call->sentence), "%s", sentence);
	if (call->upstream != NULL)
		upstream_close(call->upstream);
	if (!answer->is_stream || answer->scan.opaque || call->provider->api == API_OTHER) {
		/* Cut short it must look cut short. */
		struct client *client = call->client;

		call->client->closing = true;
		chain_clear(&client->out, &call->relay->segments);
		call_over(call, report);
		client_release(client);
		return;
	}
	snprintf(words, sizeof(words), "The answer of %s was cut off: %s.", call->provider->name, sentence);
	text_init(&text, buffer, sizeof(buffer));
	if (answer->split)
		text_add(&text, "\n\n");
	reply_write_event(&text, call->provider->api, words);
	add_span(&sending, text.data, text.length);
	if (send_framed(call, &sending, NULL, true) == 0)
		call_over(call, report);
}
