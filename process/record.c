#include "process/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "process/procfs.h"
#include "world/world.h"

#define RECORD_MAGIC 0x48524543u

int record_open(int directory_fd)
{
	int fd =
	    world_openat(directory_fd, RECORD_FILE_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int result;

	if (fd < 0)
		return -errno;
	/* Reserved now, so that a full tmpfs cannot keep a gateway off the record later. */
	result = world_posix_fallocate(fd, 0, sizeof(struct record));
	if (result != 0) {
		close(fd);
		return -result;
	}
	return fd;
}

/* Word by word: it is computed between the death of a gateway and the next one's first instruction. */
static uint64_t checksum_of(const struct record *record)
{
	size_t start = offsetof(struct record, instance);

	_Static_assert(sizeof(*record) % sizeof(uint64_t) == 0, "the record is whole words");
	_Static_assert(offsetof(struct record, instance) % sizeof(uint64_t) == 0, "they begin at one");
	return hash_words(
	    (const unsigned char *)record + start, (sizeof(*record) - start) / sizeof(uint64_t));
}

int record_write(int fd, struct record *record)
{
	ssize_t written;

	record->magic = RECORD_MAGIC;
	record->version = RECORD_VERSION;
	record->size = sizeof(*record);
	record->uid = getuid();
	if (record->boot_id[0] == '\0')
		procfs_boot_id(record->boot_id, sizeof(record->boot_id));
	record->checksum = checksum_of(record);
	written = world_pwrite(fd, record, sizeof(*record), 0);
	if (written < 0)
		return -errno;
	return written == (ssize_t)sizeof(*record) ? 0 : -ENOSPC;
}

int record_read(int fd, uint64_t instance, struct record *record, struct error *why)
{
	char boot_id[PROCFS_BOOT_ID_MAX];
	ssize_t length = pread(fd, record, sizeof(*record), 0);
	int result;

	if (length < 0)
		return error_set(why, -errno, "The runtime record cannot be read: %s.", strerror(errno));
	if (length == 0 || (length == (ssize_t)sizeof(*record) && record->magic == 0))
		return -ENOENT;
	if (length != (ssize_t)sizeof(*record) || record->magic != RECORD_MAGIC ||
	    record->version != RECORD_VERSION || record->size != sizeof(*record))
		return error_set(why, -EINVAL,
		    "The runtime record is cut short or of another version; it is not believed.");
	if (record->checksum != checksum_of(record))
		return error_set(why, -EINVAL, "The runtime record is damaged; it is not believed.");
	if (record->uid != getuid() || record->instance != instance)
		return error_set(
		    why, -EINVAL, "The runtime record is another user's or instance's; it is not believed.");
	result = procfs_boot_id(boot_id, sizeof(boot_id));
	if (result < 0) /* too many open files, say: that is no word against it */
		return error_set(why, result,
		    "The runtime record cannot be judged, for the boot's number cannot be read: %s.",
		    strerror(-result));
	if (strncmp(boot_id, record->boot_id, sizeof(record->boot_id)) != 0)
		return error_set(
		    why, -EINVAL, "The runtime record is from before the last boot; it is not believed.");
	if (record->machine_size > RECORD_MACHINE_MAX ||
	    memchr(record->cgroup, '\0', sizeof(record->cgroup)) == NULL)
		return error_set(why, -EINVAL, "The runtime record is damaged; it is not believed.");
	return 0;
}
