#include "supervise/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "supervise/supervisor.h"
#include "world/world.h"

static bool remove_entry(void *context, int directory_fd, const char *name)
{
	(void)context;
	world_unlinkat(directory_fd, name, 0); /* "." and ".." refuse by themselves */
	return true;
}

void scratch_clear(const char *path)
{
	/* Never through a symbolic link: what is behind it is not ours. */
	int fd CLOSE_ON_RETURN = world_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	char held[48];

	if (fd < 0)
		return;
	snprintf(held, sizeof(held), "/proc/self/fd/%d", fd);
	file_each_entry(held, remove_entry, NULL);
	world_rmdir(path);
}

static int path_in(const char *directory, char *path)
{
	return snprintf(path, PATH_MAX, "%s/" SCRATCH_NAME, directory) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int copy_into(int directory_fd, const char *name, const void *bytes, size_t length)
{
	int fd CLOSE_ON_RETURN =
	    world_openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -errno : file_write_all(fd, bytes, length);
}

int scratch_make(struct supervisor *supervisor, char *state, char *runtime)
{
	const struct settings *settings = supervisor->settings;
	int directory_fd CLOSE_ON_RETURN = -1;
	int result = path_in(settings_string(settings, settings->state_dir), state);

	if (result == 0)
		result = path_in(settings_string(settings, settings->runtime_dir), runtime);
	if (result < 0)
		return result;
	scratch_clear(runtime);
	if (world_mkdir(runtime, 0700) < 0)
		return -errno;
	directory_fd = world_open(runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory_fd < 0)
		return -errno;
	supervisor_save(supervisor);
	result = copy_into(directory_fd, RECORD_FILE_NAME, &supervisor->record, sizeof(supervisor->record));
	if (result == 0)
		result = copy_into(
		    directory_fd, EVENTS_FILE_NAME, supervisor->pending, sizeof(*supervisor->pending));
	return result;
}

void scratch_remove(struct supervisor *supervisor)
{
	char path[PATH_MAX];

	if (path_in(settings_string(supervisor->settings, supervisor->settings->runtime_dir), path) == 0)
		scratch_clear(path);
}
