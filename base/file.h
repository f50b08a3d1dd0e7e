/* Small helpers around descriptors: bounded reads, whole writes, cleanup. */
#ifndef HOLDFAST_BASE_FILE_H
#define HOLDFAST_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads at most `size` - 1 bytes of the file `path` (relative to `directory_fd`, which may be AT_FDCWD) and
 * NUL-terminates them. Returns the number of bytes, or a negative errno (-EFBIG when the file is longer). */
ssize_t file_read(int directory_fd, const char *path, char *buffer, size_t size);

/* Reads up to `size` bytes, fewer only at the end of the file; retries after EINTR and short reads. Returns
 * the number of bytes, or a negative errno. */
ssize_t file_read_up_to(int fd, char *buffer, size_t size);

/* As file_read, from an open descriptor, from offset 0; a longer file is cut silently (for /proc). */
ssize_t file_read_start(int fd, char *buffer, size_t size);

/* Calls `visit` with each line (without its newline, cut at FILE_LINE_MAX - 1 bytes) until it returns false.
 * Never allocates. Returns 0 or a negative errno. */
#define FILE_LINE_MAX 8192
int file_each_line(
    int directory_fd, const char *path, bool (*visit)(void *context, const char *line), void *context);

/* Calls `visit` with the name of each entry of the directory until it returns false. Never allocates.
 * Returns 0 or a negative errno. */
int file_each_entry(
    const char *path, bool (*visit)(void *context, int directory_fd, const char *name), void *context);

/* Writes all bytes or returns a negative errno; retries after EINTR and short writes. */
int file_write_all(int fd, const void *bytes, size_t length);

/* Whether a read would not wait: bytes, the end, or an error. Never waits itself. */
bool file_is_readable(int fd);

/* Which file a path names: one that was replaced since is another. Both 0 when it cannot be said. */
void file_identity(const char *path, uint64_t *device, uint64_t *inode);

/* Closes *fd when it is not negative and sets it to -1; keeps errno. */
void file_close(int *fd);

#define CLOSE_ON_RETURN __attribute__((cleanup(file_close)))

#endif
