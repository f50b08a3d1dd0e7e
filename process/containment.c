#include "process/containment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "world/world.h"

struct mount {
	char root[PATH_MAX], point[PATH_MAX];
	bool found;
};

/* Where the cgroup v2 tree is mounted and which part of it: mountinfo line
 * `42 32 0:27 /root /mount/point opts ... - cgroup2 cgroup2 rw`. It may be beside v1 at .../unified. */
static bool look_for_mount(void *context, const char *line)
{
	struct mount *mount = context;

	mount->found = strstr(line, " - cgroup2 ") != NULL &&
	               sscanf(line, "%*s %*s %*s %4095s %4095s", mount->root, mount->point) == 2;
	return !mount->found;
}

static bool look_for_own(void *context, const char *line)
{
	char *own = context;

	if (strncmp(line, "0::", 3) != 0)
		return true;
	text_copy(own, PATH_MAX, line + 3);
	return false;
}

/* Opens the cgroup that /proc/PID/cgroup names so, where the tree is mounted. */
static int open_cgroup(const char *name)
{
	char path[2 * PATH_MAX];
	struct mount mount = {0};
	size_t root_length;

	file_each_line(AT_FDCWD, "/proc/self/mountinfo", look_for_mount, &mount);
	if (!mount.found || name[0] != '/' || strstr(name, "..") != NULL)
		return -ENOENT;
	root_length = strlen(mount.root);
	if (strcmp(mount.root, "/") != 0 && strncmp(name, mount.root, root_length) == 0)
		name += root_length;
	snprintf(path, sizeof(path), "%s/%s", mount.point, name);
	return world_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void open_files(struct containment *containment)
{
	containment->directory_fd = containment->events_fd = -1;
	containment->killed = false;
	if (world_mkdirat(containment->parent_fd, containment->name, 0755) < 0 && errno != EEXIST)
		return;
	containment->directory_fd =
	    world_openat(containment->parent_fd, containment->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (containment->directory_fd < 0)
		return;
	containment->events_fd =
	    world_openat(containment->directory_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	/* Kernels before 5.14 have no cgroup.kill: then the cgroup is no surer than walking the tree. */
	if (containment->events_fd < 0 || faccessat(containment->directory_fd, "cgroup.kill", W_OK, 0) < 0) {
		file_close(&containment->events_fd);
		file_close(&containment->directory_fd);
	}
}

/* Does a process cloned into it live? Where our own cgroup was once killed it does not (see
 * containment_renew). */
static bool clone_lives(const struct containment *containment)
{
	struct clone_args arguments = {.flags = CLONE_INTO_CGROUP,
	    .cgroup = (uint64_t)containment->directory_fd,
	    .exit_signal = SIGCHLD};
	int pid = (int)world_clone3(&arguments, sizeof(arguments));
	siginfo_t info = {0};

	if (pid == 0)
		_exit(0);
	return pid > 0 && world_waitid(P_PID, (id_t)pid, &info, WEXITED) == 0 && info.si_code == CLD_EXITED;
}

/* The cgroup of an earlier life, started elsewhere: ours while somebody lives in it. */
static bool take_earlier(struct containment *containment, const char *earlier)
{
	if (earlier[0] == '\0' || strcmp(earlier, containment->parent) == 0)
		return false;
	containment->parent_fd = open_cgroup(earlier);
	if (containment->parent_fd >= 0 &&
	    faccessat(containment->parent_fd, containment->name, F_OK, 0) == 0) {
		open_files(containment);
		if (containment_is_populated(containment)) {
			text_copy(containment->parent, sizeof(containment->parent), earlier);
			return true;
		}
	}
	containment_release(containment);
	return false;
}

void containment_open(struct containment *containment, uint64_t instance, const char *earlier)
{
	char own[PATH_MAX] = "";

	memset(containment, 0, sizeof(*containment));
	containment->directory_fd = containment->events_fd = containment->parent_fd = -1;
	snprintf(containment->name, sizeof(containment->name), "holdfast-%016" PRIx64, instance);
	file_each_line(AT_FDCWD, "/proc/self/cgroup", look_for_own, own);
	if (!text_copy(containment->parent, sizeof(containment->parent), own))
		containment->parent[0] = '\0';
	if (!take_earlier(containment, earlier)) {
		containment->parent_fd = open_cgroup(own);
		if (containment->parent_fd < 0)
			return;
		open_files(containment);
	}
	/* Found with an adopted gateway in it: whether it was ever killed is not known, so never clone into
	 * it. */
	if (containment->directory_fd >= 0)
		containment->move_in = containment_is_populated(containment) || !clone_lives(containment);
}

void containment_renew(struct containment *containment)
{
	if (!containment->killed || containment_is_populated(containment))
		return;
	file_close(&containment->events_fd);
	file_close(&containment->directory_fd);
	if (world_unlinkat(containment->parent_fd, containment->name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
		open_files(containment);
		containment->killed = true; /* it is the old one */
	} else {
		open_files(containment);
	}
}

bool containment_is_populated(const struct containment *containment)
{
	char events[128];

	if (containment->events_fd < 0)
		return false;
	return file_read_start(containment->events_fd, events, sizeof(events)) > 0 &&
	       strstr(events, "populated 1") != NULL;
}

int containment_kill(struct containment *containment)
{
	int fd CLOSE_ON_RETURN = -1;

	if (containment->directory_fd < 0)
		return -ENOENT;
	fd = world_openat(containment->directory_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	containment->killed = true;
	return fd < 0 ? -errno : file_write_all(fd, "1", 1);
}

struct pid_visit {
	void (*visit)(void *context, int pid);
	void *context;
};

static bool visit_line(void *context, const char *line)
{
	const struct pid_visit *visitor = context;
	uint64_t pid;

	if (text_to_u64(line, INT32_MAX, &pid) == 0)
		visitor->visit(visitor->context, (int)pid);
	return true;
}

void containment_each(
    const struct containment *containment, void (*visit)(void *context, int pid), void *context)
{
	struct pid_visit visitor = {visit, context};

	if (containment->directory_fd >= 0)
		file_each_line(containment->directory_fd, "cgroup.procs", visit_line, &visitor);
}

void containment_release(struct containment *containment)
{
	file_close(&containment->events_fd);
	file_close(&containment->directory_fd);
	if (containment->parent_fd >= 0)
		world_unlinkat(containment->parent_fd, containment->name, AT_REMOVEDIR);
	file_close(&containment->parent_fd);
}
