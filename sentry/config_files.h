/* The gateway's own configuration as one thing: the main file and all that it includes, as OpenClaw 2026.9.6
 * resolves it (tried): "$include" in any object names one file or a list, relative to the file it is in, and
 * nothing outside the main file's directory unless OPENCLAW_INCLUDE_ROOTS allows it. */
#ifndef HOLDFAST_SENTRY_CONFIG_FILES_H
#define HOLDFAST_SENTRY_CONFIG_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "config/settings.h"

#define CONFIG_FILES_MAX       SETTINGS_WATCHED_MAX
#define CONFIG_FILES_BYTES_MAX ((size_t)4 * 1024 * 1024)

struct config_files {
	uint32_t count;
	char paths[CONFIG_FILES_MAX][PATH_MAX]; /* [0] is the main file; absolute */
	size_t bytes;                           /* of all of them */
	uint64_t content;        /* hash of what they say and of their places relative to the main file */
	uint64_t identity;       /* hash of which files they are, too: inode, size, time of change */
	bool broken;             /* one is missing, cannot be read, or is no JSON5 */
	char outsider[PATH_MAX]; /* one that a copy elsewhere would not include again: named by an absolute
	                            path, or outside the main file's directory; "" none */
};

/* Reads all of them. Where `target_fd` is not -1 each is also written below that directory (empty, 0700), at
 * its place relative to the main file, 0600, and synced when `durable`; then what is broken or an outsider is
 * a failure. Links are followed: what is written is what they lead to. Returns 0 or a negative errno with
 * *why (-EFBIG: more or longer files than the limits). */
int config_files_read(
    struct config_files *files, const char *main_path, int target_fd, bool durable, struct error *why);

/* Removes the directory `name` and all that is in it, in bounds. Returns 0, also when there is none, or a
 * negative errno. */
int config_files_remove(int parent_fd, const char *name);

#endif
