/* The gateway's whole process tree: everything in its cgroup, everything below the gateway process, and
 * everything that fell to us as subreaper, however it forked or changed its session. */
#ifndef HOLDFAST_PROCESS_TREE_H
#define HOLDFAST_PROCESS_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "process/containment.h"

#define TREE_SPARED_MAX  20
#define TREE_NAMES_MAX   160
#define MARKER_VARIABLE  "HOLDFAST_GENERATION"
#define MARKER_BYTES_MAX 72

struct tree {
	struct containment *containment; /* borrowed */
	int gateway_pid;                 /* 0 once it is reaped */
	uint32_t spared_count;
	int spared[TREE_SPARED_MAX]; /* our other children: not of the tree, nor is what is below them */
	const char
	    *marker; /* not NULL: also processes whose environment carries this marker (an adopted tree) */
};

struct tree_report {
	uint32_t left; /* processes that were still alive when looked at; each has been sent SIGKILL */
	bool ending;   /* left is 0, yet the cgroup is not empty: it is a matter of moments */
	bool holds;    /* one of them listens on the port, holds a file lock, or is the gateway */
	char names[TREE_NAMES_MAX]; /* "sleep (123), bash (124)" */
};

/* Sends SIGKILL to all of the tree and says what was there. left 0 and not ending: nothing of it is alive.
 * Call it again when a child has ended: what forks faster than it dies is met again. `port` may be 0. */
void tree_kill(const struct tree *tree, uint32_t port, struct tree_report *report);

/* The marker a gateway's tree carries in its environment: INSTANCE:PID:STARTTIME. */
void marker_format(char *target, uint64_t instance, int pid, uint64_t start_time);

/* Takes it apart. Returns 0 or -EINVAL. */
int marker_parse(const char *marker, uint64_t *instance, int *pid, uint64_t *start_time);

/* The gateway of this instance that lives, found by the marker that it and its tree carry: returns whether
 * there is one. */
bool gateway_find(uint64_t instance, int *pid, uint64_t *start_time);

/* Kills the orphans of an earlier life: processes of our user whose marker names this instance and a gateway
 * that no longer exists. Spares ourselves, our ancestors and who listens on `port`. Waits up to 2 s for their
 * end. Returns how many there were, with their names in *report. */
uint32_t orphans_kill(uint64_t instance, uint32_t port, struct tree_report *report);

#endif
