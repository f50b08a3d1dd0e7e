/* clone3 in its two forms (clone(2)). Both fall back where clone3 is missing or forbidden (old kernels,
 * valgrind). */
#ifndef HOLDFAST_PROCESS_CLONE_H
#define HOLDFAST_PROCESS_CLONE_H

#include <stdbool.h>

/* Like fork, with a pidfd. Returns the pid, 0 in the new process, or a negative errno. */
int clone_copy(int *pid_fd);

/* Starts a process that runs `run(context)`, in the cgroup `cgroup_fd` where that is not -1 and works
 * (*in_cgroup). It shares our memory until it executes a program or ends, so no page tables are copied: the
 * new program runs in a third of the time. We go on meanwhile, unlike after vfork, so it cannot keep us
 * waiting.
 *
 * `run` must not return; it calls only what is safe after a fork, writes to no memory that we use, and
 * everything that it reads must stay as it is. errno is shared: it counts only where its own call has failed.
 * One at a time: its stack is ours, unknown to sanitizers (CLONE_RUNS: `run` and what it calls). Returns the
 * pid or a negative errno. */
#define CLONE_RUNS __attribute__((no_sanitize("address", "undefined")))
int clone_run(int cgroup_fd, void (*run)(void *context), void *context, int *pid_fd, bool *in_cgroup);

#endif
