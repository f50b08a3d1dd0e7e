#include "config/log_file.h"

#include <errno.h>
#include <string.h>

#include "config/paths.h"
#include "config/token_variable.h"

/* What a relative path is relative to; NULL: our own directory, which is the gateway's as well. */
static const char *base_directory(const struct settings *settings)
{
	const char *directory = settings_string(settings, settings->gateway.working_directory);

	return *directory != '\0' ? directory : NULL;
}

/* OPENCLAW_HOME, which may begin with "~" itself; else HOME. */
static int find_home(struct token_reader *reader, char home[PATH_MAX])
{
	char given[PATH_MAX], user[PATH_MAX];
	int result = token_variable(reader, "OPENCLAW_HOME", given, sizeof(given));

	if (result < 0)
		return result;
	if (token_variable(reader, "HOME", user, sizeof(user)) <= 0)
		*user = '\0';
	if (result == 0 && *user == '\0')
		return -ENOENT;
	return paths_resolve(
	    *user != '\0' ? user : NULL, base_directory(reader->settings), result > 0 ? given : user, home);
}

static int find(struct token_reader *reader, char path[PATH_MAX])
{
	static const char *const place[] = {"logging", "file", NULL};
	const struct json_value *value = token_value(reader, place);
	char given[PATH_MAX], home[PATH_MAX];
	int result;

	if (value == NULL || value->type != JSON_STRING || value->string.length == 0)
		return 0;
	if (strlen(value->string.bytes) != value->string.length)
		return -EINVAL;
	/* This looks into openclaw.json again: `value` is not used behind it. */
	result = token_substitute(reader, value->string.bytes, given, sizeof(given), NULL);
	if (result == 0 && *given == '~')
		result = find_home(reader, home);
	if (result == 0)
		result =
		    paths_resolve(*given == '~' ? home : NULL, base_directory(reader->settings), given, path);
	return result == 0 ? 1 : result;
}

int log_file_find(
    const struct settings *settings, const struct token_environment *environment, char path[PATH_MAX])
{
	static struct token_reader reader; /* too large for a stack; used by one thread */
	int result;

	if (!token_reader_open(&reader, settings, environment))
		return 0;
	result = find(&reader, path);
	openclaw_release(&reader.openclaw);
	return result;
}
