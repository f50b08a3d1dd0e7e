/* The console on disk: DIRECTORY/console.log and its predecessors console.log.1 ... .4, of bounded size
 * together. Belongs to one sink's thread; blocks as the disk does. */
#ifndef HOLDFAST_SENTRY_LOGFILE_H
#define HOLDFAST_SENTRY_LOGFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sentry/ring.h"

#define LOGFILE_NAME      "console.log"
#define LOGFILE_KEPT      4 /* predecessors */
#define LOGFILE_BYTES_MAX (10 * 1000 * 1000)
#define LOGFILE_BYTES_MIN (128 * 1024)

struct logfile {
	const char *directory; /* borrowed */
	int64_t limit_bytes;   /* of one file */
	/* Where each write is noted before it is made; borrowed, may be NULL. */
	struct ring_cursor *cursor;
	int fd;
	uint64_t device, inode;
	int64_t size_bytes;
	bool mid_line;
};

/* All files together stay within a quarter of `retention_bytes`, and one within LOGFILE_BYTES_MAX. */
void logfile_init(struct logfile *logfile, const char *directory, int64_t retention_bytes);

/* Appends some of the bytes, rotating between lines; opens the file when it is not open, is gone, or failed
 * before. A sink_write: returns how many bytes were written, or a negative errno. */
ssize_t logfile_write(void *logfile, const char *bytes, size_t length);

/* How many bytes after cursor->begin a writer who was killed had written already without coming to say so: by
 * so much, and at most by `limit`, the file it noted has grown. */
uint64_t logfile_written_since(
    const struct logfile *logfile, const struct ring_cursor *cursor, uint64_t limit);

void logfile_close(struct logfile *logfile);

#endif
