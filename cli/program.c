#include "cli/program.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

/* The directory of this program without a final slash; "" when the kernel does not tell. */
static void own_directory(char *directory, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", directory, size - 1);
	char *slash;

	directory[length > 0 ? length : 0] = '\0';
	slash = strrchr(directory, '/');
	if (slash != NULL)
		*slash = '\0';
}

int program_become(const char *name, const char *const *arguments, struct error *why)
{
	char own[PATH_MAX], path[PATH_MAX];
	const struct {
		const char *first, *second;
	} places[] = {{own, ""}, {own, "/../libexec/holdfast"}, {HOLDFAST_LIBEXECDIR, ""}};

	own_directory(own, sizeof(own));
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct text text;

		text_init(&text, path, sizeof(path));
		text_addf(&text, "%s%s/%s", places[i].first, places[i].second, name);
		if (text.truncated)
			continue;
		execv(path, (char *const *)arguments);
		if (errno != ENOENT && errno != ENOTDIR)
			return error_set(why, -errno, "%s cannot be started: %s.", path, strerror(errno));
	}
	return error_set(why, -ENOENT,
	    "The program %s is missing (not in %s, nor in %s): install all of Holdfast's programs together.",
	    name, own, HOLDFAST_LIBEXECDIR);
}
