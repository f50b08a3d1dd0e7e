/* One owner: the directories, the lock, and who else might own the gateway. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "process/procfs.h"
#include "supervise/descriptors.h"
#include "supervise/supervisor.h"
#include "world/world.h"

#define LOCK_TEXT_BYTES 4096
#define LOCK_WAIT_MS    2000
#define LOCK_RETRY_US   5000

static int make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (world_mkdir(path, 0700) < 0 && errno != EEXIST) {
			int code = -errno;

			*slash = '/';
			return code;
		}
		*slash = '/';
	}
	return 0;
}

/* Ours alone, or nothing: another user could put anything into a directory that is not. */
static int open_directory(const char *path, const char *what, struct error *why)
{
	char copy[PATH_MAX];
	struct stat status;
	int result, fd;

	if (!text_copy(copy, sizeof(copy), path))
		return error_set(why, -ENAMETOOLONG, "The %s directory's path is too long.", what);
	result = make_parents(copy);
	if (result == 0 && world_mkdir(path, 0700) < 0 && errno != EEXIST)
		result = -errno;
	if (result < 0)
		return error_set(why, result,
		    "The %s directory %s cannot be made: %s. Choose another with --%s-dir.", what, path,
		    strerror(-result), what);
	fd = world_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) < 0) {
		result = -errno;
		file_close(&fd);
		return error_set(why, result,
		    "The %s directory %s cannot be opened: %s. Choose another with --%s-dir.", what, path,
		    strerror(-result), what);
	}
	if (status.st_uid != getuid() || (status.st_mode & 022) != 0) {
		close(fd);
		return error_set(why, -EPERM,
		    "The %s directory %s must belong to you and be writable by nobody else: mend it, or "
		    "choose another with --%s-dir.",
		    what, path, what);
	}
	return fd;
}

/* Whether the process that wrote its pid into the lock lives. */
static bool owner_lives(int fd, char *owner, size_t size)
{
	struct procfs_stat stat;
	uint64_t pid;

	if (file_read_start(fd, owner, size) < 0)
		owner[0] = '\0';
	owner[strcspn(owner, "\n")] = '\0';
	return text_to_u64(owner, INT32_MAX, &pid) == 0 && procfs_stat((int)pid, &stat) == 0 &&
	       !procfs_has_ended(&stat);
}

/* A supervisor that was killed while it started a process leaves its lock with that one, until it has come to
 * its exec: a moment later. */
static int lock(int fd, char *owner, size_t size)
{
	int64_t until_ms = clock_monotonic_ms() + LOCK_WAIT_MS;

	while (world_flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (owner_lives(fd, owner, size) || clock_monotonic_ms() > until_ms)
			return -EBUSY;
		usleep(LOCK_RETRY_US);
	}
	return 0;
}

