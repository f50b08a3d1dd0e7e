/* Starts processes: clone3 with a pidfd, into a cgroup where there is one (clone(2), pidfd_open(2)).
 *
 * A gateway is started behind a gate: the new process waits until its record has been written, and ends
 * without having run anything if we die before that. */
#ifndef HOLDFAST_PROCESS_SPAWN_H
#define HOLDFAST_PROCESS_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/tree.h"

struct spawn_plan {
	char **arguments; /* [0] is an absolute path */
	char **environment;
	const char *working_directory; /* "" to stay */
	const char *console; /* FIFO that becomes stdout and stderr, opened read-write by the child itself */
	int cgroup_fd;       /* -1: none */
	mode_t umask;        /* of the new program */
	bool move_in;        /* the child moves itself into the cgroup: cloning into it does not work here */
	char *marker_value;  /* in `environment`: MARKER_BYTES_MAX bytes, filled in by the new process */
	uint64_t instance;
};

struct spawned {
	int pid, pid_fd, gate_fd;
	uint64_t start_time;
	bool in_cgroup;
	char marker[MARKER_BYTES_MAX];
};

/* Every signal's action must be the default one: the new program gets ours. What the plan points to must stay
 * as it is until the program runs or its process is gone. One at a time. Returns 0 with *spawned filled
 * (descriptors owned by the caller), or a negative errno. */
int spawn_gated(const struct spawn_plan *plan, struct spawned *spawned);

/* Opens the gate and closes it. Returns 0 when the program runs, the negative errno with which it could not
 * be executed, or 0 when neither is known after 200 ms (its exit code will tell: 127). */
int spawn_release(struct spawned *spawned);

/* Starts a worker with this environment: `channel_fd` and `settings_fd` become its descriptors 3 and 4.
 * `dies_with_us`: it is killed when we end. Returns its pid (its pidfd in *pid_fd) or a negative errno. */
int spawn_worker(const char *program, char *const *arguments, char *const *environment, int channel_fd,
    int settings_fd, bool dies_with_us, int *pid_fd);

#endif
