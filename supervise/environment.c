/* The gateway's environment is built, not inherited: what the service manager said to us is not said to it,
 * and no variable that holds one of our secrets reaches it (the agent's shell shows its environment to
 * whoever asks). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/token.h"
#include "supervise/supervisor.h"

#define NODE_OPTIONS_MAX 4096

static const char *const removed[] = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID",
    "LISTEN_FDS", "LISTEN_FDNAMES", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MAINPID",
    "MANAGERPID", NULL};

static bool is_named(const char *variable, const char *name)
{
	size_t length = strlen(name);

	return strncmp(variable, name, length) == 0 && (variable[length] == '=' || variable[length] == '\0');
}

static bool is_secret(const struct settings *settings, const char *variable)
{
	for (uint32_t i = 0; i < settings->secret_count; i++)
		if (is_named(variable, settings_string(settings, settings->secrets[i])))
			return true;
	return false;
}

static bool is_removed(const struct settings *settings, const char *variable)
{
	if (strncmp(variable, "HOLDFAST_", 9) == 0)
		return true;
	for (const char *const *name = removed; *name != NULL; name++)
		if (is_named(variable, *name))
			return true;
	return is_secret(settings, variable);
}

static int set(struct supervisor *supervisor, uint32_t *count, char *variable, struct error *why)
{
	size_t name_length = strcspn(variable, "=");

	for (uint32_t i = 0; i < *count; i++) {
		char *old = supervisor->environment[i];

		if (strncmp(old, variable, name_length) == 0 && old[name_length] == '=') {
			supervisor->environment[i] = variable;
			return 0;
		}
	}
	if (*count == VARIABLES_MAX)
		return error_set(why, -E2BIG,
		    "The environment has more than %d variables: start Holdfast with fewer.", VARIABLES_MAX);
	supervisor->environment[(*count)++] = variable;
	return 0;
}

static const char *value_of(const struct supervisor *supervisor, uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++)
		if (is_named(supervisor->environment[i], name))
			return supervisor->environment[i] + strlen(name) + 1;
	return NULL;
}

/* Without a token nobody could ask it anything over its WebSocket. One that cannot be made is no reason not
 * to start it. */
static int add_token(struct supervisor *supervisor, uint32_t *count, struct error *why)
{
	static char variable[sizeof(TOKEN_VARIABLE) + TOKEN_MAX] = TOKEN_VARIABLE "=";
	char *value = variable + sizeof(TOKEN_VARIABLE);
	struct error refused;

	if (value_of(supervisor, *count, TOKEN_VARIABLE) != NULL ||
	    token_ensure(supervisor->settings, value, TOKEN_MAX, &refused) < 0)
		return 0;
	return set(supervisor, count, variable, why);
}

/* What lets an autopsy open the inspector of a gateway that hangs: on a port nobody can guess, with its
 * address told to the console only. Who sets a port of his own keeps it. */
static int add_inspector(struct supervisor *supervisor, uint32_t *count, struct error *why)
{
	static char options[NODE_OPTIONS_MAX];
	const char *given = value_of(supervisor, *count, "NODE_OPTIONS");
	struct text text;

	if (!supervisor->facts->opens_inspector || !supervisor->settings->health.autopsy ||
	    (given != NULL && strstr(given, "--inspect") != NULL))
		return 0;
	text_init(&text, options, sizeof(options));
	text_addf(&text, "NODE_OPTIONS=%s%s%s", given != NULL ? given : "", given != NULL ? " " : "",
	    "--inspect-port=127.0.0.1:0 --inspect-publish-uid=stderr");
	return text.truncated ? 0 : set(supervisor, count, options, why);
}

int environment_build(struct supervisor *supervisor, char **inherited, struct error *why)
{
	static struct notify_variables notify;
	static char port[48], default_path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
	const struct settings *settings = supervisor->settings;
	uint32_t count = 0;
	int result = 0;

	for (; *inherited != NULL && result == 0; inherited++)
		if (!is_removed(settings, *inherited))
			result = set(supervisor, &count, *inherited, why);
	for (const char *const *fact = supervisor->facts->variables; result == 0 && *fact != NULL; fact++)
		result = set(supervisor, &count, (char *)*fact, why);
	if (result == 0 && settings->gateway.kind == GATEWAY_OPENCLAW && settings->gateway.port_is_ours) {
		snprintf(port, sizeof(port), "OPENCLAW_GATEWAY_PORT=%u", settings->gateway.port);
		result = set(supervisor, &count, port, why);
	}
	notify_environment(supervisor, &notify); /* too long a path is refused where the socket is made */
	if (result == 0 && notify.socket[0] != '\0')
		result = set(supervisor, &count, notify.socket, why);
	if (result == 0 && notify.watchdog[0] != '\0')
		result = set(supervisor, &count, notify.watchdog, why);
	for (uint32_t i = 0; result == 0 && i < settings->gateway.variable_count; i++)
		result = set(supervisor, &count,
		    (char *)settings_string(settings, settings->gateway.variables[i]), why);
	if (result == 0 && settings->gateway.needs_token)
		result = add_token(supervisor, &count, why);
	if (result == 0)
		result = add_inspector(supervisor, &count, why);
	snprintf(supervisor->marker, sizeof(supervisor->marker), MARKER_VARIABLE "=");
	if (result == 0)
		result = set(supervisor, &count, supervisor->marker, why);
	if (result == 0 && value_of(supervisor, count, "PATH") == NULL)
		result = set(supervisor, &count, default_path, why);
	supervisor->environment[count] = NULL;
	return result;
}

/* Whether a reference is to this variable. */
static bool is_reference_to(const struct settings *settings, settings_text reference, const char *variable)
{
	const char *text = settings_string(settings, reference);

	return strncmp(text, "env:", 4) == 0 && is_named(variable, text + 4);
}

/* Profiles' keys are the relay's, those that sign alerts the recorder's. */
static bool is_of_worker(const struct settings *settings, enum worker_index index, const char *variable)
{
	if (index == WORKER_RECORDER)
		for (uint32_t i = 0; i < settings->alert_count; i++)
			if (is_reference_to(settings, settings->alerts[i].secret, variable))
				return true;
	for (uint32_t i = 0; index == WORKER_RELAY && i < settings->relay.provider_count; i++)
		for (uint32_t j = 0; j < settings->relay.providers[i].profile_count; j++)
			if (is_reference_to(settings, settings->relay.providers[i].profiles[j].key, variable))
				return true;
	return false;
}

char **environment_without_secrets(struct supervisor *supervisor)
{
	return environment_of_worker(supervisor, WORKER_COUNT);
}

char **environment_of_worker(struct supervisor *supervisor, enum worker_index index)
{
	const struct settings *settings = supervisor->settings;
	uint32_t count = 0;

	for (char **variable = environ; *variable != NULL && count < VARIABLES_MAX; variable++)
		if (!is_secret(settings, *variable) || is_of_worker(settings, index, *variable))
			supervisor->worker_environment[count++] = *variable;
	supervisor->worker_environment[count] = NULL;
	return supervisor->worker_environment;
}
