/* Deadlines by the thousand, exact to a millisecond: a heap behind one timerfd.
 *
 * Almost every deadline is put off long before it comes: putting it off only notes the new time, and the heap
 * learns of it when the old one comes. The host's sleep counts. */
#ifndef HOLDFAST_RELAY_DEADLINES_H
#define HOLDFAST_RELAY_DEADLINES_H

#include <stdint.h>

#include "loop/loop.h"

struct deadline {
	int64_t due_ns; /* CLOCK_BOOTTIME; 0: none */
	void (*passed)(struct deadline *deadline);
	void *context;

	/* Private. */
	int64_t key_ns;
	uint32_t place; /* in the heap, from 1; 0: not there */
};

struct deadlines {
	struct loop_source source;
	int fd;
	int64_t now_ns;   /* when it was last looked at */
	int64_t armed_ns; /* 0: not */
	struct deadline **heap;
	uint32_t count, size, reserved;
};

/* Returns 0 or a negative errno. */
int deadlines_init(struct deadlines *deadlines, struct loop *loop);
void deadlines_release(struct deadlines *deadlines);

/* Room for so many more deadlines, to be had before they are ever set: deadline_set cannot fail then. Returns
 * 0 or -ENOMEM. */
int deadlines_reserve(struct deadlines *deadlines, uint32_t count);
void deadlines_unreserve(struct deadlines *deadlines, uint32_t count);

/* Looks at the clock: deadline_set counts from this time. */
void deadlines_look(struct deadlines *deadlines);

/* In so many milliseconds from the last look, which counts as of its whole millisecond. */
void deadline_set(struct deadlines *deadlines, struct deadline *deadline, int64_t in_ms);
/* Keeps it in the heap where it costs nothing; deadline_forget before its memory goes. */
void deadline_clear(struct deadline *deadline);
void deadline_forget(struct deadlines *deadlines, struct deadline *deadline);

#endif
