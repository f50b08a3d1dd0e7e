#include "sentry/config_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "config/paths.h"
#include "config/source.h"
#include "world/world.h"

#define REMOVE_DEPTH_MAX 16

struct reading {
	struct config_files *files;
	char directory[PATH_MAX]; /* the main file's, with a slash at its end */
	int target_fd;
	bool durable;
	struct error *why;
};

/* As hash_bytes does, a number at a time. */
static uint64_t mix_number(uint64_t hash, uint64_t number)
{
	return (hash ^ number) * 0x100000001b3u;
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t length)
{
	return mix_number(mix_number(hash, length), hash_bytes(bytes, length));
}

/* Its place relative to the main file; the whole path of one that lies elsewhere. */
static const char *place_of(const struct reading *reading, const char *path)
{
	size_t length = strlen(reading->directory);

	return strncmp(path, reading->directory, length) == 0 ? path + length : path;
}

static bool is_listed(const struct config_files *files, const char *path)
{
	for (uint32_t i = 0; i < files->count; i++)
		if (strcmp(files->paths[i], path) == 0)
			return true;
	return false;
}

static int add_file(struct reading *reading, const char *path)
{
	struct config_files *files = reading->files;

	if (is_listed(files, path))
		return 0;
	if (files->count == CONFIG_FILES_MAX)
		return error_set(reading->why, -EFBIG, "%.300s includes more than %d files", files->paths[0],
		    CONFIG_FILES_MAX - 1);
	text_copy(files->paths[files->count++], PATH_MAX, path);
	return 0;
}

/* One name behind "$include" in the file `index`. What the gateway would refuse is left to it. */
static int take_include(struct reading *reading, uint32_t index, const struct json_value *name)
{
	struct config_files *files = reading->files;
	char directory[PATH_MAX], path[PATH_MAX];

	if (name->type != JSON_STRING || name->string.length == 0 ||
	    strlen(name->string.bytes) != name->string.length)
		return 0;
	text_copy(directory, sizeof(directory), files->paths[index]);
	*strrchr(directory, '/') = '\0';
	if (paths_resolve(NULL, directory[0] == '\0' ? "/" : directory, name->string.bytes, path) < 0)
		return 0;
	if (name->string.bytes[0] == '/' || place_of(reading, path) == path)
		text_copy(files->outsider, sizeof(files->outsider), path);
	return add_file(reading, path);
}

static int take_includes(struct reading *reading, uint32_t index, const struct json_document *document)
{
	int result = 0;

	for (uint32_t i = 0; i < document->value_count && result == 0; i++) {
		const struct json_value *include = &document->values[i];

		if (!json_key_is(include, "$include"))
			continue;
		if (include->type != JSON_ARRAY) {
			result = take_include(reading, index, include);
			continue;
		}
		for (const struct json_value *name = json_first(document, include);
		     name != NULL && result == 0; name = json_next(document, name))
			result = take_include(reading, index, name);
	}
	return result;
}

/* --- Writing. --- */

/* Opens the directory `name`, which is made where it is missing. */
static int enter(int parent_fd, const char *name, bool durable)
{
	int made = world_mkdirat(parent_fd, name, 0700);

	if (made < 0 && errno != EEXIST)
		return -errno;
	if (made == 0 && durable && world_fsync(parent_fd) < 0)
		return -errno;
	made = world_openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return made < 0 ? -errno : made;
}

static int write_file(int directory_fd, const char *name, const char *bytes, size_t length, bool durable)
{
	int fd CLOSE_ON_RETURN =
	    world_openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int result = fd < 0 ? -errno : file_write_all(fd, bytes, length);

	if (result == 0 && durable && (world_fsync(fd) < 0 || world_fsync(directory_fd) < 0))
		result = -errno;
	return result;
}

/* `place`: "models/own.json5". */
static int write_at(struct reading *reading, const char *place, const char *bytes, size_t length)
{
	int result, fd CLOSE_ON_RETURN = world_fcntl(reading->target_fd, F_DUPFD_CLOEXEC, 3);
	const char *slash;

	if (fd < 0)
		return -errno;
	for (; (slash = strchr(place, '/')) != NULL; place = slash + 1) {
		char name[NAME_MAX + 1];
		int next;

		if ((size_t)(slash - place) >= sizeof(name))
			return -ENAMETOOLONG;
		memcpy(name, place, (size_t)(slash - place));
		name[slash - place] = '\0';
		next = enter(fd, name, reading->durable);
		if (next < 0)
			return next;
		file_close(&fd);
		fd = next;
	}
	result = write_file(fd, place, bytes, length, reading->durable);
	return result;
}

/* --- Reading. --- */

static int open_file(const char *path, struct stat *status)
{
	/* O_NONBLOCK: a pipe put where a file is expected must not hang us. */
	int fd = world_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0 && fstat(fd, status) == 0 && S_ISREG(status->st_mode))
		return fd;
	file_close(&fd);
	return -1;
}

