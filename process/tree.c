#include "process/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "process/procfs.h"
#include "world/world.h"

#define SNAPSHOT_MAX    65536 /* beyond it a tree never counts as gone */
#define ORPHANS_WAIT_MS 2000
#define CHILDREN_BYTES  4096

struct process {
	int pid, parent;
	uint64_t start_time;
	bool ended, marked, spared;
	char name[PROCFS_NAME_MAX];
};

struct snapshot {
	uint32_t count;
	bool is_whole;
	struct process list[SNAPSHOT_MAX]; /* by pid, as /proc lists them */
};

/* Used by one thread at a time; as static memory it costs nothing until the first tree has something left. */
static struct snapshot snapshot;

static bool take_one(void *context, int pid)
{
	struct snapshot *taken = context;
	uint32_t place = taken->count;
	struct procfs_stat stat;
	struct process *process;
	int result;

	if (taken->count == SNAPSHOT_MAX) {
		taken->is_whole = false;
		return false;
	}
	result = procfs_stat(pid, &stat);
	/* Without descriptors or memory nothing is seen, and that is no sign of its being gone. */
	if (result == -EMFILE || result == -ENFILE || result == -ENOMEM)
		taken->is_whole = false;
	if (result < 0)
		return true;
	/* /proc lists by pid already; should it not, the order is kept here, where sorting might allocate. */
	for (; place > 0 && taken->list[place - 1].pid > pid; place--)
		taken->list[place] = taken->list[place - 1];
	process = &taken->list[place];
	memset(process, 0, sizeof(*process));
	process->pid = pid;
	process->parent = stat.parent;
	process->start_time = stat.start_time;
	process->ended = procfs_has_ended(&stat);
	text_copy(process->name, sizeof(process->name), stat.name);
	taken->count++;
	return true;
}

static int compare_pids(const void *left, const void *right)
{
	const struct process *a = left, *b = right;

	return (a->pid > b->pid) - (a->pid < b->pid);
}

static void take_snapshot(void)
{
	snapshot.count = 0;
	snapshot.is_whole = true;
	if (procfs_each(take_one, &snapshot) < 0)
		snapshot.is_whole = false;
}

static struct process *find(int pid)
{
	struct process key = {.pid = pid};

	return bsearch(&key, snapshot.list, snapshot.count, sizeof(snapshot.list[0]), compare_pids);
}

static void mark_pid(void *context, int pid)
{
	struct process *process = find(pid);

	(void)context;
	if (process != NULL)
		process->marked = true;
}

/* Of the tree: below the gateway, or below us and not below a child that is spared. */
static bool descends(const struct tree *tree, const struct process *process, int self)
{
	for (uint32_t depth = 0; depth < snapshot.count; depth++) {
		if (process->spared || process->pid == self)
			return false;
		if (process->marked || process->pid == tree->gateway_pid || process->parent == self)
			return true;
		process = find(process->parent);
		if (process == NULL)
			return false;
	}
	return false;
}

static void mark_tree(const struct tree *tree)
{
	int self = getpid();

	for (uint32_t i = 0; i < tree->spared_count; i++) {
		struct process *process = find(tree->spared[i]);

		if (process != NULL)
			process->spared = true;
	}
	containment_each(tree->containment, mark_pid, NULL);
	for (uint32_t i = 0; i < snapshot.count; i++) {
		struct process *process = &snapshot.list[i];
		char marker[MARKER_BYTES_MAX];

		if (process->pid == self || process->marked)
			continue;
		process->marked = descends(tree, process, self);
		if (!process->marked && tree->marker != NULL && !process->spared &&
		    procfs_variable(process->pid, MARKER_VARIABLE, marker, sizeof(marker)) == 1)
			process->marked = strcmp(marker, tree->marker) == 0;
	}
}

/* Through a pidfd, after looking at the start time again: the pid may have been reused since the snapshot. */
static void kill_process(const struct process *process)
{
	uint64_t start_time;
	int fd CLOSE_ON_RETURN = world_pidfd_open(process->pid, 0);

	if (fd < 0 || procfs_start_time(process->pid, &start_time) < 0 || start_time != process->start_time)
		return;
	world_pidfd_send_signal(fd, SIGKILL, NULL, 0);
}

static void add_name(struct tree_report *report, const struct process *process)
{
	struct text names = {report->names, sizeof(report->names), strlen(report->names), false};

	text_addf(&names, "%s%s (%d)", report->left > 1 ? ", " : "", process->name, process->pid);
}

static void kill_marked(struct tree_report *report, int gateway_pid, uint32_t port)
{
	struct procfs_listener listener = {0};

	for (uint32_t i = 0; i < snapshot.count; i++) {
		const struct process *process = &snapshot.list[i];

		if (!process->marked || process->ended)
			continue;
		kill_process(process);
		report->left++;
		add_name(report, process);
		if (report->left == 1 && port != 0 && procfs_listener(port, &listener) != 1)
			listener.pid = 0;
		report->holds |= process->pid == gateway_pid || process->pid == listener.pid ||
		                 procfs_holds_lock(process->pid);
	}
}

