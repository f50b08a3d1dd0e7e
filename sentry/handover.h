/* One reader of the console at a time: whoever holds the lock on the FIFO itself (flock(2), on its inode, so
 * that it works when its directory is gone). A sentry keeps it until its process is no more; so whoever gets
 * it knows that all its predecessor ever wrote is written. */
#ifndef HOLDFAST_SENTRY_HANDOVER_H
#define HOLDFAST_SENTRY_HANDOVER_H

#include <stdbool.h>

#include "loop/loop.h"

struct handover {
	struct loop *loop;
	/* The console is to be read now; called once, maybe at once. `locked`: nobody else reads it. */
	void (*granted)(struct handover *handover, bool locked);
	void *context;

	/* Private. */
	int fd; /* the FIFO, a description of our own; -1: none yet */
	bool is_granted;
	struct loop_timer retry;
	int64_t asked_ms;
};

/* Members before `fd` are set. */
void handover_init(struct handover *handover);

/* Whether `fd` is the FIFO that is held or waited for. */
bool handover_is_of(const struct handover *handover, int fd);

/* Waits for the console; `fd` is borrowed. Waits at most 2 s for a predecessor that does not let go: the
 * console must not stay unread for its sake. Returns 0 or a negative errno. */
int handover_begin(struct handover *handover, int fd);

/* Blocks until the console is granted, `wait_ms` at most: a last look before the end. */
void handover_wait(struct handover *handover, int64_t wait_ms);

/* Lets go of the console. */
void handover_release(struct handover *handover);

#endif
