#include "sentry/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "world/world.h"

#define RESERVE_BYTES (2 * 1024 * 1024)

void logfile_init(struct logfile *logfile, const char *directory, int64_t retention_bytes)
{
	int64_t limit = retention_bytes / 4 / (LOGFILE_KEPT + 1);

	if (limit > LOGFILE_BYTES_MAX)
		limit = LOGFILE_BYTES_MAX;
	if (limit < LOGFILE_BYTES_MIN)
		limit = LOGFILE_BYTES_MIN;
	*logfile = (struct logfile){.directory = directory, .limit_bytes = limit, .fd = -1};
}

void logfile_close(struct logfile *logfile)
{
	file_close(&logfile->fd);
}

static int open_file(struct logfile *logfile)
{
	int directory CLOSE_ON_RETURN = world_open(logfile->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat stat;
	char last = '\n';

	if (directory < 0)
		return -errno;
	/* O_NONBLOCK: a FIFO put in its place must not hang us. Read too, to see how it ends. */
	logfile->fd = world_openat(
	    directory, LOGFILE_NAME, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (logfile->fd < 0)
		return -errno;
	if (fstat(logfile->fd, &stat) < 0 || !S_ISREG(stat.st_mode)) {
		logfile_close(logfile);
		return -EEXIST;
	}
	if ((stat.st_mode & 077) != 0)
		(void)!world_fchmod(logfile->fd, 0600);
	logfile->device = stat.st_dev;
	logfile->inode = stat.st_ino;
	logfile->size_bytes = stat.st_size;
	if (stat.st_size > 0 && pread(logfile->fd, &last, 1, stat.st_size - 1) != 1)
		last = '\n';
	logfile->mid_line = last != '\n';
	return 0;
}

/* Someone else's rotation moved or removed it: what we write would be seen by nobody. */
static bool is_gone(struct logfile *logfile)
{
	struct stat ours, there;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" LOGFILE_NAME, logfile->directory);
	if (fstat(logfile->fd, &ours) < 0 || lstat(path, &there) < 0 || ours.st_dev != there.st_dev ||
	    ours.st_ino != there.st_ino)
		return true;
	logfile->size_bytes = ours.st_size;
	return false;
}

/* Only the last store makes it count, and the bytes' being forgotten ends that. */
static void note_write(struct logfile *logfile)
{
	struct ring_cursor *cursor = logfile->cursor;

	if (cursor == NULL)
		return;
	__atomic_store_n(&cursor->noted, RING_NOTHING_NOTED, __ATOMIC_SEQ_CST);
	cursor->device = logfile->device;
	cursor->inode = logfile->inode;
	cursor->size_bytes = logfile->size_bytes;
	__atomic_store_n(&cursor->noted, cursor->begin, __ATOMIC_SEQ_CST);
}

uint64_t logfile_written_since(
    const struct logfile *logfile, const struct ring_cursor *cursor, uint64_t limit)
{
	char path[PATH_MAX];
	struct stat there;

	snprintf(path, sizeof(path), "%s/" LOGFILE_NAME, logfile->directory);
	if (cursor->noted != cursor->begin || cursor->size_bytes < 0 || lstat(path, &there) < 0 ||
	    !S_ISREG(there.st_mode) || there.st_dev != cursor->device || there.st_ino != cursor->inode ||
	    there.st_size <= cursor->size_bytes || (uint64_t)(there.st_size - cursor->size_bytes) > limit)
		return 0;
	return (uint64_t)(there.st_size - cursor->size_bytes);
}

/* Events matter more than console lines, and live on the same disk: some of it is left to them. */
static bool leaves_room(const struct logfile *logfile, size_t length)
{
	struct statvfs disk;
	uint64_t kept = RESERVE_BYTES;

	if (fstatvfs(logfile->fd, &disk) < 0)
		return true;
	if (kept > (uint64_t)disk.f_blocks * disk.f_frsize / 8)
		kept = (uint64_t)disk.f_blocks * disk.f_frsize / 8;
	return (uint64_t)disk.f_bavail * disk.f_frsize >= kept + length;
}

static int rotate(struct logfile *logfile)
{
	int directory CLOSE_ON_RETURN = world_open(logfile->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char from[32], to[32];

	if (directory < 0)
		return -errno;
	logfile_close(logfile);
	for (int number = LOGFILE_KEPT; number >= 1; number--) {
		snprintf(to, sizeof(to), LOGFILE_NAME ".%d", number);
		if (number > 1)
			snprintf(from, sizeof(from), LOGFILE_NAME ".%d", number - 1);
		else
			snprintf(from, sizeof(from), LOGFILE_NAME);
		if (world_renameat(directory, from, directory, to) < 0 && errno != ENOENT)
			return -errno;
	}
	return open_file(logfile);
}

/* How much may go into this file: up to the last line that fits. 0: rotate first. */
static size_t fitting(const struct logfile *logfile, const char *bytes, size_t length)
{
	int64_t room = logfile->limit_bytes - logfile->size_bytes;
	const char *end;

	if ((int64_t)length <= room)
		return length;
	end = room > 0 ? memrchr(bytes, '\n', (size_t)room) : NULL;
	if (end != NULL)
		return (size_t)(end - bytes) + 1;
	if (!logfile->mid_line)
		return 0;
	/* Finish the line that was begun here. */
	end = memchr(bytes, '\n', length);
	return end != NULL ? (size_t)(end - bytes) + 1 : length;
}

static ssize_t fail(struct logfile *logfile, int error)
{
	logfile_close(logfile);
	return error;
}

ssize_t logfile_write(void *context, const char *bytes, size_t length)
{
	struct logfile *logfile = context;
	size_t wanted;
	ssize_t written;
	int result = 0;

	if (logfile->fd >= 0 && is_gone(logfile))
		logfile_close(logfile);
	if (logfile->fd < 0)
		result = open_file(logfile);
	if (result < 0)
		return result;
	wanted = fitting(logfile, bytes, length);
	if (wanted == 0) {
		result = rotate(logfile);
		if (result < 0)
			return fail(logfile, result);
		wanted = fitting(logfile, bytes, length);
		if (wanted == 0)
			wanted = length;
	}
	if (!leaves_room(logfile, wanted))
		return fail(logfile, -ENOSPC);
	note_write(logfile);
	do
		written = world_write(logfile->fd, bytes, wanted);
	while (written < 0 && errno == EINTR);
	if (written <= 0)
		return fail(logfile, written < 0 ? -errno : -ENOSPC);
	logfile->size_bytes += written;
	logfile->mid_line = bytes[written - 1] != '\n';
	return written;
}