/* The kernel's own list of our children: when only the spared are in it, nothing is left to look for. */
static bool has_no_children_but(const struct tree *tree)
{
	static int children_fd = -1; /* kept open: this is on the way from a death to the next start */
	char path[64], children[CHILDREN_BYTES], *next = children;
	ssize_t length;

	if (children_fd < 0) {
		snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
		children_fd = world_open(path, O_RDONLY | O_CLOEXEC);
	}
	length = children_fd < 0 ? -1 : pread(children_fd, children, sizeof(children) - 1, 0);
	if (length < 0 || length == (ssize_t)sizeof(children) - 1)
		return false; /* a kernel without it, or very many */
	children[length] = '\0';
	for (;;) {
		char *end;
		long pid = strtol(next, &end, 10);
		bool spared = false;

		if (end == next)
			return true;
		for (uint32_t i = 0; i < tree->spared_count; i++)
			spared |= tree->spared[i] == pid;
		if (!spared)
			return false;
		next = end;
	}
}

void tree_kill(const struct tree *tree, uint32_t port, struct tree_report *report)
{
	bool populated = containment_is_populated(tree->containment);

	memset(report, 0, sizeof(*report));
	if (!populated && tree->gateway_pid == 0 && tree->marker == NULL && has_no_children_but(tree))
		return;
	take_snapshot();
	mark_tree(tree);
	if (populated)
		containment_kill(tree->containment);
	kill_marked(report, tree->gateway_pid, port);
	/* What could not be seen is not gone. */
	if (!snapshot.is_whole && report->left == 0)
		report->left = 1;
	report->ending = report->left == 0 && containment_is_populated(tree->containment);
}

void marker_format(char *target, uint64_t instance, int pid, uint64_t start_time)
{
	snprintf(target, MARKER_BYTES_MAX, "%016" PRIx64 ":%d:%" PRIu64, instance, pid, start_time);
}

int marker_parse(const char *marker, uint64_t *instance, int *pid, uint64_t *start_time)
{
	int end = 0;

	if (sscanf(marker, "%16" SCNx64 ":%d:%" SCNu64 "%n", instance, pid, start_time, &end) != 3 ||
	    marker[end] != '\0')
		return -EINVAL;
	return 0;
}

/* Whether `of`, a process of our user, carries the marker of a gateway of this instance, and of which. */
static bool is_marked(int of, uint64_t instance, int *pid, uint64_t *start_time)
{
	char marker[MARKER_BYTES_MAX], path[32];
	uint64_t marked_instance;
	struct stat status;

	snprintf(path, sizeof(path), "/proc/%d", of);
	if (stat(path, &status) < 0 || status.st_uid != getuid())
		return false;
	return procfs_variable(of, MARKER_VARIABLE, marker, sizeof(marker)) == 1 &&
	       marker_parse(marker, &marked_instance, pid, start_time) == 0 && marked_instance == instance;
}

static bool is_orphan(const struct process *process, uint64_t instance)
{
	uint64_t start_time;
	int pid;

	return is_marked(process->pid, instance, &pid, &start_time) && !procfs_is_alive(pid, start_time);
}

struct gateway_search {
	uint64_t instance, start_time;
	int pid;
	bool is_found;
};

static bool look_for_gateway(void *context, int pid)
{
	struct gateway_search *search = context;

	search->is_found = is_marked(pid, search->instance, &search->pid, &search->start_time) &&
	                   procfs_is_alive(search->pid, search->start_time);
	return !search->is_found;
}

bool gateway_find(uint64_t instance, int *pid, uint64_t *start_time)
{
	struct gateway_search search = {.instance = instance};

	procfs_each(look_for_gateway, &search);
	*pid = search.pid;
	*start_time = search.start_time;
	return search.is_found;
}

static void spare_ancestors(void)
{
	int pid = getpid();

	while (pid > 0) {
		struct process *process = find(pid);

		if (process == NULL || process->spared)
			return;
		process->spared = true;
		pid = process->parent;
	}
}

uint32_t orphans_kill(uint64_t instance, uint32_t port, struct tree_report *report)
{
	int64_t until_ms = clock_monotonic_ms() + ORPHANS_WAIT_MS;
	struct procfs_listener listener = {0};
	bool alive = true;

	memset(report, 0, sizeof(*report));
	take_snapshot();
	spare_ancestors();
	for (uint32_t i = 0; i < snapshot.count; i++) {
		struct process *process = &snapshot.list[i];

		process->marked = !process->spared && !process->ended && is_orphan(process, instance);
		if (process->marked && listener.inode == 0 && port != 0)
			procfs_listener(port, &listener);
		/* Whoever serves on the port is alive, whatever became of the process that started it. */
		process->marked &= process->pid != listener.pid;
	}
	kill_marked(report, 0, 0);
	while (report->left > 0 && alive && clock_monotonic_ms() < until_ms) {
		alive = false;
		for (uint32_t i = 0; i < snapshot.count; i++)
			if (snapshot.list[i].marked &&
			    procfs_is_alive(snapshot.list[i].pid, snapshot.list[i].start_time))
				alive = true;
		usleep(alive ? 2000 : 0);
	}
	return report->left;
}
