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
#include "config/token.h"
#include "world/world.h"

#define FILE_NAME      "gateway-token"
#define TEMPORARY_NAME "gateway-token.new"

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
