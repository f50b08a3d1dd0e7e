/* What goes out of an answer: its head, what was held, whole events; and an end in its interface's own words.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/answer.h"
#include "relay/reply.h"

#define SPANS_MAX (PIECES_MAX + 40)

/* The head as the client gets it. `text` has room for it: it is no longer than what came, but for a few
 * lines. */
static void write_head(struct call *call, struct text *text)
{
	struct answer *answer = &call->answer;
	const char *line_end = memchr(answer->head, '\n', answer->head_length);
	size_t at = (size_t)(line_end - answer->head) + 1;

	text_add(text, "HTTP/1.1");
	text_add_bytes(text, answer->head + 8, at - 8);
	for (uint32_t i = 0; i < answer->dropped_count; i++) {
		text_add_bytes(text, answer->head + at, answer->dropped[i].start - at);
		at = answer->dropped[i].end;
	}
	text_add_bytes(text, answer->head + at, answer->head_length - 2 - at);
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

bool answer_is_whole(const struct answer *answer)
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

bool answer_send(struct call *call, struct batch *batch)
{
	struct answer *answer = &call->answer;
	struct sending sending = {.count = 2};
	char buffer[HTTP_HEAD_MAX + 128];
	struct text text, *head = NULL;
	bool all =
	    !answer->is_stream || answer->body.ended || answer->scan.opaque || answer->decoding != NULL;
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
	if (send_framed(call, &sending, head, answer_is_whole(answer)) < 0)
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

void answer_pass_on(struct call *call)
{
	struct batch nothing = {0};

	call->answer.committed = true;
	if (answer_send(call, &nothing))
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
	if (!answer->is_stream || answer->scan.opaque || answer->decoding != NULL) {
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
