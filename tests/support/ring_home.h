/* A directory of its own for the console's memory and files. */
#ifndef HOLDFAST_TESTS_SUPPORT_RING_HOME_H
#define HOLDFAST_TESTS_SUPPORT_RING_HOME_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sentry/ring.h"
#include "support/tap.h"

static char directory[64];

static inline const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static inline void make_directory(void)
{
	/* Where runtime directories are, if it can be. */
	snprintf(directory, sizeof(directory), "%s/holdfast-ring-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(directory) != NULL);
}

static inline void remove_files(void)
{
	static const char *const names[] = {
	    "console.log", "console.log.1", "console.log.2", "console.log.3", "console.log.4", RING_NAME};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i]));
}

static inline void remove_directory(void)
{
	remove_files();
	CHECK(rmdir(directory) == 0);
}

#endif
