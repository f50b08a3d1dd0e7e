#include "sentry/log_follow.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "config/log_file.h"
#include "world/world.h"

#define DEFAULT_DIRECTORY "/tmp/openclaw"

/* Large for a stack; used by one thread. */
static struct log_candidate candidates[LOG_CANDIDATES_MAX], found;

void log_follow_init(struct log_follow *follow)
{
	follow->oversized = follow->skipped_bytes = 0;
	follow->is_on = follow->in_passed_line = false;
	follow->fd = -1;
	follow->length = 0;
	follow->history_count = 0;
}

static void leave(struct log_follow *follow)
{
	file_close(&follow->fd);
	follow->length = 0;
	follow->in_passed_line = false;
}

/* --- Which file. --- */

static bool may_be_read(const struct stat *status)
{
	return S_ISREG(status->st_mode) && status->st_uid == geteuid();
}

/* Looks before it is opened: even the opening of a FIFO or a device has effects. */
static bool look_at(const struct log_candidate *candidate, struct stat *status)
{
	return (candidate->is_of_family ? lstat : stat)(candidate->path, status) == 0 && may_be_read(status);
}

/* The first candidate that is there, into `found`. Returns false when none is. */
static bool find_file(const struct log_follow *follow, int64_t real_ms, struct stat *status)
{
	uint32_t count = log_place_candidates(&follow->place, real_ms, candidates);

	for (uint32_t i = 0; i < count; i++)
		if (look_at(&candidates[i], status)) {
			found = candidates[i];
			return true;
		}
	return false;
}

/* All that is there now is history. */
static void remember_history(struct log_follow *follow, int64_t real_ms)
{
	uint32_t count = log_place_candidates(&follow->place, real_ms, candidates);
	struct stat status;

	follow->history_count = 0;
	for (uint32_t i = 0; i < count; i++)
		if (look_at(&candidates[i], &status))
			follow->history[follow->history_count++] =
			    (struct log_history){status.st_dev, status.st_ino, status.st_size};
}

/* What of this file is history. It is said once: a new file may get the number of an old one. */
static off_t take_history(struct log_follow *follow, const struct stat *status)
{
	for (uint32_t i = 0; i < follow->history_count; i++) {
		struct log_history *history = &follow->history[i];
		off_t size = history->size;

		if (history->device != status->st_dev || history->inode != status->st_ino)
			continue;
		*history = follow->history[--follow->history_count];
		return size <= status->st_size ? size : 0;
	}
	return 0;
}

/* --- Reading. --- */

/* From there on; what a line has before it is not seen, and the rest of that line is passed over. */
static void go_to(struct log_follow *follow, off_t offset)
{
	char before = '\n';

	follow->offset = offset;
	follow->length = 0;
	follow->in_passed_line =
	    offset > 0 && pread(follow->fd, &before, 1, offset - 1) == 1 && before != '\n';
}

/* Opens what find_file found. */
static bool open_file(struct log_follow *follow)
{
	int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (found.is_of_family ? O_NOFOLLOW : 0);
	struct stat status;

	follow->fd = world_open(found.path, flags);
	if (follow->fd < 0)
		return false;
	if (fstat(follow->fd, &status) < 0 || !may_be_read(&status)) {
		leave(follow);
		return false;
	}
	follow->device = status.st_dev;
	follow->inode = status.st_ino;
	go_to(follow, take_history(follow, &status));
	return true;
}

/* A line of `length` bytes ends at the buffer's start; its end is one byte more. */
static void end_line(struct log_follow *follow, char *line, size_t length)
{
	line[length] = '\0';
	if (follow->in_passed_line)
		follow->in_passed_line = false;
	else if (length > 0)
		follow->line(follow, line, length);
}

/* Hands on the lines in the buffer, of which `searched` bytes have no end of line in them. */
static void take_lines(struct log_follow *follow, size_t searched)
{
	char *start = follow->buffer, *end = follow->buffer + follow->length;
	char *newline = memchr(start + searched, '\n', follow->length - searched);

	for (; newline != NULL; newline = memchr(start, '\n', (size_t)(end - start))) {
		end_line(follow, start, (size_t)(newline - start));
		start = newline + 1;
	}
	follow->length = (size_t)(end - start);
	if (follow->in_passed_line) {
		follow->length = 0;
	} else if (follow->length == sizeof(follow->buffer)) {
		follow->oversized++;
		follow->in_passed_line = true;
		follow->length = 0;
	} else {
		memmove(follow->buffer, start, follow->length);
	}
}

