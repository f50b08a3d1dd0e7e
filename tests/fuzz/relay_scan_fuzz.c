/* Answers read along: cut anywhere they mean the same, and whole events end where they are said to. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "relay/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	bool content, ended, failed, finished;
	enum failover_outcome cause;
	struct scan_usage usage;
	size_t complete; /* of all, up to the end of the last whole event */
};

static struct outcome feed(enum api api, const char *bytes, size_t size, size_t piece)
{
	struct outcome outcome = {0};
	struct scan scan;

	scan_init(&scan, api, true);
	for (size_t at = 0; at < size; at += piece) {
		size_t length = size - at < piece ? size - at : piece;
		struct scan_found found;

		if (scan_feed(&scan, bytes + at, length, &found) < 0)
			break;
		if (found.complete > length)
			abort();
		if (found.complete > 0)
			outcome.complete = at + found.complete;
		if (found.error && !outcome.failed)
			outcome.cause = found.report.outcome;
		outcome.failed |= found.error;
	}
	outcome.content = scan.content;
	outcome.ended = scan.ended;
	outcome.finished = scan.finished;
	outcome.usage = scan.usage;
	scan_release(&scan);
	return outcome;
}

static void expect_same(const struct outcome *one, const struct outcome *other)
{
	if (one->ended != other->ended || one->failed != other->failed || one->complete != other->complete ||
	    one->finished != other->finished || one->cause != other->cause ||
	    one->content != other->content || memcmp(&one->usage, &other->usage, sizeof(one->usage)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	struct scan_request request;
	struct scan_found found;
	struct scan scan;

	if (size == 0 || size > SCAN_EVENT_MAX) /* what is longer than is kept is content when it is cut */
		return 0;
	for (int api = API_ANTHROPIC_MESSAGES; api <= API_OPENAI_COMPLETIONS; api++) {
		struct outcome whole = feed((enum api)api, bytes, size, size);
		struct outcome one = feed((enum api)api, bytes, size, 1),
		               some = feed((enum api)api, bytes, size, 61);

		expect_same(&whole, &one);
		expect_same(&whole, &some);
		scan_init(&scan, (enum api)api, false);
		scan_whole(&scan, bytes, size, &found);
		scan_release(&scan);
	}
	scan_request_read(bytes, size, &request);
	if (memchr(request.model, '\0', sizeof(request.model)) == NULL)
		abort();
	return 0;
}
