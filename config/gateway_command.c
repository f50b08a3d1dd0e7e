#include "config/gateway_command.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "config/source.h"

const char *const gateway_command_validate[] = {"config", "validate", "--json", NULL};

/* Of the service manager's words to us, those that a program of the gateway's might take for its own. */
static const char *const removed[] = {
    "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", NULL};

static bool same_name(const char *variable, const char *other)
{
	size_t length = strcspn(other, "=");

	return strncmp(variable, other, length) == 0 && variable[length] == '=';
}

static bool is_kept_back(const struct settings *settings, const char *variable)
{
	if (strncmp(variable, "HOLDFAST_", 9) == 0)
		return true;
	for (const char *const *name = removed; *name != NULL; name++)
		if (same_name(variable, *name))
			return true;
	for (uint32_t i = 0; i < settings->secret_count; i++)
		if (same_name(variable, settings_string(settings, settings->secrets[i])))
			return true;
	return false;
}

static void add_variable(struct gateway_command *command, uint32_t *count, char *variable)
{
	for (uint32_t i = 0; i < *count; i++)
		if (same_name(command->environment[i], variable)) {
			command->environment[i] = variable;
			return;
		}
	if (*count < GATEWAY_COMMAND_VARIABLES_MAX)
		command->environment[(*count)++] = variable;
}

/* As the gateway's own is (supervise/environment.c): a file may name variables. */
static void build_environment(struct gateway_command *command, const struct settings *settings,
    const struct gateway_facts *facts, char *const *environment, const char *config_path)
{
	uint32_t count = 0;

	for (; *environment != NULL; environment++)
		if (!is_kept_back(settings, *environment))
			add_variable(command, &count, *environment);
	for (const char *const *fact = facts->variables; *fact != NULL; fact++)
		add_variable(command, &count, (char *)*fact);
	for (uint32_t i = 0; i < settings->gateway.variable_count; i++)
		add_variable(
		    command, &count, (char *)settings_string(settings, settings->gateway.variables[i]));
	snprintf(command->config_variable, sizeof(command->config_variable), "OPENCLAW_CONFIG_PATH=%s",
	    config_path);
	add_variable(command, &count, command->config_variable);
	snprintf(command->state_variable, sizeof(command->state_variable), "OPENCLAW_STATE_DIR=%s",
	    settings_string(settings, settings->gateway.state_directory));
	if (settings->gateway.state_directory != 0)
		add_variable(command, &count, command->state_variable);
	command->environment[count] = NULL;
}

bool gateway_command_build(struct gateway_command *command, const struct settings *settings,
    const struct gateway_facts *facts, char *const *environment, const char *const *words,
    const char *config_path)
{
	uint32_t count = 0;

	build_environment(command, settings, facts, environment, config_path);
	while (count < settings->gateway.argument_count) {
		const char *argument = settings_string(settings, settings->gateway.arguments[count]);

		if (strcmp(argument, "gateway") == 0)
			break;
		command->arguments[count++] = (char *)argument;
	}
	if (count == 0 || count == settings->gateway.argument_count)
		return false;
	for (int i = 0; words[i] != NULL && i < GATEWAY_COMMAND_WORDS_MAX; i++)
		command->arguments[count++] = (char *)words[i];
	command->arguments[count] = NULL;
	return true;
}

/* --- The answer. --- */

static void read_issue(
    const struct json_document *document, const struct json_value *root, char *why, size_t size)
{
	const struct json_value *issues = json_find(document, root, "issues");
	const struct json_value *issue =
	    issues != NULL && issues->type == JSON_ARRAY ? json_first(document, issues) : NULL;
	const struct json_value *path, *words;
	struct text text;

	if (issue == NULL)
		return;
	text_init(&text, why, size);
	path = json_find(document, issue, "path");
	words = json_find(document, issue, "message");
	if (path != NULL && path->type == JSON_STRING)
		text_addf(&text, "%s: ", path->string.bytes);
	if (words != NULL && words->type == JSON_STRING)
		text_add(&text, words->string.bytes);
}

enum validate_answer gateway_command_read(const char *output, char *why, size_t size)
{
	enum validate_answer answer = VALIDATE_UNKNOWN;
	const char *begin = strchr(output, '{');
	const struct json_value *root, *valid;
	struct source source;
	struct error error;

	why[0] = '\0';
	if (begin == NULL || source_parse(&source, "the answer", begin, &error) < 0)
		return VALIDATE_UNKNOWN;
	root = json_root(&source.document);
	valid = json_find(&source.document, root, "valid");
	if (valid != NULL && valid->type == JSON_BOOL)
		answer = valid->boolean ? VALIDATE_VALID : VALIDATE_INVALID;
	if (answer == VALIDATE_INVALID)
		read_issue(&source.document, root, why, size);
	source_release(&source);
	return answer;
}
