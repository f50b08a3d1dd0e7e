#include "sentry/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sentry/line.h"
#include "world/world.h"

#define BACKOFF_FIRST_S    1
#define BACKOFF_MAX_S      30
#define THREAD_STACK_BYTES (256 * 1024)
#define SPREAD_BYTES       (256 * 1024)
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

static struct ring_sink *state_of(const struct sink *sink)
{
	return &sink->ring->state.sinks[sink->region];
}

/* Changed by the thread only. */
static uint64_t *begin_of(const struct sink *sink)
{
	return &sink->ring->cursors[sink->region].begin;
}

static uint64_t load_begin(const struct sink *sink)
{
	return __atomic_load_n(begin_of(sink), __ATOMIC_ACQUIRE);
}

/* The loop's view: bytes in the ring, published or not. */
static size_t used(const struct sink *sink)
{
	return (size_t)(state_of(sink)->end - load_begin(sink));
}

/* With the lock held: what can be written next in one piece. */
static size_t next_bytes(const struct sink *sink, const char **bytes)
{
	uint64_t begin = *begin_of(sink);
	size_t at = (size_t)((begin - sink->base) % SINK_BYTES), length = SINK_BYTES - at;

	if (length > sink->end - begin)
		length = (size_t)(sink->end - begin);
	*bytes = sink->ring->bytes[sink->region] + at;
	return length < SINK_WRITE_MAX ? length : SINK_WRITE_MAX;
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

		while ((length = next_bytes(sink, &bytes)) == 0 && !sink->finishing)
			pthread_cond_wait(&sink->filled, &sink->lock);
		if (length == 0)
			break;
		pthread_mutex_unlock(&sink->lock);
		written = sink->write(sink->context, bytes, length);
		pthread_mutex_lock(&sink->lock);
		sink->error = written < 0 ? (int)-written : 0;
		if (written > 0) {
			/* One store: it is written, and need not be known any longer. */
			__atomic_store_n(
			    begin_of(sink), *begin_of(sink) + (uint64_t)written, __ATOMIC_RELEASE);
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

	sink->base = state_of(sink)->base;
	sink->end = state_of(sink)->end;
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
	result = world_pthread_create(&sink->thread, &attributes, empty_ring, sink);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	pthread_condattr_destroy(&clock);
	return -result;
}

/* How many bytes may be added now, when the ring may hold `limit`. The region's memory may be cut short by a
 * full file system; then it has never wrapped either. */
static size_t room_within(struct sink *sink, size_t limit, size_t length)
{
	struct ring_sink *state = state_of(sink);
	size_t held = used(sink), room = held < limit ? limit - held : 0, at, reserved;

	/* Empty: begin again at the first pages, and when a burst touched many, give them back. */
	if (held == 0) {
		state->base = state->end;
		ring_trim(sink->ring, sink->region, SPREAD_BYTES);
	}
	at = (size_t)((state->end - state->base) % SINK_BYTES);
	if (length > room)
		length = room;
	reserved = at + length < SINK_BYTES ? at + length : SINK_BYTES;
	reserved = ring_reserve(sink->ring, sink->region, reserved);
	sink->is_short = reserved < SINK_BYTES && room > reserved - at;
	return sink->is_short ? reserved - at : room;
}

/* The bytes fit. */
static void append(struct sink *sink, const char *bytes, size_t length)
{
	struct ring_sink *state = state_of(sink);
	char *ring = sink->ring->bytes[sink->region];
	size_t at = (size_t)((state->end - state->base) % SINK_BYTES);
	size_t first = SINK_BYTES - at < length ? SINK_BYTES - at : length;

	if (length == 0)
		return;
	memcpy(ring + at, bytes, first);
	memcpy(ring, bytes + first, length - first);
	state->end += length;
	state->mid_line = bytes[length - 1] != '\n';
}

void sink_publish(struct sink *sink)
{
	const struct ring_sink *state = state_of(sink);

	if (sink->end == state->end)
		return;
	pthread_mutex_lock(&sink->lock);
	/* A thread that has something to write looks by itself when it is done. */
	if (sink->end == load_begin(sink))
		pthread_cond_signal(&sink->filled);
	sink->base = state->base;
	sink->end = state->end;
	pthread_mutex_unlock(&sink->lock);
}

static void commit(struct sink *sink)
{
	ring_commit(sink->ring);
	sink_publish(sink);
}

static void count_losses(struct sink *sink, int error, const char *bytes, size_t length)
{
	struct ring_sink *state = state_of(sink);
	struct sink_losses *both[] = {&state->untold, &state->unreported};
	uint64_t lines = line_count(bytes, length);

	if (length == 0)
		return;
	state->dropping = true;
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
	case ENOMEM:
		return "memory was short";
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

/* Says what was dropped, when that fits within `limit` bytes of the ring. */
static bool resume(struct sink *sink, size_t limit)
{
	struct ring_sink *state = state_of(sink);
	char notice[NOTICE_MAX], size[24];
	int length;

	if (room_within(sink, limit, NOTICE_MAX) < NOTICE_MAX)
		return false;
	length = snprintf(notice, sizeof(notice),
	    "%s%s[holdfast] %" PRIu64 " lines (%s) were dropped here: %s\n", state->mid_line ? "\n" : "",
	    sink->notice_prefix, state->untold.lines, line_size(size, sizeof(size), state->untold.bytes),
	    sink_loss_words(sink, state->untold.error));
	append(sink, notice, (size_t)length);
	state->untold = (struct sink_losses){0};
	state->dropping = false;
	return true;
}

/* How many of the bytes to take, ending after a line unless all of them fit. */
static size_t fitting(struct sink *sink, const char *bytes, size_t length)
{
	size_t room = room_within(sink, SINK_BYTES - SINK_RESERVE, length);
	const char *end;

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

static int current_error(struct sink *sink)
{
	int error;

	pthread_mutex_lock(&sink->lock);
	error = sink->error;
	pthread_mutex_unlock(&sink->lock);
	return error == 0 && sink->is_short ? ENOMEM : error;
}

void sink_offer(struct sink *sink, const char *bytes, size_t length, bool begins_line)
{
	struct ring_sink *state = state_of(sink);
	size_t skipped = 0, taken = 0, lost;

	if (state->dropping && !begins_line) {
		skipped = rest_of_line(bytes, length);
		count_losses(sink, current_error(sink), bytes, skipped);
	}
	if (skipped < length && (!state->dropping || resume(sink, RESUME_BYTES))) {
		taken = fitting(sink, bytes + skipped, length - skipped);
		append(sink, bytes + skipped, taken);
	}
	lost = length - skipped - taken;
	if (lost > 0)
		count_losses(sink, current_error(sink), bytes + skipped + taken, lost);
}

void sink_say(struct sink *sink, const char *line)
{
	size_t length = strlen(line);

	if (room_within(sink, SINK_BYTES, length + 2) < length + 2)
		return;
	if (state_of(sink)->mid_line)
		append(sink, "\n", 1);
	append(sink, line, length);
	append(sink, "\n", 1);
	commit(sink);
}

bool sink_is_dropping(const struct sink *sink)
{
	return state_of(sink)->dropping;
}

void sink_settle(struct sink *sink)
{
	if (sink_is_dropping(sink) && resume(sink, RESUME_BYTES))
		commit(sink);
}

const struct sink_losses *sink_losses(const struct sink *sink)
{
	return &state_of(sink)->unreported;
}

struct sink_losses sink_take_losses(struct sink *sink)
{
	struct sink_losses losses = *sink_losses(sink);

	state_of(sink)->unreported = (struct sink_losses){0};
	ring_commit(sink->ring);
	return losses;
}

void sink_hold(struct sink *sink, bool hold)
{
	if (hold)
		pthread_mutex_lock(&sink->lock);
	else
		pthread_mutex_unlock(&sink->lock);
}

bool sink_finish(struct sink *sink, int64_t timeout_ms)
{
	bool all, ended;

	if (sink_is_dropping(sink) && resume(sink, SINK_BYTES))
		commit(sink);
	pthread_mutex_lock(&sink->lock);
	sink->finishing = true;
	pthread_cond_broadcast(&sink->filled);
	wait_until(&sink->ended, &sink->lock, timeout_ms, &sink->has_ended);
	ended = sink->has_ended;
	all = ended && sink->end == load_begin(sink);
	pthread_mutex_unlock(&sink->lock);
	if (ended && !sink->is_joined)
		pthread_join(sink->thread, NULL);
	sink->is_joined = ended;
	return all;
}
