#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "world/world.h"

ssize_t file_read_up_to(int fd, char *buffer, size_t size)
{
	size_t length = 0;

	while (length < size) {
		ssize_t got = world_read(fd, buffer + length, size - length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		length += (size_t)got;
	}
	return (ssize_t)length;
}

ssize_t file_read(int directory_fd, const char *path, char *buffer, size_t size)
{
	/* O_NONBLOCK: a FIFO put where a file is expected must not hang us. */
	int fd CLOSE_ON_RETURN = world_openat(directory_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t length;

	buffer[0] = '\0';
	if (fd < 0)
		return -errno;
	length = file_read_up_to(fd, buffer, size);
	if (length < 0)
		return length;
	if ((size_t)length == size)
		return -EFBIG;
	buffer[length] = '\0';
	return length;
}

ssize_t file_read_start(int fd, char *buffer, size_t size)
{
	ssize_t length;

	do
		length = pread(fd, buffer, size - 1, 0);
	while (length < 0 && errno == EINTR);
	buffer[length < 0 ? 0 : length] = '\0';
	return length < 0 ? -errno : length;
}

int file_each_line(
    int directory_fd, const char *path, bool (*visit)(void *context, const char *line), void *context)
{
	int fd CLOSE_ON_RETURN = world_openat(directory_fd, path, O_RDONLY | O_CLOEXEC);
	char buffer[FILE_LINE_MAX];
	size_t length = 0;
	bool go_on = true, cut = false;

	if (fd < 0)
		return -errno;
	while (go_on) {
		ssize_t got = world_read(fd, buffer + length, sizeof(buffer) - 1 - length);
		char *line = buffer, *newline;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		length += (size_t)got;
		buffer[length] = '\0';
		while (go_on && (newline = memchr(line, '\n', length - (size_t)(line - buffer))) != NULL) {
			*newline = '\0';
			go_on = cut || visit(context, line);
			cut = false;
			line = newline + 1;
		}
		length -= (size_t)(line - buffer);
		memmove(buffer, line, length);
		buffer[length] = '\0';
		/* A line that fills the buffer is visited cut; the rest of it is passed over. An unended last
		 * line counts. */
		if (go_on && length > 0 && (got == 0 || length == sizeof(buffer) - 1)) {
			go_on = cut || visit(context, buffer);
			cut = true;
			length = 0;
		}
		if (got == 0)
			break;
	}
	return 0;
}

int file_each_entry(
    const char *path, bool (*visit)(void *context, int directory_fd, const char *name), void *context)
{
	int fd CLOSE_ON_RETURN = world_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct dirent64) char buffer[8192];
	ssize_t length;

	if (fd < 0)
		return -errno;
	while ((length = getdents64(fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t at = 0; at < length;) {
			const struct dirent64 *entry = (const struct dirent64 *)(buffer + at);

			if (!visit(context, fd, entry->d_name))
				return 0;
			at += entry->d_reclen;
		}
	}
	return length < 0 ? -errno : 0;
}

int file_write_all(int fd, const void *bytes, size_t length)
{
	const char *next = bytes;

	while (length > 0) {
		ssize_t written = world_write(fd, next, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		next += written;
		length -= (size_t)written;
	}
	return 0;
}

bool file_is_readable(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};

	return poll(&poller, 1, 0) > 0;
}

void file_identity(const char *path, uint64_t *device, uint64_t *inode)
{
	struct stat status;

	*device = *inode = 0;
	if (stat(path, &status) < 0)
		return;
	*device = status.st_dev;
	*inode = status.st_ino;
}

void file_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}