/* Whether the byte before the next one ends a line, as it did when it was read. */
static bool is_as_left(const struct log_follow *follow)
{
	char before = '\n';

	return follow->offset == 0 || follow->length > 0 || follow->in_passed_line ||
	       pread(follow->fd, &before, 1, follow->offset - 1) != 1 || before == '\n';
}

/* How much there is to read; one that was cut, or written anew, is read from its beginning. */
static off_t bytes_ahead(struct log_follow *follow)
{
	struct stat status;

	if (fstat(follow->fd, &status) < 0)
		return 0;
	if (status.st_size < follow->offset || (status.st_size > follow->offset && !is_as_left(follow)))
		go_to(follow, 0);
	if (status.st_size - follow->offset > LOG_FOLLOW_BEHIND_MAX) {
		follow->skipped_bytes += (uint64_t)(status.st_size - follow->offset);
		go_to(follow, status.st_size);
	}
	return status.st_size - follow->offset;
}

/* Reads on, at most *budget bytes. Returns whether all there was is read. */
static bool read_on(struct log_follow *follow, size_t *budget)
{
	off_t ahead = bytes_ahead(follow);

	while (ahead > 0 && *budget > 0) {
		size_t room = sizeof(follow->buffer) - follow->length, searched = follow->length;
		ssize_t got;

		room = room < *budget ? room : *budget;
		room = (off_t)room < ahead ? room : (size_t)ahead;
		got = pread(follow->fd, follow->buffer + follow->length, room, follow->offset);
		if (got < 0 && errno == EINTR)
			continue;
		/* Cut in this moment, or a disk that fails: the next poll sees. */
		if (got <= 0)
			return true;
		follow->offset += got;
		follow->length += (size_t)got;
		*budget -= (size_t)got;
		ahead -= got;
		take_lines(follow, searched);
	}
	return ahead == 0;
}

/* What is deleted and read is given back to the disk. */
static void leave_deleted(struct log_follow *follow)
{
	struct stat status;

	if (fstat(follow->fd, &status) < 0 || (status.st_nlink == 0 && status.st_size <= follow->offset))
		leave(follow);
}

void log_follow_poll(struct log_follow *follow, int64_t real_ms)
{
	size_t budget = LOG_FOLLOW_POLL_MAX;
	struct stat status;
	bool is_there, is_read;

	if (!follow->is_on)
		return;
	/* Looked at first: once another is there, nothing is added to the one before it. */
	is_there = find_file(follow, real_ms, &status);
	is_read = follow->fd < 0 || read_on(follow, &budget);
	if (!is_read)
		return;
	if (!is_there) {
		if (follow->fd >= 0)
			leave_deleted(follow);
		return;
	}
	if (follow->fd >= 0 && status.st_dev == follow->device && status.st_ino == follow->inode)
		return;
	leave(follow);
	if (open_file(follow))
		read_on(follow, &budget);
}

/* --- Its begin and end. --- */

/* From the end of what is there. */
static void begin(struct log_follow *follow, int64_t real_ms)
{
	struct stat status;

	leave(follow);
	remember_history(follow, real_ms);
	if (find_file(follow, real_ms, &status))
		open_file(follow);
}

static void find_place(struct log_follow *follow)
{
	char path[PATH_MAX];
	int result = log_file_find(follow->settings, follow->environment, path);

	follow->place = (struct log_place){0};
	if (result > 0)
		log_place_named(&follow->place, path);
	else if (result == 0)
		log_place_default(&follow->place, follow->settings, follow->environment,
		    follow->directory != NULL ? follow->directory : DEFAULT_DIRECTORY);
}

void log_follow_start(struct log_follow *follow, int64_t real_ms)
{
	if (follow->settings->gateway.kind != GATEWAY_OPENCLAW)
		return;
	follow->is_on = true;
	find_place(follow);
	begin(follow, real_ms);
}

void log_follow_stop(struct log_follow *follow)
{
	leave(follow);
	follow->is_on = false;
}
