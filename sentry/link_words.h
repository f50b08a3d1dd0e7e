/* What OpenClaw says on its WebSocket, and what is said to it: text in, values out, and back. Seen in
 * 2026.2.1 (protocol 3) and 2026.9.6 (protocol 4). */
#ifndef HOLDFAST_SENTRY_LINK_WORDS_H
#define HOLDFAST_SENTRY_LINK_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "config/token.h"
#include "format/json5.h"

#define LINK_PROTOCOL_MIN 3
#define LINK_PROTOCOL_MAX 4
#define LINK_VALUES_MAX   8192
#define LINK_TEXT_BYTES   (128 * 1024) /* a longer message is told by its beginning only */
#define LINK_TICK_MS      30000        /* unless hello-ok says otherwise */

enum link_frame_kind {
	LINK_FRAME_OTHER, /* an event that concerns nobody here */
	LINK_FRAME_CHALLENGE,
	LINK_FRAME_TICK,
	LINK_FRAME_SHUTDOWN,
	LINK_FRAME_RESPONSE, /* id, ok; payload, or code and sentence */
	LINK_FRAME_BROKEN,   /* no JSON object of this protocol */
};

struct link_frame {
	enum link_frame_kind kind;
	bool ok;
	bool cut; /* it did not fit: only kind, id and ok are known */
	char id[24];
	char code[48], sentence[200];
	/* Valid until the next frame is read. */
	const struct json_document *document;
	const struct json_value *payload; /* may be NULL */
};

struct link_hello {
	uint32_t protocol;
	int64_t tick_interval_ms;
	char version[32];
};

/* Reads one message. Events are known by how they begin and are not parsed: a gateway at work sends many, and
 * large ones. `whole`: `text` is all of it. */
void link_frame_read(struct link_frame *frame, const char *text, size_t length, bool whole);

/* Whether it is an event of a run or a session, as both versions write them: most of what comes is. */
bool link_frame_is_run_event(const char *text, size_t length);

/* Reads the payload of the answer to "connect". What is missing gets its default. */
void link_hello_read(struct link_hello *hello, const struct link_frame *frame);

/* The request "connect". `scopes` ends with NULL. */
void link_connect_write(
    struct text *text, const char *id, const struct token *token, const char *const *scopes);

/* A request; `parameters` is JSON, or NULL for none. */
void link_request_write(struct text *text, const char *id, const char *method, const char *parameters);

#endif
