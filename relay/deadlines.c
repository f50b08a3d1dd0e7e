#include "relay/deadlines.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "world/world.h"

#define NS_IN_MS 1000000
#define NS_IN_S  1000000000

static int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * NS_IN_S + now.tv_nsec;
}

void deadlines_look(struct deadlines *deadlines)
{
	deadlines->now_ns = clock_ns();
}

static void put(struct deadlines *deadlines, uint32_t place, struct deadline *deadline)
{
	deadlines->heap[place - 1] = deadline;
	deadline->place = place;
}

static struct deadline *at(const struct deadlines *deadlines, uint32_t place)
{
	return deadlines->heap[place - 1];
}

static void rise(struct deadlines *deadlines, struct deadline *deadline)
{
	uint32_t place = deadline->place;

	while (place > 1 && at(deadlines, place / 2)->key_ns > deadline->key_ns) {
		put(deadlines, place, at(deadlines, place / 2));
		place /= 2;
	}
	put(deadlines, place, deadline);
}

static void sink(struct deadlines *deadlines, struct deadline *deadline)
{
	uint32_t place = deadline->place;

	for (;;) {
		uint32_t child = place * 2;

		if (child < deadlines->count &&
		    at(deadlines, child + 1)->key_ns < at(deadlines, child)->key_ns)
			child++;
		if (child > deadlines->count || at(deadlines, child)->key_ns >= deadline->key_ns)
			break;
		put(deadlines, place, at(deadlines, child));
		place = child;
	}
	put(deadlines, place, deadline);
}

void deadline_forget(struct deadlines *deadlines, struct deadline *deadline)
{
	uint32_t place = deadline->place;
	struct deadline *last;

	deadline->due_ns = 0;
	if (place == 0)
		return;
	deadline->place = 0;
	last = at(deadlines, deadlines->count--);
	if (last == deadline)
		return;
	put(deadlines, place, last);
	rise(deadlines, last);
	sink(deadlines, last);
}

static void arm(struct deadlines *deadlines, int64_t due_ns)
{
	struct itimerspec when = {.it_value = {.tv_sec = due_ns / NS_IN_S, .tv_nsec = due_ns % NS_IN_S}};

	deadlines->armed_ns = due_ns;
	world_timerfd_settime(deadlines->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void timer_came(struct loop_source *source, uint32_t events)
{
	struct deadlines *deadlines = source->context;
	uint64_t times;

	(void)events;
	if (world_read(deadlines->fd, &times, sizeof(times)) < 0 && errno != EAGAIN)
		return;
	deadlines->armed_ns = 0;
	deadlines_look(deadlines);
	while (deadlines->count > 0) {
		struct deadline *first = at(deadlines, 1);

		if (first->due_ns > first->key_ns) {
			first->key_ns = first->due_ns;
			sink(deadlines, first);
			continue;
		}
		if (first->key_ns > deadlines->now_ns)
			break;
		if (first->due_ns == 0) {
			deadline_forget(deadlines, first);
			continue;
		}
		deadline_forget(deadlines, first);
		first->passed(first);
	}
	if (deadlines->count > 0)
		arm(deadlines, at(deadlines, 1)->key_ns);
}

void deadline_set(struct deadlines *deadlines, struct deadline *deadline, int64_t in_ms)
{
	deadline->due_ns = (deadlines->now_ns / NS_IN_MS + in_ms) * NS_IN_MS;
	if (deadline->place != 0 && deadline->key_ns <= deadline->due_ns)
		return;
	if (deadline->place == 0) {
		if (deadlines->count == deadlines->size)
			abort(); /* nobody reserved it */
		put(deadlines, ++deadlines->count, deadline);
	}
	deadline->key_ns = deadline->due_ns;
	rise(deadlines, deadline);
	if (deadlines->armed_ns == 0 || deadlines->armed_ns > deadline->due_ns)
		arm(deadlines, deadline->due_ns);
}

void deadline_clear(struct deadline *deadline)
{
	deadline->due_ns = 0;
}

int deadlines_reserve(struct deadlines *deadlines, uint32_t count)
{
	if (deadlines->reserved + count > deadlines->size) {
		uint32_t size = deadlines->size == 0 ? 64 : deadlines->size * 2;
		struct deadline **heap = reallocarray(deadlines->heap, size, sizeof(void *));

		if (heap == NULL)
			return -ENOMEM;
		deadlines->heap = heap;
		deadlines->size = size;
	}
	deadlines->reserved += count;
	return 0;
}

void deadlines_unreserve(struct deadlines *deadlines, uint32_t count)
{
	deadlines->reserved -= count;
}

int deadlines_init(struct deadlines *deadlines, struct loop *loop)
{
	*deadlines =
	    (struct deadlines){.fd = world_timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC)};
	if (deadlines->fd < 0)
		return -errno;
	deadlines->source.callback = timer_came;
	deadlines->source.context = deadlines;
	return loop_source_watch(loop, &deadlines->source, deadlines->fd, EPOLLIN);
}

void deadlines_release(struct deadlines *deadlines)
{
	loop_source_retire(&deadlines->source);
	if (deadlines->fd >= 0)
		close(deadlines->fd);
	free(deadlines->heap);
	*deadlines = (struct deadlines){.fd = -1};
}
