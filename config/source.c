#include "config/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "world/world.h"

/* One block for the bytes, the values and the strings of a document. */
static int reserve(struct source *source, size_t length)
{
	size_t value_bytes = JSON_VALUES_FOR(length) * sizeof(struct json_value);
	size_t string_bytes = JSON_STRINGS_FOR(length);
	char *memory = malloc(value_bytes + string_bytes + length + 1);

	if (memory == NULL)
		return -ENOMEM;
	source->memory = memory;
	source->document = (struct json_document){
	    .values = (struct json_value *)(void *)memory,
	    .value_max = (uint32_t)JSON_VALUES_FOR(length),
	    .strings = memory + value_bytes,
	    .string_size = string_bytes,
	};
	source->bytes = memory + value_bytes + string_bytes;
	source->length = length;
	source->bytes[length] = '\0';
	return 0;
}

void source_release(struct source *source)
{
	free(source->memory);
	*source = (struct source){0};
}

static const char *what_it_is(mode_t mode)
{
	return S_ISDIR(mode)    ? "a directory"
	       : S_ISFIFO(mode) ? "a pipe"
	       : S_ISSOCK(mode) ? "a socket"
	                        : "a device";
}

static int check_file(const char *path, const struct stat *status, struct error *why)
{
	if (!S_ISREG(status->st_mode))
		return error_set(why, -EINVAL, "%.300s is %s, but must be a file with settings.", path,
		    what_it_is(status->st_mode));
	if ((uintmax_t)status->st_size > SOURCE_BYTES_MAX)
		return error_set(why, -EFBIG,
		    "%.300s is %lld bytes long, but a file with settings is at most %zu: it was not read.",
		    path, (long long)status->st_size, SOURCE_BYTES_MAX);
	return 0;
}

static int read_bytes(struct source *source, int fd)
{
	ssize_t length = file_read_up_to(fd, source->bytes, source->length);

	if (length < 0)
		return (int)length;
	source->length = (size_t)length; /* it may have become shorter meanwhile */
	source->bytes[length] = '\0';
	return 0;
}

int source_read(struct source *source, const char *path, struct error *why)
{
	struct json_fault fault;
	struct stat status;
	int result, fd CLOSE_ON_RETURN = -1;

	*source = (struct source){0};
	if (!text_copy(source->path, sizeof(source->path), path))
		return error_set(why, -ENAMETOOLONG, "%.300s cannot be read: the path is too long.", path);
	/* O_NONBLOCK: a pipe put where a file is expected must not hang us. */
	fd = world_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &status) < 0) {
		result = -errno;
		return error_set(why, result, "%.300s cannot be read: %s.", path, strerror(-result));
	}
	result = check_file(path, &status, why);
	if (result < 0)
		return result;
	result = reserve(source, (size_t)status.st_size);
	if (result == 0)
		result = read_bytes(source, fd);
	if (result < 0) {
		source_release(source);
		return error_set(why, result, "%.300s cannot be read: %s.", path, strerror(-result));
	}
	result = json_parse(&source->document, source->bytes, source->length, JSON_5, &fault);
	if (result < 0) {
		source_release(source);
		return error_set(
		    why, result, "%.300s:%u:%u: %s.", path, fault.place.line, fault.place.column, fault.text);
	}
	return 0;
}

int source_parse(struct source *source, const char *name, const char *text, struct error *why)
{
	size_t length = strlen(text);
	struct json_fault fault;
	int result;

	*source = (struct source){0};
	if (length > SOURCE_BYTES_MAX)
		return error_set(why, -EFBIG, "%s is %zu bytes long, but may have at most %zu.", name, length,
		    SOURCE_BYTES_MAX);
	result = reserve(source, length);
	if (result < 0)
		return error_set(why, result, "%s cannot be read: %s.", name, strerror(-result));
	memcpy(source->bytes, text, length);
	result = json_parse(&source->document, source->bytes, length, JSON_5, &fault);
	if (result < 0) {
		source_release(source);
		return error_set(why, result, "%s is not valid JSON5 (line %u, column %u): %s.", name,
		    fault.place.line, fault.place.column, fault.text);
	}
	return 0;
}
