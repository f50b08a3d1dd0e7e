/* What providers say, as their public documentation has it: Anthropic's messages and OpenAI's chat
 * completions, whole and in pieces, and their errors. What does not follow an API is answered in OpenAI's
 * form. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "tests/support/mock_upstream.h"

#define MODEL_DEFAULT "mock-model"

static const struct {
	int status;
	const char *reason;
} reasons[] = {{200, "OK"}, {400, "Bad Request"}, {401, "Unauthorized"}, {402, "Payment Required"},
    {403, "Forbidden"}, {404, "Not Found"}, {413, "Request Entity Too Large"}, {429, "Too Many Requests"},
    {500, "Internal Server Error"}, {503, "Service Unavailable"}, {529, "Overloaded"}};

/* One way to fail: in Anthropic's words, and in OpenAI's. */
static const struct failure {
	const char *name;
	int status[2];
	const char *type[2], *message[2];
	const char *more[2]; /* in the error object: further members */
} failures[] = {
    {"rate", {429, 429}, {"rate_limit_error", "requests"},
        {"This request would exceed your organization's rate limit of 50 requests per minute.",
            "Rate limit reached for mock-model in organization org-mock on requests per min (RPM): Limit 3, "
            "Used 3, "
            "Requested 1. Please try again in 20s."},
        {"", ",\"param\":null,\"code\":\"rate_limit_exceeded\""}},
    {"overloaded", {529, 529}, {"overloaded_error", "server_error"},
        {"Overloaded", "The engine is currently overloaded, please try again later."},
        {"", ",\"param\":null,\"code\":null"}},
    {"server", {500, 500}, {"api_error", "server_error"},
        {"Internal server error", "The server had an error while processing your request. Sorry about that!"},
        {"", ",\"param\":null,\"code\":null"}},
    {"unavailable", {503, 503}, {"api_error", "service_unavailable_error"},
        {"Service unavailable", "The engine is currently overloaded, please try again later."},
        {"", ",\"param\":null,\"code\":\"service_unavailable\""}},
    {"key", {401, 401}, {"authentication_error", "invalid_request_error"},
        {"invalid x-api-key",
            "Incorrect API key provided: sk-mock. You can find your API key in your account."},
        {"", ",\"param\":null,\"code\":\"invalid_api_key\""}},
    {"forbidden", {403, 403}, {"permission_error", "invalid_request_error"},
        {"Your API key does not have permission to use the specified resource.",
            "Country, region, or territory not supported"},
        {"", ",\"param\":null,\"code\":\"unsupported_country_region_territory\""}},
    {"billing", {402, 402}, {"billing_error", "insufficient_quota"},
        {"There's an issue with your billing or payment information.", "Insufficient Balance"},
        {"", ",\"param\":null,\"code\":\"insufficient_balance\""}},
    {"spend", {429, 429}, {"rate_limit_error", "insufficient_quota"},
        {"Your organization has reached its monthly spend limit.",
            "You exceeded your current quota, please check your plan and billing details."},
        {",\"details\":{\"error_code\":\"enforced_spend_limit_reached\"}",
            ",\"param\":null,\"code\":\"insufficient_quota\""}},
    {"usage", {400, 400}, {"invalid_request_error", "invalid_request_error"},
        {"You have reached your specified API usage limits. You will regain access on 2099-01-01 at 00:00 "
         "UTC.",
            "Billing hard limit has been reached"},
        {"", ",\"param\":null,\"code\":\"billing_hard_limit_reached\""}},
    {"credit", {400, 429}, {"invalid_request_error", "insufficient_quota"},
        {"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to "
         "upgrade or "
         "purchase credits.",
            "You exceeded your current quota, please check your plan and billing details."},
        {"", ",\"param\":null,\"code\":\"insufficient_quota\""}},
    {"context", {400, 400}, {"invalid_request_error", "invalid_request_error"},
        {"prompt is too long: 214315 tokens > 200000 maximum",
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 202868 "
            "tokens. "
            "Please reduce the length of the messages."},
        {"", ",\"param\":\"messages\",\"code\":\"context_length_exceeded\""}},
    {"large", {413, 413}, {"request_too_large", "invalid_request_error"},
        {"Request exceeds the maximum size", "Request too large"}, {"", ",\"param\":null,\"code\":null"}},
    {"filter", {400, 400}, {"invalid_request_error", "invalid_request_error"},
        {"Output blocked by content filtering policy",
            "The response was filtered due to the prompt triggering the content management policy. Please "
            "modify your "
            "prompt and retry."},
        {"", ",\"param\":\"prompt\",\"code\":\"content_filter\",\"status\":400,\"innererror\":{\"code\":"
             "\"ResponsibleAIPolicyViolation\"}"}},
    {"prefill", {400, 400}, {"invalid_request_error", "invalid_request_error"},
        {"This model does not support assistant message prefill. The conversation must end with a user "
         "message.",
            "Invalid value: the last message must not be of the assistant."},
        {"", ",\"param\":\"messages\",\"code\":\"invalid_value\""}},
    {"bad", {400, 400}, {"invalid_request_error", "invalid_request_error"},
        {"messages: Field required", "Missing required parameter: 'messages'."},
        {"", ",\"param\":\"messages\",\"code\":\"missing_required_parameter\""}},
};

