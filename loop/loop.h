/* The event loop: epoll, timers, signals. A source belongs to whoever made it and may be retired at any time,
 * also from its own or another's callback: a batch in progress never calls a retired source.
 * No allocation: sources and timers live inside their owners. */
#ifndef HOLDFAST_LOOP_LOOP_H
#define HOLDFAST_LOOP_LOOP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#define LOOP_BATCH_MAX  64
#define LOOP_TIMERS_MAX 64

struct loop;
struct loop_source;
struct loop_timer;

typedef void loop_source_callback(struct loop_source *source, uint32_t events);
typedef void loop_timer_callback(struct loop_timer *timer);
typedef void loop_signal_callback(struct loop *loop, const struct signalfd_siginfo *info);

struct loop_source {
	struct loop *loop;
	int fd; /* borrowed: the owner closes it after loop_source_retire; -1 while not watched */
	loop_source_callback *callback;
	void *context;
};

struct loop_timer {
	struct loop *loop;
	int64_t due_ms; /* CLOCK_BOOTTIME; 0: not armed */
	loop_timer_callback *callback;
	void *context;
};

struct loop {
	int epoll_fd, signal_fd;
	bool stopped;
	struct loop_source signal_source;
	loop_signal_callback *signal_callback;
	void *context; /* for the signal callback's owner */
	struct loop_timer *timers[LOOP_TIMERS_MAX];
	uint32_t timer_count;
	struct epoll_event batch[LOOP_BATCH_MAX];
	int batch_count;
	int64_t sleep_offset_ms; /* CLOCK_BOOTTIME - CLOCK_MONOTONIC when last looked */
	void (*slept_callback)(struct loop *loop, int64_t slept_ms); /* may be NULL; the host slept so long */
};

/* Returns 0 or a negative errno. */
int loop_init(struct loop *loop);
void loop_release(struct loop *loop);

/* Watches `fd` for `events` (EPOLLIN ...). `source->callback` and `context` are set by the owner before.
 * Returns 0 or a negative errno. */
int loop_source_watch(struct loop *loop, struct loop_source *source, int fd, uint32_t events);
int loop_source_change(struct loop_source *source, uint32_t events);
/* Stops watching; harmless on a source that is not watched. Does not close the descriptor. */
void loop_source_retire(struct loop_source *source);

/* Arms or rearms; due_ms is CLOCK_BOOTTIME and 0 disarms. `timer->callback` and `context` are set before.
 * A timer fires once. Aborts when more than LOOP_TIMERS_MAX timers are ever armed at once. */
void loop_timer_arm(struct loop *loop, struct loop_timer *timer, int64_t due_ms);

/* Blocks the signals of `set` and delivers them to `callback`. Returns 0 or a negative errno. */
int loop_signals_watch(struct loop *loop, const sigset_t *set, loop_signal_callback *callback, void *context);

/* Runs until loop_stop. Returns 0 or a negative errno of epoll_wait. */
int loop_run(struct loop *loop);
/* One turn: waits at most until the first timer and dispatches. */
int loop_turn(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
