#include "config/token_variable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "config/paths.h"

#define NAME_MAX_LENGTH 128

static int remember(struct openclaw *openclaw, const struct origin *origin, const struct json_value *value)
{
	struct token_reader *reader = (struct token_reader *)openclaw;

	reader->document = &origin->source->document;
	reader->value = value;
	return 0;
}

const struct json_value *token_value(struct token_reader *reader, const char *const *path)
{
	reader->value = NULL;
	reader->document = NULL;
	openclaw_visit(&reader->openclaw, path, remember);
	return reader->value;
}

bool token_reader_open(
    struct token_reader *reader, const struct settings *settings, const struct token_environment *environment)
{
	static struct loader loader; /* takes the remarks, which nobody reads */
	struct openclaw *openclaw = &reader->openclaw;

	reader->settings = settings;
	reader->environment = environment;
	openclaw->loader = &loader;
	openclaw->watched_count = 0;
	openclaw->bytes_read = 0;
	/* One that was started from the copy of its configuration reads that one. */
	if (!environment->find(environment->context, "OPENCLAW_CONFIG_PATH", openclaw->config_path,
	        sizeof(openclaw->config_path)) ||
	    openclaw->config_path[0] != '/')
		text_copy(openclaw->config_path, sizeof(openclaw->config_path),
		    settings_string(settings, settings->gateway.config_path));
	if (settings->gateway.kind != GATEWAY_OPENCLAW || *openclaw->config_path == '\0')
		return false;
	openclaw_read_files(openclaw);
	return true;
}

/* --- A .env file, as the dotenv that OpenClaw uses reads it; but for values of several lines. --- */

struct dotenv {
	const char *name;
	char *value;
	size_t size;
	int found; /* 1, 0 or -E2BIG */
};

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

static const char *skip_blanks(const char *text)
{
	while (is_blank(*text))
		text++;
	return text;
}

/* Without its quotes, or without the comment and the blanks behind it. */
static size_t value_length(const char **value)
{
	const char *text = *value, *end;
	size_t length;

	if (*text == '"' || *text == '\'' || *text == '`') {
		end = strrchr(text + 1, *text);
		if (end != NULL) {
			*value = text + 1;
			return (size_t)(end - text) - 1;
		}
	}
	length = strcspn(text, "#");
	while (length > 0 && (is_blank(text[length - 1]) || text[length - 1] == '\r'))
		length--;
	return length;
}

static bool read_line(void *context, const char *line)
{
	struct dotenv *dotenv = context;
	const char *at = skip_blanks(line);
	size_t length = strlen(dotenv->name);

	if (strncmp(at, "export", 6) == 0 && is_blank(at[6]))
		at = skip_blanks(at + 6);
	if (strncmp(at, dotenv->name, length) != 0)
		return true;
	at = skip_blanks(at + length);
	if (*at != '=')
		return true;
	at = skip_blanks(at + 1);
	length = value_length(&at);
	/* The last one counts. */
	dotenv->found = length == 0 ? 0 : length < dotenv->size ? 1 : -E2BIG;
	if (dotenv->found == 1) {
		memcpy(dotenv->value, at, length);
		dotenv->value[length] = '\0';
	}
	return true;
}

static int find_in_file(const char *directory, const char *file, const char *name, char *value, size_t size)
{
	struct dotenv dotenv = {.name = name, .value = value, .size = size};
	char path[PATH_MAX];
	struct stat status;

	if (*directory == '\0' || paths_resolve(NULL, directory, file, path) < 0 || stat(path, &status) < 0 ||
	    !S_ISREG(status.st_mode) || (size_t)status.st_size > SOURCE_BYTES_MAX)
		return 0;
	return file_each_line(AT_FDCWD, path, read_line, &dotenv) < 0 ? 0 : dotenv.found;
}

static int find_in_files(struct token_reader *reader, const char *name, char *value, size_t size)
{
	const char *state = settings_string(reader->settings, reader->settings->gateway.state_directory);
	const char *slash = strrchr(state, '/');
	int result = find_in_file(state, ".env", name, value, size);

	/* ~/.config/openclaw/gateway.env: only where the state directory is the ordinary one (2026.9.6). */
	if (result == 0 && slash != NULL && strcmp(slash, "/.openclaw") == 0)
		result = find_in_file(state, "../.config/openclaw/gateway.env", name, value, size);
	return result;
}

/* --- openclaw.json. --- */

static int find_in_config(struct token_reader *reader, const char *name, char *value, size_t size)
{
	const char *const paths[][4] = {{"env", "vars", name, NULL}, {"env", name, NULL}};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const struct json_value *found = token_value(reader, paths[i]);

		if (found == NULL || found->type != JSON_STRING || found->string.length == 0)
			continue;
		return text_copy(value, size, found->string.bytes) ? 1 : -E2BIG;
	}
	return 0;
}

int token_variable(struct token_reader *reader, const char *name, char *value, size_t size)
{
	int result;

	*value = '\0';
	if (reader->environment->find(reader->environment->context, name, value, size) && *value != '\0')
		return strlen(value) == size - 1 ? -E2BIG : 1;
	result = find_in_files(reader, name, value, size);
	return result != 0 ? result : find_in_config(reader, name, value, size);
}

/* --- Substitution. --- */

/* Reads "{NAME}" at `text`: the length of the name, or 0. */
static size_t read_name(const char *text, char name[NAME_MAX_LENGTH + 1])
{
	size_t length;

	if (*text != '{')
		return 0;
	length = strspn(text + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	if (length == 0 || length > NAME_MAX_LENGTH || text[length + 1] != '}' ||
	    (text[1] >= '0' && text[1] <= '9'))
		return 0;
	memcpy(name, text + 1, length);
	name[length] = '\0';
	return length;
}

int token_substitute(
    struct token_reader *reader, const char *text, char *value, size_t size, struct error *why)
{
	char name[NAME_MAX_LENGTH + 1], found[TOKEN_MAX];
	struct text target;

	text_init(&target, value, size);
	while (*text != '\0') {
		size_t length = strcspn(text, "$");
		int result;

		text_add_bytes(&target, text, length);
		text += length;
		if (*text == '\0')
			break;
		if (text[1] == '$' && (length = read_name(text + 2, name)) > 0) {
			text_add_bytes(&target, text + 1, length + 3);
			text += length + 4;
			continue;
		}
		length = read_name(text + 1, name);
		if (length == 0) {
			text_add_bytes(&target, text++, 1);
			continue;
		}
		result = token_variable(reader, name, found, sizeof(found));
		if (result <= 0)
			return error_set(why, result < 0 ? result : -ENOENT,
			    "openclaw.json takes the gateway's secret from the variable %s, which the "
			    "gateway %s.",
			    name, result < 0 ? "has too long" : "does not have: set it");
		text_add(&target, found);
		text += length + 3;
	}
	return target.truncated ? -E2BIG : 0;
}
