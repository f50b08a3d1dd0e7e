#include "sentry/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "world/world.h"

/* Journal lines may begin with their syslog priority (sd-daemon(3)); only ours do. */
#define PRIORITY_NOTICE "<5>"

static bool is_journal(int fd)
{
	const char *variable = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat stat;
	char rest;

	return variable != NULL && sscanf(variable, "%llu:%llu%c", &device, &inode, &rest) == 2 &&
	       fstat(fd, &stat) == 0 && stat.st_dev == (dev_t)device && stat.st_ino == (ino_t)inode;
}

static bool is_coloured(int fd)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fd) && (no_color == NULL || *no_color == '\0') && term != NULL &&
	       strcmp(term, "dumb") != 0;
}

void stream_init(struct stream *stream, int fd)
{
	*stream = (struct stream){.fd = fd, .is_journal = is_journal(fd), .is_coloured = is_coloured(fd)};
}

static bool is_permanent(const struct stream *stream, int error)
{
	/* EIO: a terminal that hung up. A file may work again. */
	return error == EPIPE || error == EBADF || error == ECONNRESET ||
	       (error == EIO && isatty(stream->fd));
}

ssize_t stream_write(void *context, const char *bytes, size_t length)
{
	struct stream *stream = context;
	struct pollfd writable = {.fd = stream->fd, .events = POLLOUT};
	ssize_t written;

	if (stream->broken)
		return (ssize_t)length;
	while ((written = world_write(stream->fd, bytes, length)) < 0) {
		int error = errno;

		if (error == EINTR)
			continue;
		/* Whoever started us may have left it non-blocking. */
		if (error == EAGAIN && poll(&writable, 1, -1) >= 0)
			continue;
		if (!is_permanent(stream, error))
			return -error;
		stream->broken = true;
		return (ssize_t)length;
	}
	return written;
}

void stream_format(const struct stream *stream, char *target, size_t target_size, const char *sentence)
{
	if (stream->is_journal)
		snprintf(target, target_size, PRIORITY_NOTICE "holdfast: %s", sentence);
	else if (stream->is_coloured)
		snprintf(target, target_size, "\033[1;36mholdfast:\033[0m %s", sentence);
	else
		snprintf(target, target_size, "holdfast: %s", sentence);
}