static void note_identity(struct config_files *files, const struct stat *status)
{
	const uint64_t numbers[] = {status->st_dev, status->st_ino, (uint64_t)status->st_size,
	    (uint64_t)status->st_mtim.tv_sec, (uint64_t)status->st_mtim.tv_nsec};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		files->identity = mix_number(files->identity, numbers[i]);
}

/* The bytes of the file `index` are there: hashed, looked through for more files, written. */
static int take_bytes(struct reading *reading, uint32_t index, const char *bytes, size_t length)
{
	struct config_files *files = reading->files;
	const char *place = place_of(reading, files->paths[index]);
	struct source source = {0};
	struct error why;
	int result = 0;

	files->bytes += length;
	files->content = mix(mix(files->content, place, strlen(place)), bytes, length);
	if (strlen(bytes) != length || source_parse(&source, files->paths[index], bytes, &why) < 0)
		files->broken = true;
	else
		result = take_includes(reading, index, &source.document);
	source_release(&source);
	if (result < 0 || reading->target_fd < 0)
		return result;
	if (files->broken || files->outsider[0] != '\0')
		return error_set(reading->why, -EINVAL, "%.300s %s",
		    files->broken ? files->paths[index] : files->outsider,
		    files->broken ? "is no JSON5"
		                  : "is included by an absolute path or lies outside the directory of the "
		                    "main file, so that a copy could not include it");
	result = write_at(reading, place, bytes, length);
	if (result < 0)
		error_set(reading->why, result, "the copy cannot be written: %s", strerror(-result));
	return result;
}

static int read_file(struct reading *reading, uint32_t index)
{
	struct config_files *files = reading->files;
	const char *path = files->paths[index], *place = place_of(reading, path);
	struct stat status = {0};
	int result, fd CLOSE_ON_RETURN = open_file(path, &status);
	char *bytes;
	ssize_t got;

	if (fd < 0) {
		files->broken = true;
		files->content = mix(files->content, place, strlen(place));
		files->identity = mix(files->identity, place, strlen(place));
		return reading->target_fd < 0
		           ? 0
		           : error_set(reading->why, -ENOENT, "%.300s cannot be read", path);
	}
	if ((uintmax_t)status.st_size > CONFIG_FILES_BYTES_MAX - files->bytes)
		return error_set(reading->why, -EFBIG,
		    "%.300s and what it includes are longer than %zu bytes", files->paths[0],
		    CONFIG_FILES_BYTES_MAX);
	bytes = malloc((size_t)status.st_size + 1);
	if (bytes == NULL)
		return error_set(reading->why, -ENOMEM, "there is no memory to read %.300s", path);
	got = file_read_up_to(fd, bytes, (size_t)status.st_size);
	if (got < 0) {
		result =
		    error_set(reading->why, (int)got, "%.300s cannot be read: %s", path, strerror((int)-got));
	} else {
		bytes[got] = '\0';
		note_identity(files, &status);
		result = take_bytes(reading, index, bytes, (size_t)got);
	}
	free(bytes);
	return result;
}

int config_files_read(
    struct config_files *files, const char *main_path, int target_fd, bool durable, struct error *why)
{
	struct reading reading = {.files = files, .target_fd = target_fd, .durable = durable, .why = why};
	int result = 0;

	files->count = 0;
	files->bytes = 0;
	files->content = files->identity = 1;
	files->broken = false;
	files->outsider[0] = '\0';
	if (main_path[0] != '/' || !text_copy(reading.directory, sizeof(reading.directory), main_path))
		return error_set(why, -EINVAL, "there is no configuration file");
	strrchr(reading.directory, '/')[1] = '\0';
	add_file(&reading, main_path);
	/* The list grows while it is gone through. */
	for (uint32_t i = 0; i < files->count && result == 0; i++)
		result = read_file(&reading, i);
	return result;
}

/* --- Removing. --- */

static int remove_entries(int directory_fd, unsigned depth);

static int remove_entry(int parent_fd, const char *name, unsigned depth)
{
	int result, fd CLOSE_ON_RETURN =
	                world_openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0) /* no directory, or a link to one: only the name goes */
		return world_unlinkat(parent_fd, name, 0) < 0 ? -errno : 0;
	if (depth == REMOVE_DEPTH_MAX)
		return -ELOOP;
	result = remove_entries(fd, depth + 1);
	if (result == 0 && world_unlinkat(parent_fd, name, AT_REMOVEDIR) < 0)
		result = -errno;
	return result;
}

static int remove_entries(int directory_fd, unsigned depth)
{
	int result = 0, fd = world_fcntl(directory_fd, F_DUPFD_CLOEXEC, 3);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (directory == NULL) {
		result = -errno;
		file_close(&fd);
		return result;
	}
	while (result == 0 && (entry = readdir(directory)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			result = remove_entry(directory_fd, entry->d_name, depth);
	closedir(directory);
	return result;
}

int config_files_remove(int parent_fd, const char *name)
{
	return remove_entry(parent_fd, name, 0);
}
