#include "relay/reply.h"

#include "format/json_write.h"

#define BODY_MAX 1024

struct kind {
	unsigned status;
	const char *reason, *anthropic, *openai;
};

/* As the providers name them. */
static const struct kind kinds[] = {
    {400, "Bad Request", "invalid_request_error", "invalid_request_error"},
    {401, "Unauthorized", "authentication_error", "invalid_request_error"},
    {402, "Payment Required", "billing_error", "insufficient_quota"},
    {403, "Forbidden", "permission_error", "invalid_request_error"},
    {404, "Not Found", "not_found_error", "invalid_request_error"},
    {408, "Request Timeout", "timeout_error", "server_error"},
    {413, "Content Too Large", "request_too_large", "invalid_request_error"},
    {429, "Too Many Requests", "rate_limit_error", "requests"},
    {431, "Request Header Fields Too Large", "invalid_request_error", "invalid_request_error"},
    {502, "Bad Gateway", "api_error", "server_error"},
    {503, "Service Unavailable", "overloaded_error", "server_error"},
    {504, "Gateway Timeout", "timeout_error", "server_error"},
};

static const struct kind *kind_of(unsigned status)
{
	static const struct kind other = {500, "Internal Server Error", "api_error", "server_error"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].status == status)
			return &kinds[i];
	return &other;
}

static void write_error(struct text *text, enum api api, const struct kind *kind, const char *sentence)
{
	json_write_begin(text, '{');
	if (api == API_ANTHROPIC_MESSAGES) {
		json_write_key(text, "type");
		json_write_string(text, "error");
	}
	json_write_key(text, "error");
	if (api == API_OTHER) {
		json_write_string(text, sentence);
		json_write_end(text, '}');
		return;
	}
	json_write_begin(text, '{');
	json_write_key(text, "type");
	json_write_string(text, api == API_ANTHROPIC_MESSAGES ? kind->anthropic : kind->openai);
	json_write_key(text, "message");
	json_write_string(text, sentence);
	if (api == API_OPENAI_COMPLETIONS) {
		json_write_key(text, "param");
		json_write_null(text);
		json_write_key(text, "code");
		if (kind->status == 429)
			json_write_string(text, "rate_limit_exceeded");
		else
			json_write_null(text);
	}
	json_write_end(text, '}');
	json_write_end(text, '}');
}

void reply_write(struct text *text, enum api api, unsigned status, int64_t retry_after_ms, bool keep_alive,
    const char *sentence)
{
	const struct kind *kind = kind_of(status);
	char buffer[BODY_MAX];
	struct text body;

	text_init(&body, buffer, sizeof(buffer));
	write_error(&body, api, kind, sentence);
	if (body.truncated) {
		text_init(&body, buffer, sizeof(buffer));
		write_error(&body, api, kind, "The relay's reason is too long to be told.");
	}
	text_addf(text, "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n", status,
	    kind->reason, body.length);
	if (retry_after_ms >= 0)
		text_addf(text, "Retry-After: %lld\r\n", (long long)((retry_after_ms + 999) / 1000));
	text_addf(text, "Connection: %s\r\n\r\n", keep_alive ? "keep-alive" : "close");
	text_add_bytes(text, body.data, body.length);
}

void reply_write_event(struct text *text, enum api api, const char *sentence)
{
	if (api == API_ANTHROPIC_MESSAGES)
		text_add(text, "event: error\n");
	text_add(text, "data: ");
	write_error(text, api, kind_of(500), sentence);
	text_add(text, "\n\n");
}
