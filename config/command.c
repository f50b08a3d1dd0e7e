/* What is run: the command, its program's place, and the directory it runs in. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/loader.h"
#include "config/paths.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

int command_take(struct loader *loader)
{
	const struct setting *setting = schema_find("gateway.command");
	const struct origin origin = {.rank = RANK_FLAG, .name = "the command line"};
	struct settings *settings = loader->settings;
	char **command = loader->flags->command;
	uint32_t count = 0;

	if (command == NULL || command[0] == NULL)
		return 0;
	if (command[0][0] == '\0')
		return error_set(
		    loader->why, -EINVAL, "The command after \"--\" is empty: name a program to run.");
	for (; command[count] != NULL; count++) {
		if (count == SETTINGS_ARGUMENTS_MAX)
			return error_set(loader->why, -EINVAL,
			    "The command after \"--\" has more than %d words: put it into a script and name "
			    "that.",
			    SETTINGS_ARGUMENTS_MAX);
		if (loader_text(loader, command[count], strlen(command[count]),
		        &settings->gateway.arguments[count]) < 0)
			return loader->why->code = -EINVAL;
	}
	settings->gateway.argument_count = count;
	return loader_took(loader, setting, &origin);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static bool looks_like_openclaw(const struct settings *settings)
{
	if (strcmp(base_name(settings_string(settings, settings->gateway.arguments[0])), "openclaw") == 0)
		return true;
	for (uint32_t i = 0; i < settings->gateway.argument_count; i++)
		if (strcmp(base_name(settings_string(settings, settings->gateway.arguments[i])),
		        "openclaw.mjs") == 0)
			return true;
	return false;
}

void command_guess_kind(struct loader *loader)
{
	struct settings *settings = loader->settings;

	if (loader_rank(loader, "gateway.kind") == RANK_DEFAULT)
		settings->gateway.kind =
		    settings->gateway.argument_count == 0 || looks_like_openclaw(settings) ? GATEWAY_OPENCLAW
		                                                                           : GATEWAY_GENERIC;
}

/* 0, or the errno that says why it cannot be run. */
static int check_program(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return S_ISDIR(status.st_mode) ? -EISDIR : -EACCES;
	return access(path, X_OK) < 0 ? -errno : 0;
}

static int find_in_path(const struct loader *loader, const char *name, char found[PATH_MAX])
{
	const char *path = paths_variable(loader->environment, "PATH");
	char part[PATH_MAX], directory[PATH_MAX];

	path = path != NULL && *path != '\0' ? path : DEFAULT_PATH;
	for (;;) {
		size_t length = strcspn(path, ":");

		if (length < sizeof(part)) {
			memcpy(part, path, length);
			part[length] = '\0';
			/* An empty part is the current directory, as POSIX has it. */
			if (paths_resolve(NULL, NULL, part, directory) == 0 &&
			    paths_resolve(NULL, directory, name, found) == 0 && check_program(found) == 0)
				return 0;
		}
		if (path[length] == '\0')
			return -ENOENT;
		path += length + 1;
	}
}

/* OpenClaw itself, where nothing says how it is started. */
static int take_default(struct loader *loader)
{
	static const char *const words[] = {"gateway", "run"};
	struct settings *settings = loader->settings;
	const struct origin origin = {.rank = RANK_DEFAULT, .name = "default"};
	char program[PATH_MAX];

	if (settings->gateway.kind == GATEWAY_GENERIC)
		return error_set(loader->why, -ENOENT,
		    "gateway.kind is \"generic\" (%s), but no command is named: set gateway.command, or use "
		    "\"holdfast run -- "
		    "COMMAND\".",
		    loader_origin(loader, "gateway.kind"));
	if (find_in_path(loader, "openclaw", program) < 0)
		return error_set(loader->why, -ENOENT,
		    "There is no \"openclaw\" in PATH: install it (npm install -g openclaw), run \"make "
		    "run\" to try one here, or "
		    "name a command: \"holdfast run -- COMMAND\".");
	if (loader_text(loader, program, strlen(program), &settings->gateway.arguments[0]) < 0)
		return loader->why->code;
	for (uint32_t i = 0; i < 2; i++)
		if (loader_text(loader, words[i], strlen(words[i]), &settings->gateway.arguments[i + 1]) < 0)
			return loader->why->code;
	settings->gateway.argument_count = 3;
	return loader_took(loader, schema_find("gateway.command"), &origin);
}

static int refuse_program(
    struct loader *loader, const char *setting, const char *name, const char *path, int result)
{
	const char *origin = loader_origin(loader, setting);

	if (strchr(name, '/') == NULL)
		return error_set(loader->why, result,
		    "There is no program \"%.100s\" in PATH (%s): install it, or name it with its whole "
		    "path.",
		    name, origin);
	if (result == -ENOENT)
		return error_set(loader->why, result,
		    "There is no program %.200s (%s): install it, or name another command.", path, origin);
	return error_set(loader->why, result, "%.200s (%s) cannot be run: %s.", path, origin,
	    result == -EISDIR   ? "it is a directory"
	    : result == -EACCES ? "it is not executable"
	                        : strerror(-result));
}

int command_resolve(struct loader *loader)
{
	struct settings *settings = loader->settings;
	const char *directory = settings_string(settings, settings->gateway.working_directory), *name;
	bool typed = loader_rank(loader, "gateway.command") == RANK_FLAG;
	char program[PATH_MAX] = "";
	int result;

	if (settings->gateway.argument_count == 0)
		return take_default(loader);
	name = settings_string(settings, settings->gateway.arguments[0]);
	if (strchr(name, '/') == NULL) {
		result = find_in_path(loader, name, program);
	} else {
		/* What was typed counts from here, what stands in a file from where it will run. */
		result = paths_resolve(
		    loader->home, typed || *directory == '\0' ? NULL : directory, name, program);
		if (result == 0)
			result = check_program(program);
	}
	if (result < 0)
		return refuse_program(loader, "gateway.command", name, program, result);
	return loader_text(loader, program, strlen(program), &settings->gateway.arguments[0]);
}

int command_resolve_probe(struct loader *loader)
{
	struct settings *settings = loader->settings;
	const char *directory = settings_string(settings, settings->gateway.working_directory);
	const char *name = settings_string(settings, settings->health.arguments[0]);
	char program[PATH_MAX] = "";
	int result;

	if (settings->health.argument_count == 0)
		return 0;
	if (strchr(name, '/') == NULL) {
		result = find_in_path(loader, name, program);
	} else {
		result = paths_resolve(loader->home, *directory != '\0' ? directory : NULL, name, program);
		if (result == 0)
			result = check_program(program);
	}
	if (result < 0)
		return refuse_program(loader, "health.command", name, program, result);
	return loader_text(loader, program, strlen(program), &settings->health.arguments[0]);
}

static bool is_directory(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int command_directory(struct loader *loader)
{
	struct settings *settings = loader->settings;
	const char *directory = settings_string(settings, settings->gateway.working_directory);
	bool typed = loader_rank(loader, "gateway.command") == RANK_FLAG;

	if (loader_rank(loader, "gateway.workingDirectory") != RANK_DEFAULT) {
		if (is_directory(directory))
			return 0;
		return error_set(loader->why, -ENOENT,
		    "gateway.workingDirectory (%s) is %.200s, but there is no such directory.",
		    loader_origin(loader, "gateway.workingDirectory"), directory);
	}
	if (settings->gateway.kind != GATEWAY_OPENCLAW || typed || !is_directory(loader->home))
		return 0;
	return loader_text(loader, loader->home, strlen(loader->home), &settings->gateway.working_directory);
}
