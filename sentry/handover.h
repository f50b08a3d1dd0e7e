/* One reader of the console at a time. When the supervisor dies, its sentry goes on draining; the next
 * supervisor's sentry asks for the console by writing to RUNTIME_DIR/console.lock, and begins once the old
 * one has let go of it. */
#ifndef HOLDFAST_SENTRY_HANDOVER_H
#define HOLDFAST_SENTRY_HANDOVER_H

#include "loop/loop.h"

#define HANDOVER_NAME "console.lock"

struct handover {
	struct loop *loop;
	const char *runtime_dir;                    /* borrowed */
	void (*granted)(struct handover *handover); /* the console is ours; called once, maybe at once */
	void (*wanted)(
	    struct handover *handover); /* a successor waits for it; let go and call handover_release */
	void *context;

	/* Private. */
	int lock_fd;
	struct loop_source source;
	struct loop_timer retry;
	int64_t asked_ms;
};

/* Members before `lock_fd` are set. Waits at most 2 s for a predecessor that does not let go: the console
 * must not stay unread for its sake. */
void handover_begin(struct handover *handover);

/* Listens for a successor from now on: only a sentry without a supervisor may be succeeded. */
void handover_listen(struct handover *handover);

void handover_release(struct handover *handover);

#endif
