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

/* A body that is no stream is whole: an error in a 200 is one all the same. Returns whether it is an answer.
 */
static bool accept_found(struct call *call, const struct scan_found *found)
{
	if (found->broken) {
		go_wrong(call, FAILOVER_RESET, "its answer is only the beginning of one");
		return false;
	}
	if (!found->error)
		return true;
	call->answer.is_error = true; /* passed on as it came, if nobody else can take the call */
	call_failed(call, &found->report, "its answer is an error");
	return false;
}

static bool look_at_held(struct call *call)
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
	return accept_found(call, &found);
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
		if (!answer->is_stream && !answer->scan.opaque && !look_at_held(call))
			return;
		commit(call);
	}
	if (answer_send(call, &nothing))
		finish(call);
}

/* A whole answer that came in one piece needs not be held. */
static bool is_at_once(const struct call *call, const struct batch *batch)
{
	const struct answer *answer = &call->answer;

	return answer->body.ended && batch->count == 1 && answer->held.length == 0 && !answer->committed &&
	       !answer->is_error && !answer->is_stream && !answer->scan.opaque && answer->decoding == NULL;
}

static void take_at_once(struct call *call, struct batch *batch)
{
	struct scan_found found;

	scan_whole(&call->answer.scan, batch->pieces[0].iov_base, batch->pieces[0].iov_len, &found);
	/* What goes on from here may be the error itself. */
	if (found.error && hold(call, batch) < 0)
		found.broken = true;
	if (!accept_found(call, &found))
		return;
	commit(call);
	if (answer_send(call, batch))
		finish(call);
}

bool answer_take(struct call *call, const char *bytes, size_t length)
{
	struct answer *answer = &call->answer;
	struct batch batch = {0};
	size_t used = 0;

	if (answer->status == 0) {
		ssize_t head = answer_take_head(call, bytes, length);

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
	if (is_at_once(call, &batch)) {
		take_at_once(call, &batch);
		return false;
	}
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
