#include "cli/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "world/world.h"

/* This program's own file; "" when the kernel does not tell. */
static void own_path(char path[PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);

	path[length > 0 ? length : 0] = '\0';
}

static int find_beside(const char *name, char path[PATH_MAX], struct error *why)
{
	char own[PATH_MAX], *slash;
	const struct {
		const char *first, *second;
	} places[] = {{own, ""}, {own, "/../libexec/holdfast"}, {HOLDFAST_LIBEXECDIR, ""}};

	own_path(own);
	slash = strrchr(own, '/');
	if (slash != NULL)
		*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct text text;

		text_init(&text, path, PATH_MAX);
		text_addf(&text, "%s%s/%s", places[i].first, places[i].second, name);
		if (!text.truncated && access(path, F_OK) == 0)
			return 0;
	}
	return error_set(why, -ENOENT,
	    "The program %s is missing (not in %s, nor in %s): install all of Holdfast's programs together.",
	    name, own, HOLDFAST_LIBEXECDIR);
}

int program_find(const char *name, char path[PATH_MAX], struct error *why)
{
	char found[PATH_MAX];
	int result = 0;

	if (strcmp(name, "holdfast") == 0)
		own_path(found);
	else
		result = find_beside(name, found, why);
	if (result < 0)
		return result;
	/* This one's own file may have been replaced since it was started. */
	if (realpath(found, path) == NULL || access(path, X_OK) < 0)
		return error_set(why, -errno,
		    "%s cannot be started: %s; install all of Holdfast's programs together.", found,
		    strerror(errno));
	return 0;
}

int program_become(const char *name, const char *const *arguments, struct error *why)
{
	char path[PATH_MAX];
	int result = find_beside(name, path, why);

	if (result < 0)
		return result;
	world_execv(path, (char *const *)arguments);
	return error_set(why, -errno, "%s cannot be started: %s.", path, strerror(errno));
}
