/* A settings file, read whole and parsed; or a variable's text, parsed. */
#ifndef HOLDFAST_CONFIG_SOURCE_H
#define HOLDFAST_CONFIG_SOURCE_H

#include <limits.h>

#include "base/error.h"
#include "format/json5.h"

#define SOURCE_BYTES_MAX ((size_t)1024 * 1024)

struct source {
	char path[PATH_MAX]; /* absolute; "" for a variable */
	char *bytes;         /* NUL-terminated */
	size_t length;
	struct json_document document;
	void *memory;
};

/* Reads and parses the JSON5 file `path`. Refuses unread what is no regular file or longer than
 * SOURCE_BYTES_MAX. Returns 0; -ENOENT when there is no such file; or another negative errno, with *why
 * naming file, line and column. Release what was read with source_release; after a failure there is nothing
 * to release. */
int source_read(struct source *source, const char *path, struct error *why);

/* Parses the value of the variable `name`. Copies the text. */
int source_parse(struct source *source, const char *name, const char *text, struct error *why);

void source_release(struct source *source);

#endif
