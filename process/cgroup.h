/* Where in the cgroup trees a process is, and what is counted there: memory, its limits, and the kernel's
 * out-of-memory kills (cgroups(7), the kernel's admin-guide/cgroup-v2 and cgroup-v1/memory). Only looks. */
#ifndef HOLDFAST_PROCESS_CGROUP_H
#define HOLDFAST_PROCESS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_PATH_MAX 512

struct cgroup {
	bool is_v1;
	size_t top; /* length of the part of `path` above which nothing is to be seen: the mount point */
	char path[CGROUP_PATH_MAX];
};

/* The process's cgroup in the tree of version 2, or of the version 1 controller `controller` (NULL: version
 * 2). Returns 0, -ENOENT where there is no such tree, -ENAMETOOLONG, or another negative errno. */
int cgroup_find(int pid, const char *controller, struct cgroup *cgroup);

/* The next one up. Returns whether there is one to be seen. */
bool cgroup_ascend(struct cgroup *cgroup);

/* Its name below the mount point, for people: "/user.slice/...". */
const char *cgroup_name(const struct cgroup *cgroup);

/* Reads a file of it: at most `size` - 1 bytes; a longer one is cut. Returns 0 or a negative errno. */
int cgroup_read(const struct cgroup *cgroup, const char *file, char *text, size_t size);

/* One number of a file of lines "key value"; the key "" is a file of one number. Returns 0, -ENOENT when it
 * is not there, -ERANGE when it says "max", or a negative errno. */
int cgroup_number(const struct cgroup *cgroup, const char *file, const char *key, uint64_t *value);

#endif
