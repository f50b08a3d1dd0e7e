/* The gateway's environment is built, not inherited: what the service manager said to us is not said to it,
 * and no variable that holds one of our secrets reaches it (the agent's shell shows its environment to
 * whoever asks). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervise/supervisor.h"

static const char *const removed[] = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID",
    "LISTEN_FDS", "LISTEN_FDNAMES", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MAINPID",
    "MANAGERPID", NULL};

static bool is_named(const char *variable, const char *name)
{
	size_t length = strlen(name);

	return strncmp(variable, name, length) == 0 && (variable[length] == '=' || variable[length] == '\0');
}

static bool is_removed(const struct settings *settings, const char *variable)
{
	if (strncmp(variable, "HOLDFAST_", 9) == 0)
		return true;
	for (const char *const *name = removed; *name != NULL; name++)
		if (is_named(variable, *name))
			return true;
	for (uint32_t i = 0; i < settings->secret_count; i++)
		if (is_named(variable, settings_string(settings, settings->secrets[i])))
			return true;
	return false;
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

int environment_build(struct supervisor *supervisor, char **inherited, struct error *why)
{
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
	for (uint32_t i = 0; result == 0 && i < settings->gateway.variable_count; i++)
		result = set(supervisor, &count,
		    (char *)settings_string(settings, settings->gateway.variables[i]), why);
	snprintf(supervisor->marker, sizeof(supervisor->marker), MARKER_VARIABLE "=");
	if (result == 0)
		result = set(supervisor, &count, supervisor->marker, why);
	if (result == 0 && value_of(supervisor, count, "PATH") == NULL)
		result = set(supervisor, &count, default_path, why);
	supervisor->environment[count] = NULL;
	return result;
}
