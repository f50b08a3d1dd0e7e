#include "sentry/link_words.h"

#include <math.h>
#include <string.h>

#include "format/json_write.h"

#define TICK_MIN_MS 1000
#define TICK_MAX_MS (60 * 60 * 1000)

/* Lent to one frame at a time, whichever link it came on. */
static struct json_value values[LINK_VALUES_MAX];
static char strings[JSON_STRINGS_FOR(LINK_TEXT_BYTES)];
static struct json_document document;

static bool begins(const char *text, size_t length, const char *with)
{
	size_t wanted = strlen(with);

	return length >= wanted && memcmp(text, with, wanted) == 0;
}

bool link_frame_is_run_event(const char *text, size_t length)
{
	return begins(text, length, "{\"type\":\"event\",\"event\":\"agent\"") ||
	       begins(text, length, "{\"type\":\"event\",\"event\":\"chat\"") ||
	       begins(text, length, "{\"type\":\"event\",\"event\":\"session.tool\"") ||
	       begins(text, length, "{\"type\":\"event\",\"event\":\"sessions.changed\"");
}

static enum link_frame_kind event_kind(const char *name)
{
	if (strcmp(name, "tick") == 0)
		return LINK_FRAME_TICK;
	if (strcmp(name, "connect.challenge") == 0)
		return LINK_FRAME_CHALLENGE;
	return strcmp(name, "shutdown") == 0 ? LINK_FRAME_SHUTDOWN : LINK_FRAME_OTHER;
}

/* The text up to the next quote, which must come; without escapes. */
static const char *read_plain(const char *text, const char *end, char *target, size_t size)
{
	const char *quote = memchr(text, '"', (size_t)(end - text));

	if (quote == NULL || (size_t)(quote - text) >= size ||
	    memchr(text, '\\', (size_t)(quote - text)) != NULL)
		return NULL;
	memcpy(target, text, (size_t)(quote - text));
	target[quote - text] = '\0';
	return quote + 1;
}

/* As both versions write them. Returns false when it must be parsed. */
static bool read_beginning(struct link_frame *frame, const char *text, size_t length, bool whole)
{
	static const char event[] = "{\"type\":\"event\",\"event\":\"",
	                  response[] = "{\"type\":\"res\",\"id\":\"", ok[] = ",\"ok\":true",
	                  not_ok[] = ",\"ok\":false";
	const char *end = text + length;
	char name[32];

	if (begins(text, length, event)) {
		/* A name that is too long is none of ours. */
		frame->kind = read_plain(text + sizeof(event) - 1, end, name, sizeof(name)) != NULL
		                  ? event_kind(name)
		                  : LINK_FRAME_OTHER;
		return true;
	}
	if (whole || !begins(text, length, response))
		return false;
	text = read_plain(text + sizeof(response) - 1, end, frame->id, sizeof(frame->id));
	if (text == NULL)
		return false;
	length = (size_t)(end - text);
	if (!begins(text, length, ok) && !begins(text, length, not_ok))
		return false;
	frame->kind = LINK_FRAME_RESPONSE;
	frame->ok = begins(text, length, ok);
	frame->cut = true;
	return true;
}

static const char *member_text(const struct json_value *object, const char *key)
{
	const struct json_value *member = json_find(&document, object, key);

	return member != NULL && member->type == JSON_STRING ? member->string.bytes : "";
}

static void read_error(struct link_frame *frame, const struct json_value *error)
{
	const struct json_value *details = json_find(&document, error, "details");
	const char *code = details != NULL ? member_text(details, "code") : "";

	/* 2026.9.6 says in the details what 2026.2.1 has words for only. */
	text_copy(frame->code, sizeof(frame->code), *code != '\0' ? code : member_text(error, "code"));
	text_copy(frame->sentence, sizeof(frame->sentence), member_text(error, "message"));
}

static void read_response(struct link_frame *frame, const struct json_value *root)
{
	const struct json_value *ok = json_find(&document, root, "ok"),
	                        *error = json_find(&document, root, "error");

	if (!text_copy(frame->id, sizeof(frame->id), member_text(root, "id")) || ok == NULL ||
	    ok->type != JSON_BOOL)
		return;
	frame->kind = LINK_FRAME_RESPONSE;
	frame->ok = ok->boolean;
	frame->document = &document;
	frame->payload = json_find(&document, root, "payload");
	if (!frame->ok && error != NULL)
		read_error(frame, error);
}

