#include "sentry/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "sentry/line.h"

#define BACKOFF_FIRST_S    1
#define BACKOFF_MAX_S      30
#define THREAD_STACK_BYTES (256 * 1024)
#define NOTICE_MAX         200
/* Resume only when half the ring is free: a notice for every few lines would be noise. */
#define RESUME_BYTES (SINK_BYTES / 2)

static void wait_until(
    pthread_cond_t *condition, pthread_mutex_t *lock, int64_t timeout_ms, const bool *until)
{
	struct timespec due;

	clock_gettime(CLOCK_MONOTONIC, &due);
	due.tv_sec += timeout_ms / 1000;
	due.tv_nsec += (timeout_ms % 1000) * 1000000;
	if (due.tv_nsec >= 1000000000) {
		due.tv_sec++;
		due.tv_nsec -= 1000000000;
	}
	while (!*until)
		if (pthread_cond_timedwait(condition, lock, &due) == ETIMEDOUT)
			return;
}

/* With the lock held: what can be written next in one piece. */
static size_t next_bytes(const struct sink *sink, const char **bytes)
{
	size_t length = SINK_BYTES - sink->start;

	if (length > sink->length)
		length = sink->length;
	*bytes = sink->bytes + sink->start;
	return length < SINK_WRITE_MAX ? length : SINK_WRITE_MAX;
}

/* With the lock held. */
static void forget_written(struct sink *sink, size_t written)
{
	sink->start = (sink->start + written) % SINK_BYTES;
	sink->length -= written;
	if (sink->length > 0)
		return;
	/* Begin again at the first pages, and when a burst touched many, give them back. */
	if (sink->spread)
		madvise(sink->bytes, SINK_BYTES, MADV_DONTNEED);
	sink->spread = false;
	sink->start = 0;
}

static void *empty_ring(void *argument)
{
	struct sink *sink = argument;
	int64_t backoff_s = BACKOFF_FIRST_S;

	pthread_mutex_lock(&sink->lock);
	for (;;) {
		const char *bytes;
		size_t length;
		ssize_t written;

		while (sink->length == 0 && !sink->finishing)
			pthread_cond_wait(&sink->filled, &sink->lock);
		if (sink->length == 0)
			break;
		length = next_bytes(sink, &bytes);
		pthread_mutex_unlock(&sink->lock);
		written = sink->write(sink->context, bytes, length);
		pthread_mutex_lock(&sink->lock);
		sink->error = written < 0 ? (int)-written : 0;
		if (written > 0) {
			forget_written(sink, (size_t)written);
			backoff_s = BACKOFF_FIRST_S;
			continue;
		}
		if (sink->finishing)
			break;
		wait_until(&sink->filled, &sink->lock, backoff_s * 1000, &sink->finishing);
		backoff_s = backoff_s * 2 < BACKOFF_MAX_S ? backoff_s * 2 : BACKOFF_MAX_S;
	}
	sink->has_ended = true;
	pthread_cond_broadcast(&sink->ended);
	pthread_mutex_unlock(&sink->lock);
	return NULL;
}

int sink_init(struct sink *sink)
{
	pthread_condattr_t clock;
	pthread_attr_t attributes;
	sigset_t all, before;
	int result;

	sink->bytes = mmap(NULL, SINK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sink->bytes == MAP_FAILED)
		return -errno;
	pthread_mutex_init(&sink->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&sink->filled, &clock);
	pthread_cond_init(&sink->ended, &clock);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	result = pthread_create(&sink->thread, &attributes, empty_ring, sink);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	pthread_condattr_destroy(&clock);
	return -result;
}

/* With the lock held; the bytes fit. */
static void append(struct sink *sink, const char *bytes, size_t length)
{
	size_t at = (sink->start + sink->length) % SINK_BYTES;
	size_t first = SINK_BYTES - at < length ? SINK_BYTES - at : length;

	if (length == 0)
		return;
	if (sink->length == 0)
		pthread_cond_signal(&sink->filled);
	memcpy(sink->bytes + at, bytes, first);
	memcpy(sink->bytes, bytes + first, length - first);
	sink->length += length;
	sink->spread = sink->spread || at + length > 4 * SINK_WRITE_MAX;
	sink->mid_line = bytes[length - 1] != '\n';
}

