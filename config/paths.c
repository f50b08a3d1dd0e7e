#include "config/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

#define PASSWD_FILE_MAX (256 * 1024)

const char *paths_variable(char *const *environment, const char *name)
{
	size_t length = strlen(name);

	for (; *environment != NULL; environment++)
		if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
			return *environment + length + 1;
	return NULL;
}

/* name:password:uid:gid:comment:home:shell */
static bool read_passwd_line(char *line, uint64_t uid, char home[PATH_MAX])
{
	char *fields[7] = {0};
	uint64_t number;

	for (size_t i = 0; i < 7; i++)
		fields[i] = strsep(&line, ":");
	return fields[6] != NULL && text_to_u64(fields[2], UINT32_MAX, &number) == 0 && number == uid &&
	       fields[5][0] == '/' && text_copy(home, PATH_MAX, fields[5]);
}

static bool home_from_passwd(char home[PATH_MAX])
{
	char *content = malloc(PASSWD_FILE_MAX), *rest = content, *line;
	bool found = false;

	if (content != NULL && file_read(AT_FDCWD, "/etc/passwd", content, PASSWD_FILE_MAX) >= 0)
		while (!found && (line = strsep(&rest, "\n")) != NULL)
			found = read_passwd_line(line, geteuid(), home);
	free(content);
	return found;
}

int paths_home(char *const *environment, char home[PATH_MAX], struct error *why)
{
	const char *variable = paths_variable(environment, "HOME");

	if (variable != NULL && variable[0] == '/')
		return paths_resolve(NULL, NULL, variable, home) == 0
		           ? 0
		           : error_set(
		                 why, -ENAMETOOLONG, "HOME is too long: set it to your home directory.");
	if (home_from_passwd(home))
		return 0;
	return error_set(why, -ENOENT,
	    "HOME is not set and /etc/passwd has no entry for user %u: set HOME to a directory of yours.",
	    (unsigned)geteuid());
}

/* Appends the parts of `path` to what is already resolved. */
static int append_parts(struct text *resolved, const char *path)
{
	while (*path != '\0') {
		size_t length = strcspn(path, "/");

		if (length == 2 && path[0] == '.' && path[1] == '.') {
			while (resolved->length > 0 && resolved->data[resolved->length - 1] != '/')
				resolved->length--;
			if (resolved->length > 0)
				resolved->length--;
			resolved->data[resolved->length] = '\0';
		} else if (length > 0 && !(length == 1 && path[0] == '.')) {
			text_add_bytes(resolved, "/", 1);
			text_add_bytes(resolved, path, length);
		}
		path += length;
		path += *path == '/';
	}
	return resolved->truncated ? -ENAMETOOLONG : 0;
}

int paths_resolve(const char *home, const char *base, const char *path, char resolved[PATH_MAX])
{
	bool at_home = home != NULL && path[0] == '~' && (path[1] == '/' || path[1] == '\0');
	struct text text;
	char here[PATH_MAX];
	int result = 0;

	text_init(&text, resolved, PATH_MAX);
	if (at_home) {
		result = append_parts(&text, home);
		path++;
	} else if (path[0] != '/') {
		if (base == NULL && getcwd(here, sizeof(here)) == NULL)
			return -errno;
		result = append_parts(&text, base != NULL ? base : here);
	}
	if (result == 0)
		result = append_parts(&text, path);
	if (result == 0 && text.length == 0)
		text_add(&text, "/");
	return result;
}

static int resolve_named(
    const char *home, const char *name, const char *path, char resolved[PATH_MAX], struct error *why)
{
	int result;

	if (path[0] == '\0')
		return error_set(why, -EINVAL, "%s is empty, but must be a directory.", name);
	result = paths_resolve(home, NULL, path, resolved);
	if (result < 0)
		return error_set(
		    why, result, "%s cannot be made an absolute path: %s.", name, strerror(-result));
	return 0;
}

