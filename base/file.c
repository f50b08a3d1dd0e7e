#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static ssize_t read_up_to(int fd, char *buffer, size_t size)
{
	size_t length = 0;

	while (length < size) {
		ssize_t got = read(fd, buffer + length, size - length);

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
	int fd CLOSE_ON_RETURN = openat(directory_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t length;

	buffer[0] = '\0';
	if (fd < 0)
		return -errno;
	length = read_up_to(fd, buffer, size);
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

int file_write_all(int fd, const void *bytes, size_t length)
{
	const char *next = bytes;

	while (length > 0) {
		ssize_t written = write(fd, next, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		next += written;
		length -= (size_t)written;
	}
	return 0;
}

void file_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}
