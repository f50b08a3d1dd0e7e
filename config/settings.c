#include "config/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "world/world.h"

#define SETTINGS_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

int settings_seal(const struct settings *settings, struct error *why)
{
	int fd = world_memfd_create("holdfast-settings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int result;

	if (fd < 0)
		return error_set(why, -errno, "The settings cannot be kept in memory: %s.", strerror(errno));
	result = file_write_all(fd, settings, sizeof(*settings));
	if (result == 0 && world_fcntl(fd, F_ADD_SEALS, SETTINGS_SEALS) < 0)
		result = -errno;
	if (result < 0) {
		close(fd);
		return error_set(
		    why, result, "The settings cannot be kept in memory: %s.", strerror(-result));
	}
	return fd;
}

static bool is_ours(const struct settings *settings)
{
	return settings->magic == SETTINGS_MAGIC && settings->version == SETTINGS_VERSION &&
	       settings->size == sizeof(*settings) && settings->pool_used <= SETTINGS_POOL_BYTES;
}

const struct settings *settings_map(int fd, struct error *why)
{
	const struct settings *settings;
	struct stat status;
	int seals = world_fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SETTINGS_SEALS) != SETTINGS_SEALS || fstat(fd, &status) < 0 ||
	    status.st_size != (off_t)sizeof(*settings)) {
		error_set(why, -EINVAL,
		    "This is a part of Holdfast and is started by \"holdfast run\", not by hand.");
		return NULL;
	}
	settings = world_mmap(NULL, sizeof(*settings), PROT_READ, MAP_SHARED, fd, 0);
	if (settings == MAP_FAILED) {
		error_set(why, -errno, "The settings cannot be read: %s.", strerror(errno));
		return NULL;
	}
	if (!is_ours(settings)) {
		error_set(why, -EINVAL,
		    "The settings come from another version of Holdfast: install all of its programs "
		    "together.");
		return NULL;
	}
	return settings;
}
