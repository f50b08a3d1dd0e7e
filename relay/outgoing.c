/* The head of a request as one profile's provider gets it: as the gateway wrote it, field by field, but for
 * the host, the credential, and what concerns one connection only (RFC 9110, 7.6.1). */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/hash.h"
#include "relay/relay.h"

#define OAUTH_BETA "oauth-2025-04-20" /* Anthropic takes a bearer token with this one only (Claude Code) */

enum field_use { USE_COPY, USE_DROP, USE_HOST, USE_CREDENTIAL, USE_CONNECTION, USE_BETA };

static const struct {
	const char *name;
	uint8_t length, use;
} special[] = {
    {"host", 4, USE_HOST},
    {"x-api-key", 9, USE_CREDENTIAL},
    {"authorization", 13, USE_CREDENTIAL},
    {"connection", 10, USE_CONNECTION},
    {"anthropic-beta", 14, USE_BETA},
    {"keep-alive", 10, USE_DROP},
    {"proxy-connection", 16, USE_DROP},
    {"proxy-authorization", 19, USE_DROP},
    {"te", 2, USE_DROP},
    {"trailer", 7, USE_DROP},
    {"expect", 6, USE_DROP},
};

static enum field_use use_of(const struct http_field *field)
{
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (field->name_length == special[i].length &&
		    http_field_is(field, special[i].name, special[i].length))
			return (enum field_use)special[i].use;
	return USE_COPY;
}

uint64_t outgoing_credential(const char *head, size_t length)
{
	struct http_field field;
	size_t offset = 0;

	while (http_head_next(head, length, &offset, &field))
		if (use_of(&field) == USE_CREDENTIAL)
			return hash_bytes(field.value, field.value_length);
	return 0;
}

struct writing {
	struct text text;
	const char *key; /* NULL: the gateway's own stays */
	size_t key_length;
	enum key_scheme scheme;
	bool has_credential, has_beta;
};

static void write_credential(struct writing *writing)
{
	if (writing->has_credential)
		return;
	writing->has_credential = true;
	text_add(
	    &writing->text, writing->scheme == KEY_SCHEME_API_KEY ? "x-api-key: " : "authorization: Bearer ");
	text_add_bytes(&writing->text, writing->key, writing->key_length);
	text_add(&writing->text, "\r\n");
}

static void write_beta(struct writing *writing, const struct http_field *field)
{
	writing->has_beta = true;
	if (writing->scheme != KEY_SCHEME_ANTHROPIC_BEARER ||
	    memmem(field->value, field->value_length, OAUTH_BETA, sizeof(OAUTH_BETA) - 1) != NULL) {
		text_add_bytes(&writing->text, field->line, field->line_length);
		return;
	}
	text_add_bytes(&writing->text, field->line, field->line_length - 2);
	text_add(&writing->text, "," OAUTH_BETA "\r\n");
}

static void write_field(
    struct writing *writing, const struct http_field *field, const struct endpoint *endpoint)
{
	switch (use_of(field)) {
	case USE_DROP:
		return;
	case USE_HOST:
		text_add_bytes(&writing->text, field->name, field->name_length);
		text_add(&writing->text, ": ");
		text_add(&writing->text, endpoint->authority);
		text_add(&writing->text, "\r\n");
		return;
	case USE_CONNECTION:
		text_add_bytes(&writing->text, field->name, field->name_length);
		text_add(&writing->text, ": keep-alive\r\n");
		return;
	case USE_CREDENTIAL:
		if (writing->key != NULL) {
			write_credential(writing);
			return;
		}
		break;
	case USE_BETA:
		if (writing->key != NULL) {
			write_beta(writing, field);
			return;
		}
		break;
	case USE_COPY:
		break;
	}
	text_add_bytes(&writing->text, field->line, field->line_length);
}

static void write_line(struct text *text, const struct call *call, const struct endpoint *endpoint)
{
	const char *space = memchr(call->head, ' ', call->head_length);

	text_add_bytes(text, call->head, (size_t)(space - call->head) + 1);
	text_add_bytes(text, endpoint->path, endpoint->path_length);
	if (endpoint->path_length == 0 && (call->target_length == 0 || call->head[call->target] != '/'))
		text_add(text, "/");
	text_add_bytes(text, call->head + call->target, call->target_length);
	text_add(text, " HTTP/1.1\r\n");
}

ssize_t outgoing_write(
    const struct call *call, const struct profile *profile, const char *key, size_t key_length)
{
	struct writing writing = {.key = key, .key_length = key_length};
	struct http_field field;
	size_t offset = 0;

	text_init(&writing.text, call->relay->outgoing, OUTGOING_MAX);
	if (key != NULL)
		writing.scheme = keys_scheme(call->provider->api_name, key);
	write_line(&writing.text, call, profile->endpoint);
	while (http_head_next(call->head, call->head_length, &offset, &field))
		write_field(&writing, &field, profile->endpoint);
	if (key != NULL)
		write_credential(&writing);
	if (key != NULL && writing.scheme == KEY_SCHEME_ANTHROPIC_BEARER && !writing.has_beta)
		text_add(&writing.text, "anthropic-beta: " OAUTH_BETA "\r\n");
	text_add(&writing.text, "\r\n");
	return writing.text.truncated ? -EMSGSIZE : (ssize_t)writing.text.length;
}
