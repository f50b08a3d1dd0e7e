/* The console where Holdfast was started: a terminal, a pipe, a file, or the journal. Belongs to one sink's
 * thread. */
#ifndef HOLDFAST_SENTRY_STREAM_H
#define HOLDFAST_SENTRY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct stream {
	int fd; /* borrowed */
	bool is_journal, is_coloured;
	bool broken; /* its reader is gone for good */
};

/* Looks at what `fd` is: with JOURNAL_STREAM (systemd.exec(5)), TERM and NO_COLOR as the environment has
 * them. */
void stream_init(struct stream *stream, int fd);

/* A sink_write. Once the reader is gone everything is accepted and forgotten: nobody is left to miss it. */
ssize_t stream_write(void *stream, const char *bytes, size_t length);

/* One of our own sentences, with the prefix that fits the place: "holdfast: ...". */
void stream_format(const struct stream *stream, char *target, size_t target_size, const char *sentence);

#endif
