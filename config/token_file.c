/* The token that Holdfast gives to a gateway that has none. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "config/paths.h"
#include "config/token.h"
#include "world/world.h"

#define FILE_NAME      "gateway-token"
#define TEMPORARY_NAME "gateway-token.new"

struct planned {
	const struct settings *settings;
	char *const *environment;
};

/* What Holdfast itself adds comes before what it inherits. */
static bool find_planned(void *context, const char *name, char *value, size_t size)
{
	const struct planned *planned = context;
	const struct settings *settings = planned->settings;
	size_t length = strlen(name);
	const char *inherited;

	for (uint32_t i = settings->gateway.variable_count; i-- > 0;) {
		const char *variable = settings_string(settings, settings->gateway.variables[i]);

		if (strncmp(variable, name, length) == 0 && variable[length] == '=') {
			text_copy(value, size, variable + length + 1);
			return true;
		}
	}
	inherited = paths_variable(planned->environment, name);
	if (inherited != NULL)
		text_copy(value, size, inherited);
	return inherited != NULL;
}

bool token_is_missing(const struct settings *settings, char *const *environment)
{
	struct planned planned = {settings, environment};
	const struct token_environment planned_environment = {find_planned, &planned};
	struct token found;
	bool missing;

	if (settings->gateway.kind != GATEWAY_OPENCLAW)
		return false;
	/* One that is configured and cannot be had is the gateway's own business. */
	missing =
	    token_find(settings, &planned_environment, &found, NULL) == 0 && found.kind == TOKEN_MISSING;
	token_clear(&found);
	return missing;
}

static bool is_token(const char *value)
{
	return strspn(value, "0123456789abcdef") == TOKEN_GIVEN_LENGTH && value[TOKEN_GIVEN_LENGTH] == '\0';
}

/* What others could have read is not used again. */
static bool read_given(int directory_fd, char *value, size_t size)
{
	int fd CLOSE_ON_RETURN =
	    world_openat(directory_fd, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat status;
	ssize_t length;

	if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
	    (status.st_mode & 077) != 0)
		return false;
	length = file_read_up_to(fd, value, size - 1);
	value[length > 0 ? (size_t)length : 0] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return is_token(value);
}

static int make(int directory_fd, char *value)
{
	uint8_t bytes[TOKEN_GIVEN_LENGTH / 2];
	int result, fd CLOSE_ON_RETURN = -1;

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -errno;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(value + 2 * i, 3, "%02x", bytes[i]);
	if (world_unlinkat(directory_fd, TEMPORARY_NAME, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = world_openat(
	    directory_fd, TEMPORARY_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	result = file_write_all(fd, value, TOKEN_GIVEN_LENGTH);
	if (result == 0 && world_renameat(directory_fd, TEMPORARY_NAME, directory_fd, FILE_NAME) < 0)
		result = -errno;
	if (result < 0)
		world_unlinkat(directory_fd, TEMPORARY_NAME, 0);
	return result;
}

int token_ensure(const struct settings *settings, char *value, size_t size, struct error *why)
{
	const char *state_dir = settings_string(settings, settings->state_dir);
	int result, fd CLOSE_ON_RETURN = -1;

	if (size <= TOKEN_GIVEN_LENGTH + 1)
		return error_set(why, -EINVAL, "There is no room for the gateway's token.");
	fd = world_open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	result = fd < 0 ? -errno : 0;
	if (result == 0 && !read_given(fd, value, size))
		result = make(fd, value);
	if (result < 0)
		return error_set(why, result,
		    "The token for the gateway cannot be kept in %.300s: %s. The gateway runs without one, "
		    "and is watched "
		    "without its WebSocket.",
		    state_dir, strerror(-result));
	return 0;
}
