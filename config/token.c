#include "config/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "config/paths.h"
#include "config/token_variable.h"

/* --- SecretRef (2026.9.6): { source, provider, id }. --- */

static const char *member_text(
    const struct json_document *document, const struct json_value *object, const char *key)
{
	const struct json_value *member = json_find(document, object, key);

	return member != NULL && member->type == JSON_STRING ? member->string.bytes : "";
}

static int no_secret(struct error *why, const char *what)
{
	return error_set(why, -ENOENT,
	    "The gateway's secret is in a file that openclaw.json names, but %s: Holdfast does without it.",
	    what);
}

/* The member that a JSON pointer (RFC 6901) names, through objects only. */
static const struct json_value *point_to(const struct json_document *document, const char *pointer)
{
	const struct json_value *value = json_root(document);
	char key[256];

	while (value != NULL && *pointer == '/') {
		size_t length = 0;

		for (pointer++; *pointer != '\0' && *pointer != '/'; pointer++) {
			char byte = *pointer;

			if (byte == '~' && (pointer[1] == '0' || pointer[1] == '1'))
				byte = *++pointer == '0' ? '~' : '/';
			if (length == sizeof(key) - 1)
				return NULL;
			key[length++] = byte;
		}
		key[length] = '\0';
		value = json_find(document, value, key);
	}
	return value;
}

static int read_json_secret(const char *path, const char *pointer, struct token *found, struct error *why)
{
	const struct json_value *value;
	struct source source;
	int result;

	if (source_read(&source, path, NULL) < 0)
		return no_secret(why, "it cannot be read as JSON");
	value = point_to(&source.document, pointer);
	if (value == NULL || value->type != JSON_STRING || value->string.length == 0)
		result = no_secret(why, "there is no text at that place");
	else if (!text_copy(found->value, sizeof(found->value), value->string.bytes))
		result = -E2BIG;
	else
		result = 0;
	explicit_bzero(source.bytes, source.length);
	source_release(&source);
	return result;
}

static int read_plain_secret(const char *path, struct token *found, struct error *why)
{
	ssize_t length = file_read(AT_FDCWD, path, found->value, sizeof(found->value));

	if (length <= 0)
		return no_secret(why, length == 0 ? "it is empty" : "it cannot be read");
	return 0;
}

static int read_file_secret(
    struct token_reader *reader, const char *provider, const char *id, struct token *found, struct error *why)
{
	const char *const place[] = {"secrets", "providers", provider, NULL};
	const struct json_value *entry = token_value(reader, place);
	char given[PATH_MAX], path[PATH_MAX], home[PATH_MAX] = "/";
	bool is_plain;

	if (entry == NULL || strcmp(member_text(reader->document, entry, "source"), "file") != 0)
		return no_secret(why, "its provider is not configured");
	is_plain = strcmp(member_text(reader->document, entry, "mode"), "singleValue") == 0;
	if (!text_copy(given, sizeof(given), member_text(reader->document, entry, "path")))
		return no_secret(why, "its path is too long");
	/* This looks into openclaw.json again: `entry` is not used behind it. */
	if (*given == '~' && token_variable(reader, "HOME", home, sizeof(home)) <= 0)
		return no_secret(why, "the gateway has no HOME");
	if (paths_resolve(home, "/", given, path) < 0)
		return no_secret(why, "its path is too long");
	return is_plain ? read_plain_secret(path, found, why) : read_json_secret(path, id, found, why);
}

static int read_variable(
    struct token_reader *reader, const char *name, struct token *found, struct error *why)
{
	int result = token_variable(reader, name, found->value, sizeof(found->value));

	if (result > 0)
		return 0;
	return error_set(why, result < 0 ? result : -ENOENT,
	    "openclaw.json takes the gateway's secret from the variable %.128s, which the gateway %s.", name,
	    result < 0 ? "has too long" : "does not have: set it");
}

static int read_reference(
    struct token_reader *reader, const struct json_value *object, struct token *found, struct error *why)
{
	char source[16], provider[80], id[300];

	if (!text_copy(source, sizeof(source), member_text(reader->document, object, "source")) ||
	    !text_copy(provider, sizeof(provider), member_text(reader->document, object, "provider")) ||
	    !text_copy(id, sizeof(id), member_text(reader->document, object, "id")))
		return error_set(
		    why, -EINVAL, "The gateway's secret is a reference that OpenClaw would refuse.");
	if (strcmp(source, "env") == 0)
		return read_variable(reader, id, found, why);
	if (strcmp(source, "file") == 0) {
		const char *const place[] = {"secrets", "defaults", "file", NULL};
		const struct json_value *name = *provider == '\0' ? token_value(reader, place) : NULL;

		if (name != NULL && name->type == JSON_STRING)
			text_copy(provider, sizeof(provider), name->string.bytes);
		return read_file_secret(reader, provider, id, found, why);
	}
	return error_set(why, -ENOTSUP,
	    "The gateway's secret comes from the source \"%s\", which only the gateway can ask: Holdfast "
	    "watches it "
	    "without a token.",
	    source);
}

