#include "cli/relay_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "config/source.h"
#include "world/world.h"

#define PART_SUFFIX ".holdfast-new"

static int fail(struct error *why, int code, const char *path, const char *what)
{
	return error_set(why, code, "%.300s cannot be %s: %s.", path, what, strerror(-code));
}

static int read_bytes(struct relay_file *file, int fd)
{
	ssize_t length;

	if (fstat(fd, &file->status) < 0)
		return -errno;
	if (!S_ISREG(file->status.st_mode))
		return -EINVAL;
	if ((uintmax_t)file->status.st_size > SOURCE_BYTES_MAX)
		return -EFBIG;
	file->bytes = malloc((size_t)file->status.st_size + 1);
	if (file->bytes == NULL)
		return -ENOMEM;
	length = file_read_up_to(fd, file->bytes, (size_t)file->status.st_size);
	if (length < 0)
		return (int)length;
	file->length = (size_t)length;
	file->bytes[length] = '\0';
	return 0;
}

int relay_file_read(struct relay_file *file, const char *path, struct error *why)
{
	int result, fd CLOSE_ON_RETURN = -1;

	*file = (struct relay_file){0};
	if (realpath(path, file->path) == NULL) {
		result = -errno;
		if (!text_copy(file->path, sizeof(file->path), path))
			result = -ENAMETOOLONG;
		return fail(why, result, path, "read");
	}
	/* O_NONBLOCK: a pipe put where a file is expected must not hang us. */
	fd = world_open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	result = fd < 0 ? -errno : read_bytes(file, fd);
	return result < 0 ? fail(why, result, path, "read") : 0;
}

void relay_file_release(struct relay_file *file)
{
	if (file->bytes != NULL)
		explicit_bzero(file->bytes, file->length);
	free(file->bytes);
	*file = (struct relay_file){0};
}

/* A name without its directory's being on disk may be lost with the power. */
static int sync_directory(const char *path)
{
	char directory[PATH_MAX];
	char *slash;
	int result, fd CLOSE_ON_RETURN = -1;

	text_copy(directory, sizeof(directory), path);
	slash = strrchr(directory, '/');
	if (slash == NULL)
		return 0;
	slash[slash == directory] = '\0';
	fd = world_open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	result = fd < 0 || world_fsync(fd) < 0 ? -errno : 0;
	return result;
}

static int write_part(const char *part, const struct stat *like, const char *bytes, size_t length)
{
	int result,
	    fd CLOSE_ON_RETURN = world_open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	result = file_write_all(fd, bytes, length);
	/* Only root can give a file away; somebody else's stays readable for its group where that is ours. */
	if (result == 0 && like != NULL && (like->st_uid != geteuid() || like->st_gid != getegid()) &&
	    world_fchown(fd, like->st_uid, like->st_gid) < 0)
		result = -errno;
	if (result == 0 && like != NULL && world_fchmod(fd, like->st_mode & 07777) < 0)
		result = -errno;
	if (result == 0 && world_fsync(fd) < 0)
		result = -errno;
	return result;
}

int relay_file_write(
    const char *path, const struct stat *like, const char *bytes, size_t length, struct error *why)
{
	char part[PATH_MAX];
	int result;

	if (snprintf(part, sizeof(part), "%s" PART_SUFFIX, path) >= (int)sizeof(part))
		return fail(why, -ENAMETOOLONG, path, "written");
	world_unlink(part); /* of a run that was cut short */
	result = write_part(part, like, bytes, length);
	if (result == 0 && world_rename(part, path) < 0)
		result = -errno;
	if (result == 0)
		result = sync_directory(path);
	if (result < 0) {
		world_unlink(part);
		return fail(why, result, path, "written");
	}
	return 0;
}

static int check_unchanged(const struct relay_file *file, struct error *why)
{
	struct relay_file now;
	struct error ignored;
	int result = relay_file_read(&now, file->path, &ignored);
	bool same = file->bytes == NULL ? result == -ENOENT
	                                : result == 0 && now.length == file->length &&
	                                      memcmp(now.bytes, file->bytes, now.length) == 0;

	relay_file_release(&now);
	return same ? 0
	            : error_set(why, -EBUSY,
	                  "%.300s was changed by somebody else meanwhile: nothing was written, try again.",
	                  file->path);
}

int relay_file_replace(const struct relay_file *file, const char *bytes, size_t length, struct error *why)
{
	int result = check_unchanged(file, why);

	if (result < 0)
		return result;
	return relay_file_write(file->path, file->bytes != NULL ? &file->status : NULL, bytes, length, why);
}