int paths_state(
    char *const *environment, const char *home, const char *flag, char state_dir[PATH_MAX], struct error *why)
{
	const char *variable = paths_variable(environment, "HOLDFAST_STATE_DIR");
	const char *base = paths_variable(environment, "XDG_STATE_HOME");

	if (flag != NULL)
		return resolve_named(home, "--state-dir", flag, state_dir, why);
	if (variable != NULL && variable[0] != '\0')
		return resolve_named(home, "HOLDFAST_STATE_DIR", variable, state_dir, why);
	if (base != NULL && base[0] == '/')
		return paths_resolve(home, base, "holdfast", state_dir) == 0
		           ? 0
		           : error_set(why, -ENAMETOOLONG,
		                 "XDG_STATE_HOME is too long: set another, or HOLDFAST_STATE_DIR.");
	return paths_resolve(home, home, ".local/state/holdfast", state_dir) == 0
	           ? 0
	           : error_set(why, -ENAMETOOLONG,
	                 "HOME is too long: set HOLDFAST_STATE_DIR to a shorter directory.");
}

/* Whether this is the directory that the user gets who sets nothing: it alone has a runtime directory without
 * a hash in its name. HOME and XDG_STATE_HOME are settings too, hence not asked. */
static bool is_ordinary(const char *home, const char *state_dir)
{
	char own[PATH_MAX], ordinary[PATH_MAX];

	if (!home_from_passwd(own))
		text_copy(own, sizeof(own), home);
	return paths_resolve(home, own, ".local/state/holdfast", ordinary) == 0 &&
	       strcmp(ordinary, state_dir) == 0;
}

static bool is_our_directory(const char *path)
{
	struct stat status;

	return path != NULL && path[0] == '/' && stat(path, &status) == 0 && S_ISDIR(status.st_mode) &&
	       status.st_uid == geteuid();
}

static int default_runtime(char *const *environment, const char *home, const char *state_dir,
    char runtime_dir[PATH_MAX], struct error *why)
{
	const char *base = paths_variable(environment, "XDG_RUNTIME_DIR");
	char users[64], name[32] = "holdfast";

	if (!is_our_directory(base)) {
		snprintf(users, sizeof(users), "/run/user/%u", (unsigned)geteuid());
		if (!is_our_directory(users))
			snprintf(users, sizeof(users), "/dev/shm/holdfast-%u", (unsigned)geteuid());
		base = users;
	}
	if (!is_ordinary(home, state_dir))
		snprintf(
		    name, sizeof(name), "holdfast-%08" PRIx32, (uint32_t)(paths_instance(state_dir) >> 32));
	if (paths_resolve(home, base, name, runtime_dir) < 0)
		return error_set(why, -ENAMETOOLONG,
		    "XDG_RUNTIME_DIR is too long: set HOLDFAST_RUNTIME_DIR to a shorter one.");
	return 0;
}

int paths_runtime(char *const *environment, const char *home, const char *flag, const char *state_dir,
    char runtime_dir[PATH_MAX], struct error *why)
{
	const char *variable = paths_variable(environment, "HOLDFAST_RUNTIME_DIR");
	int result;

	if (flag != NULL)
		result = resolve_named(home, "--runtime-dir", flag, runtime_dir, why);
	else if (variable != NULL && variable[0] != '\0')
		result = resolve_named(home, "HOLDFAST_RUNTIME_DIR", variable, runtime_dir, why);
	else
		result = default_runtime(environment, home, state_dir, runtime_dir, why);
	if (result < 0)
		return result;
	if (strlen(runtime_dir) > PATHS_RUNTIME_MAX)
		return error_set(why, -ENAMETOOLONG,
		    "The runtime directory %.200s is %zu bytes long, but a socket in it allows %d: choose a "
		    "shorter one with "
		    "--runtime-dir.",
		    runtime_dir, strlen(runtime_dir), PATHS_RUNTIME_MAX);
	return 0;
}

/* FNV-1a, 64 bits. */
uint64_t paths_instance(const char *state_dir)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *state_dir != '\0'; state_dir++)
		hash = (hash ^ (unsigned char)*state_dir) * 0x100000001b3u;
	return hash;
}
