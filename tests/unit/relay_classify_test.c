/* What providers' answers mean: by status, head and body, as their documentation and their answers have them.
 */
#include "relay/classify.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/tap.h"

#define NOW_MS     1764590400000 /* 2025-12-01T12:00:00Z */
#define ANTHROPIC  API_ANTHROPIC_MESSAGES
#define OPENAI     API_OPENAI_COMPLETIONS
#define A(t, m)    "{\"type\":\"error\",\"error\":{\"type\":\"" t "\",\"message\":\"" m "\"}}"
#define O(t, c, m) "{\"error\":{\"message\":\"" m "\",\"type\":\"" t "\",\"param\":null,\"code\":" c "}}"

static struct failover_report classify(enum api api, unsigned status, const char *fields, const char *body)
{
	struct failover_report report;
	char head[1024];

	snprintf(head, sizeof(head), "HTTP/1.1 %u X\r\n%s\r\n", status, fields);
	classify_answer(api, status, head, strlen(head), body, strlen(body), NOW_MS, &report);
	return report;
}

static const struct {
	enum api api;
	unsigned status;
	const char *body;
	enum failover_outcome outcome;
	enum failover_scope scope;
} errors[] = {
    {ANTHROPIC, 429, A("rate_limit_error", "This request would exceed your rate limit"),
        FAILOVER_RATE_LIMITED, FAILOVER_MODEL},
    {ANTHROPIC, 529, A("overloaded_error", "Overloaded"), FAILOVER_OVERLOADED, FAILOVER_MODEL},
    {ANTHROPIC, 500, A("api_error", "Internal server error"), FAILOVER_SERVER_ERROR, FAILOVER_MODEL},
    {ANTHROPIC, 500, A("overloaded_error", "Overloaded"), FAILOVER_OVERLOADED, FAILOVER_MODEL},
    {ANTHROPIC, 504, A("timeout_error", "x"), FAILOVER_SERVER_ERROR, FAILOVER_MODEL},
    {ANTHROPIC, 401, A("authentication_error", "invalid x-api-key"), FAILOVER_AUTH, FAILOVER_PROFILE},
    {ANTHROPIC, 403, A("permission_error", "x"), FAILOVER_AUTH, FAILOVER_PROFILE},
    {ANTHROPIC, 402, A("billing_error", "x"), FAILOVER_BILLING, FAILOVER_PROFILE},
    {ANTHROPIC, 400,
        A("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
        FAILOVER_BILLING, FAILOVER_PROFILE},
    {ANTHROPIC, 400, A("invalid_request_error", "You have reached your specified API usage limits."),
        FAILOVER_BILLING, FAILOVER_PROFILE},
    {ANTHROPIC, 429,
        "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"x\",\"details\":{"
        "\"error_code\":"
        "\"enforced_spend_limit_reached\"}}}",
        FAILOVER_QUOTA, FAILOVER_PROFILE},
    {ANTHROPIC, 400, A("invalid_request_error", "prompt is too long: 214315 tokens > 200000 maximum"),
        FAILOVER_CONTEXT_TOO_LONG, FAILOVER_MODEL},
    {ANTHROPIC, 400,
        A("invalid_request_error", "input length and `max_tokens` exceed context limit: 198 + 21 > 200"),
        FAILOVER_CONTEXT_TOO_LONG, FAILOVER_MODEL},
    {ANTHROPIC, 413, A("request_too_large", "x"), FAILOVER_CONTEXT_TOO_LONG, FAILOVER_MODEL},
    {ANTHROPIC, 400, A("invalid_request_error", "Output blocked by content filtering policy"),
        FAILOVER_CONTENT_FILTER, FAILOVER_MODEL},
    {ANTHROPIC, 400, A("invalid_request_error", "messages: Field required"), FAILOVER_BAD_REQUEST,
        FAILOVER_MODEL},
    {ANTHROPIC, 404, A("not_found_error", "model: claude-9"), FAILOVER_BAD_REQUEST, FAILOVER_MODEL},
    {OPENAI, 429, O("requests", "\"rate_limit_exceeded\"", "Rate limit reached"), FAILOVER_RATE_LIMITED,
        FAILOVER_MODEL},
    {OPENAI, 429,
        O("tokens", "\"rate_limit_exceeded\"",
            "Rate limit reached for m in organization org-a on tokens per min"),
        FAILOVER_RATE_LIMITED, FAILOVER_ORGANISATION},
    {OPENAI, 429, O("insufficient_quota", "\"insufficient_quota\"", "You exceeded your current quota"),
        FAILOVER_QUOTA, FAILOVER_PROFILE},
    {OPENAI, 400, O("invalid_request_error", "\"billing_hard_limit_reached\"", "x"), FAILOVER_BILLING,
        FAILOVER_PROFILE},
    {OPENAI, 401, O("invalid_request_error", "\"invalid_api_key\"", "Incorrect API key provided"),
        FAILOVER_AUTH, FAILOVER_PROFILE},
    {OPENAI, 400, O("invalid_request_error", "\"context_length_exceeded\"", "x"), FAILOVER_CONTEXT_TOO_LONG,
        FAILOVER_MODEL},
    {OPENAI, 400, O("invalid_request_error", "null", "This model's maximum context length is 128000 tokens."),
        FAILOVER_CONTEXT_TOO_LONG, FAILOVER_MODEL},
    {OPENAI, 400, O("invalid_request_error", "\"content_filter\"", "x"), FAILOVER_CONTENT_FILTER,
        FAILOVER_MODEL},
    {OPENAI, 500, O("server_error", "null", "The server had an error"), FAILOVER_SERVER_ERROR,
        FAILOVER_MODEL},
    {OPENAI, 503, O("server_error", "null", "The engine is currently overloaded"), FAILOVER_OVERLOADED,
        FAILOVER_MODEL},
    {OPENAI, 502, "<html>Bad gateway</html>", FAILOVER_SERVER_ERROR, FAILOVER_MODEL},
    {ANTHROPIC, 400,
        A("invalid_request_error", "You have reached your specified workspace API usage limits."),
        FAILOVER_BILLING, FAILOVER_PROFILE},
    {ANTHROPIC, 400,
        A("invalid_request_error", "Third-party apps now draw from your extra usage, not your plan."),
        FAILOVER_BILLING, FAILOVER_PROFILE},
    {ANTHROPIC, 400, A("invalid_request_error", "This organization has been disabled."), FAILOVER_AUTH,
        FAILOVER_PROFILE},
    {ANTHROPIC, 400,
        A("invalid_request_error",
            "This credential is only authorized for use with Claude Code and not here."),
        FAILOVER_AUTH, FAILOVER_MODEL},
    {ANTHROPIC, 403, "{\"error\":{\"type\":\"forbidden\",\"message\":\"Request not allowed\"}}",
        FAILOVER_SERVER_ERROR, FAILOVER_MODEL},
    {ANTHROPIC, 403, "\r\n<!DOCTYPE html><title>Attention</title>", FAILOVER_SERVER_ERROR, FAILOVER_MODEL},
    {ANTHROPIC, 413, A("invalid_request_error", "Request size exceeds model context window"),
        FAILOVER_CONTEXT_TOO_LONG, FAILOVER_MODEL},
    {ANTHROPIC, 429, A("rate_limit_error", "prompt is too long for your tier"), FAILOVER_RATE_LIMITED,
        FAILOVER_MODEL},
    {OPENAI, 429, O("insufficient_quota", "\"credit_balance_exhausted\"", "x"), FAILOVER_BILLING,
        FAILOVER_PROFILE},
    {OPENAI, 429, O("insufficient_quota", "\"organization_spend_limit_exceeded\"", "x"), FAILOVER_QUOTA,
        FAILOVER_PROFILE},
    {OPENAI, 429, O("x", "\"project_spend_limit_exceeded\"", "x"), FAILOVER_QUOTA, FAILOVER_PROFILE},
    {OPENAI, 429, O("x", "\"organization_usage_limit_exceeded\"", "x"), FAILOVER_QUOTA, FAILOVER_PROFILE},
    {OPENAI, 403, O("invalid_request_error", "\"model_not_found\"", "Project `p` has no access to model `m`"),
        FAILOVER_AUTH, FAILOVER_MODEL},
    {OPENAI, 404, O("invalid_request_error", "\"model_not_found\"", "The model `m` does not exist"),
        FAILOVER_BAD_REQUEST, FAILOVER_MODEL},
    {OPENAI, 403, O("request_forbidden", "\"unsupported_country_region_territory\"", "x"),
        FAILOVER_SERVER_ERROR, FAILOVER_MODEL},
    {OPENAI, 400, O("invalid_request_error", "\"invalid_prompt\"", "flagged"), FAILOVER_CONTENT_FILTER,
        FAILOVER_MODEL},
    {OPENAI, 400, O("x", "null", "your prompt was flagged as potentially violating our usage policy."),
        FAILOVER_CONTENT_FILTER, FAILOVER_MODEL},
    {OPENAI, 403, O("", "403", "m requires moderation. Your input was flagged."), FAILOVER_CONTENT_FILTER,
        FAILOVER_MODEL},
    {OPENAI, 402, O("", "402", "Insufficient credits"), FAILOVER_BILLING, FAILOVER_PROFILE},
    {OPENAI, 400, O("", "429", "x"), FAILOVER_BAD_REQUEST, FAILOVER_MODEL},
    {API_OTHER, 429, "", FAILOVER_RATE_LIMITED, FAILOVER_MODEL},
    {API_OTHER, 409, "", FAILOVER_SERVER_ERROR, FAILOVER_MODEL},
    {API_OTHER, 403, "", FAILOVER_AUTH, FAILOVER_PROFILE},
    {API_OTHER, 400, "{\"error\":\"no\"}", FAILOVER_BAD_REQUEST, FAILOVER_MODEL},
};

TEST("each kind of error is known by status, type, code and words")
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct failover_report report = classify(errors[i].api, errors[i].status, "", errors[i].body);

		if (!CHECK(report.outcome == errors[i].outcome && report.scope == errors[i].scope))
			printf("# %u %s: %s, %s\n", errors[i].status, errors[i].body,
			    failover_outcome_name(report.outcome), failover_scope_name(report.scope));
	}
}

