#include "relay/relay.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "relay/reply.h"
int keys_load(struct keys *keys, const struct settings *settings, struct error *why)
{
	for (uint32_t i = 0; i < settings->relay.provider_count; i++)
		for (uint32_t j = 0; j < settings->relay.providers[i].profile_count; j++) {
			const char *r =
			    settings_string(settings, settings->relay.providers[i].profiles[j].key);
			if (strncmp(r, "env:", 4) == 0)
				keys->keys[i][j] = getenv(r + 4);
		}
	return 0;
}
const char *keys_get(const struct keys *keys, uint32_t provider, uint32_t profile, size_t *length)
{
	const char *k = keys->keys[provider][profile];
	*length = k ? strlen(k) : 0;
	return k;
}
const char *keys_why(const struct keys *keys, uint32_t provider, uint32_t profile)
{
	return "no key";
}
enum key_scheme keys_scheme(const char *api, const char *key)
{
	if (strcmp(api, "anthropic-messages") != 0)
		return KEY_SCHEME_BEARER;
	return strncmp(key, "sk-ant-oat", 10) == 0 ? KEY_SCHEME_ANTHROPIC_BEARER : KEY_SCHEME_API_KEY;
}
void failover_init(struct failover *f, const struct failover_settings *s)
{
	f->settings = *s;
}
static enum failover_verdict next_of(struct failover *f, struct failover_call *c, struct failover_try *n)
{
	for (uint32_t i = 0; i < f->settings.profile_count; i++)
		if (!(c->tried & 1u << i)) {
			c->tried |= 1u << i;
			c->profile = (int)i;
			*n = (struct failover_try){.profile = i,
			    .first_content_ms = i + 1 < f->settings.profile_count
			                            ? f->settings.first_content_ms
			                            : f->settings.last_resort_ms,
			    .gap_ms = f->settings.gap_ms};
			return FAILOVER_TRY;
		}
	return FAILOVER_PASS_ON;
}
enum failover_verdict failover_begin(
    struct failover *f, struct failover_call *c, uint64_t m, uint64_t v, int64_t now, struct failover_try *n)
{
	memset(c, 0, sizeof(*c));
	return next_of(f, c, n);
}
enum failover_verdict failover_failed(struct failover *f, struct failover_call *c,
    const struct failover_report *r, int64_t now, struct failover_try *n)
{
	return next_of(f, c, n);
}
void failover_content(struct failover *f, struct failover_call *c, int64_t now)
{
}
void failover_end(struct failover *f, struct failover_call *c, const struct failover_report *r, int64_t now)
{
}
bool failover_take_change(struct failover *f, struct failover_change *c)
{
	return false;
}
bool failover_profile_state(
    const struct failover *f, uint32_t p, int64_t now, struct failover_circuit *c, uint64_t *m)
{
	return false;
}
const char *failover_outcome_name(enum failover_outcome o)
{
	return "outcome";
}
const char *failover_scope_name(enum failover_scope s)
{
	return "scope";
}
enum api api_from_name(const char *n)
{
	return strcmp(n, "anthropic-messages") == 0   ? API_ANTHROPIC_MESSAGES
	       : strcmp(n, "openai-completions") == 0 ? API_OPENAI_COMPLETIONS
	                                              : API_OTHER;
}
void classify_answer(enum api api, unsigned status, const char *head, size_t hl, const char *body, size_t bl,
    int64_t real, struct failover_report *r)
{
	*r = (struct failover_report){
	    .outcome = status == 429 ? FAILOVER_RATE_LIMITED : FAILOVER_SERVER_ERROR, .retry_after_ms = -1};
}
void scan_init(struct scan *s, enum api api, bool stream)
{
	memset(s, 0, sizeof(*s));
	s->api = api;
	s->stream = stream;
}
void scan_release(struct scan *s)
{
}
int scan_feed(struct scan *s, const char *b, size_t n, struct scan_found *f)
{
	*f = (struct scan_found){.complete = n, .content = true};
	if (memmem(b, n, "message_stop", 12) || memmem(b, n, "[DONE]", 6))
		s->ended = f->ended = true;
	return 0;
}
void scan_whole(struct scan *s, const char *b, size_t n, struct scan_found *f)
{
	*f = (struct scan_found){0};
}
void scan_request_read(const char *b, size_t n, struct scan_request *r)
{
	memset(r, 0, sizeof(*r));
}
void reply_write(struct text *t, enum api api, unsigned status, int64_t retry, bool keep, const char *s)
{
	text_addf(
	    t, "HTTP/1.1 %u X\r\nContent-Length: %zu\r\n\r\n{\"error\":\"%s\"}", status, strlen(s) + 12, s);
}
void reply_write_event(struct text *t, enum api api, const char *s)
{
	text_addf(t, "event: error\ndata: {}\n\n");
}
