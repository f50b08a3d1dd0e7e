/* What a process holds of the machine's memory, and how much is left where it is counted (proc(5),
 * cgroups(7)). Only looks. */
#ifndef HOLDFAST_PROCESS_MEMORY_H
#define HOLDFAST_PROCESS_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "process/cgroup.h"

/* Of one process. Pages of files are left out: the kernel drops them when it needs room. */
struct memory_held {
	uint64_t private_bytes; /* anonymous and swapped: what fork() left in common counts in each */
	uint64_t shared_bytes;  /* of shared memory; the same pages may be another process's as well */
};

/* Returns 0 or a negative errno. From /proc/PID/status: a tenth of the cost of smaps_rollup, which walks the
 * page tables under the process's own lock. */
int memory_held_by(int pid, struct memory_held *held);

struct memory_limit {
	uint64_t limit_bytes; /* with swap; 0: nothing can be seen */
	uint64_t room_bytes;  /* left below it, with what the kernel could give back */
	bool is_cgroup;
};

/* The limit that will be met first: of the process's cgroup, of one above it, or of the machine. */
void memory_limit_of(int pid, struct memory_limit *limit);

/* How many processes the kernel has killed for want of memory, and where that was counted. */
struct memory_kills {
	bool is_known;
	bool is_own; /* of a cgroup, not of the whole machine */
	uint64_t count;
	struct cgroup cgroup;
};

/* Of the process's cgroup, or the nearest above it that counts; else of the machine. */
void memory_kills_of(int pid, struct memory_kills *kills);

/* The same place once more, when the process is gone. */
void memory_kills_again(const struct memory_kills *before, struct memory_kills *kills);

#endif
