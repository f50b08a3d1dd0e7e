#include "sentry/family.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "process/cgroup.h"
#include "process/memory.h"
#include "process/procfs.h"
#include "process/tree.h"

#define SCAN_MAX    16384 /* processes of the machine; those beyond are not seen */
#define KERNEL_PID  2
#define STAT_BYTES  1024
#define DEPTH_MAX   256
#define UNDECIDED   (-1)
#define NO_RELATIVE (-2)

/* Everything that was looked at; static memory costs nothing until it is used. */
static struct scan {
	uint32_t count;
	struct relative list[SCAN_MAX]; /* by pid */
} scan;

struct seeker {
	int gateway_pid, gateway_parent, supervisor_pid;
	uint64_t start_time;
	bool in_own_cgroup;
	char marker[MARKER_BYTES_MAX];
};

/* Of /proc/PID/stat: the parent, the CPU times, the start. Returns whether it runs. */
static bool read_relative(int pid, struct relative *relative)
{
	char path[32], line[STAT_BYTES], state;
	uint64_t user, kernel, children_user, children_kernel;
	uint32_t threads;
	const char *after;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read(AT_FDCWD, path, line, sizeof(line)) < 0)
		return false;
	after = strrchr(line, ')');
	if (after == NULL ||
	    sscanf(after + 1,
	        " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
	        " %*d %*d %" SCNu32 " %*d %" SCNu64,
	        &state, &relative->parent, &user, &kernel, &children_user, &children_kernel, &threads,
	        &relative->start_time) != 8 ||
	    state == 'X' || (state == 'Z' && threads <= 1))
		return false;
	relative->pid = pid;
	relative->root = UNDECIDED;
	relative->cpu_ticks = user + kernel + children_user + children_kernel;
	return true;
}

static bool take_one(void *context, int pid)
{
	struct relative relative;
	uint32_t place = scan.count;

	(void)context;
	if (scan.count == SCAN_MAX)
		return false;
	if (!read_relative(pid, &relative) || pid == KERNEL_PID || relative.parent == KERNEL_PID)
		return true;
	/* They come by pid nearly always. */
	for (; place > 0 && scan.list[place - 1].pid > pid; place--)
		scan.list[place] = scan.list[place - 1];
	scan.list[place] = relative;
	scan.count++;
	return true;
}

static bool take_line(void *context, const char *line)
{
	uint64_t pid;

	return text_to_u64(line, INT32_MAX, &pid) < 0 || take_one(context, (int)pid);
}

/* The cgroup that the supervisor made for it holds the whole tree and nothing else. */
static bool scan_own_cgroup(int gateway_pid, uint64_t instance)
{
	char name[40], path[CGROUP_PATH_MAX + 16];
	struct cgroup cgroup;
	const char *last;

	if (cgroup_find(gateway_pid, NULL, &cgroup) < 0)
		return false;
	snprintf(name, sizeof(name), "/holdfast-%016" PRIx64, instance);
	last = strrchr(cgroup.path, '/');
	if (last == NULL || strcmp(last, name) != 0)
		return false;
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup.path);
	return file_each_line(AT_FDCWD, path, take_line, NULL) == 0;
}

static struct relative *find(int pid)
{
	uint32_t low = 0, high = scan.count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (scan.list[middle].pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < scan.count && scan.list[low].pid == pid ? &scan.list[low] : NULL;
}

static bool directory_of_program(const char *link, char directory[PATH_MAX])
{
	ssize_t length = readlink(link, directory, PATH_MAX - 1);
	char *slash;

	directory[length < 0 ? 0 : length] = '\0';
	slash = strrchr(directory, '/');
	if (slash == NULL)
		return false;
	*slash = '\0';
	return true;
}

/* Holdfast's programs lie in one directory: the supervisor's other children. */
static bool is_of_holdfast(int pid)
{
	char link[32], theirs[PATH_MAX], ours[PATH_MAX];

	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	return !directory_of_program(link, theirs) || !directory_of_program("/proc/self/exe", ours) ||
	       strcmp(theirs, ours) == 0;
}

static bool is_marked(int pid, const char *marker)
{
	char path[32], found[MARKER_BYTES_MAX];
	struct stat status;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return stat(path, &status) == 0 && status.st_uid == geteuid() &&
	       procfs_variable(pid, MARKER_VARIABLE, found, sizeof(found)) == 1 && strcmp(found, marker) == 0;
}

/* Whether this process, whose parent is no relative, lost a parent that was one. */
static bool is_orphan(const struct seeker *seeker, const struct relative *relative)
{
	if (seeker->in_own_cgroup)
		return true;
	if (relative->start_time < seeker->start_time)
		return false;
	if (relative->parent == seeker->supervisor_pid && relative->parent > 1)
		return !is_of_holdfast(relative->pid);
	return (relative->parent == 1 || relative->parent == seeker->gateway_parent) &&
	       is_marked(relative->pid, seeker->marker);
}

static int decide(const struct seeker *seeker, struct relative *relative, int depth)
{
	struct relative *parent;

	if (relative->root != UNDECIDED)
		return relative->root;
	parent = depth < DEPTH_MAX ? find(relative->parent) : NULL;
	relative->root = parent != NULL ? decide(seeker, parent, depth + 1) : NO_RELATIVE;
	if (relative->root == NO_RELATIVE && is_orphan(seeker, relative))
		relative->root = relative->pid;
	return relative->root;
}

static void seek(struct family *family, const struct seeker *seeker)
{
	struct relative *gateway = find(seeker->gateway_pid);

	if (gateway == NULL || gateway->start_time != seeker->start_time)
		return;
	gateway->root = 0;
	for (uint32_t i = 0; i < scan.count; i++) {
		if (decide(seeker, &scan.list[i], 0) == NO_RELATIVE)
			continue;
		family->processes++;
		if (family->count < FAMILY_MAX)
			family->list[family->count++] = scan.list[i];
	}
}

void family_read(struct family *family, int pid, uint64_t start_time, uint64_t instance)
{
	struct seeker seeker = {.gateway_pid = pid, .start_time = start_time, .supervisor_pid = getppid()};

	memset(family, 0, offsetof(struct family, list));
	scan.count = 0;
	seeker.in_own_cgroup = scan_own_cgroup(pid, instance);
	if (!seeker.in_own_cgroup) {
		scan.count = 0;
		procfs_each(take_one, NULL);
		seeker.gateway_parent = procfs_parent(pid);
		marker_format(seeker.marker, instance, pid, start_time);
	}
	family->in_own_cgroup = seeker.in_own_cgroup;
	seek(family, &seeker);
}

uint64_t family_cpu_ticks(const struct family *family)
{
	uint64_t ticks = 0;

	for (uint32_t i = 0; i < family->count; i++)
		ticks += family->list[i].cpu_ticks;
	return ticks;
}

uint64_t family_bytes(const struct family *family, int root)
{
	uint64_t bytes = 0, shared_bytes = 0;

	for (uint32_t i = 0; i < family->count; i++) {
		struct memory_held held;

		if ((root >= 0 && family->list[i].root != root) ||
		    memory_held_by(family->list[i].pid, &held) < 0)
			continue;
		bytes += held.private_bytes;
		shared_bytes = held.shared_bytes > shared_bytes ? held.shared_bytes : shared_bytes;
	}
	return bytes + shared_bytes;
}
