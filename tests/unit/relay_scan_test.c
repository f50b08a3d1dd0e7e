/* Answers read along: where events end, when the first content comes, errors, ends and counts; however they
 * are cut. */
#include "relay/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/reply.h"
#include "tests/support/tap.h"

#define ANTHROPIC API_ANTHROPIC_MESSAGES
#define OPENAI    API_OPENAI_COMPLETIONS
#define START                                                                                                \
	"event: message_start\ndata: "                                                                       \
	"{\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":9,"            \
	"\"cache_read_input_tokens\":3,\"output_tokens\":1}}}\n\n"
#define PING "event: ping\ndata: {\"type\": \"ping\"}\n\n"
#define BLOCK                                                                                                \
	"event: content_block_start\ndata: "                                                                 \
	"{\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
#define TEXT                                                                                                 \
	"event: content_block_delta\ndata: "                                                                 \
	"{\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hello\"}}\n\n"
#define STOPS                                                                                                \
	"event: message_delta\ndata: "                                                                       \
	"{\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\n"
#define STOP "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
#define ROLE                                                                                                 \
	"data: "                                                                                             \
	"{\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}"  \
	"\n\n"

struct outcome {
	struct scan scan;
	size_t first_content; /* where the piece began that brought it; SIZE_MAX: none */
	size_t complete;
	bool error;
	enum failover_outcome cause;
};

static struct outcome read_pieces(enum api api, const char *bytes, size_t piece)
{
	struct outcome outcome = {.first_content = SIZE_MAX};
	size_t size = strlen(bytes);

	scan_init(&outcome.scan, api, true);
	for (size_t at = 0; at < size; at += piece) {
		struct scan_found found;

		CHECK(
		    scan_feed(&outcome.scan, bytes + at, size - at < piece ? size - at : piece, &found) == 0);
		if (found.content && outcome.first_content == SIZE_MAX)
			outcome.first_content = at;
		if (found.complete > 0)
			outcome.complete = at + found.complete;
		if (found.error) {
			outcome.error = true;
			outcome.cause = found.report.outcome;
		}
	}
	scan_release(&outcome.scan);
	return outcome;
}

TEST("the preamble of both interfaces is no content")
{
	static const char *const anthropic[] = {START, PING, BLOCK, START PING BLOCK, ": a comment\n\n",
	    "event: content_block_delta\ndata: {\"delta\":{\"type\":\"text_delta\",\"text\":\"\"}}\n\n",
	    ("event: content_block_start\ndata: "
	     "{\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\n\n")};
	static const char *const openai[] = {ROLE, ": OPENROUTER PROCESSING\n\n",
	    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n",
	    ("data: "
	     "{\"choices\":[{\"delta\":{\"content\":\"\",\"tool_calls\":[]},\"finish_reason\":null}]}\n\n")};

	for (size_t i = 0; i < sizeof(anthropic) / sizeof(anthropic[0]); i++)
		CHECK(!read_pieces(ANTHROPIC, anthropic[i], 1000).scan.content);
	for (size_t i = 0; i < sizeof(openai) / sizeof(openai[0]); i++)
		CHECK(!read_pieces(OPENAI, openai[i], 1000).scan.content);
}

TEST("text, thinking, tools and what ends an answer are content")
{
	static const char *const anthropic[] = {TEXT, STOPS,
	    "event: content_block_start\ndata: "
	    "{\"content_block\":{\"type\":\"tool_use\",\"name\":\"x\",\"input\":{}}}\n\n",
	    "event: content_block_delta\ndata: "
	    "{\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n",
	    "event: content_block_delta\ndata: "
	    "{\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\"}}\n\n",
	    "event: content_block_start\ndata: "
	    "{\"content_block\":{\"type\":\"redacted_thinking\",\"data\":\"x\"}}\n\n"};
	static const char *const openai[] = {"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
	    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}\n\n",
	    "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n",
	    "data: {\"choices\":[{\"delta\":{\"refusal\":\"no\"}}]}\n\n",
	    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"};

	for (size_t i = 0; i < sizeof(anthropic) / sizeof(anthropic[0]); i++)
		CHECK(read_pieces(ANTHROPIC, anthropic[i], 1000).scan.content);
	for (size_t i = 0; i < sizeof(openai) / sizeof(openai[0]); i++)
		CHECK(read_pieces(OPENAI, openai[i], 1000).scan.content);
}

TEST("cut anywhere it is the same, and what is complete ends with an event")
{
	static const char stream[] = START PING BLOCK TEXT TEXT ": x\n\n" STOPS STOP "event: pi";

	for (size_t piece = 1; piece <= sizeof(stream); piece++) {
		struct outcome outcome = read_pieces(ANTHROPIC, stream, piece);

		CHECK(outcome.scan.content && outcome.scan.ended && outcome.scan.finished && !outcome.error);
		CHECK(outcome.complete == sizeof(stream) - 1 - strlen("event: pi"));
		CHECK(outcome.scan.usage.input_tokens == 9 && outcome.scan.usage.output_tokens == 5 &&
		      outcome.scan.usage.cache_read_tokens == 3);
		CHECK_TEXT(outcome.scan.model, "m");
	}
}