static void count_losses(struct sink *sink, int error, const char *bytes, size_t length)
{
	struct sink_losses *both[] = {&sink->untold, &sink->unreported};
	uint64_t lines = line_count(bytes, length);

	if (length == 0)
		return;
	sink->dropping = true;
	for (int i = 0; i < 2; i++) {
		both[i]->lines += lines;
		both[i]->bytes += length;
		if (error != 0)
			both[i]->error = error;
	}
}

const char *sink_loss_words(const struct sink *sink, int error)
{
	switch (error) {
	case 0:
		return sink->slow_words;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return "the disk was full";
	case EROFS:
		return "the file system was read-only";
	case ENOENT:
	case ENOTDIR:
		return "the directory was gone";
	case EACCES:
	case EPERM:
		return "writing was not allowed";
	default:
		return "writing failed";
	}
}

/* With the lock held: says what was dropped, when that fits within `limit` bytes of the ring. */
static bool resume(struct sink *sink, size_t limit)
{
	char notice[NOTICE_MAX], size[24];
	int length;

	if (sink->length + NOTICE_MAX > limit)
		return false;
	length =
	    snprintf(notice, sizeof(notice), "%s%s[holdfast] %" PRIu64 " lines (%s) were dropped here: %s\n",
	        sink->mid_line ? "\n" : "", sink->notice_prefix, sink->untold.lines,
	        line_size(size, sizeof(size), sink->untold.bytes), sink_loss_words(sink, sink->untold.error));
	append(sink, notice, (size_t)length);
	sink->untold = (struct sink_losses){0};
	sink->dropping = false;
	return true;
}

/* With the lock held: how many of the bytes to take, ending after a line unless all of them fit. */
static size_t fitting(const struct sink *sink, const char *bytes, size_t length)
{
	size_t room = SINK_BYTES - SINK_RESERVE;
	const char *end;

	room = sink->length < room ? room - sink->length : 0;
	if (length <= room)
		return length;
	end = memrchr(bytes, '\n', room);
	return end != NULL ? (size_t)(end - bytes) + 1 : 0;
}

/* The end of a line whose beginning was dropped. */
static size_t rest_of_line(const char *bytes, size_t length)
{
	const char *end = memchr(bytes, '\n', length);

	return end != NULL ? (size_t)(end - bytes) + 1 : length;
}

void sink_offer(struct sink *sink, const char *bytes, size_t length, bool begins_line)
{
	size_t skipped = 0, taken = 0;
	int error;

	pthread_mutex_lock(&sink->lock);
	error = sink->error;
	if (sink->dropping && !begins_line) {
		skipped = rest_of_line(bytes, length);
		count_losses(sink, error, bytes, skipped);
	}
	if (skipped < length && (!sink->dropping || resume(sink, RESUME_BYTES))) {
		taken = fitting(sink, bytes + skipped, length - skipped);
		append(sink, bytes + skipped, taken);
	}
	pthread_mutex_unlock(&sink->lock);
	count_losses(sink, error, bytes + skipped + taken, length - skipped - taken);
}

void sink_say(struct sink *sink, const char *line)
{
	size_t length = strlen(line);

	pthread_mutex_lock(&sink->lock);
	if (sink->length + length + 2 <= SINK_BYTES) {
		if (sink->mid_line)
			append(sink, "\n", 1);
		append(sink, line, length);
		append(sink, "\n", 1);
	}
	pthread_mutex_unlock(&sink->lock);
}

void sink_settle(struct sink *sink)
{
	if (!sink->dropping)
		return;
	pthread_mutex_lock(&sink->lock);
	resume(sink, RESUME_BYTES);
	pthread_mutex_unlock(&sink->lock);
}

struct sink_losses sink_take_losses(struct sink *sink)
{
	struct sink_losses losses = sink->unreported;

	sink->unreported = (struct sink_losses){0};
	return losses;
}

bool sink_finish(struct sink *sink, int64_t timeout_ms)
{
	bool all, ended;

	pthread_mutex_lock(&sink->lock);
	if (sink->dropping)
		resume(sink, SINK_BYTES);
	sink->finishing = true;
	pthread_cond_broadcast(&sink->filled);
	wait_until(&sink->ended, &sink->lock, timeout_ms, &sink->has_ended);
	ended = sink->has_ended;
	all = ended && sink->length == 0;
	pthread_mutex_unlock(&sink->lock);
	if (ended && !sink->is_joined)
		pthread_join(sink->thread, NULL);
	sink->is_joined = ended;
	return all;
}