void link_frame_read(struct link_frame *frame, const char *text, size_t length, bool whole)
{
	const struct json_value *root;
	struct json_fault fault;

	*frame = (struct link_frame){.kind = LINK_FRAME_BROKEN};
	if (read_beginning(frame, text, length, whole))
		return;
	if (!whole) {
		frame->kind = LINK_FRAME_OTHER;
		return;
	}
	document = (struct json_document){.values = values,
	    .value_max = LINK_VALUES_MAX,
	    .strings = strings,
	    .string_size = sizeof(strings)};
	if (json_parse(&document, text, length, JSON_STRICT, &fault) < 0)
		return;
	root = json_root(&document);
	if (root->type != JSON_OBJECT)
		return;
	if (strcmp(member_text(root, "type"), "event") == 0)
		frame->kind = event_kind(member_text(root, "event"));
	else if (strcmp(member_text(root, "type"), "res") == 0)
		read_response(frame, root);
	else
		frame->kind = LINK_FRAME_OTHER;
}

static bool read_whole(const struct json_value *value, double least, double most, double *number)
{
	if (value == NULL || value->type != JSON_NUMBER || !(value->number >= least && value->number <= most))
		return false;
	*number = floor(value->number);
	return true;
}

void link_hello_read(struct link_hello *hello, const struct link_frame *frame)
{
	const struct json_value *server, *policy;
	double number;

	*hello = (struct link_hello){.tick_interval_ms = LINK_TICK_MS};
	if (frame->payload == NULL)
		return;
	server = json_find(&document, frame->payload, "server");
	policy = json_find(&document, frame->payload, "policy");
	if (read_whole(json_find(&document, frame->payload, "protocol"), 0, 1000, &number))
		hello->protocol = (uint32_t)number;
	if (server != NULL)
		text_copy(hello->version, sizeof(hello->version), member_text(server, "version"));
	if (policy != NULL &&
	    read_whole(json_find(&document, policy, "tickIntervalMs"), TICK_MIN_MS, TICK_MAX_MS, &number))
		hello->tick_interval_ms = (int64_t)number;
}

static void begin_request(struct text *text, const char *id, const char *method)
{
	json_write_begin(text, '{');
	json_write_key(text, "type");
	json_write_string(text, "req");
	json_write_key(text, "id");
	json_write_string(text, id);
	json_write_key(text, "method");
	json_write_string(text, method);
}

void link_connect_write(
    struct text *text, const char *id, const struct token *token, const char *const *scopes)
{
	begin_request(text, id, "connect");
	json_write_key(text, "params");
	json_write_begin(text, '{');
	json_write_key(text, "minProtocol");
	json_write_integer(text, LINK_PROTOCOL_MIN);
	json_write_key(text, "maxProtocol");
	json_write_integer(text, LINK_PROTOCOL_MAX);
	json_write_key(text, "client");
	json_write_raw(text, "{\"id\":\"cli\",\"displayName\":\"Holdfast\",\"version\":\"" HOLDFAST_VERSION
	                     "\",\"platform\":\"linux\",\"mode\":\"cli\"}");
	json_write_key(text, "role");
	json_write_string(text, "operator");
	json_write_key(text, "scopes");
	json_write_begin(text, '[');
	for (; *scopes != NULL; scopes++)
		json_write_string(text, *scopes);
	json_write_end(text, ']');
	json_write_key(text, "caps");
	json_write_raw(text, "[]");
	if (token->kind == TOKEN_SHARED || token->kind == TOKEN_PASSWORD) {
		json_write_key(text, "auth");
		json_write_begin(text, '{');
		json_write_key(text, token->kind == TOKEN_SHARED ? "token" : "password");
		json_write_string(text, token->value);
		json_write_end(text, '}');
	}
	json_write_end(text, '}');
	json_write_end(text, '}');
}

void link_request_write(struct text *text, const char *id, const char *method, const char *parameters)
{
	begin_request(text, id, method);
	if (parameters != NULL) {
		json_write_key(text, "params");
		json_write_raw(text, parameters);
	}
	json_write_end(text, '}');
}