static const struct failure *failure_find(const char *name)
{
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
		if (strcmp(failures[i].name, name) == 0)
			return &failures[i];
	return &failures[0];
}

static char organisation[64]; /* of the key that is answered; "": left out */

/* Keys are of one organisation when a word of theirs says so: sk-429-orgA, sk-ok-orgA. Others have one each.
 */
void words_speak_for(const char *key)
{
	const char *word = strstr(key, "-org");

	if (word != NULL)
		snprintf(
		    organisation, sizeof(organisation), "org-%.*s", (int)strcspn(word + 4, "-"), word + 4);
	else if (key[0] != '\0')
		snprintf(organisation, sizeof(organisation), "org-%016" PRIx64, hash_bytes(key, strlen(key)));
	else
		organisation[0] = '\0';
}

/* The quota's headers, which come with every answer. */
static void words_limits(struct bytes *words, enum api api, int status, int64_t seconds)
{
	time_t reset = time(NULL) + (seconds > 0 ? seconds : 60);
	struct tm parts;
	char text[32];

	if (organisation[0] != '\0')
		bytes_print(words, "%s: %s\r\n",
		    api == API_ANTHROPIC ? "anthropic-organization-id" : "openai-organization", organisation);
	if (api != API_ANTHROPIC) {
		bytes_print(words,
		    "x-request-id: req_mock\r\nopenai-processing-ms: 12\r\n"
		    "openai-version: 2020-10-01\r\nx-ratelimit-limit-requests: 60\r\n"
		    "x-ratelimit-remaining-requests: %d\r\nx-ratelimit-reset-requests: %" PRId64 "s\r\n",
		    status == 429 ? 0 : 59, seconds > 0 ? seconds : 1);
		return;
	}
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&reset, &parts));
	bytes_print(words,
	    "request-id: req_mock\r\n"
	    "anthropic-ratelimit-requests-limit: 50\r\nanthropic-ratelimit-requests-remaining: %d\r\n"
	    "anthropic-ratelimit-requests-reset: %s\r\n",
	    status == 429 ? 0 : 49, text);
}

void words_head(struct bytes *words, enum api api, int status, const char *type, const char *more)
{
	const char *reason = "Unknown";

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			reason = reasons[i].reason;
	bytes_print(words, "HTTP/1.1 %d %s\r\ncontent-type: %s\r\n", status, reason, type);
	words_limits(words, api, status, 0);
	bytes_print(words, "%s\r\n", more);
}

static void error_object(struct bytes *words, enum api api, const struct failure *failure)
{
	int which = api != API_ANTHROPIC;

	if (api == API_ANTHROPIC)
		bytes_print(words,
		    "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"%s\"%s},\"request_id\":"
		    "\"req_mock\"}",
		    failure->type[which], failure->message[which], failure->more[which]);
	else
		bytes_print(words, "{\"error\":{\"message\":\"%s\",\"type\":\"%s\"%s}}",
		    failure->message[which], failure->type[which], failure->more[which]);
}

/* `seconds`: for Retry-After; 0: none. */
void words_error(struct bytes *words, enum api api, const char *name, int64_t seconds)
{
	const struct failure *failure = failure_find(name);
	int status = failure->status[api != API_ANTHROPIC];
	struct bytes body = {0};
	char more[96];
	int length = 0;

	error_object(&body, api, failure);
	if (seconds > 0)
		length = snprintf(more, sizeof(more), "retry-after: %" PRId64 "\r\n", seconds);
	snprintf(more + length, sizeof(more) - (size_t)length, "content-length: %zu\r\n", body.length);
	words_head(words, api, status, "application/json", more);
	bytes_add(words, body.data, body.length);
	bytes_release(&body);
}

void words_error_event(struct bytes *words, enum api api, const char *name)
{
	struct bytes body = {0};

	error_object(&body, api, failure_find(name));
	bytes_print(words, "%sdata: %.*s\n\n", api == API_ANTHROPIC ? "event: error\n" : "", (int)body.length,
	    body.data);
	bytes_release(&body);
}

static const char *model_of(const struct request *request)
{
	return request->model[0] != '\0' ? request->model : MODEL_DEFAULT;
}

