/* Files that are changed as a whole: another takes their place, with the same owner and mode, behind the same
 * links; so nobody ever reads half of one. */
#ifndef HOLDFAST_CLI_RELAY_FILE_H
#define HOLDFAST_CLI_RELAY_FILE_H

#include <limits.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/error.h"

#define RELAY_COPY_SUFFIX ".before-relay"

struct relay_file {
	char path[PATH_MAX]; /* what its links lead to */
	struct stat status;
	char *bytes; /* NUL-terminated */
	size_t length;
};

/* Reads `path`, at most SOURCE_BYTES_MAX. Returns 0; -ENOENT when there is none: then *file is empty, and
 * its path is the one given; or another negative errno with *why. Free with relay_file_release, always. */
int relay_file_read(struct relay_file *file, const char *path, struct error *why);
void relay_file_release(struct relay_file *file);

/* Puts `bytes` in place of the file that was read, which must not have changed since (-EBUSY). One that was
 * not there is made, 0600. Returns 0 or a negative errno with *why. */
int relay_file_replace(const struct relay_file *file, const char *bytes, size_t length, struct error *why);

/* Writes `bytes` into the new file `path`, with the mode and the owner of `like` (NULL: 0600, ours); an older
 * one of that name is replaced. Returns 0 or a negative errno with *why. */
int relay_file_write(
    const char *path, const struct stat *like, const char *bytes, size_t length, struct error *why);

#endif
