/* The head of a request as one profile's provider gets it: as the gateway wrote it, field by field, but for
 * the host, the credential, and what concerns one connection only (RFC 9110, 7.6.1). */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "relay/relay.h"

#define OAUTH_BETA "oauth-2025-04-20" /* Anthropic takes a bearer token with this one only (Claude Code) */

static const struct {
	const char *name;
	uint8_t length, use;
} special[] = {
    {"te", 2, SPECIAL_DROP},
    {"host", 4, SPECIAL_HOST},
    {"expect", 6, SPECIAL_DROP},
    {"trailer", 7, SPECIAL_DROP},
    {"x-api-key", 9, SPECIAL_CREDENTIAL},
    {"connection", 10, SPECIAL_CONNECTION},
    {"keep-alive", 10, SPECIAL_DROP},
    {"authorization", 13, SPECIAL_CREDENTIAL},
    {"anthropic-beta", 14, SPECIAL_BETA},
    {"proxy-connection", 16, SPECIAL_DROP},
    {"proxy-authorization", 19, SPECIAL_DROP},
};

/* The lengths of their names, a bit each: most fields are known for plain by it. */
#define SPECIAL_LENGTHS                                                                                      \
	(1u << 2 | 1u << 4 | 1u << 6 | 1u << 7 | 1u << 9 | 1u << 10 | 1u << 13 | 1u << 14 | 1u << 16 |       \
	    1u << 19)

bool outgoing_is_special(const struct http_field *field, enum special_use *use)
{
	if (field->name_length > 19 || (SPECIAL_LENGTHS >> field->name_length & 1) == 0)
		return false;
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
		if (field->name_length == special[i].length &&
		    http_field_is(field, special[i].name, special[i].length)) {
			*use = (enum special_use)special[i].use;
			return true;
		}
	}
	return false;
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

/* A line of the head as it came. */
struct as_it_came {
	const char *line;
	size_t length, name_length;
};

static void write_beta(struct writing *writing, const struct as_it_came *field)
{
	writing->has_beta = true;
	if (writing->scheme != KEY_SCHEME_ANTHROPIC_BEARER ||
	    memmem(field->line, field->length, OAUTH_BETA, sizeof(OAUTH_BETA) - 1) != NULL) {
		text_add_bytes(&writing->text, field->line, field->length);
		return;
	}
	text_add_bytes(&writing->text, field->line, field->length - 2);
	text_add(&writing->text, "," OAUTH_BETA "\r\n");
}

static void write_special(struct writing *writing, const struct as_it_came *field, enum special_use use,
    const struct endpoint *endpoint)
{
	switch (use) {
	case SPECIAL_DROP:
		return;
	case SPECIAL_HOST:
		text_add_bytes(&writing->text, field->line, field->name_length);
		text_add(&writing->text, ": ");
		text_add(&writing->text, endpoint->authority);
		text_add(&writing->text, "\r\n");
		return;
	case SPECIAL_CONNECTION:
		text_add_bytes(&writing->text, field->line, field->name_length);
		text_add(&writing->text, ": keep-alive\r\n");
		return;
	case SPECIAL_CREDENTIAL:
		if (writing->key != NULL) {
			write_credential(writing);
			return;
		}
		break;
	case SPECIAL_BETA:
		if (writing->key != NULL) {
			write_beta(writing, field);
			return;
		}
		break;
	}
	text_add_bytes(&writing->text, field->line, field->length);
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
	const char *fields = (const char *)memchr(call->head, '\n', call->head_length) + 1;
	size_t at = (size_t)(fields - call->head);

	text_init(&writing.text, call->relay->outgoing, OUTGOING_MAX);
	if (key != NULL)
		writing.scheme = keys_scheme(call->provider->api_name, key);
	write_line(&writing.text, call, profile->endpoint);
	for (uint32_t i = 0; i < call->special_count; i++) {
		const struct special *next = &call->specials[i];
		const struct as_it_came field = {
		    call->head + next->start, (size_t)next->end - next->start, next->name_length};

		text_add_bytes(&writing.text, call->head + at, next->start - at);
		write_special(&writing, &field, (enum special_use)next->use, profile->endpoint);
		at = next->end;
	}
	text_add_bytes(&writing.text, call->head + at, call->head_length - 2 - at);
	if (key != NULL)
		write_credential(&writing);
	if (key != NULL && writing.scheme == KEY_SCHEME_ANTHROPIC_BEARER && !writing.has_beta)
		text_add(&writing.text, "anthropic-beta: " OAUTH_BETA "\r\n");
	text_add(&writing.text, "\r\n");
	return writing.text.truncated ? -EMSGSIZE : (ssize_t)writing.text.length;
}
