#include "config/schema.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SECOND     1000
#define MINUTE     (60 * SECOND)
#define HOUR       (60 * MINUTE)
#define DAY        (24 * (int64_t)HOUR)
#define MEGABYTE   ((int64_t)1000 * 1000)
#define AT(member) offsetof(struct settings, member)

/* clang-format off */
const struct setting schema[] = {
	{"gateway.kind", SETTING_KIND, EFFECT_NEVER, AT(gateway.kind), 0, 0, "openclaw",
	    "What is supervised: \"openclaw\", or \"generic\" for any other program."},
	{"gateway.command", SETTING_ARGUMENTS, EFFECT_NEXT_START, AT(gateway.arguments), 1, SETTINGS_ARGUMENTS_MAX, NULL,
	    "The command that runs the gateway in the foreground; found by itself where OpenClaw is installed."},
	{"gateway.port", SETTING_PORT, EFFECT_NEXT_START, AT(gateway.port), 1, 65535, NULL,
	    "The gateway's port; found in OpenClaw's own configuration when not given."},
	{"gateway.env", SETTING_VARIABLES, EFFECT_NEXT_START, 0, 0, SETTINGS_VARIABLES_MAX, NULL,
	    "Variables added to the gateway's environment."},
	{"gateway.workingDirectory", SETTING_DIRECTORY, EFFECT_NEXT_START, AT(gateway.working_directory), 0, 0, NULL,
	    "The directory the gateway runs in; your home for the OpenClaw found, else where Holdfast was started."},
	{"gateway.stopTimeout", SETTING_DURATION, EFFECT_NOW, AT(gateway.stop_timeout_ms), 0, DAY, "330s",
	    "From SIGTERM to SIGKILL on an ordinary stop; OpenClaw may drain for 315 s."},
	{"gateway.sessionTimeout", SETTING_DURATION, EFFECT_NOW, AT(gateway.session_timeout_ms), SECOND, DAY, "120s",
	    "A session without progress for this long is stuck."},
	{"gateway.toolTimeout", SETTING_DURATION, EFFECT_NOW, AT(gateway.tool_timeout_ms), SECOND, 7 * DAY, "15m",
	    "A session whose tool is at work counts as stuck only after this long."},
	{"gateway.sessions", SETTING_SESSIONS, EFFECT_NOW, 0, 0, SETTINGS_RULES_MAX, NULL,
	    "Other timeouts for the sessions whose key fits a pattern; the first that fits counts."},
	{"gateway.notifyChat", SETTING_BOOL, EFFECT_NOW, AT(gateway.notify_chat), 0, 0, "false",
	    "Tell the chat in one sentence when its run was aborted, where the gateway's version can."},
	{"gateway.autoRestart.onCrash", SETTING_BOOL, EFFECT_NOW, AT(gateway.auto_restart.on_crash), 0, 0, "true",
	    "Start the gateway again when it died."},
	{"gateway.autoRestart.onHang", SETTING_BOOL, EFFECT_NOW, AT(gateway.auto_restart.on_hang), 0, 0, "true",
	    "Restart the gateway when it no longer answers and a second witness agrees."},
	{"gateway.autoRestart.onStuckSessions", SETTING_BOOL, EFFECT_NOW, AT(gateway.auto_restart.on_stuck_sessions), 0, 0, "true",
	    "Restart the gateway when too many sessions stay stuck."},
	{"gateway.autoRestart.threshold", SETTING_COUNT, EFFECT_NOW, AT(gateway.auto_restart.threshold), 1, 1000, "3",
	    "How many sessions that stay stuck are too many."},
	{"gateway.autoRestart.onMemory", SETTING_BOOL, EFFECT_NOW, AT(gateway.auto_restart.on_memory), 0, 0, "true",
	    "Restart the gateway in a quiet moment when it is about to run out of memory."},
	{"gateway.autoRestart.onDeadChannel", SETTING_BOOL, EFFECT_NOW, AT(gateway.auto_restart.on_dead_channel), 0, 0, "true",
	    "Restart a channel that the gateway itself calls dead; only that channel, never the gateway."},
	{"gateway.configFallback", SETTING_BOOL, EFFECT_NOW, AT(gateway.config_fallback), 0, 0, "false",
	    "When the gateway refuses its configuration, start it from the last healthy one."},
	{"gateway.reapIdle", SETTING_BOOL, EFFECT_NOW, AT(gateway.reap_idle), 0, 0, "true",
	    "Ask the gateway's own commands that have lost their caller and done nothing for 15 min to end."},
	{"health.interval", SETTING_DURATION, EFFECT_NOW, AT(health.interval_ms), 100, HOUR, "30s",
	    "Time between two health probes."},
	{"health.timeout", SETTING_DURATION, EFFECT_NOW, AT(health.timeout_ms), 50, 5 * MINUTE, "10s",
	    "A probe without an answer for this long has failed."},
	{"health.failures", SETTING_COUNT, EFFECT_NOW, AT(health.failures), 1, 100, "3",
	    "So many probes in a row must go unanswered before the gateway hangs."},
	{"health.path", SETTING_PATH, EFFECT_NOW, AT(health.path), 0, 0, "/healthz",
	    "What a probe asks the gateway for; \"\": a probe only connects to its port."},
	{"health.command", SETTING_ARGUMENTS, EFFECT_NOW, AT(health.arguments), 0, SETTINGS_ARGUMENTS_MAX, NULL,
	    "A command that probes instead: exit status 0 says that the gateway is well."},
	{"health.readyPath", SETTING_PATH, EFFECT_NOW, AT(health.ready_path), 0, 1, "/startupz",
	    "What says that the gateway has started; \"\": it is ready as soon as it runs (a generic gateway's default);"
	    " \"notify\": a generic gateway says READY=1 (sd_notify)."},
	{"health.startupTimeout", SETTING_DURATION, EFFECT_NOW, AT(health.startup_timeout_ms), SECOND, DAY, "10m",
	    "How long a start may take before it must at least show signs of progress."},
	{"health.watchdog", SETTING_DURATION, EFFECT_NEXT_START, AT(health.watchdog_ms), 0, DAY, "0",
	    "The gateway promises a WATCHDOG=1 at least this often; 0: it promises nothing."},
	{"health.hangGrace", SETTING_DURATION, EFFECT_NOW, AT(health.hang_grace_ms), 0, 10 * MINUTE, "2s",
	    "From SIGTERM to SIGKILL for a gateway that hangs."},
	{"health.autopsy", SETTING_BOOL, EFFECT_NOW, AT(health.autopsy), 0, 0, "true",
	    "Look where a hung gateway hangs before it is ended."},
	{"backoff.initial", SETTING_DURATION, EFFECT_NOW, AT(backoff.initial_ms), 0, HOUR, "1s",
	    "The first wait before a restart."},
	{"backoff.factor", SETTING_NUMBER, EFFECT_NOW, AT(backoff.factor), 1, 100, "2",
	    "Each further wait is so many times the one before."},
	{"backoff.max", SETTING_DURATION, EFFECT_NOW, AT(backoff.max_ms), 0, 7 * DAY, "40m",
	    "The longest wait before a restart."},
	{"backoff.jitter", SETTING_NUMBER, EFFECT_NOW, AT(backoff.jitter), 0, 1, "0.2",
	    "A wait is stretched or shortened at random by up to this part of it."},
	{"backoff.resetAfter", SETTING_DURATION, EFFECT_NOW, AT(backoff.reset_after_ms), 0, 7 * DAY, "60m",
	    "After so long in good health the waits begin anew."},
	{"backoff.immediateFirst", SETTING_BOOL, EFFECT_NOW, AT(backoff.immediate_first), 0, 0, "true",
	    "The first restart after a healthy run does not wait."},
	{"api.host", SETTING_ADDRESS, EFFECT_NOW, AT(api.host), 0, 0, "127.0.0.1",
	    "The address that Holdfast's own HTTP interface listens on."},
	{"api.port", SETTING_PORT, EFFECT_NOW, AT(api.port), 0, 65535, "18790",
	    "The port of Holdfast's own HTTP interface; 0: none."},
	{"relay.port", SETTING_PORT, EFFECT_NOW, AT(relay.port), 0, 65535, "18791",
	    "The port of the relay to the language models; 0: none."},
	{"relay.firstContentTimeout", SETTING_DURATION, EFFECT_NOW, AT(relay.first_content_timeout_ms), SECOND, HOUR, "60s",
	    "A model that has not begun to answer after this long is given up for the next profile."},
	{"relay.lastResortTimeout", SETTING_DURATION, EFFECT_NOW, AT(relay.last_resort_timeout_ms), SECOND, HOUR, "300s",
	    "As firstContentTimeout, for the last profile left."},
	{"relay.gapTimeout", SETTING_DURATION, EFFECT_NOW, AT(relay.gap_timeout_ms), SECOND, HOUR, "120s",
	    "The longest silence within an answer."},
	{"relay.providers", SETTING_PROVIDERS, EFFECT_NOW, 0, 0, SETTINGS_PROVIDERS_MAX, NULL,
	    "The language model providers that the relay speaks to, each with its profiles."},
	{"alerts", SETTING_ALERTS, EFFECT_NOW, 0, 0, SETTINGS_ALERTS_MAX, NULL,
	    "Where events are sent to."},
	{"retention.days", SETTING_COUNT, EFFECT_NOW, AT(retention.days), 1, 3650, "30",
	    "How long events are kept."},
	{"retention.size", SETTING_SIZE, EFFECT_NOW, AT(retention.size_bytes), MEGABYTE, 1000 * 1000 * MEGABYTE, "200MB",
	    "How much room events and console logs may take."},
};
/* clang-format on */

