/* The gateway's memory, sampled: what its tree holds, and the room below the nearest limit. And whether the
 * kernel's out-of-memory killer was at work when it ended. */
#ifndef HOLDFAST_SENTRY_MEMORY_H
#define HOLDFAST_SENTRY_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/message.h"
#include "loop/loop.h"
#include "process/memory.h"

#define MEMORY_SAMPLE_MS 30000

struct memory_sense {
	/* Set by the owner before anything is called. */
	struct loop *loop;
	uint64_t instance; /* of the settings */
	void (*looked)(struct memory_sense *sense, const struct memory_look *look);
	void *context;

	/* Private. */
	struct loop_timer timer;
	uint64_t generation, start_time;
	int pid;
	struct memory_kills kills;
	uint64_t cpu_ticks;
	int64_t at_ms; /* of the last sample; 0: none */
};

/* A gateway runs: from now on it is known whether the kernel killed it. The same again changes nothing. */
void memory_sense_begin(struct memory_sense *sense, const struct message_gateway *gateway);

/* Takes samples of it, the first one at once; or no more. */
void memory_sense_watch(struct memory_sense *sense, bool on);

/* One sample, now. */
void memory_sense_sample(struct memory_sense *sense, struct memory_look *look);

/* It has ended: whether the kernel killed a process for want of memory, since the last sample, where this
 * gateway is counted; then `line` says so. It may have been another one there: that it ended by SIGKILL must
 * be known besides. */
bool memory_sense_was_killed(
    const struct memory_sense *sense, uint64_t generation, char *line, size_t line_size);

#endif
