/* The gateway's process tree at one moment: the gateway, what is below it, and the orphans: what was below it
 * until its parent ended, with what is below that.
 *
 * Orphans are found by the gateway's own cgroup. Where it has none: what fell to the supervisor, which is
 * their subreaper, after the gateway's start and is no program of Holdfast's; and what fell to others and
 * carries the gateway's marker in its environment. */
#ifndef HOLDFAST_SENTRY_FAMILY_H
#define HOLDFAST_SENTRY_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

#define FAMILY_MAX 512
#define FAMILY_ALL (-1)

struct relative {
	int pid, parent;
	int root; /* 0: it is the gateway or below it; else the orphan it is, or is below */
	uint64_t start_time;
	uint64_t cpu_ticks; /* with those of the children it has waited for */
};

struct family {
	uint32_t count; /* at most FAMILY_MAX; by pid */
	uint32_t processes;
	bool in_own_cgroup;
	struct relative list[FAMILY_MAX];
};

/* Fills *family; all 0 when the gateway with this start time is gone. `instance` is of the settings. One at a
 * time. */
void family_read(struct family *family, int pid, uint64_t start_time, uint64_t instance);

/* All CPU of the tree. */
uint64_t family_cpu_ticks(const struct family *family);

/* What the tree holds: each process's own memory, and shared memory once. `root` as in struct relative, or
 * FAMILY_ALL. */
uint64_t family_bytes(const struct family *family, int root);

#endif
