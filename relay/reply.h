/* What the relay says in a provider's stead, as that provider's interface would say it: so that the gateway
 * understands it as it understands the provider. */
#ifndef HOLDFAST_RELAY_REPLY_H
#define HOLDFAST_RELAY_REPLY_H

#include "base/text.h"
#include "relay/classify.h"

/* A whole HTTP answer with a JSON error body; Content-Length and "Connection: keep-alive" or "close"
 * included. `sentence` is for people. `retry_after_ms` -1: no Retry-After (otherwise whole seconds, rounded
 * up). */
void reply_write(struct text *text, enum api api, unsigned status, int64_t retry_after_ms, bool keep_alive,
    const char *sentence);

/* The error event that ends a stream whose content has gone out: `event: error` with overloaded_error or
 * api_error for Anthropic; `data: {"error":{...}}` for OpenAI, without [DONE]. */
void reply_write_event(struct text *text, enum api api, const char *sentence);

#endif