const size_t schema_count = sizeof(schema) / sizeof(schema[0]);

_Static_assert(
    sizeof(schema) / sizeof(schema[0]) <= SETTINGS_KEYS_MAX, "settings.origins has no room for every key");

const char *const schema_other_variables[] = {
    "HOLDFAST_CONFIG", "HOLDFAST_STATE_DIR", "HOLDFAST_RUNTIME_DIR", "HOLDFAST_GENERATION", NULL};

settings_text *setting_arguments(struct settings *settings, const struct setting *setting, uint32_t **count)
{
	bool is_probe = setting->offset == AT(health.arguments);

	*count = is_probe ? &settings->health.argument_count : &settings->gateway.argument_count;
	return is_probe ? settings->health.arguments : settings->gateway.arguments;
}

const char *setting_variable(const struct setting *setting, char variable[SETTING_VARIABLE_MAX])
{
	static const char section[] = "gateway.";
	const char *path = setting->path;
	size_t length = strlen("HOLDFAST_");

	if (strncmp(path, section, strlen(section)) == 0)
		path += strlen(section);
	memcpy(variable, "HOLDFAST_", length);
	for (; *path != '\0' && length < SETTING_VARIABLE_MAX - 2; path++) {
		bool upper = *path >= 'A' && *path <= 'Z', lower = *path >= 'a' && *path <= 'z';

		if (upper)
			variable[length++] = '_';
		variable[length++] = upper ? *path : lower ? (char)(*path - 'a' + 'A') : '_';
	}
	variable[length] = '\0';
	return variable;
}

const struct setting *schema_find(const char *path)
{
	for (size_t i = 0; i < schema_count; i++)
		if (strcmp(schema[i].path, path) == 0)
			return &schema[i];
	return NULL;
}

const struct setting *schema_find_variable(const char *variable)
{
	char name[SETTING_VARIABLE_MAX];

	for (size_t i = 0; i < schema_count; i++)
		if (strcmp(setting_variable(&schema[i], name), variable) == 0)
			return &schema[i];
	return NULL;
}

size_t schema_index(const char *path)
{
	const struct setting *setting = schema_find(path);

	if (setting == NULL)
		abort();
	return (size_t)(setting - schema);
}
