/* Whether a process tree does anything: what tells a slow start from a dead one. */
#ifndef HOLDFAST_SENTRY_ACTIVITY_H
#define HOLDFAST_SENTRY_ACTIVITY_H

#include <stdbool.h>
#include <stdint.h>

struct activity {
	uint64_t cpu_ticks; /* of the process, its children alive and those it has waited for */
	uint64_t io_bytes;  /* read and written by the process; stays 0 where that may not be seen */
};

/* Fills *activity for the process; all 0 when it is gone. */
void activity_read(int pid, struct activity *activity);

/* Read and written by the process; 0 where that may not be seen. */
uint64_t activity_io_bytes(int pid);

/* Whether more happened between the two than our own probes cause. */
bool activity_moved(const struct activity *before, const struct activity *after);

#endif
