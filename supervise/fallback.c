/* gateway.configFallback: where the gateway refuses its configuration, it is started from the copy that the
 * sentry kept and made ready; and told of as running from it. */
#include <stdio.h>
#include <string.h>

#include "supervise/supervisor.h"

#define CONFIG_VARIABLE "OPENCLAW_CONFIG_PATH"
#define STATE_VARIABLE  "OPENCLAW_STATE_DIR"

/* The copy's main file: sentry/known_good.h says what lies where. Returns false when its path is too long. */
static bool copy_path(const struct supervisor *supervisor, char path[PATH_MAX])
{
	const struct settings *settings = supervisor->settings;
	const char *name = strrchr(settings_string(settings, settings->gateway.config_path), '/');
	int length = snprintf(path, PATH_MAX, "%s/known-good/running%s",
	    settings_string(settings, settings->state_dir), name == NULL ? "/" : name);

	return length > 0 && length < PATH_MAX;
}

void fallback_sentence(const struct supervisor *supervisor, char *target, size_t size)
{
	const struct settings *settings = supervisor->settings;
	const char *why = supervisor->fallback_why;

	snprintf(target, size,
	    "it runs from a copy of its last good configuration, because it refuses %.120s%s%.160s; mend "
	    "that file: "
	    "it is used again as soon as it is valid",
	    settings_string(settings, settings->gateway.config_path), why[0] == '\0' ? "" : ": ", why);
}

static void set(char **environment, uint32_t *count, const char *name, char *variable)
{
	size_t length = strlen(name);

	for (uint32_t i = 0; i < *count; i++)
		if (strncmp(environment[i], name, length) == 0 && environment[i][length] == '=') {
			environment[i] = variable;
			return;
		}
	environment[(*count)++] = variable;
}

/* OpenClaw looks for most of its files in its state directory, but for some beside a configuration file that
 * was named without one: so both are named. */
char **fallback_environment(struct supervisor *supervisor)
{
	static char *environment[VARIABLES_MAX + 3];
	static char config[sizeof(CONFIG_VARIABLE) + PATH_MAX], state[sizeof(STATE_VARIABLE) + PATH_MAX];
	const struct settings *settings = supervisor->settings;
	char path[PATH_MAX];
	uint32_t count = 0;

	if (!copy_path(supervisor, path))
		return supervisor->environment;
	for (; supervisor->environment[count] != NULL; count++)
		environment[count] = supervisor->environment[count];
	snprintf(config, sizeof(config), CONFIG_VARIABLE "=%s", path);
	set(environment, &count, CONFIG_VARIABLE, config);
	snprintf(state, sizeof(state), STATE_VARIABLE "=%s",
	    settings_string(settings, settings->gateway.state_directory));
	set(environment, &count, STATE_VARIABLE, state);
	environment[count] = NULL;
	return environment;
}

void fallback_watch(struct supervisor *supervisor)
{
	struct message message = {.watch.on = 1};

	if (!supervisor->machine.fallback)
		return;
	worker_say(supervisor, WORKER_SENTRY, MESSAGE_WATCH_CONFIG, &message, -1);
	worker_say(supervisor, WORKER_SENTRY, MESSAGE_VALIDATE, &message, -1);
}

/* The validator's own words are the next best thing to know when it says no: they are shown by `status`. */
void fallback_validated(struct supervisor *supervisor, const struct message_validated *validated)
{
	struct supervision_event event = {.type = ON_VALIDATED,
	    .generation = supervisor->machine.generation,
	    .value = validated->valid != 0};

	if (!supervisor->machine.fallback)
		return;
	if (validated->valid == 0 && validated->why[0] != '\0' &&
	    strcmp(supervisor->fallback_why, validated->why) != 0) {
		snprintf(supervisor->fallback_why, sizeof(supervisor->fallback_why), "%s", validated->why);
		events_record(supervisor, "gateway.config_still_refused", SEVERITY_WARNING,
		    supervisor->machine.incident, NULL,
		    "The gateway goes on from the copy of its configuration, because %.160s is not valid "
		    "yet: %.160s. "
		    "Mend it: it is used again as soon as it is valid.",
		    settings_string(supervisor->settings, supervisor->settings->gateway.config_path),
		    validated->why);
	}
	if (validated->valid != 0)
		supervisor->fallback_why[0] = '\0';
	supervisor_step(supervisor, &event);
}