TEST("lines may end in CR LF, and a mark may come before the first")
{
	CHECK(read_pieces(OPENAI,
	    "\xef\xbb\xbf"
	    ": x\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n",
	    7)
	          .scan.content);
	CHECK(read_pieces(OPENAI, "data: [DONE]\r\n\r\n", 1).scan.ended);
}

TEST("an error is one on both interfaces, and says what kind")
{
	static const char anthropic[] =
	    START "event: error\ndata: "
	          "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
	static const char openai[] =
	    ROLE "data: {\"error\":{\"message\":\"Rate limit\",\"code\":\"rate_limit_exceeded\"}}\n\n";
	struct outcome one = read_pieces(ANTHROPIC, anthropic, 11), other = read_pieces(OPENAI, openai, 1000);

	CHECK(one.error && one.cause == FAILOVER_OVERLOADED && !one.scan.content);
	CHECK(other.error && other.cause == FAILOVER_RATE_LIMITED && !other.scan.content);
}

TEST("what we end a stream with is an error of its interface")
{
	for (int api = ANTHROPIC; api <= OPENAI; api++) {
		char buffer[512];
		struct text text;

		text_init(&text, buffer, sizeof(buffer));
		reply_write_event(&text, (enum api)api, "It broke \"off\".\n");
		CHECK(read_pieces((enum api)api, buffer, 1000).error &&
		      !read_pieces((enum api)api, buffer, 1000).scan.ended);
	}
}

TEST("an event longer than is kept is content, and the next one is read again")
{
	size_t size = 3 * SCAN_EVENT_MAX;
	char *stream = malloc(size + 200);
	struct outcome outcome;

	memcpy(stream, "data: {\"x\":\"", 12);
	memset(stream + 12, 'x', size - 12);
	memcpy(stream + size, "\"}\n\ndata: [DONE]\n\n", 19);
	outcome = read_pieces(OPENAI, stream, 1000);
	CHECK(outcome.scan.content && outcome.scan.ended);
	free(stream);
}

TEST("a whole answer: its counts, an error in its place, half of one")
{
	static const char good[] = "{\"model\":\"m\",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,"
	                           "\"prompt_tokens_details\":{\"cached_tokens\":4}}}";
	static const char bad[] = "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"x\"}}";
	struct scan_found found;
	struct scan scan;

	scan_init(&scan, OPENAI, false);
	scan_whole(&scan, good, sizeof(good) - 1, &found);
	CHECK(!found.error && !found.broken && scan.usage.input_tokens == 7 &&
	      scan.usage.cache_read_tokens == 4);
	scan_whole(&scan, bad, sizeof(bad) - 1, &found);
	CHECK(found.error && found.report.outcome == FAILOVER_QUOTA);
	scan_whole(&scan, good, sizeof(good) - 10, &found);
	CHECK(found.broken && !found.error);
	scan_whole(&scan, "binary", 6, &found);
	CHECK(!found.broken && !found.error);
}

TEST("a request's model is found wherever it stands, and its conversation by the first thing that was said")
{
	static const char one[] =
	    "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"now: 1\"},{\"role\":"
	    "\"user\",\"content\":\"hello\"}]}";
	static const char later[] =
	    "{\"messages\":[{\"role\":\"system\",\"content\":\"now: "
	    "2\"},{\"content\":\"hello\",\"role\":\"user\"},"
	    "{\"role\":\"assistant\",\"content\":\"hi\"}],\"stream\":true,\"model\":\"m\"}";
	static const char other[] =
	    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"bye\"}]}";
	struct scan_request first, second, third;

	scan_request_read(one, sizeof(one) - 1, &first);
	scan_request_read(later, sizeof(later) - 1, &second);
	scan_request_read(other, sizeof(other) - 1, &third);
	CHECK_TEXT(first.model, "m");
	CHECK_TEXT(second.model, "m");
	CHECK(first.conversation != 0 && first.conversation == second.conversation);
	CHECK(third.conversation != 0 && third.conversation != first.conversation);
	scan_request_read("no JSON", 7, &first);
	CHECK(first.model[0] == '\0' && first.conversation == 0);
	scan_request_read(one, 20, &first);
	CHECK_TEXT(first.model, "m");
}

TEST("the relay's own answers are those of the interface")
{
	char buffer[1024];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	reply_write(&text, ANTHROPIC, 429, 1001, true, "All cool down.");
	CHECK(strstr(buffer, "HTTP/1.1 429 ") == buffer && strstr(buffer, "Retry-After: 2\r\n") != NULL);
	CHECK(strstr(buffer, "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"All "
	                     "cool down.\"}}") != NULL);
	text_init(&text, buffer, sizeof(buffer));
	reply_write(&text, OPENAI, 502, -1, false, "x");
	CHECK(strstr(buffer, "Retry-After") == NULL && strstr(buffer, "Connection: close\r\n") != NULL);
	CHECK(strstr(buffer,
	          "{\"error\":{\"type\":\"server_error\",\"message\":\"x\",\"param\":null,\"code\":null}}") !=
	      NULL);
}
