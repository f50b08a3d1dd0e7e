/* What /proc says about processes and sockets (proc(5)). Identity is pid and start time, never a name. */
#ifndef HOLDFAST_PROCESS_PROCFS_H
#define HOLDFAST_PROCESS_PROCFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCFS_NAME_MAX    32
#define PROCFS_BOOT_ID_MAX 40

struct procfs_stat {
	int pid, parent;
	char state; /* R S D T t Z X */
	uint32_t threads;
	char name[PROCFS_NAME_MAX]; /* printable ASCII: a process names itself as it likes */
	uint64_t start_time;        /* clock ticks since boot: field 22 */
};

struct procfs_listener {
	int pid; /* 0: its owner may not be seen */
	uint32_t uid;
	uint64_t inode;
	uint32_t queue; /* connections that wait to be accepted */
	char name[PROCFS_NAME_MAX];
};

/* Returns 0, -ESRCH when there is no such process, or another negative errno. */
int procfs_stat(int pid, struct procfs_stat *stat);
int procfs_start_time(int pid, uint64_t *start_time);

/* Whether nothing of the process runs any more. A main thread that has ended (Z) while others still end is no
 * end: what the process holds (memory, ports, locks, its cgroup) goes with the last thread. */
bool procfs_has_ended(const struct procfs_stat *stat);

/* The parent's pid, or a negative errno. */
int procfs_parent(int pid);

/* Whether the process with this pid and start time is alive (what has ended is not). */
bool procfs_is_alive(int pid, uint64_t start_time);

/* Whether `pid` is `ancestor` or one of its descendants, by the chain of parents. */
bool procfs_is_descendant(int pid, int ancestor);

/* Who listens on the TCP port, a listener on a local or the any address first: 1 and *found, 0 when nobody
 * does, or a negative errno. */
int procfs_listener(uint32_t port, struct procfs_listener *found);

/* The same without looking for the process: much cheaper; pid and name stay empty. */
int procfs_listening_socket(uint32_t port, struct procfs_listener *found);

/* Calls `visit` with each process's pid until it returns false. Returns 0 or a negative errno. */
int procfs_each(bool (*visit)(void *context, int pid), void *context);

/* The value of `variable` in the environment the process was started with, cut to `size`.
 * Returns 1, 0 when it has none, or a negative errno (-EACCES: another user's process). */
int procfs_variable(int pid, const char *variable, char *value, size_t size);

/* Whether the process holds any file lock (/proc/locks). */
bool procfs_holds_lock(int pid);

/* The kernel's boot id. Returns 0 or a negative errno. */
int procfs_boot_id(char *target, size_t size);

#endif
