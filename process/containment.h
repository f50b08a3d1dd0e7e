/* A cgroup of the gateway's own, where one can be made: a sure grip on its whole tree. Where none can be made
 * the supervisor's being a subreaper must do. Never touches cgroup.subtree_control (cgroups(7)). */
#ifndef HOLDFAST_PROCESS_CONTAINMENT_H
#define HOLDFAST_PROCESS_CONTAINMENT_H

#include <stdbool.h>
#include <stdint.h>

#define CONTAINMENT_PATH_MAX 256

struct containment {
	int directory_fd; /* -1: no cgroup */
	int parent_fd;
	bool killed;   /* since it was made */
	int events_fd; /* cgroup.events: EPOLLPRI when it becomes empty or not */
	bool move_in;  /* a new process must move itself in: cloning into it does not work here */
	char name[32]; /* below the cgroup `parent` */
	char parent[CONTAINMENT_PATH_MAX]; /* as /proc/PID/cgroup names it; "" when it is too long or not
	                                      known */
};

/* Makes or finds the cgroup `holdfast-INSTANCE` below our own, or below `earlier`: that of an earlier life,
 * which may have been started elsewhere ("" when there is none). There it is used while somebody lives in it,
 * and else removed. Leaves directory_fd -1 when it cannot be. */
void containment_open(struct containment *containment, uint64_t instance, const char *earlier);

/* Whether a process lives in it. False without a cgroup. */
bool containment_is_populated(const struct containment *containment);

/* SIGKILL to everything in it, at once and without a race. Returns 0 or a negative errno. */
int containment_kill(struct containment *containment);

/* Once it is empty: makes it anew if it has been killed. Linux (seen on 6.18) kills whatever is cloned from
 * outside into a cgroup that was killed before, because it compares the wrong pair of kill counters. */
void containment_renew(struct containment *containment);

/* Calls `visit` for each process in it. */
void containment_each(
    const struct containment *containment, void (*visit)(void *context, int pid), void *context);

/* Removes the cgroup (when it is empty) and closes the descriptors. */
void containment_release(struct containment *containment);

#endif