void words_answer(struct bytes *words, const struct request *request, const char *text, const char *reason,
    const struct usage *usage)
{
	if (request->api == API_ANTHROPIC)
		bytes_print(words,
		    "{\"id\":\"msg_mock\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"%s\","
		    "\"content\":"
		    "[{\"type\":\"text\",\"text\":\"%s\"}],\"stop_reason\":\"%s\",\"stop_sequence\":null,"
		    "\"usage\":"
		    "{\"input_tokens\":%" PRId64
		    ",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
		    "\"output_tokens\":%" PRId64 ",\"service_tier\":\"standard\"}}",
		    model_of(request), text, reason != NULL ? reason : "end_turn", usage->input,
		    usage->output);
	else
		bytes_print(words,
		    "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\",\"created\":1700000000,"
		    "\"model\":\"%s\","
		    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\","
		    "\"refusal\":null},"
		    "\"logprobs\":null,\"finish_reason\":\"%s\"}],\"usage\":{\"prompt_tokens\":%" PRId64
		    ",\"completion_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64
		    "},\"service_tier\":\"default\"}",
		    model_of(request), text, reason != NULL ? reason : "stop", usage->input, usage->output,
		    usage->input + usage->output);
}

static void words_piece(
    struct bytes *words, const struct request *request, const char *delta, const char *reason)
{
	bytes_print(words,
	    "data: "
	    "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":"
	    "\"%s\","
	    "\"system_fingerprint\":\"fp_mock\",\"choices\":[{\"index\":0,\"delta\":%s,\"logprobs\":null,"
	    "\"finish_reason\":%s%s%s}]}\n\n",
	    model_of(request), delta, reason != NULL ? "\"" : "", reason != NULL ? reason : "null",
	    reason != NULL ? "\"" : "");
}

/* All that comes before the first content. */
void words_preamble(struct bytes *words, const struct request *request, const struct usage *usage)
{
	if (request->api != API_ANTHROPIC) {
		words_piece(
		    words, request, "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", NULL);
		return;
	}
	bytes_print(words,
	    "event: message_start\ndata: "
	    "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_mock\",\"type\":\"message\","
	    "\"role\":\"assistant\",\"model\":\"%s\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":"
	    "null,\"usage\":"
	    "{\"input_tokens\":%" PRId64 ",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
	    "\"output_tokens\":1}}}\n\n",
	    model_of(request), usage->input);
	bytes_print(words, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
	                   "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
	words_ping(words, request->api);
}

void words_content(struct bytes *words, const struct request *request, const char *text)
{
	char delta[512];

	if (request->api == API_ANTHROPIC) {
		bytes_print(words,
		    "event: content_block_delta\ndata: "
		    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
		    "{\"type\":\"text_delta\",\"text\":\"%s\"}}\n\n",
		    text);
		return;
	}
	snprintf(delta, sizeof(delta), "{\"content\":\"%s\"}", text);
	words_piece(words, request, delta, NULL);
}

/* Reasoning is content too; OpenAI's own chat completions show none, compatible providers do. */
void words_thinking(struct bytes *words, const struct request *request)
{
	if (request->api == API_ANTHROPIC)
		bytes_print(words,
		    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
		    "\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"Hm.\"}}\n\n");
	else
		words_piece(words, request, "{\"reasoning_content\":\"Hm.\"}", NULL);
}

void words_tool(struct bytes *words, const struct request *request)
{
	if (request->api == API_ANTHROPIC)
		bytes_print(words,
		    "event: content_block_start\ndata: "
		    "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":"
		    "{\"type\":\"tool_use\",\"id\":\"toolu_mock\",\"name\":\"exec\",\"input\":{}}}\n\n"
		    "event: content_block_delta\ndata: "
		    "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":"
		    "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"command\\\":\\\"true\\\"}\"}}\n\n"
		    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n");
	else
		words_piece(words, request,
		    "{\"tool_calls\":[{\"index\":0,\"id\":\"call_mock\",\"type\":\"function\",\"function\":{"
		    "\"name\":\"exec\","
		    "\"arguments\":\"{\\\"command\\\":\\\"true\\\"}\"}}]}",
		    NULL);
}

void words_ping(struct bytes *words, enum api api)
{
	if (api == API_ANTHROPIC)
		bytes_print(words, "event: ping\ndata: {\"type\": \"ping\"}\n\n");
	else
		bytes_print(words, ": keep-alive\n\n");
}

void words_end(
    struct bytes *words, const struct request *request, const char *reason, const struct usage *usage)
{
	if (request->api == API_ANTHROPIC) {
		bytes_print(words,
		    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
		    "event: message_delta\ndata: "
		    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"%s\","
		    "\"stop_sequence\":null},\"usage\":{\"output_tokens\":%" PRId64 "}}\n\n"
		    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
		    reason != NULL ? reason : "end_turn", usage->output);
		return;
	}
	words_piece(words, request, "{}", reason != NULL ? reason : "stop");
	bytes_print(words,
	    "data: "
	    "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":"
	    "\"%s\","
	    "\"choices\":[],\"usage\":{\"prompt_tokens\":%" PRId64 ",\"completion_tokens\":%" PRId64
	    ",\"total_tokens\":%" PRId64 "}}\n\ndata: [DONE]\n\n",
	    model_of(request), usage->input, usage->output, usage->input + usage->output);
}

void words_chunk(struct bytes *words, const struct bytes *data)
{
	bytes_print(words, "%zx\r\n", data->length);
	bytes_add(words, data->data, data->length);
	bytes_add(words, "\r\n", 2);
}