TEST("how long to wait is read in every way it is said")
{
	static const struct {
		const char *fields, *body;
		int64_t wait_ms;
	} cases[] = {
	    {"Retry-After: 7\r\n", "", 7000},
	    {"retry-after-ms: 250\r\nRetry-After: 7\r\n", "", 250},
	    {"Retry-After: Mon, 01 Dec 2025 12:00:30 GMT\r\n", "", 30000},
	    {"Retry-After: Mon, 01 Dec 2025 11:00:30 GMT\r\n", "", 0},
	    {"Retry-After: soon\r\n", "", -1},
	    {"Retry-After: -5\r\n", "", -1},
	    {"Retry-After: inf\r\n", "", -1},
	    {"Retry-After: 0x10\r\n", "", -1},
	    {"Retry-After: 1e3\r\n", "", -1},
	    {"Retry-After: 1.5\r\n", "", 1500},
	    {"Retry-After: 99999999999999\r\n", "", 31 * 24 * 3600 * (int64_t)1000},
	    {"anthropic-ratelimit-tokens-remaining: 0\r\nanthropic-ratelimit-tokens-reset: "
	     "2025-12-01T12:01:00Z\r\n",
	        "", 60000},
	    {"anthropic-ratelimit-tokens-remaining: 5\r\nanthropic-ratelimit-tokens-reset: "
	     "2025-12-01T12:01:00Z\r\n",
	        "", -1},
	    {"anthropic-ratelimit-unified-status: rejected\r\nanthropic-ratelimit-unified-reset: "
	     "1764590520\r\n",
	        "", 120000},
	    {"anthropic-ratelimit-requests-remaining: 0\r\nanthropic-ratelimit-requests-reset: "
	     "2025-12-01T14:01:00.25+02:00\r\n",
	        "", 60000},
	    {"anthropic-ratelimit-requests-remaining: 0\r\nanthropic-ratelimit-requests-reset: "
	     "2025-12-01 at noon\r\n",
	        "", -1},
	    {"anthropic-ratelimit-unified-7d-status: rejected\r\nanthropic-ratelimit-unified-7d-reset: "
	     "1764590460\r\n",
	        "", 60000},
	    {"anthropic-ratelimit-unified-status: allowed\r\nanthropic-ratelimit-unified-reset: "
	     "1764590460\r\n",
	        "", -1},
	    {"x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 6m0s\r\n", "", 360000},
	    {"x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 20ms\r\n", "", 20},
	    {"x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 1h2m3s\r\n", "", 3723000},
	    {"", A("rate_limit_error", "You will regain access on 2025-12-02 at 00:00 UTC."),
	        12 * 3600 * 1000},
	    {"", O("tokens", "null", "Rate limit reached. Please try again in 9.816s. Visit us."), 9816},
	    {"", O("requests", "null", "Please try again in 1m26.4s"), 86400},
	    {"Retry-After: 3\r\n", O("requests", "null", "Please try again in 20ms."), 3000},
	    {"", O("requests", "null", "Please try again in a while."), -1},
	    {"", "", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct failover_report report = classify(ANTHROPIC, 429, cases[i].fields, cases[i].body);

		if (!CHECK(report.retry_after_ms == cases[i].wait_ms))
			printf("# %s: %lld\n", cases[i].fields, (long long)report.retry_after_ms);
	}
}

TEST("what the provider's own clients would try again is tried elsewhere")
{
	static const char body[] = O("invalid_request_error", "null", "x");

	CHECK(classify(OPENAI, 400, "x-should-retry: true\r\n", body).outcome == FAILOVER_SERVER_ERROR);
	CHECK(classify(OPENAI, 400, "x-should-retry: false\r\n", body).outcome == FAILOVER_BAD_REQUEST);
	CHECK(classify(OPENAI, 429, "x-should-retry: false\r\n", "").outcome == FAILOVER_RATE_LIMITED);
	CHECK(classify(ANTHROPIC, 400, "x-should-retry: true\r\n",
	          A("invalid_request_error", "prompt is too long: 3 tokens > 2 maximum"))
	          .outcome == FAILOVER_CONTEXT_TOO_LONG);
}

TEST("a cap of the month with a Retry-After is a limit like any other")
{
	struct failover_report report = classify(ANTHROPIC, 429, "Retry-After: 3\r\n",
	    "{\"error\":{\"details\":\"enforced_spend_limit_reached\"}}");

	CHECK(report.outcome == FAILOVER_RATE_LIMITED && report.retry_after_ms == 3000);
}

TEST("Anthropic's limits are those of the organisation that the answer names")
{
	struct failover_report one = classify(ANTHROPIC, 429, "anthropic-organization-id: a\r\n", "");
	struct failover_report other = classify(ANTHROPIC, 429, "anthropic-organization-id: b\r\n", "");

	CHECK(one.scope == FAILOVER_ORGANISATION && one.organisation != 0);
	CHECK(other.organisation != one.organisation);
}

TEST("an error within an answer that promised to be one")
{
	static const struct {
		const char *json;
		enum failover_outcome outcome;
	} cases[] = {
	    {A("overloaded_error", "Overloaded"), FAILOVER_OVERLOADED},
	    {A("rate_limit_error", "x"), FAILOVER_RATE_LIMITED},
	    {A("api_error", "x"), FAILOVER_SERVER_ERROR},
	    {A("invalid_request_error", "x"), FAILOVER_BAD_REQUEST},
	    {O("server_error", "null", "The engine is currently overloaded"), FAILOVER_OVERLOADED},
	    {"{\"error\":\"what\"}", FAILOVER_SERVER_ERROR},
	    {O("", "429", "x"), FAILOVER_RATE_LIMITED},
	    {O("", "503", "x"), FAILOVER_OVERLOADED},
	    {O("", "502", "Provider returned error"), FAILOVER_SERVER_ERROR},
	    {O("", "401", "of the provider behind it"), FAILOVER_SERVER_ERROR},
	    {O("", "400", "x"), FAILOVER_BAD_REQUEST},
	    {O("", "999", "x"), FAILOVER_SERVER_ERROR},
	    {"", FAILOVER_SERVER_ERROR},
	};
	struct failover_report report;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		classify_error(ANTHROPIC, cases[i].json, strlen(cases[i].json), &report);
		if (!CHECK(report.outcome == cases[i].outcome))
			printf("# %s: %s\n", cases[i].json, failover_outcome_name(report.outcome));
	}
}
