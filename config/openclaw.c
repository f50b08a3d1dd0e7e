#include "config/openclaw.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/paths.h"

/* gateway.env comes first: it is the environment the gateway will have. */
static const char *variable(const struct loader *loader, const char *name)
{
	const struct settings *settings = loader->settings;
	size_t length = strlen(name);
	const char *value;

	for (uint32_t i = 0; i < settings->gateway.variable_count; i++) {
		value = settings_string(settings, settings->gateway.variables[i]);
		if (strncmp(value, name, length) == 0 && value[length] == '=')
			return value[length + 1] != '\0' ? value + length + 1 : NULL;
	}
	value = paths_variable(loader->environment, name);
	return value != NULL && *value != '\0' ? value : NULL;
}

const char *openclaw_argument(const struct settings *settings, const char *name)
{
	size_t length = strlen(name);
	const char *value = NULL;

	for (uint32_t i = 1; i < settings->gateway.argument_count; i++) {
		const char *argument = settings_string(settings, settings->gateway.arguments[i]);

		if (strncmp(argument, name, length) != 0)
			continue;
		if (argument[length] == '=')
			value = argument + length + 1;
		else if (argument[length] == '\0' && i + 1 < settings->gateway.argument_count)
			value = settings_string(settings, settings->gateway.arguments[i + 1]);
	}
	return value;
}

bool openclaw_asks_for_dev(const struct settings *settings)
{
	for (uint32_t i = 1; i < settings->gateway.argument_count; i++) {
		const char *argument = settings_string(settings, settings->gateway.arguments[i]);

		if (strcmp(argument, "--dev") == 0)
			return true;
		if (strcmp(argument, "gateway") == 0)
			break;
	}
	return false;
}

static bool is_profile(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return length > 0 && length <= 64 && name[length] == '\0' && *name != '_' && *name != '-' &&
	       strcasecmp(name, "default") != 0;
}

static int too_long(struct loader *loader, const char *what)
{
	return error_set(loader->why, -ENAMETOOLONG, "%s is too long for a path.", what);
}

/* A directory of that name in OpenClaw's home; the first that is there, else the first. */
static int default_directory(struct openclaw *openclaw, const char *suffix)
{
	char name[SUBJECT_MAX + 16], older[PATH_MAX];

	snprintf(name, sizeof(name), ".openclaw%s%s", *suffix != '\0' ? "-" : "", suffix);
	if (paths_resolve(NULL, openclaw->home, name, openclaw->state_directory) < 0)
		return -ENAMETOOLONG;
	if (*suffix == '\0' && access(openclaw->state_directory, F_OK) < 0 &&
	    paths_resolve(NULL, openclaw->home, ".clawdbot", older) == 0 && access(older, F_OK) == 0)
		text_copy(openclaw->state_directory, sizeof(openclaw->state_directory), older);
	return 0;
}

static int locate_config(struct openclaw *openclaw, const char *given)
{
	char older[PATH_MAX];

	if (given != NULL)
		return paths_resolve(openclaw->home, NULL, given, openclaw->config_path);
	if (paths_resolve(NULL, openclaw->state_directory, "openclaw.json", openclaw->config_path) < 0)
		return -ENAMETOOLONG;
	if (access(openclaw->config_path, F_OK) < 0 &&
	    paths_resolve(NULL, openclaw->state_directory, "clawdbot.json", older) == 0 &&
	    access(older, F_OK) == 0)
		text_copy(openclaw->config_path, sizeof(openclaw->config_path), older);
	return 0;
}

int openclaw_locate(struct openclaw *openclaw, struct loader *loader)
{
	const char *home = variable(loader, "OPENCLAW_HOME"), *state = variable(loader, "OPENCLAW_STATE_DIR");
	const char *selected = openclaw_argument(loader->settings, "--profile");
	const char *inherited = variable(loader, "OPENCLAW_PROFILE"),
	           *profile = selected != NULL ? selected : inherited;
	int result;

	*openclaw->profile = '\0';
	openclaw->loader = loader;
	openclaw->is_dev = openclaw_asks_for_dev(loader->settings);
	if (openclaw->is_dev)
		selected = profile = "dev";
	if (profile != NULL && is_profile(profile))
		text_copy(openclaw->profile, sizeof(openclaw->profile), profile);
	if (paths_resolve(loader->home, NULL, home != NULL ? home : loader->home, openclaw->home) < 0)
		return too_long(loader, "OPENCLAW_HOME");
	if (state != NULL)
		result = paths_resolve(openclaw->home, NULL, state, openclaw->state_directory);
	else
		result = default_directory(openclaw, selected != NULL ? openclaw->profile : "");
	if (result < 0)
		return too_long(loader, "OPENCLAW_STATE_DIR");
	if (locate_config(openclaw, variable(loader, "OPENCLAW_CONFIG_PATH")) < 0)
		return too_long(loader, "OPENCLAW_CONFIG_PATH");
	return 0;
}

/* "18789", "host:18789" or "[::1]:18789". */
static uint32_t read_port(const char *text)
{
	const char *colon = strrchr(text, ':');
	uint64_t port;

	if (text_to_u64(colon != NULL ? colon + 1 : text, 65535, &port) < 0)
		return 0;
	return (uint32_t)port;
}

/* As 2026.9.6 has it: FNV-1a, 32 bits, into 20000..59999. */
static uint32_t profile_port(const char *profile)
{
	uint32_t hash = 2166136261u;

	for (; *profile != '\0'; profile++)
		hash = (hash ^ (unsigned char)*profile) * 16777619u;
	return 20000 + hash % 40000;
}

uint32_t openclaw_port(const struct openclaw *openclaw, char origin[SUBJECT_MAX])
{
	struct loader *loader = openclaw->loader;
	const char *argument = openclaw_argument(loader->settings, "--port");
	const char *set = variable(loader, "OPENCLAW_GATEWAY_PORT");

	if (argument != NULL && read_port(argument) != 0) {
		text_copy(origin, SUBJECT_MAX, "the command's --port");
		return read_port(argument);
	}
	text_copy(origin, SUBJECT_MAX, "OPENCLAW_GATEWAY_PORT");
	if (set != NULL && read_port(set) != 0)
		return read_port(set);
	if (set != NULL)
		loader_remark(loader,
		    "OPENCLAW_GATEWAY_PORT is \"%.40s\", which is no port: OpenClaw will ignore it.", set);
	if (openclaw->port != 0) {
		const struct origin *place = &openclaw->port_origin;
		const char *slash = strrchr(place->source->path, '/');

		snprintf(origin, SUBJECT_MAX, "%.90s:%u:%u", slash != NULL ? slash + 1 : place->source->path,
		    place->place.line, place->place.column);
		return openclaw->port;
	}
	text_copy(origin, SUBJECT_MAX, "default");
	if (openclaw->is_dev)
		return OPENCLAW_DEFAULT_DEV_PORT;
	if (*openclaw->profile == '\0')
		return OPENCLAW_DEFAULT_PORT;
	text_copy(origin, SUBJECT_MAX, "OPENCLAW_PROFILE");
	return profile_port(openclaw->profile);
}
