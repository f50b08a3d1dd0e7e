#include "loop/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "world/world.h"

int loop_init(struct loop *loop)
{
	memset(loop, 0, sizeof(*loop));
	loop->signal_fd = -1;
	loop->signal_source.fd = -1;
	loop->sleep_offset_ms = clock_boot_ms() - clock_monotonic_ms();
	loop->epoll_fd = world_epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_release(struct loop *loop)
{
	loop_source_retire(&loop->signal_source);
	if (loop->signal_fd >= 0)
		close(loop->signal_fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	loop->signal_fd = loop->epoll_fd = -1;
}

int loop_source_watch(struct loop *loop, struct loop_source *source, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (world_epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	source->loop = loop;
	source->fd = fd;
	return 0;
}

int loop_source_change(struct loop_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	return world_epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno : 0;
}

void loop_source_retire(struct loop_source *source)
{
	struct loop *loop = source->loop;

	if (loop == NULL || source->fd < 0)
		return;
	world_epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->fd = -1;
	/* The batch in progress may still name this source, whose memory may be gone when its turn comes. */
	for (int i = 0; i < loop->batch_count; i++)
		if (loop->batch[i].data.ptr == source)
			loop->batch[i].data.ptr = NULL;
}

void loop_timer_arm(struct loop *loop, struct loop_timer *timer, int64_t due_ms)
{
	bool was_armed = timer->due_ms != 0;

	timer->loop = loop;
	timer->due_ms = due_ms;
	if (was_armed == (due_ms != 0))
		return;
	if (due_ms != 0) {
		if (loop->timer_count == LOOP_TIMERS_MAX)
			abort();
		loop->timers[loop->timer_count++] = timer;
		return;
	}
	for (uint32_t i = 0; i < loop->timer_count; i++)
		if (loop->timers[i] == timer)
			loop->timers[i] = loop->timers[--loop->timer_count];
}

static struct loop_timer *first_timer(const struct loop *loop)
{
	struct loop_timer *first = NULL;

	/* A handful of timers: a scan is shorter than a heap, and as fast. */
	for (uint32_t i = 0; i < loop->timer_count; i++)
		if (first == NULL || loop->timers[i]->due_ms < first->due_ms)
			first = loop->timers[i];
	return first;
}

static void signals_readable(struct loop_source *source, uint32_t events)
{
	struct loop *loop = source->context;
	struct signalfd_siginfo info;

	(void)events;
	while (world_read(loop->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		loop->signal_callback(loop, &info);
}

int loop_signals_watch(struct loop *loop, const sigset_t *set, loop_signal_callback *callback, void *context)
{
	if (sigprocmask(SIG_BLOCK, set, NULL) < 0)
		return -errno;
	loop->signal_fd = world_signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->signal_fd < 0)
		return -errno;
	loop->signal_callback = callback;
	loop->context = context;
	loop->signal_source.callback = signals_readable;
	loop->signal_source.context = loop;
	return loop_source_watch(loop, &loop->signal_source, loop->signal_fd, EPOLLIN);
}

static void notice_sleep(struct loop *loop, int64_t boot_ms)
{
	int64_t offset_ms = boot_ms - clock_monotonic_ms();
	int64_t slept_ms = offset_ms - loop->sleep_offset_ms;

	loop->sleep_offset_ms = offset_ms;
	/* The two clocks are read one after the other: below this it is only our own slowness. */
	if (slept_ms >= 1000 && loop->slept_callback != NULL)
		loop->slept_callback(loop, slept_ms);
}

static int wait_ms(const struct loop *loop)
{
	const struct loop_timer *first = first_timer(loop);
	int64_t left_ms;

	if (first == NULL)
		return -1;
	left_ms = first->due_ms - clock_boot_ms();
	if (left_ms <= 0)
		return 0;
	/* One more: epoll counts from the middle of a millisecond. */
	return left_ms > 3600000 ? 3600000 : (int)left_ms + 1;
}

static void fire_timers(struct loop *loop)
{
	struct loop_timer *timer;
	int64_t now_ms;

	if (loop->timer_count == 0)
		return;
	now_ms = clock_boot_ms();
	while (!loop->stopped && (timer = first_timer(loop)) != NULL && timer->due_ms <= now_ms) {
		loop_timer_arm(loop, timer, 0);
		timer->callback(timer);
	}
}

int loop_turn(struct loop *loop)
{
	int count = epoll_wait(loop->epoll_fd, loop->batch, LOOP_BATCH_MAX, wait_ms(loop));

	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	/* Before anything that this turn brings: what happened meanwhile is judged knowing of the sleep. */
	if (loop->slept_callback != NULL)
		notice_sleep(loop, clock_boot_ms());
	loop->batch_count = count;
	for (int i = 0; i < loop->batch_count && !loop->stopped; i++) {
		struct loop_source *source = loop->batch[i].data.ptr;

		if (source != NULL)
			source->callback(source, loop->batch[i].events);
	}
	loop->batch_count = 0;
	fire_timers(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	int result = 0;

	while (!loop->stopped && result == 0)
		result = loop_turn(loop);
	return result;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