static int take_lock(struct supervisor *supervisor, struct error *why)
{
	char owner[32] = "";
	int result;
	int fd = world_openat(
	    supervisor->state_fd, OWNER_LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return error_set(
		    why, -errno, "The lock in the state directory cannot be opened: %s.", strerror(errno));
	result = lock(fd, owner, sizeof(owner));
	if (result < 0) {
		close(fd);
		if (result != -EBUSY)
			return error_set(why, result,
			    "The lock in the state directory cannot be taken: %s. Choose another with "
			    "--state-dir.",
			    strerror(-result));
		return error_set(why, -EBUSY,
		    "This gateway is already supervised by Holdfast (pid %s): see \"holdfast status\". "
		    "Nothing was started.",
		    owner[0] == '\0' ? "unknown" : owner);
	}
	supervisor->lock_fd = fd;
	supervisor->had_owner = file_read_start(fd, owner, sizeof(owner)) > 0;
	snprintf(owner, sizeof(owner), "%d\n", getpid());
	if (world_ftruncate(fd, 0) < 0 || world_pwrite(fd, owner, strlen(owner), 0) < 0)
		return 0; /* a full disk: the lock holds all the same, only its owner is not named */
	return 0;
}

int ownership_take(struct supervisor *supervisor, struct error *why)
{
	const struct settings *settings = supervisor->settings;
	int result;

	if (supervisor->executed_anew) { /* never let go, and judged when it was taken */
		supervisor->state_fd = descriptors_take("state");
		supervisor->runtime_fd = descriptors_take("runtime");
		supervisor->record_fd = descriptors_take("record");
		supervisor->lock_fd = descriptors_take("lock");
		supervisor->had_owner = true;
		/* What did not come with us is opened. */
		result = supervisor->runtime_fd >= 0 ? 0 : ownership_runtime(supervisor, why);
		return result < 0 || supervisor->record_fd >= 0 ? result : ownership_record(supervisor, why);
	}
	supervisor->state_fd = open_directory(settings_string(settings, settings->state_dir), "state", why);
	if (supervisor->state_fd < 0)
		return supervisor->state_fd;
	supervisor->runtime_fd = supervisor->record_fd = -1;
	result = ownership_runtime(supervisor, why);
	if (result == 0)
		result = take_lock(supervisor, why);
	return result < 0 ? result : ownership_record(supervisor, why);
}

int ownership_runtime(struct supervisor *supervisor, struct error *why)
{
	const struct settings *settings = supervisor->settings;
	int fd = open_directory(settings_string(settings, settings->runtime_dir), "runtime", why);

	if (fd < 0)
		return fd;
	file_close(&supervisor->runtime_fd);
	supervisor->runtime_fd = fd;
	return 0;
}

int ownership_record(struct supervisor *supervisor, struct error *why)
{
	const struct settings *settings = supervisor->settings;
	char owner[32];
	int fd = record_open(supervisor->runtime_fd);

	if (fd < 0)
		return error_set(why, fd,
		    "The runtime record in %s cannot be written: %s. Mend that, or choose another directory "
		    "with --runtime-dir.",
		    settings_string(settings, settings->runtime_dir), strerror(-fd));
	file_close(&supervisor->record_fd);
	supervisor->record_fd = fd;
	/* Two that share it would take each other's record, events, console and callers. */
	if (lock(supervisor->record_fd, owner, sizeof(owner)) == -EBUSY)
		return error_set(why, -EBUSY,
		    "The runtime directory %s is another supervisor's, whose state directory is another: "
		    "choose "
		    "another with --runtime-dir. Nothing was started.",
		    settings_string(settings, settings->runtime_dir));
	return 0;
}

/* The number after `"name":`, in JSON that OpenClaw wrote on one line; 0 when there is none. */
static uint64_t number_after(const char *text, const char *name)
{
	const char *found = strstr(text, name);

	return found == NULL ? 0 : strtoull(found + strlen(name), NULL, 10);
}

/* OpenClaw's locks: {"pid":11742,...,"configPath":"...","startTime":68742} (2026.2.1 in /tmp/openclaw-UID/,
 * 2026.9.6 in STATE/tmp/openclaw-UID/). One is held when that very process lives. */
static int check_lock_file(
    const struct settings *settings, int directory_fd, const char *name, struct error *why)
{
	const char *config = settings_string(settings, settings->gateway.config_path);
	char text[LOCK_TEXT_BYTES];
	uint64_t pid, start_time;

	if (strncmp(name, "gateway.", 8) != 0 || strstr(name, ".lock") == NULL ||
	    strstr(name, ".sqlite") != NULL || file_read(directory_fd, name, text, sizeof(text)) <= 0)
		return 0;
	pid = number_after(text, "\"pid\":");
	start_time = number_after(text, "\"startTime\":");
	if (pid == 0 || pid > INT32_MAX || strstr(text, config) == NULL ||
	    !procfs_is_alive((int)pid, start_time))
		return 0;
	return error_set(why, -EBUSY,
	    "An OpenClaw gateway with this configuration already runs (pid %" PRIu64
	    "), started by someone else: stop it first, or watch it with \"holdfast monitor\". Nothing was "
	    "started.",
	    pid);
}

static int check_locks_in(const struct settings *settings, const char *path, struct error *why)
{
	DIR *directory = world_opendir(path);
	struct dirent *entry;
	struct stat status;
	int result = 0;

	if (directory == NULL)
		return 0;
	/* In /tmp anybody can make one with our number in its name, and put into it what they like. */
	if (fstat(dirfd(directory), &status) < 0 || status.st_uid != getuid()) {
		closedir(directory);
		return 0;
	}
	while (result == 0 && (entry = readdir(directory)) != NULL)
		result = check_lock_file(settings, dirfd(directory), entry->d_name, why);
	closedir(directory);
	return result;
}

static int check_port(const struct settings *settings, struct error *why)
{
	struct procfs_listener listener;
	const char *origin = settings_string(settings, settings->gateway.port_origin);
	char owner[PROCFS_NAME_MAX + 32] = "a process of another user";

	if (settings->gateway.port == 0 || procfs_listener(settings->gateway.port, &listener) != 1)
		return 0;
	if (listener.pid != 0)
		snprintf(owner, sizeof(owner), "pid %d (%s)", listener.pid, listener.name);
	return error_set(why, -EADDRINUSE,
	    "%s: port %u is taken by %s: stop it or choose another port; if it is the gateway itself, stop "
	    "its owner first, "
	    "or watch it with \"holdfast monitor\". Nothing was started.",
	    origin, settings->gateway.port, owner);
}

/* OpenClaw's own unit (2026.2.1 and 2026.9.6 install openclaw-gateway.service): while one of its processes
 * lives, the service manager owns the gateway, also when it has not opened its port yet. */
#define NATIVE_UNIT "/openclaw-gateway.service"

static bool is_in_native_unit(int pid)
{
	char path[32], cgroups[LOCK_TEXT_BYTES];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	return file_read(AT_FDCWD, path, cgroups, sizeof(cgroups)) > 0 &&
	       strstr(cgroups, NATIVE_UNIT) != NULL;
}

static bool look_for_native_unit(void *context, int pid)
{
	int *found = context;

	if (is_in_native_unit(pid))
		*found = pid;
	return *found == 0;
}

static int check_native_unit(const struct settings *settings, struct error *why)
{
	const char *state = settings_string(settings, settings->gateway.state_directory);
	size_t length = strlen(state);
	int found = 0;

	/* That unit runs the default profile; and we may have been put into it ourselves. */
	if (length < 10 || strcmp(state + length - 10, "/.openclaw") != 0 || is_in_native_unit(getpid()))
		return 0;
	procfs_each(look_for_native_unit, &found);
	if (found == 0)
		return 0;
	return error_set(why, -EBUSY,
	    "The gateway belongs to the service manager (openclaw-gateway.service, pid %d): disable that "
	    "unit first, or watch "
	    "it with \"holdfast monitor\". Nothing was started.",
	    found);
}

int ownership_check(struct supervisor *supervisor, struct error *why)
{
	const struct settings *settings = supervisor->settings;
	char path[PATH_MAX];
	int result = check_port(settings, why);

	if (result < 0 || settings->gateway.kind != GATEWAY_OPENCLAW)
		return result;
	snprintf(path, sizeof(path), "/tmp/openclaw-%u", getuid());
	result = check_locks_in(settings, path, why);
	if (result == 0)
		result = check_native_unit(settings, why);
	if (result < 0)
		return result;
	snprintf(path, sizeof(path), "%s/tmp/openclaw-%u",
	    settings_string(settings, settings->gateway.state_directory), getuid());
	return check_locks_in(settings, path, why);
}