/* --- gateway.auth. --- */

static bool is_shorthand(const char *text)
{
	size_t length = text[0] == '$' ? strspn(text + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") : 0;

	return length > 0 && text[length + 1] == '\0' && text[1] >= 'A';
}

static void trim(char *text)
{
	size_t start = strspn(text, " \t\r\n"), length = strlen(text + start);

	while (length > 0 && strchr(" \t\r\n", text[start + length - 1]) != NULL)
		length--;
	memmove(text, text + start, length);
	text[length] = '\0';
}

/* Returns 1 when there is one, 0 when not, or a negative errno with *why. */
static int find_one(struct token_reader *reader, const char *key, const char *argument, const char *variable,
    struct token *found, struct error *why)
{
	const char *const place[] = {"gateway", "auth", key, NULL};
	const char *given = openclaw_argument(reader->settings, argument);
	const struct json_value *value;
	int result = 0;

	if (given != NULL && *given != '\0')
		return text_copy(found->value, sizeof(found->value), given) ? 1 : -E2BIG;
	found->value[0] = '\0';
	value = token_value(reader, place);
	if (value != NULL && value->type == JSON_OBJECT)
		result = read_reference(reader, value, found, why);
	else if (value != NULL && value->type == JSON_STRING && is_shorthand(value->string.bytes))
		result = read_variable(reader, value->string.bytes + 1, found, why);
	else if (value != NULL && value->type == JSON_STRING)
		result =
		    token_substitute(reader, value->string.bytes, found->value, sizeof(found->value), why);
	if (result < 0)
		return result;
	trim(found->value);
	if (found->value[0] != '\0')
		return 1;
	result = token_variable(reader, variable, found->value, sizeof(found->value));
	trim(found->value);
	return result < 0 ? result : found->value[0] != '\0';
}

static void find_mode(struct token_reader *reader, char *mode, size_t size)
{
	static const char *const place[] = {"gateway", "auth", "mode", NULL};
	const char *given = openclaw_argument(reader->settings, "--auth");
	const struct json_value *value = token_value(reader, place);

	*mode = '\0';
	if (given != NULL)
		text_copy(mode, size, given);
	else if (value != NULL && value->type == JSON_STRING)
		text_copy(mode, size, value->string.bytes);
}

static int find(struct token_reader *reader, struct token *found, struct error *why)
{
	char mode[32];
	int result;

	find_mode(reader, mode, sizeof(mode));
	if (strcmp(mode, "none") == 0 || strcmp(mode, "trusted-proxy") == 0) {
		found->kind = TOKEN_UNNEEDED;
		return 0;
	}
	/* Without a mode, a password that is there makes it one. */
	if (strcmp(mode, "token") != 0) {
		result = find_one(reader, "password", "--password", "OPENCLAW_GATEWAY_PASSWORD", found, why);
		if (result != 0 || strcmp(mode, "password") == 0) {
			if (result == 0)
				result = error_set(why, -ENOENT,
				    "The gateway's mode is \"password\", and no password is configured: it "
				    "will not "
				    "start without gateway.auth.password or OPENCLAW_GATEWAY_PASSWORD.");
			found->kind = result > 0 ? TOKEN_PASSWORD : TOKEN_MISSING;
			return result < 0 ? result : 0;
		}
	}
	result = find_one(reader, "token", "--token", TOKEN_VARIABLE, found, why);
	found->kind = result > 0 ? TOKEN_SHARED : TOKEN_MISSING;
	return result < 0 ? result : 0;
}

int token_find(const struct settings *settings, const struct token_environment *environment,
    struct token *found, struct error *why)
{
	static struct token_reader reader; /* too large for a stack; used by one thread */
	struct error unwanted;
	int result;

	why = why != NULL ? why : &unwanted;
	*found = (struct token){.kind = TOKEN_MISSING};
	why->text[0] = '\0';
	if (!token_reader_open(&reader, settings, environment))
		return 0;
	result = find(&reader, found, why);
	openclaw_release(&reader.openclaw);
	if (result == -E2BIG && why->text[0] == '\0')
		error_set(why, result,
		    "The gateway's secret is longer than %d bytes: Holdfast watches it without a token.",
		    TOKEN_MAX - 1);
	if (result < 0)
		token_clear(found);
	return result;
}

void token_clear(struct token *token)
{
	explicit_bzero(token, sizeof(*token));
}
